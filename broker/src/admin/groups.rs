//! Consumer groups in numbers.

use super::gather::{Family, Value};
use crate::api::Broker;
use crate::group::Name;
use crate::group::offsets::Topics;
use crate::metrics::{OTHER, table};
use crate::replicas::Hosting;
use std::collections::BTreeMap;

/// All states that a group can be in, so that a state without groups is 0 and not missing.
const STATES: [&str; 6] = [
    "Empty",
    "PreparingRebalance",
    "CompletingRebalance",
    "Assigning",
    "Reconciling",
    "Stable",
];

pub fn groups(families: &mut Vec<Family>, broker: &Broker) {
    let hosting = broker.replicas.hosting();
    let mut states: BTreeMap<&str, u64> = STATES.map(|state| (state, 0)).into();
    let mut members = 0;
    let mut lags: BTreeMap<(Name, Name), u64> = BTreeMap::new();
    for coordinator in broker.groups.ready() {
        coordinator.look(|machine| {
            for group in machine.groups() {
                *states.entry(group.state()).or_default() += 1;
                members += group.members() as u64;
            }
            for (group, topics) in machine.offsets().groups() {
                lag(&mut lags, &hosting, group, topics);
            }
        });
    }
    let series = |(label, count): (&str, u64)| (vec![label.to_owned()], Value::Whole(count));
    families.extend([
        Family::new(&table::GROUPS, states.into_iter().map(series)),
        Family::new(&table::GROUP_MEMBERS, [(Vec::new(), Value::Whole(members))]),
        Family::new(
            &table::GROUP_LAG,
            bounded(lags, broker.started_with.metrics_max_group_topics),
        ),
    ]);
}

/// By topic, of the partitions whose end is known here.
fn lag(lags: &mut BTreeMap<(Name, Name), u64>, hosting: &Hosting, group: &Name, topics: &Topics) {
    for (name, partitions) in topics {
        let Some(topic) = hosting.topic(name) else {
            continue;
        };
        for (index, committed) in partitions {
            let positions = topic.partition(*index).map(|handle| handle.positions());
            let Some(positions) = positions.filter(|one| one.leads()) else {
                continue;
            };
            // What was deleted before it was read will never be.
            let read = committed.offset.max(positions.log_start.0);
            let behind = positions.high_watermark.0.saturating_sub(read).max(0);
            *lags.entry((group.clone(), name.clone())).or_default() += behind.unsigned_abs();
        }
    }
}

/// The first `max` by name have a label of their own.
fn bounded(
    lags: BTreeMap<(Name, Name), u64>,
    max: usize,
) -> impl Iterator<Item = (Vec<String>, Value)> {
    let mut lags = lags.into_iter();
    let named: Vec<_> = lags.by_ref().take(max).collect();
    let other: u64 = lags.map(|(_, lag)| lag).sum();
    let other = ((Name::from(OTHER), Name::from(OTHER)), other);
    named
        .into_iter()
        .chain([other])
        .map(|((group, topic), lag)| {
            (
                vec![group.to_string(), topic.to_string()],
                Value::Whole(lag),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_beyond_the_bound_are_added_up() {
        let lag = |group: &str, lag| ((Name::from(group), Name::from("t")), lag);
        let lags = BTreeMap::from([lag("a", 1), lag("b", 2), lag("c", 4)]);
        let series: Vec<_> = bounded(lags, 1)
            .map(|(labels, value)| match value {
                Value::Whole(lag) => (labels[0].clone(), lag),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(series, [("a".to_owned(), 1), (OTHER.to_owned(), 6)]);
    }
}
