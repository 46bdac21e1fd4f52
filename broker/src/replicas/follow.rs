//! One step from an image of the metadata to the engine.

use super::effective::Effective;
use super::topic::{HostedTopic, Hosting};
use crate::config::{self, BrokerConfig, TopicSettings};
use crate::engine::Engine;
use crate::metadata::{self, BrokerId, Command, Image, Topic};
use crate::metrics::Metrics;
use crate::partition::TopicConfig;
use crate::raft::ports::GroupId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

pub struct Follower {
    engine: Arc<Engine>,
    metadata: metadata::Handle,
    runtime: tokio::runtime::Handle,
    /// With it the hosted topics' settings were computed.
    config: Effective,
    broker: BrokerId,
    metrics: Arc<Metrics>,
    hosted: HashMap<Arc<str>, Arc<HostedTopic>>,
}

impl Follower {
    /// Within the runtime whose blocking threads will call [`Follower::step`].
    pub fn new(
        engine: Arc<Engine>,
        metadata: metadata::Handle,
        config: Arc<BrokerConfig>,
        metrics: Arc<Metrics>,
    ) -> Follower {
        Follower {
            engine,
            metadata,
            runtime: tokio::runtime::Handle::current(),
            broker: config.node_id,
            config: Effective::new(config),
            metrics,
            hosted: HashMap::new(),
        }
    }

    pub fn step(&mut self, image: &Image) -> Hosting {
        let is_same = !self.config.follow(image);
        let config = self.config.now().clone();
        let changed = image.topics.values().filter(|topic| {
            !is_same
                || self.hosted.get(topic.name.as_str()).is_none_or(|hosted| {
                    !Arc::ptr_eq(&hosted.topic, topic) || self.lacks_a_replica(hosted)
                })
        });
        let changed: Vec<(Arc<Topic>, config::TopicConfig)> = changed
            .map(|topic| (topic.clone(), topic_config(topic, &config)))
            .collect();
        let mut is_complete = self.delete_unknown(image);
        is_complete &= self.make(&changed, &config);
        let is_marked = self.mark(&changed);
        is_complete &= is_marked;
        // Deleted ones first, so that new ones find their places.
        self.metrics
            .topics
            .retain(|name| image.topics.contains_key(name));
        for (topic, topic_config) in changed {
            self.host(topic, topic_config, &config, is_marked);
        }
        self.hosted
            .retain(|name, _| image.topics.contains_key(&**name));
        let names = self
            .hosted
            .iter()
            .map(|(name, hosted)| (hosted.topic.id, name.clone()));
        Hosting {
            version: image.version,
            is_complete,
            names: names.collect(),
            topics: self.hosted.clone(),
        }
    }

    fn is_mine(&self, replicas: &[BrokerId]) -> bool {
        replicas.contains(&self.broker)
    }

    fn lacks_a_replica(&self, hosted: &HostedTopic) -> bool {
        let mut partitions = hosted.topic.partitions.iter().zip(&hosted.partitions);
        partitions.any(|(partition, handle)| {
            handle.is_none()
                && self.is_mine(&partition.replicas)
                && self.engine.partition(partition.group).is_some()
        }) || hosted.partitions.len() < hosted.topic.partitions.len()
    }

    fn delete_unknown(&self, image: &Image) -> bool {
        let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
        let wanted: HashSet<GroupId> = partitions
            .filter(|partition| self.is_mine(&partition.replicas))
            .map(|partition| partition.group)
            .collect();
        let mut is_complete = true;
        for handle in self.engine.partitions() {
            let group = handle.group();
            if wanted.contains(&group) {
                continue;
            }
            match self.engine.delete(group) {
                Ok(()) => tracing::info!(%group, "replica deleted"),
                Err(error) => {
                    tracing::error!(%group, %error, "cannot delete a replica");
                    is_complete = false;
                }
            }
        }
        is_complete
    }

    /// Makes the replicas that were never made. One that was made and is not here is lost, or its directory is: made anew it
    /// would begin at offset 0 and take the place of what clients were promised.
    fn make(&self, changed: &[(Arc<Topic>, config::TopicConfig)], broker: &BrokerConfig) -> bool {
        let mut new = Vec::new();
        for (topic, config) in changed {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !self.is_mine(&partition.replicas)
                    || self.engine.partition(partition.group).is_some()
                {
                    continue;
                }
                match partition.made.contains(&self.broker) {
                    false => new.push((partition.group, engine_config(config, broker))),
                    true => {
                        tracing::error!(
                            topic = topic.name,
                            partition = index,
                            "replica is offline: its data is not in any directory that could be opened"
                        );
                    }
                }
            }
        }
        if new.is_empty() {
            return true;
        }
        match self.engine.create(&new) {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, replicas = new.len(), "cannot make replicas");
                false
            }
        }
    }

    /// Lets the metadata know what was made; only then it is served. False when that must be tried again.
    fn mark(&self, changed: &[(Arc<Topic>, config::TopicConfig)]) -> bool {
        let mut topics: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
        for (topic, _) in changed {
            for (index, partition) in (0..).zip(&topic.partitions) {
                if self.is_unmarked(partition) {
                    topics.entry(topic.id).or_default().push(index);
                }
            }
        }
        if topics.is_empty() {
            return true;
        }
        let broker = self.broker;
        let marked = self
            .runtime
            .block_on(self.metadata.submit(Command::MarkMade { broker, topics }));
        if let Err(error) = &marked {
            tracing::error!(%error, "cannot tell the metadata what replicas were made");
        }
        marked.is_ok()
    }

    fn is_unmarked(&self, partition: &metadata::Partition) -> bool {
        self.is_mine(&partition.replicas)
            && !partition.made.contains(&self.broker)
            && self.engine.partition(partition.group).is_some()
    }

    fn host(
        &mut self,
        topic: Arc<Topic>,
        config: config::TopicConfig,
        broker: &BrokerConfig,
        is_marked: bool,
    ) {
        let for_engine = engine_config(&config, broker);
        let partitions = topic.partitions.iter().map(|partition| {
            if !is_marked && self.is_unmarked(partition) {
                return None;
            }
            let handle = self.engine.partition(partition.group)?;
            if *handle.config() != for_engine {
                self.engine.set_config(partition.group, for_engine.clone());
            }
            Some(handle)
        });
        let hosted = HostedTopic {
            partitions: partitions.collect(),
            counters: self.metrics.topics.of(&topic.name),
            config,
            topic: topic.clone(),
        };
        self.hosted
            .insert(topic.name.as_str().into(), Arc::new(hosted));
    }
}

/// What is in effect for a topic.
pub fn topic_config(topic: &Topic, broker: &BrokerConfig) -> config::TopicConfig {
    config::TopicConfig::new(&settings(&topic.name, &topic.configs), broker)
}

fn settings(name: &str, configs: &BTreeMap<String, String>) -> TopicSettings {
    let pairs = configs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let (settings, passed_over) = TopicSettings::from_stored(pairs);
    for error in passed_over {
        tracing::warn!(topic = name, %error, "a stored topic setting is passed over");
    }
    settings
}

/// What the engine must know of it.
fn engine_config(config: &config::TopicConfig, broker: &BrokerConfig) -> TopicConfig {
    TopicConfig::of(config, broker.producer_id_expiration_ms.into())
}
