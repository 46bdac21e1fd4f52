//! What all requests share.

use super::fetch::Sessions;
use super::init_producer_id::ProducerIds;
use super::produce::Inspection;
use super::push_telemetry;
use super::refusal::Refused;
use super::throttle::Quotas;
use crate::budget::Budget;
use crate::complaints::Complaints;
use crate::config::BrokerConfig;
use crate::group::Groups;
use crate::metadata::{self, Command, Output};
use crate::metrics::Metrics;
use crate::quota::{Limiter, Windows};
use crate::replicas::{Effective, Replicas};
use crate::telemetry::Telemetry;
use millrace_wire::ErrorCode;
use millrace_wire::uuid::Uuid;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a change may take when the client does not say.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct BrokerParts {
    pub config: Arc<BrokerConfig>,
    pub cluster_id: String,
    /// Nil where an old release formatted the directory.
    pub metadata_directory_id: Uuid,
    pub metadata: metadata::Handle,
    pub replicas: Replicas,
    pub groups: Arc<Groups>,
    pub metrics: Arc<Metrics>,
    /// For records on their way to clients.
    pub reads: Budget,
    /// Ends what waits.
    pub stopping: CancellationToken,
}

pub struct Broker {
    /// As it was started; see [`Broker::config`].
    pub started_with: Arc<BrokerConfig>,
    effective: Mutex<Effective>,
    pub cluster_id: String,
    pub metadata_directory_id: Uuid,
    pub metadata: metadata::Handle,
    pub replicas: Replicas,
    pub groups: Arc<Groups>,
    pub metrics: Arc<Metrics>,
    pub reads: Budget,
    pub quotas: Quotas,
    /// About slow requests.
    pub(super) complaints: Complaints,
    pub sessions: Sessions,
    pub(super) producer_ids: ProducerIds,
    /// Of records that clients send.
    pub(super) inspection: Inspection,
    /// Clients' own metrics.
    pub telemetry: Telemetry,
    pub(super) telemetry_turns: tokio::sync::Semaphore,
    /// Held by who changes settings: they are read, changed and written.
    pub(super) alterations: tokio::sync::Mutex<()>,
    pub stopping: CancellationToken,
}

impl Broker {
    pub fn new(parts: BrokerParts) -> Broker {
        let slots = parts.config.max_incremental_fetch_session_cache_slots;
        let config = &parts.config;
        let windows = Windows::new(config.quota_window_num, config.quota_window_size_seconds);
        let controller_windows = Windows::new(
            config.controller_quota_window_num,
            config.controller_quota_window_size_seconds,
        );
        Broker {
            quotas: Quotas::new(Limiter::new(windows, controller_windows)),
            effective: Mutex::new(Effective::new(parts.config.clone())),
            started_with: parts.config,
            cluster_id: parts.cluster_id,
            metadata_directory_id: parts.metadata_directory_id,
            metadata: parts.metadata,
            replicas: parts.replicas,
            groups: parts.groups,
            metrics: parts.metrics,
            reads: parts.reads,
            stopping: parts.stopping,
            complaints: Complaints::default(),
            sessions: Sessions::new(usize::try_from(slots).unwrap_or(0)),
            producer_ids: ProducerIds::default(),
            inspection: Inspection::default(),
            telemetry: Telemetry::default(),
            telemetry_turns: tokio::sync::Semaphore::new(push_telemetry::AT_ONCE),
            alterations: tokio::sync::Mutex::default(),
        }
    }

    pub fn id(&self) -> metadata::BrokerId {
        self.started_with.node_id
    }

    /// Changes the metadata for a client that waits until `deadline`. What was begun goes on without it.
    pub async fn change(&self, command: Command, deadline: Instant) -> Result<Output, Refused> {
        match tokio::time::timeout_at(deadline, self.metadata.submit(command)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ErrorCode::RequestTimedOut.into()),
        }
    }

    /// Whether the cluster is at a level that has groups of the consumer protocol (KIP-848).
    pub fn has_consumer_groups(&self) -> Result<(), Refused> {
        let feature = metadata::features::GROUP_VERSION.name;
        match self.metadata.image().level(feature) {
            0 => {
                let why = format!("{feature} is 0, groups of the consumer protocol need 1");
                Err(Refused::new(ErrorCode::UnsupportedVersion, why))
            }
            _ => Ok(()),
        }
    }

    /// The configuration in effect, with what was set while the broker runs.
    pub fn config(&self) -> Arc<BrokerConfig> {
        let image = self.metadata.image();
        let mut effective = self
            .effective
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        effective.follow(&image);
        effective.now().clone()
    }
}

/// When a client no longer waits.
pub fn deadline(timeout_ms: i32) -> Instant {
    let timeout = match u64::try_from(timeout_ms) {
        Ok(0) | Err(_) => PATIENCE,
        Ok(ms) => Duration::from_millis(ms),
    };
    Instant::now() + timeout
}
