//! A broker's configuration: loaded, checked, and in plain fields.

use super::derived::{self, Derived};
use super::layers::Layers;
use super::listeners::{HostPort, Listener};
use super::quorum::QuorumVoter;
use super::sources::{Gathered, Sources};
use super::topic::{TopicConfig, TopicSettings};
use super::value::Value;
use super::{Errors, Warning, table};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The struct and how it is filled: a field, its type, and the setting it holds.
macro_rules! broker_config {
    ($($field:ident: $type:ty = $name:literal;)*) => {
        /// Everything that is served; names and units are Kafka's, with underscores.
        ///
        /// What topics fall back to (`message.max.bytes`, `log.retention.ms`, ...) is in [`TopicConfig::new`].
        #[derive(Clone, Debug, PartialEq)]
        pub struct BrokerConfig {
            /// `node.id`, or its older name `broker.id`.
            pub node_id: i32,
            /// What clients and other brokers connect to; never empty.
            pub listeners: Vec<Listener>,
            /// Those of the setting `listeners` that `controller.listener.names` keeps for brokers among themselves, in the order of that.
            pub peer_listeners: Vec<Listener>,
            /// Where other brokers find the first of `peer_listeners`: an empty host is this machine's own name, port 0 the one it was
            /// given. `None` where there is none.
            pub peer_advertised: Option<HostPort>,
            /// `millrace.peer.secret.files`: the first is used, both are accepted.
            pub peer_secret_files: Vec<PathBuf>,
            /// Whether `process.roles` lets it be a voter of the metadata; without roles it may.
            pub is_controller: bool,
            /// `controller.quorum.voters`: each id once, this node among them exactly when it is a controller; empty where it is not set.
            pub quorum_voters: Vec<QuorumVoter>,
            /// `controller.quorum.bootstrap.servers`
            pub quorum_bootstrap: Vec<HostPort>,
            /// One for each of `listeners` that clients are told of.
            pub advertised_listeners: Vec<Listener>,
            /// The name of the listener that other brokers use.
            pub inter_broker_listener: String,
            /// `log.dirs`, or else `log.dir`; never empty.
            pub log_dirs: Vec<PathBuf>,
            /// `max.connections.per.ip.overrides`
            pub max_connections_by_address: BTreeMap<String, u32>,
            /// `millrace.metrics.listener`; `None` is off.
            pub metrics_listener: Option<HostPort>,
            /// `millrace.control.listener`; `None` is off.
            pub control_listener: Option<HostPort>,
            $(pub $field: $type,)*
            pub(super) layers: Layers,
        }

        #[cfg(test)]
        pub(super) const FIELDS: &[&str] = &[$($name),*];

        impl BrokerConfig {
            fn assemble(layers: Layers, derived: Derived) -> BrokerConfig {
                BrokerConfig {
                    node_id: derived.node_id,
                    listeners: derived.listeners,
                    peer_listeners: derived.peer_listeners,
                    peer_advertised: derived.peer_advertised,
                    peer_secret_files: derived.peer_secret_files,
                    is_controller: derived.is_controller,
                    quorum_voters: derived.quorum_voters,
                    quorum_bootstrap: derived.quorum_bootstrap,
                    advertised_listeners: derived.advertised_listeners,
                    inter_broker_listener: derived.inter_broker_listener,
                    log_dirs: derived.log_dirs,
                    max_connections_by_address: derived.max_connections_by_address,
                    metrics_listener: derived.metrics_listener,
                    control_listener: derived.control_listener,
                    $($field: Field::read(plain(&layers, $name))
                        .expect("kind and bounds in the table fit the field: a test reads them all"),)*
                    layers,
                }
            }
        }
    };
}

broker_config! {
    max_connections: i32 = "max.connections";
    max_connection_creation_rate: i32 = "max.connection.creation.rate";
    max_connections_per_ip: i32 = "max.connections.per.ip";
    connections_max_idle_ms: i64 = "connections.max.idle.ms";
    socket_request_max_bytes: i32 = "socket.request.max.bytes";
    queued_max_request_bytes: i64 = "queued.max.request.bytes";
    socket_listen_backlog_size: i32 = "socket.listen.backlog.size";
    quota_window_num: i32 = "quota.window.num";
    quota_window_size_seconds: i32 = "quota.window.size.seconds";
    controller_quota_window_num: i32 = "controller.quota.window.num";
    controller_quota_window_size_seconds: i32 = "controller.quota.window.size.seconds";
    request_timeout_ms: i32 = "request.timeout.ms";
    fetch_max_bytes: i32 = "fetch.max.bytes";
    max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots";
    max_request_partition_size_limit: i32 = "max.request.partition.size.limit";
    broker_rack: Option<String> = "broker.rack";
    auto_create_topics_enable: bool = "auto.create.topics.enable";
    delete_topic_enable: bool = "delete.topic.enable";
    num_partitions: i32 = "num.partitions";
    default_replication_factor: i32 = "default.replication.factor";
    log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms";
    log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms";
    log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size";
    auto_leader_rebalance_enable: bool = "auto.leader.rebalance.enable";
    leader_imbalance_check_interval_seconds: i64 = "leader.imbalance.check.interval.seconds";
    replica_lag_time_max_ms: i64 = "replica.lag.time.max.ms";
    offsets_retention_minutes: i32 = "offsets.retention.minutes";
    offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms";
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes";
    offsets_commit_timeout_ms: i32 = "offsets.commit.timeout.ms";
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions";
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor";
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms";
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms";
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms";
    group_max_size: i32 = "group.max.size";
    group_coordinator_rebalance_protocols: Vec<String> = "group.coordinator.rebalance.protocols";
    group_consumer_assignment_interval_ms: i32 = "group.consumer.assignment.interval.ms";
    group_consumer_assignors: Vec<String> = "group.consumer.assignors";
    group_consumer_heartbeat_interval_ms: i32 = "group.consumer.heartbeat.interval.ms";
    group_consumer_max_assignment_interval_ms: i32 = "group.consumer.max.assignment.interval.ms";
    group_consumer_max_heartbeat_interval_ms: i32 = "group.consumer.max.heartbeat.interval.ms";
    group_consumer_max_session_timeout_ms: i32 = "group.consumer.max.session.timeout.ms";
    group_consumer_max_size: i32 = "group.consumer.max.size";
    group_consumer_migration_policy: String = "group.consumer.migration.policy";
    group_consumer_min_assignment_interval_ms: i32 = "group.consumer.min.assignment.interval.ms";
    group_consumer_min_heartbeat_interval_ms: i32 = "group.consumer.min.heartbeat.interval.ms";
    group_consumer_min_session_timeout_ms: i32 = "group.consumer.min.session.timeout.ms";
    group_consumer_session_timeout_ms: i32 = "group.consumer.session.timeout.ms";
    transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms";
    transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms";
    transaction_abort_timed_out_transaction_cleanup_interval_ms: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    transaction_remove_expired_transaction_cleanup_interval_ms: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms";
    transaction_state_log_num_partitions: i32 = "transaction.state.log.num.partitions";
    transaction_state_log_replication_factor: i16 = "transaction.state.log.replication.factor";
    transaction_state_log_min_isr: i32 = "transaction.state.log.min.isr";
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms";
    producer_id_expiration_check_interval_ms: i32 = "producer.id.expiration.check.interval.ms";
    telemetry_max_bytes: i32 = "telemetry.max.bytes";
    metrics_max_topics: usize = "millrace.metrics.max.topics";
    metrics_max_group_topics: usize = "millrace.metrics.max.group.topics";
    slow_request_ms: u64 = "millrace.slow.request.ms";
    log_budget_bytes: u64 = "millrace.log.budget.bytes";
    log_limit_bytes: u64 = "millrace.log.limit.bytes";
    min_free_bytes: u64 = "millrace.min.free.bytes";
    cache_bytes: usize = "millrace.cache.bytes";
    block_cache_bytes: usize = "millrace.block.cache.bytes";
    max_open_files: i32 = "millrace.max.open.files";
    run_bytes: u64 = "millrace.run.bytes";
    packed_below_bytes: u64 = "millrace.packed.below.bytes";
    raft_workers: usize = "millrace.raft.workers";
    raft_tick_ms: u64 = "millrace.raft.tick.ms";
    peer_pulse_ms: u64 = "millrace.peer.pulse.ms";
    peer_silence_ms: u64 = "millrace.peer.silence.ms";
    catch_up_bytes_per_second: u64 = "millrace.catch.up.bytes.per.second";
}

/// A type of a plain field.
trait Field: Sized {
    fn read(value: Option<Value>) -> Option<Self>;
}

impl Field for bool {
    fn read(value: Option<Value>) -> Option<bool> {
        match value? {
            Value::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

macro_rules! number_fields {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: Option<Value>) -> Option<$type> {
                match value? {
                    Value::Number(value) => <$type>::try_from(value).ok(),
                    _ => None,
                }
            }
        }
    )*};
}
number_fields!(i16, i32, i64, u32, u64, usize);

impl Field for String {
    fn read(value: Option<Value>) -> Option<String> {
        match value? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Field for Vec<String> {
    fn read(value: Option<Value>) -> Option<Vec<String>> {
        match value? {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

/// `None` is Kafka's null.
impl<T: Field> Field for Option<T> {
    fn read(value: Option<Value>) -> Option<Option<T>> {
        match value {
            None => Some(None),
            some => T::read(some).map(Some),
        }
    }
}

fn plain(layers: &Layers, name: &str) -> Option<Value> {
    layers.effective(table::broker_setting(name)?)
}

/// A broker's configuration and what it was given in vain.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: BrokerConfig,
    /// Known settings without effect; each is worth one line in the log.
    pub warnings: Vec<Warning>,
}

impl BrokerConfig {
    /// All that is wrong is reported at once.
    pub fn load(sources: &Sources) -> Result<Loaded, Errors> {
        let Gathered {
            given,
            mut errors,
            warnings,
        } = Gathered::from(sources);
        let mut layers = Layers {
            given,
            ..Layers::default()
        };
        let derived = Derived::from(&mut layers, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Loaded {
            config: BrokerConfig::assemble(layers, derived),
            warnings,
        })
    }

    /// Any broker setting as text, as it is in effect; `None` if it is unknown, not set, or a password.
    pub fn get(&self, name: &str) -> Option<String> {
        let row = table::broker_setting(name)?;
        let value = self.layers.effective(row)?;
        (!row.is_sensitive()).then(|| value.to_string())
    }

    /// What a topic has that sets nothing.
    pub fn topic_defaults(&self) -> TopicConfig {
        TopicConfig::new(&TopicSettings::default(), self)
    }

    /// The same with other layers. Of what is derived, only the limits by address may change while the broker runs.
    pub(super) fn reassembled(&self, layers: Layers) -> BrokerConfig {
        let derived = Derived {
            node_id: self.node_id,
            listeners: self.listeners.clone(),
            peer_listeners: self.peer_listeners.clone(),
            peer_advertised: self.peer_advertised.clone(),
            peer_secret_files: self.peer_secret_files.clone(),
            is_controller: self.is_controller,
            quorum_voters: self.quorum_voters.clone(),
            quorum_bootstrap: self.quorum_bootstrap.clone(),
            advertised_listeners: self.advertised_listeners.clone(),
            inter_broker_listener: self.inter_broker_listener.clone(),
            log_dirs: self.log_dirs.clone(),
            metrics_listener: self.metrics_listener.clone(),
            control_listener: self.control_listener.clone(),
            max_connections_by_address: plain(&layers, derived::BY_ADDRESS)
                .and_then(|value| derived::connections_by_address(&value.to_string()).ok())
                .unwrap_or_default(),
        };
        BrokerConfig::assemble(layers, derived)
    }

    pub(super) fn effective(&self, name: &str) -> Option<Value> {
        plain(&self.layers, name)
    }
}
