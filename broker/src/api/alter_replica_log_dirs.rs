//! AlterReplicaLogDirs: in which directory of this broker a replica is to lie (KIP-113). The answer says whether it goes there; it
//! does so in the background, and DescribeLogDirs tells how far it is. The directory that it is in ends a move.

use super::{Broker, Call, Reply, code, text};
use crate::replicas::Hosting;
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use millrace_wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub async fn handle(
    call: &Call,
    request: AlterReplicaLogDirsRequest,
) -> Reply<AlterReplicaLogDirsResponse> {
    // Of a replica that is sent to two directories the last counts, as in Kafka.
    let mut wanted: BTreeMap<String, BTreeMap<i32, String>> = BTreeMap::new();
    for directory in &request.dirs {
        for topic in &directory.topics {
            let of_topic = wanted.entry(topic.name.to_string()).or_default();
            let partitions = topic.partitions.iter();
            of_topic.extend(partitions.map(|index| (*index, directory.path.to_string())));
        }
    }
    let broker = call.broker.clone();
    // A move that is to end is waited for.
    let work = tokio::task::spawn_blocking(move || place_all(&broker, wanted));
    let mut response = AlterReplicaLogDirsResponse::default();
    match work.await {
        Ok(results) => response.results = results,
        Err(error) => tracing::error!(%error, "cannot move replicas"),
    }
    Reply::Answer(response)
}

fn place_all(
    broker: &Broker,
    wanted: BTreeMap<String, BTreeMap<i32, String>>,
) -> Vec<AlterReplicaLogDirTopicResult> {
    let places = Places::now(broker);
    let hosting = broker.replicas.hosting();
    let of_topic = |(topic, partitions): (String, BTreeMap<i32, String>)| {
        let place = |(index, path): (i32, String)| {
            let mut result = AlterReplicaLogDirPartitionResult::default();
            result.partition_index = index;
            if let Err(error) = place(broker, &hosting, &places, &topic, index, &path) {
                tracing::info!(
                    topic,
                    index,
                    path,
                    error = error.name(),
                    "a replica stays where it is"
                );
                result.error_code = code(error);
            }
            result
        };
        let mut result = AlterReplicaLogDirTopicResult::default();
        result.partitions = partitions.into_iter().map(place).collect();
        result.topic_name = TopicName(text(topic));
        result
    };
    wanted.into_iter().map(of_topic).collect()
}

/// The directories of this broker: as clients name them, as the engine does, and whether they can be written to.
struct Places(Vec<(PathBuf, String, bool)>);

impl Places {
    fn now(broker: &Broker) -> Places {
        let open = broker.replicas.engine().directories();
        let place = |path: &PathBuf| {
            let name = path.display().to_string();
            let is_online = open
                .iter()
                .any(|directory| directory.path == name && !directory.has_failed);
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            (absolute, name, is_online)
        };
        Places(broker.started_with.log_dirs.iter().map(place).collect())
    }

    /// The engine's name of a directory that a client names.
    fn find(&self, path: &str) -> Result<&str, ErrorCode> {
        let path = Path::new(path);
        let found = self.0.iter().find(|(absolute, ..)| absolute == path);
        match found {
            Some((_, name, true)) => Ok(name),
            Some((_, _, false)) => Err(ErrorCode::KafkaStorageError),
            None => Err(ErrorCode::LogDirNotFound),
        }
    }
}

fn place(
    broker: &Broker,
    hosting: &Hosting,
    places: &Places,
    topic: &str,
    index: i32,
    path: &str,
) -> Result<(), ErrorCode> {
    let wanted = places.find(path)?;
    let topic = hosting.topic(topic).filter(|topic| topic.has(index));
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    // As Kafka says it here still, for clients that know no other word for it.
    let replica = topic
        .partition(index)
        .ok_or(ErrorCode::ReplicaNotAvailable)?;
    if replica.is_offline() {
        return Err(ErrorCode::KafkaStorageError);
    }
    let engine = broker.replicas.engine();
    engine.move_to(replica.group(), wanted).map_err(|error| {
        tracing::info!(%error, "a replica cannot be moved");
        ErrorCode::ReplicaNotAvailable
    })
}
