//! What a step of the rules comes to: records to append, and answers to those who wait.

use super::Name;
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::group_records::GroupRecord;

/// Someone who waits for an answer. Given out by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

#[derive(Debug, Default)]
pub struct Effects {
    /// Appended together, before any of the answers is given.
    pub records: Vec<GroupRecord>,
    pub answers: Vec<(Ticket, Answer)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Join(Joined),
    Sync(Synced),
}

/// To JoinGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    pub error: Option<ErrorCode>,
    /// -1 where there is none.
    pub generation: i32,
    pub protocol_type: Option<Name>,
    pub protocol: Option<Name>,
    pub leader: Option<Name>,
    pub member_id: Name,
    /// The leader keeps the assignment as it is.
    pub skips_assignment: bool,
    /// For the leader: everybody.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: Name,
    pub instance_id: Option<Name>,
    pub metadata: Bytes,
}

impl Joined {
    pub fn failed(error: ErrorCode, member_id: Name) -> Joined {
        Joined {
            error: Some(error),
            generation: -1,
            member_id,
            ..Joined::default()
        }
    }
}

/// To SyncGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    pub error: Option<ErrorCode>,
    pub protocol_type: Option<Name>,
    pub protocol: Option<Name>,
    pub assignment: Bytes,
}

impl Synced {
    pub fn failed(error: ErrorCode) -> Synced {
        Synced {
            error: Some(error),
            ..Synced::default()
        }
    }
}

impl Effects {
    pub fn joined(&mut self, ticket: Ticket, answer: Joined) {
        self.answers.push((ticket, Answer::Join(answer)));
    }

    pub fn synced(&mut self, ticket: Ticket, answer: Synced) {
        self.answers.push((ticket, Answer::Sync(answer)));
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.answers.is_empty()
    }
}
