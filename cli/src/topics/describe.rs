//! `kafka-topics --describe`: a line for each topic and one for each of its partitions.

use super::{Trouble, matching, must_exist};
use crate::Output;
use crate::args::Args;
use millrace_client::admin::{ConfigEntry, ConfigResource, ConfigSource, Reassignment};
use millrace_client::{Client, Error, Partition, Topic, TopicPartition, uuid};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Kafka's own default for one answer of the broker.
const PARTITIONS_PER_ANSWER: i32 = 2000;

/// Which of the lines are wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    only_overridden: bool,
    only_under_replicated: bool,
    only_unavailable: bool,
    only_under_min_isr: bool,
    only_at_min_isr: bool,
}

impl Report {
    fn of(args: &Args) -> Report {
        Report {
            only_overridden: args.has("topics-with-overrides"),
            only_under_replicated: args.has("under-replicated-partitions"),
            only_unavailable: args.has("unavailable-partitions"),
            only_under_min_isr: args.has("under-min-isr-partitions"),
            only_at_min_isr: args.has("at-min-isr-partitions"),
        }
    }

    fn describes_topics(&self) -> bool {
        !self.only_under_replicated
            && !self.only_unavailable
            && !self.only_under_min_isr
            && !self.only_at_min_isr
    }

    fn describes_partitions(&self) -> bool {
        !self.only_overridden
    }
}

pub async fn run(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let report = Report::of(args);
    let topics = match args.value("topic-id")?.filter(|id| !id.is_empty()) {
        Some(id) => by_id(client, id, args.has("if-exists")).await?,
        None => {
            let wanted = args.value("topic")?;
            let names = matching(client, args, wanted).await?;
            if let Some(wanted) = wanted {
                must_exist(&names, wanted, args.has("if-exists"))?;
            }
            let limit = args.number("partition-size-limit-per-response")?;
            let topics = match names.is_empty() {
                true => Vec::new(),
                false => {
                    client
                        .describe_topics(&names, limit.unwrap_or(PARTITIONS_PER_ANSWER))
                        .await?
                }
            };
            // A topic may have gone since it was listed.
            topics
                .into_iter()
                .filter(|topic| topic.error.is_none())
                .collect()
        }
    };
    if topics.is_empty() {
        return Ok(());
    }
    let moving = client.list_reassignments().await.unwrap_or_default();
    for topic in topics {
        let configs = client
            .describe_configs(&ConfigResource::topic(&topic.name))
            .await?;
        let alive = &client.metadata().brokers;
        let has_leader = |id: i32| alive.is_empty() || alive.contains_key(&id);
        out.write_all(shown(&topic, &configs, &moving, report, &has_leader).as_bytes())?;
    }
    Ok(())
}

async fn by_id(client: &Client, id: &str, may_be_missing: bool) -> Result<Vec<Topic>, Trouble> {
    let parsed = uuid::parse(id).map_err(|error| Trouble::Own(error.to_string()))?;
    match client.describe_topic_id(parsed).await {
        Ok(topic) => {
            let names = [topic.name.clone()];
            Ok(client
                .describe_topics(&names, PARTITIONS_PER_ANSWER)
                .await?)
        }
        Err(Error::Kafka { .. }) if may_be_missing => Ok(Vec::new()),
        Err(Error::Kafka { .. }) => Err(Trouble::Own(format!(
            "TopicId '{id}' does not exist as expected"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn shown(
    topic: &Topic,
    configs: &[ConfigEntry],
    moving: &BTreeMap<TopicPartition, Reassignment>,
    report: Report,
    has_leader: &dyn Fn(i32) -> bool,
) -> String {
    let mut text = String::new();
    let set = configs
        .iter()
        .filter(|config| config.source != ConfigSource::Default);
    let set: Vec<&ConfigEntry> = set.collect();
    let reassignment =
        |partition: &Partition| moving.get(&TopicPartition::new(topic.name.as_str(), partition.id));
    if report.describes_topics() && (!report.only_overridden || !set.is_empty()) {
        let first = topic.partitions.first();
        let factor = first.map_or(0, |first| {
            // While replicas are added there are more than the factor.
            let adding = reassignment(first).map_or(0, |moving| moving.adding.len());
            first.replicas.len().saturating_sub(adding)
        });
        let overrides = set.iter().map(|config| {
            format!(
                "{}={}",
                config.name,
                config.value.as_deref().unwrap_or("null")
            )
        });
        let _ = write!(
            text,
            "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
            topic.name,
            uuid::to_text(topic.id),
            topic.partitions.len(),
            overrides.collect::<Vec<_>>().join(","),
        );
        text.push('\n');
    }
    if !report.describes_partitions() {
        return text;
    }
    let min_isr = configs
        .iter()
        .find(|config| config.name == "min.insync.replicas");
    let min_isr: usize = min_isr
        .and_then(|config| config.value.as_ref()?.parse().ok())
        .unwrap_or(1);
    for partition in &topic.partitions {
        if is_wanted(
            partition,
            reassignment(partition),
            min_isr,
            report,
            has_leader,
        ) {
            line(&mut text, &topic.name, partition, reassignment(partition));
        }
    }
    text
}

fn is_wanted(
    partition: &Partition,
    moving: Option<&Reassignment>,
    min_isr: usize,
    report: Report,
    has_leader: &dyn Fn(i32) -> bool,
) -> bool {
    let replicas = match moving {
        Some(moving) => moving.replicas.len().saturating_sub(moving.adding.len()),
        None => partition.replicas.len(),
    };
    let in_sync = partition.in_sync.len();
    let is_led = partition.leader.is_some_and(has_leader);
    (!report.only_under_replicated || in_sync < replicas)
        && (!report.only_unavailable || !is_led)
        && (!report.only_under_min_isr || in_sync < min_isr)
        && (!report.only_at_min_isr || in_sync == min_isr)
}

fn line(text: &mut String, topic: &str, partition: &Partition, moving: Option<&Reassignment>) {
    let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let eligible = |ids: &Option<Vec<i32>>| ids.as_deref().map_or("N/A".to_owned(), list);
    let leader = partition
        .leader
        .map_or("none".to_owned(), |leader| leader.to_string());
    let _ = write!(
        text,
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
        partition.id,
        list(&partition.replicas),
        list(&partition.in_sync),
        eligible(&partition.eligible_leaders),
        eligible(&partition.last_known_eligible_leaders),
    );
    if let Some(moving) = moving {
        let _ = write!(
            text,
            "\tAdding Replicas: {}\tRemoving Replicas: {}",
            list(&moving.adding),
            list(&moving.removing)
        );
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use millrace_client::wire::ErrorCode;
    use millrace_client::wire::messages::Uuid;

    fn partition(id: i32, leader: Option<i32>, in_sync: &[i32]) -> Partition {
        Partition {
            id,
            error: ErrorCode::None,
            leader,
            leader_epoch: 0,
            replicas: vec![1, 2],
            in_sync: in_sync.to_vec(),
            offline: Vec::new(),
            eligible_leaders: Some(Vec::new()),
            last_known_eligible_leaders: Some(Vec::new()),
        }
    }

    fn check(report: Report, expected: Expect) {
        let topic = Topic {
            name: "t".to_owned(),
            id: Uuid::from_bytes(*b"0123456789abcdef"),
            error: ErrorCode::None,
            is_internal: false,
            partitions: vec![partition(0, Some(1), &[1, 2]), partition(1, None, &[2])],
        };
        let entry = |name: &str, value: &str, source| ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
            is_sensitive: false,
            is_read_only: false,
            synonyms: Vec::new(),
        };
        let configs = [
            entry("min.insync.replicas", "2", ConfigSource::DynamicTopic),
            entry("segment.bytes", "1073741824", ConfigSource::Default),
            entry("retention.ms", "1000", ConfigSource::DynamicTopic),
        ];
        let moving = Reassignment {
            replicas: vec![1, 2],
            adding: vec![2],
            removing: vec![],
        };
        let moving = BTreeMap::from([(TopicPartition::new("t", 1), moving)]);
        let shown = shown(&topic, &configs, &moving, report, &|_| true);
        // A tab at the start of a line would be taken for indentation.
        expected.assert_eq(&shown.replace('\t', "|"));
    }

    #[test]
    fn topics_and_partitions_have_kafkas_columns() {
        check(
            Report::default(),
            expect![[r#"
                Topic: t|TopicId: MDEyMzQ1Njc4OWFiY2RlZg|PartitionCount: 2|ReplicationFactor: 2|Configs: min.insync.replicas=2,retention.ms=1000
                |Topic: t|Partition: 0|Leader: 1|Replicas: 1,2|Isr: 1,2|Elr: |LastKnownElr: 
                |Topic: t|Partition: 1|Leader: none|Replicas: 1,2|Isr: 2|Elr: |LastKnownElr: |Adding Replicas: 2|Removing Replicas: 
            "#]],
        );
    }

    #[test]
    fn reports_show_only_what_they_are_about() {
        let unavailable = Report {
            only_unavailable: true,
            ..Report::default()
        };
        check(
            unavailable,
            expect![[r#"
                |Topic: t|Partition: 1|Leader: none|Replicas: 1,2|Isr: 2|Elr: |LastKnownElr: |Adding Replicas: 2|Removing Replicas: 
            "#]],
        );
        let overridden = Report {
            only_overridden: true,
            ..Report::default()
        };
        check(
            overridden,
            expect![[r#"
                Topic: t|TopicId: MDEyMzQ1Njc4OWFiY2RlZg|PartitionCount: 2|ReplicationFactor: 2|Configs: min.insync.replicas=2,retention.ms=1000
            "#]],
        );
        let at_min = Report {
            only_at_min_isr: true,
            ..Report::default()
        };
        check(
            at_min,
            expect![[r#"
                |Topic: t|Partition: 0|Leader: 1|Replicas: 1,2|Isr: 1,2|Elr: |LastKnownElr: 
            "#]],
        );
    }
}
