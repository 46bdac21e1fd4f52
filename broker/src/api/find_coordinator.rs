//! FindCoordinator: which broker coordinates a group, a transaction or a share group's partition. Transactions and share groups
//! have none yet.

use super::broker::Broker;
use super::refusal::Refused;
use super::topics;
use super::{Call, Reply, code, text};
use crate::group::{OFFSETS_TOPIC, placement};
use crate::metadata::{NewTopic, Placement};
use crate::replicas::HostedTopic;
use millrace_wire::messages::find_coordinator_response::Coordinator;
use millrace_wire::messages::metadata_response::MetadataResponseBroker;
use millrace_wire::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, StrBytes,
};
use millrace_wire::{ErrorCode, uuid};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// From here on a request asks for many keys (KIP-699).
const BATCHED: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
const SHARE_SINCE: i16 = 6;

/// How long a client is kept waiting for its coordinator to lead, and how often that is looked at.
const LED_PATIENCE: Duration = Duration::from_secs(2);
const LOOKING: Duration = Duration::from_millis(2);

/// No broker: an id and a port of -1, and no host.
const NOBODY: i32 = -1;

pub async fn handle(
    call: &Call,
    request: FindCoordinatorRequest,
) -> Reply<FindCoordinatorResponse> {
    let mut response = FindCoordinatorResponse::default();
    match call.version {
        BATCHED.. => {
            for key in request.coordinator_keys {
                let found = find(call, request.key_type, &key).await;
                response.coordinators.push(coordinator(key, found));
            }
        }
        _ => {
            let found = find(call, request.key_type, &request.key).await;
            let found = coordinator(request.key, found);
            response.error_code = found.error_code;
            response.error_message = found.error_message;
            response.node_id = found.node_id;
            response.host = found.host;
            response.port = found.port;
        }
    }
    Reply::Answer(response)
}

fn coordinator(key: StrBytes, found: Result<MetadataResponseBroker, Refused>) -> Coordinator {
    let mut coordinator = Coordinator::default();
    coordinator.key = key;
    match found {
        Ok(broker) => {
            coordinator.node_id = broker.node_id;
            coordinator.host = broker.host;
            coordinator.port = broker.port;
            coordinator.error_message = Some(text(ErrorCode::None.message()));
        }
        Err(refused) => {
            coordinator.node_id = BrokerId(NOBODY);
            coordinator.port = NOBODY;
            coordinator.error_code = code(refused.code);
            coordinator.error_message = Some(text(refused.message));
        }
    }
    coordinator
}

async fn find(call: &Call, key_type: i8, key: &str) -> Result<MetadataResponseBroker, Refused> {
    check(key_type, key, call.version)?;
    // Clients would ask again for ever if there were merely none just now.
    let not_served = |what| Err(Refused::new(ErrorCode::UnsupportedVersion, what));
    match key_type {
        GROUP => {}
        TRANSACTION => return not_served("transactions are not served yet"),
        _ => return not_served("share groups are not served yet"),
    }
    let topic = offsets_topic(&call.broker).await?;
    let partition = placement::partition_of(key, topic.partitions.len());
    // Somebody will lead soon, where the topic was just made.
    let deadline = Instant::now() + LED_PATIENCE;
    let leader = loop {
        if let Some(leader) = leader(&call.broker, &topic, partition) {
            break leader;
        }
        if Instant::now() >= deadline {
            return Err(ErrorCode::CoordinatorNotAvailable.into());
        }
        tokio::time::sleep(LOOKING).await;
    };
    let brokers = super::metadata::brokers(call);
    let mut brokers = brokers.into_iter();
    brokers
        .find(|broker| broker.node_id.0 == leader)
        .ok_or(ErrorCode::CoordinatorNotAvailable.into())
}

/// Which broker leads a partition, as far as this one knows.
fn leader(broker: &Broker, topic: &Arc<HostedTopic>, partition: i32) -> Option<i32> {
    if topics::led(topic, partition, -1).is_ok() {
        return Some(broker.id());
    }
    let cluster = broker.replicas.cluster();
    let group = topic
        .topic
        .partitions
        .get(usize::try_from(partition).ok()?)?;
    let told = cluster.leaders().of(group.group)?;
    (told.broker != broker.id() && cluster.is_up(told.broker)).then_some(told.broker)
}

/// Made when somebody first asks for a group.
async fn offsets_topic(broker: &Broker) -> Result<Arc<HostedTopic>, ErrorCode> {
    let here = || broker.replicas.hosting().topic(OFFSETS_TOPIC).cloned();
    if let Some(topic) = here() {
        return Ok(topic);
    }
    let config = broker.config();
    // A cluster that has just begun waits for its brokers; one alone does what it can.
    let brokers = broker.metadata.image().brokers.len();
    let brokers = brokers.max(broker.replicas.cluster().expected());
    let replicas = u16::try_from(config.offsets_topic_replication_factor).unwrap_or(1);
    let settings = [
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let new = NewTopic {
        name: OFFSETS_TOPIC.to_owned(),
        id: uuid::random(),
        partitions: u32::try_from(config.offsets_topic_num_partitions).unwrap_or(1),
        placement: Placement::Automatic {
            replicas: replicas
                .min(u16::try_from(brokers).unwrap_or(u16::MAX))
                .max(1),
            seed: uuid::random().as_u128() as u64,
        },
        configs: BTreeMap::from(settings),
    };
    match broker.create(new).await {
        Ok(topic) => tracing::info!(
            partitions = topic.partitions.len(),
            "{OFFSETS_TOPIC} made because a client asked for a group"
        ),
        // Another request may have made it meanwhile.
        Err(refused) if refused.code == ErrorCode::TopicAlreadyExists => {
            broker.await_replicas().await;
        }
        Err(refused) => {
            tracing::warn!(reason = refused.message, "cannot make {OFFSETS_TOPIC}");
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
    }
    here().ok_or(ErrorCode::CoordinatorNotAvailable)
}

/// Whether it is a key that can have a coordinator.
fn check(key_type: i8, key: &str, version: i16) -> Result<(), ErrorCode> {
    match key_type {
        GROUP | TRANSACTION => Ok(()),
        SHARE if version >= SHARE_SINCE && is_share_key(key) => Ok(()),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

/// `group:topicId:partition`; the group may hold colons itself.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let (partition, topic, group) = (parts.next(), parts.next(), parts.next());
    let is_partition = partition.is_some_and(|text| text.parse::<i32>().is_ok());
    let is_id = topic.is_some_and(|text| text.len() == 22);
    is_partition && is_id && group.is_some_and(|group| !group.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_share_group_names_group_topic_and_partition() {
        assert!(is_share_key("g:AAAAAAAAAAAAAAAAAAAAAQ:0"));
        assert!(is_share_key("a:b:AAAAAAAAAAAAAAAAAAAAAQ:12"));
        for bad in [
            "",
            "g",
            "g:0",
            "g:topic:0",
            ":AAAAAAAAAAAAAAAAAAAAAQ:0",
            "g:AAAAAAAAAAAAAAAAAAAAAQ:x",
        ] {
            assert!(!is_share_key(bad), "{bad}");
        }
    }

    #[test]
    fn share_groups_are_known_since_version_6() {
        let key = "g:AAAAAAAAAAAAAAAAAAAAAQ:0";
        assert_eq!(check(SHARE, key, 5), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(SHARE, key, 6), Ok(()));
        assert_eq!(check(3, key, 6), Err(ErrorCode::InvalidRequest));
    }
}
