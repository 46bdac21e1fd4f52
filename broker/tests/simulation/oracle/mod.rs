//! What must hold, whatever happens. The oracle sees every entry that any replica applies, every leader, every vote, every
//! answer to a client and every batch that a reader gets; it never looks into the code under test.

mod history;
mod reading;

use crate::machine::Seen;
use bytes::Bytes;
use history::History;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::storage::entry::{EntryHeader, EntryKind};
use millrace_wire::{Batch as WireBatch, BatchHeader};
use raft::eraftpb::{Entry, Message, MessageType};
use std::collections::BTreeMap;

pub use reading::Got;

/// Something that must not happen.
#[derive(Debug)]
pub struct Violation(pub String);

pub type Checked<T = ()> = Result<T, Violation>;

pub fn violated<T>(what: impl Into<String>) -> Checked<T> {
    Err(Violation(what.into()))
}

/// A committed batch, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub header: BatchHeader,
    /// The batch's own checksum, which covers all but offset and leader epoch.
    pub crc: u32,
}

#[derive(Default)]
pub struct Truth {
    /// Term and checksum of each committed entry that the state machines saw, by index.
    entries: BTreeMap<u64, (u64, u32)>,
    pub batches: BTreeMap<i64, Batch>,
    pub next_offset: i64,
    pub log_start: i64,
    leaders: BTreeMap<u64, PeerId>,
    votes: BTreeMap<(PeerId, u64), PeerId>,
    /// The epoch of each producer, and the sequence that it continues with.
    sequences: BTreeMap<i64, (i16, i32)>,
    pub history: History,
    /// Acknowledged with acks=1 by the latest leader: base offset and checksum.
    acked_by_leader: BTreeMap<i64, u32>,
}

impl Truth {
    pub fn last_applied(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(index, _)| *index)
    }
}

pub struct Oracle {
    groups: BTreeMap<GroupId, Truth>,
    /// Partitions with log compaction, and how long tombstones stay there.
    pub compacted: BTreeMap<GroupId, i64>,
}

/// Each batch of an entry: its header and its checksum as stored in it.
fn batches(data: &Bytes) -> Checked<Vec<(WireBatch, u32)>> {
    let mut rest = data.clone();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let Ok(header) = BatchHeader::decode(&rest) else {
            return violated("an entry holds something else than batches");
        };
        let batch = rest.split_to(header.size_bytes);
        let crc = checksum(&batch)?;
        let Ok(batch) = WireBatch::decode(batch) else {
            return violated("an entry holds something else than batches");
        };
        found.push((batch, crc));
    }
    Ok(found)
}

/// The checksum stored in a batch, after checking it.
pub fn checksum(batch: &[u8]) -> Checked<u32> {
    let stored = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
    if crc32c::crc32c(&batch[21..]) != stored {
        return violated("a batch is damaged and nobody noticed");
    }
    Ok(stored)
}

impl Oracle {
    pub fn new(groups: impl Iterator<Item = GroupId>, compacted: BTreeMap<GroupId, i64>) -> Oracle {
        Oracle {
            groups: groups.map(|group| (group, Truth::default())).collect(),
            compacted,
        }
    }

    pub fn truth(&self, group: GroupId) -> &Truth {
        &self.groups[&group]
    }

    fn truth_mut(&mut self, group: GroupId) -> &mut Truth {
        self.groups.get_mut(&group).expect("the group was created")
    }

    pub fn saw(&mut self, seen: Seen) -> Checked {
        match seen {
            Seen::Applied { group, peer, entry } => self.applied(group, peer, &entry),
            Seen::Leads {
                group,
                peer,
                term,
                unapplied,
            } => self.leads(group, peer, term, &unapplied),
        }
    }

    fn applied(&mut self, group: GroupId, peer: PeerId, entry: &Entry) -> Checked {
        let truth = self.truth_mut(group);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&entry.context), &entry.data);
        if let Some(known) = truth.entries.get(&entry.index) {
            if *known != (entry.term, crc) {
                return violated(format!(
                    "peer {peer} of group {group} applied another entry {} (term {}, was {})",
                    entry.index, entry.term, known.0
                ));
            }
            return Ok(());
        }
        if entry.index < truth.last_applied() {
            return violated(format!(
                "peer {peer} of group {group} applied entry {}, which nobody had applied before a later one",
                entry.index
            ));
        }
        truth.entries.insert(entry.index, (entry.term, crc));
        let header = EntryHeader::decode(&entry.context);
        match header.map_err(|error| Violation(error.to_string()))? {
            None => Ok(()),
            Some(header) if header.kind == EntryKind::LogStart => {
                truth.log_start = truth.log_start.max(header.base_offset.0);
                Ok(())
            }
            Some(_) => truth.commit(group, entry),
        }
    }

    fn leads(&mut self, group: GroupId, peer: PeerId, term: u64, unapplied: &[Entry]) -> Checked {
        let truth = self.truth_mut(group);
        let before = truth.leaders.last_key_value().map(|(_, peer)| *peer);
        if let Some(other) = truth.leaders.insert(term, peer)
            && other != peer
        {
            return violated(format!(
                "peers {other} and {peer} lead group {group} in term {term}"
            ));
        }
        if before != Some(peer) {
            truth.acked_by_leader.clear();
        }
        let mut tail = BTreeMap::new();
        for entry in unapplied.iter().filter(|entry| !entry.context.is_empty()) {
            for (batch, crc) in batches(&entry.data)? {
                tail.insert(batch.header().base_offset, crc);
            }
        }
        for (base, crc) in &truth.acked_by_leader {
            let held = truth.batches.get(base).map(|batch| batch.crc);
            if held.or(tail.get(base).copied()) != Some(*crc) {
                return violated(format!(
                    "peer {peer} leads group {group} again and lost offset {base}, which it acknowledged"
                ));
            }
        }
        Ok(())
    }

    /// A message leaves a replica: votes are cast here.
    pub fn sent(&mut self, group: GroupId, message: &Message) -> Checked {
        let candidate = match message.get_msg_type() {
            MessageType::MsgRequestVoteResponse if !message.reject => message.to,
            MessageType::MsgRequestVote => message.from,
            _ => return Ok(()),
        };
        let (voter, term) = (message.from, message.term);
        let votes = &mut self.truth_mut(group).votes;
        match votes.insert((voter, term), candidate) {
            Some(other) if other != candidate => violated(format!(
                "peer {voter} of group {group} voted for {other} and for {candidate} in term {term}"
            )),
            _ => Ok(()),
        }
    }

    /// acks=all: the batch is committed, where the answer says.
    pub fn acknowledged(&mut self, group: GroupId, base: i64, crc: u32) -> Checked {
        match self.truth(group).batches.get(&base) {
            Some(batch) if batch.crc == crc => Ok(()),
            other => violated(format!(
                "group {group} acknowledged offset {base}, where {other:?} is committed"
            )),
        }
    }

    /// A replica compacted its log up to `to`, or may have.
    pub fn compacted(&mut self, group: GroupId, to: i64, now_ms: i64) {
        self.truth_mut(group).history.compacted(to, now_ms);
    }

    /// acks=1, in `term`.
    pub fn acknowledged_by_leader(&mut self, group: GroupId, peer: PeerId, base: i64, crc: u32) {
        let truth = self.truth_mut(group);
        if truth.leaders.last_key_value().map(|(_, peer)| *peer) == Some(peer) {
            truth.acked_by_leader.insert(base, crc);
        }
    }
}

impl Truth {
    fn commit(&mut self, group: GroupId, entry: &Entry) -> Checked {
        for (batch, crc) in batches(&entry.data)? {
            let header = *batch.header();
            let (base, next) = (header.base_offset, header.next_offset());
            if base != self.next_offset {
                return violated(format!(
                    "group {group}: a batch at {base} follows offset {}",
                    self.next_offset
                ));
            }
            self.next_offset = next;
            // A group's first leader has term 2, and epoch 0.
            if header.leader_epoch < 0 || header.leader_epoch as u64 + 2 != entry.term {
                return violated(format!(
                    "group {group}: the batch at {base} has leader epoch {}, its entry term {}",
                    header.leader_epoch, entry.term
                ));
            }
            if header.has_producer_id() {
                self.continues(group, &header)?;
            }
            self.history.commit(&batch)?;
            self.batches.insert(base, Batch { header, crc });
        }
        Ok(())
    }

    /// Each batch of a producer is there once, in its order.
    fn continues(&mut self, group: GroupId, header: &BatchHeader) -> Checked {
        let (id, base) = (header.producer_id, header.base_offset);
        let (epoch, sequence) = self
            .sequences
            .entry(id)
            .or_insert((header.producer_epoch, 0));
        if header.producer_epoch < *epoch {
            return violated(format!(
                "group {group}: producer {id} has epoch {} at offset {base} after {epoch}",
                header.producer_epoch
            ));
        }
        if header.producer_epoch > *epoch {
            (*epoch, *sequence) = (header.producer_epoch, 0);
        }
        if header.attributes.is_control() {
            return Ok(());
        }
        if *sequence != header.base_sequence {
            return violated(format!(
                "group {group}: producer {id} has sequence {} at offset {base}, expected {sequence}",
                header.base_sequence
            ));
        }
        *sequence += header.record_count as i32;
        Ok(())
    }
}
