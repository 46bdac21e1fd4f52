//! `kafka-get-offsets`: `topic:partition:offset`, a line each.

use crate::args::{Args, Spec, flag, value};
use crate::failure::{Failure, describe};
use crate::pattern::{Included, is_internal};
use crate::{Output, connect};
use millrace_client::admin::OffsetSpec;
use millrace_client::consumer::Isolation;
use millrace_client::{Client, TopicPartition};

const SPEC: Spec = Spec {
    about: "An interactive shell for getting topic-partition offsets.",
    options: &[
        value(
            "bootstrap-server",
            "String: HOST1:PORT1,...,HOST3:PORT3",
            "REQUIRED. The server(s) to connect to in the form HOST1:PORT1,HOST2:PORT2.",
        ),
        value(
            "broker-list",
            "String: HOST1:PORT1,...,HOST3:PORT3",
            "Gone from Kafka: write --bootstrap-server instead.",
        ),
        value(
            "topic-partitions",
            "String: topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
            "Comma separated list of topic-partition patterns to get the offsets for: a regular expression for the topic, and after ':' a partition, a range ('0-3', without its end; '5-'; '-3') or nothing.",
        ),
        value(
            "topic",
            "String: topic",
            "The topic to get the offsets for. It also accepts a regular expression. If not present, all authorized topics are queried. Cannot be used if --topic-partitions is present.",
        ),
        value(
            "partitions",
            "String: partition ids",
            "Comma separated list of partition ids to get the offsets for. If not present, all partitions of the authorized topics are queried. Cannot be used if --topic-partitions is present.",
        ),
        value(
            "time",
            "String: <timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
            "timestamp of the offsets before that. [Note: No offset is returned, if the timestamp greater than recently committed record timestamp is given.] (default: latest)",
        ),
        value(
            "command-config",
            "String: config file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag(
            "exclude-internal-topics",
            "By default, internal topics are included. If specified, internal topics are excluded.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    if !args.has("bootstrap-server") && !args.has("broker-list") {
        return Err(args.usage("Missing required argument \"[bootstrap-server]\""));
    }
    args.forbid("topic-partitions", &["topic", "partitions"])?;
    let wanted = wanted(&args)?;
    let spec = parse_time(args.value("time")?.unwrap_or("latest"))?;
    let properties = connect::file(&args, "command-config")?;
    let bootstrap = match (args.value("bootstrap-server")?, args.value("broker-list")?) {
        (Some(bootstrap), _) => bootstrap,
        (None, old) => {
            let old = old.unwrap_or(connect::TODAY);
            connect::advise("--broker-list", &format!("--bootstrap-server {old}"));
            old
        }
    };
    let client = connect::client(Some(bootstrap), &properties, "GetOffsetShell")?;
    let partitions = matching(&client, &wanted, args.has("exclude-internal-topics")).await?;
    if partitions.is_empty() {
        return Err(Failure::plain(
            "Error occurred: Could not match any topic-partitions with the specified filters",
        ));
    }
    let asked: Vec<(TopicPartition, OffsetSpec)> = partitions
        .into_iter()
        .map(|partition| (partition, spec))
        .collect();
    let found = client
        .list_offsets(&asked, Isolation::ReadUncommitted)
        .await;
    let found =
        found.map_err(|error| Failure::plain(format!("Error occurred: {}", describe(&error))))?;
    // Kafka orders them by their names as text: t-10 stands before t-2.
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_cached_key(|(partition, _)| partition.to_string());
    for (partition, found) in found {
        let (topic, id) = (&partition.topic, partition.partition);
        match found {
            Ok(found) if found.offset >= 0 => writeln!(out, "{topic}:{id}:{}", found.offset)?,
            // Kafka says nothing of a partition without such a record.
            Ok(_) => {}
            Err(error) => eprintln!(
                "Skip getting offsets for topic-partition {partition} due to error: {error}"
            ),
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Range {
    All,
    One(i32),
    From { low: i32, below: i32 },
}

impl Range {
    fn contains(&self, partition: i32) -> bool {
        match *self {
            Range::All => true,
            Range::One(one) => one == partition,
            Range::From { low, below } => (low..below).contains(&partition),
        }
    }
}

/// A topic's pattern (any when `None`) and a range of its partitions.
#[derive(Clone, Debug)]
struct Wanted {
    topic: Option<Included>,
    range: Range,
}

fn wanted(args: &Args) -> Result<Vec<Wanted>, Failure> {
    if let Some(patterns) = args.value("topic-partitions")? {
        return patterns.split(',').map(parse_wanted).collect();
    }
    let topic = args.value("topic")?.map(Included::parse).transpose()?;
    let Some(partitions) = args.value("partitions")? else {
        return Ok(vec![Wanted {
            topic,
            range: Range::All,
        }]);
    };
    let ids = partitions.split(',').filter(|id| !id.is_empty());
    ids.map(|id| match id.trim().parse() {
        Ok(id) => Ok(Wanted { topic: topic.clone(), range: Range::One(id) }),
        Err(_) => Err(Failure::plain(format!(
            "Error occurred: --partitions expects a comma separated list of numeric partition ids, but received: {partitions}"
        ))),
    })
    .collect()
}

fn parse_wanted(pattern: &str) -> Result<Wanted, Failure> {
    let invalid = || {
        Failure::plain(format!(
            "Error occurred: Invalid rule specification: {pattern}"
        ))
    };
    let (topic, partitions) = pattern.split_once(':').unwrap_or((pattern, ""));
    let number = |text: &str| text.parse::<i32>().map_err(|_| invalid());
    let range = match partitions.split_once('-') {
        None if partitions.is_empty() => Range::All,
        None => Range::One(number(partitions)?),
        Some((low, below)) => Range::From {
            low: if low.is_empty() { 0 } else { number(low)? },
            below: if below.is_empty() {
                i32::MAX
            } else {
                number(below)?
            },
        },
    };
    let topic = (!topic.is_empty())
        .then(|| Included::parse(topic))
        .transpose()?;
    Ok(Wanted { topic, range })
}

fn parse_time(text: &str) -> Result<OffsetSpec, Failure> {
    Ok(match text {
        "earliest" | "-2" => OffsetSpec::Earliest,
        "latest" | "-1" => OffsetSpec::Latest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetSpec::EarliestPendingUpload,
        number => OffsetSpec::Timestamp(number.parse().map_err(|_| {
            Failure::plain(format!(
                "Error occurred: Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?),
    })
}

async fn matching(
    client: &Client,
    wanted: &[Wanted],
    excludes_internal: bool,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut partitions = Vec::new();
    for topic in client.list_topics().await? {
        if excludes_internal && (topic.is_internal || is_internal(&topic.name)) {
            continue;
        }
        for partition in &topic.partitions {
            let is_wanted = wanted.iter().any(|wanted| {
                wanted.range.contains(partition.id)
                    && wanted
                        .topic
                        .as_ref()
                        .is_none_or(|pattern| pattern.matches(&topic.name))
            });
            if is_wanted {
                partitions.push(TopicPartition::new(topic.name.as_str(), partition.id));
            }
        }
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_topic_and_a_range() {
        let check = |pattern: &str, topic: &str, partitions: &[i32]| {
            let wanted = parse_wanted(pattern).expect("a pattern");
            assert!(
                wanted.topic.is_none_or(|included| included.matches(topic)),
                "{pattern}"
            );
            let found: Vec<i32> = (0..10).filter(|&id| wanted.range.contains(id)).collect();
            assert_eq!(found, partitions, "{pattern}");
        };
        check("t", "t", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        check("t.*:1", "topic", &[1]);
        check("t:0-3", "t", &[0, 1, 2]);
        check("t:8-", "t", &[8, 9]);
        check(":-2", "any", &[0, 1]);
        assert!(parse_wanted("t:x").is_err());
    }

    #[test]
    fn times_are_names_or_numbers() {
        assert_eq!(parse_time("-2").expect("a time"), OffsetSpec::Earliest);
        assert_eq!(
            parse_time("1700000000000").expect("a time"),
            OffsetSpec::Timestamp(1_700_000_000_000)
        );
        assert!(parse_time("foo").is_err());
    }
}
