//! What an administrator asks of a cluster: each a function on [`Client`](crate::Client), retried until `api_timeout` where
//! asking again can help. The result is per topic, partition or resource wherever the cluster's is.

mod cluster;
mod configs;
pub(crate) mod group_offsets;
pub(crate) mod groups;
mod offsets;
mod quorum;
mod quotas;
mod replicas;
mod topics;

pub use cluster::{ClusterDescription, DescribedBroker, LogDir, LogDirReplica};
pub use configs::{
    AlterConfig, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym, ResourceType,
};
pub use group_offsets::CommittedOffset;
pub use groups::{
    Coordinator, DescribedGroup, GroupFilter, GroupMember, GroupState, ListedGroup, MemberRef,
};
pub use offsets::{FoundOffset, OffsetSpec};
pub use quorum::{Feature, Features, Quorum, QuorumReplica, UpgradeType};
pub use quotas::{QuotaChange, QuotaEntity, QuotaMatch};
pub use replicas::{ElectionType, Reassignment};
pub use topics::{NewPartitions, NewTopic, TopicRef};

use crate::Error;
use crate::client::{Client, Topics};
use crate::connection::Connection;
use std::time::Duration;

impl Client {
    /// The broker that forwards to or is the controller; any other when it is not known.
    async fn controller(&self) -> Result<Connection, Error> {
        if self.metadata().controller.is_none() {
            self.refresh(Topics::None, false).await?;
        }
        match self.metadata().controller {
            Some(id) => self.broker(id).await,
            None => self.any().await,
        }
    }
}

/// The protocol's form of a timeout.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
