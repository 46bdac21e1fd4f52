//! What holds for any group.

use super::{Group, Member, each, id, load, sorted, topic};
use crate::group::Name;
use crate::group::consumer::Partitions;
use crate::group::consumer::assignor::Assignor;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const TOPICS: [&str; 6] = ["t", "u", "v", "w", "x", "y"];

fn any_topics(racks: &'static str) -> impl Strategy<Value = Vec<super::Topic>> {
    let partitions = prop::collection::vec(
        prop::sample::select(vec!["", "x", "y", "z", "xy", "xz", "yz"]),
        0..12,
    );
    prop::collection::vec(partitions, 1..TOPICS.len()).prop_map(move |topics| {
        let topics = topics
            .iter()
            .zip(TOPICS)
            .map(|(partitions, name)| match racks {
                "" => topic(name, &vec![""; partitions.len()]),
                _ => topic(name, partitions),
            });
        topics.collect()
    })
}

fn any_member() -> impl Strategy<Value = Member> {
    let numbers = prop::collection::btree_set(-1..12_i32, 1..6);
    let topics = prop::sample::subsequence(TOPICS.to_vec(), 0..=TOPICS.len());
    let had = prop::collection::vec((prop::sample::select(TOPICS.to_vec()), numbers), 0..4);
    let rack = prop::option::of(prop::sample::select(vec!["x", "y", "z", "q"]));
    (topics, had, rack, any::<bool>()).prop_map(|(topics, had, rack, is_static)| Member {
        topics: topics.into_iter().map(id).collect(),
        had: had
            .into_iter()
            .map(|(topic, numbers)| (id(topic), numbers))
            .collect(),
        rack: rack.map(Name::from),
        instance_id: is_static.then(|| "".into()),
        ..Member::default()
    })
}

/// Anything at all.
fn any_group(racks: &'static str) -> impl Strategy<Value = Group> {
    let assignor = prop::sample::select(Assignor::ALL.to_vec());
    let members = prop::collection::vec(any_member(), 0..9);
    (assignor, any_topics(racks), members).prop_map(move |(assignor, topics, members)| {
        let mut group = Group::in_racks(assignor, topics);
        for (at, member) in members.into_iter().enumerate() {
            // Instances are not in the order of the members.
            let instance_id = member
                .instance_id
                .as_ref()
                .map(|_| format!("i{}", at * 7 % 9).into());
            let rack = member.rack.clone().filter(|_| !racks.is_empty());
            let id = format!("m{at}").into();
            group.members.push(Member {
                id,
                instance_id,
                rack,
                ..member
            });
        }
        group
    })
}

/// All want everything, and have settled.
fn any_alike(racks: &'static str) -> impl Strategy<Value = Group> {
    any_group(racks).prop_map(|mut group| {
        group.assignor = Assignor::Uniform;
        for member in &mut group.members {
            member.topics = TOPICS.map(id).into();
        }
        group.settled()
    })
}

/// Whether partitions could go from this member, through others, to one that has two or more fewer.
fn could_give(group: &Group, from: usize) -> bool {
    let loads = group.loads();
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for topic in group.members[at].had.keys() {
            let takers = (0..loads.len()).filter(|to| group.members[*to].topics.contains(topic));
            for to in takers {
                if loads[to] + 2 <= loads[from] {
                    return true;
                }
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
    }
    false
}

proptest! {
    #[test]
    fn runs_move_no_more_than_if_they_were_laid_out_anew(mut group in any_group("")) {
        group.assignor = Assignor::Range;
        let mut anew = group.clone();
        for member in &mut anew.members {
            member.had.clear();
        }
        prop_assert!(group.clone().settled().moved_from(&group) <= anew.settled().moved_from(&group));
    }

    #[test]
    fn each_partition_goes_to_one_who_wants_it(group in any_group("xyz")) {
        let group = group.settled();
        let mut owned = BTreeSet::new();
        for member in &group.members {
            for (topic, partitions) in &member.had {
                prop_assert!(member.topics.contains(topic));
                prop_assert!(!partitions.is_empty());
            }
            for one in each(&member.had) {
                prop_assert!(owned.insert(one), "{one:?} twice");
            }
        }
        let wanted: BTreeSet<Uuid> = group.members.iter().flat_map(|member| member.topics.clone()).collect();
        let all = group.catalog.topics().filter(|topic| wanted.contains(&topic.id));
        let all = all.flat_map(|topic| topic.partitions().map(|partition| (topic.id, partition)));
        prop_assert_eq!(owned, all.collect());
    }

    #[test]
    fn what_is_settled_stays(group in any_group("xyz")) {
        let group = group.settled();
        let again = group.clone().settled();
        prop_assert_eq!(again.moved_from(&group), 0);
    }

    #[test]
    fn the_order_of_the_members_does_not_matter(group in any_group("xyz"), order in any::<prop::sample::Index>()) {
        let by_id = |group: &Group| -> BTreeMap<Name, Partitions> {
            let ids = group.members.iter().map(|member| member.id.clone());
            ids.zip(group.assign()).collect()
        };
        let mut other = group.clone();
        other.members.reverse();
        if !other.members.is_empty() {
            let by = order.index(other.members.len());
            other.members.rotate_left(by);
        }
        prop_assert_eq!(by_id(&group), by_id(&other));
    }

    #[test]
    fn nobody_can_give_to_one_with_two_fewer(mut group in any_group("xyz")) {
        group.assignor = Assignor::Uniform;
        let group = group.settled();
        for from in 0..group.members.len() {
            prop_assert!(!could_give(&group, from), "{:?}", group.loads());
        }
    }

    #[test]
    fn racks_cost_no_balance(mut group in any_group("xyz")) {
        group.assignor = Assignor::Uniform;
        let mut without = group.clone();
        for member in &mut without.members {
            member.rack = None;
        }
        let (group, without) = (group.settled(), without.settled());
        prop_assert_eq!(sorted(group.loads()), sorted(without.loads()));
    }

    #[test]
    fn no_exchange_would_match_more(group in any_alike("xyz")) {
        let racks: BTreeMap<(Uuid, i32), BTreeSet<Name>> = group
            .catalog
            .topics()
            .flat_map(|topic| topic.partitions().map(|at| ((topic.id, at), topic.racks[at as usize].clone())))
            .collect();
        let owned: Vec<((Uuid, i32), &Member)> =
            group.members.iter().flat_map(|member| each(&member.had).map(move |one| (one, member))).collect();
        let held = |one: &(Uuid, i32), by: &Member| usize::from(by.rack.as_ref().is_some_and(|rack| racks[one].contains(rack)));
        for (one, owner) in &owned {
            for (other, others) in &owned {
                prop_assert!(held(one, owner) + held(other, others) >= held(one, others) + held(other, owner));
            }
            for taker in group.members.iter().filter(|taker| load(&taker.had) < load(&owner.had)) {
                prop_assert!(held(one, owner) >= held(one, taker));
            }
        }
    }

    #[test]
    fn who_joins_moves_only_its_share(before in any_alike("")) {
        let after = before.clone().member("new", &TOPICS.join(" "), "").settled();
        let total: usize = after.loads().iter().sum();
        prop_assert_eq!(after.moved_from(&before), total / after.members.len());
    }

    #[test]
    fn who_leaves_moves_only_its_share(mut before in any_alike(""), at in any::<prop::sample::Index>()) {
        prop_assume!(before.members.len() > 1);
        let mut after = before.clone();
        let left = after.members.remove(at.index(before.members.len()));
        let after = after.settled();
        before.members.retain(|member| member.id != left.id);
        prop_assert_eq!(after.moved_from(&before), load(&left.had));
    }

    #[test]
    fn runs_are_even_and_alike_for_topics_that_are(mut group in any_group("xyz")) {
        group.assignor = Assignor::Range;
        let group = group.settled();
        let mut classes: BTreeMap<(usize, Vec<usize>), Vec<Vec<i32>>> = BTreeMap::new();
        for topic in group.catalog.topics() {
            let subscribers: Vec<usize> =
                (0..group.members.len()).filter(|at| group.members[*at].topics.contains(&topic.id)).collect();
            let had = subscribers.iter().map(|at| group.members[*at].had.get(&topic.id).cloned().unwrap_or_default());
            let runs: Vec<Vec<i32>> = had.map(|had| had.into_iter().collect()).collect();
            for run in &runs {
                prop_assert!(run.windows(2).all(|two| two[0] + 1 == two[1]), "{run:?} has a gap");
                let share = topic.racks.len() / runs.len();
                prop_assert!(run.len() == share || run.len() == share + 1, "{runs:?}");
            }
            let class = classes.entry((topic.racks.len(), subscribers)).or_insert_with(|| runs.clone());
            prop_assert_eq!(class, &runs);
        }
    }
}
