//! DescribeQuorum: how the raft group of the metadata stands, as Kafka tells of the topic that its own lies in.
//!
//! Offsets are raft's indices: the end of a log is one beyond its last entry.

use super::{Broker, Call, Reply, code, text};
use crate::clock;
use crate::cluster::{Standing, Standpoint};
use crate::metadata::{self, Image};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_quorum_request as asked;
use millrace_wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use millrace_wire::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName};

/// From here on it is told when a replica was heard of, and from there in which directory it lies and where nodes are reached.
const WITH_TIMES: i16 = 1;
const WITH_NODES: i16 = 2;

pub async fn handle(call: &Call, request: DescribeQuorumRequest) -> Reply<DescribeQuorumResponse> {
    let mut response = DescribeQuorumResponse::default();
    if !is_of_metadata(&request.topics) {
        response.topics = request.topics.into_iter().map(unknown).collect();
        return Reply::Answer(response);
    }
    match call.broker.replicas.cluster().metadata_standing().await {
        Some(standing) => {
            response.topics = vec![topic(partition(&call.broker, &standing, call.version))];
            if call.version >= WITH_NODES {
                response.nodes = nodes(&call.broker.metadata.image(), &response.topics);
            }
        }
        None => {
            response.error_code = code(ErrorCode::NotLeaderOrFollower);
            response.error_message = Some(text(ErrorCode::NotLeaderOrFollower.message()));
        }
    }
    Reply::Answer(response)
}

/// Kafka answers for its one partition and nothing beside it.
fn is_of_metadata(topics: &[asked::TopicData]) -> bool {
    match topics {
        [topic] => {
            *topic.topic_name == *metadata::TOPIC
                && matches!(&*topic.partitions, [one] if one.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(asked: asked::TopicData) -> TopicData {
    let refuse = |asked: &asked::PartitionData| {
        let mut partition = PartitionData::default();
        partition.partition_index = asked.partition_index;
        partition.error_code = code(ErrorCode::UnknownTopicOrPartition);
        partition.error_message = Some(text(ErrorCode::UnknownTopicOrPartition.message()));
        partition
    };
    let mut topic = TopicData::default();
    topic.partitions = asked.partitions.iter().map(refuse).collect();
    topic.topic_name = asked.topic_name;
    topic
}

fn topic(partition: PartitionData) -> TopicData {
    let mut topic = TopicData::default();
    topic.topic_name = TopicName(text(metadata::TOPIC));
    topic.partitions = vec![partition];
    topic
}

fn partition(broker: &Broker, standing: &Standing, version: i16) -> PartitionData {
    let now_ms = clock::now_ms();
    let state = |one: &Standpoint| replica(broker, standing, one, now_ms, version);
    let replicas = standing.replicas.iter();
    let (voters, observers): (Vec<&Standpoint>, Vec<&Standpoint>) =
        replicas.partition(|one| one.is_voter);
    let mut partition = PartitionData::default();
    partition.leader_id = BrokerId(standing.leader);
    partition.leader_epoch = i32::try_from(standing.term).unwrap_or(i32::MAX);
    partition.high_watermark = end(standing.commit);
    partition.current_voters = voters.into_iter().map(state).collect();
    partition.observers = observers.into_iter().map(state).collect();
    partition
}

/// The offset behind an index.
fn end(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1)
}

fn replica(
    broker: &Broker,
    standing: &Standing,
    one: &Standpoint,
    now_ms: i64,
    version: i16,
) -> ReplicaState {
    let mut state = ReplicaState::default();
    state.log_end_offset = end(one.matched);
    state.replica_id = BrokerId(one.broker.unwrap_or(-1));
    // Of one that is gone the default is left: nobody knows when it was last heard of.
    if one.is_up && version >= WITH_TIMES {
        state.last_fetch_timestamp = now_ms;
        if one.matched >= standing.commit {
            state.last_caught_up_timestamp = now_ms;
        }
    }
    if one.broker == Some(broker.id()) && version >= WITH_NODES {
        state.replica_directory_id = broker.metadata_directory_id;
    }
    state
}

/// Where the voters are reached: there is no listener for controllers alone.
fn nodes(image: &Image, topics: &[TopicData]) -> Vec<Node> {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let voters = partitions.flat_map(|partition| &partition.current_voters);
    let brokers = voters.filter_map(|voter| image.brokers.get(&voter.replica_id.0));
    let node = |broker: &std::sync::Arc<metadata::Broker>| {
        let mut node = Node::default();
        node.node_id = BrokerId(broker.id);
        let listeners = broker.endpoints.iter().map(|endpoint| {
            let mut listener = Listener::default();
            listener.name = text(&*endpoint.listener);
            listener.host = text(&*endpoint.host);
            listener.port = endpoint.port;
            listener
        });
        node.listeners = listeners.collect();
        node
    };
    brokers.map(node).collect()
}
