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

mod catch_up;
mod failure;
mod handle;
mod hosted;
mod housekeeper;
mod metadata_host;
mod mover;
mod network;
mod pace;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

pub use catch_up::ImportError;
pub use handle::{AppendError, Handle, ReadError};
pub use housekeeper::HousekeepingOptions;
pub use network::{Courier, Network, Nobody, SharedNetwork};

use crate::metadata::{self, BrokerId};
use crate::partition::{TopicConfig, Turnovers};
use crate::raft::ports::{GroupId, LogStore, PeerId, StateMachine, Transport};
use crate::raft::settings::Settings;
use crate::raft::{ChangeRefusal, Reply, Worker};
use crate::storage::shard::{Shard, ShardOptions};
use crate::storage::stats::Stats;
use crate::storage::{self, families, moving};
use hosted::Hosted;
use housekeeper::{Housekeeper, Request};
use metadata_host::MetadataHost;
use mover::{Mover, Site};
use raft::SnapshotStatus;
use raft::eraftpb::{ConfChangeV2, ConfState, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// What a replica is called in a group that has no other, and was made by itself.
pub const SOLE_PEER: PeerId = 1;

const LOCK: &str = "no holder of this lock panics";

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// `log.dirs`: one shard each.
    pub directories: Vec<PathBuf>,
    /// `metadata.log.dir`: the one of them that holds the metadata group, if this process has a replica of it.
    pub metadata_directory: Option<PathBuf>,
    /// What that replica is called.
    pub metadata_peer: PeerId,
    /// Whether a directory without metadata begins a cluster by itself. Else it waits for [`Engine::found_metadata`].
    pub founds_metadata: bool,
    pub network: SharedNetwork,
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
            metadata_peer: SOLE_PEER,
            founds_metadata: true,
            network: SharedNetwork(Arc::new(Nobody)),
            shard: ShardOptions::default(),
            workers: 1,
            raft: Settings::default(),
            tick: Duration::from_millis(100),
            housekeeping: HousekeepingOptions::default(),
        }
    }
}

/// What a raft worker is told of one of its groups.
enum Call {
    Transfer(PeerId),
    Campaign,
    LeaderLost(PeerId),
    SnapshotSent(PeerId, SnapshotStatus),
}

impl Call {
    fn make<L: LogStore, S: StateMachine, T: Transport>(
        self,
        group: GroupId,
        worker: &mut Worker<L, S, T>,
    ) {
        match self {
            Call::Transfer(to) => worker.transfer_leader(group, to),
            Call::Campaign => worker.campaign(group),
            Call::LeaderLost(leader) => worker.leader_lost(group, leader),
            Call::SnapshotSent(peer, status) => worker.report_snapshot(group, peer, status),
        }
    }
}

/// What the engine must be told of a replica to run it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Which of `members` it is.
    pub peer: PeerId,
    /// The replicas of its group, and the brokers that they are on.
    pub members: Vec<(PeerId, BrokerId)>,
    pub config: TopicConfig,
}

impl Spec {
    /// A partition that has no other replica.
    pub fn alone(config: TopicConfig) -> Spec {
        Spec {
            peer: SOLE_PEER,
            members: Vec::new(),
            config,
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
    /// What is on disk, and was not started: who has it is yet to be learned, or could not be.
    dormant: RwLock<BTreeMap<GroupId, Arc<Hosted>>>,
    turnovers: Arc<Turnovers>,
    /// Whether every directory could be opened.
    is_whole: bool,
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
    /// Opens all directories and starts every partition found there, as one that has no other replica. `config_of` is asked
    /// for each.
    pub fn open(
        options: &EngineOptions,
        config_of: &dyn Fn(GroupId) -> TopicConfig,
    ) -> Result<Engine, Error> {
        let engine = Engine::open_dormant(options)?;
        let found: Vec<GroupId> = engine.dormant();
        let alone = found.into_iter().map(|id| (id, Spec::alone(config_of(id))));
        for (group, started) in engine.start(alone.collect()) {
            if let Err(error) = started {
                tracing::error!(%group, %error, "partition stays offline");
            }
        }
        Ok(engine)
    }

    /// Opens all directories, and starts none of the partitions found there.
    ///
    /// A directory that cannot be opened is reported and left out; it is an error only when none is left.
    pub fn open_dormant(options: &EngineOptions) -> Result<Engine, Error> {
        let turnovers = Arc::new(Turnovers::default());
        let mut opened: Vec<Arc<Hosted>> = Vec::new();
        let mut failed = None;
        // The directory of the metadata last: it may begin anew only where there is nothing yet.
        let mut paths: Vec<&PathBuf> = options.directories.iter().collect();
        paths.sort_by_key(|path| options.metadata_directory.as_ref() == Some(*path));
        for path in paths {
            let is_empty = failed.is_none() && opened.iter().all(|hosted| hosted.is_empty());
            // What is found and said while it opens names the directory.
            let opening = tracing::error_span!("directory", path = %path.display());
            match opening.in_scope(|| Hosted::open(path, options, is_empty, &turnovers)) {
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
        let mut dormant = BTreeMap::new();
        let mut shards = Vec::new();
        for (hosted, aside) in opened.into_iter().zip(asides) {
            let found = hosted.found(&aside);
            match OnlineShard::spawn(hosted.clone(), options) {
                Ok(shard) => {
                    dormant.extend(found.into_iter().map(|group| (group, hosted.clone())));
                    shards.push(shard);
                }
                Err(error) => tracing::error!(%error, "directory stays offline"),
            }
        }
        let shards_opened = shards.len();
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
            handles: RwLock::default(),
            dormant: RwLock::new(dormant),
            is_whole: shards_opened == options.directories.len(),
            turnovers,
        })
    }

    /// Makes and starts partitions that have no other replica.
    pub fn create(&self, new: &[(GroupId, TopicConfig)]) -> Result<Vec<Handle>, Error> {
        let groups: Vec<_> = new
            .iter()
            .map(|(group, _)| (*group, vec![SOLE_PEER]))
            .collect();
        self.make(&groups)?;
        let alone = new.iter().cloned();
        let alone = alone.map(|(group, config)| (group, Spec::alone(config)));
        let started = self.start(alone.collect());
        started.into_iter().map(|(_, started)| started).collect()
    }

    /// Makes replicas, each in the directory that holds the fewest; they exist on disk on return, and take no part yet. The peers
    /// are the voters of a new group; a replica that joins others, and learns from them who they are, has none.
    pub fn make(&self, new: &[(GroupId, Vec<PeerId>)]) -> Result<(), Error> {
        let mut by_shard: Vec<Vec<(GroupId, Vec<PeerId>)>> = vec![Vec::new(); self.shards.len()];
        let mut sizes: Vec<usize> = self
            .shards
            .iter()
            .map(|shard| shard.hosted.shard.group_ids().len())
            .collect();
        for (group, voters) in new {
            let (at, _) = sizes
                .iter()
                .enumerate()
                .min_by_key(|(_, size)| **size)
                .ok_or(Error::NoDirectory)?;
            sizes[at] += 1;
            by_shard[at].push((*group, voters.clone()));
        }
        for (shard, new) in self.shards.iter().zip(by_shard) {
            if new.is_empty() {
                continue;
            }
            shard.hosted.make(&new)?;
            let made = new.iter().map(|(group, _)| (*group, shard.hosted.clone()));
            self.dormant.write().expect(LOCK).extend(made);
        }
        Ok(())
    }

    /// Which replicas' roles have changed. There is one who listens.
    pub fn turnovers(&self) -> &Turnovers {
        &self.turnovers
    }

    /// Whether all directories are here, and none has damage that hides what it holds: what is not found is nowhere.
    pub fn is_whole(&self) -> bool {
        let is_sound = |shard: &OnlineShard| {
            shard.hosted.shard.damaged().is_empty() && !shard.hosted.log_thread.has_failed()
        };
        self.is_whole && self.shards.iter().all(is_sound)
    }

    /// Changes who belongs to a partition's group, if its replica here leads.
    pub fn change_members(&self, group: GroupId, change: ConfChangeV2) {
        let reply = Reply::new(move |result: Result<ConfState, _>| {
            if let Err(error) = result {
                tracing::debug!(%group, %error, "the replicas of a partition could not be changed");
            }
        });
        if let Some(handle) = self.partition(group) {
            let worker = move |worker: &mut hosted::RaftWorker| {
                worker.change_membership(group, &change, reply);
            };
            // Tried again, when its worker has too much to do.
            let _ = handle.shared.call(worker);
        }
    }

    /// What is on disk and takes no part.
    pub fn dormant(&self) -> Vec<GroupId> {
        let dormant = self.dormant.read().expect(LOCK);
        dormant.keys().copied().collect()
    }

    pub fn is_dormant(&self, group: GroupId) -> bool {
        self.dormant.read().expect(LOCK).contains_key(&group)
    }

    /// Lets replicas that are on disk take part.
    pub fn start(&self, specs: Vec<(GroupId, Spec)>) -> Vec<(GroupId, Result<Handle, Error>)> {
        let mut started = Vec::new();
        let mut by_shard: Vec<Vec<(GroupId, Spec)>> = vec![Vec::new(); self.shards.len()];
        {
            let dormant = self.dormant.read().expect(LOCK);
            for (group, spec) in specs {
                let hosted = dormant.get(&group);
                let at = hosted.and_then(|hosted| {
                    let mut shards = self.shards.iter();
                    shards.position(|shard| Arc::ptr_eq(&shard.hosted, hosted))
                });
                match at {
                    Some(at) => by_shard[at].push((group, spec)),
                    None => started.push((
                        group,
                        Err(Error::Group {
                            group,
                            reason: "is not here, or runs already".to_owned(),
                        }),
                    )),
                }
            }
        }
        for (shard, specs) in self.shards.iter().zip(by_shard) {
            if !specs.is_empty() {
                started.extend(shard.hosted.start(specs));
            }
        }
        let mut handles = self.handles.write().expect(LOCK);
        let mut dormant = self.dormant.write().expect(LOCK);
        for (group, handle) in &started {
            if let Ok(handle) = handle {
                dormant.remove(group);
                handles.insert(*group, handle.clone());
            }
        }
        drop((handles, dormant));
        started
    }

    /// The replicas of a partition are these from now on.
    pub fn set_members(&self, group: GroupId, members: Vec<(PeerId, BrokerId)>) {
        if let Some(handle) = self.partition(group)
            && *handle.shared.members() != *members
        {
            handle.shared.set_members(members);
        }
    }

    /// Hands a replica here what another one says. What cannot be delivered is lost, as it might be on the way.
    pub fn deliver(&self, group: GroupId, message: Message) {
        if group == metadata::GROUP {
            if let Some((_, host)) = self.metadata_host() {
                host.deliver(message);
            }
        } else if let Some(handle) = self.handles.read().expect(LOCK).get(&group) {
            handle.shared.deliver(message);
        }
    }

    /// Makes the metadata's replica here, of a cluster of these first voters; or of one that is there already, and lets it in:
    /// then there are none.
    pub fn found_metadata(&self, voters: &[PeerId]) -> Result<(), Error> {
        let (_, host) = self.metadata_host().ok_or(Error::NoDirectory)?;
        host.found(voters)
    }

    /// Whether there is a replica of the metadata here.
    pub fn has_metadata(&self) -> bool {
        self.metadata_host()
            .is_some_and(|(_, host)| host.is_founded())
    }

    /// Where the metadata's replicas are.
    pub fn set_metadata_members(&self, members: Vec<(PeerId, BrokerId)>) {
        if let Some((_, host)) = self.metadata_host() {
            host.call(move |worker| worker.transport().set_route(metadata::GROUP, &members));
        }
    }

    /// Changes who has a replica of the metadata, if this broker's leads.
    pub fn change_metadata_members(
        &self,
        change: ConfChangeV2,
        reply: Reply<ConfState, ChangeRefusal>,
    ) {
        if let Some((_, host)) = self.metadata_host() {
            host.call(move |worker| worker.change_membership(metadata::GROUP, &change, reply));
        }
    }

    /// Hands the leadership of a group over, if this broker has it.
    pub fn transfer(&self, group: GroupId, to: PeerId) {
        self.call(group, Call::Transfer(to));
    }

    /// Stands for election now.
    pub fn campaign(&self, group: GroupId) {
        self.call(group, Call::Campaign);
    }

    /// The broker that a group's leader was on is gone.
    pub fn leader_lost(&self, group: GroupId, leader: PeerId) {
        self.call(group, Call::LeaderLost(leader));
    }

    /// What was sent to a replica on its way to `peer` as a snapshot has arrived there, or has not.
    pub fn snapshot_sent(&self, group: GroupId, peer: PeerId, delivered: bool) {
        let status = match delivered {
            true => SnapshotStatus::Finish,
            false => SnapshotStatus::Failure,
        };
        self.call(group, Call::SnapshotSent(peer, status));
    }

    fn call(&self, group: GroupId, call: Call) {
        if group == metadata::GROUP {
            if let Some((_, host)) = self.metadata_host() {
                host.call(move |worker| call.make(group, worker));
            }
        } else if let Some(handle) = self.partition(group) {
            let queued = handle.shared.call(move |worker| call.make(group, worker));
            if queued.is_err() {
                tracing::debug!(%group, "a raft worker has too much to do for an order");
            }
        }
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
        let handle = self.handles.write().expect(LOCK).remove(&group);
        let dormant = self.dormant.write().expect(LOCK).remove(&group);
        match (handle, dormant) {
            (Some(handle), _) => handle.shared.hosted()?.delete(group)?,
            (None, Some(hosted)) => hosted.delete(group)?,
            (None, None) => {
                return Err(Error::Group {
                    group,
                    reason: "does not exist".to_owned(),
                });
            }
        }
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
