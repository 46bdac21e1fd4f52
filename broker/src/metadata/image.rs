//! The state of the metadata at one moment.

use super::BrokerId;
use super::change::{
    BrokerRecord, Change, ConfigsChanged, EndpointRecord, Kind, PartitionReassigned,
    PartitionRecord, ReplicasMade, ResourceRecord, Snapshot, TopicRecord,
};
use super::features;
use super::machine::Fault;
use super::quotas::{self, Quotas};
use crate::config::topic_name::collision_key;
use crate::raft::ports::{GroupId, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Cloning it copies pointers.
#[derive(Clone, Debug)]
pub struct Image {
    /// The index of the last entry in it: it grows with every change.
    pub version: u64,
    pub brokers: BTreeMap<BrokerId, Arc<Broker>>,
    pub topics: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, String>,
    /// Of brokers and groups; those of topics are with the topic.
    configs: BTreeMap<Resource, Arc<BTreeMap<String, String>>>,
    /// Those that were recorded; see [`Image::level`].
    features: BTreeMap<String, i16>,
    pub next_producer_id: i64,
    pub next_group: u64,
    /// Of users, client ids and addresses.
    pub quotas: Quotas,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    pub id: BrokerId,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// Where other brokers reach it; none of a broker that is alone.
    pub peer: Option<Endpoint>,
    /// The raft peer that its replica of the metadata is.
    pub metadata_replica: PeerId,
}

/// Where clients reach a broker: an advertised listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub listener: String,
    pub protocol: String,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    pub id: Uuid,
    pub name: String,
    pub partitions: Vec<Partition>,
    /// What was set on the topic itself.
    pub configs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub group: GroupId,
    /// The preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The raft peer that each of `replicas` is. A broker that gets a replica a second time becomes another one.
    pub peers: Vec<PeerId>,
    /// The largest of all that there ever were: none is used twice.
    pub last_peer: PeerId,
    /// Those of `replicas` that it is to get, and to lose: a reassignment is under way.
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
    /// Whether its replicas are those that it began with: who makes one knows then who votes. Else who leads tells.
    pub is_original: bool,
    /// Those of them that have made their replica.
    pub made: Vec<BrokerId>,
}

/// What can have settings of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resource {
    Topic(Uuid),
    Broker(BrokerId),
    /// Every broker that says nothing else.
    AllBrokers,
    Group(String),
    /// What clients are asked to tell of themselves (KIP-714).
    ClientMetrics(String),
}

impl Default for Image {
    fn default() -> Image {
        Image {
            version: 0,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            by_id: HashMap::new(),
            configs: BTreeMap::new(),
            features: BTreeMap::new(),
            next_producer_id: 0,
            next_group: super::GROUP.0 + 1,
            quotas: Quotas::default(),
        }
    }
}

impl Image {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(id).and_then(|name| self.topics.get(name))
    }

    /// What was set on `resource` itself, by name.
    pub fn configs(&self, resource: &Resource) -> Option<&BTreeMap<String, String>> {
        match resource {
            Resource::Topic(id) => self.topic_by_id(id).map(|topic| &topic.configs),
            other => self.configs.get(other).map(|configs| &**configs),
        }
    }

    /// What was set on single groups, by their names.
    pub fn group_configs(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        // Whatever comes behind groups is passed over.
        let groups = self.configs.range(Resource::Group(String::new())..);
        groups.filter_map(|(resource, configs)| match resource {
            Resource::Group(group) => Some((&**group, &**configs)),
            _ => None,
        })
    }

    /// What clients are asked to tell of themselves, by the names of subscriptions.
    pub fn client_metrics(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        let all = self.configs.range(Resource::ClientMetrics(String::new())..);
        all.filter_map(|(resource, configs)| match resource {
            Resource::ClientMetrics(name) => Some((&**name, &**configs)),
            _ => None,
        })
    }

    /// The level that a feature is at.
    pub fn level(&self, feature: &str) -> i16 {
        let recorded = self.features.get(feature).copied();
        recorded.unwrap_or_else(|| features::before(feature))
    }

    pub(super) fn has_features(&self) -> bool {
        !self.features.is_empty()
    }

    fn change_features(&mut self, levels: &BTreeMap<String, i32>) -> Result<(), Fault> {
        for (feature, level) in levels {
            let level = i16::try_from(*level)
                .map_err(|_| Fault(format!("feature {feature} is at level {level}")))?;
            self.features.insert(feature.clone(), level);
        }
        Ok(())
    }

    /// A topic whose name differs from `name` in `.` and `_` only: their metrics could not be told apart.
    pub fn colliding(&self, name: &str) -> Option<&str> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let wanted = collision_key(name);
        self.topics
            .keys()
            .find(|other| {
                other.len() == name.len() && *other != name && collision_key(other) == wanted
            })
            .map(String::as_str)
    }

    /// Applies a committed, or a proposed, change.
    pub(super) fn apply(&mut self, index: u64, change: &Change) -> Result<(), Fault> {
        let unknown = || {
            Fault(format!(
                "entry {index} is of a kind that this release does not know"
            ))
        };
        match change.kind.as_ref().ok_or_else(unknown)? {
            Kind::BrokerRegistered(record) => {
                self.brokers
                    .insert(record.id, Arc::new(Broker::of(record)?));
            }
            Kind::TopicCreated(record) => self.insert(Topic::of(record)?),
            Kind::TopicDeleted(record) => {
                if let Some(name) = self.by_id.remove(&id(&record.id)?) {
                    self.topics.remove(&name);
                }
            }
            Kind::PartitionsAdded(record) => {
                let topic = self.topic_by_id(&id(&record.id)?).cloned();
                if let Some(mut topic) = topic {
                    let added = record.partitions.iter().map(Partition::of);
                    Arc::make_mut(&mut topic).partitions.extend(added);
                    self.insert_shared(topic);
                }
            }
            Kind::ConfigsChanged(record) => self.change_configs(record)?,
            Kind::ProducerIdsAllocated(record) => self.next_producer_id = record.next,
            Kind::ReplicasMade(record) => self.mark_made(record)?,
            Kind::ReplicasReplaced(record) => self.replace(record)?,
            Kind::PartitionReassigned(record) => self.reassign(record)?,
            Kind::QuotasChanged(record) => quotas::apply(&mut self.quotas, &record.entities)?,
            Kind::FeaturesChanged(record) => self.change_features(&record.levels)?,
            Kind::BrokerUnregistered(record) => {
                self.brokers.remove(&record.id);
            }
        }
        self.version = index;
        Ok(())
    }

    fn insert(&mut self, topic: Topic) {
        self.insert_shared(Arc::new(topic));
    }

    fn insert_shared(&mut self, topic: Arc<Topic>) {
        let highest = topic
            .partitions
            .iter()
            .map(|partition| partition.group.0)
            .max();
        self.next_group = self.next_group.max(highest.unwrap_or(0) + 1);
        self.by_id.insert(topic.id, topic.name.clone());
        self.topics.insert(topic.name.clone(), topic);
    }

    fn mark_made(&mut self, record: &ReplicasMade) -> Result<(), Fault> {
        self.each_replica(record, |partition, broker| {
            if !partition.made.contains(&broker) {
                partition.made.push(broker);
            }
        })
    }

    fn replace(&mut self, record: &ReplicasMade) -> Result<(), Fault> {
        self.each_replica(record, |partition, broker| {
            let at = partition.replicas.iter().position(|id| *id == broker);
            if let Some(at) = at.filter(|_| partition.made.contains(&broker)) {
                partition.is_original = false;
                partition.last_peer += 1;
                partition.peers[at] = partition.last_peer;
                partition.made.retain(|id| *id != broker);
            }
        })
    }

    fn reassign(&mut self, record: &PartitionReassigned) -> Result<(), Fault> {
        let topic = self.topic_by_id(&id(&record.id)?).cloned();
        if let (Some(mut topic), Some(now)) = (topic, &record.now) {
            let partitions = &mut Arc::make_mut(&mut topic).partitions;
            if let Some(partition) = partitions.get_mut(record.partition as usize) {
                let mut next = Partition::of(now);
                next.made.clone_from(&partition.made);
                next.made.retain(|broker| next.replicas.contains(broker));
                *partition = next;
            }
            self.insert_shared(topic);
        }
        Ok(())
    }

    fn each_replica(
        &mut self,
        record: &ReplicasMade,
        change: impl Fn(&mut Partition, BrokerId),
    ) -> Result<(), Fault> {
        for of in &record.topics {
            // It may have been deleted meanwhile.
            let Some(mut topic) = self.topic_by_id(&id(&of.id)?).cloned() else {
                continue;
            };
            let partitions = &mut Arc::make_mut(&mut topic).partitions;
            for index in &of.partitions {
                if let Some(partition) = partitions.get_mut(*index as usize) {
                    change(partition, record.broker);
                }
            }
            self.insert_shared(topic);
        }
        Ok(())
    }

    fn change_configs(&mut self, record: &ConfigsChanged) -> Result<(), Fault> {
        let change = |configs: &mut BTreeMap<String, String>| {
            for name in &record.removed {
                configs.remove(name);
            }
            configs.extend(record.set.clone());
        };
        let resource = Resource::of(record.resource.as_ref())?;
        if let Resource::Topic(id) = &resource {
            if let Some(mut topic) = self.topic_by_id(id).cloned() {
                change(&mut Arc::make_mut(&mut topic).configs);
                self.insert_shared(topic);
            }
            return Ok(());
        }
        let configs = self.configs.entry(resource.clone()).or_default();
        change(Arc::make_mut(configs));
        if configs.is_empty() {
            self.configs.remove(&resource);
        }
        Ok(())
    }

    pub(super) fn to_snapshot(&self) -> Snapshot {
        let configs = self
            .configs
            .iter()
            .map(|(resource, configs)| ConfigsChanged {
                resource: Some(resource.record()),
                set: (**configs).clone(),
                removed: Vec::new(),
            });
        Snapshot {
            format: Snapshot::FORMAT,
            brokers: self
                .brokers
                .values()
                .map(|broker| broker.record())
                .collect(),
            topics: self.topics.values().map(|topic| topic.record()).collect(),
            configs: configs.collect(),
            next_producer_id: self.next_producer_id,
            next_group: self.next_group,
            version: self.version,
            quotas: quotas::records(&self.quotas),
            features: self
                .features
                .iter()
                .map(|(feature, level)| (feature.clone(), i32::from(*level)))
                .collect(),
        }
    }

    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Result<Image, Fault> {
        if snapshot.format != Snapshot::FORMAT {
            return Err(Fault(format!(
                "the metadata snapshot has format {}, this release reads {}",
                snapshot.format,
                Snapshot::FORMAT
            )));
        }
        let mut image = Image::default();
        for record in &snapshot.brokers {
            image
                .brokers
                .insert(record.id, Arc::new(Broker::of(record)?));
        }
        for record in &snapshot.topics {
            image.insert(Topic::of(record)?);
        }
        for record in &snapshot.configs {
            image.change_configs(record)?;
        }
        image.change_features(&snapshot.features)?;
        image.next_producer_id = snapshot.next_producer_id;
        image.next_group = image.next_group.max(snapshot.next_group);
        image.version = snapshot.version;
        quotas::apply(&mut image.quotas, &snapshot.quotas)?;
        Ok(image)
    }
}

fn id(bytes: &[u8]) -> Result<Uuid, Fault> {
    Uuid::from_slice(bytes)
        .map_err(|_| Fault(format!("a topic id has {} bytes, not 16", bytes.len())))
}

impl Broker {
    fn of(record: &BrokerRecord) -> Result<Broker, Fault> {
        let endpoints = record.endpoints.iter().map(Endpoint::of);
        Ok(Broker {
            id: record.id,
            endpoints: endpoints.collect::<Result<_, Fault>>()?,
            rack: record.rack.clone(),
            peer: record.peer.as_ref().map(Endpoint::of).transpose()?,
            metadata_replica: record.metadata_replica,
        })
    }

    pub(super) fn record(&self) -> BrokerRecord {
        BrokerRecord {
            id: self.id,
            endpoints: self.endpoints.iter().map(Endpoint::record).collect(),
            rack: self.rack.clone(),
            peer: self.peer.as_ref().map(Endpoint::record),
            metadata_replica: self.metadata_replica,
        }
    }

    /// Where a client that came in through `listener` reaches this broker.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }
}

impl Endpoint {
    fn of(record: &EndpointRecord) -> Result<Endpoint, Fault> {
        Ok(Endpoint {
            listener: record.listener.clone(),
            protocol: record.protocol.clone(),
            host: record.host.clone(),
            port: u16::try_from(record.port)
                .map_err(|_| Fault(format!("a broker's port is {}", record.port)))?,
        })
    }

    fn record(&self) -> EndpointRecord {
        EndpointRecord {
            listener: self.listener.clone(),
            protocol: self.protocol.clone(),
            host: self.host.clone(),
            port: self.port.into(),
        }
    }
}

impl Topic {
    pub(super) fn of(record: &TopicRecord) -> Result<Topic, Fault> {
        Ok(Topic {
            id: id(&record.id)?,
            name: record.name.clone(),
            partitions: record.partitions.iter().map(Partition::of).collect(),
            configs: record.configs.clone(),
        })
    }

    fn record(&self) -> TopicRecord {
        TopicRecord {
            id: self.id.as_bytes().to_vec(),
            name: self.name.clone(),
            partitions: self.partitions.iter().map(Partition::record).collect(),
            configs: self.configs.clone(),
        }
    }

    /// Of consumer groups, transactions and share groups: clients may read them, not write to them.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// Whether a topic of this name belongs to the broker itself.
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

impl Partition {
    fn of(record: &PartitionRecord) -> Partition {
        let peers = match record.peers.len() == record.replicas.len() {
            true => record.peers.clone(),
            // Placed by an earlier release.
            false => (1..=record.replicas.len() as PeerId).collect(),
        };
        let largest = peers.iter().copied().max().unwrap_or(0);
        Partition {
            group: GroupId(record.group),
            replicas: record.replicas.clone(),
            peers,
            last_peer: record.last_peer.max(largest),
            adding: record.adding.clone(),
            removing: record.removing.clone(),
            is_original: record.is_original,
            made: record.made.clone(),
        }
    }

    /// Each replica: the raft peer, and the broker that it is on.
    pub fn members(&self) -> impl Iterator<Item = (PeerId, BrokerId)> + '_ {
        let peers = self.peers.iter().copied();
        peers.zip(self.replicas.iter().copied())
    }

    pub fn peer_of(&self, broker: BrokerId) -> Option<PeerId> {
        self.members()
            .find_map(|(peer, of)| (of == broker).then_some(peer))
    }

    pub fn broker_of(&self, peer: PeerId) -> Option<BrokerId> {
        self.members()
            .find_map(|(of, broker)| (of == peer).then_some(broker))
    }

    pub fn is_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas that it is to have in the end.
    pub fn target(&self) -> Vec<BrokerId> {
        let mut target = self.replicas.clone();
        target.retain(|id| !self.removing.contains(id));
        target
    }

    /// The replicas that it had before, and has again when what is under way is given up.
    pub fn before(&self) -> Vec<BrokerId> {
        let mut before = self.replicas.clone();
        before.retain(|id| !self.adding.contains(id));
        before
    }

    /// As it is when its replicas are to be `target`: those that must go stay until the others have all they have.
    pub fn reassigned(&self, target: &[BrokerId]) -> Partition {
        let before = self.before();
        let mut next = Partition {
            replicas: Vec::new(),
            peers: Vec::new(),
            is_original: false,
            ..self.clone()
        };
        for broker in target {
            let peer = self.peer_of(*broker).unwrap_or_else(|| {
                next.last_peer += 1;
                next.last_peer
            });
            next.replicas.push(*broker);
            next.peers.push(peer);
        }
        for (peer, broker) in self.members() {
            if !target.contains(&broker) {
                next.replicas.push(broker);
                next.peers.push(peer);
            }
        }
        let all = next.replicas.iter().copied();
        next.removing = all.clone().filter(|id| !target.contains(id)).collect();
        next.adding = all
            .filter(|id| target.contains(id) && !before.contains(id))
            .collect();
        next
    }

    /// As it is when what was to come is there.
    pub fn settled(&self) -> Partition {
        let stays = |(_, broker): &(PeerId, BrokerId)| !self.removing.contains(broker);
        let (peers, replicas) = self.members().filter(stays).unzip();
        Partition {
            replicas,
            peers,
            adding: Vec::new(),
            removing: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether so many have made their replica that they can elect a leader.
    pub fn has_quorum(&self) -> bool {
        let made = self.replicas.iter().filter(|id| self.made.contains(id));
        made.count() > self.replicas.len() / 2
    }

    pub(super) fn record(&self) -> PartitionRecord {
        PartitionRecord {
            group: self.group.0,
            replicas: self.replicas.clone(),
            made: self.made.clone(),
            peers: self.peers.clone(),
            last_peer: self.last_peer,
            adding: self.adding.clone(),
            removing: self.removing.clone(),
            is_original: self.is_original,
        }
    }
}

impl Resource {
    fn of(record: Option<&ResourceRecord>) -> Result<Resource, Fault> {
        match record {
            Some(ResourceRecord::Topic(bytes)) => Ok(Resource::Topic(id(bytes)?)),
            Some(ResourceRecord::Broker(id)) => Ok(Resource::Broker(*id)),
            Some(ResourceRecord::AllBrokers(_)) => Ok(Resource::AllBrokers),
            Some(ResourceRecord::Group(group)) => Ok(Resource::Group(group.clone())),
            Some(ResourceRecord::ClientMetrics(name)) => Ok(Resource::ClientMetrics(name.clone())),
            None => Err(Fault(
                "settings of a kind of resource that this release does not know".to_owned(),
            )),
        }
    }

    pub(super) fn record(&self) -> ResourceRecord {
        match self {
            Resource::Topic(id) => ResourceRecord::Topic(id.as_bytes().to_vec()),
            Resource::Broker(id) => ResourceRecord::Broker(*id),
            Resource::AllBrokers => ResourceRecord::AllBrokers(true),
            Resource::Group(group) => ResourceRecord::Group(group.clone()),
            Resource::ClientMetrics(name) => ResourceRecord::ClientMetrics(name.clone()),
        }
    }
}
