//! The broker as monitoring and operators see it: metrics, probes and orders, through real sockets.

#[path = "admin/rig.rs"]
mod rig;

use expect_test::expect;
use millrace_broker::admin::{Admin, Ports};
use millrace_broker::metrics::{Metrics, table};
use millrace_broker::server::Server;
use rig::{Client, config, get, logged, put, series, start, wait_until};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A page without its numbers: name, kind and labels of each metric, and how many series it has.
fn outline(page: &str) -> String {
    let mut outline = String::new();
    for line in page.lines() {
        let Some(declared) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let (name, _) = declared.split_once(' ').expect("a type follows the name");
        let metric = table::ALL.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let labels = metric.labels.join(", ");
        writeln!(outline, "{declared} [{labels}]").expect("a string takes any text");
        let own: Vec<&str> = page.lines().filter(|line| is_of(line, name)).collect();
        for line in own {
            for label in metric.labels {
                assert!(
                    line.contains(&format!("{label}=\"")),
                    "{line} lacks {label}"
                );
            }
        }
    }
    outline
}

/// Whether a line is a sample of the metric, with or without a suffix.
fn is_of(line: &str, name: &str) -> bool {
    let sample = line.split(['{', ' ']).next().unwrap_or_default();
    let suffix = sample.strip_prefix(name);
    suffix.is_some_and(|suffix| ["", "_total", "_bucket", "_sum", "_count"].contains(&suffix))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_types_and_labels_of_metrics_are_promised() {
    let (server, _directory) = start(&[]).await;
    let mut client = Client::connect(&server).await;
    client.create_topic("t").await;
    client.produce("t", 1).await;
    let (status, page) = get(server.admin.metrics_address, "/metrics").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    expect![[r#"
        millrace_build_info gauge [version]
        millrace_ready gauge []
        millrace_requests counter [api]
        millrace_request_errors counter [api, error]
        millrace_request_duration_seconds histogram [api]
        millrace_requests_in_flight gauge []
        millrace_request_bytes counter [api]
        millrace_response_bytes counter [api]
        millrace_connections gauge []
        millrace_connections_accepted counter [listener]
        millrace_connections_refused counter [listener]
        millrace_connections_aborted counter [listener]
        millrace_connections_delayed counter [listener]
        millrace_connections_muted gauge []
        millrace_throttle_duration_seconds histogram [quota]
        millrace_request_memory_bytes gauge []
        millrace_request_memory_limit_bytes gauge []
        millrace_read_memory_bytes gauge []
        millrace_read_memory_limit_bytes gauge []
        millrace_fetch_sessions gauge []
        millrace_topics gauge []
        millrace_partitions gauge [state]
        millrace_topic_partitions gauge [topic]
        millrace_topic_produced_bytes counter [topic]
        millrace_topic_produced_batches counter [topic]
        millrace_topic_produced_records counter [topic]
        millrace_topic_fetched_bytes counter [topic]
        millrace_groups gauge [state]
        millrace_group_members gauge []
        millrace_group_lag_records gauge [group, topic]
        millrace_client_instances gauge []
        millrace_client_gauge gauge [metric, client_id, client_instance_id, attributes]
        millrace_client_counter counter [metric, client_id, client_instance_id, attributes]
        millrace_client_values_dropped counter []
        millrace_directory_online gauge [directory]
        millrace_directory_free_bytes gauge [directory]
        millrace_directory_has_room gauge [directory]
        millrace_log_size_bytes gauge [directory]
        millrace_family_size_bytes gauge [directory]
        millrace_log_written_bytes counter [directory]
        millrace_log_sync_duration_seconds histogram [directory]
        millrace_sealed_bytes counter [directory]
        millrace_sealed_runs counter [directory]
        millrace_family_written_bytes counter [directory]
        millrace_expired_bytes counter [directory]
        millrace_replica_moves gauge [directory]
        millrace_replica_moved_bytes counter []
        millrace_catch_ups gauge []
        millrace_catch_up_sent_bytes counter []
        millrace_catch_up_received_bytes counter []
        millrace_raft_queued_events gauge [directory]
        process_start_time_seconds gauge []
        process_cpu_seconds counter []
        process_resident_memory_bytes gauge []
        process_open_fds gauge []
        process_max_fds gauge []
    "#]]
    .assert_eq(&outline(&page));
    let declared = page
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .count();
    assert_eq!(declared, table::ALL.len(), "each once");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_move_when_records_do() {
    let (server, _directory) = start(&[]).await;
    let mut client = Client::connect(&server).await;
    client.create_topic("t").await;
    let metrics = server.admin.metrics_address;
    let before = get(metrics, "/metrics").await.1;
    let produced = client.produce("t", 3).await;
    client.produce("t", 2).await;
    let fetched = client.fetch("t", Duration::ZERO).await;
    let refused = client.produce_to("t", 7, 1).await;
    assert_eq!(refused, 3, "UNKNOWN_TOPIC_OR_PARTITION");
    let after = get(metrics, "/metrics").await.1;
    let moved =
        |name: &str| series(&after, name).unwrap_or(0.0) - series(&before, name).unwrap_or(0.0);
    assert_eq!(moved(r#"millrace_requests_total{api="Produce"}"#), 3.0);
    assert_eq!(moved(r#"millrace_requests_total{api="Fetch"}"#), 1.0);
    assert_eq!(moved(r#"millrace_requests_total{api="ListOffsets"}"#), 0.0);
    assert_eq!(
        moved(r#"millrace_request_duration_seconds_count{api="Produce"}"#),
        3.0
    );
    let error =
        r#"millrace_request_errors_total{api="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"}"#;
    assert_eq!(moved(error), 1.0);
    assert_eq!(
        moved(r#"millrace_topic_produced_batches_total{topic="t"}"#),
        2.0
    );
    assert_eq!(
        moved(r#"millrace_topic_produced_records_total{topic="t"}"#),
        5.0
    );
    assert!(moved(r#"millrace_topic_produced_bytes_total{topic="t"}"#) > produced as f64);
    assert_eq!(
        moved(r#"millrace_topic_fetched_bytes_total{topic="t"}"#),
        fetched as f64
    );
    assert!(fetched > produced, "both batches came");
    let directory = server.broker.started_with.log_dirs[0].display().to_string();
    let of_directory = |name: &str| moved(&format!("{name}{{directory=\"{directory}\"}}"));
    assert!(of_directory("millrace_log_written_bytes_total") > fetched as f64);
    assert!(of_directory("millrace_log_sync_duration_seconds_count") >= 1.0);
    let now = |name: &str| series(&after, name);
    assert_eq!(now("millrace_ready"), Some(1.0));
    assert_eq!(now("millrace_connections"), Some(1.0));
    assert_eq!(
        now(r#"millrace_connections_accepted_total{listener="PLAINTEXT"}"#),
        Some(1.0)
    );
    assert_eq!(now("millrace_topics"), Some(1.0));
    assert_eq!(now(r#"millrace_partitions{state="leader"}"#), Some(1.0));
    assert_eq!(now(r#"millrace_partitions{state="offline"}"#), Some(0.0));
    assert_eq!(
        now(&format!(
            "millrace_directory_online{{directory=\"{directory}\"}}"
        )),
        Some(1.0)
    );
    assert_eq!(now("millrace_requests_in_flight"), Some(0.0));
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_beyond_the_bound_share_a_label() {
    let (server, _directory) = start(&["millrace.metrics.max.topics=1"]).await;
    let mut client = Client::connect(&server).await;
    for topic in ["first", "second", "third"] {
        client.create_topic(topic).await;
        client.produce(topic, 1).await;
    }
    let page = get(server.admin.metrics_address, "/metrics").await.1;
    let batches = |topic: &str| {
        series(
            &page,
            &format!("millrace_topic_produced_batches_total{{topic=\"{topic}\"}}"),
        )
    };
    assert_eq!(batches("first"), Some(1.0));
    assert_eq!(batches("_other"), Some(2.0));
    assert_eq!(batches("second"), None);
    assert_eq!(
        series(&page, r#"millrace_topic_partitions{topic="_other"}"#),
        Some(2.0)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_starts_is_alive_and_not_ready() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let config = config(&directory, &[]);
    let admin = Arc::new(Admin::new(Arc::new(Metrics::new(1))));
    let ports = Ports::bind(&config).await.expect("port 0 is free");
    let served = ports.serve(&admin, None);
    admin.starting("opening the directories");
    let at = served.metrics_address;
    assert_eq!(get(at, "/healthz").await, (200, "ok\n".to_owned()));
    let not_ready = (503, "starting: opening the directories\n".to_owned());
    assert_eq!(get(at, "/readyz").await, not_ready);
    let page = get(at, "/metrics").await.1;
    assert_eq!(series(&page, "millrace_ready"), Some(0.0));
    let (status, version) = get(at, "/version").await;
    assert_eq!(status, 200);
    assert_eq!(
        version,
        format!(
            "{{\"name\":\"millrace\",\"version\":\"{}\"}}\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert_eq!(get(at, "/metrics/").await.0, 404);
    assert_eq!(put(at, "/metrics", "").await.0, 405);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_before_the_clients_are_sent_away() {
    let (server, _directory) = start(&[]).await;
    let at = server.admin.metrics_address;
    assert_eq!(get(at, "/readyz").await, (200, "serving\n".to_owned()));
    let mut client = TcpStream::connect(server.addresses[0].1)
        .await
        .expect("it is open");
    // Half a request is waited for, for a while. It is large enough to need memory that is counted.
    let half = [&[0, 1, 0, 0][..], &[7; 16 << 10]].concat();
    client.write_all(&half).await.expect("it is read");
    wait_until("the request to begin", async || {
        let page = get(at, "/metrics").await.1;
        series(&page, "millrace_request_memory_bytes").is_some_and(|bytes| bytes > 0.0)
    })
    .await;
    let stop = tokio::spawn(server.stop());
    wait_until("readiness to end", async || {
        get(at, "/readyz").await == (503, "stopping\n".to_owned())
    })
    .await;
    let still_open = client.try_read(&mut [0; 1]);
    assert!(still_open.is_err(), "the client was sent away first");
    assert!(!stop.is_finished());
    stop.await.expect("the end does not panic");
    let gone = TcpStream::connect(at.expect("it had a port")).await;
    assert!(gone.is_err(), "the port is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_is_told_changed_and_obeyed() {
    let (server, _directory) = start(&[]).await;
    let control = server.admin.control_address;
    assert_eq!(get(control, "/log-level").await, (200, "info\n".to_owned()));
    tracing::debug!("said too early");
    assert_eq!(put(control, "/log-level", "info,admin=debug").await.0, 200);
    tracing::debug!("said in time");
    let (status, now) = get(control, "/log-level").await;
    assert!(status == 200 && now.contains("admin=debug"), "{now}");
    let (status, why) = put(control, "/log-level", "inof").await;
    assert_eq!(status, 400);
    assert!(
        why.starts_with("\"inof\" is no level; there are error, warn"),
        "{why}"
    );
    assert_eq!(put(control, "/log-level", "").await.0, 400);
    assert_eq!(put(control, "/log-level", &"x".repeat(5000)).await.0, 413);
    assert_eq!(
        get(control, "/log-level").await.1,
        now,
        "a refused filter changes nothing"
    );
    assert_eq!(
        put(control, "/log-level", "info\n").await,
        (200, "info\n".to_owned())
    );
    tracing::debug!("said too late");
    let log = logged();
    assert!(
        log.contains("said in time") && log.contains("log level changed"),
        "{log}"
    );
    assert!(
        !log.contains("said too early") && !log.contains("said too late"),
        "{log}"
    );
    assert_eq!(
        get(control, "/metrics").await.0,
        404,
        "it is on the other port"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_and_nothing_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound");
    for name in ["millrace.metrics.listener", "millrace.control.listener"] {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let setting = format!("{name}={address}");
        let why = match Server::start(config(&directory, &[&setting])).await {
            Ok(_) => panic!("the broker started"),
            Err(error) => error.to_string(),
        };
        assert!(
            why.starts_with(&setting) && why.contains("choose another port"),
            "{why}"
        );
        let made = std::fs::read_dir(directory.path())
            .expect("it is there")
            .count();
        assert_eq!(made, 0, "a directory was opened");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_can_be_off() {
    let off = ["millrace.metrics.listener=", "millrace.control.listener="];
    let (server, _directory) = start(&off).await;
    assert_eq!(
        (server.admin.metrics_address, server.admin.control_address),
        (None, None)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_is_told_of_and_a_long_poll_is_not() {
    let (server, _directory) = start(&["millrace.slow.request.ms=1"]).await;
    let mut client = Client::connect(&server).await;
    client.create_topic("t").await;
    let is_slow = |line: &str| line.contains("slow request") && line.contains("client-of-the-test");
    wait_until("a slow produce", async || {
        client.produce("t", 2_000).await;
        logged()
            .lines()
            .any(|line| is_slow(line) && line.contains("Produce"))
    })
    .await;
    let log = logged();
    let line = log
        .lines()
        .find(|line| is_slow(line))
        .expect("it was just there");
    for field in [
        "WARN",
        "api=",
        "client_id=",
        "address=127.0.0.1:",
        "ms=",
        "more=",
    ] {
        assert!(line.contains(field), "{field} is missing in {line}");
    }
    server.stop().await;

    let (server, _directory) = start(&["millrace.slow.request.ms=400"]).await;
    let mut client = Client::connect(&server).await;
    client.create_topic("t").await;
    assert_eq!(client.fetch("t", Duration::from_millis(1500)).await, 0);
    let page = get(server.admin.metrics_address, "/metrics").await.1;
    let name = r#"millrace_request_duration_seconds_sum{api="Fetch"}"#;
    assert!(
        series(&page, name).is_some_and(|seconds| seconds < 1.0),
        "its wait was counted"
    );
    server.stop().await;
}
