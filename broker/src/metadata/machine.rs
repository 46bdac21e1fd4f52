//! The replicated state machine: the committed image, and on the leader a second one that counts what it has proposed.

use super::change::{
    BrokerUnregistered, Change, ConfigsChanged, FeaturesChanged, Kind, PartitionReassigned,
    PartitionRecord, PartitionsAdded, ProducerIdsAllocated, ReplicasMade, Snapshot, TopicDeleted,
    TopicRecord, TopicReplicas,
};
use super::command::{Command, NewTopic, Output, Placement, Refusal};
use super::features;
use super::image::{Image, Partition, Resource, Topic};
use super::{BrokerId, PRODUCER_ID_BLOCK, placement, quotas};
use crate::raft::ports::{PeerId, Prepared, StateMachine};
use crate::storage::entry::SnapshotHeader;
use crate::storage::ids::Offset;
use bytes::Bytes;
use prost::Message as _;
use raft::eraftpb::{Entry, EntryType};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// The metadata log of this broker cannot be understood: it must not go on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metadata: {0}")]
pub struct Fault(pub String);

#[derive(Debug)]
pub struct Machine {
    image: watch::Sender<Arc<Image>>,
    /// While this replica leads.
    tail: Option<Tail>,
    pending: Option<Change>,
}

#[derive(Debug)]
struct Tail {
    term: u64,
    image: Image,
}

impl Machine {
    /// Of a cluster that has just been made.
    pub fn new() -> Machine {
        Machine::with(Image::default())
    }

    /// As it was when `row` was its [`StateMachine::snapshot`].
    pub fn from_snapshot_row(row: &[u8]) -> Result<Machine, Fault> {
        decode(row).map(Machine::with)
    }

    fn with(image: Image) -> Machine {
        Machine {
            image: watch::Sender::new(Arc::new(image)),
            tail: None,
            pending: None,
        }
    }

    pub fn watch(&self) -> watch::Receiver<Arc<Image>> {
        self.image.subscribe()
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

/// What `command` would be answered if nothing else changed before it; nothing is done.
pub fn preview(image: &Image, command: Command) -> Result<Output, Refusal> {
    decide(image, command).map(|(_, output)| output)
}

/// What `command` becomes; `None` when it is so already.
fn decide(image: &Image, command: Command) -> Result<(Option<Kind>, Output), Refusal> {
    match command {
        Command::RegisterBroker(broker) => {
            let known = image
                .brokers
                .get(&broker.id)
                .is_some_and(|known| **known == broker);
            let change = (!known).then(|| Kind::BrokerRegistered(broker.record()));
            Ok((change, Output::Done))
        }
        Command::UnregisterBroker(id) => {
            if !image.brokers.contains_key(&id) {
                return Err(Refusal::UnknownBroker(id));
            }
            let change = Kind::BrokerUnregistered(BrokerUnregistered { id });
            Ok((Some(change), Output::Done))
        }
        Command::BeginFeatures => {
            let levels = features::first(image.brokers.is_empty());
            let change = Kind::FeaturesChanged(FeaturesChanged { levels });
            Ok(((!image.has_features()).then_some(change), Output::Done))
        }
        Command::UpdateFeatures {
            controller,
            updates,
        } => {
            let levels = features::update(image, controller, &updates).map_err(Refusal::Feature)?;
            let is_change = !levels.is_empty();
            let change = Kind::FeaturesChanged(FeaturesChanged { levels });
            Ok((is_change.then_some(change), Output::Done))
        }
        Command::CreateTopic(new) => {
            // Who asks a second time may have lost the answer with the leader that gave it.
            if let Some(made) = image.topic_by_id(&new.id) {
                return Ok((None, Output::Topic(made.clone())));
            }
            let record = create_topic(image, new)?;
            let topic = Topic::of(&record).map_err(|Fault(why)| Refusal::InvalidPartitions(why))?;
            Ok((
                Some(Kind::TopicCreated(record)),
                Output::Topic(Arc::new(topic)),
            ))
        }
        Command::DeleteTopic(id) => {
            let topic = image.topic_by_id(&id).ok_or(Refusal::UnknownTopic)?;
            let id = id.as_bytes().to_vec();
            Ok((
                Some(Kind::TopicDeleted(TopicDeleted { id })),
                Output::Topic(topic.clone()),
            ))
        }
        Command::AddPartitions {
            id,
            total,
            placement,
        } => {
            let topic = image.topic_by_id(&id).ok_or(Refusal::UnknownTopic)?;
            let partitions = add_partitions(image, topic, total, placement)?;
            let added = PartitionsAdded {
                id: id.as_bytes().to_vec(),
                partitions,
            };
            Ok((Some(Kind::PartitionsAdded(added)), Output::Done))
        }
        Command::ChangeConfigs { resource, changes } => change_configs(image, &resource, changes),
        Command::MarkMade { broker, topics } => {
            let made = Kind::ReplicasMade(replicas_on(broker, topics));
            Ok((Some(made), Output::Done))
        }
        Command::ReplaceReplicas { broker, topics } => {
            let replaced = Kind::ReplicasReplaced(replicas_on(broker, topics));
            Ok((Some(replaced), Output::Done))
        }
        Command::Reassign {
            id,
            partition,
            replicas,
        } => {
            let now = partition_of(image, &id, partition)?;
            let target = match replicas {
                Some(target) => {
                    placement::check_one(image, &target)?;
                    target
                }
                // What only loses replicas is not given up: some may be gone.
                None if !now.adding.is_empty() => now.before(),
                None => return Err(Refusal::NoReassignment),
            };
            let next = now.reassigned(&target);
            let is_change = next.replicas != now.replicas
                || next.is_reassigned() != now.is_reassigned()
                || next.adding != now.adding
                || next.removing != now.removing;
            Ok((
                is_change.then(|| reassigned(id, partition, &next)),
                Output::Done,
            ))
        }
        Command::EndReassignment {
            id,
            partition,
            peers,
        } => {
            let now = partition_of(image, &id, partition)?;
            let next = now.settled();
            // It may have been changed again meanwhile.
            let is_it = now.is_reassigned() && next.peers == peers;
            Ok((
                is_it.then(|| reassigned(id, partition, &next)),
                Output::Done,
            ))
        }
        Command::AllocateProducerIds => {
            let first = image.next_producer_id;
            let next = first
                .checked_add(PRODUCER_ID_BLOCK)
                .ok_or(Refusal::ProducerIdsExhausted)?;
            let change = Kind::ProducerIdsAllocated(ProducerIdsAllocated { next });
            Ok((Some(change), Output::ProducerIds(first)))
        }
        Command::ChangeQuotas(alterations) => {
            let changed = quotas::decide(&image.quotas, alterations);
            Ok((changed.map(Kind::QuotasChanged), Output::Done))
        }
    }
}

fn partition_of<'a>(image: &'a Image, id: &Uuid, partition: u32) -> Result<&'a Partition, Refusal> {
    let topic = image.topic_by_id(id).ok_or(Refusal::UnknownTopic)?;
    let partition = topic.partitions.get(partition as usize);
    partition.ok_or(Refusal::UnknownTopic)
}

fn reassigned(id: Uuid, partition: u32, next: &Partition) -> Kind {
    Kind::PartitionReassigned(PartitionReassigned {
        id: id.as_bytes().to_vec(),
        partition,
        now: Some(next.record()),
    })
}

fn replicas_on(broker: BrokerId, topics: BTreeMap<Uuid, Vec<u32>>) -> ReplicasMade {
    let topics = topics.into_iter().map(|(id, partitions)| TopicReplicas {
        id: id.as_bytes().to_vec(),
        partitions,
    });
    let topics = topics.collect();
    ReplicasMade { broker, topics }
}

fn create_topic(image: &Image, new: NewTopic) -> Result<TopicRecord, Refusal> {
    if image.topics.contains_key(&new.name) {
        return Err(Refusal::TopicExists(new.name));
    }
    if let Some(other) = image.colliding(&new.name) {
        let other = other.to_owned();
        return Err(Refusal::TopicCollides {
            name: new.name,
            other,
        });
    }
    if new.partitions == 0 {
        let why = "Number of partitions must be larger than 0.";
        return Err(Refusal::InvalidPartitions(why.to_owned()));
    }
    let replicas = replicas_of(image, 0, new.partitions, new.placement, None)?;
    Ok(TopicRecord {
        id: new.id.as_bytes().to_vec(),
        name: new.name,
        partitions: number(image, replicas),
        configs: new.configs,
    })
}

fn add_partitions(
    image: &Image,
    topic: &Topic,
    total: u32,
    placement: Placement,
) -> Result<Vec<PartitionRecord>, Refusal> {
    let there = topic.partitions.len() as u32;
    if total < there {
        return Err(Refusal::InvalidPartitions(format!(
            "The topic {} currently has {there} partition(s); {total} would not be an increase.",
            topic.name
        )));
    }
    if total == there {
        return Err(Refusal::InvalidPartitions(format!(
            "Topic already has {there} partition(s)."
        )));
    }
    let as_before = topic.partitions.first().map(|first| first.replicas.len());
    let replicas = replicas_of(image, there, total - there, placement, as_before)?;
    Ok(number(image, replicas))
}

fn replicas_of(
    image: &Image,
    first: u32,
    count: u32,
    placement: Placement,
    as_before: Option<usize>,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let (first, count) = (first as usize, count as usize);
    match placement {
        Placement::Automatic { replicas, seed } => Ok(placement::place(
            image,
            first,
            count,
            replicas.into(),
            seed,
        )?),
        Placement::Manual(replicas) => {
            if replicas.len() != count {
                return Err(placement::Refusal::Assignment(format!(
                    "Attempted to add {count} additional partition(s), but only {} assignment(s) were specified.",
                    replicas.len()
                ))
                .into());
            }
            placement::check(image, &replicas, as_before)?;
            Ok(replicas)
        }
    }
}

fn number(image: &Image, replicas: Vec<Vec<BrokerId>>) -> Vec<PartitionRecord> {
    replicas
        .into_iter()
        .zip(image.next_group..)
        .map(|(replicas, group)| PartitionRecord {
            group,
            peers: (1..=replicas.len() as PeerId).collect(),
            last_peer: replicas.len() as PeerId,
            is_original: true,
            adding: Vec::new(),
            removing: Vec::new(),
            replicas,
            made: Vec::new(),
        })
        .collect()
}

fn change_configs(
    image: &Image,
    resource: &Resource,
    changes: BTreeMap<String, Option<String>>,
) -> Result<(Option<Kind>, Output), Refusal> {
    if let Resource::Topic(id) = resource {
        image.topic_by_id(id).ok_or(Refusal::UnknownTopic)?;
    }
    let none = BTreeMap::new();
    let now = image.configs(resource).unwrap_or(&none);
    let mut record = ConfigsChanged {
        resource: Some(resource.record()),
        ..Default::default()
    };
    for (name, value) in changes {
        match value {
            Some(value) if now.get(&name) != Some(&value) => {
                record.set.insert(name, value);
            }
            None if now.contains_key(&name) => record.removed.push(name),
            _ => {}
        }
    }
    let is_change = !record.set.is_empty() || !record.removed.is_empty();
    Ok((
        is_change.then_some(Kind::ConfigsChanged(record)),
        Output::Done,
    ))
}

fn decode(row: &[u8]) -> Result<Image, Fault> {
    let body = row
        .get(SnapshotHeader::LEN..)
        .ok_or_else(|| Fault(format!("a snapshot has {} bytes", row.len())))?;
    let snapshot = Snapshot::decode(body)
        .map_err(|error| Fault(format!("the snapshot cannot be decoded: {error}")))?;
    Image::from_snapshot(&snapshot)
}

fn change_of(entry: &Entry) -> Result<Option<Change>, Fault> {
    if entry.get_entry_type() != EntryType::EntryNormal || entry.data.is_empty() {
        return Ok(None);
    }
    Change::decode(&*entry.data)
        .map(Some)
        .map_err(|error| Fault(format!("entry {} cannot be decoded: {error}", entry.index)))
}

impl StateMachine for Machine {
    type Command = Command;
    type Output = Output;
    type Refusal = Refusal;
    type Fault = Fault;

    fn prepare(&mut self, term: u64, command: Command) -> Result<Prepared<Output>, Refusal> {
        self.pending = None;
        let tail = self
            .tail
            .as_ref()
            .filter(|tail| tail.term == term)
            .ok_or(Refusal::NotLeader { term })?;
        let (kind, output) = decide(&tail.image, command)?;
        let Some(kind) = kind else {
            // It may be so because of a change that is not committed yet: wait for that.
            let index = tail.image.version;
            return Ok(Prepared::After { index, output });
        };
        let change = Change { kind: Some(kind) };
        let data = Bytes::from(change.encode_to_vec());
        self.pending = Some(change);
        Ok(Prepared::Entry {
            context: Bytes::new(),
            data,
            output,
        })
    }

    fn proposed(&mut self, _term: u64, index: u64) {
        let (Some(tail), Some(change)) = (&mut self.tail, self.pending.take()) else {
            debug_assert!(false, "an entry at {index} was proposed, but none prepared");
            return;
        };
        // Made by `decide` from this very image.
        let applied = tail.image.apply(index, &change);
        debug_assert!(applied.is_ok(), "{applied:?}");
    }

    fn lead(&mut self, term: u64, unapplied: &[Entry]) {
        let mut image = (**self.image.borrow()).clone();
        for entry in unapplied {
            let applied = change_of(entry).and_then(|change| match change {
                Some(change) => image.apply(entry.index, &change),
                None => Ok(()),
            });
            if applied.is_err() {
                // A fault once it is applied; until then this leader accepts nothing.
                self.tail = None;
                return;
            }
        }
        self.pending = None;
        self.tail = Some(Tail { term, image });
    }

    fn follow(&mut self, _term: u64, _leader: PeerId) {
        self.tail = None;
        self.pending = None;
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), Fault> {
        let Some(change) = change_of(entry)? else {
            return Ok(());
        };
        let mut applied = Ok(());
        // Copies the image's maps only when somebody is reading it at this moment.
        self.image
            .send_modify(|image| applied = Arc::make_mut(image).apply(entry.index, &change));
        applied
    }

    fn persisted(&mut self, _index: u64) {}

    fn snapshot(&mut self) -> Result<Bytes, Fault> {
        let header = SnapshotHeader {
            next_offset: Offset(0),
            log_start: Offset(0),
        };
        let mut out = header.encode().to_vec();
        let encoded = self.image.borrow().to_snapshot().encode(&mut out);
        encoded.map_err(|error| Fault(error.to_string()))?;
        Ok(out.into())
    }

    fn restore(&mut self, snapshot: &raft::eraftpb::Snapshot) -> Result<(), Fault> {
        let image = decode(&snapshot.data)?;
        self.tail = None;
        self.pending = None;
        self.image.send_replace(Arc::new(image));
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
