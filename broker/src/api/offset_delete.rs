//! OffsetDelete: a group forgets how far it has read in some partitions.

use super::groups::{code, named, topic_of};
use super::{Call, Reply};
use crate::group::Name;
use millrace_wire::ErrorCode;
use millrace_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use millrace_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

pub async fn handle(call: &Call, request: OffsetDeleteRequest) -> Reply<OffsetDeleteResponse> {
    let mut response = OffsetDeleteResponse::default();
    let hosting = call.broker.replicas.hosting();
    let mut places = Vec::new();
    let mut partitions: Vec<(Name, i32)> = Vec::new();
    for topic in &request.topics {
        let found = topic_of(&hosting, &topic.name, &Default::default(), false);
        let mut answer = OffsetDeleteResponseTopic::default();
        answer.name = topic.name.clone();
        for one in &topic.partitions {
            let mut entry = OffsetDeleteResponsePartition::default();
            entry.partition_index = one.partition_index;
            let at = usize::try_from(one.partition_index);
            match &found {
                Ok((name, count)) if at.is_ok_and(|at| at < *count) => {
                    places.push((response.topics.len(), answer.partitions.len()));
                    partitions.push((name.clone(), one.partition_index));
                }
                _ => entry.error_code = ErrorCode::UnknownTopicOrPartition.code(),
            }
            answer.partitions.push(entry);
        }
        response.topics.push(answer);
    }
    match delete(call, &request, &partitions).await {
        Ok(results) => {
            for ((topic, partition), result) in places.into_iter().zip(results) {
                response.topics[topic].partitions[partition].error_code = code(result);
            }
        }
        Err(error) => {
            response.topics.clear();
            response.error_code = error.code();
        }
    }
    Reply::Answer(response)
}

async fn delete(
    call: &Call,
    request: &OffsetDeleteRequest,
    partitions: &[(Name, i32)],
) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
    let group = named(&request.group_id)?;
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, _, effects| machine.delete_offsets(effects, group, partitions))
        .await?
}
