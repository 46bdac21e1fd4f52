//! One directory: a shared log, column families above it, and the groups that live in both.
//!
//! A shard fails as a whole when its log or its families cannot be written; what is wrong with one group takes only that one
//! offline. Everything here is synchronous: [`super::writer`] gives it threads, the simulation drives it step by step.
//!
//! Read on: `append` here, [`super::seal`] for the way from log to family, [`super::read`], [`super::retention`].

use super::cache::TailCache;
use super::disk::Disk;
use super::entry::SnapshotHeader;
use super::error::Error;
use super::families::{Families, Family, RowChange};
use super::group_log::GroupLog;
use super::ids::Offset;
use super::keys;
use super::log::{Located, LogOptions, LogReader, Position, Record, RecordRef, SharedLog};
use super::rows::{GroupRow, Run};
use super::stats::{Counters, Stats};
use crate::raft::ports::{FOUNDING_TERM, GroupId, PeerId, Write};
use bytes::Bytes;
use raft::eraftpb::{ConfState, HardState, Snapshot};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

/// The format of everything in a shard's directory taken together.
const FORMAT_VERSION: u8 = 2;

/// More than the headers of segment, block, record and entry together.
const ENTRY_OVERHEAD_BYTES: usize = 8 << 10;

#[derive(Clone, Debug)]
pub struct ShardOptions {
    pub log: LogOptions,
    /// The shared log is sealed and recycled down to this size in the background.
    pub log_budget_bytes: u64,
    /// At this size the log thread waits for the sealer.
    pub log_limit_bytes: u64,
    /// Newest persisted entries kept in memory.
    pub cache_bytes: usize,
    /// A run is cut at this size.
    pub run_bytes: u64,
    /// Runs smaller than this share a file with others, in the packed families.
    pub packed_below_bytes: u64,
    /// New records are refused while less than this is free on the disk; what raft itself needs still goes in.
    pub min_free_bytes: u64,
}

impl Default for ShardOptions {
    fn default() -> Self {
        ShardOptions {
            log: LogOptions::default(),
            log_budget_bytes: 1 << 30,
            log_limit_bytes: 3 << 29,
            cache_bytes: 64 << 20,
            run_bytes: 32 << 20,
            packed_below_bytes: 1 << 20,
            min_free_bytes: 512 << 20,
        }
    }
}

pub struct Shard {
    pub(super) options: ShardOptions,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) families: Arc<dyn Families>,
    pub(super) log: Mutex<SharedLog>,
    reader: Arc<OnceLock<LogReader>>,
    pub(super) cache: TailCache,
    groups: RwLock<BTreeMap<GroupId, Arc<Group>>>,
    /// Held while group rows change on disk and in memory. Taken after the log's lock, before a group's.
    pub(super) rows: Mutex<()>,
    /// Shared while a run is on its way into a family and its row, alone while a family begins anew. Taken before all others.
    pub(super) placing: RwLock<()>,
    /// Groups whose rows or entries make no sense, and why.
    damaged: BTreeMap<GroupId, Error>,
    room: AtomicBool,
    pub(super) counters: Counters,
}

/// What the shard holds of one group.
pub struct Group {
    pub(super) log: GroupLog,
    pub(super) sealed: Mutex<Sealed>,
}

/// The part of a group that lies in the families.
pub(super) struct Sealed {
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
}

/// Where a group starts from after [`Shard::open`] or [`Shard::create`].
pub struct Start {
    pub log: GroupLog,
    pub applied: u64,
    /// The state machine's own bytes as of `applied`; empty for a new group.
    pub machine: Bytes,
}

impl Shard {
    /// Opens a directory, or makes one. `salt_seed` must differ between openings.
    pub fn open(
        disk: Arc<dyn Disk>,
        families: Arc<dyn Families>,
        options: ShardOptions,
        salt_seed: u64,
    ) -> Result<Shard, Error> {
        check_format(&*families)?;
        finish_deletions(&*families)?;
        let mut damaged = BTreeMap::new();
        let rows = read_rows(&*families, &mut damaged)?;
        let mut runs = read_runs(&*families, &rows, &mut damaged)?;
        let reader = Arc::new(OnceLock::new());
        let mut groups: BTreeMap<GroupId, Arc<Group>> = BTreeMap::new();
        for (id, row) in rows {
            let log = GroupLog::from_row(id, &row, reader.clone());
            let runs = runs.remove(&id).unwrap_or_default();
            groups.insert(id, Arc::new(Group::new(log, row, runs, false)));
        }
        let log = SharedLog::open(
            disk.clone(),
            options.log.clone(),
            salt_seed,
            &mut |located, record| {
                if let Some(group) = groups.get(&record.group())
                    && let Err(reason) = group.replay(located, record)
                {
                    damaged.entry(group.log.id()).or_insert(Error::Group {
                        group: group.log.id(),
                        reason,
                    });
                }
                Ok::<(), Error>(())
            },
        )?;
        let _ = reader.set(log.reader());
        for (id, group) in &groups {
            let applied = group.sealed.lock().expect(LOCK).row.applied;
            if let Err(reason) = group.log.check_replayed(applied) {
                damaged
                    .entry(*id)
                    .or_insert(Error::Group { group: *id, reason });
            }
        }
        groups.retain(|id, _| !damaged.contains_key(id));
        for (group, error) in &damaged {
            tracing::error!(%group, %error, "replica is damaged and stays offline");
        }
        let shard = Shard {
            cache: TailCache::new(options.cache_bytes),
            options,
            disk,
            families,
            log: Mutex::new(log),
            reader,
            groups: RwLock::new(groups),
            rows: Mutex::new(()),
            placing: RwLock::new(()),
            damaged,
            room: AtomicBool::new(true),
            counters: Counters::default(),
        };
        shard.refresh_room();
        Ok(shard)
    }

    /// The groups found at start that must stay offline, and why.
    pub fn damaged(&self) -> &BTreeMap<GroupId, Error> {
        &self.damaged
    }

    pub fn group_ids(&self) -> Vec<GroupId> {
        self.groups.read().expect(LOCK).keys().copied().collect()
    }

    pub fn group(&self, id: GroupId) -> Result<Arc<Group>, Error> {
        self.groups
            .read()
            .expect(LOCK)
            .get(&id)
            .cloned()
            .ok_or(Error::UnknownGroup(id))
    }

    pub(super) fn all_groups(&self) -> Vec<Arc<Group>> {
        self.groups.read().expect(LOCK).values().cloned().collect()
    }

    pub fn start(&self, id: GroupId) -> Result<Start, Error> {
        let group = self.group(id)?;
        let sealed = group.sealed.lock().expect(LOCK);
        Ok(Start {
            log: group.log.clone(),
            applied: sealed.row.applied,
            machine: sealed.row.machine.clone(),
        })
    }

    /// Makes groups, durable on return: with `voters` from the first moment on, or with none (a replica that waits for its
    /// leader's snapshot).
    pub fn create(&self, new: &[(GroupId, Vec<PeerId>)]) -> Result<(), Error> {
        let position = self.log.lock().expect(LOCK).position();
        let mut changes: Vec<RowChange> = Vec::with_capacity(new.len());
        let mut made = Vec::with_capacity(new.len());
        for (id, voters) in new {
            if self.groups.read().expect(LOCK).contains_key(id) || self.damaged.contains_key(id) {
                return Err(Error::GroupExists(*id));
            }
            let row = first_row(voters, position);
            changes.push((keys::group(*id), Some(row.encode())));
            let log = GroupLog::from_row(*id, &row, self.reader.clone());
            made.push((*id, Arc::new(Group::new(log, row, Vec::new(), true))));
        }
        self.families.put(&changes)?;
        self.families.flush()?;
        self.groups.write().expect(LOCK).extend(made);
        Ok(())
    }

    /// Deletes a group and gives its space back: the family's files at once, the log's when it is recycled. A crash in the
    /// middle is finished by the next `open`.
    pub fn delete(&self, id: GroupId) -> Result<(), Error> {
        let group = self.group(id)?;
        let _rows = self.rows.lock().expect(LOCK);
        let mut sealed = group.sealed.lock().expect(LOCK);
        let mut changes = vec![
            (keys::group(id), None),
            (keys::deleting(id), Some(Vec::new())),
        ];
        changes.extend(sealed.runs.iter().map(|run| (keys::run(id, run), None)));
        self.families.put(&changes)?;
        self.families.flush()?;
        sealed.deleted = true;
        self.groups.write().expect(LOCK).remove(&id);
        finish_deletion(&*self.families, id)
    }

    /// Writes a batch; it is durable after the next [`Shard::sync`]. Entries were staged before, in the same order.
    pub fn append(&self, batch: &[(GroupId, Write)]) -> Result<(), Error> {
        let mut log = self.log.lock().expect(LOCK);
        let groups = self.find(batch);
        let mut gathered: Vec<(&Group, &Write)> = Vec::with_capacity(batch.len());
        for ((id, write), group) in batch.iter().zip(&groups) {
            // Deleted while this was on its way; others are in the same batch.
            let Some(group) = group else {
                continue;
            };
            if let Some(snapshot) = &write.snapshot {
                // What the group wrote before belongs before the place where its log starts anew.
                self.append_writes(&mut log, &std::mem::take(&mut gathered))?;
                self.install(*id, snapshot, write.hard_state.as_ref(), log.position())?;
            }
            gathered.push((group, write));
        }
        self.append_writes(&mut log, &gathered)
    }

    /// The group of each write, if it is still here.
    fn find(&self, batch: &[(GroupId, Write)]) -> Vec<Option<Arc<Group>>> {
        let groups = self.groups.read().expect(LOCK);
        batch
            .iter()
            .map(|(id, _)| groups.get(id).cloned())
            .collect()
    }

    fn append_writes(&self, log: &mut SharedLog, writes: &[(&Group, &Write)]) -> Result<(), Error> {
        let mut records = Vec::with_capacity(writes.len());
        for (group, write) in writes {
            let group = group.log.id();
            let state = write.hard_state.iter();
            records.extend(state.map(|state| RecordRef::HardState { group, state }));
            let entries = write.entries.iter();
            records.extend(entries.map(|entry| RecordRef::Entry { group, entry }));
        }
        let located = log.append_borrowed(&records)?;
        self.counters
            .appended(located.iter().map(|located| u64::from(located.len)).sum());
        // Still under the log's lock: whoever holds it sees every written entry with its place.
        let mut located = &located[..];
        for (group, write) in writes {
            let has_state = write.hard_state.is_some();
            let (own, rest) = located.split_at(usize::from(has_state) + write.entries.len());
            group.log.set_located(has_state, &write.entries, own);
            located = rest;
        }
        Ok(())
    }

    /// Everything appended before is durable on return.
    pub fn sync(&self) -> Result<(), Error> {
        self.log.lock().expect(LOCK).sync()?;
        self.counters.synced();
        Ok(())
    }

    /// How long [`Shard::sync`] took, by the clock of who called it.
    pub fn sync_took(&self, took: Duration) {
        self.counters.sync_took(took);
    }

    /// Counts a synced batch's entries into the cache of the tail.
    pub fn remember(&self, batch: &[(GroupId, Write)]) {
        let groups = self.find(batch);
        let written = batch.iter().zip(&groups);
        self.cache
            .admit(written.filter_map(|((_, write), group)| {
                Some((&group.as_ref()?.log, &write.entries[..]))
            }));
    }

    /// Whether the disk has room for new records. Deletion, reads, votes and markers go on without.
    pub fn has_room(&self) -> bool {
        self.room.load(Ordering::Relaxed)
    }

    /// Asks the disk again. Called by the log thread after each write and now and then.
    ///
    /// Once records were refused they are taken again only with a sixteenth more room, so that the answer does not flap.
    pub fn refresh_room(&self) {
        let min_free_bytes = self.options.min_free_bytes;
        let needed = match self.has_room() {
            true => min_free_bytes,
            false => min_free_bytes.saturating_add(min_free_bytes / 16),
        };
        let room = match self.disk.free_bytes() {
            Ok(free) => free >= needed,
            Err(error) => {
                tracing::warn!(%error, "cannot read the disk's free space");
                false
            }
        };
        if self.room.swap(room, Ordering::Relaxed) != room {
            if room {
                tracing::info!(min_free_bytes, "disk has room again, records are accepted");
            } else {
                tracing::warn!(
                    min_free_bytes,
                    "disk is nearly full, new records are refused"
                );
            }
        }
    }

    /// Of the directory's disk; `None` when the disk does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        self.disk.free_bytes().ok()
    }

    /// What was done since the shard was opened.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    pub fn log_bytes(&self) -> u64 {
        self.log.lock().expect(LOCK).bytes_in_use()
    }

    /// The data of one entry at most: it must fit a segment of the log, with its headers.
    pub fn max_entry_bytes(&self) -> usize {
        (self.options.log.segment_bytes as usize).saturating_sub(ENTRY_OVERHEAD_BYTES)
    }

    pub fn options(&self) -> &ShardOptions {
        &self.options
    }

    /// Bytes of all families' files.
    pub fn family_bytes(&self) -> Result<u64, Error> {
        Ok(self.families.disk_bytes()?)
    }

    /// One durable step: the group is as the snapshot says, its log is empty behind it. Its runs are there already.
    fn install(
        &self,
        id: GroupId,
        snapshot: &Snapshot,
        hard_state: Option<&HardState>,
        position: Position,
    ) -> Result<(), Error> {
        let group = self.group(id)?;
        let _rows = self.rows.lock().expect(LOCK);
        let mut sealed = group.sealed.lock().expect(LOCK);
        let metadata = snapshot.get_metadata();
        let mut hard_state = hard_state
            .cloned()
            .unwrap_or_else(|| group.log.hard_state());
        // Entries behind the snapshot that are committed, too, are yet to be written.
        hard_state.commit = metadata.index;
        let SnapshotHeader { next_offset, .. } = SnapshotHeader::decode(&snapshot.data)
            .ok_or_else(|| Error::Group {
                group: id,
                reason: "snapshot has no header".to_owned(),
            })?;
        let row = GroupRow {
            hard_state,
            hard_state_from: position,
            truncated_index: metadata.index,
            truncated_term: metadata.term,
            next_offset,
            entries_from: position,
            conf_state: metadata.get_conf_state().clone(),
            applied: metadata.index,
            machine: snapshot.data.clone(),
            ..sealed.row.clone()
        };
        self.families
            .put(&[(keys::group(id), Some(row.encode()))])?;
        self.families.flush()?;
        sealed.row = row;
        Ok(())
    }
}

pub(super) const LOCK: &str = "no holder of this lock panics";

impl Sealed {
    /// The offset behind the last run. Runs that were imported may reach beyond where the log begins.
    pub(super) fn sealed_to(&self) -> Offset {
        self.runs.last().map_or(Offset(0), |run| run.next)
    }
}

impl Group {
    fn new(log: GroupLog, row: GroupRow, runs: Vec<Run>, swept: bool) -> Group {
        Group {
            log,
            sealed: Mutex::new(Sealed {
                row,
                runs,
                swept,
                avoided: Vec::new(),
                deleted: false,
            }),
        }
    }

    /// The oldest position of the shared log that this group still needs.
    pub(super) fn oldest_needed(&self) -> Option<Position> {
        self.log.oldest_needed(&self.sealed.lock().expect(LOCK).row)
    }

    fn replay(&self, located: Located, record: Record) -> Result<(), String> {
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
fn first_row(voters: &[PeerId], position: Position) -> GroupRow {
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

fn check_format(families: &dyn Families) -> Result<(), Error> {
    match families.get(Family::Rows, keys::FORMAT)? {
        Some(version) if version[..] == [FORMAT_VERSION] => Ok(()),
        Some(version) => Err(Error::Version {
            found: version.first().copied().unwrap_or(0),
            supported: FORMAT_VERSION,
        }),
        None => {
            families.put(&[(keys::FORMAT.to_vec(), Some(vec![FORMAT_VERSION]))])?;
            Ok(families.flush()?)
        }
    }
}

fn finish_deletions(families: &dyn Families) -> Result<(), Error> {
    let (from, to) = keys::all_deleting();
    let mut unfinished = Vec::new();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, _| {
        unfinished.extend(keys::parse_group(key));
        true
    })?;
    unfinished
        .into_iter()
        .try_for_each(|group| finish_deletion(families, group))
}

pub(super) fn finish_deletion(families: &dyn Families, group: GroupId) -> Result<(), Error> {
    let from = keys::record(group, 0, Offset(0));
    let to = keys::record(GroupId(group.0 + 1), 0, Offset(0));
    for family in keys::families(group) {
        families.drop_range(family, &from, &to)?;
    }
    families.put(&[(keys::deleting(group), None)])?;
    Ok(())
}

fn read_rows(
    families: &dyn Families,
    damaged: &mut BTreeMap<GroupId, Error>,
) -> Result<BTreeMap<GroupId, GroupRow>, Error> {
    let mut rows = BTreeMap::new();
    let (from, to) = keys::groups();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, value| {
        let Some(id) = keys::parse_group(key) else {
            return true;
        };
        match GroupRow::decode(value) {
            Ok(row) => {
                rows.insert(id, row);
            }
            Err(error) => {
                damaged.insert(
                    id,
                    Error::Row {
                        key: key.to_vec(),
                        error,
                    },
                );
            }
        }
        true
    })?;
    Ok(rows)
}

/// The runs of each group, oldest first.
fn read_runs(
    families: &dyn Families,
    rows: &BTreeMap<GroupId, GroupRow>,
    damaged: &mut BTreeMap<GroupId, Error>,
) -> Result<BTreeMap<GroupId, Vec<Run>>, Error> {
    let mut runs: BTreeMap<GroupId, Vec<Run>> = BTreeMap::new();
    let (from, to) = keys::runs();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, value| {
        let Some((id, ..)) = keys::parse_run(key).filter(|(id, ..)| rows.contains_key(id)) else {
            return true;
        };
        match Run::decode(value) {
            Ok(run) => runs.entry(id).or_default().push(run),
            Err(error) => {
                damaged.insert(
                    id,
                    Error::Row {
                        key: key.to_vec(),
                        error,
                    },
                );
            }
        }
        true
    })?;
    for (id, runs) in &mut runs {
        runs.sort_by_key(|run| run.base);
        if let Some(pair) = runs.windows(2).find(|pair| pair[0].next > pair[1].base) {
            let reason = format!(
                "run at offset {} ends at {}, the next starts at {}",
                pair[0].base, pair[0].next, pair[1].base
            );
            damaged.insert(*id, Error::Group { group: *id, reason });
        }
    }
    Ok(runs)
}
