//! The raft log of one group: where its entries lie in the shared log, and the newest of them in memory.
//!
//! The worker that owns the group stages writes, the log thread reports where they went, readers and the sealer look; each
//! holds the lock for a moment only and never while it reads a disk.
//!
//! - `slots.rs`: the entries and where they lie. `pieces.rs`: what readers and the sealer ask. `storage.rs`: what raft asks.
//!
//! **Invariants:** `truncated_index < every slot's index`, without gaps; `truncated_index <= applied`;
//! a slot's offset is the one behind its predecessor's, so offsets are dense.

mod pieces;
mod slots;
mod storage;

pub(super) use pieces::{CutPoint, Piece, Sealable};

use self::slots::Slots;
use super::error::Error;
use super::ids::Offset;
use super::log::{Located, LogReader, Position};
use super::rows::GroupRow;
use crate::raft::ports::GroupId;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

struct Inner {
    slots: Slots,
    hard_state: HardState,
    /// Where the newest hard state in the log lies; `None` when the group's row has it.
    hard_state_at: Option<Position>,
    conf_state: ConfState,
    snapshot_wanted: Option<u64>,
    snapshot: Option<Snapshot>,
}

struct Shared {
    id: GroupId,
    /// Set once the shared log is open, before anybody reads.
    reader: Arc<OnceLock<LogReader>>,
    /// What `inner` had when its lock was last let go: raft asks for both many times for each entry.
    truncated_index: AtomicU64,
    last_index: AtomicU64,
    inner: Mutex<Inner>,
}

/// A handle on the log of one group; clones share it.
#[derive(Clone)]
pub struct GroupLog {
    shared: Arc<Shared>,
}

impl GroupLog {
    pub(super) fn from_row(
        id: GroupId,
        row: &GroupRow,
        reader: Arc<OnceLock<LogReader>>,
    ) -> GroupLog {
        GroupLog {
            shared: Arc::new(Shared {
                id,
                reader,
                truncated_index: AtomicU64::new(row.truncated_index),
                last_index: AtomicU64::new(row.truncated_index),
                inner: Mutex::new(Inner {
                    slots: Slots::behind(row.truncated_index, row.truncated_term, row.next_offset),
                    hard_state: row.hard_state.clone(),
                    hard_state_at: None,
                    conf_state: row.conf_state.clone(),
                    snapshot_wanted: None,
                    snapshot: None,
                }),
            }),
        }
    }

    pub fn id(&self) -> GroupId {
        self.shared.id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a bug in this file; going on with half a change would be worse.
        self.shared
            .inner
            .lock()
            .expect("no code in this file panics while it holds the lock")
    }

    /// To be called with the lock held, whenever entries came or went.
    fn publish(&self, slots: &Slots) {
        let shared = &self.shared;
        shared
            .truncated_index
            .store(slots.truncated_index, Ordering::Release);
        shared
            .last_index
            .store(slots.last_index(), Ordering::Release);
    }

    /// An entry read back from the log at start.
    pub(super) fn replay_entry(&self, entry: Entry, located: Located) -> Result<(), String> {
        let slots = &mut self.lock().slots;
        if entry.index <= slots.truncated_index {
            return Ok(());
        }
        if entry.index > slots.last_index() + 1 {
            let (index, last) = (entry.index, slots.last_index());
            return Err(format!(
                "entry {index} follows entry {last}: entries between them are missing"
            ));
        }
        slots.cut_from(entry.index);
        let pushed = slots.push_located(&entry, located);
        self.publish(slots);
        pushed
    }

    pub(super) fn replay_hard_state(&self, hard_state: HardState, at: Position) {
        let mut inner = self.lock();
        let commit = inner.hard_state.commit.max(hard_state.commit);
        inner.hard_state = hard_state;
        // The row's commit is true for ever, and `applied` rests on it.
        inner.hard_state.commit = commit;
        inner.hard_state_at = Some(at);
    }

    /// After replay. A hard state may tell of a commit that the entries written with it did not live to see; what was applied
    /// was durable before.
    pub(super) fn check_replayed(&self, applied: u64) -> Result<(), String> {
        let mut inner = self.lock();
        let last = inner.slots.last_index();
        if applied > last {
            return Err(format!(
                "state is as of entry {applied}, but the log ends at {last}"
            ));
        }
        inner.hard_state.commit = inner.hard_state.commit.min(last);
        Ok(())
    }

    /// The log thread wrote these: first the hard state, if there is one, then the entries.
    pub(super) fn set_located(&self, hard_state: bool, entries: &[Entry], located: &[Located]) {
        let mut inner = self.lock();
        let (state_at, located) = located.split_at(usize::from(hard_state));
        if let [at] = state_at {
            inner.hard_state_at = Some(at.position);
        }
        for (entry, located) in entries.iter().zip(located) {
            inner.slots.locate(entry.index, entry.term, *located);
        }
    }

    /// Lets go of the cached entries up to `through`, if they can be read from disk.
    pub(super) fn evict(&self, through: u64) {
        self.lock().slots.evict(through);
    }

    /// The oldest position of the shared log that this group still needs; `row` is the durable one.
    pub(super) fn oldest_needed(&self, row: &GroupRow) -> Option<Position> {
        let inner = self.lock();
        let slots = &inner.slots;
        // A snapshot, or entries that replace all that were here, are staged: until they are written a crash brings back what
        // they replace, and that must be there without a gap.
        let replaces = slots.truncated_index > row.truncated_index
            || slots.front().is_some_and(|slot| slot.located().is_none());
        let entries = match replaces {
            true => Some(row.entries_from),
            // Slots lie in the log in their order, as far as they are written.
            false => slots
                .front()
                .and_then(|slot| slot.located())
                .map(|at| at.position),
        };
        match (entries, inner.hard_state_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub fn first_index(&self) -> u64 {
        self.shared.truncated_index.load(Ordering::Acquire) + 1
    }

    pub fn last_index(&self) -> u64 {
        self.shared.last_index.load(Ordering::Acquire)
    }

    /// The offset behind the last entry of the log.
    pub fn log_end(&self) -> Offset {
        self.lock().slots.next_of(u64::MAX)
    }

    /// The offset behind entry `index`, which lies in the log or just before it.
    pub fn next_offset_at(&self, index: u64) -> Offset {
        self.lock().slots.next_of(index)
    }

    /// The first offset that is not sealed.
    pub fn tail_start(&self) -> Offset {
        self.lock().slots.truncated_next
    }

    pub fn hard_state(&self) -> HardState {
        self.lock().hard_state.clone()
    }

    pub fn conf_state(&self) -> ConfState {
        self.lock().conf_state.clone()
    }

    pub(super) fn downgrade(&self) -> WeakGroupLog {
        WeakGroupLog(Arc::downgrade(&self.shared))
    }
}

/// What the cache holds of a log: enough to let an entry go, not enough to keep a deleted group alive.
pub(super) struct WeakGroupLog(Weak<Shared>);

impl WeakGroupLog {
    pub fn upgrade(&self) -> Option<GroupLog> {
        let shared = self.0.upgrade()?;
        Some(GroupLog { shared })
    }
}

/// A read that the shared log refused, as the shard's error.
impl From<super::log::Error> for Error {
    fn from(error: super::log::Error) -> Error {
        Error::Log(error)
    }
}
