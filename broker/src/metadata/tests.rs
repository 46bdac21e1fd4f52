#![allow(clippy::unwrap_used)]
use super::*;
use crate::metadata::{Broker, Endpoint, QuotaAlteration, QuotaEntity, QuotaName};
use proptest::prelude::*;
use uuid::Uuid;

/// A leader of which everything is committed at once, unless it is told to wait.
struct Sole {
    machine: Machine,
    log: Vec<Entry>,
    applied: usize,
}

impl Sole {
    fn new() -> Sole {
        let mut machine = Machine::new();
        machine.lead(1, &[]);
        let mut sole = Sole {
            machine,
            log: Vec::new(),
            applied: 0,
        };
        sole.ask(Command::RegisterBroker(broker(0))).unwrap();
        sole
    }

    fn propose(&mut self, command: Command) -> Result<Output, Refusal> {
        match self.machine.prepare(1, command)? {
            Prepared::Entry { data, output, .. } => {
                let mut entry = Entry::default();
                entry.index = self.log.len() as u64 + 1;
                entry.data = data;
                self.machine.proposed(1, entry.index);
                self.log.push(entry);
                Ok(output)
            }
            Prepared::After { output, .. } | Prepared::Done(output) => Ok(output),
        }
    }

    fn commit(&mut self) {
        for entry in &self.log[self.applied..] {
            self.machine.apply(entry).unwrap();
        }
        self.applied = self.log.len();
    }

    fn ask(&mut self, command: Command) -> Result<Output, Refusal> {
        let output = self.propose(command)?;
        self.commit();
        Ok(output)
    }

    fn image(&self) -> Arc<Image> {
        self.machine.watch().borrow().clone()
    }
}

fn broker(id: BrokerId) -> Broker {
    Broker {
        id,
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            protocol: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
        }],
        rack: Some("a".to_owned()),
        peer: None,
        metadata_replica: 1,
    }
}

fn create(name: &str, partitions: u32) -> Command {
    Command::CreateTopic(NewTopic {
        name: name.to_owned(),
        id: Uuid::from_u128(
            name.bytes()
                .fold(7, |sum, byte| sum * 31 + u128::from(byte)),
        ),
        partitions,
        placement: Placement::Automatic {
            replicas: 1,
            seed: 0,
        },
        configs: BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]),
    })
}

fn topic(output: Output) -> Arc<Topic> {
    match output {
        Output::Topic(topic) => topic,
        other => panic!("not a topic: {other:?}"),
    }
}

#[test]
fn a_topic_is_created_once_even_while_the_first_is_not_committed() {
    let mut sole = Sole::new();
    let made = topic(sole.propose(create("a", 3)).unwrap());
    assert!(sole.image().topic("a").is_none());
    let Command::CreateTopic(mut other) = create("a", 3) else {
        unreachable!("it was made so");
    };
    other.id = Uuid::from_u128(7);
    assert_eq!(
        sole.propose(Command::CreateTopic(other)).unwrap_err(),
        Refusal::TopicExists("a".to_owned())
    );
    // The same command once more: its answer was lost with the leader that gave it.
    let again = topic(sole.propose(create("a", 3)).unwrap());
    assert_eq!(again, made);
    sole.commit();
    assert_eq!(sole.image().topic("a"), Some(&made));
    assert_eq!(sole.image().topic_by_id(&made.id), Some(&made));
}

#[test]
fn groups_are_never_used_twice() {
    let mut sole = Sole::new();
    let first = topic(sole.ask(create("a", 3)).unwrap());
    sole.ask(Command::DeleteTopic(first.id)).unwrap();
    assert!(sole.image().topics.is_empty());
    let second = topic(sole.ask(create("a", 2)).unwrap());
    let total = 4;
    let placement = Placement::Automatic {
        replicas: 1,
        seed: 0,
    };
    let id = second.id;
    sole.ask(Command::AddPartitions {
        id,
        total,
        placement,
    })
    .unwrap();
    let image = sole.image();
    let groups = |topic: &Topic| -> Vec<u64> {
        topic
            .partitions
            .iter()
            .map(|partition| partition.group.0)
            .collect()
    };
    assert_eq!(groups(&first), [1, 2, 3]);
    assert_eq!(groups(image.topic("a").unwrap()), [4, 5, 6, 7]);
}

#[test]
fn names_that_differ_in_dot_and_underscore_collide() {
    let mut sole = Sole::new();
    sole.ask(create("a.b_c", 1)).unwrap();
    assert!(matches!(
        sole.ask(create("a_b.c", 1)),
        Err(Refusal::TopicCollides { .. })
    ));
    sole.ask(create("a-b.c", 1)).unwrap();
}

#[test]
fn fewer_or_as_many_partitions_are_refused() {
    let mut sole = Sole::new();
    let id = topic(sole.ask(create("a", 3)).unwrap()).id;
    for total in [0, 2, 3] {
        let placement = Placement::Automatic {
            replicas: 1,
            seed: 0,
        };
        let refused = sole.ask(Command::AddPartitions {
            id,
            total,
            placement,
        });
        assert!(matches!(refused, Err(Refusal::InvalidPartitions(_))));
    }
}

#[test]
fn settings_are_set_and_taken_away() {
    let mut sole = Sole::new();
    let id = topic(sole.ask(create("a", 1)).unwrap()).id;
    for resource in [
        Resource::Topic(id),
        Resource::Broker(0),
        Resource::AllBrokers,
        Resource::Group("g".to_owned()),
        Resource::ClientMetrics("m".to_owned()),
    ] {
        let mut change = |value: Option<&str>| {
            let changes = BTreeMap::from([("k".to_owned(), value.map(str::to_owned))]);
            let command = Command::ChangeConfigs {
                resource: resource.clone(),
                changes,
            };
            sole.ask(command).unwrap();
            let image = sole.image();
            image
                .configs(&resource)
                .and_then(|configs| configs.get("k").cloned())
        };
        assert_eq!(change(Some("1")), Some("1".to_owned()));
        assert_eq!(change(Some("2")), Some("2".to_owned()));
        assert_eq!(change(None), None);
    }
}

#[test]
fn a_replica_that_was_made_is_remembered() {
    let mut sole = Sole::new();
    let id = topic(sole.ask(create("a", 3)).unwrap()).id;
    let mark = |partitions: &[u32]| Command::MarkMade {
        broker: 0,
        topics: BTreeMap::from([(id, partitions.to_vec()), (Uuid::from_u128(5), vec![0])]),
    };
    sole.ask(mark(&[0, 2, 77])).unwrap();
    sole.ask(mark(&[2])).unwrap();
    let row = sole.machine.snapshot().unwrap();
    let again = Machine::from_snapshot_row(&row).unwrap();
    for image in [sole.image(), again.watch().borrow().clone()] {
        let partitions = &image.topic("a").unwrap().partitions;
        let made: Vec<_> = partitions.iter().map(|one| one.made.clone()).collect();
        assert_eq!(made, [vec![0], vec![], vec![0]]);
    }
}

#[test]
fn a_new_cluster_begins_with_features_and_an_old_one_keeps_what_it_had() {
    let mut sole = Sole::new();
    // As an older release left it.
    assert_eq!(sole.image().level("group.version"), 1);
    assert_eq!(sole.image().level("transaction.version"), 0);
    sole.ask(Command::BeginFeatures).unwrap();
    let entries = sole.log.len();
    sole.ask(Command::BeginFeatures).unwrap();
    assert_eq!(sole.log.len(), entries, "they are there");
    let update = |level, direction| Command::UpdateFeatures {
        controller: 0,
        updates: vec![features::FeatureUpdate {
            feature: "group.version".to_owned(),
            level,
            direction: Some(direction),
        }],
    };
    let refused = sole.ask(update(0, features::Direction::Up));
    assert!(matches!(refused, Err(Refusal::Feature(_))), "{refused:?}");
    let before = sole.image().version;
    sole.ask(update(0, features::Direction::Down)).unwrap();
    assert!(sole.image().version > before);
    let row = sole.machine.snapshot().unwrap();
    let again = Machine::from_snapshot_row(&row).unwrap();
    for image in [sole.image(), again.watch().borrow().clone()] {
        assert_eq!(image.level("group.version"), 0, "0 is a level, too");
    }
}

#[test]
fn a_broker_is_forgotten_once() {
    let mut sole = Sole::new();
    sole.ask(Command::RegisterBroker(broker(5))).unwrap();
    sole.ask(Command::UnregisterBroker(5)).unwrap();
    assert!(!sole.image().brokers.contains_key(&5));
    assert_eq!(
        sole.ask(Command::UnregisterBroker(5)).unwrap_err(),
        Refusal::UnknownBroker(5)
    );
}

#[test]
fn what_is_so_already_writes_no_entry() {
    let mut sole = Sole::new();
    let entries = sole.log.len();
    sole.ask(Command::RegisterBroker(broker(0))).unwrap();
    assert_eq!(sole.log.len(), entries);
    sole.ask(Command::RegisterBroker(broker(1))).unwrap();
    assert_eq!(sole.log.len(), entries + 1);
}

#[test]
fn blocks_of_producer_ids_do_not_overlap_and_survive_a_new_leader() {
    let mut sole = Sole::new();
    let first = sole.ask(Command::AllocateProducerIds).unwrap();
    let second = sole.propose(Command::AllocateProducerIds).unwrap();
    // A new term begins before the second one is committed.
    let unapplied = sole.log[sole.applied..].to_vec();
    sole.machine.follow(1, 0);
    sole.machine.lead(2, &unapplied);
    let Ok(Prepared::Entry { output: third, .. }) =
        sole.machine.prepare(2, Command::AllocateProducerIds)
    else {
        panic!("a block is a change");
    };
    let ids = [first, second, third].map(|output| match output {
        Output::ProducerIds(first) => first,
        other => panic!("not a block: {other:?}"),
    });
    assert_eq!(ids, [0, 1_000, 2_000]);
}

#[test]
fn a_deposed_leader_decides_nothing() {
    let mut sole = Sole::new();
    sole.machine.follow(2, 3);
    assert_eq!(
        sole.propose(create("a", 1)).unwrap_err(),
        Refusal::NotLeader { term: 1 }
    );
}

#[test]
fn an_entry_that_cannot_be_understood_is_a_fault() {
    let mut sole = Sole::new();
    let mut entry = Entry::default();
    entry.index = 9;
    entry.data = vec![0xff; 7].into();
    assert!(sole.machine.apply(&entry).is_err());
    // A change of field 77: one that a later release may know.
    entry.data = vec![0xea, 0x04, 0x00].into();
    assert!(sole.machine.apply(&entry).is_err());
}

proptest! {
    #[test]
    fn a_snapshot_is_the_image(
        topics in prop::collection::btree_map("[a-z]{1,8}", 1_u32..5, 0..8),
        settings in prop::collection::btree_map("[a-z.]{1,8}", "[a-z0-9]{0,8}", 0..5),
        blocks in 0..4,
        quota in 1.0_f64..1e9,
    ) {
        let mut sole = Sole::new();
        for (name, partitions) in topics {
            // Names may collide.
            let _ = sole.ask(create(&name, partitions));
        }
        for _ in 0..blocks {
            sole.ask(Command::AllocateProducerIds).unwrap();
        }
        let changes = settings.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let resource = Resource::Broker(0);
        sole.ask(Command::ChangeConfigs { resource, changes }).unwrap();
        let entity = QuotaEntity { user: Some(QuotaName::Default), ..Default::default() };
        let changes = BTreeMap::from([("k".to_owned(), Some(quota))]);
        sole.ask(Command::ChangeQuotas(vec![QuotaAlteration { entity, changes }])).unwrap();
        let row = sole.machine.snapshot().unwrap();
        let again = Machine::from_snapshot_row(&row).unwrap();
        let image = again.watch().borrow().clone();
        prop_assert_eq!(image.to_snapshot(), sole.image().to_snapshot());
        prop_assert_eq!(image.version, sole.image().version);
    }

    #[test]
    fn damaged_snapshots_do_not_panic(row in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Machine::from_snapshot_row(&row);
    }
}
