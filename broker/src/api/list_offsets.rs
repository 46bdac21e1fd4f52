//! ListOffsets: offsets by timestamp, and by the timestamps below zero that stand for special ones.

use super::refusal::Refused;
use super::topics::{self, Led};
use super::{Call, Reply, code};
use crate::engine::ReadError;
use crate::partition::Mark;
use crate::storage::ids::Offset;
use millrace_wire::ErrorCode;
use millrace_wire::messages::list_offsets_request::ListOffsetsPartition;
use millrace_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use millrace_wire::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The first version that knows each of them.
const SPECIAL_SINCE: [(i64, i16); 4] = [
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LATEST_TIERED, 9),
    (EARLIEST_PENDING_UPLOAD, 11),
];

const READ_COMMITTED: i8 = 1;

/// The first version whose answer has a leader epoch.
const WITH_EPOCH: i16 = 4;

/// A position and how it was found.
struct Found {
    offset: i64,
    timestamp_ms: i64,
    leader_epoch: i32,
}

/// No record is like that.
const NOTHING: Found = Found {
    offset: -1,
    timestamp_ms: -1,
    leader_epoch: -1,
};

pub async fn handle(call: &Call, request: ListOffsetsRequest) -> Reply<ListOffsetsResponse> {
    let hosting = call.broker.replicas.hosting();
    let mark = match request.isolation_level {
        READ_COMMITTED => Mark::LastStable,
        _ => Mark::HighWatermark,
    };
    let mut response = ListOffsetsResponse::default();
    for topic in request.topics {
        let found = topics::find(&hosting, &topic.name, &Default::default(), false);
        let mut answer = ListOffsetsTopicResponse::default();
        for partition in &topic.partitions {
            let led = found.and_then(|topic| {
                topics::led(
                    topic,
                    partition.partition_index,
                    partition.current_leader_epoch,
                )
            });
            let result = match led {
                Ok(led) => find(led, partition.timestamp, mark, call.version).await,
                Err(error) => Err(error.into()),
            };
            answer
                .partitions
                .push(entry(&topic.name, partition, result, call.version));
        }
        answer.name = topic.name;
        response.topics.push(answer);
    }
    Reply::Answer(response)
}

fn entry(
    topic: &TopicName,
    partition: &ListOffsetsPartition,
    result: Result<Found, Refused>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let mut entry = ListOffsetsPartitionResponse::default();
    entry.partition_index = partition.partition_index;
    let found = result.unwrap_or_else(|refused| {
        if refused.code == ErrorCode::KafkaStorageError {
            tracing::error!(
                topic = &***topic,
                partition = partition.partition_index,
                reason = refused.message,
                "cannot look up an offset"
            );
        }
        entry.error_code = code(refused.code);
        NOTHING
    });
    entry.offset = found.offset;
    entry.timestamp = found.timestamp_ms;
    if version >= WITH_EPOCH {
        entry.leader_epoch = found.leader_epoch;
    }
    entry
}

async fn find(led: Led, timestamp: i64, mark: Mark, version: i16) -> Result<Found, Refused> {
    let since = SPECIAL_SINCE
        .iter()
        .find(|(special, _)| *special == timestamp);
    if since.is_some_and(|(_, since)| version < *since) {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    let at = |offset: Offset, leader_epoch: i32| Found {
        offset: offset.0,
        timestamp_ms: -1,
        leader_epoch,
    };
    let positions = led.positions;
    match timestamp {
        LATEST => Ok(at(positions.at(mark), led.epoch())),
        EARLIEST | EARLIEST_LOCAL => {
            let epoch = led.handle.view().epoch_at(positions.log_start);
            Ok(at(
                positions.log_start,
                epoch.unwrap_or_else(|| led.epoch()),
            ))
        }
        // Nothing is in tiered storage, and nothing is on its way there.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(NOTHING),
        MAX_TIMESTAMP => look_up(led, None, mark).await,
        0.. => look_up(led, Some(timestamp), mark).await,
        other => {
            let why = format!("{other} is not a timestamp, and stands for no special offset");
            Err(Refused::new(ErrorCode::UnsupportedVersion, why))
        }
    }
}

/// Reads the disk, on a thread that may wait. `None` is the largest timestamp.
async fn look_up(led: Led, timestamp: Option<i64>, mark: Mark) -> Result<Found, Refused> {
    let upto = led.positions.at(mark);
    let work = tokio::task::spawn_blocking(move || -> Result<_, ReadError> {
        let wanted = match timestamp {
            Some(timestamp) => Some(timestamp),
            None => led.handle.max_timestamp()?,
        };
        match wanted {
            Some(timestamp) => led.handle.offset_for_timestamp(timestamp),
            None => Ok(None),
        }
    });
    let found = work
        .await
        .map_err(|error| Refused::new(ErrorCode::UnknownServerError, error.to_string()))??;
    Ok(match found {
        Some(found) if found.offset < upto => Found {
            offset: found.offset.0,
            timestamp_ms: found.timestamp_ms,
            leader_epoch: found.leader_epoch,
        },
        _ => NOTHING,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::text;

    #[test]
    fn what_is_not_found_is_minus_one_everywhere() {
        let partition = ListOffsetsPartition::default();
        let topic = TopicName(text("t"));
        let refused = Err(ErrorCode::FencedLeaderEpoch.into());
        let entry = entry(&topic, &partition, refused, WITH_EPOCH);
        assert_eq!(entry.error_code, code(ErrorCode::FencedLeaderEpoch));
        assert_eq!(
            (entry.offset, entry.timestamp, entry.leader_epoch),
            (-1, -1, -1)
        );
    }
}
