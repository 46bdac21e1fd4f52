//! OffsetForLeaderEpoch: where an epoch ends, by which a consumer learns whether what it read is still there (KIP-320).

use super::topics;
use super::{Call, Reply, code};
use crate::replicas::HostedTopic;
use millrace_wire::ErrorCode;
use millrace_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use millrace_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use millrace_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use std::sync::Arc;

/// Of an epoch that this log does not know.
const UNDEFINED: (i32, i64) = (-1, -1);

pub async fn handle(
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> Reply<OffsetForLeaderEpochResponse> {
    let hosting = call.broker.replicas.hosting();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let found = topics::find(&hosting, &topic.topic, &Default::default(), false);
        let ends = topic.partitions.iter().map(|asked| end(found, asked));
        let mut answer = OffsetForLeaderTopicResult::default();
        answer.partitions = ends.collect();
        answer.topic = topic.topic;
        response.topics.push(answer);
    }
    Reply::Answer(response)
}

fn end(
    topic: Result<&Arc<HostedTopic>, ErrorCode>,
    asked: &OffsetForLeaderPartition,
) -> EpochEndOffset {
    let mut end = EpochEndOffset::default();
    end.partition = asked.partition;
    (end.leader_epoch, end.end_offset) = UNDEFINED;
    match topic.and_then(|topic| topics::led(topic, asked.partition, asked.current_leader_epoch)) {
        Ok(led) => {
            if let Some((epoch, offset)) = led.handle.view().end_offset_for(asked.leader_epoch) {
                (end.leader_epoch, end.end_offset) = (epoch, offset.0);
            }
        }
        Err(error) => end.error_code = code(error),
    }
    end
}
