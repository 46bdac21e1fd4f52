//! Limits on moves: settings of the brokers and topics that take part, which `--verify` takes away again.

use super::plan::Plan;
use crate::Output;
use crate::failure::Failure;
use millrace_client::admin::{AlterConfig, ConfigResource, Reassignment, ResourceType};
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

const BROKER_RATES: [&str; 2] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];
const DIRECTORY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";

fn broker(id: i32) -> ConfigResource {
    ConfigResource {
        kind: ResourceType::Broker,
        name: id.to_string(),
    }
}

/// Those that replicas are on, or go to.
pub fn brokers(plan: &Plan, current: &BTreeMap<TopicPartition, Vec<i32>>) -> BTreeSet<i32> {
    let there = plan.values().flat_map(|placed| placed.replicas.iter());
    let here = plan.keys().filter_map(|at| current.get(at)).flatten();
    there.chain(here).copied().collect()
}

/// `rate` and `directory_rate` in bytes a second; negative ones set nothing.
pub async fn set(
    client: &Client,
    plan: &Plan,
    current: &BTreeMap<TopicPartition, Vec<i32>>,
    rate: i64,
    directory_rate: i64,
    out: &mut Output,
) -> Result<(), Failure> {
    if rate >= 0 {
        for (topic, (leaders, followers)) in throttled(plan, current) {
            let change = |name: &str, replicas: Vec<String>| {
                AlterConfig::Set(name.to_owned(), replicas.join(","))
            };
            let changes = [change(LEADERS, leaders), change(FOLLOWERS, followers)];
            let set: Vec<AlterConfig> = changes
                .into_iter()
                .filter(|change| !matches!(change, AlterConfig::Set(_, text) if text.is_empty()))
                .collect();
            if !set.is_empty() {
                client
                    .alter_configs(&ConfigResource::topic(topic), &set, false)
                    .await?;
            }
        }
        let rates = BROKER_RATES.map(|name| AlterConfig::Set(name.to_owned(), rate.to_string()));
        for id in brokers(plan, current) {
            client.alter_configs(&broker(id), &rates, false).await?;
        }
        writeln!(out, "The inter-broker throttle limit was set to {rate} B/s")?;
    }
    if directory_rate >= 0 {
        let rate = AlterConfig::Set(DIRECTORY_RATE.to_owned(), directory_rate.to_string());
        for id in brokers(plan, current) {
            client
                .alter_configs(&broker(id), std::slice::from_ref(&rate), false)
                .await?;
        }
        writeln!(
            out,
            "The replica-alter-dir throttle limit was set to {directory_rate} B/s"
        )?;
    }
    Ok(())
}

/// Of each topic the replicas that are read for moves, and those that are filled by them, as `PARTITION:BROKER`.
fn throttled(
    plan: &Plan,
    current: &BTreeMap<TopicPartition, Vec<i32>>,
) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let mut topics: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (at, placed) in plan {
        let now = current.get(at).map_or(&[][..], Vec::as_slice);
        let adding = placed.replicas.iter().filter(|id| !now.contains(id));
        let adding: Vec<String> = adding.map(|id| format!("{}:{id}", at.partition)).collect();
        if adding.is_empty() {
            continue;
        }
        let (leaders, followers) = topics.entry(at.topic.to_string()).or_default();
        leaders.extend(now.iter().map(|id| format!("{}:{id}", at.partition)));
        followers.extend(adding);
    }
    topics
}

pub async fn clear(
    client: &Client,
    plan: &Plan,
    current: &BTreeMap<TopicPartition, Vec<i32>>,
    out: &mut Output,
) -> Result<(), Failure> {
    let brokers: Vec<i32> = brokers(plan, current).into_iter().collect();
    let topics: BTreeSet<String> = plan.keys().map(|at| at.topic.to_string()).collect();
    let many = |n: usize| if n == 1 { "" } else { "s" };
    let names: Vec<String> = brokers.iter().map(i32::to_string).collect();
    writeln!(
        out,
        "Clearing broker-level throttles on broker{} {}",
        many(brokers.len()),
        names.join(",")
    )?;
    let delete = |name: &str| AlterConfig::Delete(name.to_owned());
    let [leader, follower] = BROKER_RATES.map(delete);
    let changes = [leader, follower, delete(DIRECTORY_RATE)];
    for id in brokers {
        match client.alter_configs(&broker(id), &changes, false).await {
            // It is gone, and its limits with it.
            Err(Error::UnknownBroker(_)) => {}
            done => done?,
        }
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    writeln!(
        out,
        "Clearing topic-level throttles on topic{} {}",
        many(topics.len()),
        names.join(",")
    )?;
    for topic in &topics {
        let changes = [LEADERS, FOLLOWERS].map(delete);
        let resource = ConfigResource::topic(topic);
        match client.alter_configs(&resource, &changes, false).await {
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Those that are moved already are throttled with what is asked for now.
pub fn moving(reassignments: &BTreeMap<TopicPartition, Reassignment>) -> String {
    let names: Vec<String> = reassignments
        .keys()
        .map(TopicPartition::to_string)
        .collect();
    names.join(", ")
}
