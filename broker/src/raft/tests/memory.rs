//! A disk in memory: what is staged is visible, what `sync_one` reached survives a crash.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::raft::ports::{GroupId, GroupLog, LogStore, Write};

/// A log, starting behind `base`.
#[derive(Clone, Default)]
pub(super) struct Image {
    pub(super) base: u64,
    pub(super) base_term: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) hard_state: HardState,
    pub(super) membership: (u64, ConfState),
    /// The state machine's, as of `base`.
    pub(super) state: Bytes,
}

impl Image {
    pub(super) fn last(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    fn apply(&mut self, write: &Write) {
        if let Some(snapshot) = &write.snapshot {
            let metadata = snapshot.get_metadata();
            self.base = metadata.index;
            self.base_term = metadata.term;
            self.membership = (metadata.index, metadata.get_conf_state().clone());
            self.state = snapshot.data.clone();
            self.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            assert!(first.index > self.base && first.index <= self.last() + 1);
            self.entries
                .truncate((first.index - self.base - 1) as usize);
            self.entries.extend_from_slice(&write.entries);
        }
        if let Some(hard_state) = &write.hard_state {
            self.hard_state = hard_state.clone();
        }
    }

    fn truncate(&mut self, index: u64, term: u64, state: &Bytes) {
        if index <= self.base || index > self.last() {
            return;
        }
        self.entries.drain(..(index - self.base) as usize);
        self.base = index;
        self.base_term = term;
        self.state = state.clone();
    }
}

#[derive(Default)]
struct Log {
    durable: Image,
    live: Image,
    request: Cell<Option<u64>>,
    offered: Option<Snapshot>,
    breaks_on_read: Cell<bool>,
}

struct Submitted {
    token: u64,
    writes: Vec<(GroupId, Write, (u64, ConfState))>,
}

#[derive(Default)]
struct State {
    logs: BTreeMap<GroupId, Log>,
    submitted: VecDeque<Submitted>,
    batches: usize,
    last_batch: Vec<(GroupId, Write)>,
}

#[derive(Clone, Default)]
pub(super) struct Disk(Rc<RefCell<State>>);

pub(super) struct DiskLog {
    disk: Disk,
    group: GroupId,
}

impl Disk {
    /// A log as the metadata of a cluster would bootstrap it: behind index 1, with its voters.
    pub(super) fn bootstrap(&self, group: GroupId, voters: &[u64], learners: &[u64]) {
        let mut log = Log::default();
        log.live.base = 1;
        log.live.base_term = 1;
        log.live.membership = (1, (voters.to_vec(), learners.to_vec()).into());
        log.durable = log.live.clone();
        self.0.borrow_mut().logs.insert(group, log);
    }

    pub(super) fn open(&self, group: GroupId) -> DiskLog {
        self.0.borrow_mut().logs.entry(group).or_default();
        DiskLog {
            disk: self.clone(),
            group,
        }
    }

    pub(super) fn durable(&self, group: GroupId) -> Image {
        self.0
            .borrow()
            .logs
            .get(&group)
            .map(|log| log.durable.clone())
            .unwrap_or_default()
    }

    pub(super) fn live(&self, group: GroupId) -> Image {
        self.0.borrow().logs[&group].live.clone()
    }

    /// The oldest batch becomes durable.
    pub(super) fn sync_one(&self) -> Option<u64> {
        let mut state = self.0.borrow_mut();
        let batch = state.submitted.pop_front()?;
        for (group, write, membership) in batch.writes {
            let durable = &mut state.logs.get_mut(&group).expect("open").durable;
            durable.apply(&write);
            if membership.0 > durable.membership.0 {
                durable.membership = membership;
            }
        }
        Some(batch.token)
    }

    pub(super) fn crash(&self) {
        let mut state = self.0.borrow_mut();
        state.submitted.clear();
        for log in state.logs.values_mut() {
            log.live = log.durable.clone();
            log.offered = None;
        }
    }

    /// The state machine's state as of `index` is durable, and the entries up to there are gone. As in the shared log, this
    /// never goes beyond what is durable.
    pub(super) fn truncate(&self, group: GroupId, index: u64, state: &Bytes) {
        let mut disk = self.0.borrow_mut();
        let log = disk.logs.get_mut(&group).expect("open");
        if index <= log.durable.base || index > log.durable.last() {
            return;
        }
        if index > log.live.hard_state.commit {
            return;
        }
        // The row that truncates the log says so, too.
        let commit = &mut log.durable.hard_state.commit;
        *commit = index.max(*commit);
        let term = log.durable.entries[(index - log.durable.base - 1) as usize].term;
        let membership = log.live.membership.clone();
        if membership.0 > log.durable.membership.0 {
            log.durable.membership = membership;
        }
        log.durable.truncate(index, term, state);
        log.live.truncate(index, term, state);
    }

    pub(super) fn batches(&self) -> usize {
        self.0.borrow().batches
    }

    pub(super) fn last_batch(&self) -> Vec<(GroupId, Write)> {
        self.0.borrow().last_batch.clone()
    }

    pub(super) fn pending(&self) -> usize {
        self.0.borrow().submitted.len()
    }

    pub(super) fn break_reads(&self, group: GroupId) {
        self.0.borrow().logs[&group].breaks_on_read.set(true);
    }
}

impl LogStore for Disk {
    type Log = DiskLog;

    fn submit(&mut self, token: u64, writes: Vec<(GroupId, Write)>) {
        let mut state = self.0.borrow_mut();
        state.batches += 1;
        state.last_batch = writes.clone();
        let writes = writes
            .into_iter()
            .map(|(group, write)| {
                let membership = state.logs[&group].live.membership.clone();
                (group, write, membership)
            })
            .collect();
        state.submitted.push_back(Submitted { token, writes });
    }
}

impl DiskLog {
    fn with<R>(&self, read: impl FnOnce(&Log) -> R) -> R {
        read(&self.disk.0.borrow().logs[&self.group])
    }

    fn with_mut<R>(&mut self, write: impl FnOnce(&mut Log) -> R) -> R {
        write(
            self.disk
                .0
                .borrow_mut()
                .logs
                .get_mut(&self.group)
                .expect("open"),
        )
    }
}

fn broken() -> raft::Error {
    raft::Error::Store(StorageError::Other("checksum mismatch".into()))
}

impl Storage for DiskLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.with(|log| {
            Ok(RaftState {
                hard_state: log.live.hard_state.clone(),
                conf_state: log.live.membership.1.clone(),
            })
        })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        self.with(|log| {
            if log.breaks_on_read.get() {
                return Err(broken());
            }
            let image = &log.live;
            if low <= image.base {
                return Err(raft::Error::Store(StorageError::Compacted));
            }
            if high > image.last() + 1 {
                return Err(raft::Error::Store(StorageError::Unavailable));
            }
            let range = (low - image.base - 1) as usize..(high - image.base - 1) as usize;
            let mut entries = image.entries[range].to_vec();
            raft::util::limit_size(&mut entries, max_size.into());
            Ok(entries)
        })
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.with(|log| {
            let image = &log.live;
            if index == image.base {
                return Ok(image.base_term);
            }
            if index < image.base {
                return Err(raft::Error::Store(StorageError::Compacted));
            }
            match image.entries.get((index - image.base - 1) as usize) {
                Some(entry) => Ok(entry.term),
                None => Err(raft::Error::Store(StorageError::Unavailable)),
            }
        })
    }

    fn first_index(&self) -> raft::Result<u64> {
        self.with(|log| Ok(log.live.base + 1))
    }

    fn last_index(&self) -> raft::Result<u64> {
        self.with(|log| Ok(log.live.last()))
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        self.with(|log| match &log.offered {
            Some(snapshot) if snapshot.get_metadata().index >= request_index.max(log.live.base) => {
                Ok(snapshot.clone())
            }
            _ => {
                log.request.set(Some(request_index));
                Err(raft::Error::Store(
                    StorageError::SnapshotTemporarilyUnavailable,
                ))
            }
        })
    }
}

impl GroupLog for DiskLog {
    fn stage(&mut self, write: &Write) {
        self.with_mut(|log| log.live.apply(write));
    }

    fn note_commit(&mut self, hard_state: &HardState) {
        self.with_mut(|log| log.live.hard_state = hard_state.clone());
    }

    fn set_conf_state(&mut self, index: u64, conf_state: &ConfState) {
        self.with_mut(|log| {
            let before = log.live.membership.0;
            assert!(index >= before, "the membership goes back from {before}");
            log.live.membership = (index, conf_state.clone());
        });
    }

    fn take_snapshot_request(&mut self) -> Option<u64> {
        self.with_mut(|log| log.request.take())
    }

    fn offer_snapshot(&mut self, snapshot: Snapshot) {
        self.with_mut(|log| log.offered = Some(snapshot));
    }
}
