//! Which partitions a member gets, when it is known how many.
//!
//! A pool's partitions are numbered through, topic after topic.

use crate::group::consumer::Partitions;
use crate::group::consumer::assignor::demand::{Demand, Pool};
use std::collections::{HashMap, VecDeque};

/// For each pool and partition, the seat that had it, if it still wants it. If several say so, the first is believed.
pub fn before(demand: &Demand<'_>) -> Vec<Vec<Option<usize>>> {
    let mut before = Vec::with_capacity(demand.pools.len());
    let mut places = HashMap::new();
    for (at, pool) in demand.pools.iter().enumerate() {
        let mut first = 0;
        for topic in &pool.topics {
            places.insert(topic.id, (at, first, topic.racks.len()));
            first += topic.racks.len();
        }
        before.push(vec![None; first]);
    }
    for (at, member) in demand.members.iter().enumerate() {
        for (topic, had) in member.had {
            let Some((pool, first, len)) = places.get(topic).copied() else {
                continue;
            };
            let Ok(seat) = demand.pools[pool].subscribers.binary_search(&at) else {
                continue;
            };
            for partition in had
                .iter()
                .filter_map(|number| usize::try_from(*number).ok())
            {
                if partition < len {
                    before[pool][first + partition].get_or_insert(seat);
                }
            }
        }
    }
    before
}

/// For each partition of a pool, the racks that hold it and have members.
pub fn replicas(demand: &Demand<'_>, pool: &Pool<'_>) -> Vec<Vec<usize>> {
    let partitions = pool.topics.iter().flat_map(|topic| {
        let partitions = 0..topic.racks.len();
        partitions.map(|partition| demand.replicas(topic, partition).collect())
    });
    partitions.collect()
}

/// For each partition of a pool, the seat that gets it.
pub fn pool(
    demand: &Demand<'_>,
    pool: usize,
    before: &[Option<usize>],
    replicas: &[Vec<usize>],
    shares: &[usize],
) -> Vec<usize> {
    let pool = &demand.pools[pool];
    let rack = |seat: usize| demand.racks[pool.subscribers[seat]];
    let mut needs = shares.to_vec();
    let mut owners = vec![None; before.len()];
    // Of what a member had, it keeps what its rack holds before the rest.
    for wants_match in [true, false] {
        for (partition, seat) in before.iter().enumerate() {
            let Some(seat) = *seat else { continue };
            let matches = rack(seat).is_some_and(|rack| replicas[partition].contains(&rack));
            if matches == wants_match && needs[seat] > 0 {
                needs[seat] -= 1;
                owners[partition] = Some(seat);
            }
        }
    }
    if demand.has_racks() {
        hand_out_by_rack(&mut owners, &mut needs, replicas, rack);
    }
    hand_out(owners, &needs)
}

/// What is free goes to members in its racks, to the rack that lacks the most first.
fn hand_out_by_rack(
    owners: &mut [Option<usize>],
    needs: &mut [usize],
    replicas: &[Vec<usize>],
    rack: impl Fn(usize) -> Option<usize>,
) {
    let mut waiting: HashMap<usize, (usize, VecDeque<usize>)> = HashMap::new();
    for (seat, need) in needs.iter().enumerate().filter(|(_, need)| **need > 0) {
        if let Some(rack) = rack(seat) {
            let (lacking, seats) = waiting.entry(rack).or_default();
            *lacking += need;
            seats.push_back(seat);
        }
    }
    for (owner, replicas) in owners.iter_mut().zip(replicas) {
        if owner.is_some() {
            continue;
        }
        let racks = replicas.iter().copied();
        let Some(rack) =
            racks.max_by_key(|rack| waiting.get(rack).map_or(0, |(lacking, _)| *lacking))
        else {
            continue;
        };
        let Some((lacking, seats)) = waiting.get_mut(&rack) else {
            continue;
        };
        let Some(seat) = seats.pop_front() else {
            continue;
        };
        *owner = Some(seat);
        *lacking -= 1;
        needs[seat] -= 1;
        if needs[seat] > 0 {
            seats.push_back(seat);
        }
    }
}

/// What is still free goes round those who still lack something, so that everybody gets something of each topic.
fn hand_out(owners: Vec<Option<usize>>, needs: &[usize]) -> Vec<usize> {
    let mut needs: VecDeque<(usize, usize)> = needs
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, need)| *need > 0)
        .collect();
    let hand = |owner: Option<usize>| {
        owner.unwrap_or_else(|| {
            let (seat, need) = needs.pop_front().expect("shares add up to the pool");
            if need > 1 {
                needs.push_back((seat, need - 1));
            }
            seat
        })
    };
    owners.into_iter().map(hand).collect()
}

/// The sets of the members, from the seats of the partitions.
pub fn partitions(demand: &Demand<'_>, owners: &[Vec<usize>]) -> Vec<Partitions> {
    let mut found = vec![Partitions::new(); demand.members.len()];
    for (pool, owners) in demand.pools.iter().zip(owners) {
        let numbered = pool.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions();
            partitions.map(|partition| (topic.id, partition))
        });
        for ((topic, partition), seat) in numbered.zip(owners) {
            let found = &mut found[pool.subscribers[*seat]];
            found.entry(topic).or_default().insert(partition);
        }
    }
    found
}
