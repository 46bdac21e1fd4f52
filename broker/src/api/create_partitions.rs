//! CreatePartitions: more partitions for topics that are there.

use super::broker::deadline;
use super::refusal::Refused;
use super::topics::{MAX_PARTITIONS_PER_REQUEST, repeated};
use super::{Call, Reply, code, text};
use crate::metadata::{self, BrokerId, Command, Image, Placement, Refusal};
use crate::quota::Kind;
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::create_partitions_request::CreatePartitionsTopic;
use millrace_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use millrace_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use millrace_wire::uuid;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// The first version that can say that a topic must wait for its client's quota (KIP-599).
const STRICT_SINCE: i16 = 3;

pub async fn handle(
    call: &Call,
    request: CreatePartitionsRequest,
) -> Reply<CreatePartitionsResponse> {
    let deadline = deadline(request.timeout_ms);
    let mut response = CreatePartitionsResponse::default();
    let twice: BTreeSet<TopicName> =
        repeated(request.topics.iter().map(|topic| topic.name.clone()));
    let asked: Vec<&CreatePartitionsTopic> = request
        .topics
        .iter()
        .filter(|topic| !twice.contains(&topic.name))
        .collect();
    let image = call.broker.metadata.image();
    if additional(&image, &asked) > MAX_PARTITIONS_PER_REQUEST {
        let why = "Excessively large number of additional partitions per request.";
        let refused = Refused::new(ErrorCode::PolicyViolation, why);
        let topics = request.topics.into_iter();
        response.results = topics
            .map(|topic| result(topic.name, Err(refused.clone())))
            .collect();
        return Reply::Answer(response);
    }
    let duplicates = twice.into_iter().map(|name| {
        let why = "Duplicate topic name.";
        result(name, Err(Refused::new(ErrorCode::InvalidRequest, why)))
    });
    response.results = duplicates.collect();
    let work = asked.iter().map(|topic| async {
        let added = add(call, &image, topic, request.validate_only, deadline).await;
        result(topic.name.clone(), added)
    });
    response.results.extend(join_all(work).await);
    if !request.validate_only {
        call.broker.await_replicas_until(deadline).await;
    }
    Reply::Answer(response)
}

/// How many partitions it would make.
fn additional(image: &Image, topics: &[&CreatePartitionsTopic]) -> u64 {
    let of_one = |topic: &&CreatePartitionsTopic| {
        let there = image.topic(&topic.name)?.partitions.len() as u64;
        u64::try_from(topic.count).ok()?.checked_sub(there)
    };
    topics.iter().filter_map(of_one).sum()
}

async fn add(
    call: &Call,
    image: &Image,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<(), Refused> {
    let Some(known) = image.topic(&topic.name) else {
        // Kafka has no words for it here.
        return Err(Refused::new(ErrorCode::UnknownTopicOrPartition, ""));
    };
    let there = known.partitions.len();
    let Ok(total) = u32::try_from(topic.count) else {
        return Err(Refusal::InvalidPartitions(format!(
            "The topic {} currently has {there} partition(s); {} would not be an increase.",
            known.name, topic.count
        ))
        .into());
    };
    let placement = match &topic.assignments {
        Some(assignments) => {
            let brokers = assignments.iter().map(|partition| &partition.broker_ids);
            let ids = brokers.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<BrokerId>>());
            Placement::Manual(ids.collect())
        }
        None => Placement::Automatic {
            replicas: known
                .partitions
                .first()
                .map_or(1, |first| first.replicas.len()) as u16,
            seed: uuid::random().as_u128() as u64,
        },
    };
    let command = Command::AddPartitions {
        id: known.id,
        total,
        placement,
    };
    if call.is_limited(Kind::ControllerMutation) {
        // Only what would be done counts.
        metadata::preview(image, command.clone())?;
        call.mutate((total as usize).saturating_sub(there), STRICT_SINCE)?;
    }
    match validate_only {
        true => metadata::preview(image, command)
            .map(drop)
            .map_err(Refused::from),
        false => call.broker.change(command, deadline).await.map(drop),
    }
}

fn result(name: TopicName, added: Result<(), Refused>) -> CreatePartitionsTopicResult {
    let mut result = CreatePartitionsTopicResult::default();
    result.name = name;
    result.error_message = None;
    if let Err(refused) = added {
        result.error_code = code(refused.code);
        result.error_message = Some(refused.message)
            .filter(|message| !message.is_empty())
            .map(text);
    }
    result
}
