//! Programs of Kafka's that are not here: what to use in their place.

/// The name, and what to do instead.
const INSTEAD: [(&str, &str); 18] = [
    ("connect-distributed", CONNECT),
    ("connect-mirror-maker", CONNECT),
    ("connect-plugin-path", CONNECT),
    ("connect-standalone", CONNECT),
    (
        "kafka-acls",
        "access control is not served yet: everyone who reaches a listener may do everything",
    ),
    (
        "kafka-delegation-tokens",
        "authentication is not served yet, and with it delegation tokens",
    ),
    (
        "kafka-jmx",
        "there is no JVM and no JMX: read the broker's metrics over HTTP at /metrics",
    ),
    (
        "kafka-console-share-consumer",
        "share groups are not served yet: use kafka-console-consumer with --group",
    ),
    (
        "kafka-share-consumer-perf-test",
        "share groups are not served yet: use kafka-consumer-perf-test",
    ),
    (
        "kafka-share-groups",
        "share groups are not served yet: use kafka-consumer-groups",
    ),
    (
        "kafka-verifiable-share-consumer",
        "share groups are not served yet: use kafka-verifiable-consumer",
    ),
    (
        "kafka-streams-groups",
        "streams groups are not served yet: applications of Kafka Streams use the classic protocol, and kafka-consumer-groups shows them",
    ),
    (
        "kafka-streams-application-reset",
        "reset an application with kafka-consumer-groups --reset-offsets and kafka-topics --delete, or with Apache Kafka's own tool, which works with this broker",
    ),
    ("kafka-transactions", "transactions are not served yet"),
    (
        "kafka-metadata-shell",
        "there are no snapshots of KRaft to open: kafka-dump-log shows the metadata that a broker keeps",
    ),
    (
        "kafka-replica-verification",
        "followers are not read from to compare them: each replica checks what it reads. See kafka-topics --describe --under-replicated-partitions, the lag in kafka-log-dirs, and kafka-dump-log, which reads a broker's files and names damage",
    ),
    (
        "kafka-run-class",
        "there are no classes to run: write the name of a tool",
    ),
    (
        "trogdor",
        "it tests Apache Kafka itself; kafka-producer-perf-test and kafka-verifiable-producer make load",
    ),
];

const CONNECT: &str = "Kafka Connect is a program of its own: Apache Kafka's runs unchanged with this broker as its bootstrap.servers";

/// What to use instead of a program that is not here.
pub fn advice(name: &str) -> Option<String> {
    let (name, instead) = INSTEAD.iter().find(|(known, _)| *known == name)?;
    Some(format!("{name} is not part of these tools: {instead}"))
}

pub fn names() -> impl Iterator<Item = &'static str> {
    INSTEAD.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_here_is_named_with_what_to_use() {
        let advice = advice("connect-standalone").expect("advice");
        assert!(advice.starts_with("connect-standalone is not part of these tools: Kafka Connect"));
        assert_eq!(super::advice("kafka-topics"), None);
    }
}
