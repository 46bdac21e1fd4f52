//! Changing brokers while they run. The words are Kafka's, but for names that Kafka takes without knowing them.

use super::broker;
use crate::config::{Change, DynamicSettings, Level};
use expect_test::{Expect, expect};

#[track_caller]
fn check(level: Level, name: &str, change: Change, expected: Expect) {
    let altered = DynamicSettings::default().alter([(name, &change)], level);
    let shown = match altered {
        Ok(settings) => settings
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

fn set(value: &str) -> Change {
    Change::Set(value.to_owned())
}

#[test]
fn what_may_change_is_taken() {
    check(
        Level::Broker,
        "max.connections",
        set("5"),
        expect![[r#"
        max.connections=5
    "#]],
    );
    check(
        Level::Cluster,
        "log.cleanup.policy",
        Change::Append("compact".to_owned()),
        expect![[r#"
        log.cleanup.policy=delete,compact
    "#]],
    );
    check(
        Level::Broker,
        "leader.replication.throttled.rate",
        set("1000"),
        expect![[r#"
        leader.replication.throttled.rate=1000
    "#]],
    );
}

#[test]
fn what_may_not_change_is_refused() {
    check(
        Level::Broker,
        "log.roll.hours",
        set("3"),
        expect!["Cannot update these configs dynamically: [log.roll.hours]"],
    );
    check(
        Level::Broker,
        "num.partitions",
        set("3"),
        expect!["Cannot update these configs dynamically: [num.partitions]"],
    );
    check(
        Level::Cluster,
        "ssl.keystore.location",
        set("x"),
        expect![
            "Cannot update these configs at default cluster level, broker id must be specified: [ssl.keystore.location]"
        ],
    );
    check(
        Level::Broker,
        "message.max.bytes",
        set("-3"),
        expect!["Invalid value -3 for configuration message.max.bytes: Value must be at least 0"],
    );
    check(
        Level::Cluster,
        "log.retention.ms",
        set("abc"),
        expect!["Invalid value abc for configuration log.retention.ms: Not a number of type LONG"],
    );
    check(
        Level::Cluster,
        "log.retention.ms",
        set("0"),
        expect![
            "Invalid value 0 for configuration log.retention.ms: Value must be -1, for ever, or at least 1"
        ],
    );
    check(
        Level::Cluster,
        "log.retention.ms",
        Change::Append("5".to_owned()),
        expect!["Can't APPEND to key log.retention.ms because its type is not LIST."],
    );
    check(
        Level::Broker,
        "mesage.max.bytes",
        set("3"),
        expect!["Unknown broker config name: mesage.max.bytes; did you mean message.max.bytes?"],
    );
    check(
        Level::Broker,
        "sasl.jaas.config",
        set("secret"),
        expect![
            "sasl.jaas.config is not served: TLS and SASL are not served yet; listen with PLAINTEXT inside a trusted network and leave it out"
        ],
    );
    check(
        Level::Broker,
        "max.connections.per.ip.overrides",
        set("localhost"),
        expect![[
            r#"Invalid value localhost for configuration max.connections.per.ip.overrides: "localhost" is no address:count, as in 127.0.0.1:200"#
        ]],
    );
}

#[test]
fn one_broker_s_value_wins_over_the_cluster_s() {
    let of = |value: &str, level| {
        let pairs = [
            ("max.connections", value),
            ("max.connections.per.ip.overrides", "::1:7"),
        ];
        DynamicSettings::from_stored(pairs, level).0
    };
    let broker = broker(&["max.connections=1"]);
    assert_eq!(broker.max_connections, 1);
    let none = DynamicSettings::default();
    let changed = broker.with_dynamic(&none, &of("2", Level::Cluster));
    assert_eq!(changed.max_connections, 2);
    assert_eq!(changed.max_connections_by_address.get("::1"), Some(&7));
    let changed = broker.with_dynamic(&of("3", Level::Broker), &of("2", Level::Cluster));
    assert_eq!(changed.max_connections, 3);
    assert_eq!(changed.with_dynamic(&none, &none), broker);
}

#[test]
fn what_was_stored_and_is_unknown_is_named_and_left_out() {
    let pairs = [
        ("max.connections", "5"),
        ("gone", "1"),
        ("num.io.threads", "x"),
    ];
    let (settings, passed_over) = DynamicSettings::from_stored(pairs, Level::Broker);
    assert_eq!(
        settings.iter().collect::<Vec<_>>(),
        [("max.connections", "5")]
    );
    assert_eq!(passed_over.len(), 2);
}

#[test]
fn what_a_broker_bounds_stays_within_its_bounds() {
    let bounds = [
        "group.consumer.min.assignment.interval.ms=500",
        "group.consumer.max.assignment.interval.ms=2000",
    ];
    let check = |value: &str, expected: Expect| {
        let change = set(value);
        let changes = [("group.consumer.assignment.interval.ms", &change)];
        let altered = DynamicSettings::default().alter(changes, Level::Cluster);
        let checked = altered.and_then(|altered| altered.check(&broker(&bounds)));
        let shown = checked.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        expected.assert_eq(&shown);
    };
    check("500", expect!["ok"]);
    check("2000", expect!["ok"]);
    check(
        "499",
        expect![
            "group.consumer.assignment.interval.ms must be greater than or equal to group.consumer.min.assignment.interval.ms"
        ],
    );
    check(
        "2001",
        expect![
            "group.consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"
        ],
    );
}
