//! The raft log of one group: where its entries lie in the shared log, and the newest of them in memory.
//!
//! The worker that owns the group stages writes, the log thread reports where they went, readers and the sealer look; each
//! holds the lock for a moment only and never while it reads a disk.
//!
//! **Invariants:** `truncated_index < every slot's index`, without gaps; `truncated_index <= applied`;
//! a slot's offset is the one behind its predecessor's, so offsets are dense.

use super::cache::TailCache;
use super::entry::{EntryHeader, EntryKind, SnapshotHeader};
use super::error::Error;
use super::ids::Offset;
use super::log::{Located, LogReader, Position};
use super::rows::GroupRow;
use crate::raft::ports::{self, GroupId, Write};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, StorageError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

/// One entry of the log above the truncation point.
struct Slot {
    term: u64,
    /// The offset behind this entry; an entry without records repeats its predecessor's.
    next_offset: Offset,
    max_timestamp_ms: i64,
    /// Where it lies, once it is persisted.
    located: Option<Located>,
    /// The entry itself: always until it is persisted, after that while the cache has room.
    entry: Option<Box<Entry>>,
    is_records: bool,
}

pub(super) struct Inner {
    truncated_index: u64,
    truncated_term: u64,
    truncated_next: Offset,
    slots: VecDeque<Slot>,
    hard_state: HardState,
    /// Where the newest hard state in the log lies; `None` when the group's row has it.
    hard_state_at: Option<Position>,
    conf_state: ConfState,
    snapshot_wanted: Option<u64>,
    snapshot: Option<Snapshot>,
}

/// A handle on the log of one group; clones share it.
#[derive(Clone)]
pub struct GroupLog {
    id: GroupId,
    inner: Arc<Mutex<Inner>>,
    /// Set once the shared log is open, before anybody reads.
    reader: Arc<OnceLock<LogReader>>,
}

/// An entry's data, or where to read it.
pub(super) enum Piece {
    Cached(Bytes),
    OnDisk { index: u64, located: Located },
}

/// What a reader or the sealer found in the log: consecutive entries that hold records.
pub(super) struct Pieces {
    /// Each with the offset of its first record.
    pub pieces: Vec<(Offset, Piece)>,
    /// The offset behind the last one.
    pub next: Offset,
    pub max_timestamp_ms: i64,
}

/// A committed, persisted piece of the log that may move into a family.
pub(super) struct Sealable {
    pub through_index: u64,
    pub pieces: Pieces,
    pub bytes: u64,
}

/// Where a group's log may be cut, and what its row must say then.
pub(super) struct CutPoint {
    pub through: u64,
    pub term: u64,
    pub next_offset: Offset,
    pub kept_at: Option<Position>,
    pub hard_state: HardState,
}

impl GroupLog {
    pub(super) fn from_row(
        id: GroupId,
        row: &GroupRow,
        reader: Arc<OnceLock<LogReader>>,
    ) -> GroupLog {
        GroupLog {
            id,
            reader,
            inner: Arc::new(Mutex::new(Inner {
                truncated_index: row.truncated_index,
                truncated_term: row.truncated_term,
                truncated_next: row.next_offset,
                slots: VecDeque::new(),
                hard_state: row.hard_state.clone(),
                hard_state_at: None,
                conf_state: row.conf_state.clone(),
                snapshot_wanted: None,
                snapshot: None,
            })),
        }
    }

    pub fn id(&self) -> GroupId {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a bug in this file; going on with half a change would be worse.
        self.inner
            .lock()
            .expect("no code in this file panics while it holds the lock")
    }

    /// An entry read back from the log at start.
    pub(super) fn replay_entry(&self, entry: Entry, located: Located) -> Result<(), String> {
        let mut inner = self.lock();
        if entry.index <= inner.truncated_index {
            return Ok(());
        }
        if entry.index > inner.last_index() + 1 {
            let (index, last) = (entry.index, inner.last_index());
            return Err(format!(
                "entry {index} follows entry {last}: entries between them are missing"
            ));
        }
        inner.cut_from(entry.index);
        inner.push(&entry)?;
        let slot = inner.slots.back_mut().expect("it was just pushed");
        slot.located = Some(located);
        // Read again when somebody asks: a start must not fill the memory.
        slot.entry = None;
        Ok(())
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
        let last = inner.last_index();
        if applied > last {
            return Err(format!(
                "state is as of entry {applied}, but the log ends at {last}"
            ));
        }
        inner.hard_state.commit = inner.hard_state.commit.min(last);
        Ok(())
    }

    /// The log thread wrote these entries and synced them.
    pub(super) fn set_located(&self, index: u64, term: u64, located: Located) {
        let mut inner = self.lock();
        // Staged again with another term meanwhile: this copy is dead, and a later one will be reported.
        if let Some(slot) = inner.slot_mut(index).filter(|slot| slot.term == term) {
            slot.located = Some(located);
        }
    }

    pub(super) fn set_hard_state_at(&self, position: Position) {
        self.lock().hard_state_at = Some(position);
    }

    /// Lets go of a cached entry, if it can be read from disk.
    pub(super) fn evict(&self, index: u64) {
        if let Some(slot) = self
            .lock()
            .slot_mut(index)
            .filter(|slot| slot.located.is_some())
        {
            slot.entry = None;
        }
    }

    /// The oldest position of the shared log that this group still needs; `row` is the durable one.
    pub(super) fn oldest_needed(&self, row: &GroupRow) -> Option<Position> {
        let inner = self.lock();
        let is_unwritten = |slot: &Slot| slot.located.is_none();
        // A snapshot, or entries that replace all that were here, are staged: until they are written a crash brings back what
        // they replace, and that must be there without a gap.
        let replaces = inner.truncated_index > row.truncated_index
            || inner.slots.front().is_some_and(is_unwritten);
        let entries = match replaces {
            true => Some(row.entries_from),
            // Slots lie in the log in their order, as far as they are written.
            false => inner
                .slots
                .front()
                .and_then(|slot| slot.located)
                .map(|at| at.position),
        };
        match (entries, inner.hard_state_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub fn first_index(&self) -> u64 {
        self.lock().truncated_index + 1
    }

    pub fn last_index(&self) -> u64 {
        self.lock().last_index()
    }

    /// The offset behind the last entry of the log.
    pub fn log_end(&self) -> Offset {
        self.lock().next_of(u64::MAX)
    }

    /// The offset behind entry `index`, which lies in the log or just before it.
    pub fn next_offset_at(&self, index: u64) -> Offset {
        self.lock().next_of(index)
    }

    /// The first offset that is not sealed.
    pub fn tail_start(&self) -> Offset {
        self.lock().truncated_next
    }

    pub fn hard_state(&self) -> HardState {
        self.lock().hard_state.clone()
    }

    pub fn conf_state(&self) -> ConfState {
        self.lock().conf_state.clone()
    }

    /// Bytes and largest timestamp of each entry of records, oldest first, with the offset behind it: what retention needs.
    pub(super) fn tail_spans(&self) -> Vec<(Offset, u64, i64)> {
        let inner = self.lock();
        let spans = inner.slots.iter().filter(|slot| slot.is_records);
        spans
            .map(|slot| (slot.next_offset, slot.bytes(), slot.max_timestamp_ms))
            .collect()
    }

    /// Entries of records from the one that holds `from` up to `upto`, at least one and then while they fit in `max_bytes`.
    /// `None` when `from` lies before the log.
    pub(super) fn pieces(&self, from: Offset, upto: Offset, max_bytes: u64) -> Option<Pieces> {
        let inner = self.lock();
        if from < inner.truncated_next {
            return None;
        }
        let first = inner.slots.partition_point(|slot| slot.next_offset <= from);
        Some(
            inner
                .collect(first, max_bytes, |_, slot| slot.next_offset <= upto)
                .pieces,
        )
    }

    /// The first entry of records with a timestamp of at least `timestamp_ms` that ends above `from` and at or below `upto`.
    pub(super) fn piece_by_timestamp(
        &self,
        timestamp_ms: i64,
        from: Offset,
        upto: Offset,
    ) -> Option<(Offset, Piece)> {
        let inner = self.lock();
        let start = inner.slots.partition_point(|slot| slot.next_offset <= from);
        let hit = |slot: &Slot| {
            slot.is_records && slot.max_timestamp_ms >= timestamp_ms && slot.next_offset <= upto
        };
        let at = start + inner.slots.range(start..).position(hit)?;
        inner.piece(at)
    }

    /// The largest timestamp of entries that reach into `from..upto`.
    pub(super) fn max_timestamp(&self, from: Offset, upto: Offset) -> Option<i64> {
        let inner = self.lock();
        inner
            .between(from, upto)
            .map(|slot| slot.max_timestamp_ms)
            .max()
    }

    /// Bytes of entries that reach into `from..upto`.
    pub(super) fn bytes_between(&self, from: Offset, upto: Offset) -> u64 {
        let inner = self.lock();
        inner.between(from, upto).map(Slot::bytes).sum()
    }

    /// The oldest entries that may be sealed: committed, persisted, at or below `applied`, at most `max_bytes` unless the
    /// first one alone is larger. Records below `log_start` are passed over. `None` when there is nothing.
    pub(super) fn sealable(
        &self,
        applied: u64,
        log_start: Offset,
        max_bytes: u64,
    ) -> Option<Sealable> {
        let inner = self.lock();
        let limit = applied.min(inner.hard_state.commit);
        let mut found = inner.collect(0, max_bytes, |index, slot| {
            index <= limit && slot.located.is_some()
        });
        found.pieces.pieces.retain(|(base, _)| {
            *base >= log_start || {
                let at = inner
                    .slots
                    .partition_point(|slot| slot.next_offset <= *base);
                inner.slots[at].next_offset > log_start
            }
        });
        (found.through_index > inner.truncated_index).then_some(found)
    }

    /// Term of, and offset behind, the entry up to which the log is about to be cut, and where the first one kept lies.
    ///
    /// `None` while the only entries kept are on their way to the log: nobody knows yet where they will lie.
    pub(super) fn cut_point(&self, through: u64) -> Option<CutPoint> {
        let inner = self.lock();
        let through = through.max(inner.truncated_index);
        let mut kept = inner
            .slots
            .iter()
            .skip((through - inner.truncated_index) as usize)
            .peekable();
        let nothing_kept = kept.peek().is_none();
        let kept_at = kept
            .filter_map(|slot| slot.located)
            .map(|located| located.position)
            .min();
        if kept_at.is_none() && !nothing_kept {
            return None;
        }
        let term = inner.term_of(through)?;
        Some(CutPoint {
            through,
            term,
            next_offset: inner.next_of(through),
            kept_at,
            hard_state: inner.hard_state.clone(),
        })
    }

    /// The group's row now stands for everything up to `through`, and for the hard state when `hard_state` is still it.
    pub(super) fn cut_through(&self, through: u64, row_has: &HardState) {
        let mut inner = self.lock();
        while inner.truncated_index < through {
            let Some(slot) = inner.slots.pop_front() else {
                break;
            };
            inner.truncated_index += 1;
            inner.truncated_term = slot.term;
            inner.truncated_next = slot.next_offset;
        }
        // A vote or term written since then lies in the log and stays needed there.
        if inner.hard_state.term == row_has.term && inner.hard_state.vote == row_has.vote {
            inner.hard_state_at = None;
        }
    }

    pub(super) fn read(&self, piece: Piece) -> Result<Bytes, super::log::Error> {
        match piece {
            Piece::Cached(data) => Ok(data),
            Piece::OnDisk { index, located } => Ok(self.read_entry(index, located)?.data),
        }
    }

    /// Remembers freshly persisted entries for readers of the tail.
    pub(super) fn cache(&self, cache: &TailCache, entries: impl Iterator<Item = (u64, usize)>) {
        for (index, bytes) in entries {
            cache.admit(self, index, bytes);
        }
    }

    pub(super) fn downgrade(&self) -> WeakGroupLog {
        WeakGroupLog {
            id: self.id,
            inner: Arc::downgrade(&self.inner),
            reader: self.reader.clone(),
        }
    }

    fn read_entry(&self, index: u64, located: Located) -> Result<Entry, super::log::Error> {
        self.reader
            .get()
            .expect("the log is open before anybody reads")
            .read(located, self.id, index)
    }

    /// Entries `low..high` as far as they fit, each in memory or where to read it.
    fn lookup(
        &self,
        low: u64,
        high: u64,
        max_bytes: u64,
    ) -> raft::Result<Vec<(u64, Result<Entry, Located>)>> {
        let inner = self.lock();
        if low <= inner.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > inner.last_index() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let mut size = 0;
        let mut found = Vec::new();
        for index in low..high {
            let slot = inner.slot(index).expect("low..high lies in the log");
            size += slot.bytes();
            if !found.is_empty() && size > max_bytes {
                break;
            }
            let entry = match (&slot.entry, slot.located) {
                (Some(entry), _) => Ok((**entry).clone()),
                (None, Some(located)) => Err(located),
                (None, None) => unreachable!("an entry is let go only once it is located"),
            };
            found.push((index, entry));
        }
        Ok(found)
    }
}

/// What the cache holds of a log: enough to let an entry go, not enough to keep a deleted group alive.
pub(super) struct WeakGroupLog {
    id: GroupId,
    inner: Weak<Mutex<Inner>>,
    reader: Arc<OnceLock<LogReader>>,
}

impl WeakGroupLog {
    pub fn upgrade(&self) -> Option<GroupLog> {
        Some(GroupLog {
            id: self.id,
            inner: self.inner.upgrade()?,
            reader: self.reader.clone(),
        })
    }
}

impl Slot {
    fn bytes(&self) -> u64 {
        let in_memory = || {
            self.entry
                .as_ref()
                .map_or(0, |entry| (entry.data.len() + entry.context.len()) as u64)
        };
        self.located
            .map_or_else(in_memory, |located| u64::from(located.len))
    }
}

impl Inner {
    fn last_index(&self) -> u64 {
        self.truncated_index + self.slots.len() as u64
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots
            .get(usize::try_from(index.checked_sub(self.truncated_index + 1)?).ok()?)
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        self.slots
            .get_mut(usize::try_from(index.checked_sub(self.truncated_index + 1)?).ok()?)
    }

    fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.truncated_index {
            Some(self.truncated_term)
        } else {
            self.slot(index).map(|slot| slot.term)
        }
    }

    fn next_of(&self, index: u64) -> Offset {
        self.slot(index.min(self.last_index()))
            .map_or(self.truncated_next, |slot| slot.next_offset)
    }

    /// A snapshot takes the place of the whole log.
    fn reset(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        self.slots.clear();
        self.truncated_index = metadata.index;
        self.truncated_term = metadata.term;
        self.truncated_next = SnapshotHeader::decode(&snapshot.data)
            .map_or(self.truncated_next, |header| header.next_offset);
        self.conf_state = metadata.get_conf_state().clone();
    }

    fn cut_from(&mut self, index: u64) {
        self.slots
            .truncate((index - self.truncated_index - 1) as usize);
    }

    fn push(&mut self, entry: &Entry) -> Result<(), String> {
        let expected = self.next_of(u64::MAX);
        let header = EntryHeader::decode(&entry.context)
            .map_err(|error| format!("entry {}: {error}", entry.index))?;
        let records = header.filter(|header| header.kind == EntryKind::Batches);
        if let Some(header) = records
            && header.base_offset != expected
        {
            let (index, base) = (entry.index, header.base_offset);
            return Err(format!(
                "entry {index} starts at offset {base}, the one before it ends at {expected}"
            ));
        }
        self.slots.push_back(Slot {
            term: entry.term,
            next_offset: records.map_or(expected, |header| header.next_offset()),
            max_timestamp_ms: records.map_or(-1, |header| header.max_timestamp_ms),
            located: None,
            entry: Some(Box::new(entry.clone())),
            is_records: records.is_some(),
        });
        Ok(())
    }

    fn piece(&self, at: usize) -> Option<(Offset, Piece)> {
        let slot = self.slots.get(at)?;
        let index = self.truncated_index + 1 + at as u64;
        let base = self.next_of(index - 1);
        let piece = match (&slot.entry, slot.located) {
            (Some(entry), _) => Piece::Cached(entry.data.clone()),
            (None, Some(located)) => Piece::OnDisk { index, located },
            (None, None) => return None,
        };
        Some((base, piece))
    }

    /// Entries of records that reach into `from..upto`.
    fn between(&self, from: Offset, upto: Offset) -> impl Iterator<Item = &Slot> {
        let start = self.slots.partition_point(|slot| slot.next_offset <= from);
        let mut base = match start {
            0 => self.truncated_next,
            _ => self.slots[start - 1].next_offset,
        };
        let is_below = move |slot: &&Slot| std::mem::replace(&mut base, slot.next_offset) < upto;
        let reached = self.slots.range(start..).take_while(is_below);
        reached.filter(|slot| slot.is_records)
    }

    fn collect(
        &self,
        first: usize,
        max_bytes: u64,
        wanted: impl Fn(u64, &Slot) -> bool,
    ) -> Sealable {
        let mut found = Sealable {
            through_index: self.truncated_index + first as u64,
            bytes: 0,
            pieces: Pieces {
                pieces: Vec::new(),
                next: self.next_of(self.truncated_index + first as u64),
                max_timestamp_ms: -1,
            },
        };
        for (at, slot) in self.slots.iter().enumerate().skip(first) {
            let size = slot.bytes();
            let full = !found.pieces.pieces.is_empty() && found.bytes + size > max_bytes;
            if full || !wanted(self.truncated_index + 1 + at as u64, slot) {
                break;
            }
            found.through_index += 1;
            if slot.is_records {
                found.bytes += size;
                found.pieces.pieces.extend(self.piece(at));
                found.pieces.next = slot.next_offset;
                found.pieces.max_timestamp_ms =
                    found.pieces.max_timestamp_ms.max(slot.max_timestamp_ms);
            }
        }
        found
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
        let read = |(index, entry): (u64, Result<Entry, Located>)| {
            entry
                .or_else(|located| self.read_entry(index, located))
                .map_err(|error| {
                    tracing::error!(group = %self.id, index, %error, "cannot read an entry");
                    // Sealed and recycled since it was looked up, it is tried again, or a snapshot is sent. Anything else takes
                    // this replica offline: a leader that cannot read its log would starve its followers for ever.
                    let is_gone = matches!(error, super::log::Error::Gone { .. });
                    raft::Error::Store(match is_gone && context.can_async() {
                        true => StorageError::LogTemporarilyUnavailable,
                        false => StorageError::Other(Box::new(error)),
                    })
                })
        };
        found.into_iter().map(read).collect()
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let inner = self.lock();
        if index < inner.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        inner
            .term_of(index)
            .ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.lock().truncated_index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.lock().last_index())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let mut inner = self.lock();
        let needed = request_index.max(inner.truncated_index);
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
            inner.reset(snapshot);
        }
        if let Some(first) = write.entries.first() {
            inner.cut_from(first.index);
        }
        for entry in &write.entries {
            // The leader made these entries dense; a peer's are checked before they are stepped.
            if let Err(reason) = inner.push(entry) {
                debug_assert!(false, "{reason}");
                tracing::error!(group = %self.id, %reason, "staged entry does not fit the log");
            }
        }
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

/// A read that the shared log refused, as the shard's error.
impl From<super::log::Error> for Error {
    fn from(error: super::log::Error) -> Error {
        Error::Log(error)
    }
}
