//! A group's log as crate `raft` and the worker see it.

use super::GroupLog;
use super::slots::Held;
use crate::raft::ports::{self, Write};
use crate::storage::log::{self, Located};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, StorageError};

impl GroupLog {
    /// Entries `low..high` as far as they fit, each in memory or where to read it.
    fn lookup(&self, low: u64, high: u64, max_bytes: u64) -> raft::Result<Vec<(u64, Held)>> {
        let slots = &self.lock().slots;
        if low <= slots.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > slots.last_index() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let mut size = 0;
        let mut found = Vec::with_capacity((high - low) as usize);
        for index in low..high {
            size += slots.bytes(index);
            if !found.is_empty() && size > max_bytes {
                break;
            }
            let held = slots
                .held(index)
                .expect("an entry of the log is in memory until it is located");
            found.push((index, held));
        }
        Ok(found)
    }

    fn read_held(&self, index: u64, held: Held, may_be_gone: bool) -> raft::Result<Entry> {
        let located = match held {
            Held::InMemory(entry) => return Ok(entry),
            Held::OnDisk(located) => located,
        };
        self.read_entry(index, located).map_err(|error| {
            tracing::error!(group = %self.id(), index, %error, "cannot read an entry");
            // Sealed and recycled since it was looked up, it is tried again, or a snapshot is sent. Anything else takes
            // this replica offline: a leader that cannot read its log would starve its followers for ever.
            let is_gone = matches!(error, log::Error::Gone { .. });
            raft::Error::Store(match is_gone && may_be_gone {
                true => StorageError::LogTemporarilyUnavailable,
                false => StorageError::Other(Box::new(error)),
            })
        })
    }

    /// Everything above the truncation, in order.
    pub(in crate::storage) fn tail_entries(&self) -> Result<Vec<Entry>, log::Error> {
        let held: Vec<(u64, Held)> = {
            let slots = &self.lock().slots;
            let indexes = slots.truncated_index + 1..=slots.last_index();
            let hold = |index| {
                let held = slots.held(index);
                (
                    index,
                    held.expect("an entry of the log is in memory until it is located"),
                )
            };
            indexes.map(hold).collect()
        };
        let read = |(index, held)| match held {
            Held::InMemory(entry) => Ok(entry),
            Held::OnDisk(located) => self.read_entry(index, located),
        };
        held.into_iter().map(read).collect()
    }

    pub(super) fn read_entry(&self, index: u64, located: Located) -> Result<Entry, log::Error> {
        self.shared
            .reader
            .get()
            .expect("the log is open before anybody reads")
            .read(located, self.id(), index)
    }
}

impl raft::Storage for GroupLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let inner = self.lock();
        Ok(RaftState {
            hard_state: inner.hard_state.clone(),
            conf_state: inner.conf_state.clone(),
        })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let found = self.lookup(low, high, max_size.into().unwrap_or(u64::MAX))?;
        found
            .into_iter()
            .map(|(index, held)| self.read_held(index, held, context.can_async()))
            .collect()
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let slots = &self.lock().slots;
        if index < slots.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        slots
            .term_of(index)
            .ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(GroupLog::first_index(self))
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(GroupLog::last_index(self))
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let mut inner = self.lock();
        let needed = request_index.max(inner.slots.truncated_index);
        match inner.snapshot.take() {
            Some(snapshot) if snapshot.get_metadata().index >= needed => Ok(snapshot),
            _ => {
                inner.snapshot_wanted = Some(needed);
                Err(raft::Error::Store(
                    StorageError::SnapshotTemporarilyUnavailable,
                ))
            }
        }
    }
}

impl ports::GroupLog for GroupLog {
    fn stage(&mut self, write: &Write) {
        let mut inner = self.lock();
        if let Some(hard_state) = &write.hard_state {
            inner.hard_state = hard_state.clone();
        }
        if let Some(snapshot) = &write.snapshot {
            inner.slots.reset(snapshot);
            inner.conf_state = snapshot.get_metadata().get_conf_state().clone();
        }
        if let Some(first) = write.entries.first() {
            inner.slots.cut_from(first.index);
        }
        for entry in &write.entries {
            // The leader made these entries dense; a peer's are checked before they are stepped.
            if let Err(reason) = inner.slots.push(entry) {
                debug_assert!(false, "{reason}");
                tracing::error!(group = %self.id(), %reason, "staged entry does not fit the log");
            }
        }
        self.publish(&inner.slots);
    }

    fn note_commit(&mut self, hard_state: &HardState) {
        self.lock().hard_state = hard_state.clone();
    }

    fn set_conf_state(&mut self, _index: u64, conf_state: &ConfState) {
        // Durable with the next checkpoint, which moves the applied index that the log is opened with, too.
        self.lock().conf_state = conf_state.clone();
    }

    fn take_snapshot_request(&mut self) -> Option<u64> {
        self.lock().snapshot_wanted.take()
    }

    fn offer_snapshot(&mut self, snapshot: Snapshot) {
        self.lock().snapshot = Some(snapshot);
    }
}
