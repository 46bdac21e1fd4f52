//! Which brokers hold the replicas of new partitions.
//!
//! Brokers are taken in turn, alternating between racks, so that leaders (the first replica of each) spread evenly and a
//! partition's replicas lie in as many racks as there are.

use super::BrokerId;
use super::image::Image;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most replicas a partition may have.
pub const MAX_REPLICAS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    #[error(
        "Unable to replicate the partition {wanted} time(s): The target replication factor of {wanted} cannot be reached because only {brokers} broker(s) are registered."
    )]
    TooFewBrokers { wanted: usize, brokers: usize },
    #[error("Replication factor must be larger than 0.")]
    NoReplicas,
    #[error("{0}")]
    Assignment(String),
}

/// The replicas of partitions `first..first + count`.
pub fn place(
    image: &Image,
    first: usize,
    count: usize,
    replicas: usize,
    seed: u64,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if replicas == 0 {
        return Err(Refusal::NoReplicas);
    }
    let order = alternate_racks(image);
    if replicas > order.len() {
        return Err(Refusal::TooFewBrokers {
            wanted: replicas,
            brokers: order.len(),
        });
    }
    let brokers = order.len();
    let start = (seed % brokers as u64) as usize;
    let place_one = |partition: usize| {
        let leader = (start + partition) % brokers;
        // Followers shift by one each time all brokers have led once, so that a dead broker's load goes to all others.
        let shift = partition / brokers;
        let mut chosen = vec![order[leader].0];
        let mut racks = BTreeSet::from([order[leader].1.clone()]);
        let others = (0..brokers - 1).map(|n| (leader + 1 + (n + shift) % (brokers - 1)) % brokers);
        let others: Vec<usize> = others.collect();
        for of_new_rack in [true, false] {
            for at in &others {
                let (id, rack) = &order[*at];
                if chosen.len() < replicas
                    && !chosen.contains(id)
                    && (!of_new_rack || !racks.contains(rack))
                {
                    chosen.push(*id);
                    racks.insert(rack.clone());
                }
            }
        }
        chosen
    };
    Ok((first..first + count).map(place_one).collect())
}

/// Checks what a caller has chosen. `as_before` is how many replicas the partitions have that are there already.
pub fn check(
    image: &Image,
    assignment: &[Vec<BrokerId>],
    as_before: Option<usize>,
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::Assignment(why));
    let wanted = as_before.or(assignment.first().map(Vec::len));
    for brokers in assignment {
        if brokers.is_empty() {
            return refuse(
                "The manual partition assignment includes an empty replica list.".to_owned(),
            );
        }
        if brokers.len() > MAX_REPLICAS {
            return refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), the most is {MAX_REPLICAS}.",
                brokers.len()
            ));
        }
        let mut sorted = brokers.clone();
        sorted.sort_unstable();
        let mut before = None;
        for id in sorted {
            if !image.brokers.contains_key(&id) {
                return refuse(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ));
            }
            if before == Some(id) {
                return refuse(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
            before = Some(id);
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted != brokers.len()) {
            return refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {wanted} replica(s).",
                brokers.len()
            ));
        }
    }
    Ok(())
}

/// The same for one partition by itself.
pub fn check_one(image: &Image, replicas: &[BrokerId]) -> Result<(), Refusal> {
    check(image, &[replicas.to_vec()], None)
}

/// Brokers by turns of their racks: the first of each, then the second of each.
fn alternate_racks(image: &Image) -> Vec<(BrokerId, Option<String>)> {
    let mut racks: BTreeMap<Option<String>, Vec<BrokerId>> = BTreeMap::new();
    for broker in image.brokers.values() {
        racks
            .entry(broker.rack.clone())
            .or_default()
            .push(broker.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let turn = |at: usize| {
        racks
            .iter()
            .filter_map(move |(rack, brokers)| brokers.get(at).map(|id| (*id, rack.clone())))
    };
    (0..longest).flat_map(turn).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metadata::Broker;

    fn image(brokers: &[(BrokerId, &str)]) -> Image {
        let mut image = Image::default();
        for (id, rack) in brokers {
            let broker = Broker {
                id: *id,
                endpoints: Vec::new(),
                rack: (!rack.is_empty()).then(|| (*rack).to_owned()),
                peer: None,
                metadata_replica: 1,
            };
            image.brokers.insert(*id, broker.into());
        }
        image
    }

    #[test]
    fn leaders_spread_evenly_and_replicas_are_distinct() {
        let image = image(&[(0, ""), (1, ""), (2, ""), (5, "")]);
        let placed = place(&image, 0, 12, 3, 7).unwrap();
        for id in [0, 1, 2, 5] {
            assert_eq!(placed.iter().filter(|p| p[0] == id).count(), 3);
            assert_eq!(placed.iter().filter(|p| p.contains(&id)).count(), 9);
        }
        for replicas in placed {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn replicas_lie_in_as_many_racks_as_there_are() {
        let racks = [(0, "a"), (1, "a"), (2, "b"), (3, "b"), (4, "c"), (5, "c")];
        let image = image(&racks);
        for replicas in place(&image, 0, 24, 3, 1).unwrap() {
            let of = |id: &BrokerId| racks.iter().find(|(other, _)| other == id).unwrap().1;
            assert_eq!(
                replicas.iter().map(of).collect::<BTreeSet<_>>().len(),
                3,
                "{replicas:?}"
            );
        }
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        assert_eq!(
            place(&image(&[(1, "")]), 0, 1, 2, 0).unwrap_err(),
            Refusal::TooFewBrokers {
                wanted: 2,
                brokers: 1
            }
        );
        assert_eq!(
            place(&image(&[(1, "")]), 0, 1, 0, 0),
            Err(Refusal::NoReplicas)
        );
    }

    #[test]
    fn a_manual_assignment_must_be_even_and_name_known_brokers_once() {
        let image = image(&[(0, ""), (1, "")]);
        let refused =
            |assignment: &[Vec<BrokerId>]| check(&image, assignment, None).unwrap_err().to_string();
        assert_eq!(check(&image, &[vec![0, 1], vec![1, 0]], None), Ok(()));
        assert!(refused(&[vec![0, 1], vec![1]]).contains("not consistent"));
        assert!(refused(&[vec![0, 0]]).contains("more than once"));
        assert!(refused(&[vec![0, 7]]).contains("broker 7"));
        assert!(refused(&[vec![]]).contains("empty"));
    }
}
