//! Topic settings. The words are those of Apache Kafka 4.3.1 for the same change.

use super::broker;
use crate::config::{Change, CleanupPolicy, CompressionType, TimestampType, TopicSettings};
use expect_test::{Expect, expect};

fn parse(text: &str) -> (&str, Change) {
    let (operation, rest) = text.split_once(' ').expect("OPERATION name=value");
    let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
    let value = value.to_owned();
    let change = match operation {
        "SET" => Change::Set(value),
        "APPEND" => Change::Append(value),
        "SUBTRACT" => Change::Subtract(value),
        _ => Change::Delete,
    };
    (name, change)
}

/// Each line is a request of its own.
#[track_caller]
fn check(script: &[&str], expected: Expect) {
    let broker = broker(&[]);
    let mut topic = TopicSettings::default();
    let mut shown = String::new();
    for text in script {
        let changes: Vec<(&str, Change)> = text.split(" & ").map(parse).collect();
        match topic.alter(
            changes.iter().map(|(name, change)| (*name, change)),
            &broker,
        ) {
            Ok(altered) => {
                topic = altered;
                let pairs: Vec<String> = topic
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                shown += &format!("{text}\n    {}\n", pairs.join(" "));
            }
            Err(error) => shown += &format!("{text}\n    {error}\n"),
        }
    }
    expected.assert_eq(&shown);
}

#[test]
fn lists_grow_and_shrink() {
    check(
        &[
            "APPEND cleanup.policy=compact",
            "APPEND cleanup.policy=compact",
            "SUBTRACT cleanup.policy=delete",
            "SUBTRACT cleanup.policy=delete",
            "SUBTRACT cleanup.policy=compact",
            "APPEND cleanup.policy=foo",
            "APPEND retention.ms=5",
            "SUBTRACT foo=5",
            "DELETE cleanup.policy",
            "DELETE nosuch",
        ],
        expect![[r#"
            APPEND cleanup.policy=compact
                cleanup.policy=delete,compact
            APPEND cleanup.policy=compact
                cleanup.policy=delete,compact
            SUBTRACT cleanup.policy=delete
                cleanup.policy=compact
            SUBTRACT cleanup.policy=delete
                cleanup.policy=compact
            SUBTRACT cleanup.policy=compact
                cleanup.policy=
            APPEND cleanup.policy=foo
                Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete
            APPEND retention.ms=5
                Can't APPEND to key retention.ms because its type is not LIST.
            SUBTRACT foo=5
                Can't SUBTRACT to key foo because its type is not LIST.
            DELETE cleanup.policy
                
            DELETE nosuch
                
        "#]],
    );
}

#[test]
fn a_request_is_taken_whole_or_not_at_all() {
    check(
        &[
            "SET segment.bytes=5242880 & SET retention.ms= 5 ",
            "SET retention.ms=7 & SET foo=1",
            "DELETE segment.bytes & SET max.message.bytes=9",
        ],
        expect![[r#"
            SET segment.bytes=5242880 & SET retention.ms= 5 
                retention.ms=5 segment.bytes=5242880
            SET retention.ms=7 & SET foo=1
                Unknown topic config name: foo
            DELETE segment.bytes & SET max.message.bytes=9
                max.message.bytes=9 retention.ms=5
        "#]],
    );
}

#[test]
fn bad_values_are_refused_in_kafka_s_words() {
    check(
        &[
            "SET foo=1",
            "SET retention.ms=abc",
            "SET retention.ms=-2",
            "SET retention.ms=",
            "SET retention.ms=0x10",
            "SET max.message.bytes=99999999999",
            "SET max.message.bytes=-1",
            "SET cleanup.policy=delete,,compact",
            "SET cleanup.policy=Delete",
            "SET compression.type=GZIP",
            "SET compression.gzip.level=0",
            "SET compression.zstd.level=23",
            "SET min.cleanable.dirty.ratio=1.5",
            "SET min.cleanable.dirty.ratio=x",
            "SET preallocate=yes",
            "SET segment.bytes=1000",
            "SET message.timestamp.type=foo",
            "SET min.insync.replicas=0",
            "SET leader.replication.throttled.replicas=foo",
            "SET leader.replication.throttled.replicas=0:1,*",
            "SET min.compaction.lag.ms=100 & SET max.compaction.lag.ms=10",
            "SET remote.storage.enable=true",
        ],
        expect![[r#"
            SET foo=1
                Unknown topic config name: foo
            SET retention.ms=abc
                Invalid value abc for configuration retention.ms: Not a number of type LONG
            SET retention.ms=-2
                Invalid value -2 for configuration retention.ms: Value must be at least -1
            SET retention.ms=
                Invalid value  for configuration retention.ms: Not a number of type LONG
            SET retention.ms=0x10
                Invalid value 0x10 for configuration retention.ms: Not a number of type LONG
            SET max.message.bytes=99999999999
                Invalid value 99999999999 for configuration max.message.bytes: Not a number of type INT
            SET max.message.bytes=-1
                Invalid value -1 for configuration max.message.bytes: Value must be at least 0
            SET cleanup.policy=delete,,compact
                Configuration 'cleanup.policy' values must not be empty.
            SET cleanup.policy=Delete
                Invalid value Delete for configuration cleanup.policy: String must be one of: compact, delete
            SET compression.type=GZIP
                Invalid value GZIP for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer
            SET compression.gzip.level=0
                Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1
            SET compression.zstd.level=23
                Invalid value 23 for configuration compression.zstd.level: Value must be no more than 22
            SET min.cleanable.dirty.ratio=1.5
                Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1
            SET min.cleanable.dirty.ratio=x
                Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE
            SET preallocate=yes
                Invalid value yes for configuration preallocate: Expected value to be either true or false
            SET segment.bytes=1000
                Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576
            SET message.timestamp.type=foo
                Invalid value foo for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime
            SET min.insync.replicas=0
                Invalid value 0 for configuration min.insync.replicas: Value must be at least 1
            SET leader.replication.throttled.replicas=foo
                Invalid value [foo] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...
            SET leader.replication.throttled.replicas=0:1,*
                Invalid value [0:1, *] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...
            SET min.compaction.lag.ms=100 & SET max.compaction.lag.ms=10
                conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (10)
            SET remote.storage.enable=true
                Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.
        "#]],
    );
}

#[test]
fn what_kafka_takes_is_taken() {
    check(
        &[
            "SET retention.ms=+5 & SET retention.bytes=-7",
            "SET cleanup.policy= delete , compact ",
            "SET cleanup.policy=delete,delete & SET preallocate=TRUE",
            "SET leader.replication.throttled.replicas=0:1,1:2 & SET remote.storage.enable=false",
        ],
        expect![[r#"
            SET retention.ms=+5 & SET retention.bytes=-7
                retention.bytes=-7 retention.ms=5
            SET cleanup.policy= delete , compact 
                cleanup.policy=delete,compact retention.bytes=-7 retention.ms=5
            SET cleanup.policy=delete,delete & SET preallocate=TRUE
                cleanup.policy=delete preallocate=true retention.bytes=-7 retention.ms=5
            SET leader.replication.throttled.replicas=0:1,1:2 & SET remote.storage.enable=false
                cleanup.policy=delete leader.replication.throttled.replicas=0:1,1:2 preallocate=true remote.storage.enable=false retention.bytes=-7 retention.ms=5
        "#]],
    );
}

#[test]
fn what_is_in_effect_is_the_topic_s_or_else_the_broker_s() {
    let broker = broker(&[
        "log.retention.minutes=3",
        "log.cleanup.policy=compact",
        "compression.type=zstd",
        "message.max.bytes=77",
    ]);
    let defaults = broker.topic_defaults();
    assert_eq!(defaults.retention_ms, Some(180_000));
    assert_eq!(defaults.max_message_bytes, 77);
    assert_eq!(defaults.compression_type, CompressionType::Zstd(3));
    let own = [
        ("retention.ms", "-1"),
        ("cleanup.policy", ""),
        ("compression.type", "gzip"),
        ("message.timestamp.type", "LogAppendTime"),
    ];
    let topic = TopicSettings::new(own, &broker).expect("the settings are valid");
    let config = crate::config::TopicConfig::new(&topic, &broker);
    assert_eq!(config.retention_ms, None);
    let neither = CleanupPolicy {
        deletes: false,
        compacts: false,
    };
    assert_eq!(config.cleanup_policy, neither);
    assert_eq!(config.compression_type, CompressionType::Gzip(None));
    assert_eq!(config.message_timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(config.max_message_bytes, 77);
}

#[test]
fn a_broker_s_lag_conflicts_with_a_topic_s() {
    let broker = broker(&["log.cleaner.max.compaction.lag.ms=10"]);
    let refused = TopicSettings::new([("min.compaction.lag.ms", "100")], &broker);
    assert!(refused.is_err());
}

#[test]
fn what_was_stored_and_is_unknown_is_named_and_left_out() {
    let (topic, passed_over) = TopicSettings::from_stored([("retention.ms", "5"), ("gone", "1")]);
    assert_eq!(topic.iter().collect::<Vec<_>>(), [("retention.ms", "5")]);
    assert_eq!(passed_over.len(), 1);
}
