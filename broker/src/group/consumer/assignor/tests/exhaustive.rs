//! Groups so small that all their assignments can be tried.

use super::{Group, Member, id, topic};
use crate::group::consumer::assignor::Assignor;
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const TOPICS: [&str; 4] = ["t", "u", "v", "w"];

/// Three who want different things, and had anything.
fn small_group() -> impl Strategy<Value = Group> {
    let topics = prop::collection::vec(prop::sample::subsequence(TOPICS.to_vec(), 1..=4), 3);
    let had = prop::collection::vec((0..4_usize, prop::sample::select(TOPICS.to_vec())), 9);
    (topics, had).prop_map(|(topics, had)| {
        let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (owner, topic) in had {
            owners.entry(topic).or_default().push(owner);
        }
        let lengths = owners
            .iter()
            .map(|(name, owners)| topic(name, &vec![""; owners.len()]));
        let mut group = Group::in_racks(Assignor::Uniform, lengths);
        for (at, topics) in topics.into_iter().enumerate() {
            let mine = |owners: &Vec<usize>| {
                (0..)
                    .zip(owners)
                    .filter(|(_, owner)| **owner == at)
                    .map(|(number, _)| number)
                    .collect()
            };
            group.members.push(Member {
                id: format!("m{at}").into(),
                topics: topics.into_iter().map(id).collect(),
                had: owners
                    .iter()
                    .map(|(topic, owners)| (id(topic), mine(owners)))
                    .collect(),
                ..Member::default()
            });
        }
        group
    })
}

/// The least squares of the loads, and with them the least moves, of all assignments there are.
fn best(group: &Group) -> (usize, usize) {
    let topics = group.catalog.topics();
    let partitions: Vec<(Uuid, i32)> = topics
        .flat_map(|topic| topic.partitions().map(|partition| (topic.id, partition)))
        .collect();
    let mut best = (usize::MAX, usize::MAX);
    try_all(
        group,
        &partitions,
        &mut vec![0; group.members.len()],
        0,
        &mut best,
    );
    best
}

fn try_all(
    group: &Group,
    rest: &[(Uuid, i32)],
    loads: &mut [usize],
    moved: usize,
    best: &mut (usize, usize),
) {
    let Some(((topic, partition), rest)) = rest.split_first() else {
        *best = (*best).min((squares(loads), moved));
        return;
    };
    let mut is_wanted = false;
    for (at, member) in group
        .members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.topics.contains(topic))
    {
        let stays = member
            .had
            .get(topic)
            .is_some_and(|had| had.contains(partition));
        loads[at] += 1;
        try_all(group, rest, loads, moved + usize::from(!stays), best);
        loads[at] -= 1;
        is_wanted = true;
    }
    if !is_wanted {
        try_all(group, rest, loads, moved, best);
    }
}

fn squares(loads: &[usize]) -> usize {
    loads.iter().map(|load| load * load).sum()
}

proptest! {
    #[test]
    fn nothing_is_more_even_and_of_that_nothing_moves_less(group in small_group()) {
        let after = group.clone().settled();
        prop_assert_eq!((squares(&after.loads()), after.moved_from(&group)), best(&group));
    }
}
