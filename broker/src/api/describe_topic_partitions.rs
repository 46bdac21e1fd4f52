//! DescribeTopicPartitions (KIP-966): topics and their partitions in pages, by name.

use super::metadata::{Answer, TOPIC_OPERATIONS};
use super::{Call, Reply, code, text};
use crate::config::topic_name;
use crate::metadata::Topic;
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use millrace_wire::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use std::collections::BTreeSet;
use std::sync::Arc;

pub async fn handle(
    call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> Reply<DescribeTopicPartitionsResponse> {
    let image = call.broker.metadata.image();
    let hosting = call.broker.replicas.hosting();
    let answer = Answer {
        image: &image,
        hosting: &hosting,
        cluster: call.broker.replicas.cluster(),
        with_operations: true,
    };
    let is_all = request.topics.is_empty();
    let named: BTreeSet<&str> = match is_all {
        true => image.topics.keys().map(String::as_str).collect(),
        false => request.topics.iter().map(|topic| &**topic.name).collect(),
    };
    let (first, first_partition) = match &request.cursor {
        Some(cursor) => (&**cursor.topic_name, cursor.partition_index),
        None => ("", 0),
    };
    let is_misplaced = request.cursor.is_some() && !is_all && !named.contains(first);
    if is_misplaced || first_partition < 0 {
        return Reply::Answer(invalid(&request));
    }
    let limit = call.broker.config().max_request_partition_size_limit;
    let mut left = request.response_partition_limit.min(limit).max(1) as usize;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in named.range(first..) {
        if left == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.topic(name) else {
            if !is_all {
                response.topics.push(unknown(name));
            }
            continue;
        };
        let from = if *name == first {
            first_partition as usize
        } else {
            0
        };
        let upto = topic.partitions.len().min(from.saturating_add(left));
        let described = describe(&answer, topic, from..upto);
        left -= described.partitions.len();
        response.topics.push(described);
        if upto < topic.partitions.len() {
            response.next_cursor = Some(cursor(name, upto as i32));
            break;
        }
    }
    Reply::Answer(response)
}

fn describe(
    answer: &Answer<'_>,
    topic: &Arc<Topic>,
    indexes: std::ops::Range<usize>,
) -> DescribeTopicPartitionsResponseTopic {
    let mut response = DescribeTopicPartitionsResponseTopic::default();
    response.name = Some(TopicName(text(&*topic.name)));
    response.topic_id = topic.id;
    response.is_internal = topic.is_internal();
    response.topic_authorized_operations = TOPIC_OPERATIONS;
    let partitions = indexes.map(|index| {
        let known = answer.partition(topic, index as i32);
        let mut partition = DescribeTopicPartitionsResponsePartition::default();
        partition.error_code = known.error_code;
        partition.partition_index = known.partition_index;
        partition.leader_id = known.leader_id;
        partition.leader_epoch = known.leader_epoch;
        partition.replica_nodes = known.replica_nodes;
        partition.isr_nodes = known.isr_nodes;
        partition.offline_replicas = known.offline_replicas;
        // Raft needs no such notion: who may lead follows from the log.
        partition.eligible_leader_replicas = Some(Vec::new());
        partition.last_known_elr = Some(Vec::new());
        partition
    });
    response.partitions = partitions.collect();
    response
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::check(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    let mut response = DescribeTopicPartitionsResponseTopic::default();
    response.error_code = code(error);
    response.name = Some(TopicName(text(name)));
    response.topic_authorized_operations = TOPIC_OPERATIONS;
    response
}

fn cursor(name: &str, partition: i32) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.topic_name = TopicName(text(name));
    cursor.partition_index = partition;
    cursor
}

/// A cursor that points nowhere: every topic of the request is told so.
fn invalid(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    let topics = request.topics.iter().map(|topic| {
        let mut refused = DescribeTopicPartitionsResponseTopic::default();
        refused.error_code = code(ErrorCode::InvalidRequest);
        refused.name = Some(topic.name.clone());
        refused
    });
    response.topics = topics.collect();
    response
}
