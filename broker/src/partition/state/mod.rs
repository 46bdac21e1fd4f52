//! A partition's replicated state machine.
//!
//! [`Committed`] is what all replicas agree on; a leader adds a [`Tail`] of what it has proposed since. `prepare` decides
//! against both and changes neither: its outcome waits in `pending` until raft says at which index it went into the log.
//!
//! Read on: `prepare.rs` makes entries of commands, `joining.rs` one entry of several appends.

mod joining;
mod prepare;

use super::cleaner::LastOfProducer;
use super::command::{Command, Output, Refusal};
use super::committed::{Committed, Fault};
use super::config::TopicConfig;
use super::epochs::leader_epoch_of;
use super::producer::Producer;
use super::producers::IdleProducers;
use super::shared::{PartitionView, Positions, Role};
use super::tail::{Pending, Tail};
use crate::raft::ports::{Joined, PeerId, Prepared, StateMachine};
use bytes::Bytes;
use raft::eraftpb::{Entry, Snapshot};

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
                is_current: false,
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
            positions.is_current = false;
            // A deposed leader's log still holds its tail; storage says when raft has cut it.
            positions.log_end = log_end.unwrap_or(positions.log_end);
        });
    }

    /// After an entry of this term was applied.
    fn publish_committed(&self, term: u64) {
        let log_end = self.tail.as_ref().map(|tail| tail.log_end);
        // The first entry of a leader's own term is committed: so is everything before it.
        let is_of_leader = self.tail.as_ref().is_some_and(|tail| tail.term == term);
        self.view.publish(|positions| {
            positions.is_current |= is_of_leader;
            positions.log_start = self.committed.log_start;
            positions.last_stable = self.committed.last_stable();
            positions.high_watermark = self.committed.high_watermark;
            positions.log_end = log_end
                .unwrap_or(positions.log_end)
                .max(self.committed.high_watermark);
        });
    }
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
        self.publish_committed(entry.term);
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
