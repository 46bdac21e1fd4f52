//! The options of `kafka-topics`, and which may stand together.

use crate::args::{Args, Spec, flag, value};
use crate::failure::Failure;

const ACTIONS: [&str; 5] = ["create", "alter", "list", "describe", "delete"];

const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

pub const SPEC: Spec = Spec {
    about: "This tool helps to create, delete, describe, or change a topic.",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The Kafka server to connect to.",
        ),
        value(
            "zookeeper",
            "String: urls",
            "Gone from Kafka: write --bootstrap-server instead.",
        ),
        value(
            "command-config",
            "String: command config property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag("list", "List all available topics."),
        flag("create", "Create a new topic."),
        flag("delete", "Delete a topic."),
        flag(
            "alter",
            "Alter the number of partitions and replica assignment. (To alter topic configurations, the kafka-configs tool can be used.)",
        ),
        flag("describe", "List details for the given topics."),
        value(
            "topic",
            "String: topic",
            "The topic to create, alter, describe or delete. It also accepts a regular expression, except for --create option.",
        ),
        value("topic-id", "String: topic-id", "The topic-id to describe."),
        value(
            "config",
            "String: name=value",
            "A topic configuration override for the topic being created. It is supported only in combination with --create. (To alter topic configurations, the kafka-configs tool can be used.)",
        ),
        value(
            "delete-config",
            "String: name",
            "This option is no longer supported and has been deprecated since 4.0",
        ),
        value(
            "partitions",
            "Integer: # of partitions",
            "The number of partitions for the topic being created or altered. If not supplied with --create, the topic uses the cluster default. (WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected).",
        ),
        value(
            "replication-factor",
            "Integer: replication factor",
            "The replication factor for each partition in the topic being created. If not supplied, the topic uses the cluster default.",
        ),
        value(
            "replica-assignment",
            "String: broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...",
            "A list of manual partition-to-broker assignments for the topic being created or altered.",
        ),
        flag(
            "under-replicated-partitions",
            "If set when describing topics, only show under-replicated partitions.",
        ),
        flag(
            "unavailable-partitions",
            "If set when describing topics, only show partitions whose leader is not available.",
        ),
        flag(
            "under-min-isr-partitions",
            "If set when describing topics, only show partitions whose isr count is less than the configured minimum.",
        ),
        flag(
            "at-min-isr-partitions",
            "If set when describing topics, only show partitions whose isr count is equal to the configured minimum.",
        ),
        flag(
            "topics-with-overrides",
            "If set when describing topics, only show topics that have overridden configs.",
        ),
        flag(
            "if-exists",
            "If set when altering or deleting or describing topics, the action will only execute if the topic exists.",
        ),
        flag(
            "if-not-exists",
            "If set when creating topics, the create request will not fail if the topic already exists, but the request will still be sent.",
        ),
        flag(
            "exclude-internal",
            "Exclude internal topics when listing or describing topics. By default, the internal topics are included.",
        ),
        value(
            "partition-size-limit-per-response",
            "Integer: maximum number of partitions per response",
            "The maximum partition size to be included in one DescribeTopicPartitions response.",
        ),
    ],
};

pub fn action(args: &Args) -> &'static str {
    let given = ACTIONS.into_iter().find(|action| args.has(action));
    given.unwrap_or_default()
}

pub fn check(args: &Args) -> Result<(), Failure> {
    if ACTIONS
        .into_iter()
        .filter(|action| args.has(action))
        .count()
        != 1
    {
        return Err(args.usage("Command must include exactly one action: --list, --describe, --create, --alter or --delete"));
    }
    if !args.has("bootstrap-server") && !args.has("zookeeper") {
        return Err(Failure::plain("--bootstrap-server must be specified"));
    }
    if args.has("describe") && args.has("if-exists") && !args.has("topic-id") {
        args.require(&["topic"])?;
    }
    if !args.has("list") && !args.has("describe") {
        args.require(&["topic"])?;
    }
    if args.has("create") && args.has("replica-assignment") {
        args.forbid("replica-assignment", &["partitions", "replication-factor"])?;
    }
    if args.has("alter") {
        args.forbid("config", &["alter"])?;
        args.require(&["partitions"])?;
    }
    let only = |option: &str, allowed: &[&str]| {
        let forbidden: Vec<&str> = ACTIONS
            .into_iter()
            .filter(|action| !allowed.contains(action))
            .collect();
        args.forbid(option, &forbidden)
    };
    only("config", &["create"])?;
    only("partitions", &["create", "alter"])?;
    only("replication-factor", &["create"])?;
    only("replica-assignment", &["create", "alter"])?;
    only("topic-id", &["describe"])?;
    only("if-exists", &["alter", "delete", "describe"])?;
    only("if-not-exists", &["create"])?;
    only("exclude-internal", &["list", "describe"])?;
    only("topics-with-overrides", &["describe"])?;
    for report in REPORTS {
        only(report, &["describe"])?;
        let others: Vec<&str> = REPORTS
            .into_iter()
            .filter(|other| *other != report)
            .collect();
        args.forbid(report, &others)?;
        args.forbid(report, &["topics-with-overrides"])?;
    }
    Ok(())
}

/// `name=value` of every `--config`, the name without blanks around it.
pub fn configs(args: &Args) -> Result<Vec<(String, Option<String>)>, String> {
    let mut configs: Vec<(String, Option<String>)> = Vec::new();
    for config in args.values("config") {
        let Some((name, value)) = config.split_once('=') else {
            return Err("requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".".to_owned());
        };
        let name = name.trim();
        configs.retain(|(known, _)| known != name);
        configs.push((name.to_owned(), Some(value.trim().to_owned())));
    }
    Ok(configs)
}

/// `1:2,2:3`: each partition's brokers, all partitions with equally many.
pub fn assignment(text: &str) -> Result<Vec<Vec<i32>>, String> {
    let mut assignment: Vec<Vec<i32>> = Vec::new();
    for partition in text.split(',') {
        let mut brokers: Vec<i32> = Vec::new();
        for broker in partition.split(':') {
            let id = broker
                .trim()
                .parse()
                .map_err(|_| format!("For input string: \"{}\"", broker.trim()))?;
            if brokers.contains(&id) {
                return Err(format!(
                    "Partition replica lists may not contain duplicate entries: {id}"
                ));
            }
            brokers.push(id);
        }
        if assignment
            .first()
            .is_some_and(|first| first.len() != brokers.len())
        {
            return Err(format!(
                "Partition {} has different replication factor: {brokers:?}",
                assignment.len()
            ));
        }
        assignment.push(brokers);
    }
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let refused = SPEC
            .parse(&args)
            .and_then(|args| check(&args))
            .expect_err("refused");
        refused.stderr.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
        assert_eq!(
            refused("--bootstrap-server h:1 --list --describe"),
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete"
        );
        assert_eq!(refused("--list"), "--bootstrap-server must be specified");
        assert_eq!(
            refused("--bootstrap-server h:1 --create"),
            "Missing required argument \"[topic]\""
        );
        assert_eq!(
            refused("--bootstrap-server h:1 --list --partitions 2"),
            "Option \"[partitions]\" can't be used with option \"[list]\""
        );
        assert_eq!(
            refused("--bootstrap-server h:1 --alter --topic t"),
            "Missing required argument \"[partitions]\""
        );
        assert_eq!(refused("--foo"), "foo is not a recognized option");
    }

    #[test]
    fn a_replica_assignment_lists_brokers_by_partition() {
        assert_eq!(assignment("1:2,2:3"), Ok(vec![vec![1, 2], vec![2, 3]]));
        assert_eq!(
            assignment("1:1"),
            Err("Partition replica lists may not contain duplicate entries: 1".to_owned())
        );
        assert_eq!(
            assignment("1:2,3"),
            Err("Partition 1 has different replication factor: [3]".to_owned())
        );
        assert_eq!(assignment("x"), Err("For input string: \"x\"".to_owned()));
    }
}
