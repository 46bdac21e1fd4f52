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
    assert!(config.delete_topic_enable);
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
        expect![[r#"
            server.properties:1: num.partitions=abc: Not a number of type INT; write a whole number in [1,...], as in 1
            server.properties:3: num.partition: no such setting; did you mean num.partitions?
            server.properties:4: ssl.keystore.password=[hidden]: TLS and SASL are not served yet; listen with PLAINTEXT inside a trusted network and leave it out
            server.properties:5: port=9092: write listeners=PLAINTEXT://host:port, and advertised.listeners for what clients connect to
            server.properties:6: delete.topic.enable=yes: Expected value to be either true or false; write true or false, as in true
            server.properties:9: listener.name.internal.ssl.key.password: TLS and SASL are not served yet; listen with PLAINTEXT inside a trusted network and leave it out
            environment variable MILLRACE_MAX_CONECTIONS: no such setting; did you mean MILLRACE_MAX_CONNECTIONS?
            environment variable MILLRACE_MAX_CONNECTIONS: max.connections=-1: Value must be at least 0; write a whole number in [0,...], as in 2147483647
            --override: compression.type=rar: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer; write text, as in producer
            --override: nonsense: write it as name=value
            node.id: missing; give each broker a number of its own, as in node.id=1
            server.properties:7: group.min.session.timeout.ms=9000000: group.min.session.timeout.ms (9000000) may not be more than group.max.session.timeout.ms (1800000)
            server.properties:8: log.retention.hours=0: nothing would be kept; write 1 or more, or -1 for ever
        "#]],
    );
}

#[test]
fn a_known_setting_without_effect_is_named() {
    check(
        "node.id=1\nnum.network.threads=3\nlog.flush.interval.messages=1\nssl.client.auth=none\nsasl.jaas.config=",
        &[],
        &["remote.log.storage.system.enable=false"],
        expect![[r#"
            server.properties:3: log.flush.interval.messages has no effect: every record is synced to disk before it is acknowledged
            server.properties:2: num.network.threads has no effect: the number of threads follows the machine
        "#]],
    );
}

#[test]
fn a_broker_has_a_number() {
    check(
        "",
        &[],
        &[],
        expect![[r#"
        node.id: missing; give each broker a number of its own, as in node.id=1
    "#]],
    );
    check(
        "broker.id=-1",
        &[],
        &[],
        expect![[r#"
        server.properties:1: broker.id=-1: brokers are not numbered by themselves; give this one a number from 0 on
    "#]],
    );
    check(
        "broker.id=1\nnode.id=2",
        &[],
        &[],
        expect![[r#"
        server.properties:1: broker.id=1: node.id is 2; leave broker.id out
    "#]],
    );
    check(
        "node.id=x",
        &[],
        &[],
        expect![[r#"
            server.properties:1: node.id=x: Not a number of type INT; write a whole number in [0,...]
        "#]],
    );
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
    assert_eq!(shown(&config.peer_listeners), ["CONTROLLER://:0"]);
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
    refused(
        &["listeners=localhost:9092"],
        expect![[r#"
        --override: listeners=localhost:9092: "localhost:9092" is no listener; write NAME://host:port, as in PLAINTEXT://localhost:9092
    "#]],
    );
    refused(
        &["listeners=PLAINTEXT://:99999"],
        expect![[r#"
        --override: listeners=PLAINTEXT://:99999: "99999" is no port; 0 to 65535 are
    "#]],
    );
    refused(
        &["listeners=SASL_SSL://:9092"],
        expect![[r#"
        --override: listeners=SASL_SSL://:9092: SASL_SSL would speak SASL_SSL, and TLS and SASL are not served yet; use PLAINTEXT inside a trusted network
    "#]],
    );
    refused(
        &["listeners=OTHER://:9092"],
        expect![[r#"
        --override: listeners=OTHER://:9092: listener OTHER has no protocol; add OTHER:PLAINTEXT to listener.security.protocol.map
    "#]],
    );
    refused(
        &["listeners="],
        expect![[r#"
        --override: listeners=: there is none for clients; write one, as in PLAINTEXT://localhost:9092
    "#]],
    );
    refused(
        &[
            "listeners=CONTROLLER://:9093",
            "controller.listener.names=CONTROLLER",
        ],
        expect![[r#"
            --override: listeners=CONTROLLER://:9093: there is none for clients; write one, as in PLAINTEXT://localhost:9092
        "#]],
    );
    refused(
        &["listeners=PLAINTEXT://:9092,PLAINTEXT://:9093"],
        expect![[r#"
            --override: listeners=PLAINTEXT://:9092,PLAINTEXT://:9093: listener PLAINTEXT is there twice
        "#]],
    );
    refused(
        &[
            "listeners=A://:9092,B://:9092",
            "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        ],
        expect![[r#"
            --override: listeners=A://:9092,B://:9092: A and B share port 9092; give each its own
        "#]],
    );
    refused(
        &["advertised.listeners=PLAINTEXT://0.0.0.0:9092"],
        expect![[r#"
            --override: advertised.listeners=PLAINTEXT://0.0.0.0:9092: no client can connect to 0.0.0.0; write this machine's name or address
        "#]],
    );
    refused(
        &["listener.security.protocol.map=PLAINTEXT"],
        expect![[r#"
        --override: listener.security.protocol.map=PLAINTEXT: "PLAINTEXT" is no NAME:PROTOCOL, as in CONTROLLER:PLAINTEXT
    "#]],
    );
    refused(
        &["listener.security.protocol.map=PLAINTEXT:TLS"],
        expect![[r#"
            --override: listener.security.protocol.map=PLAINTEXT:TLS: "TLS" is no protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL
        "#]],
    );
    refused(
        &["inter.broker.listener.name=X"],
        expect![[r#"
        --override: inter.broker.listener.name=X: no such listener; there are PLAINTEXT
    "#]],
    );
    refused(
        &["security.inter.broker.protocol=SSL"],
        expect![[r#"
            --override: security.inter.broker.protocol=SSL: TLS and SASL are not served yet; use PLAINTEXT inside a trusted network
        "#]],
    );
    refused(
        &["process.roles=controller"],
        expect![[r#"
            --override: process.roles=controller: a controller alone is not served: every process is a broker, and brokers hold the metadata; write broker, or broker,controller
        "#]],
    );
    refused(
        &["log.dirs="],
        expect![[r#"
        --override: log.dirs=: name at least one directory
    "#]],
    );
    refused(
        &["log.dirs=/a,,/b"],
        expect![[r#"
            --override: log.dirs=/a,,/b: Values must not be empty; write a list with commas
        "#]],
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    check(
        "node.id=1\ngroup.consumer.session.timeout.ms=70000\nqueued.max.request.bytes=5\n\
         millrace.log.limit.bytes=134217728\nlog.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4",
        &[],
        &[],
        expect![[r#"
            server.properties:2: group.consumer.session.timeout.ms=70000: group.consumer.session.timeout.ms (70000) may not be more than group.consumer.max.session.timeout.ms (60000)
            server.properties:5: log.cleaner.min.compaction.lag.ms=5: log.cleaner.min.compaction.lag.ms (5) may not be more than log.cleaner.max.compaction.lag.ms (4)
            server.properties:4: millrace.log.limit.bytes=134217728: millrace.log.budget.bytes (1073741824) may not be more than millrace.log.limit.bytes (134217728)
            server.properties:3: queued.max.request.bytes=5: one request may have 104857600 bytes (socket.request.max.bytes)
        "#]],
    );
}

#[test]
fn a_port_for_http_is_a_host_and_a_port_or_nothing() {
    let config = try_load("node.id=1", &[], &[])
        .expect("an id is enough")
        .config;
    let shown = |at: &Option<crate::config::HostPort>| at.as_ref().map(ToString::to_string);
    assert_eq!(shown(&config.metrics_listener).as_deref(), Some(":9644"));
    assert_eq!(
        shown(&config.control_listener).as_deref(),
        Some("127.0.0.1:9645")
    );
    let overrides = [
        "millrace.metrics.listener=[::1]:0",
        "millrace.control.listener=",
    ];
    let config = try_load("node.id=1", &[], &overrides)
        .expect("both are right")
        .config;
    assert_eq!(shown(&config.metrics_listener).as_deref(), Some("[::1]:0"));
    assert_eq!(config.control_listener, None);
    check(
        "node.id=1",
        &[],
        &[
            "millrace.metrics.listener=9644",
            "millrace.control.listener=localhost:http",
        ],
        expect![[r#"
            --override: millrace.metrics.listener=9644: "9644" is no host:port, as in 127.0.0.1:9644, or :9644 for every interface
            --override: millrace.control.listener=localhost:http: "http" is no port; 0 to 65535 are
        "#]],
    );
}
