//! Whatever members do, and whatever is lost on the way: no partition ever has two owners, and in the end each has one.

use super::play::settings;
use crate::group::Now;
use crate::group::catalog::{Catalog, Topic};
use crate::group::classic::{Claim, Client, Join, Sync};
use crate::group::consumer::{
    Beat, GroupState, Heartbeat, JOINS, LEAVES, LEAVES_FOR_NOW, Leave, Partitions,
};
use crate::group::effects::{Answer, Effects, Ticket};
use crate::group::machine::Machine;
use crate::group::settings::{MigrationPolicy, Settings};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::consumer_protocol::{self, Assignment, PROTOCOL_TYPE, Subscription};
use millrace_wire::group_records::GroupRecord;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

const GROUP: &str = "g";
const CLIENTS: usize = 5;
const TOPICS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By the new protocol; an instance keeps its place for a while.
    New { is_static: bool },
    /// By the classic protocol; the eager ones give everything back before they join again.
    Classic { is_eager: bool },
}

/// A consumer, as far as it can be told from its requests.
#[derive(Clone, Debug)]
struct Consumer {
    kind: Kind,
    at: usize,
    /// Grows whenever it begins anew under another id.
    life: u32,
    epoch: i32,
    is_in: bool,
    /// It was taken out, and has heard nothing since: what it commits is refused.
    is_fenced: bool,
    /// What it reads.
    owned: Partitions,
    /// What it was told to read and does not read yet.
    told: Option<Partitions>,
    topics: BTreeSet<usize>,
    /// What it said last, and was heard: what has not changed is not said again.
    said: Option<(BTreeSet<usize>, Partitions)>,
    /// Of the classic protocol: it was told to join again, or wants to.
    must_join: bool,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Says what it has to say: joins, or is there.
    Speaks {
        who: usize,
        is_lost: bool,
    },
    /// Has done what it was told to do.
    Reads(usize),
    Leaves {
        who: usize,
        for_now: bool,
    },
    /// Is gone without a word, and comes back as somebody else.
    Crashes(usize),
    Wants {
        who: usize,
        topic: usize,
    },
    Passes(u64),
    /// The topic has so many partitions from now on; none if 0.
    Topic {
        topic: usize,
        partitions: usize,
    },
    /// The coordinator is read again from its log.
    Restarts,
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..CLIENTS;
    prop_oneof![
        12 => (who(), proptest::bool::weighted(0.1)).prop_map(|(who, is_lost)| Act::Speaks { who, is_lost }),
        6 => who().prop_map(Act::Reads),
        1 => (who(), any::<bool>()).prop_map(|(who, for_now)| Act::Leaves { who, for_now }),
        1 => who().prop_map(Act::Crashes),
        1 => (who(), 0..TOPICS).prop_map(|(who, topic)| Act::Wants { who, topic }),
        4 => prop_oneof![Just(300), Just(1_000), Just(20_000)].prop_map(Act::Passes),
        1 => (0..TOPICS, 0..5usize).prop_map(|(topic, partitions)| Act::Topic { topic, partitions }),
        1 => Just(Act::Restarts),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => any::<bool>().prop_map(|is_static| Kind::New { is_static }),
        1 => any::<bool>().prop_map(|is_eager| Kind::Classic { is_eager }),
    ]
}

struct World {
    machine: Machine,
    settings: Settings,
    now: Now,
    log: Vec<GroupRecord>,
    consumers: Vec<Consumer>,
    /// By topic: its id and its partitions.
    topics: BTreeMap<usize, (Uuid, usize)>,
    made: u128,
    version: u64,
    tickets: u64,
}

impl World {
    fn new(kinds: &[Kind]) -> World {
        let mut settings = settings();
        settings.max_size = 100;
        // What classic groups do among themselves is another matter.
        settings.consumer.migration = MigrationPolicy::Upgrade;
        let consumer = |(at, kind): (usize, &Kind)| Consumer {
            kind: *kind,
            at,
            life: 0,
            epoch: JOINS,
            is_in: false,
            is_fenced: false,
            owned: Partitions::new(),
            told: None,
            topics: [at % TOPICS, 0].into(),
            said: None,
            must_join: true,
        };
        let mut world = World {
            machine: Machine::new(settings.clone(), Arc::default()),
            settings,
            now: Now {
                clock_ms: 0,
                wall_ms: 1_000_000,
            },
            log: Vec::new(),
            consumers: kinds.iter().enumerate().map(consumer).collect(),
            topics: BTreeMap::new(),
            made: 0,
            version: 0,
            tickets: 0,
        };
        for topic in 0..TOPICS {
            world.topic(topic, 3);
        }
        // Somebody who speaks the new protocol makes the group, so that it is one.
        world
            .consumers
            .push(consumer((CLIENTS, &Kind::New { is_static: false })));
        world.speaks(CLIENTS, false);
        world
    }

    fn topic(&mut self, topic: usize, partitions: usize) {
        match (partitions, self.topics.get_mut(&topic)) {
            (0, _) => {
                self.topics.remove(&topic);
            }
            (_, Some((_, known))) => *known = partitions.max(*known),
            (_, None) => {
                self.made += 1;
                self.topics
                    .insert(topic, (Uuid::from_u128(self.made), partitions));
            }
        }
        self.version += 1;
        let topics = self.topics.iter().map(|(topic, (id, partitions))| Topic {
            id: *id,
            name: name(*topic).into(),
            racks: vec![BTreeSet::new(); *partitions],
        });
        let mut catalog = Catalog::from_iter(topics);
        catalog.version = self.version;
        self.machine.set_catalog(&Arc::new(catalog));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Speaks { who, is_lost } => self.speaks(who, is_lost),
            Act::Reads(who) => {
                let consumer = &mut self.consumers[who];
                if let Some(told) = consumer.told.take() {
                    consumer.owned = told;
                }
            }
            Act::Leaves { who, for_now } => self.leaves(who, for_now),
            Act::Crashes(who) => {
                let consumer = &mut self.consumers[who];
                let topics = consumer.topics.clone();
                consumer.begin_anew();
                consumer.topics = topics;
            }
            Act::Wants { who, topic } => {
                let consumer = &mut self.consumers[who];
                if !consumer.topics.remove(&topic) {
                    consumer.topics.insert(topic);
                }
                consumer.must_join = true;
            }
            Act::Passes(ms) => self.passes(ms),
            Act::Topic { topic, partitions } => self.topic(topic, partitions),
            Act::Restarts => self.restarts(),
        }
    }

    fn passes(&mut self, ms: u64) {
        self.now.clock_ms += ms;
        self.now.wall_ms += i64::try_from(ms).unwrap();
        let mut effects = Effects::default();
        self.machine.tick(self.now, &mut effects);
        self.log.extend(effects.records);
        let held = self.machine.held_by_members(GROUP).unwrap_or_default();
        for consumer in &mut self.consumers {
            consumer.is_fenced |= consumer.is_in && !held.contains_key(consumer.id().as_str());
        }
    }

    fn restarts(&mut self) {
        let catalog = self.machine.catalog().clone();
        let mut again = Machine::new(self.settings.clone(), catalog);
        for record in &self.log {
            let (key, value) = record.encode().unwrap();
            again.replay(&GroupRecord::decode(key, value).unwrap().unwrap());
        }
        let mut effects = Effects::default();
        again.resume(self.now, &mut effects);
        assert!(effects.is_empty());
        assert_eq!(
            again.describe_consumer(GROUP),
            self.machine.describe_consumer(GROUP)
        );
        self.machine = again;
    }

    fn speaks(&mut self, who: usize, is_lost: bool) {
        match self.consumers[who].kind {
            Kind::New { .. } => self.beats(who, is_lost),
            Kind::Classic { is_eager } => self.speaks_classic(who, is_eager, is_lost),
        }
    }

    fn beats(&mut self, who: usize, is_lost: bool) {
        let consumer = &mut self.consumers[who];
        // Who says what it reads does not begin to read what it was told before: the protocol takes it at its word.
        if consumer.said.is_none() {
            consumer.told = None;
        }
        let beat = consumer.beat();
        let mut effects = Effects::default();
        let beaten = self
            .machine
            .consumer_heartbeat(self.now, &mut effects, GROUP, &beat);
        self.log.extend(effects.records);
        let consumer = &mut self.consumers[who];
        consumer.said = Some((consumer.topics.clone(), consumer.owned.clone()));
        match beaten {
            // It does not know what was heard, and says everything again.
            _ if is_lost => consumer.said = None,
            Ok(Beat {
                epoch, assignment, ..
            }) => {
                consumer.epoch = epoch;
                consumer.is_in = true;
                if let Some(assignment) = assignment {
                    // What is not to be read any more is given up when that is done, with what is new.
                    consumer.told = Some(assignment);
                }
            }
            Err(refusal) => match refusal.code {
                ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => consumer.is_out(),
                ErrorCode::UnreleasedInstanceId | ErrorCode::FencedInstanceId => {
                    consumer.begin_anew()
                }
                other => panic!("{other:?}: {}", refusal.message),
            },
        }
    }

    fn leaves(&mut self, who: usize, for_now: bool) {
        let consumer = &self.consumers[who];
        let Kind::New { is_static } = consumer.kind else {
            return;
        };
        if !consumer.is_in {
            return;
        }
        let leave = Leave {
            member_id: consumer.id().into(),
            instance_id: consumer.instance().map(Into::into),
            epoch: if for_now && is_static {
                LEAVES_FOR_NOW
            } else {
                LEAVES
            },
        };
        // Whoever leaves has stopped to read.
        self.consumers[who].begin_anew();
        let mut effects = Effects::default();
        let _ = self
            .machine
            .consumer_leave(self.now, &mut effects, GROUP, &leave);
        self.log.extend(effects.records);
    }

    /// A round of the classic protocol, as far as it gets.
    fn speaks_classic(&mut self, who: usize, is_eager: bool, is_lost: bool) {
        let consumer = self.consumers[who].clone();
        if consumer.is_in && !consumer.must_join {
            let id = consumer.id();
            let claim = Claim {
                member_id: &id,
                instance_id: None,
                generation: consumer.epoch,
            };
            let mut effects = Effects::default();
            let said = self.machine.heartbeat(self.now, &mut effects, GROUP, claim);
            self.log.extend(effects.records);
            let consumer = &mut self.consumers[who];
            match said {
                _ if is_lost => {}
                Ok(()) => {}
                Err(ErrorCode::RebalanceInProgress) => consumer.must_join = true,
                Err(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => consumer.is_out(),
                Err(other) => panic!("{other:?}"),
            }
            return;
        }
        let consumer = &mut self.consumers[who];
        consumer.told = None;
        if is_eager {
            consumer.owned.clear();
        }
        let join = self.join(who);
        let mut effects = Effects::default();
        self.machine.join(self.now, &mut effects, GROUP, join);
        self.log.extend(effects.records);
        let answer = effects.answers.pop();
        let Some((_, Answer::Join(joined))) = answer else {
            // The group is a classic one, and waits for others.
            return;
        };
        let consumer = &mut self.consumers[who];
        match joined.error {
            _ if is_lost => return,
            None => {
                consumer.epoch = joined.generation;
                consumer.is_in = true;
                consumer.must_join = false;
            }
            Some(ErrorCode::UnknownMemberId) => return consumer.is_out(),
            Some(ErrorCode::MemberIdRequired) => return,
            Some(other) => panic!("{other:?}"),
        }
        self.syncs(who, is_eager);
    }

    fn join(&mut self, who: usize) -> Join {
        self.tickets += 1;
        let consumer = &self.consumers[who];
        let owned = consumer.owned.iter().filter_map(|(id, partitions)| {
            let topic = self.topics.iter().find(|(_, (known, _))| known == id)?;
            Some((Arc::from(name(*topic.0)), partitions.clone()))
        });
        let subscription = Subscription {
            topics: consumer.topics.iter().map(|topic| name(*topic)).collect(),
            owned: owned.collect(),
            generation: Some(consumer.epoch),
            ..Subscription::default()
        };
        Join {
            ticket: Ticket(self.tickets),
            member_id: consumer.id().into(),
            new_member_id: consumer.id().into(),
            instance_id: None,
            client: client(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![("range".into(), subscription.encode().unwrap())],
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
            can_return: true,
            can_skip_assignment: true,
        }
    }

    fn syncs(&mut self, who: usize, is_eager: bool) {
        self.tickets += 1;
        let consumer = &self.consumers[who];
        let sync = Sync {
            ticket: Ticket(self.tickets),
            member_id: consumer.id().into(),
            instance_id: None,
            generation: consumer.epoch,
            protocol_type: None,
            protocol: None,
            assignments: Default::default(),
        };
        let mut effects = Effects::default();
        self.machine.sync(self.now, &mut effects, GROUP, sync);
        let Some((_, Answer::Sync(synced))) = effects.answers.pop() else {
            panic!("nobody leads, so everybody is answered");
        };
        let assignment = self.read(synced.assignment);
        let consumer = &mut self.consumers[who];
        match synced.error {
            None => {
                // A cooperative one says that it has given something back by joining again.
                let gives_back = consumer.owned.iter().any(|(topic, partitions)| {
                    let kept = assignment.get(topic);
                    partitions
                        .iter()
                        .any(|at| kept.is_none_or(|kept| !kept.contains(at)))
                });
                consumer.must_join = gives_back && !is_eager;
                consumer.is_fenced = false;
                consumer.owned = assignment;
            }
            Some(ErrorCode::RebalanceInProgress) => consumer.must_join = true,
            Some(other) => panic!("{other:?}"),
        }
    }

    fn read(&self, assignment: Bytes) -> Partitions {
        let names: consumer_protocol::Partitions =
            Assignment::decode(assignment).unwrap().partitions;
        let topics = names
            .into_iter()
            .filter(|(_, partitions)| !partitions.is_empty());
        topics
            .filter_map(|(topic, partitions)| {
                let topic = self.machine.catalog().named(&topic)?;
                Some((topic.id, partitions))
            })
            .collect()
    }

    /// Nobody who is in the group reads what another one reads, or what the coordinator does not know that they hold.
    fn check(&self) -> Result<(), TestCaseError> {
        let Ok(held) = self.machine.held_by_members(GROUP) else {
            return Ok(());
        };
        let mut holders: BTreeMap<(Uuid, i32), &str> = BTreeMap::new();
        for (id, places) in &held {
            for place in places {
                let other = holders.insert(*place, id);
                prop_assert_eq!(
                    other,
                    None,
                    "{:?} has two owners, one of them {}",
                    place,
                    id
                );
            }
        }
        for consumer in self
            .consumers
            .iter()
            .filter(|one| one.is_in && !one.is_fenced)
        {
            let id = consumer.id();
            let places = held.get(id.as_str());
            prop_assert!(
                places.is_some(),
                "{} is in the group and not known there",
                id
            );
            let places = places.unwrap();
            for (topic, partitions) in &consumer.owned {
                // What was deleted is read by nobody, whatever a member has not heard yet.
                if !self.topics.values().any(|(id, _)| id == topic) {
                    continue;
                }
                for at in partitions {
                    prop_assert!(
                        places.contains(&(*topic, *at)),
                        "{id} reads {topic}-{at} and does not hold it"
                    );
                }
            }
        }
        Ok(())
    }

    /// Everybody speaks and does what they are told, for as long as it takes.
    fn settles(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..40 {
            for who in 0..self.consumers.len() {
                self.act(Act::Reads(who));
                self.speaks(who, false);
                self.check()?;
            }
            self.passes(2_000);
        }
        let described = self.machine.describe_consumer(GROUP).unwrap();
        prop_assert_eq!(described.state, GroupState::Stable, "{:?}", described);
        let mut owners: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
        for member in &described.members {
            for (topic, partitions) in &member.assignment {
                for at in partitions {
                    *owners.entry((*topic, *at)).or_default() += 1;
                }
            }
        }
        let wanted: BTreeSet<usize> = self
            .consumers
            .iter()
            .flat_map(|one| one.topics.clone())
            .collect();
        for (topic, (id, partitions)) in &self.topics {
            for at in 0..i32::try_from(*partitions).unwrap() {
                let expected = wanted.contains(topic).then_some(1);
                prop_assert_eq!(
                    owners.get(&(*id, at)).copied(),
                    expected,
                    "{}-{}",
                    name(*topic),
                    at
                );
            }
        }
        Ok(())
    }
}

fn name(topic: usize) -> String {
    format!("t{topic}")
}

fn client() -> Client {
    Client {
        id: "c".into(),
        host: "/h".into(),
    }
}

impl Consumer {
    fn id(&self) -> String {
        format!("{}-{}", self.at, self.life)
    }

    fn instance(&self) -> Option<String> {
        matches!(self.kind, Kind::New { is_static: true }).then(|| format!("i{}", self.at))
    }

    /// It was taken out, and joins again.
    fn is_out(&mut self) {
        self.epoch = JOINS;
        self.is_in = false;
        self.is_fenced = false;
        self.owned.clear();
        self.told = None;
        self.said = None;
        self.must_join = true;
    }

    fn begin_anew(&mut self) {
        self.is_out();
        self.life += 1;
    }

    fn beat(&self) -> Heartbeat {
        let joins = self.epoch == JOINS;
        let said = self.said.as_ref().filter(|_| !joins);
        let topics = self.topics.iter().map(|topic| name(*topic).into());
        let is_new = |differs: bool| said.is_none() || differs;
        Heartbeat {
            member_id: self.id().into(),
            epoch: self.epoch,
            client: client(),
            instance_id: self.instance().map(Into::into),
            rack_id: None,
            rebalance_timeout_ms: said.is_none().then_some(30_000),
            topics: is_new(said.is_some_and(|(topics, _)| *topics != self.topics))
                .then(|| topics.collect()),
            pattern: None,
            assignor: None,
            owned: match joins {
                true => Some(Partitions::new()),
                false => is_new(said.is_some_and(|(_, owned)| *owned != self.owned))
                    .then(|| self.owned.clone()),
            },
        }
    }
}

proptest! {
    #[test]
    fn no_partition_has_two_owners(
        kinds in proptest::collection::vec(kind(), CLIENTS),
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let mut world = World::new(&kinds);
        for act in acts {
            world.act(act);
            world.check()?;
        }
        world.settles()?;
    }
}
