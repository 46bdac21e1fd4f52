//! What requests see of the topics that this broker hosts.

use crate::config::TopicConfig;
use crate::engine;
use crate::metadata;
use crate::metrics::TopicCounters;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// All topics at one moment.
#[derive(Clone, Default)]
pub struct Hosting {
    /// Of the image that it follows from.
    pub version: u64,
    /// Whether everything of that image could be done.
    pub is_complete: bool,
    pub topics: HashMap<Arc<str>, Arc<HostedTopic>>,
    pub(super) names: HashMap<Uuid, Arc<str>>,
}

pub struct HostedTopic {
    pub topic: Arc<metadata::Topic>,
    /// In effect, with the broker's defaults behind it.
    pub config: TopicConfig,
    /// By partition; `None` is held by others, or could not be made yet, or is offline.
    pub partitions: Vec<Option<engine::Handle>>,
    pub counters: Arc<TopicCounters>,
}

impl Hosting {
    pub fn topic(&self, name: &str) -> Option<&Arc<HostedTopic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<HostedTopic>> {
        self.names.get(id).and_then(|name| self.topics.get(name))
    }
}

impl HostedTopic {
    pub fn partition(&self, index: i32) -> Option<&engine::Handle> {
        let index = usize::try_from(index).ok()?;
        self.partitions.get(index)?.as_ref()
    }

    /// Whether the topic has such a partition, here or elsewhere.
    pub fn has(&self, index: i32) -> bool {
        usize::try_from(index).is_ok_and(|index| index < self.topic.partitions.len())
    }
}
