//! One broker: a disk and column families that outlive it, and while it runs a shard, a worker and what lies between them.

use crate::families::SimFamilies;
use crate::machine::{Machine, Tap};
use crate::plan::{Plan, Planted};
use millrace_broker::partition::{Partition, Positions, TopicConfig};
use millrace_broker::raft::ports::{GroupId, LogStore, PeerId, Transport, Write};
use millrace_broker::raft::{GroupConfig, Role, Settings, Worker};
use millrace_broker::storage::Error;
use millrace_broker::storage::disk::{TwinDisk, Unsynced};
use millrace_broker::storage::families;
use millrace_broker::storage::families::twin::TwinFamilies;
use millrace_broker::storage::group_log::GroupLog;
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log;
use millrace_broker::storage::read::{Range, Read};
use millrace_broker::storage::seal::Checkpoint;
use millrace_broker::storage::shard::Shard;
use raft::eraftpb::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

pub struct Batch {
    pub token: u64,
    pub writes: Vec<(GroupId, Write)>,
}

type Queue = Rc<RefCell<VecDeque<Batch>>>;
type Out = Rc<RefCell<Vec<(GroupId, Message)>>>;

/// The log as a worker sees it: batches wait here until the disk takes them.
pub struct SimLog {
    queue: Queue,
    forgets_votes: bool,
}

impl LogStore for SimLog {
    type Log = GroupLog;

    fn submit(&mut self, token: u64, mut writes: Vec<(GroupId, Write)>) {
        if self.forgets_votes {
            for state in writes
                .iter_mut()
                .filter_map(|(_, write)| write.hard_state.as_mut())
            {
                state.vote = 0;
            }
        }
        self.queue.borrow_mut().push_back(Batch { token, writes });
    }
}

pub struct Outbox(Out);

impl Transport for Outbox {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        let messages = messages.into_iter().map(|message| (group, message));
        self.0.borrow_mut().extend(messages);
    }
}

pub struct Running {
    pub shard: Arc<Shard>,
    pub worker: Worker<SimLog, Machine, Outbox>,
    pub queue: Queue,
    /// Appended, not synced.
    pub written: Vec<Batch>,
    pub out: Out,
    pub tap: Tap,
    /// The highest seen since it started.
    pub high_watermarks: BTreeMap<GroupId, Offset>,
}

pub struct Broker {
    pub disk: TwinDisk,
    pub families: SimFamilies,
    openings: u64,
    /// Which replica of each group lives here.
    pub local: BTreeMap<GroupId, PeerId>,
    pub running: Option<Running>,
    /// The operations of disk and families behind which everything fails.
    pub armed: Option<(u64, u64)>,
    /// Bits were turned in its log.
    pub is_flipped: bool,
    /// Syncs of its log fail.
    pub fails_syncs: bool,
    /// Its disk is full, or nearly.
    pub is_full: bool,
}

/// Why a broker does not start.
pub enum OpenFailure {
    Shard(Error),
    Group(String),
}

impl Broker {
    pub fn new() -> Broker {
        Broker {
            disk: TwinDisk::new(),
            families: SimFamilies::new(TwinFamilies::new()),
            openings: 0,
            local: BTreeMap::new(),
            running: None,
            armed: None,
            is_flipped: false,
            fails_syncs: false,
            is_full: false,
        }
    }

    /// An empty volume in place of the old one.
    pub fn lose_volume(&mut self) {
        let openings = self.openings;
        *self = Broker::new();
        self.openings = openings;
    }

    /// The power goes, or only the process. What was not synced survives by chance.
    pub fn crash(&mut self, rng: &mut SmallRng) {
        self.running = None;
        let mode = rng.random_range(0..5);
        let mut pick = |below: usize| rng.random_range(0..below);
        self.disk = match mode {
            0 => self.disk.kill(),
            1 => self.disk.crash(Unsynced::Lost),
            2 => self.disk.crash(Unsynced::Kept),
            _ => self.disk.crash(Unsynced::Torn(&mut pick)),
        };
        // A killed disk keeps the failures that were set.
        self.disk.fail_after_ops(u64::MAX);
        self.disk.fail_syncs(false);
        self.families.twin = self.families.twin.crash(&mut pick);
        self.armed = None;
        self.fails_syncs = false;
    }

    pub fn open(
        &mut self,
        plan: &Plan,
        configs: &BTreeMap<GroupId, TopicConfig>,
        seed: u64,
    ) -> Result<(), OpenFailure> {
        self.openings += 1;
        let shard = Shard::open(
            Arc::new(self.disk.clone()),
            Arc::new(self.families.clone()),
            plan.shard.clone(),
            self.openings,
        )
        .map_err(OpenFailure::Shard)?;
        if let Some((group, error)) = shard.damaged().first_key_value() {
            return Err(OpenFailure::Group(format!(
                "group {group} is damaged: {error}"
            )));
        }
        let queue = Queue::default();
        let out = Out::default();
        let log = SimLog {
            queue: queue.clone(),
            forgets_votes: plan.is(Planted::ForgottenVote),
        };
        let settings = Settings {
            max_batches_in_flight: plan.batches_in_flight,
            max_append_bytes: plan.append_bytes,
            max_apply_bytes: plan.append_bytes.max(2000),
            ..Settings::default()
        };
        let running = Running {
            shard: Arc::new(shard),
            worker: Worker::new(settings, log, Outbox(out.clone())),
            queue,
            written: Vec::new(),
            out,
            tap: Tap::default(),
            high_watermarks: BTreeMap::new(),
        };
        self.running = Some(running);
        let here: BTreeSet<GroupId> = self.running().shard.group_ids().into_iter().collect();
        // Made or deleted in part when the broker died: nobody was told of them.
        for group in here.iter().filter(|group| !self.local.contains_key(group)) {
            let deleted = self.running().shard.delete(*group);
            deleted.map_err(OpenFailure::Shard)?;
        }
        for (group, peer) in self.local.clone() {
            if !here.contains(&group) {
                return Err(OpenFailure::Group(format!("group {group} is gone")));
            }
            self.add(group, peer, &configs[&group], seed)?;
        }
        Ok(())
    }

    /// The worker takes a replica that is in the shard.
    pub fn add(
        &mut self,
        group: GroupId,
        peer: PeerId,
        config: &TopicConfig,
        seed: u64,
    ) -> Result<(), OpenFailure> {
        let running = self.running.as_mut().expect("the broker runs");
        let start = running.shard.start(group).map_err(OpenFailure::Shard)?;
        let max_entry_bytes = running.shard.max_entry_bytes();
        let partition = match start.machine.is_empty() {
            true => Ok(Partition::new(config.clone(), max_entry_bytes)),
            false => Partition::from_snapshot_row(config.clone(), max_entry_bytes, &start.machine),
        };
        let fail = |error: String| OpenFailure::Group(format!("group {group}: {error}"));
        let machine = Machine {
            partition: partition.map_err(|error| fail(error.to_string()))?,
            group,
            peer,
            tap: running.tap.clone(),
        };
        let config = GroupConfig {
            group,
            peer,
            applied: start.applied,
            membership_index: start.applied,
            seed,
        };
        running
            .worker
            .add(&config, start.log, machine)
            .map_err(|error| fail(error.to_string()))
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the broker runs")
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }
}

impl Running {
    /// The disk takes some batches, oldest first; they are not synced. If it has no room for them they wait, as they do in the
    /// log thread.
    pub fn write(&mut self, at_most: usize) -> Result<Vec<u64>, Error> {
        let count = at_most.min(self.queue.borrow().len());
        let batches: Vec<Batch> = self.queue.borrow_mut().drain(..count).collect();
        let writes: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.writes.clone())
            .collect();
        let tokens = batches.iter().map(|batch| batch.token).collect();
        let appended = self.shard.append(&writes);
        self.shard.refresh_room();
        if appended.is_ok() {
            self.written.extend(batches);
            return Ok(tokens);
        }
        let mut queue = self.queue.borrow_mut();
        for batch in batches.into_iter().rev() {
            queue.push_front(batch);
        }
        match appended {
            Err(
                Error::Log(log::Error::Full { .. }) | Error::Families(families::Error::Full { .. }),
            ) => Ok(Vec::new()),
            appended => appended.map(|()| tokens),
        }
    }

    /// What the log thread does when the log has failed: nobody's batch will ever be durable.
    pub fn fail_all(&mut self, error: &Error) {
        let queued: Vec<Batch> = self.queue.borrow_mut().drain(..).collect();
        for batch in std::mem::take(&mut self.written).into_iter().chain(queued) {
            self.worker.persisted(batch.token, Err(error.clone()));
        }
    }

    /// All that was written is durable, and the worker hears of it.
    pub fn sync(&mut self, is_known_already: bool, believes: bool) -> Result<(), Error> {
        let synced = self.shard.sync();
        if !believes {
            synced?;
        }
        for batch in std::mem::take(&mut self.written) {
            self.shard.remember(&batch.writes);
            if !is_known_already {
                self.worker.persisted(batch.token, Ok::<(), Error>(()));
            }
        }
        Ok(())
    }

    pub fn positions(&self, group: GroupId) -> Option<Positions> {
        let machine = self.worker.machine(group)?;
        Some(machine.partition.view().positions())
    }

    /// The first fault of any replica.
    pub fn fault(&self) -> Option<String> {
        if let Some(fault) = self.worker.fault() {
            return Some(fault.to_string());
        }
        self.worker
            .groups()
            .find_map(|group| match self.worker.status(group)?.role {
                Role::Offline(fault) => Some(format!("group {group}: {fault}")),
                _ => None,
            })
    }

    pub fn checkpoint(&mut self, group: GroupId, claims_too_much: bool) -> Option<Checkpoint> {
        let status = self.worker.status(group)?;
        let machine = self.worker.machine_mut(group)?.partition_snapshot()?;
        let more = u64::from(claims_too_much && status.last_index > status.applied);
        Some(Checkpoint {
            group,
            applied: status.applied + more,
            conf_state: status.membership,
            machine,
        })
    }

    pub fn read(
        &self,
        group: GroupId,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Result<Read, Error> {
        let range = Range {
            from,
            upto,
            max_bytes,
        };
        self.shard.read(group, range)
    }
}

impl Machine {
    fn partition_snapshot(&mut self) -> Option<bytes::Bytes> {
        use millrace_broker::raft::ports::StateMachine as _;
        self.partition.snapshot().ok()
    }
}
