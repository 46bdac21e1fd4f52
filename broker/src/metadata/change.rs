//! The bytes of the metadata group's entries and of its snapshot: protobuf, so that a later release may add fields.

use super::BrokerId;
use super::quotas::{EntityQuotas, QuotasChanged};
use std::collections::BTreeMap;

/// A fact that a committed entry states. It was checked before it was proposed; applying it cannot be refused.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Change {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(message, tag = "1")]
    BrokerRegistered(BrokerRecord),
    #[prost(message, tag = "2")]
    TopicCreated(TopicRecord),
    #[prost(message, tag = "3")]
    TopicDeleted(TopicDeleted),
    #[prost(message, tag = "4")]
    PartitionsAdded(PartitionsAdded),
    #[prost(message, tag = "5")]
    ConfigsChanged(ConfigsChanged),
    #[prost(message, tag = "6")]
    ProducerIdsAllocated(ProducerIdsAllocated),
    #[prost(message, tag = "7")]
    ReplicasMade(ReplicasMade),
    /// The replicas of a broker are lost: it makes others in their place, which are other raft peers.
    #[prost(message, tag = "8")]
    ReplicasReplaced(ReplicasMade),
    /// The replicas of a partition are to be others, or now are.
    #[prost(message, tag = "9")]
    PartitionReassigned(PartitionReassigned),
    #[prost(message, tag = "20")]
    QuotasChanged(QuotasChanged),
    #[prost(message, tag = "21")]
    FeaturesChanged(FeaturesChanged),
    #[prost(message, tag = "22")]
    BrokerUnregistered(BrokerUnregistered),
}

/// Levels by feature; of others nothing is said.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeaturesChanged {
    #[prost(btree_map = "string, int32", tag = "1")]
    pub levels: BTreeMap<String, i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BrokerUnregistered {
    #[prost(int32, tag = "1")]
    pub id: BrokerId,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BrokerRecord {
    #[prost(int32, tag = "1")]
    pub id: BrokerId,
    #[prost(message, repeated, tag = "2")]
    pub endpoints: Vec<EndpointRecord>,
    #[prost(string, optional, tag = "3")]
    pub rack: Option<String>,
    /// Where other brokers reach it; none of a broker that is alone.
    #[prost(message, optional, tag = "4")]
    pub peer: Option<EndpointRecord>,
    /// The raft peer that its replica of the metadata is.
    #[prost(uint64, tag = "5")]
    pub metadata_replica: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EndpointRecord {
    #[prost(string, tag = "1")]
    pub listener: String,
    #[prost(string, tag = "2")]
    pub protocol: String,
    #[prost(string, tag = "3")]
    pub host: String,
    #[prost(uint32, tag = "4")]
    pub port: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicRecord {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "3")]
    pub partitions: Vec<PartitionRecord>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub configs: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionRecord {
    #[prost(uint64, tag = "1")]
    pub group: u64,
    #[prost(int32, repeated, tag = "2")]
    pub replicas: Vec<BrokerId>,
    #[prost(int32, repeated, tag = "3")]
    pub made: Vec<BrokerId>,
    /// The raft peer that each of `replicas` is. Where an earlier release placed it: 1 and so on.
    #[prost(uint64, repeated, tag = "4")]
    pub peers: Vec<u64>,
    /// The largest of all that there ever were.
    #[prost(uint64, tag = "5")]
    pub last_peer: u64,
    /// Those of `replicas` that it is to get, and to lose.
    #[prost(int32, repeated, tag = "6")]
    pub adding: Vec<BrokerId>,
    #[prost(int32, repeated, tag = "7")]
    pub removing: Vec<BrokerId>,
    /// Whether its replicas are those that it began with.
    #[prost(bool, tag = "8")]
    pub is_original: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ReplicasMade {
    #[prost(int32, tag = "1")]
    pub broker: BrokerId,
    #[prost(message, repeated, tag = "2")]
    pub topics: Vec<TopicReplicas>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionReassigned {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// But for who has made a replica: that is as it was.
    #[prost(message, optional, tag = "3")]
    pub now: Option<PartitionRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicReplicas {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(uint32, repeated, tag = "2")]
    pub partitions: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicDeleted {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionsAdded {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<PartitionRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfigsChanged {
    #[prost(oneof = "ResourceRecord", tags = "1, 2, 3, 4, 20")]
    pub resource: Option<ResourceRecord>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub set: BTreeMap<String, String>,
    #[prost(string, repeated, tag = "6")]
    pub removed: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ResourceRecord {
    /// The id of a topic.
    #[prost(bytes = "vec", tag = "1")]
    Topic(Vec<u8>),
    #[prost(int32, tag = "2")]
    Broker(BrokerId),
    /// What holds for every broker that says nothing else.
    #[prost(bool, tag = "3")]
    AllBrokers(bool),
    #[prost(string, tag = "4")]
    Group(String),
    /// What clients are asked to tell of themselves.
    #[prost(string, tag = "20")]
    ClientMetrics(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ProducerIdsAllocated {
    #[prost(int64, tag = "1")]
    pub next: i64,
}

/// The whole image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Snapshot {
    /// [`Snapshot::FORMAT`] when it was written.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(message, repeated, tag = "2")]
    pub brokers: Vec<BrokerRecord>,
    #[prost(message, repeated, tag = "3")]
    pub topics: Vec<TopicRecord>,
    /// Of brokers and groups; those of topics are with the topic.
    #[prost(message, repeated, tag = "4")]
    pub configs: Vec<ConfigsChanged>,
    #[prost(int64, tag = "5")]
    pub next_producer_id: i64,
    #[prost(uint64, tag = "6")]
    pub next_group: u64,
    #[prost(uint64, tag = "7")]
    pub version: u64,
    #[prost(message, repeated, tag = "20")]
    pub quotas: Vec<EntityQuotas>,
    #[prost(btree_map = "string, int32", tag = "21")]
    pub features: BTreeMap<String, i32>,
}

impl Snapshot {
    pub const FORMAT: u32 = 1;
}
