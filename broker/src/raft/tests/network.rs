//! Brokers in one thread, and what is on its way between them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use raft::SnapshotStatus;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Message, MessageType,
};

use super::ledger::{Command, Ledger, Refused};
use super::memory::{Disk, DiskLog};
use crate::raft::ports::{Ack, GroupId, Transport};
use crate::raft::{
    ChangeRefusal, Delivery, Failure, GroupConfig, Reply, Role, Settings, Status, Worker,
};

pub(super) const GROUP: GroupId = GroupId(7);

#[derive(Clone, Default)]
pub(super) struct Wire(pub Rc<RefCell<Vec<(GroupId, Message)>>>);

impl Transport for Wire {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        let mut wire = self.0.borrow_mut();
        wire.extend(messages.into_iter().map(|message| (group, message)));
    }
}

/// An answer, once it is there.
pub(super) struct Answer<T, R>(Arc<Mutex<Option<Outcome<T, R>>>>);

type Outcome<T, R> = Result<T, Failure<R>>;

impl<T: Clone, R: Clone> Answer<T, R> {
    pub(super) fn get(&self) -> Option<Result<T, Failure<R>>> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) fn promise<T: Send + 'static, R: Send + 'static>() -> (Reply<T, R>, Answer<T, R>) {
    let slot = Arc::new(Mutex::new(None));
    let answer = Answer(slot.clone());
    let reply = Reply::new(move |result| {
        let before = slot.lock().unwrap().replace(result);
        assert!(before.is_none(), "answered twice");
    });
    (reply, answer)
}

pub(super) type TestWorker = Worker<Disk, Ledger, Wire>;

/// The state machine's state is as of where the log starts, so that is what is applied.
pub(super) fn open(worker: &mut TestWorker, disk: &Disk, group: GroupId, peer: u64) {
    let image = disk.durable(group);
    let log: DiskLog = disk.open(group);
    let config = GroupConfig {
        group,
        peer,
        applied: image.base,
        membership_index: image.membership.0,
        seed: peer,
    };
    let ledger = Ledger::from_state(&image.state);
    worker.add(&config, log, ledger).expect("the log is sound");
}

pub(super) fn append(
    worker: &mut TestWorker,
    group: GroupId,
    text: &str,
    ack: Ack,
) -> Answer<String, Refused> {
    ask(worker, group, Command::Append(text.to_owned()), ack)
}

pub(super) fn ask(
    worker: &mut TestWorker,
    group: GroupId,
    command: Command,
    ack: Ack,
) -> Answer<String, Refused> {
    let (reply, answer) = promise();
    worker.command(group, command, ack, reply);
    answer
}

/// Everything the disk was given becomes durable, and what follows from it is done.
pub(super) fn sync_all(worker: &mut TestWorker, disk: &Disk) {
    while worker.run_ready() {}
    while let Some(token) = disk.sync_one() {
        worker.persisted(token, Ok::<(), String>(()));
        while worker.run_ready() {}
    }
}

pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) worker: TestWorker,
}

/// One group, a replica on each broker; the peer is named like its broker.
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) wire: Wire,
    pub(super) cut_off: BTreeSet<u64>,
    pub(super) settings: Settings,
}

impl Cluster {
    pub(super) fn new(voters: &[u64], others: &[u64]) -> Self {
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            wire: Wire::default(),
            cut_off: BTreeSet::new(),
            settings: Settings::default(),
        };
        for peer in voters.iter().chain(others) {
            let disk = Disk::default();
            if voters.contains(peer) {
                disk.bootstrap(GROUP, voters, &[]);
            }
            cluster.start(*peer, disk);
        }
        cluster
    }

    fn start(&mut self, peer: u64, disk: Disk) {
        let mut worker = Worker::new(self.settings.clone(), disk.clone(), self.wire.clone());
        open(&mut worker, &disk, GROUP, peer);
        self.nodes.insert(peer, Node { disk, worker });
    }

    pub(super) fn crash(&mut self, peer: u64) {
        let node = self.nodes.remove(&peer).expect("up");
        drop(node.worker);
        node.disk.crash();
        self.start(peer, node.disk);
    }

    pub(super) fn node(&mut self, peer: u64) -> &mut Node {
        self.nodes.get_mut(&peer).expect("up")
    }

    pub(super) fn worker(&mut self, peer: u64) -> &mut TestWorker {
        &mut self.node(peer).worker
    }

    pub(super) fn ledger(&self, peer: u64) -> &Ledger {
        self.nodes[&peer].worker.machine(GROUP).expect("open")
    }

    pub(super) fn status(&self, peer: u64) -> Status {
        self.nodes[&peer].worker.status(GROUP).expect("open")
    }

    pub(super) fn leaders(&self) -> Vec<u64> {
        let mut leaders: Vec<u64> = self.nodes.keys().copied().collect();
        leaders.retain(|peer| self.status(*peer).role == Role::Leader);
        leaders
    }

    /// Delivers one message or loses it; the fate of a snapshot is reported.
    pub(super) fn deliver(&mut self, message: Message) {
        let (from, to) = (message.from, message.to);
        let is_snapshot = message.get_msg_type() == MessageType::MsgSnapshot;
        let is_cut = self.cut_off.contains(&from) || self.cut_off.contains(&to);
        let mut arrived = false;
        if let (false, Some(node)) = (is_cut, self.nodes.get_mut(&to)) {
            arrived = node.worker.message(GROUP, message) == Delivery::Accepted;
        }
        if is_snapshot && let Some(node) = self.nodes.get_mut(&from) {
            let status = match arrived {
                true => SnapshotStatus::Finish,
                false => SnapshotStatus::Failure,
            };
            node.worker.report_snapshot(GROUP, to, status);
        }
    }

    /// All disks sync and all messages arrive, until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "never at rest");
            for node in self.nodes.values_mut() {
                sync_all(&mut node.worker, &node.disk);
            }
            let messages = std::mem::take(&mut *self.wire.0.borrow_mut());
            if messages.is_empty() {
                return;
            }
            for (_, message) in messages {
                self.deliver(message);
            }
        }
    }

    pub(super) fn tick(&mut self, ticks: usize) {
        for _ in 0..ticks {
            for node in self.nodes.values_mut() {
                node.worker.tick();
            }
            self.settle();
        }
    }

    /// Makes `peer` the leader by asking it to stand.
    pub(super) fn elect(&mut self, peer: u64) {
        self.settle();
        self.worker(peer).campaign(GROUP);
        self.settle();
        assert_eq!(self.leaders(), [peer]);
    }

    pub(super) fn append(
        &mut self,
        peer: u64,
        text: &str,
        voters: usize,
    ) -> Answer<String, Refused> {
        append(self.worker(peer), GROUP, text, Ack::Committed { voters })
    }

    pub(super) fn change(
        &mut self,
        peer: u64,
        changes: &[(ConfChangeType, u64)],
    ) -> Answer<ConfState, ChangeRefusal> {
        let (reply, answer) = promise();
        let change = membership_change(changes);
        self.worker(peer).change_membership(GROUP, &change, reply);
        answer
    }
}

pub(super) fn membership_change(changes: &[(ConfChangeType, u64)]) -> ConfChangeV2 {
    let mut change = ConfChangeV2::default();
    for (kind, peer) in changes {
        let mut single = ConfChangeSingle::default();
        single.set_change_type(*kind);
        single.node_id = *peer;
        change.changes.push(single);
    }
    change
}
