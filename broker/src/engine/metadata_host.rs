//! The metadata group of this process: a raft worker of its own, so that no partition's load delays it, on the log of its
//! directory.

use super::failure::MetadataFailure;
use super::hosted::NoPeers;
use super::{EngineOptions, Error, SOLE_PEER};
use crate::metadata::{self, GROUP, Machine};
use crate::raft::ports::{Ack, StateMachine as _};
use crate::raft::runtime::{Handle, Runtime, RuntimeSettings};
use crate::raft::{GroupConfig, Worker};
use crate::storage;
use crate::storage::seal::Checkpoint;
use crate::storage::shard::Shard;
use crate::storage::writer::{LogThread, Submitter};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the directory waits for the worker to take the group.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct MetadataHost {
    runtime: Runtime<Submitter, Machine, NoPeers>,
    handle: metadata::Handle,
    failure: MetadataFailure,
}

impl MetadataHost {
    /// Makes the group when the directory is new.
    pub fn open(
        path: &str,
        shard: &Arc<Shard>,
        log_thread: &LogThread,
        options: &EngineOptions,
        others_are_empty: bool,
        failure: MetadataFailure,
    ) -> Result<MetadataHost, Error> {
        let broken = |error: storage::Error| Error::Storage {
            path: path.to_owned(),
            error,
        };
        let refused = |reason: String| Error::Group {
            group: GROUP,
            reason,
        };
        if !shard.group_ids().contains(&GROUP) {
            // Without it nobody would know whose the partitions are, and they would be deleted.
            if !others_are_empty || !shard.group_ids().is_empty() || !shard.damaged().is_empty() {
                return Err(refused(
                    "the metadata is gone, but there are partitions: restore this directory, or clear all of them"
                        .to_owned(),
                ));
            }
            shard.create(&[(GROUP, vec![SOLE_PEER])]).map_err(broken)?;
        }
        let start = shard.start(GROUP).map_err(broken)?;
        let machine = match start.machine.is_empty() {
            true => Machine::new(),
            false => Machine::from_snapshot_row(&start.machine)
                .map_err(|fault| refused(fault.to_string()))?,
        };
        let image = machine.watch();
        let settings = RuntimeSettings {
            name: format!("metadata {path}"),
            tick: options.tick,
            ..Default::default()
        };
        let (raft, submitters) = (options.raft.clone(), log_thread.submitters());
        let faults = failure.clone();
        let make = move |handle: Handle<Submitter, Machine, NoPeers>| {
            let submitter = submitters.submitter(Arc::new(move |token, result| {
                handle.persisted(token, result)
            }));
            Worker::new(raft, submitter, NoPeers).on_fault(move |_, why| faults.tell(why))
        };
        let runtime = Runtime::spawn(&settings, make, |_, _| ()).map_err(|error| Error::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let config = GroupConfig {
            group: GROUP,
            peer: SOLE_PEER,
            applied: start.applied,
            membership_index: start.applied,
            seed: GROUP.0,
        };
        let (sender, added) = channel();
        let log = start.log;
        let add = move |worker: &mut Worker<Submitter, Machine, NoPeers>| {
            let added = worker.add(&config, log, machine);
            let _ = sender.send(added.map_err(|error| error.to_string()));
        };
        runtime
            .handle()
            .call(add)
            .map_err(|full| refused(full.to_string()))?;
        added
            .recv_timeout(PATIENCE)
            .map_err(|_| refused("its worker does not answer".to_owned()))?
            .map_err(refused)?;
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
        Ok(MetadataHost {
            handle: metadata::Handle::new(image, submit, ask_status),
            runtime,
            failure,
        })
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
