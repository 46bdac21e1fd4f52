//! The quorum that keeps the cluster's metadata, and the features it has agreed on.

use super::millis;
use crate::Error;
use crate::client::Client;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_quorum_request::{PartitionData, TopicData};
use crate::wire::messages::describe_quorum_response::ReplicaState;
use crate::wire::messages::update_features_request::FeatureUpdateKey;
use crate::wire::messages::{
    ApiVersionsRequest, DescribeQuorumRequest, StrBytes, UpdateFeaturesRequest, Uuid,
};
use std::collections::BTreeMap;

/// The topic that Kafka keeps its metadata in.
const METADATA_TOPIC: &str = "__cluster_metadata";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    pub id: i32,
    pub directory: Uuid,
    pub log_end_offset: i64,
    /// Milliseconds since 1970; `None` when the leader does not know.
    pub last_fetch_ms: Option<i64>,
    pub last_caught_up_ms: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    pub leader: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
    /// Where each can be reached, as `NAME://HOST:PORT`; older brokers do not say.
    pub endpoints: BTreeMap<i32, Vec<String>>,
}

/// The levels of a feature. Both bounds of what is supported are inclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    pub supported: Option<(i16, i16)>,
    pub finalized: Option<i16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    pub by_name: BTreeMap<String, Feature>,
    /// `None` where nothing was ever finalized.
    pub epoch: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    fn code(self) -> i8 {
        match self {
            UpgradeType::Upgrade => 1,
            UpgradeType::SafeDowngrade => 2,
            UpgradeType::UnsafeDowngrade => 3,
        }
    }
}

impl Client {
    pub async fn describe_quorum(&self) -> Result<Quorum, Error> {
        let mut partition = PartitionData::default();
        partition.partition_index = 0;
        let mut topic = TopicData::default();
        topic.topic_name = crate::client::topic_name(METADATA_TOPIC);
        topic.partitions = vec![partition];
        let mut request = DescribeQuorumRequest::default();
        request.topics = vec![topic];
        self.retry("describeMetadataQuorum", async || {
            let response = self.any().await?.send(&request).await?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let partition = response
                .topics
                .into_iter()
                .flat_map(|topic| topic.partitions)
                .next()
                .ok_or_else(|| super::topics::unanswered(METADATA_TOPIC))?;
            Error::check(partition.error_code, partition.error_message.as_deref())?;
            let endpoints = response.nodes.iter().map(|node| {
                let listeners = node.listeners.iter();
                let texts = listeners.map(|l| format!("{}://{}:{}", l.name, l.host, l.port));
                (node.node_id.0, texts.collect())
            });
            Ok(Quorum {
                leader: partition.leader_id.0,
                leader_epoch: partition.leader_epoch,
                high_watermark: partition.high_watermark,
                voters: partition.current_voters.iter().map(replica).collect(),
                observers: partition.observers.iter().map(replica).collect(),
                endpoints: endpoints.collect(),
            })
        })
        .await
    }

    /// What the brokers support, and what they have agreed on.
    pub async fn describe_features(&self) -> Result<Features, Error> {
        let mut request = ApiVersionsRequest::default();
        request.client_software_name = StrBytes::from_static_str("millrace-tools");
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        self.retry("describeFeatures", async || {
            let connection = self.any().await?;
            let version = connection.version_of::<ApiVersionsRequest>(i16::MAX)?;
            // Before version 3 there was no place for them.
            if version < 3 {
                return Err(Error::of(ErrorCode::UnsupportedVersion, None));
            }
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, None)?;
            let mut features = Features {
                epoch: Some(response.finalized_features_epoch).filter(|&epoch| epoch >= 0),
                ..Features::default()
            };
            for key in &response.supported_features {
                let feature = features.by_name.entry(key.name.to_string()).or_default();
                feature.supported = Some((key.min_version, key.max_version));
            }
            for key in &response.finalized_features {
                let feature = features.by_name.entry(key.name.to_string()).or_default();
                feature.finalized = Some(key.max_version_level);
            }
            Ok(features)
        })
        .await
    }

    /// One result for each feature; brokers of today do all of it or nothing.
    pub async fn update_features(
        &self,
        levels: &BTreeMap<String, i16>,
        upgrade_type: UpgradeType,
        validate_only: bool,
    ) -> Result<BTreeMap<String, Result<(), Error>>, Error> {
        let mut request = UpdateFeaturesRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.validate_only = validate_only;
        request.feature_updates = levels
            .iter()
            .map(|(name, &level)| {
                let mut update = FeatureUpdateKey::default();
                update.feature = StrBytes::from_string(name.clone());
                update.max_version_level = level;
                update.upgrade_type = upgrade_type.code();
                update
            })
            .collect();
        self.retry("updateFeatures", async || {
            let connection = self.controller().await?;
            let response = connection.send(&request).await?;
            let all = Error::check(response.error_code, response.error_message.as_deref());
            if let Err(error) = &all
                && error.is_retriable()
            {
                return Err(error.clone());
            }
            // Since version 2 one answer stands for all.
            let mut results: BTreeMap<String, Result<(), Error>> = levels
                .keys()
                .map(|name| (name.clone(), all.clone()))
                .collect();
            for result in &response.results {
                let checked = Error::check(result.error_code, result.error_message.as_deref());
                results.insert(result.feature.to_string(), checked);
            }
            Ok(results)
        })
        .await
    }
}

fn replica(state: &ReplicaState) -> QuorumReplica {
    let known = |ms: i64| Some(ms).filter(|&ms| ms >= 0);
    QuorumReplica {
        id: state.replica_id.0,
        directory: state.replica_directory_id,
        log_end_offset: state.log_end_offset,
        last_fetch_ms: known(state.last_fetch_timestamp),
        last_caught_up_ms: known(state.last_caught_up_timestamp),
    }
}
