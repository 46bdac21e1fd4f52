//! Assignments: their files, and where the partitions of topics could go.

use crate::json_file;
use millrace_client::TopicPartition;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// In place of a directory: the broker chooses.
pub const ANY: &str = "any";

/// A partition's replicas, the preferred leader first, and the directory of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub replicas: Vec<i32>,
    pub directories: Vec<String>,
}

pub type Plan = BTreeMap<TopicPartition, Placed>;

pub fn parse(text: &str) -> Result<Plan, String> {
    let mut plan = Plan::new();
    let mut twice = BTreeSet::new();
    for entry in json_file::versioned(text, "partitions")? {
        let at = json_file::partition(&entry)?;
        let missing = || format!("an entry of partitions needs the field replicas: {entry}");
        let replicas = entry.get("replicas").and_then(Value::as_array);
        let replicas = replicas.ok_or_else(missing)?.iter().map(|id| {
            let id = id.as_i64().and_then(|id| i32::try_from(id).ok());
            id.ok_or_else(|| format!("replicas must be ids of brokers: {entry}"))
        });
        let replicas: Vec<i32> = replicas.collect::<Result<_, String>>()?;
        if replicas.is_empty() {
            return Err("Partition replica list cannot be empty".to_owned());
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() < replicas.len() {
            return Err(format!(
                "Partition replica lists may not contain duplicate entries: {at} contains multiple entries for {}",
                list(&replicas, ",")
            ));
        }
        let directories = match entry.get("log_dirs").and_then(Value::as_array) {
            None => vec![ANY.to_owned(); replicas.len()],
            Some(dirs) => dirs
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        };
        if directories.len() != replicas.len() {
            return Err(format!(
                "Size of replicas list {} is different from size of log dirs list {} for partition {at}",
                replicas.len(),
                directories.len()
            ));
        }
        let placed = Placed {
            replicas,
            directories,
        };
        if plan.insert(at.clone(), placed).is_some() {
            twice.insert(at.to_string());
        }
    }
    if plan.is_empty() {
        return Err("Partition reassignment list cannot be empty".to_owned());
    }
    match twice.is_empty() {
        true => Ok(plan),
        false => Err(format!(
            "Partition reassignment contains duplicate topic partitions: {}",
            twice.into_iter().collect::<Vec<_>>().join(",")
        )),
    }
}

pub fn topics_to_move(text: &str) -> Result<Vec<String>, String> {
    let mut topics: Vec<String> = Vec::new();
    for entry in json_file::versioned(text, "topics")? {
        let topic = entry.get("topic").and_then(Value::as_str);
        let topic =
            topic.ok_or_else(|| format!("an entry of topics needs the field topic: {entry}"))?;
        if topics.iter().any(|known| known == topic) {
            return Err(format!(
                "List of topics to reassign contains duplicate entries: {topic}"
            ));
        }
        topics.push(topic.to_owned());
    }
    Ok(topics)
}

/// In the order of Kafka's fields, which a map of the JSON library would lose.
pub fn to_json(plan: &Plan) -> String {
    let entries: Vec<String> = plan
        .iter()
        .map(|(at, placed)| {
            format!(
                "{{\"topic\":{},\"partition\":{},\"replicas\":{},\"log_dirs\":{}}}",
                json!(&*at.topic),
                at.partition,
                json!(placed.replicas),
                json!(placed.directories)
            )
        })
        .collect();
    format!("{{\"version\":1,\"partitions\":[{}]}}", entries.join(","))
}

pub fn list<T: ToString>(items: &[T], between: &str) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(between)
}

/// Brokers with their racks; `None` for all when racks do not matter.
pub type Brokers = BTreeMap<i32, Option<String>>;

/// Each topic's partitions over the brokers, evenly, each partition's replicas in different racks as far as there are any.
pub fn generate(
    topics: &BTreeMap<String, Vec<(i32, usize)>>,
    brokers: &Brokers,
) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for (topic, partitions) in topics {
        // Not always the same broker first: it would lead the first partition of every topic.
        let mut order = alternating(brokers);
        if order.is_empty() {
            return Err("there is no broker to move partitions to".to_owned());
        }
        let start = rand::random_range(..order.len());
        order.rotate_left(start);
        for (n, &(partition, factor)) in partitions.iter().enumerate() {
            if factor > order.len() {
                return Err(format!(
                    "Replication factor: {factor} larger than available brokers: {}.",
                    order.len()
                ));
            }
            let replicas = replicas_of(&order, brokers, n, factor);
            let placed = Placed {
                directories: vec![ANY.to_owned(); replicas.len()],
                replicas,
            };
            plan.insert(TopicPartition::new(topic.as_str(), partition), placed);
        }
    }
    Ok(plan)
}

/// One of each rack in turn.
fn alternating(brokers: &Brokers) -> Vec<i32> {
    let mut racks: BTreeMap<&Option<String>, Vec<i32>> = BTreeMap::new();
    for (id, rack) in brokers {
        racks.entry(rack).or_default().push(*id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let nth = |n: usize| racks.values().filter_map(move |rack| rack.get(n).copied());
    (0..longest).flat_map(nth).collect()
}

fn replicas_of(order: &[i32], brokers: &Brokers, n: usize, factor: usize) -> Vec<i32> {
    let leader = order[n % order.len()];
    let mut replicas = vec![leader];
    // With each lap of the leaders the followers are others.
    let lap = n / order.len();
    let others = order.len() - 1;
    let follower = |i: usize| order[(n + 1 + (lap + i) % others.max(1)) % order.len()];
    for keeps_racks_apart in [true, false] {
        for id in (0..others).map(follower) {
            let rack = |id: i32| brokers.get(&id).cloned().flatten();
            let is_apart = rack(id).is_none() || replicas.iter().all(|&r| rack(r) != rack(id));
            if replicas.len() < factor
                && !replicas.contains(&id)
                && (is_apart || !keeps_racks_apart)
            {
                replicas.push(id);
            }
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let text = r#"{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any","/d"]}]}"#;
        assert_eq!(to_json(&parse(text).expect("a plan")), text);
        let refused = |partitions: &str, words: &str| {
            let text = format!(r#"{{"version":1,"partitions":[{partitions}]}}"#);
            assert_eq!(parse(&text), Err(words.to_owned()));
        };
        refused("", "Partition reassignment list cannot be empty");
        refused(
            r#"{"topic":"a","partition":0,"replicas":[]}"#,
            "Partition replica list cannot be empty",
        );
        refused(
            r#"{"topic":"a","partition":0,"replicas":[1,1]}"#,
            "Partition replica lists may not contain duplicate entries: a-0 contains multiple entries for 1,1",
        );
        let one = r#"{"topic":"a","partition":0,"replicas":[1]}"#;
        refused(
            &format!("{one},{one}"),
            "Partition reassignment contains duplicate topic partitions: a-0",
        );
        refused(
            r#"{"topic":"a","partition":0,"replicas":[1],"log_dirs":[]}"#,
            "Size of replicas list 1 is different from size of log dirs list 0 for partition a-0",
        );
    }

    #[test]
    fn partitions_are_spread_over_brokers_and_racks() {
        let rack = |name: &str| Some(name.to_owned());
        let brokers: Brokers = [
            (1, rack("x")),
            (2, rack("x")),
            (3, rack("y")),
            (4, rack("y")),
        ]
        .into();
        let partitions: Vec<(i32, usize)> = (0..12).map(|id| (id, 2)).collect();
        let topics = [("t".to_owned(), partitions)].into();
        let plan = generate(&topics, &brokers).expect("a plan");
        let mut led: BTreeMap<i32, usize> = BTreeMap::new();
        for placed in plan.values() {
            *led.entry(placed.replicas[0]).or_default() += 1;
            let racks: BTreeSet<_> = placed.replicas.iter().map(|id| &brokers[id]).collect();
            assert_eq!(racks.len(), 2, "{placed:?}");
        }
        assert_eq!(led.into_values().collect::<Vec<_>>(), [3, 3, 3, 3]);
        let topics = [("t".to_owned(), vec![(0, 5)])].into();
        assert!(generate(&topics, &brokers).is_err());
    }
}
