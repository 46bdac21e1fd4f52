//! The cluster, its clients, and what can happen to them: one event at a time, all of it chosen by one seed.

use crate::broker::{Broker, OpenFailure, Running};
use crate::clients::{Clients, Producer, Transactions};
use crate::machine::Seen;
use crate::network::Network;
use crate::oracle::{Checked, Oracle, violated};
use crate::plan::{Event, Plan, Planted};
use crate::trace::Trace;
use millrace_broker::partition::TopicConfig;
use millrace_broker::partition::config::CleanupPolicy;
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::storage::seal::Checkpoint;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

const START_MS: i64 = 1_000_000;

/// How long one step takes.
const STEP_MS: i64 = 10;

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
        let mut compacted = BTreeMap::new();
        for group in &groups {
            let mut config = TopicConfig::default();
            if rng.random_bool(0.4) {
                config.cleanup_policy = CleanupPolicy::CompactAndDelete;
                config.delete_retention_ms = [0, 2000, 8000][rng.random_range(0..3)];
                config.min_cleanable_dirty_ratio = [0.0, 0.5][rng.random_range(0..2)];
                compacted.insert(*group, config.delete_retention_ms);
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
                let id = 100 + world.clients.producers.len() as i64;
                let transactions = world.rng.random_bool(0.4).then(|| Transactions {
                    version: world.rng.random_range(1..=2),
                    is_open: false,
                    ending: None,
                });
                let producer = Producer::new(id, group, transactions);
                world.clients.producers.push(producer);
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

    /// Everybody's clock.
    pub fn now_ms(&self) -> i64 {
        START_MS + STEP_MS * self.step as i64
    }

    pub fn run(&mut self) -> Checked {
        while self.step < self.plan.steps {
            self.step += 1;
            let event = self.plan.event(&mut self.rng);
            self.happen(event)?;
        }
        Ok(())
    }

    pub fn some_broker(&mut self, up: bool) -> Option<usize> {
        let brokers: Vec<usize> = (0..self.brokers.len())
            .filter(|broker| self.brokers[*broker].is_up() == up)
            .collect();
        (!brokers.is_empty()).then(|| brokers[self.rng.random_range(0..brokers.len())])
    }

    pub fn some_group(&mut self) -> GroupId {
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
            Event::FailSyncs => {
                self.note(format!("broker {broker}: syncs fail from now on"));
                self.brokers[broker].fails_syncs = true;
                self.brokers[broker].disk.fail_syncs(true);
                Ok(())
            }
            Event::FillDisk => {
                self.fill_disk(broker);
                Ok(())
            }
            Event::FreeDisk => {
                self.free_disk(broker);
                Ok(())
            }
            Event::Check => self.check_contents(broker),
        }
    }

    pub fn running(&mut self, broker: usize) -> &mut Running {
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
            let truth = self.oracle.truth(*group);
            let known = truth.next_offset;
            let stable = truth
                .history
                .last_stable(now.high_watermark.0, now.log_start.0);
            if now.high_watermark.0 <= known && now.last_stable.0 != stable {
                return violated(format!(
                    "broker {broker}, group {group}: the last stable offset is {stable}, not that of {now:?}"
                ));
            }
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
}
