//! Where partitions' replicas are, and which of them leads.

use super::millis;
use crate::client::{Client, Topics, topic_name};
use crate::wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use crate::wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use crate::wire::messages::elect_leaders_request::TopicPartitions;
use crate::wire::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, StrBytes,
};
use crate::{Error, TopicPartition};
use std::collections::BTreeMap;

/// Where a partition's replicas move to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reassignment {
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    Preferred,
    Unclean,
}

impl ElectionType {
    fn code(self) -> i8 {
        match self {
            ElectionType::Preferred => 0,
            ElectionType::Unclean => 1,
        }
    }
}

type Results = BTreeMap<TopicPartition, Result<(), Error>>;

impl Client {
    /// Partitions whose replicas are being moved.
    pub async fn list_reassignments(
        &self,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, Error> {
        let mut request = ListPartitionReassignmentsRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.topics = None;
        self.retry("listPartitionReassignments", async || {
            let response = self.controller().await?.send(&request).await?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let mut moving = BTreeMap::new();
            let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let at = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    let reassignment = Reassignment {
                        replicas: ids(&partition.replicas),
                        adding: ids(&partition.adding_replicas),
                        removing: ids(&partition.removing_replicas),
                    };
                    moving.insert(at, reassignment);
                }
            }
            Ok(moving)
        })
        .await
    }

    /// Moves partitions to these replicas, or, with `None`, ends their being moved.
    pub async fn alter_reassignments(
        &self,
        targets: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
        may_change_replication_factor: bool,
    ) -> Result<Results, Error> {
        let mut topics: BTreeMap<&str, ReassignableTopic> = BTreeMap::new();
        for (at, replicas) in targets {
            let topic = topics.entry(&at.topic).or_default();
            topic.name = topic_name(&at.topic);
            let mut partition = ReassignablePartition::default();
            partition.partition_index = at.partition;
            partition.replicas = replicas
                .as_ref()
                .map(|ids| ids.iter().map(|&id| BrokerId(id)).collect());
            topic.partitions.push(partition);
        }
        let mut request = AlterPartitionReassignmentsRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.topics = topics.into_values().collect();
        self.retry("alterPartitionReassignments", async || {
            let connection = self.controller().await?;
            let version = connection.version_of::<AlterPartitionReassignmentsRequest>(i16::MAX)?;
            let mut request = request.clone();
            // Version 0 always lets it change.
            request.allow_replication_factor_change = version == 0 || may_change_replication_factor;
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let mut results = Results::new();
            for topic in &response.responses {
                for partition in &topic.partitions {
                    let at = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    let message = partition.error_message.as_deref();
                    results.insert(at, Error::check(partition.error_code, message));
                }
            }
            Ok(results)
        })
        .await
    }

    /// Of the given partitions, or of all there are.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Results, Error> {
        let mut request = ElectLeadersRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.topic_partitions = partitions.map(|partitions| {
            let mut topics: BTreeMap<&str, TopicPartitions> = BTreeMap::new();
            for at in partitions {
                let topic = topics.entry(&at.topic).or_default();
                topic.topic = topic_name(&at.topic);
                topic.partitions.push(at.partition);
            }
            topics.into_values().collect()
        });
        self.retry("electLeaders", async || {
            let connection = self.controller().await?;
            let version = connection.version_of::<ElectLeadersRequest>(i16::MAX)?;
            let mut request = request.clone();
            request.election_type = election.code();
            let response = connection.send_version(version, &request).await?;
            Error::check(response.error_code, None)?;
            let mut results = Results::new();
            for topic in &response.replica_election_results {
                for partition in &topic.partition_result {
                    let at = TopicPartition::new(topic.topic.as_str(), partition.partition_id);
                    let message = partition.error_message.as_deref();
                    results.insert(at, Error::check(partition.error_code, message));
                }
            }
            Ok(results)
        })
        .await
    }

    /// Moves replicas of one broker to other directories of it.
    pub async fn alter_replica_log_dirs(
        &self,
        broker: i32,
        directories: &BTreeMap<TopicPartition, String>,
    ) -> Result<Results, Error> {
        let mut paths: BTreeMap<&str, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
        for (at, path) in directories {
            let topics = paths.entry(path).or_default();
            topics.entry(&at.topic).or_default().push(at.partition);
        }
        let dirs = paths.into_iter().map(|(path, topics)| {
            let mut dir = AlterReplicaLogDir::default();
            dir.path = StrBytes::from_string(path.to_owned());
            let topics = topics.into_iter().map(|(name, partitions)| {
                let mut topic = AlterReplicaLogDirTopic::default();
                topic.name = topic_name(name);
                topic.partitions = partitions;
                topic
            });
            dir.topics = topics.collect();
            dir
        });
        let mut request = AlterReplicaLogDirsRequest::default();
        request.dirs = dirs.collect();
        if self.metadata().brokers.is_empty() {
            self.retry("metadata", async || self.refresh(Topics::None, false).await)
                .await?;
        }
        let response = self.ask_broker("alterReplicaLogDirs", broker, &request);
        let mut results = Results::new();
        for topic in response.await?.results {
            for partition in topic.partitions {
                let at = TopicPartition::new(topic.topic_name.as_str(), partition.partition_index);
                results.insert(at, Error::check(partition.error_code, None));
            }
        }
        Ok(results)
    }
}
