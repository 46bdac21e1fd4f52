//! What can be asked of the metadata, what it answers, and why it refuses.

use super::features::FeatureUpdate;
use super::image::{Broker, Resource, Topic};
use super::quotas::QuotaAlteration;
use super::{BrokerId, placement};
use crate::raft::ports::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A broker says where it can be reached. Saying the same again changes nothing.
    RegisterBroker(Broker),
    UnregisterBroker(BrokerId),
    /// Levels are recorded where none are: before all else, for whether the cluster is new shows in whether it has brokers.
    BeginFeatures,
    UpdateFeatures {
        /// Who refuses.
        controller: BrokerId,
        updates: Vec<FeatureUpdate>,
    },
    CreateTopic(NewTopic),
    DeleteTopic(Uuid),
    AddPartitions {
        id: Uuid,
        /// How many there are to be.
        total: u32,
        placement: Placement,
    },
    ChangeConfigs {
        resource: Resource,
        /// `None` takes the setting away.
        changes: BTreeMap<String, Option<String>>,
    },
    /// A broker has made its replicas of these partitions, by topic. From then on one that it does not find is lost, not new.
    MarkMade {
        broker: BrokerId,
        topics: BTreeMap<Uuid, Vec<u32>>,
    },
    /// A broker has lost its replicas of these partitions for good. It makes new ones, which the others let in and fill.
    ReplaceReplicas {
        broker: BrokerId,
        topics: BTreeMap<Uuid, Vec<u32>>,
    },
    /// The replicas of a partition are to be on these brokers, the preferred leader first; `None` gives up what is under way.
    Reassign {
        id: Uuid,
        partition: u32,
        replicas: Option<Vec<BrokerId>>,
    },
    /// The members of a partition's group are those that it was to have, by their peers.
    EndReassignment {
        id: Uuid,
        partition: u32,
        peers: Vec<PeerId>,
    },
    /// [`super::PRODUCER_ID_BLOCK`] ids that nobody else gets.
    AllocateProducerIds,
    /// All of them, or none.
    ChangeQuotas(Vec<QuotaAlteration>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewTopic {
    pub name: String,
    /// Drawn by who asks: the metadata itself draws nothing at random.
    pub id: Uuid,
    pub partitions: u32,
    pub placement: Placement,
    pub configs: BTreeMap<String, String>,
}

/// Who decides where the replicas are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Placement {
    /// The metadata does, starting at the broker that `seed` chooses.
    Automatic { replicas: u16, seed: u64 },
    /// The caller does: the replicas of each partition, the preferred leader first.
    Manual(Vec<Vec<BrokerId>>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Output {
    Done,
    Topic(Arc<Topic>),
    /// The first of a block.
    ProducerIds(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    #[error("this replica does not lead in term {term}")]
    NotLeader { term: u64 },
    #[error("Topic '{0}' already exists.")]
    TopicExists(String),
    #[error("Topic '{name}' collides with existing topic: {other}")]
    TopicCollides { name: String, other: String },
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("No partition reassignment is in progress.")]
    NoReassignment,
    #[error("{0}")]
    InvalidPartitions(String),
    #[error(transparent)]
    Placement(#[from] placement::Refusal),
    #[error("Broker ID {0} is not currently registered")]
    UnknownBroker(BrokerId),
    #[error("{0}")]
    Feature(String),
    #[error("the broker that leads the metadata is of an earlier release: upgrade it first")]
    Later,
    #[error("the last block of producer ids is taken")]
    ProducerIdsExhausted,
}
