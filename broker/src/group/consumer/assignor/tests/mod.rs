//! Groups in a few words, and what is said of their assignments.

mod exhaustive;
mod properties;
mod range;
mod uniform;

use super::{Assignor, Subscriber};
use crate::group::Name;
use crate::group::catalog::{Catalog, Topic};
use crate::group::consumer::Partitions;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Clone, Debug, Default)]
struct Member {
    id: Name,
    instance_id: Option<Name>,
    rack: Option<Name>,
    topics: BTreeSet<Uuid>,
    had: Partitions,
}

/// A group between two assignments.
#[derive(Clone, Debug)]
struct Group {
    assignor: Assignor,
    catalog: Catalog,
    members: Vec<Member>,
}

fn id(topic: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..topic.len()].copy_from_slice(topic.as_bytes());
    Uuid::from_bytes(bytes)
}

/// For each partition the racks of its replicas, one letter each.
fn topic(name: &str, racks: &[&str]) -> Topic {
    let replicas = |racks: &&str| racks.chars().map(|rack| rack.to_string().into()).collect();
    Topic {
        id: id(name),
        name: name.into(),
        racks: racks.iter().map(replicas).collect(),
    }
}

/// `t 0 1 2, u 5`
fn partitions(text: &str) -> Partitions {
    let topics = text.split(',').filter(|topic| !topic.trim().is_empty());
    let topics = topics.map(|topic| {
        let mut words = topic.split_whitespace();
        let name = words.next().expect("a topic's name");
        (
            id(name),
            words
                .map(|word| word.parse().expect("a partition's number"))
                .collect(),
        )
    });
    topics.collect()
}

fn text(partitions: &Partitions) -> String {
    let topics = partitions.iter().map(|(topic, partitions)| {
        let name: String = topic
            .as_bytes()
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        let numbers = partitions.iter().map(|partition| format!(" {partition}"));
        name + &numbers.collect::<String>()
    });
    topics.collect::<Vec<_>>().join(", ")
}

impl Group {
    /// Topics as `t 3, u 1`: with no racks.
    fn new(assignor: Assignor, topics: &str) -> Group {
        let topics = topics.split(',').map(|one| {
            let mut words = one.split_whitespace();
            let name = words.next().expect("a topic's name");
            let len = words.next().expect("a number of partitions");
            topic(name, &vec![""; len.parse().expect("a number")])
        });
        Group {
            assignor,
            catalog: topics.collect(),
            members: Vec::new(),
        }
    }

    fn in_racks(assignor: Assignor, topics: impl IntoIterator<Item = Topic>) -> Group {
        Group {
            assignor,
            catalog: topics.into_iter().collect(),
            members: Vec::new(),
        }
    }

    fn member(mut self, id_: &str, topics: &str, had: &str) -> Group {
        self.members.push(Member {
            id: id_.into(),
            topics: topics.split_whitespace().map(id).collect(),
            had: partitions(had),
            ..Member::default()
        });
        self
    }

    /// Of the member that came last.
    fn rack(mut self, rack: &str) -> Group {
        self.members.last_mut().expect("a member").rack = Some(rack.into());
        self
    }

    fn instance(mut self, instance_id: &str) -> Group {
        self.members.last_mut().expect("a member").instance_id = Some(instance_id.into());
        self
    }

    fn without(mut self, id: &str) -> Group {
        self.members.retain(|member| &*member.id != id);
        self
    }

    fn assign(&self) -> Vec<Partitions> {
        let subscribers: Vec<Subscriber<'_>> = self
            .members
            .iter()
            .map(|member| Subscriber {
                id: &member.id,
                instance_id: member.instance_id.as_ref(),
                rack: member.rack.as_ref(),
                topics: member.topics.clone(),
                had: &member.had,
            })
            .collect();
        self.assignor.assign(&subscribers, &self.catalog)
    }

    /// After the assignment.
    fn settled(mut self) -> Group {
        let assigned = self.assign();
        for (member, assigned) in self.members.iter_mut().zip(assigned) {
            member.had = assigned;
        }
        self
    }

    /// `a: t 0 1; b: t 2`
    fn check(&self, expected: &str) {
        let assigned = self.assign();
        let members = self.members.iter().zip(&assigned);
        let members = members.map(|(member, assigned)| {
            format!("{}: {}", member.id, text(assigned))
                .trim()
                .to_string()
        });
        assert_eq!(members.collect::<Vec<_>>().join("; "), expected);
    }

    fn loads(&self) -> Vec<usize> {
        self.members
            .iter()
            .map(|member| load(&member.had))
            .collect()
    }

    /// How many partitions are somewhere else now, or new to somebody.
    fn moved_from(&self, before: &Group) -> usize {
        let had: BTreeMap<&Name, &Partitions> = before
            .members
            .iter()
            .map(|member| (&member.id, &member.had))
            .collect();
        let arrived = self.members.iter().map(|member| {
            let had = had.get(&member.id);
            let stayed = |(topic, partition): &(Uuid, i32)| {
                had.is_some_and(|had| had.get(topic).is_some_and(|had| had.contains(partition)))
            };
            each(&member.had).filter(|one| !stayed(one)).count()
        });
        arrived.sum()
    }
}

fn load(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

fn each(partitions: &Partitions) -> impl Iterator<Item = (Uuid, i32)> {
    let topics = partitions.iter();
    topics.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

fn sorted(mut loads: Vec<usize>) -> Vec<usize> {
    loads.sort_unstable();
    loads
}
