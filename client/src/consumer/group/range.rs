//! The assignor that Java calls `range`: of each topic, whoever subscribed to it gets consecutive partitions, and the first
//! ones get one more where they do not divide. Pure.

use crate::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const NAME: &str = "range";

#[derive(Clone, Debug)]
pub struct Subscriber {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub topics: BTreeSet<String>,
}

/// Each member's partitions; members are ordered by instance, those without one after the others, by their ids.
pub fn assign(
    subscribers: &[Subscriber],
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut members: Vec<&Subscriber> = subscribers.iter().collect();
    members.sort_by_key(|member| {
        (
            member.instance_id.is_none(),
            member.instance_id.as_deref(),
            &member.member_id,
        )
    });
    let each = members.iter().map(|member| member.member_id.clone());
    let mut assigned: BTreeMap<String, Vec<TopicPartition>> =
        each.map(|id| (id, Vec::new())).collect();
    for (topic, &count) in partitions {
        let name: Arc<str> = Arc::from(topic.as_str());
        let subscribed: Vec<&&Subscriber> = members
            .iter()
            .filter(|member| member.topics.contains(topic))
            .collect();
        let Ok(among) = i32::try_from(subscribed.len()) else {
            continue;
        };
        if among == 0 {
            continue;
        }
        let mut next = 0;
        for (member, at) in subscribed.iter().zip(0..) {
            let share = count / among + i32::from(at < count % among);
            if let Some(own) = assigned.get_mut(&member.member_id) {
                let ids = next..next + share;
                own.extend(ids.map(|id| TopicPartition::new(Arc::clone(&name), id)));
            }
            next += share;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subscriber(member_id: &str, instance_id: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        }
    }

    fn shown(assigned: &BTreeMap<String, Vec<TopicPartition>>) -> Vec<String> {
        let members = assigned.iter().map(|(member, partitions)| {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            format!("{member}: {}", partitions.join(" "))
        });
        members.collect()
    }

    /// What Java's leader gave to the same members of the same topics.
    #[test]
    fn static_members_come_first_and_the_first_get_more() {
        let members = [
            subscriber("console", None, &["t1", "t2"]),
            subscriber("inst-1-x", Some("inst-1"), &["t1"]),
        ];
        let partitions = BTreeMap::from([("t1".to_owned(), 3), ("t2".to_owned(), 1)]);
        assert_eq!(
            shown(&assign(&members, &partitions)),
            ["console: t1-2 t2-0", "inst-1-x: t1-0 t1-1"]
        );
    }

    #[test]
    fn whoever_is_too_many_gets_nothing() {
        let members = ["a", "b", "c"].map(|id| subscriber(id, None, &["t"]));
        let partitions = BTreeMap::from([("t".to_owned(), 2)]);
        assert_eq!(
            shown(&assign(&members, &partitions)),
            ["a: t-0", "b: t-1", "c: "]
        );
    }

    proptest! {
        #[test]
        fn every_partition_that_is_wanted_has_one_owner(
            wants in proptest::collection::vec(proptest::collection::btree_set("[a-d]", 0..4), 0..6),
            counts in proptest::collection::btree_map("[a-d]", 0..9i32, 0..4),
        ) {
            let members: Vec<Subscriber> = wants
                .into_iter()
                .zip(0..)
                .map(|(topics, id)| Subscriber { member_id: format!("m{id}"), instance_id: None, topics })
                .collect();
            let assigned = assign(&members, &counts);
            let mut owned: Vec<&TopicPartition> = assigned.values().flatten().collect();
            owned.sort();
            let expected: Vec<TopicPartition> = counts
                .iter()
                .filter(|(topic, _)| members.iter().any(|member| member.topics.contains(*topic)))
                .flat_map(|(topic, &count)| (0..count).map(|id| TopicPartition::new(topic.as_str(), id)))
                .collect();
            prop_assert_eq!(owned, expected.iter().collect::<Vec<_>>());
        }
    }
}
