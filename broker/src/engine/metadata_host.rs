//! The metadata group of this process: a raft worker of its own, so that no partition's load delays it, on the log of its
//! directory.

use super::failure::MetadataFailure;
use super::network::Wire;
use super::{EngineOptions, Error, LOCK};
use crate::metadata::{self, GROUP, Machine};
use crate::raft::ports::{Ack, PeerId, StateMachine as _};
use crate::raft::runtime::{Handle, Runtime, RuntimeSettings};
use crate::raft::{GroupConfig, Worker};
use crate::storage;
use crate::storage::seal::Checkpoint;
use crate::storage::shard::Shard;
use crate::storage::writer::{LogThread, Submitter};
use raft::eraftpb::Message;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the directory waits for the worker to take the group.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type MetadataWorker = Worker<Submitter, Machine, Wire>;

pub(super) struct MetadataHost {
    runtime: Runtime<Submitter, Machine, Wire>,
    handle: metadata::Handle,
    failure: MetadataFailure,
    path: String,
    shard: Arc<Shard>,
    peer: PeerId,
    /// Until the group is made here.
    waits: Mutex<Option<Machine>>,
}

impl MetadataHost {
    /// Makes the group when the directory is new, and it is this broker's to make.
    pub fn open(
        path: &str,
        shard: &Arc<Shard>,
        log_thread: &LogThread,
        options: &EngineOptions,
        others_are_empty: bool,
        failure: MetadataFailure,
    ) -> Result<MetadataHost, Error> {
        let is_new = !shard.group_ids().contains(&GROUP);
        // Without it nobody would know whose the partitions are, and they would be deleted.
        if is_new
            && !(others_are_empty && shard.group_ids().is_empty() && shard.damaged().is_empty())
        {
            return Err(refused(
                "the metadata is gone, but there are partitions: restore this directory, or clear all of them",
            ));
        }
        let machine = match is_new {
            true => Machine::new(),
            false => read_machine(path, shard)?,
        };
        let image = machine.watch();
        let settings = RuntimeSettings {
            name: format!("metadata {path}"),
            tick: options.tick,
            ..Default::default()
        };
        let (raft, submitters) = (options.raft.clone(), log_thread.submitters());
        let faults = failure.clone();
        let wire = Wire::of_metadata(options);
        let make = move |handle: Handle<Submitter, Machine, Wire>| {
            let submitter = submitters.submitter(Arc::new(move |token, result| {
                handle.persisted(token, result)
            }));
            Worker::new(raft, submitter, wire).on_fault(move |_, why| faults.tell(why))
        };
        let runtime = Runtime::spawn(&settings, make, |_, _| ()).map_err(|error| Error::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let commands = runtime.handle();
        let submit = Arc::new(move |command, reply| {
            commands.command(GROUP, command, Ack::Committed { voters: 1 }, reply);
        });
        let worker = runtime.handle();
        let ask_status = Arc::new(move |sender: oneshot::Sender<_>| {
            let _ = worker.call(move |worker| {
                let _ = sender.send(worker.status(GROUP));
            });
        });
        let host = MetadataHost {
            handle: metadata::Handle::new(image, submit, ask_status),
            runtime,
            failure,
            path: path.to_owned(),
            shard: shard.clone(),
            peer: options.metadata_peer,
            waits: Mutex::new(Some(machine)),
        };
        match (is_new, options.founds_metadata) {
            (true, true) => host.found(&[options.metadata_peer])?,
            (true, false) => {}
            (false, _) => host.start()?,
        }
        Ok(host)
    }

    /// Makes and starts the group.
    pub fn found(&self, voters: &[PeerId]) -> Result<(), Error> {
        if self.is_founded() {
            return Err(refused("there is metadata here already"));
        }
        self.shard
            .create(&[(GROUP, voters.to_vec())])
            .map_err(|error| broken(&self.path, error))?;
        self.start()
    }

    pub fn is_founded(&self) -> bool {
        self.waits.lock().expect(LOCK).is_none()
    }

    fn start(&self) -> Result<(), Error> {
        let mut waits = self.waits.lock().expect(LOCK);
        let Some(machine) = waits.take() else {
            return Ok(());
        };
        let start = self.shard.start(GROUP);
        let start = start.map_err(|error| broken(&self.path, error))?;
        let config = GroupConfig {
            group: GROUP,
            peer: self.peer,
            applied: start.applied,
            membership_index: start.applied,
            seed: GROUP.0 ^ self.peer,
        };
        let (sender, added) = channel();
        let log = start.log;
        let add = move |worker: &mut MetadataWorker| {
            let added = worker.add(&config, log, machine);
            let _ = sender.send(added.map_err(|error| error.to_string()));
        };
        self.runtime
            .handle()
            .call(add)
            .map_err(|full| refused(&full.to_string()))?;
        added
            .recv_timeout(PATIENCE)
            .map_err(|_| refused("its worker does not answer"))?
            .map_err(|reason| refused(&reason))
    }

    /// Lost when the worker has too much to do, as it might be on the way.
    pub fn deliver(&self, message: Message) {
        let _ = self.runtime.handle().message(GROUP, message);
    }

    /// Lets the worker do something. What it has too much to do for is lost.
    pub fn call(&self, call: impl FnOnce(&mut MetadataWorker) + Send + 'static) {
        let _ = self.runtime.handle().call(call);
    }

    /// Of the log it lies in, or of the replica itself.
    pub fn failure(&self) -> MetadataFailure {
        self.failure.clone()
    }

    pub fn handle(&self) -> metadata::Handle {
        self.handle.clone()
    }

    /// Sends the group's state as soon as its worker gets to it; nothing when that has too much to do.
    pub fn checkpoint(&self, to: Sender<Checkpoint>) {
        let _ = self.runtime.handle().call(move |worker| {
            let Some(status) = worker.status(GROUP) else {
                return;
            };
            let Some(machine) = worker.machine_mut(GROUP) else {
                return;
            };
            match machine.snapshot() {
                Ok(machine) => {
                    let _ = to.send(Checkpoint {
                        group: GROUP,
                        applied: status.applied,
                        conf_state: status.membership,
                        machine,
                    });
                }
                Err(error) => tracing::error!(%error, "cannot take a checkpoint of the metadata"),
            }
        });
    }

    /// An error is its worker's panic.
    pub fn stop(self) -> std::thread::Result<()> {
        self.runtime.stop()
    }
}

fn read_machine(path: &str, shard: &Shard) -> Result<Machine, Error> {
    let start = shard.start(GROUP).map_err(|error| broken(path, error))?;
    match start.machine.is_empty() {
        true => Ok(Machine::new()),
        false => {
            Machine::from_snapshot_row(&start.machine).map_err(|fault| refused(&fault.to_string()))
        }
    }
}

fn refused(reason: &str) -> Error {
    Error::Group {
        group: GROUP,
        reason: reason.to_owned(),
    }
}

fn broken(path: &str, error: storage::Error) -> Error {
    Error::Storage {
        path: path.to_owned(),
        error,
    }
}
