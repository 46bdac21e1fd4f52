//! ElectLeaders: the first replica of a partition leads again, when it is there and in sync. Who else leads is raft's affair. The words are
//! Kafka's for the same.

use super::refusal::Refused;
use super::{Broker, Call, Reply, code, text};
use crate::cluster::PreferError;
use crate::metadata::Topic;
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::elect_leaders_request::TopicPartitions;
use millrace_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use millrace_wire::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    Preferred,
    Unclean,
}

pub async fn handle(call: &Call, request: ElectLeadersRequest) -> Reply<ElectLeadersResponse> {
    let mut response = ElectLeadersResponse::default();
    let election = election(request.election_type);
    // Where nothing is asked for, Kafka does not look at the type either.
    let asks = request.topic_partitions.as_ref();
    if let Err(refused) = &election
        && asks.is_none_or(|topics| !topics.is_empty())
    {
        response.error_code = code(refused.code);
    }
    let broker = &call.broker;
    response.replica_election_results = match (request.topic_partitions, election) {
        (Some(topics), election) => {
            let answer = async |asked: TopicPartitions| {
                let indexes = asked.partitions.into_iter();
                let results = indexes.map(async |index| {
                    let elected = match election.clone() {
                        Ok(election) => elect(broker, &asked.topic, index, election).await,
                        Err(refused) => Err(refused),
                    };
                    result(index, elected)
                });
                of_topic(asked.topic.clone(), join_all(results).await)
            };
            join_all(topics.into_iter().map(answer)).await
        }
        (None, Ok(election)) => all(broker, election).await,
        (None, Err(_)) => Vec::new(),
    };
    Reply::Answer(response)
}

fn election(kind: i8) -> Result<Election, Refused> {
    match kind {
        0 => Ok(Election::Preferred),
        1 => Ok(Election::Unclean),
        other => {
            let why = format!("Unknown election type {other}");
            Err(Refused::new(ErrorCode::InvalidRequest, why))
        }
    }
}

async fn elect(
    broker: &Broker,
    topic: &str,
    index: i32,
    election: Election,
) -> Result<(), Refused> {
    let unknown = |why: String| Err(Refused::new(ErrorCode::UnknownTopicOrPartition, why));
    let image = broker.metadata.image();
    let Some(known) = image.topic(topic) else {
        return unknown(format!("No such topic as {topic}"));
    };
    let partition = usize::try_from(index).ok();
    let Some(partition) = partition.and_then(|index| known.partitions.get(index)) else {
        return unknown(format!("No such partition as {topic}-{index}"));
    };
    let cluster = broker.replicas.cluster();
    let lead = cluster.leaders().of(partition.group);
    let is_led = lead.is_some_and(|lead| cluster.is_up(lead.broker));
    match election {
        Election::Unclean if is_led => Err(ErrorCode::ElectionNotNeeded.into()),
        // No replica leads that lacks what was acknowledged.
        Election::Unclean => Err(ErrorCode::EligibleLeadersNotAvailable.into()),
        Election::Preferred => cluster.prefer(partition).await.map_err(|error| {
            let code = match error {
                PreferError::NotNeeded => ErrorCode::ElectionNotNeeded,
                PreferError::NotAvailable => ErrorCode::PreferredLeaderNotAvailable,
                PreferError::TimedOut => ErrorCode::RequestTimedOut,
            };
            code.into()
        }),
    }
}

/// Of every topic the partitions that would need an election: as in Kafka, those that need none go without saying.
async fn all(broker: &Broker, election: Election) -> Vec<ReplicaElectionResult> {
    let image = broker.metadata.image();
    let of_one = async |(name, topic): (&String, &Arc<Topic>)| {
        let indexes = (0..).take(topic.partitions.len());
        let results = indexes.map(async |index| {
            let elected = elect(broker, name, index, election).await;
            let is_needed =
                !matches!(&elected, Err(refused) if refused.code == ErrorCode::ElectionNotNeeded);
            is_needed.then(|| result(index, elected))
        });
        let results = join_all(results).await;
        of_topic(
            TopicName(text(name)),
            results.into_iter().flatten().collect(),
        )
    };
    join_all(image.topics.iter().map(of_one)).await
}

fn result(index: i32, elected: Result<(), Refused>) -> PartitionResult {
    let mut result = PartitionResult::default();
    result.partition_id = index;
    if let Err(refused) = elected {
        result.error_code = code(refused.code);
        result.error_message = Some(text(refused.message));
    }
    result
}

fn of_topic(topic: TopicName, results: Vec<PartitionResult>) -> ReplicaElectionResult {
    let mut of_topic = ReplicaElectionResult::default();
    of_topic.topic = topic;
    of_topic.partition_result = results;
    of_topic
}
