//! Between crate `raft` and a group's log: what would make `raft` panic becomes a fault of this one group.
//!
//! `raft` 0.7 panics on every storage error but these: `Compacted` and `LogTemporarilyUnavailable` from `entries` while an
//! append is built, `Compacted` and `Unavailable` from `term` where it can live without one, and
//! `SnapshotTemporarilyUnavailable` from `snapshot`. Any other error is remembered here, and `raft` is given an answer that it
//! survives: no entries, term 0, the index it saw last, no snapshot yet. **Invariant:** the group looks for a fault after each
//! call into `raft` and before anything leaves it, so nobody ever acts on such an answer.

use std::cell::{Cell, RefCell};

use raft::eraftpb::{Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::ports::GroupLog;

/// Why a group's log and its state machine cannot be opened together.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the log cannot be read: {0}")]
    Read(#[from] raft::Error),
    #[error("the state is as of index {applied}, but the log starts at {first} and ends at {last}")]
    Gap { applied: u64, first: u64, last: u64 },
    #[error("index {commit} is committed, but the log ends at {last}")]
    CommitMissing { commit: u64, last: u64 },
    #[error("the last entry has term {last_term}, but the hard state has term {term}")]
    TermMissing { term: u64, last_term: u64 },
    #[error("group {0} is already here")]
    Exists(super::ports::GroupId),
    #[error("peer id 0 is not a peer")]
    NoPeer,
    #[error("the worker is offline: {0}")]
    Offline(std::sync::Arc<str>),
}

pub(super) struct Guarded<L> {
    pub(super) log: L,
    start: RaftState,
    first: Cell<u64>,
    last: Cell<u64>,
    fault: RefCell<Option<String>>,
    wanted_snapshot: Cell<Option<u64>>,
}

impl<L: GroupLog> Guarded<L> {
    /// Checks all that `raft` would otherwise assert while it starts.
    pub(super) fn open(log: L, applied: u64, membership: u64) -> Result<Self, OpenError> {
        let mut start = log.initial_state()?;
        let (first, last) = (log.first_index()?, log.last_index()?);
        if applied + 1 < first || applied > last {
            return Err(OpenError::Gap {
                applied,
                first,
                last,
            });
        }
        let last_term = log.term(last)?;
        let hard_state = &mut start.hard_state;
        if *hard_state == HardState::default() {
            // A log that was just bootstrapped behind an index above 0: nobody ever voted in its term.
            hard_state.term = last_term;
        }
        // A commit index alone costs no sync, so the state machine or the membership may know of a later one: what was applied
        // was committed. Without it, a replica that was demoted by a change that it no longer knows to be committed neither
        // stands for election nor tells the others how far they may go.
        hard_state.commit = hard_state.commit.max(applied).max(membership);
        if hard_state.commit > last {
            return Err(OpenError::CommitMissing {
                commit: hard_state.commit,
                last,
            });
        }
        if hard_state.term < last_term {
            return Err(OpenError::TermMissing {
                term: hard_state.term,
                last_term,
            });
        }
        Ok(Guarded {
            log,
            start,
            first: Cell::new(first),
            last: Cell::new(last),
            fault: RefCell::new(None),
            wanted_snapshot: Cell::new(None),
        })
    }

    /// The index that a snapshot must have at least, if one is to be made.
    pub(super) fn take_snapshot_request(&mut self) -> Option<u64> {
        let wanted = self.wanted_snapshot.take();
        self.log.take_snapshot_request().or(wanted)
    }

    /// What the log failed at since the group was opened.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    pub(super) fn is_sound(&self) -> bool {
        self.fault.borrow().is_none()
    }

    fn remember(&self, doing: std::fmt::Arguments<'_>, error: &dyn std::fmt::Display) {
        let mut fault = self.fault.borrow_mut();
        if fault.is_none() {
            *fault = Some(format!("{doing}: {error}"));
        }
    }
}

impl<L: GroupLog> Storage for Guarded<L> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.start.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        // Only while an append is built: there `raft` sends a snapshot instead, or tries again.
        let may_be_missing = context.can_async();
        match self.log.entries(low, high, max_size, context) {
            Ok(entries) if entries.first().map(|entry| entry.index) == Some(low) => Ok(entries),
            Ok(_) if low >= high => Ok(Vec::new()),
            // `raft` would ask for them for ever.
            Ok(_) => {
                self.remember(
                    format_args!("read entries {low} to {high}"),
                    &"the first is missing",
                );
                Ok(Vec::new())
            }
            Err(
                error @ raft::Error::Store(
                    StorageError::Compacted | StorageError::LogTemporarilyUnavailable,
                ),
            ) if may_be_missing => Err(error),
            Err(error) => {
                self.remember(format_args!("read entries {low} to {high}"), &error);
                Ok(Vec::new())
            }
        }
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.log.term(index) {
            Ok(term) => Ok(term),
            Err(
                error @ raft::Error::Store(StorageError::Compacted | StorageError::Unavailable),
            ) if index + 1 < self.first_index()? || index > self.last_index()? => Err(error),
            Err(error) => {
                self.remember(format_args!("read the term of entry {index}"), &error);
                Ok(0)
            }
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        match self.log.first_index() {
            Ok(first) => self.first.set(first),
            Err(error) => self.remember(format_args!("read the first index"), &error),
        }
        Ok(self.first.get())
    }

    fn last_index(&self) -> raft::Result<u64> {
        match self.log.last_index() {
            Ok(last) => self.last.set(last),
            Err(error) => self.remember(format_args!("read the last index"), &error),
        }
        Ok(self.last.get())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let not_yet = raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        match self.log.snapshot(request_index, to) {
            Ok(snapshot) if snapshot.is_empty() => {
                self.remember(format_args!("read a snapshot"), &"it is empty");
                Err(not_yet)
            }
            // A replica ignores a snapshot of a time when it was no member, and one that ends before the log starts would have
            // to be followed by another: `raft` sends either again and again.
            Ok(snapshot) if !is_useful(&snapshot, request_index, self.first_index()?, to) => {
                self.wanted_snapshot.set(Some(request_index));
                Err(not_yet)
            }
            Ok(snapshot) => Ok(snapshot),
            Err(error) if error == not_yet => Err(error),
            Err(error) => {
                self.remember(format_args!("read a snapshot"), &error);
                Err(not_yet)
            }
        }
    }
}

fn is_useful(snapshot: &Snapshot, wanted: u64, first: u64, to: u64) -> bool {
    let metadata = snapshot.get_metadata();
    let members = metadata.get_conf_state();
    let is_member = [&members.voters, &members.learners, &members.voters_outgoing]
        .iter()
        .any(|peers| peers.contains(&to));
    is_member && metadata.index >= wanted && metadata.index + 1 >= first
}
