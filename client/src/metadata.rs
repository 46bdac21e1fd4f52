//! What the brokers say of themselves and their topics, as one unchanging picture.

use crate::Error;
use crate::address::Address;
use crate::wire::messages::metadata_response::MetadataResponseTopic;
use crate::wire::messages::{MetadataResponse, Uuid};
use millrace_wire::ErrorCode;
use millrace_wire::consumer_protocol::Partitions;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        let topic = topic.into();
        TopicPartition { topic, partition }
    }

    /// All that members of a group are told of.
    pub fn each(partitions: Partitions) -> impl Iterator<Item = TopicPartition> {
        let topics = partitions.into_iter();
        topics.flat_map(|(topic, partitions)| {
            let partitions = partitions.into_iter();
            partitions.map(move |at| TopicPartition::new(Arc::clone(&topic), at))
        })
    }

    /// As members of a group are told.
    pub fn by_topic(partitions: impl IntoIterator<Item = TopicPartition>) -> Partitions {
        let mut topics = Partitions::new();
        for at in partitions {
            topics.entry(at.topic).or_default().insert(at.partition);
        }
        topics
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub address: Address,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub id: i32,
    pub error: ErrorCode,
    /// `None` while there is none.
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
    pub offline: Vec<i32>,
    /// Replicas that may lead although they are not in sync (KIP-966); `None` where the answer does not say.
    pub eligible_leaders: Option<Vec<i32>>,
    pub last_known_eligible_leaders: Option<Vec<i32>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    pub error: ErrorCode,
    pub is_internal: bool,
    /// In ascending order of their ids.
    pub partitions: Vec<Partition>,
}

impl Topic {
    pub(crate) fn of(topic: &MetadataResponseTopic) -> Topic {
        let ids =
            |brokers: &[crate::wire::messages::BrokerId]| brokers.iter().map(|id| id.0).collect();
        let partitions = topic.partitions.iter().map(|partition| Partition {
            id: partition.partition_index,
            error: ErrorCode::from(partition.error_code),
            leader: Some(partition.leader_id.0).filter(|&leader| leader >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: ids(&partition.replica_nodes),
            in_sync: ids(&partition.isr_nodes),
            offline: ids(&partition.offline_replicas),
            eligible_leaders: None,
            last_known_eligible_leaders: None,
        });
        let mut partitions: Vec<Partition> = partitions.collect();
        partitions.sort_by_key(|partition| partition.id);
        Topic {
            name: topic
                .name
                .as_ref()
                .map(|name| name.to_string())
                .unwrap_or_default(),
            id: topic.topic_id,
            error: ErrorCode::from(topic.error_code),
            is_internal: topic.is_internal,
            partitions,
        }
    }

    /// `Err` when the broker says that the topic cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        Error::check(self.error.code(), None)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Metadata {
    pub cluster_id: Option<String>,
    pub controller: Option<i32>,
    pub brokers: BTreeMap<i32, Broker>,
    pub topics: BTreeMap<String, Topic>,
}

impl Metadata {
    pub(crate) fn of(response: &MetadataResponse) -> Result<Metadata, Error> {
        let mut brokers = BTreeMap::new();
        for broker in &response.brokers {
            let port = u16::try_from(broker.port)
                .map_err(|_| Error::Records(format!("a broker's port is {}", broker.port)))?;
            let id = broker.node_id.0;
            let broker = Broker {
                id,
                address: Address::new(broker.host.to_string(), port),
                rack: broker.rack.as_ref().map(|rack| rack.to_string()),
            };
            brokers.insert(id, broker);
        }
        let topics = response.topics.iter().map(Topic::of);
        Ok(Metadata {
            cluster_id: response.cluster_id.as_ref().map(|id| id.to_string()),
            controller: Some(response.controller_id.0).filter(|&id| id >= 0),
            brokers,
            topics: topics.map(|topic| (topic.name.clone(), topic)).collect(),
        })
    }

    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        let partitions = &self.topics.get(topic)?.partitions;
        let at = partitions
            .binary_search_by_key(&partition, |known| known.id)
            .ok()?;
        partitions.get(at)
    }

    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.partition(topic, partition)?.leader
    }

    /// The picture after `newer` was learned: its brokers and topics; topics that it does not speak of stay.
    pub(crate) fn merged(&self, newer: Metadata) -> Metadata {
        let mut topics = self.topics.clone();
        topics.extend(newer.topics);
        Metadata {
            cluster_id: newer.cluster_id.or_else(|| self.cluster_id.clone()),
            controller: newer.controller,
            brokers: newer.brokers,
            topics,
        }
    }
}
