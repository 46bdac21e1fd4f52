//! DescribeConfigs. The expectations are what Apache Kafka 4.3.1 answered with the same settings.

use super::broker;
use crate::config::{BrokerConfig, Change, DynamicSettings, Entry, Level, TopicSettings};
use expect_test::{Expect, expect};

/// Entries whose value was set anywhere, as `name=value SOURCE {synonyms}`.
#[track_caller]
fn check(entries: &[Entry], names: &[&str], expected: Expect) {
    let mut shown = String::new();
    for entry in entries.iter().filter(|entry| names.contains(&entry.name)) {
        let null = || "null".to_owned();
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|s| {
                let value = s.value.clone().unwrap_or_else(null);
                format!("{}:{}={value}", s.source.name(), s.name)
            })
            .collect();
        let value = entry.value.clone().unwrap_or_else(null);
        let read_only = if entry.is_read_only { " read-only" } else { "" };
        let sensitive = if entry.is_sensitive { " sensitive" } else { "" };
        shown += &format!(
            "{}={value} {}{read_only}{sensitive} {} {{{}}}\n",
            entry.name,
            entry.source.name(),
            entry.kind.name(),
            synonyms.join(", ")
        );
    }
    expected.assert_eq(&shown);
}

fn set(pairs: &[(&str, &str)], level: Level) -> DynamicSettings {
    let (settings, passed_over) = DynamicSettings::from_stored(pairs.iter().copied(), level);
    assert_eq!(passed_over, []);
    settings
}

fn started() -> BrokerConfig {
    broker(&[
        "log.retention.hours=100",
        "log.segment.bytes=2097152",
        "log.roll.ms=3600000",
    ])
}

fn changed() -> BrokerConfig {
    let cluster = [
        ("message.max.bytes", "2000000"),
        ("log.retention.ms", "7000"),
    ];
    started().with_dynamic(
        &set(&[("log.segment.bytes", "3145728")], Level::Broker),
        &set(&cluster, Level::Cluster),
    )
}

#[test]
fn a_topic_lists_its_own_and_what_lies_behind() {
    let names = [
        "max.message.bytes",
        "preallocate",
        "remote.storage.enable",
        "retention.ms",
        "segment.bytes",
        "segment.ms",
    ];
    let own = [("retention.ms", " 5000 ")];
    let topic = TopicSettings::new(own, &started()).expect("the settings are valid");
    check(
        &started().describe_topic(&topic),
        &names,
        expect![[r#"
            max.message.bytes=1048588 DEFAULT_CONFIG INT {DEFAULT_CONFIG:message.max.bytes=1048588}
            preallocate=false DEFAULT_CONFIG BOOLEAN {DEFAULT_CONFIG:log.preallocate=false}
            remote.storage.enable=false DEFAULT_CONFIG BOOLEAN {}
            retention.ms=5000 DYNAMIC_TOPIC_CONFIG LONG {DYNAMIC_TOPIC_CONFIG:retention.ms=5000}
            segment.bytes=2097152 STATIC_BROKER_CONFIG INT {STATIC_BROKER_CONFIG:log.segment.bytes=2097152, DEFAULT_CONFIG:log.segment.bytes=1073741824}
            segment.ms=3600000 STATIC_BROKER_CONFIG LONG {STATIC_BROKER_CONFIG:log.roll.ms=3600000, DEFAULT_CONFIG:log.roll.hours=168}
        "#]],
    );
    let own = [("segment.bytes", "5242880")];
    let topic = TopicSettings::new(own, &changed()).expect("the settings are valid");
    check(
        &changed().describe_topic(&topic),
        &names,
        expect![[r#"
            max.message.bytes=2000000 DYNAMIC_DEFAULT_BROKER_CONFIG INT {DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}
            preallocate=false DEFAULT_CONFIG BOOLEAN {DEFAULT_CONFIG:log.preallocate=false}
            remote.storage.enable=false DEFAULT_CONFIG BOOLEAN {}
            retention.ms=7000 DYNAMIC_DEFAULT_BROKER_CONFIG LONG {DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000, STATIC_BROKER_CONFIG:log.retention.hours=100, DEFAULT_CONFIG:log.retention.hours=168}
            segment.bytes=5242880 DYNAMIC_TOPIC_CONFIG INT {DYNAMIC_TOPIC_CONFIG:segment.bytes=5242880, DYNAMIC_BROKER_CONFIG:log.segment.bytes=3145728, STATIC_BROKER_CONFIG:log.segment.bytes=2097152, DEFAULT_CONFIG:log.segment.bytes=1073741824}
            segment.ms=3600000 STATIC_BROKER_CONFIG LONG {STATIC_BROKER_CONFIG:log.roll.ms=3600000, DEFAULT_CONFIG:log.roll.hours=168}
        "#]],
    );
}

#[test]
fn a_broker_lists_what_it_was_given_and_when() {
    check(
        &changed().describe(),
        &[
            "broker.id",
            "log.retention.ms",
            "log.roll.ms",
            "log.segment.bytes",
            "message.max.bytes",
            "node.id",
            "num.partitions",
            "sasl.jaas.config",
            "log.flush.interval.ms",
            "log.flush.scheduler.interval.ms",
        ],
        expect![[r#"
            broker.id=1 STATIC_BROKER_CONFIG read-only INT {STATIC_BROKER_CONFIG:broker.id=1, DEFAULT_CONFIG:broker.id=-1}
            log.flush.interval.ms=null DEFAULT_CONFIG LONG {}
            log.flush.scheduler.interval.ms=9223372036854775807 DEFAULT_CONFIG read-only LONG {DEFAULT_CONFIG:log.flush.scheduler.interval.ms=9223372036854775807}
            log.retention.ms=7000 DYNAMIC_DEFAULT_BROKER_CONFIG LONG {DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000, STATIC_BROKER_CONFIG:log.retention.hours=100, DEFAULT_CONFIG:log.retention.hours=168}
            log.roll.ms=3600000 STATIC_BROKER_CONFIG LONG {STATIC_BROKER_CONFIG:log.roll.ms=3600000, DEFAULT_CONFIG:log.roll.hours=168}
            log.segment.bytes=3145728 DYNAMIC_BROKER_CONFIG INT {DYNAMIC_BROKER_CONFIG:log.segment.bytes=3145728, STATIC_BROKER_CONFIG:log.segment.bytes=2097152, DEFAULT_CONFIG:log.segment.bytes=1073741824}
            message.max.bytes=2000000 DYNAMIC_DEFAULT_BROKER_CONFIG INT {DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}
            node.id=1 STATIC_BROKER_CONFIG read-only INT {STATIC_BROKER_CONFIG:node.id=1}
            num.partitions=1 DEFAULT_CONFIG read-only INT {DEFAULT_CONFIG:num.partitions=1}
            sasl.jaas.config=null DEFAULT_CONFIG sensitive PASSWORD {}
        "#]],
    );
}

#[test]
fn the_cluster_lists_only_what_was_set_for_all() {
    let entries = changed().describe_cluster_defaults();
    check(
        &entries,
        &entries.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        expect![[r#"
            log.retention.ms=7000 DYNAMIC_DEFAULT_BROKER_CONFIG LONG {DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000}
            message.max.bytes=2000000 DYNAMIC_DEFAULT_BROKER_CONFIG INT {DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000000}
        "#]],
    );
}

#[test]
fn what_kafka_lists_nowhere_is_listed_when_it_is_set() {
    let names = ["zookeeper.connect", "internal.segment.bytes"];
    check(&broker(&[]).describe(), &names, expect![""]);
    check(
        &broker(&["zookeeper.connect=localhost:2181"]).describe(),
        &names,
        expect![[r#"
            zookeeper.connect=localhost:2181 STATIC_BROKER_CONFIG read-only STRING {STATIC_BROKER_CONFIG:zookeeper.connect=localhost:2181}
        "#]],
    );
    let topic = TopicSettings::default();
    check(&broker(&[]).describe_topic(&topic), &names, expect![""]);
    let own = [("internal.segment.bytes", "100")];
    let topic = TopicSettings::new(own, &broker(&[])).expect("the setting is known");
    check(
        &broker(&[]).describe_topic(&topic),
        &names,
        expect![[r#"
            internal.segment.bytes=100 DYNAMIC_TOPIC_CONFIG INT {DYNAMIC_TOPIC_CONFIG:internal.segment.bytes=100}
        "#]],
    );
}

#[test]
fn a_deleted_setting_falls_back() {
    let cluster = set(&[("log.retention.ms", "7000")], Level::Cluster);
    let gone = cluster
        .alter([("log.retention.ms", &Change::Delete)], Level::Cluster)
        .expect("anything may be deleted");
    assert!(gone.is_empty());
    let broker = started().with_dynamic(&DynamicSettings::default(), &gone);
    assert_eq!(broker.topic_defaults().retention_ms, Some(360_000_000));
}
