//! What a shard holds of one group.

use super::LOCK;
use crate::raft::ports::{FOUNDING_TERM, PeerId};
use crate::storage::families::Family;
use crate::storage::group_log::GroupLog;
use crate::storage::ids::Offset;
use crate::storage::log::{Located, Position, Record};
use crate::storage::rows::{GroupRow, Run};
use bytes::Bytes;
use raft::eraftpb::{ConfState, HardState};
use std::sync::Mutex;

/// What the shard holds of one group.
pub struct Group {
    pub(in crate::storage) log: GroupLog,
    pub(in crate::storage) sealed: Mutex<Sealed>,
}

/// The part of a group that lies in the families.
pub(in crate::storage) struct Sealed {
    /// As last written.
    pub row: GroupRow,
    /// Oldest first. `run.next <= next run's base`
    pub runs: Vec<Run>,
    /// Whether what a crash may have left behind the last run was looked for since the shard was opened.
    pub swept: bool,
    /// Families in which damage hides what a crash may have left: nothing of this group may be added there.
    pub avoided: Vec<Family>,
    /// Set by deletion: nothing may be written any more.
    pub deleted: bool,
    /// Another directory takes it over as it is: rows and runs stay as they are.
    pub held: bool,
}

/// Where a group starts from after [`Shard::open`] or [`Shard::create`].
pub struct Start {
    pub log: GroupLog,
    pub applied: u64,
    /// The state machine's own bytes as of `applied`; empty for a new group.
    pub machine: Bytes,
}

impl Sealed {
    /// The offset behind the last run. Runs that were imported may reach beyond where the log begins.
    pub(in crate::storage) fn sealed_to(&self) -> Offset {
        self.runs.last().map_or(Offset(0), |run| run.next)
    }
}

impl Group {
    pub(in crate::storage) fn new(
        log: GroupLog,
        row: GroupRow,
        runs: Vec<Run>,
        swept: bool,
    ) -> Group {
        Group {
            log,
            sealed: Mutex::new(Sealed {
                row,
                runs,
                swept,
                avoided: Vec::new(),
                deleted: false,
                held: false,
            }),
        }
    }

    /// The oldest position of the shared log that this group still needs.
    pub(in crate::storage) fn oldest_needed(&self) -> Option<Position> {
        self.log.oldest_needed(&self.sealed.lock().expect(LOCK).row)
    }

    pub(super) fn replay(&self, located: Located, record: Record) -> Result<(), String> {
        let sealed = self.sealed.lock().expect(LOCK);
        match record {
            Record::Entry { entry, .. } if located.position >= sealed.row.entries_from => {
                self.log.replay_entry(entry, located)
            }
            Record::HardState { state, .. } if located.position >= sealed.row.hard_state_from => {
                self.log.replay_hard_state(state, located.position);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A group of `voters` starts behind an entry that nobody has: whoever joins later needs a snapshot, and with it the
/// membership. A group without voters has nothing.
pub(super) fn first_row(voters: &[PeerId], position: Position) -> GroupRow {
    let (start, term) = match voters {
        [] => (0, 0),
        _ => (1, FOUNDING_TERM),
    };
    GroupRow {
        hard_state: HardState {
            term,
            vote: 0,
            commit: start,
            ..HardState::default()
        },
        hard_state_from: position,
        truncated_index: start,
        truncated_term: term,
        next_offset: Offset(0),
        entries_from: position,
        conf_state: ConfState {
            voters: voters.to_vec(),
            ..ConfState::default()
        },
        generation: 0,
        cleaned_to: Offset(0),
        applied: start,
        machine: Bytes::new(),
    }
}
