//! The cluster, its clients, and what can happen to them: one event at a time, all of it chosen by one seed.

use crate::broker::{Broker, OpenFailure};
use crate::clients::{Answer, Clients, MAX_OUTSTANDING, Outstanding, Producer, Request};
use crate::machine::Seen;
use crate::network::{Flight, Network};
use crate::oracle::{Checked, Oracle, Violation, violated};
use crate::plan::{Event, Plan, Planted};
use millrace_broker::partition::cleaner::LastOfProducer;
use millrace_broker::partition::compaction::{self, Limits};
use millrace_broker::partition::config::CleanupPolicy;
use millrace_broker::partition::{
    Append, Command, Origin, Output, Refusal, Role as ViewRole, SetLogStart, TopicConfig,
};
use millrace_broker::raft::Failure;
use millrace_broker::raft::ports::{Ack, GroupId, PeerId};
use millrace_broker::storage::Error;
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::seal::Checkpoint;
use raft::SnapshotStatus;
use raft::eraftpb::MessageType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// The last events, for whoever has to find out what went wrong.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<VecDeque<String>>>);

const TRACED: usize = 60;

impl Trace {
    pub fn note(&self, what: String) {
        let mut events = self.0.lock().expect("nobody panics with this lock");
        if events.len() == TRACED {
            events.pop_front();
        }
        events.push_back(what);
    }

    pub fn text(&self) -> String {
        let events = self.0.lock().expect("nobody panics with this lock");
        events.iter().map(|event| format!("  {event}\n")).collect()
    }
}

pub struct World {
    pub plan: Plan,
    pub seed: u64,
    pub rng: SmallRng,
    pub brokers: Vec<Broker>,
    pub network: Network,
    pub oracle: Oracle,
    pub clients: Clients,
    pub configs: BTreeMap<GroupId, TopicConfig>,
    /// On which brokers each group belongs.
    pub desired: BTreeMap<GroupId, BTreeSet<usize>>,
    /// Where each replica incarnation lives, or lived.
    pub homes: BTreeMap<PeerId, usize>,
    next_peer: PeerId,
    /// The last index applied by replicas that are not there any more.
    pub applied: BTreeMap<GroupId, u64>,
    /// Checkpoints that were taken a while ago and not sealed yet.
    pub stale: BTreeMap<usize, Vec<Checkpoint>>,
    /// No more faults.
    pub is_healed: bool,
    pub step: usize,
    pub trace: Trace,
}

impl World {
    pub fn new(
        seed: u64,
        brokers: Option<usize>,
        planted: Option<Planted>,
        trace: Trace,
    ) -> Checked<World> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng, brokers, planted);
        let groups: Vec<GroupId> = (1..=plan.groups).map(GroupId).collect();
        let mut configs = BTreeMap::new();
        let mut compacted = BTreeSet::new();
        for group in &groups {
            let mut config = TopicConfig::default();
            if rng.random_bool(0.3) {
                config.cleanup_policy = CleanupPolicy::CompactAndDelete;
                config.delete_retention_ms = 0;
                compacted.insert(*group);
            }
            configs.insert(*group, config);
        }
        let mut world = World {
            seed,
            rng,
            brokers: (0..plan.brokers).map(|_| Broker::new()).collect(),
            network: Network::default(),
            oracle: Oracle::new(groups.iter().copied(), compacted),
            clients: Clients::default(),
            configs,
            desired: BTreeMap::new(),
            homes: BTreeMap::new(),
            next_peer: 1,
            applied: BTreeMap::new(),
            stale: BTreeMap::new(),
            is_healed: false,
            step: 0,
            trace,
            plan,
        };
        world.trace.note(format!("{:?}", world.plan));
        for broker in 0..world.plan.brokers {
            world.open(broker)?;
        }
        for group in groups {
            world.create(group)?;
            let producers = world.rng.random_range(1..=2);
            for _ in 0..producers {
                world.clients.producers.push(Producer {
                    id: 100 + world.clients.producers.len() as i64,
                    group,
                    next_sequence: 0,
                    outstanding: VecDeque::new(),
                    is_known: false,
                });
            }
        }
        Ok(world)
    }

    fn create(&mut self, group: GroupId) -> Checked {
        let mut brokers: BTreeSet<usize> = (0..self.plan.brokers).collect();
        while brokers.len() > self.plan.replicas {
            brokers.remove(&self.rng.random_range(0..self.plan.brokers));
        }
        let peers: Vec<PeerId> = brokers.iter().map(|broker| self.peer(*broker)).collect();
        for (broker, peer) in brokers.iter().zip(&peers) {
            self.host(*broker, group, *peer, peers.clone())?;
        }
        self.desired.insert(group, brokers);
        Ok(())
    }

    /// A new incarnation.
    pub fn peer(&mut self, broker: usize) -> PeerId {
        let peer = self.next_peer;
        self.next_peer += 1;
        self.homes.insert(peer, broker);
        peer
    }

    /// A replica is made on a broker, durable on return.
    pub fn host(
        &mut self,
        broker: usize,
        group: GroupId,
        peer: PeerId,
        voters: Vec<PeerId>,
    ) -> Checked {
        let made = self.brokers[broker]
            .running()
            .shard
            .create(&[(group, voters)]);
        if let Err(error) = made {
            return self.failed(broker, &format!("create group {group}"), &error);
        }
        self.brokers[broker].local.insert(group, peer);
        let seed = self.seed ^ peer;
        let config = self.configs[&group].clone();
        match self.brokers[broker].add(group, peer, &config, seed) {
            Ok(()) => self.pump(broker),
            Err(OpenFailure::Shard(error)) => self.failed(broker, "add a group", &error),
            Err(OpenFailure::Group(error)) => violated(format!("broker {broker}: {error}")),
        }
    }

    pub fn note(&self, what: impl Into<String>) {
        self.trace.note(format!("{}: {}", self.step, what.into()));
    }

    pub fn run(&mut self) -> Checked {
        while self.step < self.plan.steps {
            self.step += 1;
            let event = self.plan.event(&mut self.rng);
            self.happen(event)?;
        }
        Ok(())
    }

    fn some_broker(&mut self, up: bool) -> Option<usize> {
        let brokers: Vec<usize> = (0..self.brokers.len())
            .filter(|broker| self.brokers[*broker].is_up() == up)
            .collect();
        (!brokers.is_empty()).then(|| brokers[self.rng.random_range(0..brokers.len())])
    }

    fn some_group(&mut self) -> GroupId {
        GroupId(self.rng.random_range(1..=self.plan.groups))
    }

    fn happen(&mut self, event: Event) -> Checked {
        let Some(broker) = self.some_broker(event != Event::Restart) else {
            return match event {
                Event::Restart => Ok(()),
                // Nobody is up: nothing else can happen.
                _ => self.happen(Event::Restart),
            };
        };
        match event {
            Event::Tick => {
                self.running(broker).worker.tick();
                self.pump(broker)
            }
            Event::Deliver => match self.network.take(&mut self.rng, self.plan.reorder) {
                Some(flight) => self.deliver(flight),
                None => Ok(()),
            },
            Event::Write => {
                let batches = self.rng.random_range(1..=3);
                self.write(broker, batches)
            }
            Event::Sync => self.sync(broker),
            Event::Produce => self.produce(),
            Event::Read => self.read(broker),
            Event::DeleteRecords => self.delete_records(),
            Event::Seal => self.seal(broker),
            Event::Compact => self.compact(broker),
            Event::Crash => {
                self.note(format!("broker {broker} crashes"));
                self.crash(broker)
            }
            Event::FailLater => {
                self.arm(broker);
                Ok(())
            }
            Event::Restart => {
                if self.rng.random_bool(0.2) {
                    self.arm(broker);
                }
                self.open(broker)
            }
            Event::Cut => {
                self.cut(broker);
                Ok(())
            }
            Event::Heal => {
                self.network.blocked.clear();
                Ok(())
            }
            Event::Transfer => {
                let group = self.some_group();
                self.transfer(group)
            }
            Event::Admin => {
                let group = self.some_group();
                self.reconcile(group)
            }
            Event::Move => {
                let group = self.some_group();
                self.relocate(group);
                Ok(())
            }
            Event::LoseVolume => {
                if self.may_lose(broker)? {
                    self.note(format!("broker {broker} loses its volume"));
                    return self.reseed(broker);
                }
                Ok(())
            }
            Event::FlipBit => {
                if self.may_lose(broker)? {
                    self.flip_bit(broker);
                }
                Ok(())
            }
            Event::Check => self.check_contents(broker),
        }
    }

    pub fn running(&mut self, broker: usize) -> &mut crate::broker::Running {
        self.brokers[broker]
            .running
            .as_mut()
            .expect("the broker is up")
    }

    /// Lets a worker do what there is to do, and looks at what it did.
    pub fn pump(&mut self, broker: usize) -> Checked {
        let Some(running) = self.brokers[broker].running.as_mut() else {
            return Ok(());
        };
        let mut turns = 0;
        while running.worker.run_ready() {
            turns += 1;
            if turns > 1000 {
                return violated(format!("broker {broker} never comes to rest"));
            }
        }
        let sent = std::mem::take(&mut *running.out.borrow_mut());
        let seen: Vec<Seen> = std::mem::take(&mut *running.tap.borrow_mut());
        for seen in seen {
            self.oracle.saw(seen)?;
        }
        for (group, message) in sent {
            self.oracle.sent(group, &message)?;
            self.send(broker, group, message)?;
        }
        self.check_positions(broker)?;
        let fault = self.brokers[broker]
            .running
            .as_ref()
            .and_then(|running| running.fault());
        if let Some(fault) = fault {
            self.fault(broker, &fault)?;
        }
        self.answers()
    }

    fn check_positions(&mut self, broker: usize) -> Checked {
        let Broker { running, local, .. } = &mut self.brokers[broker];
        let Some(running) = running.as_mut() else {
            return Ok(());
        };
        for group in local.keys() {
            let Some(now) = running.positions(*group) else {
                continue;
            };
            if !(now.log_start <= now.last_stable
                && now.last_stable <= now.high_watermark
                && now.high_watermark <= now.log_end)
            {
                return violated(format!("broker {broker}, group {group}: {now:?}"));
            }
            let known = self.oracle.truth(*group).next_offset;
            let before = running.high_watermarks.insert(*group, now.high_watermark);
            if before.is_some_and(|before| before > now.high_watermark)
                || now.high_watermark.0 > known
            {
                return violated(format!(
                    "broker {broker}, group {group}: the high watermark was {before:?}, {known} is committed, now {now:?}"
                ));
            }
        }
        Ok(())
    }

    /// A replica, or more, went offline.
    fn fault(&mut self, broker: usize, fault: &str) -> Checked {
        if self.has_failed(broker) {
            self.note(format!("broker {broker} dies: {fault}"));
            self.crash(broker)
        } else if self.brokers[broker].is_flipped {
            self.note(format!("broker {broker} is damaged: {fault}"));
            self.reseed(broker)
        } else {
            violated(format!("broker {broker} went offline: {fault}"))
        }
    }

    /// An operation failed: as was asked for, or it is a bug.
    pub fn failed(&mut self, broker: usize, doing: &str, error: &Error) -> Checked {
        self.fault(broker, &format!("{doing}: {error}"))
    }

    fn has_failed(&self, broker: usize) -> bool {
        let broker = &self.brokers[broker];
        broker.armed.is_some_and(|(disk, families)| {
            broker.disk.ops() > disk || broker.families.ops() > families
        })
    }

    fn arm(&mut self, broker: usize) {
        if self.brokers[broker].armed.is_some() {
            return;
        }
        let ops = self.rng.random_range(0..12);
        let in_disk = self.rng.random_bool(0.5);
        let broker = &mut self.brokers[broker];
        let (disk, families) = (broker.disk.ops() + ops, broker.families.ops() + ops);
        match in_disk {
            true => broker.disk.fail_after_ops(disk),
            false => broker.families.fail_after_ops(families),
        }
        broker.armed = Some(match in_disk {
            true => (disk, u64::MAX),
            false => (u64::MAX, families),
        });
    }

    pub fn crash(&mut self, broker: usize) -> Checked {
        self.stale.remove(&broker);
        self.remember_applied(broker);
        self.brokers[broker].crash(&mut self.rng);
        self.answers()
    }

    pub fn open(&mut self, broker: usize) -> Checked {
        let seed = self.seed ^ self.rng.random::<u64>();
        let opened = self.brokers[broker].open(&self.plan, &self.configs, seed);
        let fault = match opened {
            Ok(()) => {
                self.note(format!("broker {broker} starts"));
                return self.pump(broker);
            }
            Err(OpenFailure::Shard(error)) => error.to_string(),
            Err(OpenFailure::Group(error)) => error,
        };
        self.fault(broker, &format!("cannot start: {fault}"))
    }

    /// What is on this broker is gone for good. It comes back empty and nobody votes under an old id.
    pub fn reseed(&mut self, broker: usize) -> Checked {
        self.stale.remove(&broker);
        self.remember_applied(broker);
        let local = self.brokers[broker].local.clone();
        let voters: BTreeMap<GroupId, Vec<PeerId>> = local
            .keys()
            .map(|group| (*group, self.members(*group).unwrap_or_default().voters))
            .collect();
        self.brokers[broker].lose_volume();
        self.answers()?;
        self.open(broker)?;
        if self.plan.is(Planted::EmptyVoter) {
            for (group, peer) in local {
                self.host(broker, group, peer, voters[&group].clone())?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, broker: usize) {
        let other = self.rng.random_range(0..self.brokers.len());
        let kind = self.rng.random_range(0..3);
        self.note(format!("network is cut at broker {broker}, kind {kind}"));
        for to in 0..self.brokers.len() {
            match kind {
                0 => {
                    self.network.blocked.insert((broker, to));
                    self.network.blocked.insert((to, broker));
                }
                1 => {
                    self.network.blocked.insert((broker, to));
                }
                _ => {
                    self.network.blocked.insert((other, broker));
                }
            }
        }
    }

    fn write(&mut self, broker: usize, batches: usize) -> Checked {
        let is_planted = self.plan.is(Planted::AckBeforeSync);
        let running = self.running(broker);
        match running.write(batches) {
            Err(error) => self.failed(broker, "append", &error),
            Ok(tokens) => {
                if is_planted {
                    for token in tokens {
                        running.worker.persisted(token, Ok::<(), Error>(()));
                    }
                    return self.pump(broker);
                }
                Ok(())
            }
        }
    }

    fn sync(&mut self, broker: usize) -> Checked {
        let is_planted = self.plan.is(Planted::AckBeforeSync);
        match self.running(broker).sync(is_planted) {
            Err(error) => self.failed(broker, "sync", &error),
            Ok(()) => self.pump(broker),
        }
    }

    /// All that is queued reaches the disk.
    pub fn flush(&mut self, broker: usize) -> Checked {
        self.write(broker, usize::MAX)?;
        if self.brokers[broker].is_up() {
            self.sync(broker)?;
        }
        Ok(())
    }

    fn send(&mut self, from: usize, group: GroupId, message: raft::eraftpb::Message) -> Checked {
        let Some(&to) = self.homes.get(&message.to) else {
            return violated(format!("a message to peer {}, which never was", message.to));
        };
        let is_snapshot = message.get_msg_type() == MessageType::MsgSnapshot;
        let flight = Flight {
            from,
            to,
            group,
            message,
        };
        if !self.is_healed {
            if self.rng.random_range(0..1000) < self.plan.drop_permille {
                return self.lost(flight);
            }
            if !is_snapshot && self.rng.random_range(0..1000) < self.plan.duplicate_permille {
                let twin = Flight {
                    message: flight.message.clone(),
                    ..flight
                };
                if let Some(lost) = self.network.put(twin) {
                    self.lost(lost)?;
                }
            }
        }
        match self.network.put(flight) {
            Some(lost) => self.lost(lost),
            None => Ok(()),
        }
    }

    /// The sender learns of a lost snapshot always, of other losses sometimes.
    pub fn lost(&mut self, flight: Flight) -> Checked {
        let Flight {
            from,
            group,
            message,
            ..
        } = flight;
        if self.brokers[from].local.get(&group) != Some(&message.from)
            || !self.brokers[from].is_up()
        {
            return Ok(());
        }
        let tells = self.rng.random_bool(0.2);
        let worker = &mut self.running(from).worker;
        if message.get_msg_type() == MessageType::MsgSnapshot {
            worker.report_snapshot(group, message.to, SnapshotStatus::Failure);
        } else if tells {
            worker.report_unreachable(group, message.to);
        }
        Ok(())
    }

    pub fn deliver(&mut self, flight: Flight) -> Checked {
        let (from, to, group) = (flight.from, flight.to, flight.group);
        let is_blocked = self.network.blocked.contains(&(from, to));
        let is_there = self.brokers[to].is_up()
            && self.brokers[to].local.get(&group) == Some(&flight.message.to);
        if is_blocked || !is_there {
            self.lost(flight)?;
            return self.pump(from);
        }
        let is_snapshot = flight.message.get_msg_type() == MessageType::MsgSnapshot;
        if is_snapshot && !self.ship(&flight)? {
            self.lost(flight)?;
            return self.pump(from);
        }
        if !self.brokers[to].is_up() {
            return Ok(());
        }
        let (sender, target) = (flight.message.from, flight.message.to);
        self.running(to).worker.message(group, flight.message);
        self.pump(to)?;
        if is_snapshot
            && self.brokers[from].is_up()
            && self.brokers[from].local.get(&group) == Some(&sender)
        {
            let worker = &mut self.running(from).worker;
            worker.report_snapshot(group, target, SnapshotStatus::Finish);
            self.pump(from)?;
        }
        Ok(())
    }

    /// A broker that says it leads, or any other.
    fn target(&mut self, group: GroupId) -> Option<usize> {
        let leaders: Vec<usize> = (0..self.brokers.len())
            .filter(|broker| {
                let running = self.brokers[*broker].running.as_ref();
                running
                    .and_then(|running| running.positions(group))
                    .is_some_and(|positions| positions.role == ViewRole::Leader)
            })
            .collect();
        if leaders.is_empty() || self.rng.random_bool(0.1) {
            return self.some_broker(true);
        }
        Some(leaders[self.rng.random_range(0..leaders.len())])
    }

    fn produce(&mut self) -> Checked {
        if self.rng.random_bool(0.3) {
            let group = self.some_group();
            return self.produce_plain(group);
        }
        let producer = self.rng.random_range(0..self.clients.producers.len());
        if self.rng.random_bool(0.05) {
            // The client has waited long enough, and asks again.
            for outstanding in &mut self.clients.producers[producer].outstanding {
                outstanding.request = None;
            }
        }
        self.produce_more(producer, true)
    }

    /// Sends what is not under way, in order, then something new.
    pub fn produce_more(&mut self, producer: usize, new: bool) -> Checked {
        let (id, group) = {
            let producer = &self.clients.producers[producer];
            (producer.id, producer.group)
        };
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        let records = self.rng.random_range(1..=3);
        let bytes = self.rng.random_range(0..400);
        let known = &self.clients.producers[producer];
        let room = if known.is_known { MAX_OUTSTANDING } else { 1 };
        let is_idle = known
            .outstanding
            .iter()
            .all(|batch| batch.request.is_some());
        if new && is_idle && known.outstanding.len() < room {
            let sequence = known.next_sequence;
            let (bytes, crc) = self.clients.batch(records, bytes, Some((id, sequence)));
            let producer = &mut self.clients.producers[producer];
            producer.next_sequence += records as i32;
            producer.outstanding.push_back(Outstanding {
                sequence,
                bytes,
                crc,
                request: None,
            });
        }
        let voters = self.rng.random_range(1..=self.plan.replicas / 2 + 1);
        for at in 0..self.clients.producers[producer].outstanding.len() {
            let outstanding = &self.clients.producers[producer].outstanding[at];
            if outstanding.request.is_some() {
                continue;
            }
            let (sequence, batches) = (outstanding.sequence, outstanding.bytes.clone());
            let request = Request::Idempotent { producer, sequence };
            let (request, reply) = self.clients.request(request);
            self.clients.producers[producer].outstanding[at].request = Some(request);
            let command = append(batches);
            let worker = &mut self.running(broker).worker;
            worker.command(group, command, Ack::Committed { voters }, reply);
        }
        self.pump(broker)
    }

    fn produce_plain(&mut self, group: GroupId) -> Checked {
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        let records = self.rng.random_range(1..=4);
        let bytes = self.rng.random_range(0..300);
        let (batches, crc) = self.clients.batch(records, bytes, None);
        let voters = self.rng.random_range(1..=self.plan.replicas / 2 + 1);
        let peer = self.brokers[broker].local.get(&group).copied();
        let (ack, leader) = match self.rng.random_range(0..4) {
            0 => (Ack::Proposed, None),
            1 => (Ack::Persisted, peer),
            _ => (Ack::Committed { voters }, None),
        };
        let reply = match ack {
            Ack::Proposed => millrace_broker::raft::Reply::ignored(),
            _ => {
                self.clients
                    .request(Request::Plain { group, crc, leader })
                    .1
            }
        };
        let worker = &mut self.running(broker).worker;
        worker.command(group, append(batches), ack, reply);
        self.pump(broker)
    }

    fn delete_records(&mut self) -> Checked {
        let group = self.some_group();
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        let truth = self.oracle.truth(group);
        let (from, to) = (truth.log_start, truth.next_offset);
        let offset = match self.rng.random_bool(0.1) {
            true => None,
            false => Some(self.rng.random_range(from..=from + (to - from) / 2)),
        };
        let (_, reply) = self.clients.request(Request::LogStart { group, offset });
        let command = Command::SetLogStart(SetLogStart {
            offset: offset.map(Offset),
        });
        let worker = &mut self.running(broker).worker;
        worker.command(group, command, Ack::Committed { voters: 1 }, reply);
        self.pump(broker)
    }

    fn answers(&mut self) -> Checked {
        for (id, answer) in self.clients.answers() {
            let Some(request) = self.clients.requests.remove(&id) else {
                return violated("a request was answered twice");
            };
            self.answered(id, request, answer)?;
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, request: Request, answer: Answer) -> Checked {
        match (request, answer) {
            (Request::Idempotent { producer, sequence }, answer) => {
                self.answered_idempotent(id, producer, sequence, answer)
            }
            (Request::Plain { group, crc, leader }, Ok(Output::Appended(appended))) => {
                let base = appended.base_offset.0;
                match leader {
                    Some(peer) => {
                        self.oracle.acknowledged_by_leader(group, peer, base, crc);
                        Ok(())
                    }
                    None => self.oracle.acknowledged(group, base, crc),
                }
            }
            (Request::LogStart { group, offset }, Ok(Output::LogStart(start))) => {
                let known = self.oracle.truth(group).log_start;
                match start.0 <= known && offset.is_none_or(|offset| offset <= start.0) {
                    true => Ok(()),
                    false => violated(format!(
                        "group {group}: log start {offset:?} was asked for, {start} answered, {known} is committed"
                    )),
                }
            }
            (Request::LogStart { .. }, Err(Failure::Refused(Refusal::OffsetOutOfRange { .. }))) => {
                Ok(())
            }
            (_, Err(failure)) => acceptable(&failure),
            (_, Ok(output)) => violated(format!("an answer to something else: {output:?}")),
        }
    }

    fn answered_idempotent(
        &mut self,
        id: u64,
        producer: usize,
        sequence: i32,
        answer: Answer,
    ) -> Checked {
        let producer = &mut self.clients.producers[producer];
        let at = producer
            .outstanding
            .iter()
            .position(|batch| batch.sequence == sequence);
        match answer {
            Ok(Output::Appended(appended)) => {
                let base = appended.base_offset.0;
                let group = producer.group;
                let truth = self.oracle.truth(group).batches.get(&base);
                let is_it = truth.is_some_and(|batch| {
                    (batch.producer_id, batch.sequence) == (producer.id, sequence)
                });
                if !is_it {
                    return violated(format!(
                        "group {group}: sequence {sequence} of producer {} was acknowledged at {base}, where {truth:?} is",
                        producer.id
                    ));
                }
                producer.is_known = true;
                match at.and_then(|at| producer.outstanding.remove(at)) {
                    Some(batch) => self.oracle.acknowledged(group, base, batch.crc),
                    None => Ok(()),
                }
            }
            Ok(output) => violated(format!("an append was answered with {output:?}")),
            Err(failure) => {
                if let Some(batch) = at.and_then(|at| producer.outstanding.get_mut(at))
                    && batch.request == Some(id)
                {
                    batch.request = None;
                }
                match failure {
                    // Something before it got lost on the way; it will come again, in order.
                    Failure::Refused(Refusal::Producer(
                        millrace_broker::partition::producer::ProducerRefusal::OutOfOrderSequence {
                            ..
                        },
                    )) => Ok(()),
                    failure => acceptable(&failure),
                }
            }
        }
    }

    fn read(&mut self, broker: usize) -> Checked {
        let group = self.some_group();
        let is_planted = self.plan.is(Planted::ReadAboveCommit);
        let max_bytes = self.rng.random_range(1..4000);
        let chance: f64 = self.rng.random();
        let running = self.brokers[broker].running();
        let Some(positions) = running.positions(group) else {
            return Ok(());
        };
        let mut upto = positions.high_watermark;
        if is_planted && let Ok(start) = running.shard.start(group) {
            upto = start.log.log_end().max(upto);
        }
        let from = self.first_promised(group, positions.log_start);
        if from >= upto {
            return Ok(());
        }
        let at = from + (((upto - from) as f64) * chance) as i64;
        self.read_at(broker, group, at, upto, max_bytes).map(|_| ())
    }

    /// A replica that does not know the log start yet, because a snapshot is on its way to its disk, may have less.
    fn first_promised(&self, group: GroupId, log_start: Offset) -> Offset {
        log_start.max(Offset(self.oracle.truth(group).log_start))
    }

    /// Where the read ends; `None` when the broker failed at it.
    pub fn read_at(
        &mut self,
        broker: usize,
        group: GroupId,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Checked<Option<i64>> {
        match self.brokers[broker]
            .running()
            .read(group, from, upto, max_bytes)
        {
            Err(error) => {
                self.failed(
                    broker,
                    &format!("read offset {from} of group {group}"),
                    &error,
                )?;
                Ok(None)
            }
            Ok(read) => {
                let end = self
                    .oracle
                    .read(group, from.0, upto.0, &read.chunks)
                    .map_err(|Violation(what)| {
                        Violation(format!(
                            "broker {broker} read from {from} up to {upto}: {what}"
                        ))
                    })?;
                if read.chunks.is_empty() && !self.oracle.compacted.contains(&group) {
                    return violated(format!(
                        "broker {broker}, group {group}: nothing at offset {from}, below {upto}"
                    ));
                }
                Ok(Some(end))
            }
        }
    }

    /// Every committed record that a replica should have is there.
    pub fn check_contents(&mut self, broker: usize) -> Checked {
        let groups: Vec<GroupId> = self.brokers[broker].local.keys().copied().collect();
        for group in groups {
            let Some(positions) = self.brokers[broker]
                .running
                .as_ref()
                .and_then(|running| running.positions(group))
            else {
                continue;
            };
            let mut at = self.first_promised(group, positions.log_start);
            while at < positions.high_watermark {
                let read = self.read_at(broker, group, at, positions.high_watermark, 4 << 10)?;
                match read {
                    None => return Ok(()),
                    // What is left was compacted away.
                    Some(end) if end == at.0 => break,
                    Some(end) => at = Offset(end),
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self, broker: usize) -> Checked {
        let is_planted = self.plan.is(Planted::RowAheadOfLog);
        let all = self.rng.random_bool(0.4);
        let delays = self.rng.random_bool(0.2);
        let releases = self.rng.random_bool(0.8);
        let mut groups: Vec<GroupId> = match all {
            true => self.brokers[broker].local.keys().copied().collect(),
            false => self.running(broker).shard.oldest_groups(),
        };
        if self.rng.random_bool(0.2) {
            groups.truncate(1);
        }
        let running = self.running(broker);
        let mut checkpoints: Vec<Checkpoint> = groups
            .iter()
            .filter_map(|group| running.checkpoint(*group, is_planted))
            .collect();
        if delays {
            // Time passes between checkpoint and seal.
            let earlier = self.stale.insert(broker, checkpoints);
            checkpoints = earlier.unwrap_or_default();
        }
        self.note(format!("broker {broker} seals {}", checkpoints.len()));
        let shard = self.running(broker).shard.clone();
        let sealed = shard.seal(&checkpoints);
        let mut done = sealed.and_then(|report| match report.damaged.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        });
        for checkpoint in &checkpoints {
            if done.is_ok() && shard.has_expired(checkpoint.group, checkpoint.log_start()) {
                done = shard.expire(checkpoint).map(|_| ());
            }
        }
        if releases && done.is_ok() {
            done = shard.release();
        }
        match done {
            Ok(()) => Ok(()),
            Err(error) => self.failed(broker, "seal", &error),
        }
    }

    fn compact(&mut self, broker: usize) -> Checked {
        let group = self.some_group();
        let hash_key = [self.rng.random(), self.rng.random()];
        let config = self.configs[&group].clone();
        let running = self.brokers[broker].running();
        let Some(positions) = running.positions(group) else {
            return Ok(());
        };
        if !config.cleanup_policy.is_compact() {
            return Ok(());
        }
        let limits = Limits {
            now_ms: 1_000_000,
            log_start: positions.log_start,
            last_stable: positions.last_stable,
            buffer_bytes: 64 << 10,
            hash_key,
        };
        let Some(machine) = running.worker.machine(group) else {
            return Ok(());
        };
        let producers: HashMap<i64, LastOfProducer> =
            machine.partition.last_of_producers().into_iter().collect();
        let view = machine.partition.view();
        let aborted = |from, to| view.aborted_in(from, to);
        let done = compaction::compact(
            &running.shard,
            group,
            &config,
            &limits,
            &producers,
            &aborted,
        );
        match done {
            Ok(report) => {
                self.note(format!(
                    "broker {broker} compacts group {group}: {report:?}"
                ));
                Ok(())
            }
            Err(error) => self.fault(broker, &format!("compact: {error}")),
        }
    }
}

fn append(batches: bytes::Bytes) -> Command {
    Command::Append(Append {
        batches,
        now_ms: 1_000_000,
        origin: Origin::Client,
    })
}

/// Whether a well-behaved client may be told this.
fn acceptable(failure: &Failure<Refusal>) -> Checked {
    match failure {
        Failure::Refused(Refusal::NotLeader { .. })
        | Failure::NotLeader { .. }
        | Failure::Overloaded
        | Failure::Transferring { .. }
        | Failure::UnknownGroup
        | Failure::Faulty(_)
        | Failure::Stopped => Ok(()),
        Failure::Refused(refusal) => violated(format!("a client was refused: {refusal}")),
    }
}
