//! Settings of groups: single ones, and what the broker is started with. The words are those of Apache Kafka 4.4 for the same change.

use super::{broker, try_load};
use crate::config::{BrokerConfig, Change, GroupSettings, setting::Served, table};
use expect_test::{Expect, expect};

/// Each line is a request of its own.
#[track_caller]
fn check(broker: &BrokerConfig, script: &[&str], expected: Expect) {
    let mut group = GroupSettings::default();
    let mut shown = String::new();
    for text in script {
        let changes: Vec<(&str, Change)> = text
            .split(" & ")
            .map(|one| match one.split_once('=') {
                Some((name, value)) => (name, Change::Set(value.to_owned())),
                None => (one, Change::Delete),
            })
            .collect();
        let changes = changes.iter().map(|(name, change)| (*name, change));
        match group.alter(changes, broker) {
            Ok(altered) => {
                group = altered;
                let pairs: Vec<String> = group
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                shown += &format!("{text}\n    [{}]\n", pairs.join(" "));
            }
            Err(error) => shown += &format!("{text}\n    {error}\n"),
        }
    }
    expected.assert_eq(&shown);
}

#[test]
fn a_group_s_own_are_within_the_broker_s_bounds() {
    check(
        &broker(&[]),
        &[
            "consumer.session.timeout.ms=45000",
            "consumer.session.timeout.ms=44999",
            "consumer.session.timeout.ms=60000",
            "consumer.session.timeout.ms=60001",
            "consumer.heartbeat.interval.ms=4999",
            "consumer.heartbeat.interval.ms=15001",
            "consumer.heartbeat.interval.ms= 15000 ",
            "consumer.assignment.interval.ms=0",
            "consumer.assignment.interval.ms=15001",
            "consumer.assignment.interval.ms=-1",
            "consumer.assignment.interval.ms=1 & consumer.heartbeat.interval.ms=1",
            "consumer.heartbeat.interval.ms & consumer.session.timeout.ms & no.such.setting",
        ],
        expect![[r#"
            consumer.session.timeout.ms=45000
                [consumer.session.timeout.ms=45000]
            consumer.session.timeout.ms=44999
                consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.
            consumer.session.timeout.ms=60000
                [consumer.session.timeout.ms=60000]
            consumer.session.timeout.ms=60001
                consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.
            consumer.heartbeat.interval.ms=4999
                consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.
            consumer.heartbeat.interval.ms=15001
                consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.
            consumer.heartbeat.interval.ms= 15000 
                [consumer.heartbeat.interval.ms=15000 consumer.session.timeout.ms=60000]
            consumer.assignment.interval.ms=0
                [consumer.assignment.interval.ms=0 consumer.heartbeat.interval.ms=15000 consumer.session.timeout.ms=60000]
            consumer.assignment.interval.ms=15001
                consumer.assignment.interval.ms must be in the range 0 to 15000 inclusive.
            consumer.assignment.interval.ms=-1
                Invalid value -1 for configuration consumer.assignment.interval.ms: Value must be at least 0
            consumer.assignment.interval.ms=1 & consumer.heartbeat.interval.ms=1
                consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.
            consumer.heartbeat.interval.ms & consumer.session.timeout.ms & no.such.setting
                [consumer.assignment.interval.ms=0]
        "#]],
    );
    let strange = [
        "group.consumer.min.session.timeout.ms=6000",
        "group.consumer.session.timeout.ms=6000",
    ];
    check(
        &broker(&strange),
        &[
            "consumer.heartbeat.interval.ms=6000",
            "consumer.heartbeat.interval.ms=15000 & consumer.session.timeout.ms=15000",
            "consumer.heartbeat.interval.ms=15000 & consumer.session.timeout.ms=15001",
            "consumer.session.timeout.ms",
        ],
        expect![[r#"
            consumer.heartbeat.interval.ms=6000
                consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms
            consumer.heartbeat.interval.ms=15000 & consumer.session.timeout.ms=15000
                consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms
            consumer.heartbeat.interval.ms=15000 & consumer.session.timeout.ms=15001
                [consumer.heartbeat.interval.ms=15000 consumer.session.timeout.ms=15001]
            consumer.session.timeout.ms
                consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms
        "#]],
    );
}

#[test]
fn what_is_no_setting_of_groups_is_refused() {
    check(
        &broker(&[]),
        &[
            "retention.ms=5",
            "group.consumer.session.timeout.ms=50000",
            "consumer.session.timeout.ms=",
            "consumer.session.timeout.ms=1.5",
            "share.record.lock.duration.ms=20000",
            "share.record.lock.duration.ms=1",
            "share.isolation.level=none",
            "streams.num.standby.replicas=1",
            "errors.deadletterqueue.topic.name=dlq.x",
        ],
        expect![[r#"
            retention.ms=5
                Unknown group config name: retention.ms
            group.consumer.session.timeout.ms=50000
                Unknown group config name: group.consumer.session.timeout.ms
            consumer.session.timeout.ms=
                Invalid value  for configuration consumer.session.timeout.ms: Not a number of type INT
            consumer.session.timeout.ms=1.5
                Invalid value 1.5 for configuration consumer.session.timeout.ms: Not a number of type INT
            share.record.lock.duration.ms=20000
                share.record.lock.duration.ms is not served: share groups are not served yet
            share.record.lock.duration.ms=1
                Invalid value 1 for configuration share.record.lock.duration.ms: Value must be at least 1000
            share.isolation.level=none
                Invalid value none for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted
            streams.num.standby.replicas=1
                streams.num.standby.replicas is not served: streams groups are not served yet
            errors.deadletterqueue.topic.name=dlq.x
                errors.deadletterqueue.topic.name is not served: share groups are not served yet
        "#]],
    );
    let change = Change::Append("5".to_owned());
    let changes = [("consumer.session.timeout.ms", &change)];
    let error = GroupSettings::default()
        .alter(changes, &broker(&[]))
        .expect_err("it is no list");
    assert_eq!(
        error.to_string(),
        "Can't APPEND to key consumer.session.timeout.ms because its type is not LIST."
    );
}

#[test]
fn what_is_in_effect_follows_the_bounds() {
    let set = [
        ("consumer.session.timeout.ms", "50000"),
        ("consumer.heartbeat.interval.ms", "12000"),
        ("gone", "1"),
    ];
    let (group, passed_over) = GroupSettings::from_stored(set);
    assert_eq!(passed_over.len(), 1);
    let narrow = broker(&[
        "group.consumer.min.session.timeout.ms=55000",
        "group.consumer.session.timeout.ms=55000",
        "group.consumer.max.heartbeat.interval.ms=8000",
    ]);
    let bounded = |broker: &BrokerConfig| {
        [
            group.bounded("consumer.session.timeout.ms", broker),
            group.bounded("consumer.heartbeat.interval.ms", broker),
            group.bounded("consumer.assignment.interval.ms", broker),
        ]
    };
    assert_eq!(bounded(&broker(&[])), [Some(50_000), Some(12_000), None]);
    assert_eq!(bounded(&narrow), [Some(55_000), Some(8_000), None]);
}

#[test]
fn a_group_s_default_and_the_broker_s_behind_it_agree() {
    let broker = broker(&[]);
    for row in table::GROUP {
        for synonym in row.synonyms {
            let behind = table::broker_setting(synonym.name).expect("a synonym is in the table");
            let (is_served, is_behind) = (row.served, behind.served);
            assert_eq!(
                is_served == Served::Served,
                is_behind == Served::Served,
                "{} and {}",
                row.name,
                synonym.name
            );
        }
        let shown = broker.layers.behind(row).map(|value| value.to_string());
        // That of streams groups is the first of the broker's assignors, whatever they are.
        let default = row.default.unwrap_or("sticky");
        assert_eq!(shown.as_deref(), Some(default), "{}", row.name);
    }
}

/// What is wrong with a broker that is started with this.
#[track_caller]
fn check_start(overrides: &[&str], expected: Expect) {
    let mut all = vec!["node.id=1"];
    all.extend(overrides);
    let shown = match try_load("", &[], &all) {
        Ok(_) => "it starts".to_owned(),
        Err(errors) => errors.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_broker_s_values_are_within_its_bounds() {
    check_start(
        &["group.consumer.session.timeout.ms=30000"],
        expect![
            "--override: group.consumer.session.timeout.ms=30000: group.consumer.min.session.timeout.ms (45000) may not be more than group.consumer.session.timeout.ms (30000)"
        ],
    );
    check_start(
        &["group.consumer.heartbeat.interval.ms=1000"],
        expect![
            "--override: group.consumer.heartbeat.interval.ms=1000: group.consumer.min.heartbeat.interval.ms (5000) may not be more than group.consumer.heartbeat.interval.ms (1000)"
        ],
    );
    check_start(
        &["group.consumer.min.heartbeat.interval.ms=20000"],
        expect![
            "--override: group.consumer.min.heartbeat.interval.ms=20000: group.consumer.min.heartbeat.interval.ms (20000) may not be more than group.consumer.heartbeat.interval.ms (5000)"
        ],
    );
    check_start(
        &["group.consumer.assignment.interval.ms=15001"],
        expect![
            "--override: group.consumer.assignment.interval.ms=15001: group.consumer.assignment.interval.ms (15001) may not be more than group.consumer.max.assignment.interval.ms (15000)"
        ],
    );
    let equal = [
        "group.consumer.min.session.timeout.ms=5000",
        "group.consumer.session.timeout.ms=5000",
    ];
    check_start(
        &equal,
        expect![
            "--override: group.consumer.session.timeout.ms=5000: group.consumer.heartbeat.interval.ms (5000) must be less than group.consumer.session.timeout.ms (5000)"
        ],
    );
    let longer = [
        "group.consumer.min.session.timeout.ms=5000",
        "group.consumer.session.timeout.ms=5001",
    ];
    check_start(&longer, expect!["it starts"]);
}

#[test]
fn assignors_are_those_that_there_are() {
    check_start(&["group.consumer.assignors=range"], expect!["it starts"]);
    check_start(
        &["group.consumer.assignors=sticky"],
        expect![
            "--override: group.consumer.assignors=sticky: String must be one of: uniform, range, org.apache.kafka.coordinator.group.assignor.UniformAssignor, org.apache.kafka.coordinator.group.assignor.RangeAssignor; write a list with commas, as in uniform,range"
        ],
    );
    check_start(
        &["group.consumer.assignors="],
        expect![
            "--override: group.consumer.assignors=: name at least one; there are uniform and range"
        ],
    );
    let class = "org.apache.kafka.coordinator.group.assignor.RangeAssignor";
    check_start(
        &[&format!("group.consumer.assignors={class},uniform")],
        expect!["it starts"],
    );
    check_start(
        &[&format!("group.consumer.assignors=range,{class}")],
        expect![
            "--override: group.consumer.assignors=range,org.apache.kafka.coordinator.group.assignor.RangeAssignor: range is there twice"
        ],
    );
    check_start(
        &["group.consumer.migration.policy=Upgrade"],
        expect!["it starts"],
    );
    check_start(
        &["group.consumer.migration.policy=up"],
        expect![
            "--override: group.consumer.migration.policy=up: String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL; write text, as in bidirectional"
        ],
    );
}

#[test]
fn the_classic_protocol_is_always_offered() {
    const NAME: &str = "group.coordinator.rebalance.protocols";
    check_start(&[&format!("{NAME}=classic")], expect!["it starts"]);
    check_start(
        &[&format!("{NAME}=classic,consumer,streams,share")],
        expect!["it starts"],
    );
    check_start(
        &[&format!("{NAME}=consumer")],
        expect![
            "--override: group.coordinator.rebalance.protocols=consumer: the classic protocol cannot be left out; write classic,consumer, or classic"
        ],
    );
    check_start(
        &[&format!("{NAME}=")],
        expect![
            "--override: group.coordinator.rebalance.protocols=: the classic protocol cannot be left out; write classic,consumer, or classic"
        ],
    );
    check_start(
        &[&format!("{NAME}=classic,other")],
        expect![
            "--override: group.coordinator.rebalance.protocols=classic,other: String must be one of: consumer, classic, share, streams; write a list with commas, as in classic,consumer,streams"
        ],
    );
}
