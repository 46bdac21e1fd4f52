//! One directory that runs: its shard, its raft workers, its log thread, its partitions.

use super::catch_up::Imports;
use super::failure::MetadataFailure;
use super::handle::Handle;
use super::metadata_host::MetadataHost;
use super::network::Wire;
use super::shared::{Place, Shared};
use super::{Directory, EngineOptions, Error, LOCK, Spec};
use crate::metadata;
use crate::partition::{Fault, Partition, TopicConfig, Turnovers};
use crate::raft::ports::{GroupId, PeerId, StateMachine as _};
use crate::raft::runtime::{self, Runtime, RuntimeSettings};
use crate::raft::{GroupConfig, Role, Status, Worker};
use crate::storage;
use crate::storage::disk::OsDisk;
use crate::storage::families::rocks::RocksFamilies;
use crate::storage::shard::Shard;
use crate::storage::writer::{LogThread, Submitter};
use bytes::Bytes;
use raft::eraftpb::ConfState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

/// How long a directory waits for its worker to take or let go of a partition.
const WORKER_PATIENCE: Duration = Duration::from_secs(30);

pub(super) type RaftWorker = Worker<Submitter, Partition, Wire>;
pub(super) type RaftHandle = runtime::Handle<Submitter, Partition, Wire>;

pub(super) struct Hosted {
    pub path: String,
    workers: Vec<Runtime<Submitter, Partition, Wire>>,
    /// In the directory that holds the metadata group.
    pub metadata: Option<MetadataHost>,
    pub log_thread: LogThread,
    pub shard: Arc<Shard>,
    partitions: RwLock<BTreeMap<GroupId, Arc<Shared>>>,
    max_entry_bytes: usize,
    turnovers: Arc<Turnovers>,
    pub imports: Imports,
    this: Weak<Hosted>,
}

/// A partition's machine, in its worker's hands.
pub(super) struct Visit<'a> {
    pub machine: &'a mut Partition,
    pub applied: u64,
    pub conf_state: &'a ConfState,
}

/// A partition that no worker holds.
pub(super) struct Released {
    pub log: storage::GroupLog,
    pub machine: Partition,
    pub status: Status,
}

impl Visit<'_> {
    pub fn machine_snapshot(&mut self) -> Result<Bytes, Fault> {
        self.machine.snapshot()
    }
}

impl Drop for Hosted {
    /// Workers end first, then the log thread: a worker that has ended has dropped its submitter, and with it its share of the
    /// shard. When this returns nobody but who still holds a [`Handle`] keeps the directory open.
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            if worker.stop().is_err() {
                tracing::error!(path = %self.path, "a raft worker panicked");
            }
        }
        if let Some(Err(_)) = self.metadata.take().map(MetadataHost::stop) {
            tracing::error!(path = %self.path, "the metadata's raft worker panicked");
        }
    }
}

impl Hosted {
    pub fn status(&self) -> Directory {
        Directory {
            path: self.path.clone(),
            stats: self.shard.stats(),
            log_bytes: self.shard.log_bytes(),
            family_bytes: self.shard.family_bytes().ok(),
            free_bytes: self.shard.free_bytes(),
            has_room: self.shard.has_room(),
            has_failed: self.log_thread.has_failed(),
            queued_events: self
                .workers
                .iter()
                .map(|worker| worker.handle().queued())
                .sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.shard.group_ids().is_empty() && self.shard.damaged().is_empty()
    }

    /// `others_are_empty` when no other directory holds anything, as far as can be known.
    pub fn open(
        path: &Path,
        options: &EngineOptions,
        others_are_empty: bool,
        turnovers: &Arc<Turnovers>,
    ) -> Result<Arc<Hosted>, Error> {
        let name = path.display().to_string();
        let io = |error: std::io::Error| Error::Io {
            path: name.clone(),
            reason: error.to_string(),
        };
        let broken = |error: storage::Error| Error::Storage {
            path: name.clone(),
            error,
        };
        std::fs::create_dir_all(path).map_err(io)?;
        let disk = OsDisk::open(path.join("log")).map_err(io)?;
        let families = RocksFamilies::open(path.join("families"))?;
        let shard = Shard::open(
            Arc::new(disk),
            Arc::new(families),
            options.shard.clone(),
            fresh_salt(),
        )
        .map_err(broken)?;
        let shard = Arc::new(shard);
        // Of any write to this directory, whosever it was: the metadata's next one would fail, too.
        let failure = MetadataFailure::default();
        let log_failed = failure.clone();
        let log_failed = move |error: &storage::Error| log_failed.tell(&error.to_string());
        let log_thread = LogThread::spawn(shard.clone(), &name, log_failed).map_err(io)?;
        let mut workers = Vec::new();
        for n in 0..options.workers.max(1) {
            let runtime = RuntimeSettings {
                name: format!("raft-{n} {name}"),
                tick: options.tick,
                ..Default::default()
            };
            let (settings, submitters) = (options.raft.clone(), log_thread.submitters());
            let wire = Wire::of_partitions(options);
            let make = move |handle: RaftHandle| {
                let submitter = submitters.submitter(Arc::new(move |token, result| {
                    handle.persisted(token, result)
                }));
                Worker::new(settings, submitter, wire)
            };
            workers.push(Runtime::spawn(&runtime, make, |_, _| ()).map_err(io)?);
        }
        let metadata = match options.metadata_directory.as_deref() == Some(path) {
            true => Some(MetadataHost::open(
                &name,
                &shard,
                &log_thread,
                options,
                others_are_empty,
                failure,
            )?),
            false => None,
        };
        let max_entry_bytes = shard
            .max_entry_bytes()
            .min(options.raft.max_uncommitted_bytes as usize);
        Ok(Arc::new_cyclic(|this| Hosted {
            path: name,
            workers,
            metadata,
            log_thread,
            shard,
            partitions: RwLock::default(),
            max_entry_bytes,
            turnovers: turnovers.clone(),
            imports: Imports::default(),
            this: this.clone(),
        }))
    }

    /// The partitions that are found in the directory, but for what is `aside`.
    pub fn found(&self, aside: &BTreeSet<GroupId>) -> Vec<GroupId> {
        let mut found = self.shard.group_ids();
        found.retain(|group| *group != metadata::GROUP && !aside.contains(group));
        found
    }

    /// Makes replicas on disk; they are not started.
    pub fn make(&self, new: &[(GroupId, Vec<PeerId>)]) -> Result<(), Error> {
        let made = self.shard.create(new);
        made.map_err(|error| self.broken(error))
    }

    /// Starts replicas that are in this directory.
    pub fn start(&self, new: Vec<(GroupId, Spec)>) -> Vec<(GroupId, Result<Handle, Error>)> {
        let (sender, receiver) = channel();
        let mut views = BTreeMap::new();
        let mut failed = Vec::new();
        for (group, spec) in new {
            let Spec {
                peer,
                members,
                config,
            } = spec;
            match self.load(group, peer, config) {
                Ok((machine, group_config, log)) => {
                    let seen = (machine.view(), machine.config().clone(), peer);
                    views.insert(group, (seen, members.clone()));
                    let sender = sender.clone();
                    let add = move |worker: &mut RaftWorker| {
                        worker.transport().set_route(group, &members);
                        let added = worker.add(&group_config, log, machine);
                        let _ = sender.send((group, added.map_err(|error| error.to_string())));
                    };
                    self.call(group, add);
                }
                Err(error) => failed.push((group, Err(error))),
            }
        }
        drop(sender);
        let mut started = failed;
        let mut partitions = self.partitions.write().expect(LOCK);
        while let Ok((group, added)) = receiver.recv_timeout(WORKER_PATIENCE) {
            let Some(((view, config, peer), members)) = views.remove(&group) else {
                continue;
            };
            started.push((
                group,
                added
                    .map_err(|reason| Error::Group { group, reason })
                    .map(|()| {
                        let shared = Arc::new(Shared::new(
                            group,
                            view,
                            config,
                            self.max_entry_bytes,
                            (peer, members),
                            self.place(group),
                        ));
                        partitions.insert(group, shared.clone());
                        shared.view.tell_turnovers(group, &self.turnovers);
                        Handle { shared }
                    }),
            ));
        }
        let unanswered = |group| {
            (
                group,
                Err(Error::Group {
                    group,
                    reason: "its worker does not answer".to_owned(),
                }),
            )
        };
        started.extend(views.into_keys().map(unanswered));
        started
    }

    fn load(
        &self,
        group: GroupId,
        peer: PeerId,
        config: TopicConfig,
    ) -> Result<(Partition, GroupConfig, storage::GroupLog), Error> {
        let start = self
            .shard
            .start(group)
            .map_err(|error| self.broken(error))?;
        let machine = match start.machine.is_empty() {
            true => Partition::new(config, self.max_entry_bytes),
            false => Partition::from_snapshot_row(config, self.max_entry_bytes, &start.machine)
                .map_err(|error| Error::Group {
                    group,
                    reason: error.to_string(),
                })?,
        };
        let applied = start.applied;
        Ok((machine, group_config(group, peer, applied), start.log))
    }

    pub fn delete(&self, group: GroupId) -> Result<(), Error> {
        let removed = self.partitions.write().expect(LOCK).remove(&group);
        let (sender, receiver) = channel();
        self.call(group, move |worker| {
            drop(worker.remove(group));
            worker.transport().forget(group);
            let _ = sender.send(());
        });
        receiver
            .recv_timeout(WORKER_PATIENCE)
            .map_err(|_| Error::Group {
                group,
                reason: "its worker does not answer".to_owned(),
            })?;
        if let Some(shared) = removed {
            shared.view.close();
        }
        self.shard.delete(group).map_err(|error| self.broken(error))
    }

    /// Takes a partition out of its worker, when nothing is under way there.
    pub fn release(&self, group: GroupId) -> Option<Released> {
        let (sender, receiver) = channel();
        let given_up = Arc::new(Mutex::new(false));
        let is_given_up = given_up.clone();
        self.call(group, move |worker| {
            // Held until it is sent: what is taken out of here must not get lost.
            let is_given_up = is_given_up.lock().expect(LOCK);
            let released = (!*is_given_up).then(|| worker.remove_idle(group)).flatten();
            if let Some((log, machine, status)) = released {
                worker.transport().forget(group);
                let _ = sender.send(Released {
                    log,
                    machine,
                    status,
                });
            }
        });
        let released = receiver.recv_timeout(WORKER_PATIENCE);
        *given_up.lock().expect(LOCK) = true;
        released.or_else(|_| receiver.try_recv()).ok()
    }

    /// The partition runs here from now on: `log` and `machine` are as of `applied`.
    pub fn adopt(
        &self,
        shared: &Arc<Shared>,
        log: storage::GroupLog,
        machine: Partition,
        applied: u64,
    ) -> Result<(), Error> {
        let group = shared.group;
        let config = group_config(group, shared.peer, applied);
        let (sender, receiver) = channel();
        let members = shared.members();
        self.call(group, move |worker| {
            worker.transport().set_route(group, &members);
            let added = worker.add(&config, log, machine);
            let _ = sender.send(added.map_err(|error| error.to_string()));
        });
        let added = receiver
            .recv_timeout(WORKER_PATIENCE)
            .unwrap_or_else(|_| Err("its worker does not answer".to_owned()));
        let mut partitions = self.partitions.write().expect(LOCK);
        partitions.insert(group, shared.clone());
        drop(partitions);
        // Also when it could not be started: this is where it lies.
        shared.settle_at(self.place(group));
        shared.apply_config();
        added.map_err(|reason| Error::Group { group, reason })
    }

    /// The partition was to move and goes on where it is.
    pub fn resume(&self, shared: &Shared) {
        shared.settle_at(self.place(shared.group));
    }

    /// The partition is not this directory's any more.
    pub fn forget(&self, group: GroupId) {
        self.partitions.write().expect(LOCK).remove(&group);
    }

    pub fn find(&self, group: GroupId) -> Option<Arc<Shared>> {
        self.partitions.read().expect(LOCK).get(&group).cloned()
    }

    pub fn partitions(&self) -> Vec<Arc<Shared>> {
        self.partitions
            .read()
            .expect(LOCK)
            .values()
            .cloned()
            .collect()
    }

    /// Calls `look` with the machine of each group, on its worker's thread, as soon as that gets to it.
    pub fn visit(
        &self,
        groups: Vec<GroupId>,
        look: impl FnMut(GroupId, &mut Visit<'_>) + Clone + Send + 'static,
    ) {
        let mut by_worker: Vec<Vec<GroupId>> = vec![Vec::new(); self.workers.len()];
        for group in groups {
            by_worker[self.worker_of(group)].push(group);
        }
        for (runtime, groups) in self
            .workers
            .iter()
            .zip(by_worker)
            .filter(|(_, groups)| !groups.is_empty())
        {
            let mut look = look.clone();
            // Work that is put off when the worker has too much to do already.
            let _ = runtime.handle().call(move |worker| {
                for group in groups {
                    let Some(status) = worker
                        .status(group)
                        .filter(|s| !matches!(s.role, Role::Offline(_)))
                    else {
                        continue;
                    };
                    if let Some(machine) = worker.machine_mut(group) {
                        look(
                            group,
                            &mut Visit {
                                machine,
                                applied: status.applied,
                                conf_state: &status.membership,
                            },
                        );
                    }
                }
            });
        }
    }

    /// As [`Shared::heed`], of the partition of `group`.
    pub fn heed(&self, group: GroupId, error: &storage::Error) {
        if let Some(shared) = self.find(group) {
            shared.heed(error);
        }
    }

    pub fn report_fault(&self, doing: &str, error: &storage::Error) {
        tracing::error!(path = %self.path, %error, "{doing}");
    }

    pub fn broken(&self, error: storage::Error) -> Error {
        Error::Storage {
            path: self.path.clone(),
            error,
        }
    }

    fn worker_of(&self, group: GroupId) -> usize {
        (group.0 % self.workers.len() as u64) as usize
    }

    fn place(&self, group: GroupId) -> Place {
        Place::new(&self.this, self.shard.clone(), self.raft(group))
    }

    fn raft(&self, group: GroupId) -> RaftHandle {
        self.workers[self.worker_of(group)].handle()
    }

    /// The queue is bounded, but starting and stopping partitions must get through.
    pub fn call(&self, group: GroupId, call: impl FnOnce(&mut RaftWorker) + Send + 'static) {
        let handle = self.raft(group);
        let call = Mutex::new(Some(call));
        let call = Arc::new(call);
        loop {
            let once = call.clone();
            let queued = handle.call(move |worker| {
                if let Some(call) = once.lock().expect(LOCK).take() {
                    call(worker);
                }
            });
            if queued.is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn group_config(group: GroupId, peer: PeerId, applied: u64) -> GroupConfig {
    GroupConfig {
        group,
        peer,
        applied,
        membership_index: applied,
        seed: group.0,
    }
}

/// Different at every opening, so that bytes left in a recycled file never look new.
pub(super) fn fresh_salt() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
