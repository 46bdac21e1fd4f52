//! A partition's replicated state machine.
//!
//! [`Committed`] is what all replicas agree on; a leader adds a [`Tail`] of what it has proposed since. `prepare` decides
//! against both and changes neither: its outcome waits in `pending` until raft says at which index it went into the log.

use super::append;
use super::cleaner::LastOfProducer;
use super::command::{Append, Appended, Command, Origin, Output, Refusal, SetLogStart};
use super::committed::{Committed, Fault};
use super::config::{TimestampType, TopicConfig};
use super::epochs::leader_epoch_of;
use super::producer::{Producer, RecentBatch};
use super::producers::IdleProducers;
use super::shared::{PartitionView, Positions, Role};
use super::tail::{Pending, Tail};
use super::tracked::{Tracked, track};
use crate::raft::ports::{Joined, PeerId, Prepared, StateMachine};
use crate::storage::entry::{EntryHeader, EntryKind};
use crate::storage::ids::Offset;
use bytes::Bytes;
use raft::eraftpb::{Entry, Snapshot};

/// Entries of several small appends are not made larger than this: each append was one that a reader may want alone.
const MAX_JOINED_BYTES: usize = 64 * 1024;

/// Larger appends get an entry of their own: copying them into a common one costs more than it saves.
const MAX_JOINING_BYTES: usize = 8 * 1024;

#[derive(Debug)]
pub struct Partition {
    config: TopicConfig,
    /// What this replica's log takes for one entry.
    max_entry_bytes: usize,
    committed: Committed,
    /// While this replica leads.
    tail: Option<Tail>,
    pending: Option<Pending>,
    idle: IdleProducers,
    view: PartitionView,
}

impl Partition {
    /// A new, empty partition. No entry is made larger than `max_entry_bytes` by what joins it; a single append as large as
    /// that is for the caller to refuse.
    pub fn new(config: TopicConfig, max_entry_bytes: usize) -> Partition {
        Partition::with(config, max_entry_bytes, Committed::empty())
    }

    /// A partition as it was when `row` was its [`StateMachine::snapshot`]; entries above that index are then applied to it.
    pub fn from_snapshot_row(
        config: TopicConfig,
        max_entry_bytes: usize,
        row: &[u8],
    ) -> Result<Partition, Fault> {
        let committed = Committed::decode(row)?;
        Ok(Partition::with(config, max_entry_bytes, committed))
    }

    fn with(config: TopicConfig, max_entry_bytes: usize, committed: Committed) -> Partition {
        let view = PartitionView::new(
            Positions {
                log_start: committed.log_start,
                last_stable: committed.last_stable(),
                high_watermark: committed.high_watermark,
                log_end: committed.high_watermark,
                role: Role::Leaderless,
                term: 0,
            },
            committed.epochs.clone(),
            committed.aborted.clone(),
        );
        Partition {
            config,
            max_entry_bytes,
            committed,
            tail: None,
            pending: None,
            idle: IdleProducers::default(),
            view,
        }
    }

    /// The handle that others hold.
    pub fn view(&self) -> PartitionView {
        self.view.clone()
    }

    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// From the next command on. Only `prepare` looks at it, so replicas may change it at different times.
    pub fn set_config(&mut self, config: TopicConfig) {
        self.config = config;
    }

    /// The largest timestamp that was ever committed, or -1.
    pub fn max_timestamp_ms(&self) -> i64 {
        self.committed.max_timestamp_ms
    }

    /// The committed state of each producer (DescribeProducers).
    pub fn producers(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.committed.producers.iter()
    }

    /// The last batch of each producer, which log compaction keeps for its header.
    pub fn last_of_producers(&self) -> Vec<(i64, LastOfProducer)> {
        let last = |producer: &Producer| match producer.recent.back() {
            Some(batch) => LastOfProducer::Data {
                last_offset: batch.last_offset.0,
            },
            None => LastOfProducer::Marker {
                producer_epoch: producer.epoch,
            },
        };
        self.producers()
            .map(|(id, producer)| (id, last(producer)))
            .collect()
    }

    /// Forgets producers that were idle for `producer.id.expiration.ms`; to be called every few minutes on every replica.
    /// Returns how many went.
    pub fn expire_producers(&mut self, now_ms: i64) -> usize {
        let expired = self.idle.expired(
            &self.committed.producers,
            now_ms,
            self.config.producer_id_expiration_ms,
        );
        for producer_id in &expired {
            self.committed.producers.forget(*producer_id);
        }
        expired.len()
    }

    fn prepare_append(
        &self,
        tail: &Tail,
        append: Append,
    ) -> Result<(Prepared<Output>, Option<Pending>), Refusal> {
        let checked = self.check_append(tail.log_end, &append)?;
        if append.origin == Origin::Client
            && let Some(answer) = self.duplicate(tail, &checked.batches)
        {
            return Ok((answer, None));
        }
        let producers = self.check_producers(tail, &[], &checked.batches, append.origin)?;
        let may_grow = append.origin == Origin::Client && append.batches.len() <= MAX_JOINING_BYTES;
        let (data, output) = self.assign(tail, &checked, append)?;
        let pending = Pending::Batches {
            header: checked.header,
            producers,
            bytes: data.len(),
            may_grow,
        };
        let prepared = Prepared::Entry {
            context: checked.header.encode(),
            data,
            output,
        };
        Ok((prepared, Some(pending)))
    }

    /// Of an entry of several appends.
    fn max_joined_bytes(&self) -> usize {
        MAX_JOINED_BYTES.min(self.max_entry_bytes)
    }

    /// `append` as a part of the pending entry. `None` when it needs one of its own, or is a duplicate.
    fn join_append(
        &self,
        tail: &Tail,
        append: &mut Append,
    ) -> Option<Result<(Part, Vec<(i64, Producer)>), Refusal>> {
        let Some(Pending::Batches {
            header,
            producers,
            bytes,
            may_grow: true,
        }) = &self.pending
        else {
            return None;
        };
        let len = append.batches.len();
        if append.origin != Origin::Client
            || len > MAX_JOINING_BYTES
            || bytes + len > self.max_joined_bytes()
        {
            return None;
        }
        let checked = match self.check_append(header.next_offset(), append) {
            Ok(checked) => checked,
            Err(refusal) => return Some(Err(refusal)),
        };
        let repeats = |batch: &Tracked| match batch {
            Tracked::Records(batch) => self
                .producer(tail, producers, batch.producer_id)
                .duplicate_of(batch)
                .is_some(),
            Tracked::Plain | Tracked::End(_) => false,
        };
        let joined = header.join(&checked.header)?;
        if checked.batches.iter().any(repeats) {
            return None;
        }
        let append = Append {
            batches: std::mem::take(&mut append.batches),
            ..*append
        };
        let part = self
            .check_producers(tail, producers, &checked.batches, append.origin)
            .and_then(|changed| {
                let (data, output) = self.assign(tail, &checked, append)?;
                let part = Part {
                    header: joined,
                    data,
                    output,
                };
                Ok((part, changed))
            });
        Some(part)
    }

    /// Everything about an append at `base_offset` that does not depend on its producers.
    fn check_append(&self, base_offset: Offset, append: &Append) -> Result<Checked, Refusal> {
        let log_append_time_ms = self.log_append_time_ms(append);
        let mut next = base_offset;
        let mut max_timestamp_ms = -1;
        let checked = append::check(append, &self.config)?;
        let mut batches = Vec::with_capacity(checked.len());
        for (position, batch) in &checked {
            let timestamp_ms = log_append_time_ms.unwrap_or(batch.header().max_timestamp_ms);
            let tracked =
                track(batch, next, timestamp_ms).map_err(|error| Refusal::CorruptRecords {
                    position: *position,
                    reason: error.to_string(),
                })?;
            batches.push(tracked);
            max_timestamp_ms = max_timestamp_ms.max(timestamp_ms);
            let records = i64::from(batch.header().record_count);
            next = next
                .0
                .checked_add(records)
                .map(Offset)
                .ok_or(Refusal::OffsetsExhausted {
                    records: records.unsigned_abs(),
                    log_end: next,
                })?;
        }
        let offsets = u32::try_from(next - base_offset).map_err(|_| Refusal::OffsetsExhausted {
            records: (next - base_offset).unsigned_abs(),
            log_end: base_offset,
        })?;
        let header = EntryHeader {
            kind: EntryKind::Batches,
            base_offset,
            offsets,
            max_timestamp_ms,
        };
        Ok(Checked { header, batches })
    }

    fn log_append_time_ms(&self, append: &Append) -> Option<i64> {
        match self.config.message_timestamp_type {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(append.now_ms),
        }
    }

    /// The bytes as they are stored, and the answer. The only reference to the bytes is changed in place.
    fn assign(
        &self,
        tail: &Tail,
        checked: &Checked,
        append: Append,
    ) -> Result<(Bytes, Output), Refusal> {
        let header = &checked.header;
        let log_append_time_ms = self.log_append_time_ms(&append);
        let data = append::assign(
            append.batches,
            header.base_offset,
            tail.leader_epoch,
            log_append_time_ms,
        )
        .map_err(|error| Refusal::CorruptBatch { position: 0, error })?;
        let output = Output::Appended(Appended {
            base_offset: header.base_offset,
            last_offset: header.next_offset() + -1,
            log_append_time_ms,
            log_start: self.committed.log_start,
        });
        Ok((data, output))
    }

    /// The answer to an append that repeats an earlier one, whole. One that repeats it in part was never sent by a client
    /// that keeps its order, and fails the check of sequences.
    fn duplicate(&self, tail: &Tail, batches: &[Tracked]) -> Option<Prepared<Output>> {
        let mut originals: Option<(RecentBatch, RecentBatch)> = None;
        for batch in batches {
            let Tracked::Records(batch) = batch else {
                return None;
            };
            let original = tail
                .producer(&self.committed, batch.producer_id)
                .duplicate_of(batch)?;
            originals = Some(match originals {
                None => (original, original),
                Some((first, last)) if original.base_offset == last.last_offset + 1 => {
                    (first, original)
                }
                Some(_) => return None,
            });
        }
        let (first, last) = originals?;
        let output = Output::Appended(Appended {
            base_offset: first.base_offset,
            last_offset: last.last_offset,
            log_append_time_ms: match self.config.message_timestamp_type {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(last.timestamp_ms),
            },
            log_start: self.committed.log_start,
        });
        Some(match tail.index_of(last.last_offset) {
            Some(index) if last.last_offset >= self.committed.high_watermark => {
                Prepared::After { index, output }
            }
            _ => Prepared::Done(output),
        })
    }

    /// The producers of `batches` as they are after them; `pending` are those of the entry that is being made.
    fn check_producers(
        &self,
        tail: &Tail,
        pending: &[(i64, Producer)],
        batches: &[Tracked],
        origin: Origin,
    ) -> Result<Vec<(i64, Producer)>, Refusal> {
        let mut producers: Vec<(i64, Producer)> = Vec::new();
        let is_client = origin == Origin::Client;
        for batch in batches {
            match batch {
                Tracked::Plain => {}
                Tracked::Records(batch) => {
                    let producer =
                        self.producer_in(&mut producers, tail, pending, batch.producer_id);
                    producer.check(batch, is_client)?;
                    producer.record(batch);
                }
                Tracked::End(marker) => {
                    let version = match origin {
                        Origin::TransactionMarkers {
                            transaction_version,
                        } => transaction_version,
                        Origin::Client | Origin::Coordinator => 0,
                    };
                    let producer =
                        self.producer_in(&mut producers, tail, pending, marker.producer_id);
                    producer.check_end(marker, version)?;
                    producer.end(marker);
                }
            }
        }
        Ok(producers)
    }

    fn producer_in<'a>(
        &self,
        producers: &'a mut Vec<(i64, Producer)>,
        tail: &Tail,
        pending: &[(i64, Producer)],
        producer_id: i64,
    ) -> &'a mut Producer {
        let at = producers
            .iter()
            .position(|(id, _)| *id == producer_id)
            .unwrap_or_else(|| {
                producers.push((producer_id, self.producer(tail, pending, producer_id)));
                producers.len() - 1
            });
        &mut producers[at].1
    }

    /// The producer with all that is in flight, and all that is pending.
    fn producer(&self, tail: &Tail, pending: &[(i64, Producer)], producer_id: i64) -> Producer {
        match pending.iter().find(|(id, _)| *id == producer_id) {
            Some((_, producer)) => producer.clone(),
            None => tail.producer(&self.committed, producer_id),
        }
    }

    fn prepare_log_start(
        &self,
        tail: &Tail,
        command: SetLogStart,
    ) -> Result<(Prepared<Output>, Option<Pending>), Refusal> {
        if !self.config.cleanup_policy.is_delete() {
            return Err(Refusal::DeletionNotAllowed);
        }
        let high_watermark = self.committed.high_watermark;
        let offset = command.offset.unwrap_or(high_watermark);
        if offset < Offset(0) || offset > high_watermark {
            return Err(Refusal::OffsetOutOfRange {
                found: offset,
                log_start: self.committed.log_start,
                high_watermark,
            });
        }
        if offset <= self.committed.log_start {
            let output = Output::LogStart(self.committed.log_start);
            return Ok((Prepared::Done(output), None));
        }
        if offset <= tail.log_start
            && let Some((index, log_start)) = tail.in_flight_log_start(offset)
        {
            let output = Output::LogStart(log_start);
            return Ok((Prepared::After { index, output }, None));
        }
        let header = EntryHeader {
            kind: EntryKind::LogStart,
            base_offset: offset,
            offsets: 0,
            max_timestamp_ms: -1,
        };
        let prepared = Prepared::Entry {
            context: header.encode(),
            data: Bytes::new(),
            output: Output::LogStart(offset),
        };
        Ok((prepared, Some(Pending::LogStart(offset))))
    }

    fn grow(&mut self, part: &Part, changed: Vec<(i64, Producer)>) {
        let Some(Pending::Batches {
            header,
            producers,
            bytes,
            ..
        }) = &mut self.pending
        else {
            return;
        };
        *header = part.header;
        *bytes += part.data.len();
        for (id, producer) in changed {
            match producers.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => *known = producer,
                None => producers.push((id, producer)),
            }
        }
    }

    /// Drops what was not committed, and shows the view who leads.
    fn stand(&mut self, term: u64, role: Role, tail: Option<Tail>) {
        self.pending = None;
        self.tail = tail;
        let epochs = match &self.tail {
            Some(tail) => &tail.epochs,
            None => &self.committed.epochs,
        };
        self.view.publish_epochs(epochs);
        let log_end = self.tail.as_ref().map(|tail| tail.log_end);
        self.view.publish(|positions| {
            positions.role = role;
            positions.term = term;
            // A deposed leader's log still holds its tail; storage says when raft has cut it.
            positions.log_end = log_end.unwrap_or(positions.log_end);
        });
    }

    fn publish_committed(&self) {
        let log_end = self.tail.as_ref().map(|tail| tail.log_end);
        self.view.publish(|positions| {
            positions.log_start = self.committed.log_start;
            positions.last_stable = self.committed.last_stable();
            positions.high_watermark = self.committed.high_watermark;
            positions.log_end = log_end
                .unwrap_or(positions.log_end)
                .max(self.committed.high_watermark);
        });
    }
}

/// An append whose batches are fit to be appended behind `header.base_offset`.
struct Checked {
    header: EntryHeader,
    batches: Vec<Tracked>,
}

/// What an append adds to an entry, and the header of the whole.
struct Part {
    header: EntryHeader,
    data: Bytes,
    output: Output,
}

impl StateMachine for Partition {
    type Command = Command;
    type Output = Output;
    type Refusal = Refusal;
    type Fault = Fault;

    fn prepare(&mut self, term: u64, command: Command) -> Result<Prepared<Output>, Refusal> {
        self.pending = None;
        if leader_epoch_of(term).is_none() {
            return Err(Refusal::TermTooLarge { term });
        }
        let tail = self
            .tail
            .as_ref()
            .filter(|tail| tail.term == term)
            .ok_or(Refusal::NotLeader { term })?;
        let (prepared, pending) = match command {
            Command::Append(append) => self.prepare_append(tail, append),
            Command::SetLogStart(command) => self.prepare_log_start(tail, command),
        }?;
        self.pending = pending;
        Ok(prepared)
    }

    fn may_grow(&self) -> bool {
        matches!(self.pending, Some(Pending::Batches { may_grow: true, .. }))
    }

    fn join(&mut self, term: u64, command: Command) -> Joined<Command, Output, Refusal> {
        let Some(tail) = self.tail.as_ref().filter(|tail| tail.term == term) else {
            return Joined::Apart(command);
        };
        let mut append = match command {
            Command::Append(append) => append,
            command => return Joined::Apart(command),
        };
        match self.join_append(tail, &mut append) {
            None => Joined::Apart(Command::Append(append)),
            Some(Err(refusal)) => Joined::Refused(refusal),
            Some(Ok((part, changed))) => {
                self.grow(&part, changed);
                Joined::Part {
                    context: part.header.encode(),
                    data: part.data,
                    output: part.output,
                }
            }
        }
    }

    fn proposed(&mut self, term: u64, index: u64) {
        let (Some(tail), Some(pending)) = (&mut self.tail, self.pending.take()) else {
            debug_assert!(false, "an entry at {index} was proposed, but none prepared");
            return;
        };
        debug_assert_eq!(tail.term, term);
        tail.adopt(index, pending);
        let log_end = tail.log_end;
        self.view.publish(|positions| positions.log_end = log_end);
    }

    fn lead(&mut self, term: u64, unapplied: &[Entry]) {
        // A log that cannot be read is a fault once it is applied; until then this leader accepts nothing.
        let tail = leader_epoch_of(term)
            .and_then(|epoch| Tail::new(term, epoch, &self.committed, unapplied).ok());
        self.stand(term, Role::Leader, tail);
    }

    fn follow(&mut self, term: u64, leader: PeerId) {
        let role = match leader {
            0 => Role::Leaderless,
            leader => Role::Follower { leader },
        };
        self.stand(term, role, None);
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), Fault> {
        let changes = self.committed.apply(entry)?;
        if let Some(tail) = &mut self.tail {
            tail.applied(entry.index, &changes.producer_ids, &self.committed);
            if changes.is_new_log_start {
                tail.epochs.truncate_from_start(self.committed.log_start);
                self.view.publish_epochs(&tail.epochs);
            }
        } else if changes.is_new_epoch || changes.is_new_log_start {
            self.view.publish_epochs(&self.committed.epochs);
        }
        if changes.is_new_log_start {
            self.view.publish_aborted(&self.committed.aborted);
        }
        // Before the last stable offset moves: who reads up to it must see what was aborted below.
        for aborted in changes.aborted {
            self.view.publish_abort(aborted);
        }
        self.publish_committed();
        Ok(())
    }

    /// Where the log ends on this replica, storage tells the view ([`PartitionView::set_log_end`]): it knows the offset.
    fn persisted(&mut self, _index: u64) {}

    fn snapshot(&mut self) -> Result<Bytes, Fault> {
        Ok(self.committed.encode())
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.committed = Committed::decode(&snapshot.data)?;
        self.tail = None;
        self.pending = None;
        self.idle = IdleProducers::default();
        self.view.publish_epochs(&self.committed.epochs);
        self.view.publish_aborted(&self.committed.aborted);
        // The log starts anew behind the snapshot.
        let high_watermark = self.committed.high_watermark;
        self.view.publish(|positions| {
            positions.log_start = self.committed.log_start;
            positions.last_stable = self.committed.last_stable();
            positions.high_watermark = high_watermark;
            positions.log_end = high_watermark;
        });
        Ok(())
    }
}
