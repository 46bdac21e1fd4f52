//! ListPartitionReassignments: the partitions whose replicas are on their way to other brokers.

use super::{Call, Reply, text};
use crate::metadata::{Partition, Topic};
use millrace_wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use millrace_wire::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};

pub async fn handle(
    call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> Reply<ListPartitionReassignmentsResponse> {
    let mut response = ListPartitionReassignmentsResponse::default();
    response.error_message = None;
    let image = call.broker.metadata.image();
    let told = match &request.topics {
        None => image
            .topics
            .values()
            .map(|topic| of_topic(topic, |_| true))
            .collect(),
        Some(asked) => {
            let told = asked.iter().filter_map(|one| {
                let topic = image.topic(&one.name)?;
                Some(of_topic(topic, |index| {
                    one.partition_indexes.contains(&index)
                }))
            });
            told.collect::<Vec<_>>()
        }
    };
    let told = told.into_iter();
    response.topics = told.filter(|topic| !topic.partitions.is_empty()).collect();
    Reply::Answer(response)
}

fn of_topic(topic: &Topic, is_asked: impl Fn(i32) -> bool) -> OngoingTopicReassignment {
    let partitions = (0..).zip(&topic.partitions);
    let under_way = partitions.filter(|(index, one)| one.is_reassigned() && is_asked(*index));
    let mut response = OngoingTopicReassignment::default();
    response.name = TopicName(text(&*topic.name));
    response.partitions = under_way
        .map(|(index, one)| of_partition(index, one))
        .collect();
    response
}

fn of_partition(index: i32, partition: &Partition) -> OngoingPartitionReassignment {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
    let mut response = OngoingPartitionReassignment::default();
    response.partition_index = index;
    response.replicas = ids(&partition.replicas);
    response.adding_replicas = ids(&partition.adding);
    response.removing_replicas = ids(&partition.removing);
    response
}
