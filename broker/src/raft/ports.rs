//! What the raft runtime needs of the world: a log, a state machine, a network and the passage of time.
//!
//! **Invariant:** nothing here or beside it names Kafka, RocksDB or a socket. Time comes in as [`super::worker::Worker::tick`]
//! calls, randomness only inside crate `raft` (its election time-outs).

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Message, Snapshot};
use serde::{Deserialize, Serialize};

/// A raft group: one partition, or the metadata of the cluster. Never reused after deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

impl std::fmt::Display for GroupId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A replica incarnation, allocated by the metadata group; never a broker id, never zero, never reused.
pub type PeerId = u64;

/// The term that a new group with voters starts in, with nobody leading yet. Whoever is elected first raises it, so no leader
/// has a lower term than the one after it.
pub const FOUNDING_TERM: u64 = 1;

/// What one group wants on disk, in the order in which it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// Appended in order; an entry whose index is not above the group's last replaces that index and all above it.
    pub entries: Vec<Entry>,
    /// Set when term or vote changed. A commit index alone need not be durable.
    pub hard_state: Option<HardState>,
    /// Set when a snapshot was installed: the log starts anew behind it.
    pub snapshot: Option<Snapshot>,
}

/// The log of one group, as crate `raft` reads it, plus what the runtime tells it.
///
/// `first_index` never moves above the applied index plus one, and a log that has a membership starts behind an index and a term
/// above 0 (one, say): else a replica that joins later is sent all entries from the first on, and never learns who the first
/// voters were.
///
/// Staged entries are readable at once (`raft` demands it before `advance_append_async`) and durable only once the batch that
/// carries them is reported by [`super::worker::Worker::persisted`].
pub trait GroupLog: raft::Storage {
    /// Makes `write` visible to readers of this log: its snapshot (from which the membership is taken, too), then its entries,
    /// then its hard state. Called before the same write is submitted, perhaps as a part of a longer one.
    fn stage(&mut self, write: &Write);
    /// Remembers the newest hard state without asking for a sync: only its commit index moved.
    fn note_commit(&mut self, hard_state: &HardState);
    /// The membership as of the change that was applied at `index`. Both must be durable before the log is next opened with
    /// an applied index at or above `index`: `raft` gets `conf_state` back from `initial_state`, the worker gets `index` back
    /// as `GroupConfig::membership_index`, and changes up to there are not applied a second time.
    fn set_conf_state(&mut self, index: u64, conf_state: &ConfState);
    /// `raft::Storage::snapshot` was asked for one that is not there; the runtime then asks the state machine.
    fn take_snapshot_request(&mut self) -> Option<u64>;
    /// The answer to that; `raft` will find it at its next try.
    fn offer_snapshot(&mut self, snapshot: Snapshot);
}

/// The log shared by many groups. One batch at a time becomes durable, in the order of submission.
pub trait LogStore {
    type Log: GroupLog;
    /// Queues a batch, which holds at most one write of a group. Its end is reported to the worker as
    /// `persisted(token, result)`, in the order of submission.
    fn submit(&mut self, token: u64, writes: Vec<(GroupId, Write)>);
}

/// Sends messages to other brokers. Losing them is allowed, blocking is not.
///
/// The fate of a `MsgSnapshot` must come back as `report_snapshot`, delivered or not: until then `raft` sends nothing else to
/// that replica. A replica that cannot be reached should come back as `report_unreachable`.
pub trait Transport {
    fn send(&mut self, group: GroupId, messages: Vec<Message>);
    /// The worker has done all that was to be done: what was gathered leaves now.
    fn flush(&mut self) {}
}

/// What became of a command that might be part of the entry that is being made.
pub enum Joined<C, O, R> {
    /// It is part of it: this replaces the entry's context, and `data` is added to its data.
    Part {
        context: Bytes,
        data: Bytes,
        output: O,
    },
    /// It needs an entry of its own, or none: to be prepared when the one being made is proposed.
    Apart(C),
    Refused(R),
}

/// What a leader makes of a command before it becomes an entry.
pub enum Prepared<O> {
    /// Propose this entry; `output` is the answer once it is acknowledged.
    Entry {
        context: Bytes,
        data: Bytes,
        output: O,
    },
    /// Nothing to propose: the answer depends on an entry already in the log (a duplicate of it), and waits for that one.
    After { index: u64, output: O },
    /// Nothing to propose: the answer is ready.
    Done(O),
}

/// The replicated state of one group. All calls come from the worker that owns the group, in order.
pub trait StateMachine {
    type Command;
    type Output;
    type Refusal;
    /// A fault at or below apply: this replica can no longer be trusted and goes offline.
    type Fault: std::fmt::Display;

    /// Leader only: decides what `command` becomes, against the state *including* proposals not yet committed.
    fn prepare(
        &mut self,
        term: u64,
        command: Self::Command,
    ) -> Result<Prepared<Self::Output>, Self::Refusal>;
    /// Whether the entry that was prepared last may grow before it is proposed.
    fn may_grow(&self) -> bool {
        false
    }
    /// Leader only: makes `command` part of the entry that was prepared last and is not yet proposed, if it can be. What it
    /// costs to replicate, write and apply an entry is then shared.
    fn join(
        &mut self,
        term: u64,
        command: Self::Command,
    ) -> Joined<Self::Command, Self::Output, Self::Refusal> {
        let _ = term;
        Joined::Apart(command)
    }
    /// The entry of the last `prepare`, with all that joined it, was accepted by raft at `index`. When raft dropped it, this
    /// is not called, and neither `prepare` nor `join` must have changed anything.
    fn proposed(&mut self, term: u64, index: u64);
    /// This replica leads from now on; `unapplied` are the entries of its log above the last applied one.
    fn lead(&mut self, term: u64, unapplied: &[Entry]);
    /// This replica follows (or has no leader: `leader` 0).
    fn follow(&mut self, term: u64, leader: PeerId);
    /// A committed entry that this replica has persisted.
    fn apply(&mut self, entry: &Entry) -> Result<(), Self::Fault>;
    /// Entries up to `index` are persisted on this replica (they may yet be overwritten).
    fn persisted(&mut self, index: u64);
    /// The state as of the last applied entry, small: it names bulk data, it does not hold it.
    fn snapshot(&mut self) -> Result<Bytes, Self::Fault>;
    /// The replica's state is `data` as of the snapshot's index; its bulk data is already there.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Self::Fault>;
}

/// When a proposal is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// As soon as it is proposed (acks=0: nobody listens).
    Proposed,
    /// When this replica has persisted it (acks=1).
    Persisted,
    /// When it is committed, applied, and at least `voters` voters have persisted it (acks=all, `min.insync.replicas`).
    Committed { voters: usize },
}
