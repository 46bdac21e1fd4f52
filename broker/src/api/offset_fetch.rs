//! OffsetFetch: how far groups have read.

use super::groups::topic_of;
use super::{Call, Reply};
use crate::group::Name;
use crate::group::offsets::{Committed, Topics};
use crate::replicas::Hosting;
use millrace_wire::ErrorCode;
use millrace_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use millrace_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use millrace_wire::messages::{OffsetFetchRequest, OffsetFetchResponse, StrBytes, TopicName};

/// From here on a request asks for many groups (KIP-709).
const BATCHED: i16 = 8;

/// From here on a group's error has a place of its own.
const WITH_ERROR: i16 = 2;

/// From here on topics are named by id.
const BY_ID: i16 = 10;

pub async fn handle(call: &Call, request: OffsetFetchRequest) -> Reply<OffsetFetchResponse> {
    let mut response = OffsetFetchResponse::default();
    match call.version {
        BATCHED.. => {
            for group in &request.groups {
                response.groups.push(fetch(call, group).await);
            }
        }
        version => {
            let group = single(&request, version);
            let answer = fetch(call, &group).await;
            response.topics = answer
                .topics
                .into_iter()
                .map(|topic| older(topic, &answer.error_code, version))
                .collect();
            if version >= WITH_ERROR {
                response.error_code = answer.error_code;
            }
        }
    }
    Reply::Answer(response)
}

/// A request of older versions in the form of newer ones.
fn single(request: &OffsetFetchRequest, version: i16) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name.clone())
                .with_partition_indexes(topic.partition_indexes.clone())
        });
        topics.collect::<Vec<_>>()
    });
    let topics = match version {
        // Version 1 has no way to ask for all.
        ..WITH_ERROR => Some(topics.unwrap_or_default()),
        _ => topics,
    };
    OffsetFetchRequestGroup::default()
        .with_group_id(request.group_id.clone())
        .with_topics(topics)
}

fn older(
    topic: OffsetFetchResponseTopics,
    group_error: &i16,
    version: i16,
) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|one| {
        let error_code = match version {
            ..WITH_ERROR if *group_error != 0 => *group_error,
            _ => one.error_code,
        };
        OffsetFetchResponsePartition::default()
            .with_partition_index(one.partition_index)
            .with_committed_offset(one.committed_offset)
            .with_committed_leader_epoch(one.committed_leader_epoch)
            .with_metadata(one.metadata)
            .with_error_code(error_code)
    });
    OffsetFetchResponseTopic::default()
        .with_name(topic.name)
        .with_partitions(partitions.collect())
}

async fn fetch(call: &Call, request: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let by_id = call.version >= BY_ID;
    let hosting = call.broker.replicas.hosting();
    let mut response = OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone());
    let committed = match committed(call, request).await {
        Ok(committed) => committed,
        Err(error) => {
            response.error_code = error.code();
            // Older versions say it in each partition.
            Topics::new()
        }
    };
    response.topics = match &request.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| asked(&hosting, &committed, topic, by_id))
            .collect(),
        None => committed
            .iter()
            .filter_map(|(name, partitions)| {
                let mut answer = OffsetFetchResponseTopics::default();
                match by_id {
                    true => answer.topic_id = hosting.topic(name)?.topic.id,
                    false => answer.name = TopicName(StrBytes::from_string(name.to_string())),
                }
                let partitions = partitions.iter();
                answer.partitions = partitions.map(|(at, one)| entry(*at, Some(one))).collect();
                Some(answer)
            })
            .collect(),
    };
    if response.error_code != 0 && call.version >= WITH_ERROR {
        response.topics.clear();
    }
    response
}

/// A copy: answers are written without holding anybody up.
async fn committed(call: &Call, request: &OffsetFetchRequestGroup) -> Result<Topics, ErrorCode> {
    let group = request.group_id.as_str();
    let coordinator = call.broker.groups.of(group).await?;
    let fetched = coordinator.step(|machine, _, _| {
        let fetched = machine.fetch(group, request.member_id.as_deref(), request.member_epoch);
        fetched.map(|topics| topics.cloned().unwrap_or_default())
    });
    fetched.await?
}

fn asked(
    hosting: &Hosting,
    committed: &Topics,
    topic: &OffsetFetchRequestTopics,
    by_id: bool,
) -> OffsetFetchResponseTopics {
    let mut answer = OffsetFetchResponseTopics::default();
    let found: Result<Name, ErrorCode> = match by_id {
        true => {
            answer.topic_id = topic.topic_id;
            topic_of(hosting, &topic.name, &topic.topic_id, true).map(|(name, _)| name)
        }
        false => {
            answer.name = topic.name.clone();
            Ok(Name::from(topic.name.as_str()))
        }
    };
    for at in &topic.partition_indexes {
        let entry = match &found {
            Ok(name) => {
                let partitions = committed.get(name);
                entry(*at, partitions.and_then(|partitions| partitions.get(at)))
            }
            Err(error) => entry(*at, None).with_error_code(error.code()),
        };
        answer.partitions.push(entry);
    }
    answer
}

fn entry(partition: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    let entry = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    match committed {
        Some(one) => entry
            .with_committed_offset(one.offset)
            .with_committed_leader_epoch(one.leader_epoch)
            .with_metadata(Some(one.metadata.clone())),
        None => entry
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default())),
    }
}
