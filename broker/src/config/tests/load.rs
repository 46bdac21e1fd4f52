//! What a broker is started with: where it comes from, and what is said of what is wrong.

use super::{broker, try_load};
use expect_test::{Expect, expect};

#[track_caller]
fn check(file: &str, environment: &[(&str, &str)], overrides: &[&str], expected: Expect) {
    let shown = match try_load(file, environment, overrides) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|warning| format!("{warning}\n"))
            .collect(),
        Err(errors) => format!("{errors}\n"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file() {
    let file = "node.id=1\nnum.partitions=2\ndefault.replication.factor=2\nmax.connections=2";
    let environment = [
        ("MILLRACE_NUM_PARTITIONS", "3"),
        ("MILLRACE_DEFAULT_REPLICATION_FACTOR", "3"),
        ("MILLRACE_CACHE_BYTES", "1"),
        ("PATH", "/bin"),
    ];
    let overrides = ["num.partitions=4", "num.partitions = 5"];
    let config = try_load(file, &environment, &overrides)
        .expect("all of it is valid")
        .config;
    assert_eq!(config.num_partitions, 5);
    assert_eq!(config.default_replication_factor, 3);
    assert_eq!(config.max_connections, 2);
    assert_eq!(config.cache_bytes, 1);
    assert_eq!(config.delete_topic_enable, true);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    check(
        "num.partitions=abc\n\nnum.partition=1\nssl.keystore.password=hush\nport=9092\ndelete.topic.enable=yes\n\
         group.min.session.timeout.ms=9000000\nlog.retention.hours=0\nlistener.name.internal.ssl.key.password=x",
        &[
            ("MILLRACE_MAX_CONECTIONS", "1"),
            ("MILLRACE_MAX_CONNECTIONS", "-1"),
        ],
        &["compression.type=rar", "nonsense"],
        expect![[]],
    );
}

#[test]
fn a_known_setting_without_effect_is_named() {
    check(
        "node.id=1\nnum.network.threads=3\nlog.flush.interval.messages=1\nssl.client.auth=none\nsasl.jaas.config=",
        &[],
        &["remote.log.storage.system.enable=false"],
        expect![[]],
    );
}

#[test]
fn a_broker_has_a_number() {
    check("", &[], &[], expect![[]]);
    check("broker.id=-1", &[], &[], expect![[]]);
    check("broker.id=1\nnode.id=2", &[], &[], expect![[]]);
    check("node.id=x", &[], &[], expect![[]]);
    let config = try_load("broker.id=7", &[], &[])
        .expect("the older name will do")
        .config;
    assert_eq!(config.node_id, 7);
    assert_eq!(config.get("node.id"), Some("7".to_owned()));
}

#[test]
fn what_kubernetes_and_the_logger_put_into_the_environment_is_passed_over() {
    check(
        "node.id=1",
        &[
            ("MILLRACE_SERVICE_HOST", "10.0.0.1"),
            ("MILLRACE_BROKER_SERVICE_PORT_KAFKA", "9092"),
            ("MILLRACE_PORT", "tcp://10.0.0.1:9092"),
            ("MILLRACE_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("MILLRACE_LOG", "debug"),
        ],
        &[],
        expect![""],
    );
}

#[test]
fn listeners_are_read() {
    let config = broker(&[
        "listeners=internal://[::1]:19092, EXTERNAL://:9092,CONTROLLER://:0",
        "advertised.listeners=EXTERNAL://example.org:443,INTERNAL://[::1]:19092",
        "listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=internal",
        "controller.listener.names=CONTROLLER",
        "max.connections.per.ip.overrides=127.0.0.1:5,::1:6",
        "log.dirs=/a, /b",
    ]);
    let shown = |listeners: &[crate::config::Listener]| -> Vec<String> {
        listeners.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        shown(&config.listeners),
        ["INTERNAL://[::1]:19092", "EXTERNAL://:9092"]
    );
    assert_eq!(shown(&config.controller_listeners), ["CONTROLLER://:0"]);
    assert_eq!(
        shown(&config.advertised_listeners),
        ["EXTERNAL://example.org:443", "INTERNAL://[::1]:19092"]
    );
    assert_eq!(config.inter_broker_listener, "INTERNAL");
    assert_eq!(config.max_connections_by_address.get("::1"), Some(&6));
    assert_eq!(
        config.log_dirs,
        [std::path::Path::new("/a"), std::path::Path::new("/b")]
    );
}

#[test]
fn without_a_word_of_listeners_there_is_kafka_s() {
    let config = broker(&[]);
    assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://:9092");
    assert_eq!(config.advertised_listeners, config.listeners);
    assert_eq!(config.inter_broker_listener, "PLAINTEXT");
}

#[test]
fn bad_listeners_are_refused() {
    let refused = |overrides: &[&str], expected: Expect| {
        let mut all = vec!["node.id=1"];
        all.extend(overrides);
        check("", &[], &all, expected);
    };
    refused(&["listeners=localhost:9092"], expect![[]]);
    refused(&["listeners=PLAINTEXT://:99999"], expect![[]]);
    refused(&["listeners=SASL_SSL://:9092"], expect![[]]);
    refused(&["listeners=OTHER://:9092"], expect![[]]);
    refused(&["listeners="], expect![[]]);
    refused(
        &[
            "listeners=CONTROLLER://:9093",
            "controller.listener.names=CONTROLLER",
        ],
        expect![[]],
    );
    refused(
        &["listeners=PLAINTEXT://:9092,PLAINTEXT://:9093"],
        expect![[]],
    );
    refused(
        &[
            "listeners=A://:9092,B://:9092",
            "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        ],
        expect![[]],
    );
    refused(
        &["advertised.listeners=PLAINTEXT://0.0.0.0:9092"],
        expect![[]],
    );
    refused(&["listener.security.protocol.map=PLAINTEXT"], expect![[]]);
    refused(
        &["listener.security.protocol.map=PLAINTEXT:TLS"],
        expect![[]],
    );
    refused(&["inter.broker.listener.name=X"], expect![[]]);
    refused(&["security.inter.broker.protocol=SSL"], expect![[]]);
    refused(&["process.roles=controller"], expect![[]]);
    refused(&["log.dirs="], expect![[]]);
    refused(&["log.dirs=/a,,/b"], expect![[]]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    check(
        "node.id=1\ngroup.consumer.session.timeout.ms=70000\nqueued.max.request.bytes=5\n\
         millrace.log.limit.bytes=134217728\nlog.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4",
        &[],
        &[],
        expect![[]],
    );
}
