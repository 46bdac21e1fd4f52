//! DeleteRecords: moves the log start up, so that what lies below is gone.

use super::refusal::Refused;
use super::topics::{self, Led};
use super::{Call, Reply, code};
use crate::metadata::is_internal;
use crate::storage::ids::Offset;
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::delete_records_request::DeleteRecordsPartition;
use millrace_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use millrace_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use tokio::time::Instant;

/// Everything there is.
const HIGH_WATERMARK: i64 = -1;
/// Of a partition of which nothing was deleted.
const NO_LOW_WATERMARK: i64 = -1;

pub async fn handle(call: &Call, request: DeleteRecordsRequest) -> Reply<DeleteRecordsResponse> {
    let deadline = super::broker::deadline(request.timeout_ms);
    let hosting = call.broker.replicas.hosting();
    let mut response = DeleteRecordsResponse::default();
    for topic in request.topics {
        let found = topics::find(&hosting, &topic.name, &Default::default(), false);
        let work = topic.partitions.iter().map(|partition| {
            let led = found.and_then(|topic| topics::led(topic, partition.partition_index, -1));
            delete(led, partition, deadline)
        });
        let results = join_all(work).await;
        let answers = topic.partitions.iter().zip(results);
        let mut answer = DeleteRecordsTopicResult::default();
        answer.partitions = answers
            .map(|(asked, result)| entry(asked, result))
            .collect();
        answer.name = topic.name;
        response.topics.push(answer);
    }
    Reply::Answer(response)
}

async fn delete(
    led: Result<Led, ErrorCode>,
    asked: &DeleteRecordsPartition,
    deadline: Instant,
) -> Result<Offset, Refused> {
    let led = led?;
    let name = &led.topic.topic.name;
    if is_internal(name) {
        let why = format!("Cannot delete records of internal topic {name}");
        return Err(Refused::new(ErrorCode::InvalidTopicException, why));
    }
    let before = match asked.offset {
        HIGH_WATERMARK => None,
        offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange.into()),
        offset => Some(Offset(offset)),
    };
    let deleted = tokio::time::timeout_at(deadline, led.handle.delete_records(before)).await;
    Ok(deleted.map_err(|_| ErrorCode::RequestTimedOut)??)
}

fn entry(
    asked: &DeleteRecordsPartition,
    result: Result<Offset, Refused>,
) -> DeleteRecordsPartitionResult {
    let mut entry = DeleteRecordsPartitionResult::default();
    entry.partition_index = asked.partition_index;
    match result {
        Ok(log_start) => entry.low_watermark = log_start.0,
        Err(refused) => {
            entry.low_watermark = NO_LOW_WATERMARK;
            entry.error_code = code(refused.code);
        }
    }
    entry
}
