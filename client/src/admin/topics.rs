//! Creating, deleting, growing and describing topics.

use super::millis;
use crate::client::{Client, Topics, topic_name};
use crate::wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use crate::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use crate::wire::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, MetadataRequest, StrBytes, Uuid,
};
use crate::{Error, Partition, Topic};
use millrace_wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// The cluster's default when `None`, likewise the replication factor.
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    /// Replicas of each partition, instead of both.
    pub assignment: Vec<Vec<i32>>,
    pub configs: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug)]
pub struct NewPartitions {
    pub topic: String,
    pub total: i32,
    /// Of the partitions that are added.
    pub assignment: Option<Vec<Vec<i32>>>,
}

#[derive(Clone, Debug)]
pub enum TopicRef {
    Name(String),
    Id(Uuid),
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|&id| BrokerId(id)).collect()
}

impl Client {
    /// One result for each topic, in their order; the id of those that were made.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<Uuid, Error>>, Error> {
        let mut request = CreateTopicsRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.validate_only = validate_only;
        request.topics = topics.iter().map(creatable).collect();
        self.retry("createTopics", async || {
            let response = self.controller().await?.send(&request).await?;
            let mut results = Vec::new();
            for topic in topics {
                let result = response
                    .topics
                    .iter()
                    .find(|result| result.name.as_str() == topic.name);
                let result = result.ok_or_else(|| unanswered(&topic.name))?;
                results.push(
                    retriable(result.error_code, result.error_message.as_deref())?
                        .map(|()| result.topic_id),
                );
            }
            Ok(results)
        })
        .await
    }

    /// One result for each topic, in their order.
    pub async fn delete_topics(
        &self,
        topics: &[TopicRef],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.retry("deleteTopics", async || {
            let connection = self.controller().await?;
            let version = connection.version_of::<DeleteTopicsRequest>(i16::MAX)?;
            let mut request = DeleteTopicsRequest::default();
            request.timeout_ms = millis(self.config().request_timeout);
            for topic in topics {
                match topic {
                    TopicRef::Name(name) if version < 6 => {
                        request.topic_names.push(topic_name(name))
                    }
                    TopicRef::Name(name) => {
                        let mut state = DeleteTopicState::default();
                        state.name = Some(topic_name(name));
                        request.topics.push(state);
                    }
                    TopicRef::Id(id) => {
                        let mut state = DeleteTopicState::default();
                        state.name = None;
                        state.topic_id = *id;
                        request.topics.push(state);
                    }
                }
            }
            let response = connection.send_version(version, &request).await?;
            let mut results = Vec::new();
            for topic in topics {
                let result = response.responses.iter().find(|result| match topic {
                    TopicRef::Name(name) => result
                        .name
                        .as_ref()
                        .is_some_and(|found| found.as_str() == name),
                    TopicRef::Id(id) => result.topic_id == *id,
                });
                let result = result.ok_or_else(|| unanswered(&format!("{topic:?}")))?;
                results.push(retriable(
                    result.error_code,
                    result.error_message.as_deref(),
                )?);
            }
            Ok(results)
        })
        .await
    }

    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let mut request = CreatePartitionsRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        request.validate_only = validate_only;
        for new in topics {
            let mut topic = CreatePartitionsTopic::default();
            topic.name = topic_name(&new.topic);
            topic.count = new.total;
            topic.assignments = new.assignment.as_ref().map(|assignment| {
                let replicas = assignment.iter().map(|replicas| {
                    let mut assigned = CreatePartitionsAssignment::default();
                    assigned.broker_ids = brokers(replicas);
                    assigned
                });
                replicas.collect()
            });
            request.topics.push(topic);
        }
        self.retry("createPartitions", async || {
            let response = self.controller().await?.send(&request).await?;
            let mut results = Vec::new();
            for new in topics {
                let result = response
                    .results
                    .iter()
                    .find(|result| result.name.as_str() == new.topic);
                let result = result.ok_or_else(|| unanswered(&new.topic))?;
                results.push(retriable(
                    result.error_code,
                    result.error_message.as_deref(),
                )?);
            }
            Ok(results)
        })
        .await
    }

    /// Every topic's name and whether it is internal, in order.
    pub async fn list_topics(&self) -> Result<Vec<Topic>, Error> {
        let mut topics = self.topics(Topics::All).await?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Topics with what the cluster knows of their eligible leaders, where it has the api for it; each with its own error.
    pub async fn describe_topics(
        &self,
        names: &[String],
        partition_limit: i32,
    ) -> Result<Vec<Topic>, Error> {
        self.retry("describeTopics", async || {
            let connection = self.any().await?;
            let has_api = connection
                .versions()
                .choose(ApiKey::DescribeTopicPartitions, i16::MAX);
            if has_api.is_none() {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return self.topics(Topics::Named(&names)).await;
            }
            let mut described: BTreeMap<String, Topic> = BTreeMap::new();
            let mut cursor: Option<Cursor> = None;
            loop {
                let mut request = DescribeTopicPartitionsRequest::default();
                let mut sorted: Vec<&String> = names.iter().collect();
                sorted.sort();
                // What lies before the cursor was described already.
                let from = cursor.as_ref().map(|cursor| cursor.topic_name.as_str());
                let wanted = sorted
                    .into_iter()
                    .filter(|name| from.is_none_or(|from| name.as_str() >= from));
                request.topics = wanted
                    .map(|name| {
                        let mut topic = TopicRequest::default();
                        topic.name = topic_name(name);
                        topic
                    })
                    .collect();
                request.response_partition_limit = partition_limit;
                request.cursor = cursor.take();
                let asked = request.cursor.clone();
                let response = connection.send(&request).await?;
                for topic in response.topics {
                    let name = topic
                        .name
                        .as_ref()
                        .map(|name| name.to_string())
                        .unwrap_or_default();
                    let partitions = topic.partitions.iter().map(described_partition);
                    let known = described.entry(name.clone()).or_insert_with(|| Topic {
                        name,
                        id: topic.topic_id,
                        error: ErrorCode::from(topic.error_code),
                        is_internal: topic.is_internal,
                        partitions: Vec::new(),
                    });
                    known.partitions.extend(partitions);
                }
                let Some(next) = response.next_cursor else {
                    break;
                };
                let mut following = Cursor::default();
                following.topic_name = next.topic_name;
                following.partition_index = next.partition_index;
                // A broker whose cursor stands still would be asked for ever.
                if asked.as_ref() == Some(&following) {
                    return Err(Error::Records(
                        "the broker's cursor does not advance".to_owned(),
                    ));
                }
                cursor = Some(following);
            }
            Ok(described.into_values().collect())
        })
        .await
    }

    pub async fn describe_topic_id(&self, id: Uuid) -> Result<Topic, Error> {
        let mut topic = MetadataRequestTopic::default();
        topic.name = None;
        topic.topic_id = id;
        let mut request = MetadataRequest::default();
        request.topics = Some(vec![topic]);
        request.allow_auto_topic_creation = false;
        let response = self.ask_any("describeTopics", &request).await?;
        let topic = response
            .topics
            .first()
            .ok_or_else(|| unanswered(&id.to_string()))?;
        let topic = Topic::of(topic);
        topic.check()?;
        Ok(topic)
    }
}

fn creatable(new: &NewTopic) -> CreatableTopic {
    let mut topic = CreatableTopic::default();
    topic.name = topic_name(&new.name);
    let is_assigned = !new.assignment.is_empty();
    topic.num_partitions = new.partitions.filter(|_| !is_assigned).unwrap_or(-1);
    topic.replication_factor = new
        .replication_factor
        .filter(|_| !is_assigned)
        .unwrap_or(-1);
    topic.assignments = (0..)
        .zip(&new.assignment)
        .map(|(index, replicas)| {
            let mut assigned = CreatableReplicaAssignment::default();
            assigned.partition_index = index;
            assigned.broker_ids = brokers(replicas);
            assigned
        })
        .collect();
    topic.configs = new
        .configs
        .iter()
        .map(|(name, value)| {
            let mut config = CreatableTopicConfig::default();
            config.name = StrBytes::from_string(name.clone());
            config.value = value.clone().map(StrBytes::from_string);
            config
        })
        .collect();
    topic
}

fn described_partition(partition: &DescribeTopicPartitionsResponsePartition) -> Partition {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    Partition {
        id: partition.partition_index,
        error: ErrorCode::from(partition.error_code),
        leader: Some(partition.leader_id.0).filter(|&leader| leader >= 0),
        leader_epoch: partition.leader_epoch,
        replicas: ids(&partition.replica_nodes),
        in_sync: ids(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
        eligible_leaders: partition.eligible_leader_replicas.as_deref().map(ids),
        last_known_eligible_leaders: partition.last_known_elr.as_deref().map(ids),
    }
}

pub(super) fn unanswered(what: &str) -> Error {
    Error::Records(format!("the broker did not answer for {what}"))
}

/// An error that concerns one of several goes to its place, unless asking for all again may help: then it is the outer one.
/// `UNKNOWN_TOPIC_OR_PARTITION` is an answer here: what does not exist is not waited for.
pub(super) fn retriable(code: i16, message: Option<&str>) -> Result<Result<(), Error>, Error> {
    match Error::check(code, message) {
        Err(error)
            if error.is_retriable() && error.code() != Some(ErrorCode::UnknownTopicOrPartition) =>
        {
            Err(error)
        }
        settled => Ok(settled),
    }
}
