//! The changes of the metadata as JSON, in the shape of Kafka's `kafka-dump-log --cluster-metadata-decoder`.

use millrace_broker::metadata::change::{
    BrokerRecord, Change, ConfigsChanged, EndpointRecord, Kind, PartitionRecord, ResourceRecord,
    Snapshot, TopicReplicas,
};
use millrace_broker::metadata::{EntityQuotas, QuotaNameRecord};
use millrace_broker::storage::entry::SnapshotHeader;
use millrace_wire::uuid::{self, Uuid};
use prost::Message as _;
use raft::eraftpb::{Entry, EntryType};
use serde_json::{Value, json};

/// The image in the metadata group's row.
pub fn snapshot(machine: &[u8]) -> Option<Snapshot> {
    Snapshot::decode(machine.get(SnapshotHeader::LEN..)?).ok()
}

/// The change in an entry of the metadata's log; `None` for what is none.
pub fn change(entry: &Entry) -> Option<Change> {
    let is_change = entry.entry_type == EntryType::EntryNormal && !entry.data.is_empty();
    is_change.then(|| Change::decode(&*entry.data).ok())?
}

/// `{"type":"TopicCreated","data":{...}}`
pub fn to_json(change: &Change) -> Value {
    let Some(kind) = &change.kind else {
        return json!({ "type": "Unknown" });
    };
    let (name, data) = match kind {
        Kind::BrokerRegistered(record) => ("BrokerRegistered", broker(record)),
        Kind::TopicCreated(record) => (
            "TopicCreated",
            json!({
                "name": record.name,
                "topicId": id(&record.id),
                "partitions": partitions(&record.partitions),
                "configs": record.configs,
            }),
        ),
        Kind::TopicDeleted(record) => ("TopicDeleted", json!({ "topicId": id(&record.id) })),
        Kind::PartitionsAdded(record) => (
            "PartitionsAdded",
            json!({ "topicId": id(&record.id), "partitions": partitions(&record.partitions) }),
        ),
        Kind::ConfigsChanged(record) => ("ConfigsChanged", configs(record)),
        Kind::ProducerIdsAllocated(record) => (
            "ProducerIdsAllocated",
            json!({ "nextProducerId": record.next }),
        ),
        Kind::ReplicasMade(record) => (
            "ReplicasMade",
            json!({
                "brokerId": record.broker,
                "topics": record.topics.iter().map(made).collect::<Vec<_>>(),
            }),
        ),
        Kind::ReplicasReplaced(record) => (
            "ReplicasReplaced",
            json!({
                "brokerId": record.broker,
                "topics": record.topics.iter().map(made).collect::<Vec<_>>(),
            }),
        ),
        Kind::PartitionReassigned(record) => (
            "PartitionReassigned",
            json!({
                "topicId": id(&record.id),
                "partition": record.partition,
                "now": partitions(record.now.as_slice()),
            }),
        ),
        Kind::QuotasChanged(record) => (
            "QuotasChanged",
            json!({ "quotas": record.entities.iter().map(quotas).collect::<Vec<_>>() }),
        ),
        Kind::FeaturesChanged(record) => ("FeaturesChanged", json!({ "levels": record.levels })),
        Kind::BrokerUnregistered(record) => {
            ("BrokerUnregistered", json!({ "brokerId": record.id }))
        }
    };
    json!({ "type": name, "data": data })
}

fn broker(record: &BrokerRecord) -> Value {
    let endpoint = |endpoint: &EndpointRecord| {
        json!({
            "name": endpoint.listener,
            "securityProtocol": endpoint.protocol,
            "host": endpoint.host,
            "port": endpoint.port,
        })
    };
    json!({
        "brokerId": record.id,
        "endPoints": record.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "rack": record.rack,
    })
}

fn partitions(records: &[PartitionRecord]) -> Vec<Value> {
    let partition = |record: &PartitionRecord| json!({ "group": record.group, "replicas": record.replicas, "peers": record.peers, "adding": record.adding, "removing": record.removing, "made": record.made });
    records.iter().map(partition).collect()
}

fn configs(record: &ConfigsChanged) -> Value {
    let resource = match &record.resource {
        Some(ResourceRecord::Topic(bytes)) => json!({ "topicId": id(bytes) }),
        Some(ResourceRecord::Broker(broker)) => json!({ "brokerId": broker }),
        Some(ResourceRecord::AllBrokers(_)) => json!({ "brokerId": "" }),
        Some(ResourceRecord::Group(group)) => json!({ "group": group }),
        Some(ResourceRecord::ClientMetrics(name)) => json!({ "clientMetrics": name }),
        None => Value::Null,
    };
    json!({ "resource": resource, "set": record.set, "removed": record.removed })
}

fn quotas(record: &EntityQuotas) -> Value {
    let kinds = [
        ("user", &record.user),
        ("client-id", &record.client_id),
        ("ip", &record.ip),
    ];
    let part = |(kind, name): (&str, &Option<QuotaNameRecord>)| {
        let name = name.as_ref()?;
        Some(json!({ "entityType": kind, "entityName": name.name }))
    };
    let entity: Vec<Value> = kinds.into_iter().filter_map(part).collect();
    json!({ "entity": entity, "set": record.set, "removed": record.removed })
}

fn made(topic: &TopicReplicas) -> Value {
    json!({ "topicId": id(&topic.id), "partitions": topic.partitions })
}

fn id(bytes: &[u8]) -> String {
    match Uuid::from_slice(bytes) {
        Ok(uuid) => uuid::to_text(uuid),
        Err(_) => format!("{bytes:02x?}"),
    }
}
