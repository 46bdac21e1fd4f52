//! `kafka-verifiable-consumer`: a member of a group that says what it is given, reads and commits.

use super::{event, files, json, text};
use crate::args::{Args, Spec, flag, value};
use crate::console::TERMINATED;
use crate::failure::{Failure, describe};
use crate::{Output, connect};
use millrace_client::TopicPartition;
use millrace_client::consumer::{
    ConsumerConfig, ConsumerRecord, Following, GroupConfig, GroupConsumer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long one poll waits.
const WAIT: Duration = Duration::from_secs(1);

const SPEC: Spec = Spec {
    about: "This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, received messages, and offsets committed) as JSON objects to STDOUT.",
    options: &[
        value(
            "bootstrap-server",
            "HOST1:PORT1[,HOST2:PORT2[...]]",
            "REQUIRED: The server(s) to connect to.",
        ),
        value(
            "topic",
            "TOPIC",
            "REQUIRED: Consumes messages from this topic.",
        ),
        value(
            "group-protocol",
            "GROUP-PROTOCOL",
            "Group protocol: classic. (default: classic)",
        ),
        value(
            "group-remote-assignor",
            "GROUP-REMOTE-ASSIGNOR",
            "Only with the group protocol consumer, which this tool does not speak yet.",
        ),
        value(
            "group-id",
            "GROUP_ID",
            "REQUIRED: The group id of the consumer group",
        ),
        value(
            "group-instance-id",
            "GROUP_INSTANCE_ID",
            "A unique identifier of the consumer instance",
        ),
        value(
            "max-messages",
            "MAX-MESSAGES",
            "Consume this many messages. If -1 (the default), the consumer will consume until the process is killed externally (default: -1)",
        ),
        value(
            "session-timeout",
            "TIMEOUT_MS",
            "Set the consumer's session timeout (default: 30000)",
        ),
        flag("verbose", "Enable to log individual consumed records"),
        flag("enable-autocommit", "Enable offset auto-commit on consumer"),
        value(
            "reset-policy",
            "RESETPOLICY",
            "Set reset policy (must be either 'earliest', 'latest', or 'none') (default: earliest)",
        ),
        value(
            "assignment-strategy",
            "ASSIGNMENTSTRATEGY",
            "The class of an assignor; this tool has org.apache.kafka.clients.consumer.RangeAssignor, the default.",
        ),
        value(
            "consumer.config",
            "CONFIG_FILE",
            "(DEPRECATED) Use --command-config instead.",
        ),
        value(
            "command-config",
            "CONFIG_FILE",
            "Config properties file (config options shared with command line parameters will be overridden).",
        ),
    ],
};

const RANGE: &str = "org.apache.kafka.clients.consumer.RangeAssignor";

struct Reader {
    member: GroupConsumer,
    assigned: BTreeSet<TopicPartition>,
    is_verbose: bool,
    commits: bool,
    /// `None` is without end.
    left: Option<u64>,
}

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    args.require(&["topic", "group-id", "bootstrap-server"])?;
    let mut reader = reader(&args)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    event(out, "startup_complete", &[])?;
    let mut was_ended = false;
    while reader.left != Some(0) {
        let polled = tokio::select! {
            polled = reader.member.poll(WAIT) => polled,
            _ = interrupt.recv() => { was_ended = true; break }
            _ = terminate.recv() => { was_ended = true; break }
        };
        reader.show_assignment(out)?;
        let records = polled.map_err(|error| Failure::plain(describe(&error)))?;
        if !records.is_empty() {
            reader.take(&records, out).await?;
        }
    }
    if was_ended {
        event(out, "shutdown_requested", &[])?;
    }
    let assigned = std::mem::take(&mut reader.assigned);
    let closed = reader.member.close().await;
    event(
        out,
        "partitions_revoked",
        &[("partitions", partitions(&assigned))],
    )?;
    event(out, "shutdown_complete", &[])?;
    closed.map_err(|error| Failure::plain(describe(&error)))?;
    match was_ended {
        true => Err(Failure::silent(TERMINATED)),
        false => Ok(()),
    }
}

fn reader(args: &Args) -> Result<Reader, Failure> {
    let mut properties = files(args, "consumer.config")?;
    let protocol = args.value("group-protocol")?;
    if let Some(protocol) = protocol.or(properties.get("group.protocol")) {
        properties.set("group.protocol", protocol.to_ascii_lowercase());
    }
    if let Some(strategy) = args.value("assignment-strategy")?
        && strategy != RANGE
    {
        return Err(Failure::plain(format!(
            "--assignment-strategy {strategy}: this tool has {RANGE} only"
        )));
    }
    let autocommits = args.has("enable-autocommit");
    properties.set("enable.auto.commit", autocommits.to_string());
    properties.set(
        "session.timeout.ms",
        args.value("session-timeout")?.unwrap_or("30000"),
    );
    properties.set(
        "auto.offset.reset",
        args.value("reset-policy")?.unwrap_or("earliest"),
    );
    if let Some(id) = args.value("group-instance-id")? {
        properties.set("group.instance.id", id);
    }
    let mut config = ConsumerConfig::default();
    config.apply(&properties)?;
    let mut group = GroupConfig::new(args.value("group-id")?.unwrap_or_default());
    group.apply(&properties)?;
    let client = connect::client(args.value("bootstrap-server")?, &properties, "consumer-1")?;
    let topic = args.value("topic")?.unwrap_or_default().to_owned();
    let max: Option<i64> = args.number("max-messages")?;
    Ok(Reader {
        member: GroupConsumer::new(client, config, group, Following::Named(vec![topic])),
        assigned: BTreeSet::new(),
        is_verbose: args.has("verbose"),
        commits: !autocommits,
        left: max.and_then(|max| u64::try_from(max).ok()),
    })
}

impl Reader {
    fn show_assignment(&mut self, out: &mut Output) -> Result<(), Failure> {
        let now: BTreeSet<TopicPartition> = self.member.assignment().cloned().collect();
        if now == self.assigned {
            return Ok(());
        }
        // This member gives up everything before it takes anything.
        let before = std::mem::replace(&mut self.assigned, now);
        if !before.is_empty() {
            event(
                out,
                "partitions_revoked",
                &[("partitions", partitions(&before))],
            )?;
        }
        if !self.assigned.is_empty() {
            let assigned = partitions(&self.assigned);
            event(out, "partitions_assigned", &[("partitions", assigned)])?;
        }
        Ok(())
    }

    async fn take(&mut self, records: &[ConsumerRecord], out: &mut Output) -> Result<(), Failure> {
        let wanted = self.left.map_or(records.len(), |left| {
            records
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        let (records, unread) = records.split_at(wanted);
        if let Some(left) = &mut self.left {
            *left -= records.len() as u64;
        }
        // Only what was said to be read is committed.
        let mut first = BTreeMap::new();
        for record in unread {
            first.entry(at(record)).or_insert(record.offset);
        }
        for (partition, offset) in first {
            self.member.seek(&partition, offset);
        }
        let mut read: BTreeMap<TopicPartition, (u64, i64, i64)> = BTreeMap::new();
        for record in records {
            if self.is_verbose {
                event(out, "record_data", &record_fields(record))?;
            }
            let (count, _, max) = read.entry(at(record)).or_insert((0, record.offset, 0));
            *count += 1;
            *max = record.offset;
        }
        let summaries: Vec<String> = read
            .iter()
            .map(|(at, (count, min, max))| {
                format!(
                    "{{{},\"count\":{count},\"minOffset\":{min},\"maxOffset\":{max}}}",
                    named(at)
                )
            })
            .collect();
        event(
            out,
            "records_consumed",
            &[
                ("count", json(records.len())),
                ("partitions", raw(&summaries)),
            ],
        )?;
        match self.commits {
            true => self.commit(&read, out).await,
            false => Ok(()),
        }
    }

    async fn commit(
        &mut self,
        read: &BTreeMap<TopicPartition, (u64, i64, i64)>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let done = self.member.commit().await;
        let offsets: Vec<String> = read
            .iter()
            .map(|(at, (_, _, max))| format!("{{{},\"offset\":{}}}", named(at), max + 1))
            .collect();
        let mut fields = vec![("offsets", raw(&offsets)), ("success", json(done.is_ok()))];
        if let Err(error) = &done {
            fields.push(("error", json(describe(error))));
        }
        event(out, "offsets_committed", &fields)
    }
}

fn at(record: &ConsumerRecord) -> TopicPartition {
    TopicPartition::new(Arc::clone(&record.topic), record.partition)
}

fn record_fields(record: &ConsumerRecord) -> [(&'static str, String); 5] {
    [
        ("key", text(record.key.as_ref())),
        ("value", text(record.value.as_ref())),
        ("topic", json(&*record.topic)),
        ("partition", json(record.partition)),
        ("offset", json(record.offset)),
    ]
}

fn named(at: &TopicPartition) -> String {
    format!(
        "\"topic\":{},\"partition\":{}",
        json(&*at.topic),
        at.partition
    )
}

fn partitions(partitions: &BTreeSet<TopicPartition>) -> String {
    let names: Vec<String> = partitions
        .iter()
        .map(|at| format!("{{{}}}", named(at)))
        .collect();
    raw(&names)
}

/// A list of what is JSON already.
fn raw(objects: &[String]) -> String {
    format!("[{}]", objects.join(","))
}
