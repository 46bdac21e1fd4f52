//! Every metric: its name, kind, labels and meaning, and Kafka's own metric for the same where people know one.
//!
//! `docs/reference/metrics.md` is made from this table. A name, once released, stays: dashboards and alerts hold it.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Without `_total`, which each counter's series carries.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// Kafka's JMX metric, or nothing.
    pub kafka: &'static str,
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal $(; $kafka:literal)?,)*) => {
        $(pub static $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            kafka: concat!($($kafka)?),
        };)*

        /// All of them, in the order of the page.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD_INFO: Gauge "millrace_build_info" ["version"]
        "Always 1; the label says which version runs.",
    READY: Gauge "millrace_ready" []
        "1 while clients are served, 0 while the broker starts or stops (as /readyz says it)."
        ; "kafka.server:type=KafkaServer,name=BrokerState",
    REQUESTS: Counter "millrace_requests" ["api"]
        "Requests that were served, with an answer or without."
        ; "kafka.network:type=RequestMetrics,name=RequestsPerSec",
    REQUEST_ERRORS: Counter "millrace_request_errors" ["api", "error"]
        "Error codes in answers, one for each partition or topic that has one; CONNECTION_CLOSED where the connection was closed instead."
        ; "kafka.network:type=RequestMetrics,name=ErrorsPerSec",
    REQUEST_DURATION: Histogram "millrace_request_duration_seconds" ["api"]
        "From the whole request to its answer, without the time that a fetch waits for records to come."
        ; "kafka.network:type=RequestMetrics,name=TotalTimeMs",
    REQUESTS_IN_FLIGHT: Gauge "millrace_requests_in_flight" []
        "Requests that wait for their answers, fetches that wait for records included."
        ; "kafka.network:type=RequestChannel,name=RequestQueueSize",
    REQUEST_BYTES: Counter "millrace_request_bytes" ["api"]
        "Bytes of requests, without headers."
        ; "kafka.network:type=RequestMetrics,name=RequestBytes",
    RESPONSE_BYTES: Counter "millrace_response_bytes" ["api"]
        "Bytes of answers."
        ; "kafka.network:type=RequestMetrics,name=ResponseBytes",
    CONNECTIONS: Gauge "millrace_connections" []
        "Connections of clients."
        ; "kafka.server:type=socket-server-metrics,name=connection-count",
    CONNECTIONS_ACCEPTED: Counter "millrace_connections_accepted" ["listener"]
        "Connections that were accepted."
        ; "kafka.server:type=socket-server-metrics,name=connection-creation-total",
    CONNECTIONS_REFUSED: Counter "millrace_connections_refused" ["listener"]
        "Connections that were refused because there were too many (max.connections, max.connections.per.ip).",
    CONNECTIONS_ABORTED: Counter "millrace_connections_aborted" ["listener"]
        "Connections that the broker closed because of what the client sent or did not read.",
    CONNECTIONS_DELAYED: Counter "millrace_connections_delayed" ["listener"]
        "Connections that were too many a second: of an address (connection_creation_rate), which are closed, or of all \
         (max.connection.creation.rate), which wait."
        ; "kafka.server:type=socket-server-metrics,name=connection-accept-throttle-time and ip-connection-accept-throttle-time",
    CONNECTIONS_MUTED: Gauge "millrace_connections_muted" []
        "Connections that are not read from because their clients are over a quota.",
    THROTTLE_DURATION: Histogram "millrace_throttle_duration_seconds" ["quota"]
        "For how long clients are throttled that are over a quota: produce, fetch, request (time), or controller_mutation."
        ; "kafka.server:type=Produce, Fetch, Request and ControllerMutation,name=throttle-time",
    REQUEST_MEMORY: Gauge "millrace_request_memory_bytes" []
        "Memory that requests have taken of millrace_request_memory_limit_bytes.",
    REQUEST_MEMORY_LIMIT: Gauge "millrace_request_memory_limit_bytes" []
        "Memory for requests; beyond it no more are read (queued.max.request.bytes).",
    READ_MEMORY: Gauge "millrace_read_memory_bytes" []
        "Memory that records on their way to clients have taken of millrace_read_memory_limit_bytes.",
    READ_MEMORY_LIMIT: Gauge "millrace_read_memory_limit_bytes" []
        "Memory for records on their way to clients; beyond it fetches wait.",
    FETCH_SESSIONS: Gauge "millrace_fetch_sessions" []
        "Incremental fetch sessions."
        ; "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions",
    TOPICS: Gauge "millrace_topics" []
        "Topics of the cluster."
        ; "kafka.controller:type=KafkaController,name=GlobalTopicCount",
    PARTITIONS: Gauge "millrace_partitions" ["state"]
        "Replicas on this broker: leader, follower, leaderless, or offline."
        ; "kafka.server:type=ReplicaManager,name=PartitionCount, LeaderCount and OfflineReplicaCount",
    TOPIC_PARTITIONS: Gauge "millrace_topic_partitions" ["topic"]
        "Replicas on this broker by topic.",
    TOPIC_PRODUCED_BYTES: Counter "millrace_topic_produced_bytes" ["topic"]
        "Bytes of record batches that were appended for producers."
        ; "kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec",
    TOPIC_PRODUCED_BATCHES: Counter "millrace_topic_produced_batches" ["topic"]
        "Record batches that were appended for producers.",
    TOPIC_PRODUCED_RECORDS: Counter "millrace_topic_produced_records" ["topic"]
        "Records that were appended for producers."
        ; "kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec",
    TOPIC_FETCHED_BYTES: Counter "millrace_topic_fetched_bytes" ["topic"]
        "Bytes of record batches that were read for consumers."
        ; "kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec",
    GROUPS: Gauge "millrace_groups" ["state"]
        "Consumer groups that this broker coordinates, by their state."
        ; "kafka.server:type=group-coordinator-metrics,name=group-count",
    GROUP_MEMBERS: Gauge "millrace_group_members" []
        "Members of the groups that this broker coordinates.",
    GROUP_LAG: Gauge "millrace_group_lag_records" ["group", "topic"]
        "Records that a group has not read: from what it has committed to the end of the topic's partitions, of those that this \
         broker leads.",
    CLIENT_INSTANCES: Gauge "millrace_client_instances" []
        "Clients that have asked which of their own metrics to push, and are not silent since (KIP-714)."
        ; "kafka.server:type=client-metrics,name=ClientMetricsInstanceCount",
    CLIENT_GAUGES: Gauge "millrace_client_gauge" ["metric", "client_id", "client_instance_id", "attributes"]
        "What a client has pushed last, by the client's own name for it; at most 1000 of a client and 10000 in all, counters included.",
    CLIENT_COUNTERS: Counter "millrace_client_counter" ["metric", "client_id", "client_instance_id", "attributes"]
        "Counters that clients have pushed, deltas added up since the client came to this broker.",
    CLIENT_SERIES_DROPPED: Counter "millrace_client_values_dropped" []
        "Values that clients have pushed and that had no room, or a name or attributes too long."
        ; "kafka.server:type=client-metrics,name=ClientMetricsPluginErrorCount",
    DIRECTORY_ONLINE: Gauge "millrace_directory_online" ["directory"]
        "1 while the directory takes records; 0 when it could not be opened or a write to it failed."
        ; "kafka.log:type=LogManager,name=OfflineLogDirectoryCount",
    DIRECTORY_FREE: Gauge "millrace_directory_free_bytes" ["directory"]
        "Free bytes of the directory's disk; below millrace.min.free.bytes records are refused.",
    DIRECTORY_ACCEPTS: Gauge "millrace_directory_has_room" ["directory"]
        "0 while new records are refused because the disk is nearly full.",
    LOG_SIZE: Gauge "millrace_log_size_bytes" ["directory"]
        "Bytes of the shared log that are in use (millrace.log.budget.bytes).",
    FAMILY_SIZE: Gauge "millrace_family_size_bytes" ["directory"]
        "Bytes of the column families' files."
        ; "kafka.log:type=Log,name=Size",
    LOG_WRITTEN: Counter "millrace_log_written_bytes" ["directory"]
        "Bytes written to the shared log.",
    LOG_SYNC_DURATION: Histogram "millrace_log_sync_duration_seconds" ["directory"]
        "Syncs of the shared log: each makes one group of appends durable."
        ; "kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs",
    SEALED_BYTES: Counter "millrace_sealed_bytes" ["directory"]
        "Bytes of records that moved from the shared log into column families.",
    SEALED_RUNS: Counter "millrace_sealed_runs" ["directory"]
        "Runs of records that moved from the shared log into column families.",
    FAMILY_WRITTEN: Counter "millrace_family_written_bytes" ["directory"]
        "Bytes written to column families, sealed and compacted runs with their index.",
    EXPIRED_BYTES: Counter "millrace_expired_bytes" ["directory"]
        "Bytes of records that retention dropped from column families.",
    MOVES: Gauge "millrace_replica_moves" ["directory"]
        "Replicas on their way to the directory from another one of this broker.",
    MOVED_BYTES: Counter "millrace_replica_moved_bytes" []
        "Bytes of records copied between directories of this broker.",
    CATCH_UPS: Gauge "millrace_catch_ups" []
        "Replicas of other brokers to which this one sends records, because its log no longer holds what they lack.",
    CATCH_UP_SENT: Counter "millrace_catch_up_sent_bytes" []
        "Bytes of records sent to replicas of other brokers that were far behind.",
    CATCH_UP_RECEIVED: Counter "millrace_catch_up_received_bytes" []
        "Bytes of records that came for replicas of this broker that were far behind.",
    RAFT_QUEUE: Gauge "millrace_raft_queued_events" ["directory"]
        "Events that wait for the threads that replicate partitions; a full queue answers producers that the broker is overloaded.",
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.",
    PROCESS_CPU: Counter "process_cpu_seconds" []
        "Processor time, of the program and of the system for it.",
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory that is in use.",
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "File descriptors that are open.",
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "File descriptors that may be open.",
}

impl Metric {
    /// As it is written in a query; a histogram's has `_bucket`, `_count` or `_sum` behind it.
    pub fn series(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// The reference page.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Made from the table in the source; do not edit. -->\n\n\
         `/metrics` shows these, in the format of OpenMetrics, which Prometheus reads. \
         [Observability](../observability.md) says how to scrape it.\n\n\
         At most `millrace.metrics.max.topics` topics have a label of their own; the others are counted together under \
         `topic=\"_other\"`. Likewise at most `millrace.metrics.max.group.topics` pairs of a group and a topic have a lag of their \
         own; the others are added up under `group=\"_other\"`. Counters of a deleted topic end with it. Histograms have `_bucket`, `_sum` and `_count`. \
         Of Kafka's own metrics the one with the same subject is named where there is one; Kafka's are often rates, these are \
         counters to take a `rate()` of.\n\n\
         | Name | Type | Labels | Meaning | In Kafka |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let kafka = match metric.kafka {
            "" => String::new(),
            name => format!("`{name}`"),
        };
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let (series, labels, help) = (metric.series(), labels.join(", "), metric.help);
        // A string takes any text.
        let _ = writeln!(
            page,
            "| `{series}` | {kind} | {labels} | {help} | {kafka} |"
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            let is_ours =
                metric.name.starts_with("millrace_") || metric.name.starts_with("process_");
            assert!(is_ours, "{}", metric.name);
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.chars().all(is_plain), "{}", metric.name);
            assert!(
                !metric.name.ends_with("_total"),
                "{}: the counter's suffix is added",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(
                !metric.help.contains(['|', '\n', '\\']),
                "{} breaks a table",
                metric.name
            );
            if metric.kind == Kind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
        let page = page();
        if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
            std::fs::write(&path, &page).expect("the reference can be written");
            return;
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == page,
            "docs/reference/metrics.md is stale; run: \
             MILLRACE_WRITE_DOCS=1 cargo test -p millrace-broker --lib metrics::table"
        );
    }
}
