//! Who wants what, in an order that does not depend on the order of the members.

use super::Subscriber;
use crate::group::catalog::{Catalog, Topic};
use crate::group::consumer::Partitions;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Members are meant by their place in `members`, racks by a number.
pub struct Demand<'a> {
    /// Static members first, as in Kafka: their order outlives their member ids.
    pub members: Vec<&'a Subscriber<'a>>,
    pub pools: Vec<Pool<'a>>,
    /// The rack of each member.
    pub racks: Vec<Option<usize>>,
    racks_by_name: HashMap<&'a str, usize>,
    /// Of each member, which one it was when it came.
    came: Vec<usize>,
}

/// Topics that the same members want: what one of them may read, all of them may.
pub struct Pool<'a> {
    /// In the order of their names, none of them empty.
    pub topics: Vec<&'a Topic>,
    /// Ascending. A member's place here is its seat.
    pub subscribers: Vec<usize>,
}

impl Pool<'_> {
    pub fn len(&self) -> usize {
        self.topics.iter().map(|topic| topic.racks.len()).sum()
    }
}

impl<'a> Demand<'a> {
    pub fn new(members: &'a [Subscriber<'a>], catalog: &'a Catalog) -> Demand<'a> {
        let mut came: Vec<usize> = (0..members.len()).collect();
        came.sort_by_key(|at| {
            let member = &members[*at];
            (member.instance_id.is_none(), member.instance_id, member.id)
        });
        let members: Vec<_> = came.iter().map(|at| &members[*at]).collect();
        let mut racks_by_name = HashMap::new();
        let mut racks = Vec::with_capacity(members.len());
        for member in &members {
            let known = racks_by_name.len();
            let number =
                |rack: &'a crate::group::Name| *racks_by_name.entry(&**rack).or_insert(known);
            racks.push(member.rack.map(number));
        }
        Demand {
            pools: pools(&members, catalog),
            members,
            racks,
            racks_by_name,
            came,
        }
    }

    pub fn has_racks(&self) -> bool {
        !self.racks_by_name.is_empty()
    }

    /// The racks that hold a replica and have a member.
    pub fn replicas(&self, topic: &Topic, partition: usize) -> impl Iterator<Item = usize> {
        let names = topic.racks[partition].iter();
        names.filter_map(|rack| self.racks_by_name.get(&**rack).copied())
    }

    /// What was found for `members`, for the members as they came.
    pub fn answer(&self, mut found: Vec<Partitions>) -> Vec<Partitions> {
        let mut answer = vec![Partitions::new(); found.len()];
        for (found, came) in found.iter_mut().zip(&self.came) {
            answer[*came] = std::mem::take(found);
        }
        answer
    }
}

/// The pools with the fewest subscribers come first: there is the least choice.
fn pools<'a>(members: &[&Subscriber<'_>], catalog: &'a Catalog) -> Vec<Pool<'a>> {
    let mut by_topic: HashMap<Uuid, Vec<usize>> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        for topic in &member.topics {
            by_topic.entry(*topic).or_default().push(at);
        }
    }
    let mut pools: BTreeMap<Vec<usize>, Vec<&Topic>> = BTreeMap::new();
    for (topic, subscribers) in by_topic {
        if let Some(topic) = catalog.with_id(&topic).filter(|one| !one.racks.is_empty()) {
            pools.entry(subscribers).or_default().push(topic);
        }
    }
    let mut pools: Vec<Pool<'_>> = pools
        .into_iter()
        .map(|(subscribers, mut topics)| {
            topics.sort_by_key(|topic| &topic.name);
            Pool {
                topics,
                subscribers,
            }
        })
        .collect();
    pools.sort_by_key(|pool| {
        (
            pool.subscribers.len(),
            Reverse(pool.len()),
            &pool.topics[0].name,
        )
    });
    pools
}
