//! What others may know of a group.

use std::sync::Arc;

use raft::eraftpb::ConfState;

use super::ports::PeerId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    /// Also a learner: see `Status::membership`.
    Follower,
    Candidate,
    Offline(Arc<str>),
}

/// How far a leader knows another replica, or itself, to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub peer: PeerId,
    pub is_voter: bool,
    /// Persisted on that replica.
    pub matched: u64,
    /// Heard from since the last check of the quorum, or itself.
    pub is_active: bool,
    /// A snapshot is on its way there, and nothing else.
    pub awaits_snapshot: bool,
}

#[derive(Clone, Debug)]
pub struct Status {
    pub peer: PeerId,
    pub role: Role,
    pub term: u64,
    /// 0 when unknown.
    pub leader: PeerId,
    // applied <= commit <= last_index, applied <= persisted <= last_index
    pub commit: u64,
    pub applied: u64,
    pub persisted: u64,
    pub last_index: u64,
    pub membership: ConfState,
    /// By peer; empty unless this replica leads.
    pub progress: Vec<Progress>,
}
