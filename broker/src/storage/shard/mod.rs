//! One directory: a shared log, column families above it, and the groups that live in both.
//!
//! A shard fails as a whole when its log or its families cannot be written; what is wrong with one group takes only that one
//! offline. Everything here is synchronous: [`super::writer`] gives it threads, the simulation drives it step by step.
//!
//! Read on: `opening.rs` and `group.rs` for what a directory holds, `append.rs` for the way into the log, `room.rs` for full
//! disks; [`super::seal`] for the way from log to family, [`super::read`], [`super::retention`].

mod append;
mod group;
mod opening;
mod room;

pub use group::{Group, Start};

pub(super) use opening::finish_deletion;

use super::cache::TailCache;
use super::disk::Disk;
use super::error::Error;
use super::families::{Families, RowChange};
use super::group_log::GroupLog;
use super::keys;
use super::log::{LogOptions, LogReader, SharedLog};
use super::moving::Arrival;
use super::stats::{Counters, Stats};
use crate::raft::ports::{GroupId, PeerId};
use group::first_row;
use opening::{check_format, finish_deletions, read_rows, read_runs};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

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
    pub(super) reader: Arc<OnceLock<LogReader>>,
    pub(super) cache: TailCache,
    pub(super) groups: RwLock<BTreeMap<GroupId, Arc<Group>>>,
    /// Held while group rows change on disk and in memory. Taken after the log's lock, before a group's.
    pub(super) rows: Mutex<()>,
    /// Shared while a run is on its way into a family and its row, alone while a family begins anew. Taken before all others.
    pub(super) placing: RwLock<()>,
    /// Copies of other directories' groups. Taken after the log's lock and that of the rows.
    pub(super) arrivals: Mutex<BTreeMap<GroupId, Arrival>>,
    /// Groups whose rows or entries make no sense, and why.
    damaged: BTreeMap<GroupId, Error>,
    room: AtomicBool,
    pub(super) counters: Counters,
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
            arrivals: Mutex::default(),
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
            (keys::leaving(id), None),
        ];
        changes.extend(sealed.runs.iter().map(|run| (keys::run(id, run), None)));
        self.families.put(&changes)?;
        self.families.flush()?;
        sealed.deleted = true;
        self.groups.write().expect(LOCK).remove(&id);
        finish_deletion(&*self.families, id)
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
}

pub(super) const LOCK: &str = "no holder of this lock panics";
