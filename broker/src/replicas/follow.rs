//! One step from an image of the metadata to the engine.

use super::effective::Effective;
use super::topic::{HostedTopic, Hosting};
use crate::cluster::Cluster;
use crate::config::{self, BrokerConfig, TopicSettings};
use crate::engine::{self, Engine, Spec};
use crate::metadata::{self, BrokerId, Command, Image, Topic};
use crate::metrics::Metrics;
use crate::partition::{Role, TopicConfig};
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
    cluster: Cluster,
    broker: BrokerId,
    metrics: Arc<Metrics>,
    hosted: HashMap<Arc<str>, Arc<HostedTopic>>,
}

impl Follower {
    /// Within the runtime whose blocking threads will call [`Follower::step`].
    pub fn new(
        engine: Arc<Engine>,
        metadata: metadata::Handle,
        cluster: Cluster,
        config: Arc<BrokerConfig>,
        metrics: Arc<Metrics>,
    ) -> Follower {
        Follower {
            engine,
            metadata,
            runtime: tokio::runtime::Handle::current(),
            cluster,
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
        is_complete &= self.make(&changed);
        let is_marked = self.mark(&changed);
        is_complete &= is_marked;
        is_complete &= self.start(&changed, &config, is_marked);
        // Deleted ones first, so that new ones find their places.
        self.metrics
            .topics
            .retain(|name| image.topics.contains_key(name));
        for (topic, topic_config) in changed {
            self.host(topic, topic_config, &config);
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
            handle.is_none() && self.is_mine(&partition.replicas) && self.is_here(partition.group)
        }) || hosted.partitions.len() < hosted.topic.partitions.len()
    }

    fn is_here(&self, group: GroupId) -> bool {
        self.engine.partition(group).is_some() || self.engine.is_dormant(group)
    }

    fn delete_unknown(&self, image: &Image) -> bool {
        let partitions = image.topics.values().flat_map(|topic| &topic.partitions);
        let wanted: HashSet<GroupId> = partitions
            .filter(|partition| self.is_mine(&partition.replicas))
            .map(|partition| partition.group)
            .collect();
        let mut is_complete = true;
        let here = self.engine.partitions().into_iter();
        let mut here: Vec<GroupId> = here.map(|handle| handle.group()).collect();
        here.extend(self.engine.dormant());
        for group in here {
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
    fn make(&self, changed: &[(Arc<Topic>, config::TopicConfig)]) -> bool {
        let mut new = Vec::new();
        let mut lost: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
        for (topic, _) in changed {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !self.is_mine(&partition.replicas) || self.is_here(partition.group) {
                    continue;
                }
                match partition.made.contains(&self.broker) {
                    false if partition.is_original => {
                        new.push((partition.group, partition.peers.clone()));
                    }
                    // Who leads lets it in, and tells it who else is there.
                    false => new.push((partition.group, Vec::new())),
                    true if partition.replicas.len() > 1 && self.engine.is_whole() => {
                        lost.entry(topic.id).or_default().push(index as u32);
                    }
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
        if !self.replace(lost) {
            return false;
        }
        if new.is_empty() {
            return true;
        }
        match self.engine.make(&new) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, replicas = new.len(), "cannot make replicas");
                false
            }
        }
    }

    /// Every directory is here, and what was made is not: its disk was lost, or cleared. Others have it, and will fill new replicas;
    /// those are other raft peers, since these may have voted.
    fn replace(&self, lost: BTreeMap<Uuid, Vec<u32>>) -> bool {
        if lost.is_empty() {
            return true;
        }
        let replicas: usize = lost.values().map(Vec::len).sum();
        tracing::warn!(
            replicas,
            "replicas are lost with their directory; new ones take their places"
        );
        let broker = self.broker;
        let command = Command::ReplaceReplicas {
            broker,
            topics: lost,
        };
        let replaced = self.runtime.block_on(self.metadata.submit(command));
        if let Err(error) = &replaced {
            tracing::error!(%error, "cannot tell the metadata that replicas are lost");
        }
        replaced.is_ok()
    }

    /// Lets the metadata know what was made; only then it takes part. False when that must be tried again.
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
            && self.is_here(partition.group)
    }

    /// Lets replicas take part: those that the metadata knows to be made. One that voted and was then lost would else be made a second time,
    /// and vote again.
    fn start(
        &self,
        changed: &[(Arc<Topic>, config::TopicConfig)],
        broker: &BrokerConfig,
        is_marked: bool,
    ) -> bool {
        let mut specs = Vec::new();
        let mut to_lead = Vec::new();
        for (topic, config) in changed {
            for partition in &topic.partitions {
                let group = partition.group;
                let Some(peer) = partition.peer_of(self.broker) else {
                    continue;
                };
                let members: Vec<_> = match partition.replicas.len() {
                    1 => Vec::new(),
                    _ => partition.members().collect(),
                };
                if let Some(handle) = self.engine.partition(group) {
                    self.engine.set_members(group, members);
                    // There was no quorum when it was started, perhaps.
                    if partition.has_quorum() && handle.positions().role == Role::Leaderless {
                        to_lead.push(handle);
                    }
                } else if self.engine.is_dormant(group)
                    && (is_marked || partition.made.contains(&self.broker))
                {
                    let config = engine_config(config, broker);
                    specs.push((
                        group,
                        Spec {
                            peer,
                            members,
                            config,
                        },
                    ));
                }
            }
        }
        let mut is_complete = true;
        for (group, started) in self.engine.start(specs) {
            match started {
                Ok(handle) if handle.members().is_empty() => {}
                Ok(handle) => to_lead.push(handle),
                Err(error) => {
                    tracing::error!(%group, %error, "partition stays offline");
                    is_complete = false;
                }
            }
        }
        self.begin(to_lead);
        is_complete
    }

    /// Replicas that have no leader yet elect one at once.
    fn begin(&self, to_lead: Vec<engine::Handle>) {
        let _entered = self.runtime.enter();
        self.cluster.begin(to_lead);
    }

    fn host(&mut self, topic: Arc<Topic>, config: config::TopicConfig, broker: &BrokerConfig) {
        let for_engine = engine_config(&config, broker);
        let partitions = topic.partitions.iter().map(|partition| {
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
