//! OffsetCommit: a group keeps how far it has read.

use super::groups::{code, optional, topic_of};
use super::{Call, Reply};
use crate::group::classic::Claim;
use crate::group::machine::{Commit, CommitPartition};
use millrace_wire::ErrorCode;
use millrace_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use millrace_wire::messages::{OffsetCommitRequest, OffsetCommitResponse, StrBytes};

/// From here on topics are named by id.
const BY_ID: i16 = 10;

pub async fn handle(call: &Call, request: OffsetCommitRequest) -> Reply<OffsetCommitResponse> {
    let mut response = OffsetCommitResponse::default();
    // Where each partition that is fit to be committed has its place in the answer.
    let mut places = Vec::new();
    let mut partitions = Vec::new();
    let hosting = call.broker.replicas.hosting();
    for topic in &request.topics {
        let found = topic_of(
            &hosting,
            &topic.name,
            &topic.topic_id,
            call.version >= BY_ID,
        );
        let mut answer = OffsetCommitResponseTopic::default();
        match call.version {
            BY_ID.. => answer.topic_id = topic.topic_id,
            _ => answer.name = topic.name.clone(),
        }
        for one in &topic.partitions {
            let mut entry = OffsetCommitResponsePartition::default();
            entry.partition_index = one.partition_index;
            match &found {
                Err(error) => entry.error_code = error.code(),
                Ok((name, count))
                    if usize::try_from(one.partition_index).is_ok_and(|at| at < *count) =>
                {
                    places.push((response.topics.len(), answer.partitions.len()));
                    partitions.push(CommitPartition {
                        topic: name.clone(),
                        topic_id: topic.topic_id,
                        partition: one.partition_index,
                        offset: one.committed_offset,
                        leader_epoch: one.committed_leader_epoch,
                        metadata: one
                            .committed_metadata
                            .as_ref()
                            .map(|text| StrBytes::from_string(text.as_str().to_owned())),
                    });
                }
                Ok(_) => entry.error_code = ErrorCode::UnknownTopicOrPartition.code(),
            }
            answer.partitions.push(entry);
        }
        response.topics.push(answer);
    }
    let results = match places.is_empty() {
        true => Ok(Vec::new()),
        false => commit(call, &request, partitions).await,
    };
    for (at, (topic, partition)) in places.into_iter().enumerate() {
        let error = match &results {
            Ok(results) => results.get(at).copied().flatten(),
            Err(error) => Some(*error),
        };
        response.topics[topic].partitions[partition].error_code = code(error);
    }
    Reply::Answer(response)
}

async fn commit(
    call: &Call,
    request: &OffsetCommitRequest,
    partitions: Vec<CommitPartition>,
) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
    let group = request.group_id.as_str();
    let instance_id = optional(request.group_instance_id.as_ref());
    let commit = Commit {
        claim: Claim {
            member_id: &request.member_id,
            instance_id: instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
        },
        version: call.version,
        retention_ms: request.retention_time_ms,
        partitions,
    };
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, now, effects| machine.commit(now, effects, group, commit))
        .await?
}
