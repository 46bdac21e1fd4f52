//! ElectLeaders: who leads is raft's affair, so there is nothing to elect where the right one leads, and nobody to elect where the
//! only replica is offline. The words are Kafka's for the same.

use super::refusal::Refused;
use super::topics::led;
use super::{Broker, Call, Reply, code, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use millrace_wire::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

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
            let answer = |topic: TopicName, partitions: Vec<i32>| {
                let results = partitions.into_iter().map(|index| {
                    let election = election.clone();
                    let refused = election.map_or_else(
                        |refused| refused,
                        |election| elect(broker, &topic, index, election),
                    );
                    result(index, refused)
                });
                let results = results.collect();
                of_topic(topic, results)
            };
            let topics = topics.into_iter();
            topics
                .map(|asked| answer(asked.topic, asked.partitions))
                .collect()
        }
        (None, Ok(election)) => all(broker, election),
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

/// Why no leader is elected: one broker never elects another.
fn elect(broker: &Broker, topic: &str, index: i32, election: Election) -> Refused {
    let unknown = |why: String| Refused::new(ErrorCode::UnknownTopicOrPartition, why);
    let image = broker.metadata.image();
    let Some(known) = image.topic(topic) else {
        return unknown(format!("No such topic as {topic}"));
    };
    let partition = usize::try_from(index).ok();
    let Some(partition) = partition.and_then(|index| known.partitions.get(index)) else {
        return unknown(format!("No such partition as {topic}-{index}"));
    };
    let hosting = broker.replicas.hosting();
    let leads = hosting
        .topic(topic)
        .is_some_and(|topic| led(topic, index, -1).is_ok());
    let is_preferred = partition.replicas.first() == Some(&broker.id());
    match election {
        Election::Preferred if leads && is_preferred => ErrorCode::ElectionNotNeeded,
        Election::Preferred => ErrorCode::PreferredLeaderNotAvailable,
        Election::Unclean if leads => ErrorCode::ElectionNotNeeded,
        Election::Unclean => ErrorCode::EligibleLeadersNotAvailable,
    }
    .into()
}

/// Of every topic the partitions that would need an election: as in Kafka, those that need none go without saying.
fn all(broker: &Broker, election: Election) -> Vec<ReplicaElectionResult> {
    let image = broker.metadata.image();
    let of_one = |(name, topic): (&String, &std::sync::Arc<crate::metadata::Topic>)| {
        let indices = (0..).take(topic.partitions.len());
        let results = indices.filter_map(|index| {
            let refused = elect(broker, name, index, election);
            (refused.code != ErrorCode::ElectionNotNeeded).then(|| result(index, refused))
        });
        of_topic(TopicName(text(name)), results.collect())
    };
    image.topics.iter().map(of_one).collect()
}

fn result(index: i32, refused: Refused) -> PartitionResult {
    let mut result = PartitionResult::default();
    result.partition_id = index;
    result.error_code = code(refused.code);
    result.error_message = Some(text(refused.message));
    result
}

fn of_topic(topic: TopicName, results: Vec<PartitionResult>) -> ReplicaElectionResult {
    let mut of_topic = ReplicaElectionResult::default();
    of_topic.topic = topic;
    of_topic.partition_result = results;
    of_topic
}
