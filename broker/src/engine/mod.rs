//! The wiring of the layers below into something that runs: directories, threads, partitions.
//!
//! ```text
//! caller -> Handle -> raft worker -> log thread -> disk        one shard per directory, each with its own threads
//!              |          |
//!              |          +-> partition (state machine) -> view: positions, waiters
//!              +-> shard: reads                housekeeper: sealing, retention, log compaction
//! ```
//!
//! **Invariant:** what a failed directory held goes offline; other directories go on.

mod failure;
mod handle;
mod hosted;
mod housekeeper;
mod metadata_host;
mod mover;
mod pace;
mod shared;
#[cfg(test)]
mod tests;

pub use handle::{AppendError, Handle, ReadError};
pub use housekeeper::HousekeepingOptions;

use crate::metadata;
use crate::partition::TopicConfig;
use crate::raft::ports::{GroupId, PeerId};
use crate::raft::settings::Settings;
use crate::storage::shard::{Shard, ShardOptions};
use crate::storage::stats::Stats;
use crate::storage::{self, families, moving};
use hosted::Hosted;
use housekeeper::{Housekeeper, Request};
use metadata_host::MetadataHost;
use mover::{Mover, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// The id of this process's replicas while there is one broker: each group has one voter.
const SOLE_PEER: PeerId = 1;

const LOCK: &str = "no holder of this lock panics";

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// `log.dirs`: one shard each.
    pub directories: Vec<PathBuf>,
    /// `metadata.log.dir`: the one of them that holds the metadata group, if this process has a replica of it.
    pub metadata_directory: Option<PathBuf>,
    pub shard: ShardOptions,
    /// Raft workers of each directory.
    pub workers: usize,
    pub raft: Settings,
    /// The raft tick; an election takes ten to twenty of them.
    pub tick: Duration,
    pub housekeeping: HousekeepingOptions,
}

impl EngineOptions {
    pub fn new(directories: Vec<PathBuf>) -> EngineOptions {
        EngineOptions {
            directories,
            metadata_directory: None,
            shard: ShardOptions::default(),
            workers: 1,
            raft: Settings::default(),
            tick: Duration::from_millis(100),
            housekeeping: HousekeepingOptions::default(),
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}")]
    Storage { path: String, error: storage::Error },
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },
    #[error("no directory is online")]
    NoDirectory,
    #[error("group {group}: {reason}")]
    Group { group: GroupId, reason: String },
    #[error("the directory of the metadata, {path}, has failed: {reason}")]
    MetadataFailed { path: String, reason: Arc<str> },
}

/// All partitions of this process. The mover ends before what it moves between.
pub struct Engine {
    mover: Mover,
    shards: Vec<OnlineShard>,
    handles: RwLock<BTreeMap<GroupId, Handle>>,
}

/// An open directory at one moment.
#[derive(Clone, Debug)]
pub struct Directory {
    pub path: String,
    pub stats: Stats,
    pub log_bytes: u64,
    /// `None` when the families do not say.
    pub family_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
    /// Whether new records are taken, as far as the disk's space goes.
    pub has_room: bool,
    /// A write failed, and nothing is written any more.
    pub has_failed: bool,
    /// Events that wait for the raft workers.
    pub queued_events: usize,
}

/// A replica on its way to another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub group: GroupId,
    pub to: String,
    /// Bytes of its records there.
    pub bytes: u64,
    /// How many offsets of it are not there yet.
    pub lag: i64,
}

/// Dropped in this order: first no more work is asked for, then what runs ends.
struct OnlineShard {
    housekeeper: Housekeeper,
    hosted: Arc<Hosted>,
}

impl OnlineShard {
    fn spawn(hosted: Arc<Hosted>, options: &EngineOptions) -> Result<OnlineShard, Error> {
        let name = format!("keep {}", hosted.path);
        let housekeeper = Housekeeper::spawn(hosted.clone(), options.housekeeping.clone(), &name)
            .map_err(|error| Error::Io {
            path: hosted.path.clone(),
            reason: error.to_string(),
        })?;
        Ok(OnlineShard {
            housekeeper,
            hosted,
        })
    }
}

impl Engine {
    /// Opens all directories and starts every partition found there. `config_of` is asked for each.
    ///
    /// A directory that cannot be opened is reported and left out; it is an error only when none is left.
    pub fn open(
        options: &EngineOptions,
        config_of: &dyn Fn(GroupId) -> TopicConfig,
    ) -> Result<Engine, Error> {
        let mut opened: Vec<Arc<Hosted>> = Vec::new();
        let mut failed = None;
        // The directory of the metadata last: it may begin anew only where there is nothing yet.
        let mut paths: Vec<&PathBuf> = options.directories.iter().collect();
        paths.sort_by_key(|path| options.metadata_directory.as_ref() == Some(*path));
        for path in paths {
            let is_empty = failed.is_none() && opened.iter().all(|hosted| hosted.is_empty());
            // What is found and said while it opens names the directory.
            let opening = tracing::error_span!("directory", path = %path.display());
            match opening.in_scope(|| Hosted::open(path, options, is_empty)) {
                Ok(hosted) => opened.push(hosted),
                Err(error) => {
                    tracing::error!(%error, "directory stays offline");
                    failed = Some(error);
                }
            }
        }
        if opened.is_empty() {
            return Err(failed.unwrap_or(Error::NoDirectory));
        }
        let asides = settle_moves(&mut opened, failed.is_none())?;
        let mut handles = BTreeMap::new();
        let mut shards = Vec::new();
        for (hosted, aside) in opened.into_iter().zip(asides) {
            let started = hosted.start_all(config_of, &aside);
            match OnlineShard::spawn(hosted, options) {
                Ok(shard) => {
                    handles.extend(started);
                    shards.push(shard);
                }
                Err(error) => tracing::error!(%error, "directory stays offline"),
            }
        }
        let sites = shards.iter().map(|shard| Site {
            hosted: shard.hosted.clone(),
            housekeeper: shard.housekeeper.requests(),
        });
        let mover = Mover::spawn(sites.collect()).map_err(|error| Error::Io {
            path: "thread that moves replicas".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Engine {
            mover,
            shards,
            handles: RwLock::new(handles),
        })
    }

    /// Makes partitions, each in the directory that holds the fewest; they exist on disk on return.
    pub fn create(&self, new: &[(GroupId, TopicConfig)]) -> Result<Vec<Handle>, Error> {
        let mut by_shard: Vec<Vec<(GroupId, TopicConfig)>> = vec![Vec::new(); self.shards.len()];
        let mut sizes: Vec<usize> = self
            .shards
            .iter()
            .map(|shard| shard.hosted.shard.group_ids().len())
            .collect();
        for (group, config) in new {
            let (at, _) = sizes
                .iter()
                .enumerate()
                .min_by_key(|(_, size)| **size)
                .ok_or(Error::NoDirectory)?;
            sizes[at] += 1;
            by_shard[at].push((*group, config.clone()));
        }
        let mut made = Vec::new();
        for (shard, new) in self.shards.iter().zip(by_shard) {
            made.extend(shard.hosted.create(new)?);
        }
        let mut handles = self.handles.write().expect(LOCK);
        handles.extend(made.iter().map(|handle| (handle.group(), handle.clone())));
        Ok(made)
    }

    /// The cluster's metadata, when its directory is online.
    pub fn metadata(&self) -> Option<metadata::Handle> {
        let (_, host) = self.metadata_host()?;
        Some(host.handle())
    }

    /// Returns when nothing can be written to the metadata's directory any more, or its replica there cannot be trusted; the
    /// error says where and why. Until then, and without metadata, it waits.
    pub async fn metadata_failed(&self) -> Error {
        let Some((path, host)) = self.metadata_host() else {
            return std::future::pending().await;
        };
        let (path, failure) = (path.to_owned(), host.failure());
        let reason = failure.told().await;
        Error::MetadataFailed { path, reason }
    }

    fn metadata_host(&self) -> Option<(&str, &MetadataHost)> {
        let mut hosts = self.shards.iter().filter_map(|shard| {
            let host = shard.hosted.metadata.as_ref()?;
            Some((&*shard.hosted.path, host))
        });
        hosts.next()
    }

    pub fn partition(&self, group: GroupId) -> Option<Handle> {
        self.handles.read().expect(LOCK).get(&group).cloned()
    }

    pub fn partitions(&self) -> Vec<Handle> {
        self.handles.read().expect(LOCK).values().cloned().collect()
    }

    /// Deletes a partition and gives its space back.
    pub fn delete(&self, group: GroupId) -> Result<(), Error> {
        let _barred = self.mover.bar(group);
        let Some(handle) = self.handles.write().expect(LOCK).remove(&group) else {
            return Err(Error::Group {
                group,
                reason: "does not exist".to_owned(),
            });
        };
        handle.shared.hosted()?.delete(group)?;
        // A move that ended badly has left something elsewhere.
        for OnlineShard { hosted, .. } in &self.shards {
            if hosted.shard.arrived(group).is_some() || hosted.shard.group(group).is_ok() {
                let discarded = hosted.shard.discard(group);
                discarded.map_err(|error| hosted.broken(error))?;
            }
        }
        Ok(())
    }

    /// Begins to move a partition to another directory, in the background; to the one that it is in ends what was begun.
    pub fn move_to(&self, group: GroupId, directory: &str) -> Result<(), Error> {
        let refused = |reason: &str| Error::Group {
            group,
            reason: reason.to_owned(),
        };
        let handle = self.partition(group);
        let handle = handle.ok_or_else(|| refused("does not exist"))?;
        let mut places = self.shards.iter();
        let to = places.position(|shard| shard.hosted.path == directory);
        let to = to.ok_or_else(|| refused("there is no such directory"))?;
        let is_there = || Ok::<_, Error>(handle.shared.hosted()?.path == directory);
        if is_there()? {
            let _barred = self.mover.bar(group);
            // It may just have left.
            if is_there()? {
                return Ok(());
            }
        }
        self.mover.ask(group, to);
        Ok(())
    }

    /// The partitions that are on their way to another directory; the one that is being copied first.
    pub fn moves(&self) -> Vec<Move> {
        let on_their_way = self.mover.list().into_iter();
        on_their_way
            .filter_map(|(group, to)| {
                let positions = self.partition(group)?.positions();
                let hosted = &self.shards[to].hosted;
                let arrived = hosted.shard.arrived(group).unwrap_or_default();
                let there = arrived.next.max(positions.log_start);
                Some(Move {
                    group,
                    to: hosted.path.clone(),
                    bytes: arrived.bytes,
                    lag: (positions.log_end - there).max(0),
                })
            })
            .collect()
    }

    /// Bytes of records that moves have copied since the start.
    pub fn moved_bytes(&self) -> u64 {
        self.mover.moved_bytes()
    }

    /// Changes what a partition knows of its topic, from its next append on.
    pub fn set_config(&self, group: GroupId, config: TopicConfig) {
        if let Some(handle) = self.partition(group) {
            handle.shared.set_config(config);
        }
    }

    /// Seals all that is committed; for tests, benchmarks and a tidy end.
    pub fn seal_all(&self) {
        self.each(Request::SealAll);
    }

    pub fn run_retention(&self) {
        self.each(Request::Retention);
    }

    pub fn run_compaction(&self) {
        self.each(Request::Compaction);
    }

    /// Bytes of the logs and of the families of all directories.
    pub fn disk_bytes(&self) -> Result<(u64, u64), Error> {
        let mut sum = (0, 0);
        for OnlineShard { hosted, .. } in &self.shards {
            let family_bytes = hosted
                .shard
                .family_bytes()
                .map_err(|error| Error::Storage {
                    path: hosted.path.clone(),
                    error,
                })?;
            sum = (sum.0 + hosted.shard.log_bytes(), sum.1 + family_bytes);
        }
        Ok(sum)
    }

    /// What each directory has done since it was opened.
    pub fn stats(&self) -> Vec<Stats> {
        self.shards
            .iter()
            .map(|shard| shard.hosted.shard.stats())
            .collect()
    }

    /// Each directory that is open, as it is now.
    pub fn directories(&self) -> Vec<Directory> {
        self.shards
            .iter()
            .map(|shard| shard.hosted.status())
            .collect()
    }

    fn each(&self, request: fn(std::sync::mpsc::Sender<()>) -> Request) {
        for shard in &self.shards {
            shard.housekeeper.ask(request);
        }
    }
}

/// Finishes or undoes the moves that were interrupted, and says what must not run in each directory. One that cannot be read is
/// left out.
fn settle_moves(
    opened: &mut Vec<Arc<Hosted>>,
    mut all_open: bool,
) -> Result<Vec<BTreeSet<GroupId>>, Error> {
    loop {
        let shards: Vec<&Shard> = opened.iter().map(|hosted| &*hosted.shard).collect();
        match moving::settle(&shards, all_open) {
            Ok(settled) => {
                let mut asides = vec![BTreeSet::new(); opened.len()];
                for aside in settled {
                    let (path, group) = (&opened[aside.shard].path, aside.group);
                    tracing::error!(path, %group, reason = aside.reason, "a replica stays offline here");
                    asides[aside.shard].insert(group);
                }
                return Ok(asides);
            }
            Err((at, error)) => {
                let error = opened.remove(at).broken(error);
                tracing::error!(%error, "directory stays offline");
                all_open = false;
                if opened.is_empty() {
                    return Err(error);
                }
            }
        }
    }
}

impl From<families::Error> for Error {
    fn from(error: families::Error) -> Error {
        let path = match &error {
            families::Error::Io { path, .. }
            | families::Error::Corrupt { path, .. }
            | families::Error::Full { path, .. } => path.clone(),
        };
        Error::Storage {
            path,
            error: error.into(),
        }
    }
}
