//! Finding topics and partitions for requests, and making topics.

use super::Call;
use super::broker::Broker;
use super::refusal::Refused;
use crate::config::topic_name;
use crate::engine;
use crate::metadata::{Command, NewTopic, Output, Placement, Topic};
use crate::partition::Positions;
use crate::replicas::{HostedTopic, Hosting};
use millrace_wire::ErrorCode;
use millrace_wire::uuid::{self, Uuid};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long who made a topic waits for its replicas. They come without him, too.
pub const REPLICAS_PATIENCE: Duration = Duration::from_secs(10);

/// And how long, at most, for them to be led.
const LEADERS_PATIENCE: Duration = Duration::from_millis(250);

/// How many partitions one request may make, as in Kafka.
pub const MAX_PARTITIONS_PER_REQUEST: u64 = 10_000;

/// A partition that is led here, as of the moment it was looked at.
pub struct Led {
    pub topic: Arc<HostedTopic>,
    pub handle: engine::Handle,
    pub positions: Positions,
}

impl Led {
    pub fn epoch(&self) -> i32 {
        epoch(&self.positions)
    }
}

/// The leader epoch as of the moment `positions` were looked at.
pub fn epoch(positions: &Positions) -> i32 {
    positions.leader_epoch()
}

/// A topic as a request names it: by id from some version on, by name before.
pub fn find<'a>(
    hosting: &'a Hosting,
    name: &str,
    id: &Uuid,
    by_id: bool,
) -> Result<&'a Arc<HostedTopic>, ErrorCode> {
    match by_id {
        true => hosting.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId),
        false => hosting
            .topic(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition),
    }
}

/// The partition, if it is led here and the client knows no other leader than the present one (KIP-320). `epoch` is -1 when
/// the client does not say.
pub fn led(topic: &Arc<HostedTopic>, partition: i32, client_epoch: i32) -> Result<Led, ErrorCode> {
    if !topic.has(partition) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let handle = topic
        .partition(partition)
        .ok_or(ErrorCode::NotLeaderOrFollower)?;
    let positions = handle.positions();
    let current = epoch(&positions);
    if client_epoch >= 0 && client_epoch < current {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if client_epoch > current {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    if handle.fault().is_some() {
        return Err(ErrorCode::KafkaStorageError);
    }
    if !positions.leads() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(Led {
        topic: topic.clone(),
        handle: handle.clone(),
        positions,
    })
}

/// Which other broker leads a partition, and in which epoch, as far as this one has heard.
pub fn leader_elsewhere(call: &Call, topic: &HostedTopic, partition: i32) -> Option<(i32, i32)> {
    let index = usize::try_from(partition).ok()?;
    let group = topic.topic.partitions.get(index)?.group;
    let cluster = call.broker.replicas.cluster();
    let lead = cluster.leaders().of(group)?;
    let is_other = lead.broker != cluster.me() && cluster.is_up(lead.broker);
    is_other.then(|| (lead.broker, lead.epoch()))
}

/// What occurs more than once.
pub fn repeated<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for item in items {
        if let Some(item) = seen.replace(item) {
            twice.insert(item);
        }
    }
    twice
}

impl Broker {
    /// Makes a topic with the broker's defaults, as Metadata does by setting.
    pub async fn auto_create(&self, name: &str) -> Result<Arc<Topic>, Refused> {
        let config = self.config();
        let new = NewTopic {
            name: name.to_owned(),
            id: uuid::random(),
            partitions: u32::try_from(config.num_partitions).unwrap_or(1),
            placement: Placement::Automatic {
                replicas: u16::try_from(config.default_replication_factor).unwrap_or(1),
                seed: uuid::random().as_u128() as u64,
            },
            configs: Default::default(),
        };
        self.create(new).await
    }

    /// Makes a topic whose name and settings were checked, and waits for its replicas here.
    pub async fn create(&self, new: NewTopic) -> Result<Arc<Topic>, Refused> {
        topic_name::check(&new.name)
            .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
        match self.metadata.submit(Command::CreateTopic(new)).await? {
            Output::Topic(topic) => {
                self.await_replicas().await;
                Ok(topic)
            }
            Output::Done | Output::ProducerIds(_) => Err(ErrorCode::UnknownServerError.into()),
        }
    }

    /// Returns when this broker's replicas are as the metadata now says, or when that takes too long.
    pub async fn await_replicas(&self) {
        self.await_replicas_until(Instant::now() + REPLICAS_PATIENCE)
            .await;
    }

    /// The same for a client that waits until `deadline`.
    pub async fn await_replicas_until(&self, deadline: Instant) {
        let version = self.metadata.image().version;
        let deadline = deadline.min(Instant::now() + REPLICAS_PATIENCE);
        let caught_up = self.replicas.caught_up(version);
        if tokio::time::timeout_at(deadline, caught_up).await.is_err() {
            tracing::warn!("replicas are not made or deleted yet; that goes on");
        }
        // Most clients write to a topic as soon as they are told of it.
        let deadline = deadline.min(Instant::now() + LEADERS_PATIENCE);
        self.replicas.settled(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurs_more_than_once_is_found_once() {
        let twice = repeated(["a", "b", "a", "c", "a", "b"].into_iter());
        assert_eq!(twice, BTreeSet::from(["a", "b"]));
    }
}
