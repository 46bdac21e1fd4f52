//! The deterministic core: many groups, one thread, no waiting.
//!
//! Events come in by calls ([`Worker::command`], [`Worker::message`], [`Worker::tick`], [`Worker::persisted`]); after a bunch
//! of them [`Worker::run_ready`] does what raft wants done, and hands what all groups want to write to the log as one batch.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use raft::SnapshotStatus;
use raft::eraftpb::{ConfChangeV2, ConfState, Message};

use super::batch::Batch;
use super::group::{Fault, Group, Wakefulness};
use super::guard::OpenError;
use super::membership::ChangeRefusal;
use super::ports::{Ack, GroupId, LogStore, PeerId, StateMachine, Transport};
use super::reply::{Failure, Reply};
use super::settings::Settings;
use super::slots::Slots;
use super::status::Status;

/// How often `run_ready` goes over the groups before it lets new events in. What one pass applies per group is bounded by
/// `Settings::max_apply_bytes`.
const MAX_PASSES: usize = 32;

/// When so many groups have something to do at once it is the worker that limits them, and an entry costs the same whatever
/// it holds: while a group's last entry is on its way to the disk, its commands gather in the next one.
const CROWD: usize = 128;

/// So much is worth a write of its own while the log has nothing to do.
const EARLY_BYTES: usize = 512 << 10;

/// A replica to open. Who its voters are, its log knows.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub group: GroupId,
    /// This replica, as the other replicas call it.
    pub peer: PeerId,
    /// The index as of which the state machine's state is; the entries above it are applied again.
    pub applied: u64,
    /// The index that the log was last given with `set_conf_state`, or that of the snapshot it starts behind.
    pub membership_index: u64,
    /// Of its election time-outs. Replicas of a group may share one.
    pub seed: u64,
}

/// What became of a message.
#[derive(Debug, PartialEq)]
pub enum Delivery {
    Accepted,
    /// Not one that a peer may send, not for this replica, or the replica is offline.
    Dropped,
    /// The group is not here; whoever creates it may deliver the message again.
    UnknownGroup(Message),
}

/// A batch that the log has and has not reported.
struct InFlight {
    token: u64,
    bytes: usize,
    /// The places of its groups, and which group was there.
    members: Vec<(usize, u64)>,
}

pub struct Worker<L: LogStore, S: StateMachine, T: Transport> {
    settings: Settings,
    store: L,
    transport: T,
    groups: Slots<Group<L::Log, S>>,
    incarnations: u64,
    /// The groups that need ticks.
    awake: BTreeSet<usize>,
    /// The groups that may have something to do, each once. They are named by their places.
    dirty: Vec<usize>,
    /// Those of them that gain nothing by doing it before the log has ended a batch.
    deferred: Vec<usize>,
    open: Batch,
    in_flight: VecDeque<InFlight>,
    unsynced_bytes: usize,
    offline: Option<Arc<str>>,
    on_fault: Box<dyn FnMut(GroupId, &str)>,
}

impl<L: LogStore, S: StateMachine, T: Transport> Worker<L, S, T> {
    pub fn new(settings: Settings, store: L, transport: T) -> Self {
        Worker {
            settings,
            store,
            transport,
            groups: Slots::new(),
            incarnations: 0,
            awake: BTreeSet::new(),
            dirty: Vec::new(),
            deferred: Vec::new(),
            open: Batch::new(1),
            in_flight: VecDeque::new(),
            unsynced_bytes: 0,
            offline: None,
            on_fault: Box::new(|_, _| ()),
        }
    }

    /// `hears` is told of each replica that goes offline, and why, before anybody who waits for it is.
    pub fn on_fault(mut self, hears: impl FnMut(GroupId, &str) + 'static) -> Self {
        self.on_fault = Box::new(hears);
        self
    }

    /// Opens a replica. A sole voter leads at once, or as soon as it has applied what is committed.
    pub fn add(&mut self, config: &GroupConfig, log: L::Log, machine: S) -> Result<(), OpenError> {
        if let Some(fault) = &self.offline {
            return Err(OpenError::Offline(fault.clone()));
        }
        if self.groups.place(config.group).is_some() {
            return Err(OpenError::Exists(config.group));
        }
        self.incarnations += 1;
        let group = Group::open(config, self.incarnations, &self.settings, log, machine)?;
        let place = self.groups.insert(config.group, group);
        self.with(place, |group, _| {
            group.settle()?;
            group.lead_if_alone()
        });
        Ok(())
    }

    /// Closes a replica; who waits for it hears [`Failure::Stopped`]. Its log and its state machine come back.
    pub fn remove(&mut self, group: GroupId) -> Option<(L::Log, S)> {
        let (place, group) = self.groups.remove(group)?;
        self.awake.remove(&place);
        Some(group.into_parts())
    }

    /// The same of a replica at which nothing is under way: all of its log is durable here, what is committed is applied, and nobody
    /// waits for either. Nothing happens to one that is offline, or has more to do.
    pub fn remove_idle(&mut self, group: GroupId) -> Option<(L::Log, S, Status)> {
        let found = self.groups.get(group).filter(|group| group.is_idle())?;
        let status = found.status();
        let (log, machine) = self.remove(group)?;
        Some((log, machine, status))
    }

    pub fn contains(&self, group: GroupId) -> bool {
        self.groups.place(group).is_some()
    }

    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.iter().map(|group| group.id)
    }

    pub fn machine(&self, group: GroupId) -> Option<&S> {
        self.groups.get(group).map(|group| &group.machine)
    }

    /// For upkeep that replicas need not agree on, and that no entry records.
    pub fn machine_mut(&mut self, group: GroupId) -> Option<&mut S> {
        self.groups.get_mut(group).map(|group| &mut group.machine)
    }

    pub fn status(&self, group: GroupId) -> Option<Status> {
        self.groups.get(group).map(Group::status)
    }

    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Why the whole worker is offline, if it is.
    pub fn fault(&self) -> Option<&Arc<str>> {
        self.offline.as_ref()
    }

    pub fn command(
        &mut self,
        group: GroupId,
        command: S::Command,
        ack: Ack,
        reply: Reply<S::Output, S::Refusal>,
    ) {
        let is_full = self.unsynced_bytes + self.open.bytes >= self.settings.max_unsynced_bytes;
        let place = match self.running(group) {
            Ok(place) => place,
            Err(failure) => return reply.answer(Err(failure)),
        };
        if is_full {
            return reply.answer(Err(Failure::Overloaded));
        }
        if let Some(group) = self.groups.at_mut(place) {
            let result = group.command(command, ack, reply);
            self.touched(place, result);
        }
    }

    pub fn message(&mut self, group: GroupId, message: Message) -> Delivery {
        let Some(place) = self.groups.place(group) else {
            return Delivery::UnknownGroup(message);
        };
        let mut delivery = Delivery::Dropped;
        self.with(place, |group, _| {
            if group.message(message)? {
                delivery = Delivery::Accepted;
            }
            Ok(())
        });
        delivery
    }

    /// Time passes for all groups that do not sleep.
    pub fn tick(&mut self) {
        let awake: Vec<usize> = self.awake.iter().copied().collect();
        for group in awake {
            self.with(group, |group, _| group.tick());
        }
    }

    /// Answered with the new membership when it is in force. One change at a time.
    pub fn change_membership(
        &mut self,
        group: GroupId,
        change: &ConfChangeV2,
        reply: Reply<ConfState, ChangeRefusal>,
    ) {
        match self.running(group) {
            Err(failure) => reply.answer(Err(failure)),
            Ok(place) => self.with(place, |group, _| group.change_membership(change, reply)),
        }
    }

    /// Asks `to` to take over; until it does, or an election time-out has passed, commands are refused. Whether it did, the
    /// status tells. Ignored unless this replica leads and `to` is another voter.
    pub fn transfer_leader(&mut self, group: GroupId, to: PeerId) {
        self.with_id(group, |group, _| match group.leads() {
            // A follower would forward it.
            true => group.transfer_leader(to),
            false => Ok(()),
        });
    }

    /// Stands for election now instead of after a time-out.
    pub fn campaign(&mut self, group: GroupId) {
        self.with_id(group, |group, _| group.campaign());
    }

    /// The broker that `leader` is on is gone. Who followed it waits for nobody any more, and votes for others at once; it does
    /// not stand for election by itself before its time.
    pub fn leader_lost(&mut self, group: GroupId, leader: PeerId) {
        self.with_id(group, |group, _| group.leader_lost(leader));
    }

    /// Somebody who reads the replica's data found it damaged: it can no longer be trusted, and takes part no more.
    pub fn take_offline(&mut self, group: GroupId, why: &str) {
        self.with_id(group, |_, _| Err(Fault::new(why)));
    }

    pub fn report_unreachable(&mut self, group: GroupId, peer: PeerId) {
        self.with_id(group, |group, _| group.report_unreachable(peer));
    }

    /// A snapshot sent to `peer` was delivered, or was not. Until one of both is reported, `peer` gets nothing else.
    pub fn report_snapshot(&mut self, group: GroupId, peer: PeerId, status: SnapshotStatus) {
        self.with_id(group, |group, _| group.report_snapshot(peer, status));
    }

    /// The log has made the batch `token` durable, or could not. Completions come in the order of submission.
    ///
    /// After one failure nothing is trusted: what the disk has of this batch, and of all after it, is unknown.
    pub fn persisted<E: std::fmt::Display>(&mut self, token: u64, result: Result<(), E>) {
        if self.offline.is_some() {
            return;
        }
        if let Err(error) = result {
            return self.go_offline(&format!("write to the log: {error}"));
        }
        self.dirty.append(&mut self.deferred);
        match self.in_flight.pop_front() {
            Some(batch) if batch.token == token => {
                self.unsynced_bytes -= batch.bytes;
                for (place, incarnation) in batch.members {
                    self.with(place, |group, transport| {
                        match group.incarnation == incarnation {
                            true => group.persisted(token, transport),
                            false => Ok(()),
                        }
                    });
                }
            }
            _ => self.go_offline(&format!("batch {token} was reported out of order")),
        }
    }

    /// Does what raft wants done since the last call. True when there is more to do at once: let events in, then call again.
    pub fn run_ready(&mut self) -> bool {
        for _ in 0..MAX_PASSES {
            if self.dirty.is_empty() {
                break;
            }
            let dirty = std::mem::take(&mut self.dirty);
            let is_crowded = dirty.len() >= CROWD;
            for group in dirty {
                self.advance(group, is_crowded);
                if self.in_flight.is_empty() && self.open.bytes >= EARLY_BYTES {
                    self.submit();
                }
            }
        }
        self.submit();
        self.transport.flush();
        !self.dirty.is_empty()
    }

    /// Whether the log has as many batches as it takes: what comes now waits for it anyway.
    pub fn is_log_busy(&self) -> bool {
        self.in_flight.len() >= self.settings.max_batches_in_flight.max(1)
    }

    fn advance(&mut self, place: usize, is_crowded: bool) {
        let is_log_busy = self.is_log_busy();
        let Some(group) = self.groups.at_mut(place) else {
            return;
        };
        // What a sole voter wants written has to wait for a place in the log anyway, and its next entries go along then.
        let waits = is_log_busy || (is_crowded && group.gains_company());
        if waits && group.leads_alone() {
            self.deferred.push(place);
            return;
        }
        group.is_dirty = false;
        if group.fault.is_some() {
            return;
        }
        let result = group.advance(&mut self.transport, &mut self.open);
        self.touched(place, result);
    }

    /// While the log has as many batches as it may, the open one grows: group commit.
    fn submit(&mut self) {
        if self.open.is_empty() || self.is_log_busy() || self.offline.is_some() {
            return;
        }
        let token = self.open.token;
        let batch = std::mem::replace(&mut self.open, Batch::new(token + 1));
        let bytes = batch.bytes;
        let writes = batch.into_writes();
        let members = writes
            .iter()
            .filter_map(|(group, _)| {
                let place = self.groups.place(*group)?;
                Some((place, self.groups.at(place)?.incarnation))
            })
            .collect();
        self.unsynced_bytes += bytes;
        self.in_flight.push_back(InFlight {
            token,
            bytes,
            members,
        });
        self.store.submit(token, writes);
    }

    /// The place of a group that is here and not offline.
    fn running<R>(&self, group: GroupId) -> Result<usize, Failure<R>> {
        let place = self.groups.place(group);
        match place.and_then(|place| Some((place, self.groups.at(place)?))) {
            None => Err(Failure::UnknownGroup),
            Some((place, group)) => match &group.fault {
                Some(fault) => Err(Failure::Faulty(fault.clone())),
                None => Ok(place),
            },
        }
    }

    fn with_id(
        &mut self,
        id: GroupId,
        happens: impl FnOnce(&mut Group<L::Log, S>, &mut T) -> Result<(), Fault>,
    ) {
        if let Some(place) = self.groups.place(id) {
            self.with(place, happens);
        }
    }

    /// Something other than a command happens to a group that is here and not offline.
    fn with(
        &mut self,
        place: usize,
        happens: impl FnOnce(&mut Group<L::Log, S>, &mut T) -> Result<(), Fault>,
    ) {
        let Some(group) = self.groups.at_mut(place) else {
            return;
        };
        if group.fault.is_some() {
            return;
        }
        let result = group
            .propose_prepared()
            .and_then(|()| happens(group, &mut self.transport));
        self.touched(place, result);
    }

    fn touched(&mut self, place: usize, result: Result<(), Fault>) {
        let Some(group) = self.groups.at_mut(place) else {
            return;
        };
        if let Err(fault) = result {
            (self.on_fault)(group.id, &fault.0);
            group.go_offline(fault);
        } else if !group.is_dirty && (group.proposal.is_some() || group.node.has_ready()) {
            group.is_dirty = true;
            self.dirty.push(place);
        }
        let is_awake = match group.wakefulness() {
            Wakefulness::Ticks => true,
            Wakefulness::Sleeps => false,
        };
        if std::mem::replace(&mut group.is_awake, is_awake) != is_awake {
            match is_awake {
                true => self.awake.insert(place),
                false => self.awake.remove(&place),
            };
        }
    }

    fn go_offline(&mut self, why: &str) {
        let fault: Arc<str> = why.into();
        tracing::error!(
            fault = why,
            groups = self.groups.len(),
            "worker goes offline"
        );
        self.offline = Some(fault.clone());
        self.awake.clear();
        self.dirty.clear();
        self.deferred.clear();
        self.in_flight.clear();
        let sound = |group: &&mut Group<L::Log, S>| group.fault.is_none();
        for group in self.groups.iter_mut().filter(sound) {
            (self.on_fault)(group.id, why);
            group.go_offline(Fault(fault.clone()));
        }
    }
}
