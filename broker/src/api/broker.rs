//! What all requests share.

use super::fetch::Sessions;
use crate::budget::Budget;
use crate::complaints::Complaints;
use crate::config::{BrokerConfig, DynamicSettings, Level};
use crate::metadata::{self, Image, Resource};
use crate::metrics::Metrics;
use crate::replicas::Replicas;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub struct BrokerParts {
    pub config: Arc<BrokerConfig>,
    pub cluster_id: String,
    pub metadata: metadata::Handle,
    pub replicas: Replicas,
    pub metrics: Arc<Metrics>,
    /// For records on their way to clients.
    pub reads: Budget,
    /// Ends what waits.
    pub stopping: CancellationToken,
}

pub struct Broker {
    /// As it was started; see [`Broker::config`].
    pub started_with: Arc<BrokerConfig>,
    pub cluster_id: String,
    pub metadata: metadata::Handle,
    pub replicas: Replicas,
    pub metrics: Arc<Metrics>,
    pub reads: Budget,
    /// About slow requests.
    pub(super) complaints: Complaints,
    pub sessions: Sessions,
    pub stopping: CancellationToken,
}

impl Broker {
    pub fn new(parts: BrokerParts) -> Broker {
        let slots = parts.config.max_incremental_fetch_session_cache_slots;
        Broker {
            started_with: parts.config,
            cluster_id: parts.cluster_id,
            metadata: parts.metadata,
            replicas: parts.replicas,
            metrics: parts.metrics,
            reads: parts.reads,
            stopping: parts.stopping,
            complaints: Complaints::default(),
            sessions: Sessions::new(usize::try_from(slots).unwrap_or(0)),
        }
    }

    pub fn id(&self) -> metadata::BrokerId {
        self.started_with.node_id
    }

    /// The configuration in effect, with what was set while the broker runs.
    pub fn config(&self) -> BrokerConfig {
        let image = self.metadata.image();
        let stored = |resource, level| stored(&image, &resource, level);
        self.started_with.with_dynamic(
            &stored(Resource::Broker(self.id()), Level::Broker),
            &stored(Resource::AllBrokers, Level::Cluster),
        )
    }
}

fn stored(image: &Image, resource: &Resource, level: Level) -> DynamicSettings {
    let configs = image.configs(resource);
    let pairs = configs
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    DynamicSettings::from_stored(pairs, level).0
}
