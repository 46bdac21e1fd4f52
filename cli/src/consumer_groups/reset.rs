//! `--reset-offsets`: where groups without members go on.

use super::plan::{self, Plan};
use super::{Trouble, chosen, describe, print_error};
use crate::Output;
use crate::args::Args;
use millrace_client::admin::{CommittedOffset, GroupState, OffsetSpec};
use millrace_client::consumer::Isolation;
use millrace_client::wire::ErrorCode;
use millrace_client::{Client, Error, TopicPartition, Topics};
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

/// A file beyond this is no plan.
const MAX_PLAN_BYTES: u64 = 64 << 20;

type Offsets = BTreeMap<TopicPartition, i64>;

pub async fn run(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let mut plan = Plan::new();
    for group in chosen(client, args).await? {
        let offsets = match is_inactive(client, &group).await? {
            Ok(()) => reset(client, args, &group, out).await?,
            Err(state) => {
                print_error(
                    out,
                    &format!(
                        "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
                    ),
                )?;
                Offsets::new()
            }
        };
        plan.insert(group, offsets);
    }
    if args.has("export") {
        let only_group = args.values("group").count() == 1;
        writeln!(out, "{}", plan::csv(&plan, only_group))?;
    } else {
        write!(out, "{}", table(&plan))?;
    }
    Ok(())
}

/// Whether nobody is in it; one that does not exist is made by its first offset.
async fn is_inactive(client: &Client, group: &str) -> Result<Result<(), GroupState>, Trouble> {
    let described = client.describe_group(group).await;
    if let Err(error) = &described
        && error.code() == Some(ErrorCode::GroupIdNotFound)
    {
        return Ok(Ok(()));
    }
    let described = describe::of_consumers(group, described)?;
    Ok(match described.state {
        GroupState::Empty | GroupState::Dead => Ok(()),
        other => Err(other),
    })
}

async fn reset(
    client: &Client,
    args: &Args,
    group: &str,
    out: &mut Output,
) -> Result<Offsets, Trouble> {
    let offsets = new_offsets(client, args, group, out).await?;
    if !args.has("execute") {
        return Ok(offsets);
    }
    let committed = offsets
        .iter()
        .map(|(at, &offset)| (at.clone(), CommittedOffset::at(offset)));
    // A member that joined since is not overruled: the coordinator refuses.
    let results = client
        .alter_group_offsets(group, &committed.collect())
        .await
        .map_err(bare)?;
    for result in results.into_values() {
        result.map_err(bare)?;
    }
    Ok(offsets)
}

/// In its own words, as Kafka's tool has errors of resets.
fn bare(error: Error) -> Trouble {
    match error {
        Error::Kafka { message, .. } => Trouble::Failed(message),
        error => error.into(),
    }
}

async fn new_offsets(
    client: &Client,
    args: &Args,
    group: &str,
    out: &mut Output,
) -> Result<Offsets, Trouble> {
    let partitions = scope(client, args, group).await?;
    must_exist(client, &partitions).await?;
    if let Some(offset) = args.number("to-offset")? {
        let wanted = partitions.into_iter().map(|at| (at, offset));
        return within_range(client, wanted.collect()).await;
    }
    if args.has("to-earliest") {
        return look_up(client, &partitions, OffsetSpec::Earliest).await;
    }
    if args.has("to-latest") {
        return look_up(client, &partitions, OffsetSpec::Latest).await;
    }
    if let Some(shift) = args.number::<i64>("shift-by")? {
        let committed = client.list_group_offsets(group, None).await?;
        let shifted = partitions.into_iter().map(|at| match committed.get(&at) {
            Some(current) => Ok((at, current.offset.saturating_add(shift))),
            None => Err(Trouble::Usage(format!(
                "Cannot shift offset for partition {at} since there is no current committed offset"
            ))),
        });
        return within_range(client, shifted.collect::<Result<_, _>>()?).await;
    }
    if let Some(text) = args.value("to-datetime")? {
        let time = plan::datetime(text).map_err(Trouble::Failed)?;
        return by_time(client, &partitions, time, out).await;
    }
    if let Some(text) = args.value("by-duration")? {
        let before = plan::duration_ms(text).map_err(Trouble::Failed)?;
        let now = jiff::Timestamp::now().as_millisecond();
        return by_time(client, &partitions, now.saturating_sub(before), out).await;
    }
    if let Some(path) = args.value("from-file")? {
        let plan = read_plan(args, path)?;
        return match plan.get(group) {
            Some(offsets) => within_range(client, offsets.clone()).await,
            None => {
                print_error(out, &format!("No reset plan for group {group} found"))?;
                Ok(Offsets::new())
            }
        };
    }
    // What is left is --to-current.
    let committed = client.list_group_offsets(group, None).await?;
    let (known, unknown): (BTreeSet<_>, BTreeSet<_>) = partitions
        .into_iter()
        .partition(|at| committed.contains_key(at));
    let mut offsets = look_up(client, &unknown, OffsetSpec::Latest).await?;
    let current = known.into_iter().filter_map(|at| {
        let offset = committed.get(&at)?.offset;
        Some((at, offset))
    });
    offsets.extend(current);
    Ok(offsets)
}

fn read_plan(args: &Args, path: &str) -> Result<Plan, Trouble> {
    let unreadable =
        |error: std::io::Error| Trouble::Failed(format!("{path} cannot be read: {error}"));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_PLAN_BYTES {
        return Err(Trouble::Failed(format!(
            "{path} has {bytes} bytes; {MAX_PLAN_BYTES} are allowed"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let groups: Vec<&str> = args.values("group").collect();
    let only_group = match groups.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    plan::parse(&text, only_group).map_err(Trouble::Failed)
}

/// The partitions that are to be reset; of a plan's, none but those it names.
async fn scope(
    client: &Client,
    args: &Args,
    group: &str,
) -> Result<BTreeSet<TopicPartition>, Trouble> {
    if args.has("all-topics") {
        let committed = client.list_group_offsets(group, None).await?;
        return Ok(committed.into_keys().collect());
    }
    let mut partitions = BTreeSet::new();
    let mut topics = Vec::new();
    for topic in args.values("topic") {
        match topic.contains(':') {
            true => partitions.extend(plan::partitions(topic).map_err(Trouble::Usage)?),
            false => topics.push(topic),
        }
    }
    if !topics.is_empty() {
        for topic in client.topics(Topics::Named(&topics)).await? {
            topic.check().map_err(bare)?;
            let of_topic = topic.partitions.iter();
            partitions.extend(of_topic.map(|at| TopicPartition::new(topic.name.as_str(), at.id)));
        }
    }
    Ok(partitions)
}

async fn must_exist(client: &Client, partitions: &BTreeSet<TopicPartition>) -> Result<(), Trouble> {
    let topics: BTreeSet<&str> = partitions.iter().map(|at| &*at.topic).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    if topics.is_empty() {
        return Ok(());
    }
    let mut known = BTreeMap::new();
    for topic in client.topics(Topics::Named(&topics)).await? {
        topic.check().map_err(bare)?;
        for partition in &topic.partitions {
            let at = TopicPartition::new(topic.name.as_str(), partition.id);
            known.insert(at, partition.leader.is_some());
        }
    }
    let named = |wanted: &dyn Fn(&TopicPartition) -> bool| {
        let names = partitions.iter().filter(|at| wanted(at));
        names.map(|at| at.to_string()).collect::<Vec<_>>().join(",")
    };
    let missing = named(&|at| !known.contains_key(at));
    if !missing.is_empty() {
        return Err(Trouble::Failed(format!(
            "The partitions \"{missing}\" do not exist"
        )));
    }
    let leaderless = named(&|at| known.get(at) == Some(&false));
    if !leaderless.is_empty() {
        return Err(Trouble::Failed(format!(
            "The partitions \"{leaderless}\" have no leader"
        )));
    }
    Ok(())
}

async fn look_up(
    client: &Client,
    partitions: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<Offsets, Trouble> {
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    let asked: Vec<_> = partitions.iter().map(|at| (at.clone(), spec)).collect();
    let found = client.list_offsets(&asked, Isolation::ReadUncommitted);
    let mut offsets = Offsets::new();
    for (at, found) in found.await? {
        offsets.insert(at, found?.offset);
    }
    Ok(offsets)
}

/// The first records that are not older, or the end where there are none.
async fn by_time(
    client: &Client,
    partitions: &BTreeSet<TopicPartition>,
    time_ms: i64,
    out: &mut Output,
) -> Result<Offsets, Trouble> {
    let mut offsets = look_up(client, partitions, OffsetSpec::Timestamp(time_ms)).await?;
    let newer: BTreeSet<TopicPartition> = offsets
        .iter()
        .filter(|(_, offset)| **offset < 0)
        .map(|(at, _)| at.clone())
        .collect();
    for at in &newer {
        writeln!(
            out,
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            at.partition, at.topic
        )?;
    }
    offsets.extend(look_up(client, &newer, OffsetSpec::Latest).await?);
    Ok(offsets)
}

/// Offsets that a partition does not have become its first or its last.
async fn within_range(client: &Client, wanted: Offsets) -> Result<Offsets, Trouble> {
    let partitions: BTreeSet<TopicPartition> = wanted.keys().cloned().collect();
    let starts = look_up(client, &partitions, OffsetSpec::Earliest).await?;
    let ends = look_up(client, &partitions, OffsetSpec::Latest).await?;
    let offsets = wanted.into_iter().map(|(at, offset)| {
        let (start, end) = (starts.get(&at), ends.get(&at));
        let within = match (start, end) {
            (_, Some(&end)) if offset > end => {
                warn!("New offset ({offset}) is higher than latest offset for topic partition {at}. Value will be set to {end}.");
                end
            }
            (Some(&start), _) if offset < start => {
                warn!("New offset ({offset}) is lower than earliest offset for topic partition {at}. Value will be set to {start}.");
                start
            }
            (_, _) => offset,
        };
        (at, within)
    });
    Ok(offsets.collect())
}

fn table(plan: &Plan) -> String {
    let mut rows = vec![["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"].map(str::to_owned)];
    for (group, offsets) in plan {
        rows.extend(offsets.iter().map(|(at, offset)| {
            [
                group.clone(),
                at.topic.to_string(),
                at.partition.to_string(),
                offset.to_string(),
            ]
        }));
    }
    let wide = |longest: Option<usize>| longest.unwrap_or(0).max(15);
    // A group without offsets counts too.
    let groups = wide(plan.keys().map(|group| group.chars().count()).max());
    let topics = wide(rows.iter().map(|row| row[1].chars().count()).max());
    let mut table = String::new();
    if !plan.is_empty() {
        for [group, topic, partition, offset] in rows {
            table.push_str(&format!(
                "\n{group:groups$} {topic:topics$} {partition:10} {offset}"
            ));
        }
    }
    table + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_kafkas() {
        let mut plan = Plan::new();
        let offsets = plan.entry("g".to_owned()).or_default();
        offsets.insert(TopicPartition::new("t1", 2), 9);
        assert_eq!(
            table(&plan),
            "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\n\
             g               t1              2          9\n"
        );
        assert_eq!(table(&Plan::new()), "\n");
    }
}
