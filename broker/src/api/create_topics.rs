//! CreateTopics: makes topics, or says what making them would come to.

use super::broker::deadline;
use super::refusal::Refused;
use super::topics::{MAX_PARTITIONS_PER_REQUEST, repeated};
use super::{Call, Reply, code, text};
use crate::config::{BrokerConfig, TopicSettings, topic_name};
use crate::metadata::{
    self, BrokerId, Command, Image, NewTopic, Output, Placement, Refusal, Topic,
};
use crate::quota::Kind;
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use millrace_wire::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use millrace_wire::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use millrace_wire::uuid;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// The first version that can say that a topic must wait for its client's quota (KIP-599).
const STRICT_SINCE: i16 = 6;

pub async fn handle(call: &Call, request: CreateTopicsRequest) -> Reply<CreateTopicsResponse> {
    let deadline = deadline(request.timeout_ms);
    let config = call.broker.config();
    let mut response = CreateTopicsResponse::default();
    let twice = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let once = |topic: &&CreatableTopic| !twice.contains(topic.name.as_str());
    let (reserved, asked): (Vec<&CreatableTopic>, Vec<&CreatableTopic>) = request
        .topics
        .iter()
        .filter(once)
        .partition(|topic| &**topic.name == metadata::TOPIC);
    if partitions(&asked, &config) > MAX_PARTITIONS_PER_REQUEST {
        let why = "Excessively large number of partitions per request.";
        let refused = Refused::new(ErrorCode::PolicyViolation, why);
        let all = request.topics.iter();
        response.topics = all
            .map(|topic| failed(&topic.name, refused.clone()))
            .collect();
        return Reply::Answer(response);
    }
    let image = call.broker.metadata.image();
    let work = asked.iter().map(|topic| async {
        let made = create(
            call,
            &image,
            &config,
            topic,
            request.validate_only,
            deadline,
        );
        match made.await {
            Ok((topic, settings)) => made_so(&config, &topic, &settings),
            Err(refused) => failed(&topic.name, refused),
        }
    });
    response.topics = join_all(work).await;
    if !request.validate_only {
        call.broker.await_replicas_until(deadline).await;
    }
    let refuse =
        |name: &TopicName, why: &str| failed(name, Refused::new(ErrorCode::InvalidRequest, why));
    let names: BTreeSet<&TopicName> = request.topics.iter().map(|topic| &topic.name).collect();
    let names = names
        .into_iter()
        .filter(|name| twice.contains(name.as_str()));
    response
        .topics
        .extend(names.map(|name| refuse(name, "Duplicate topic name.")));
    response.topics.extend(reserved.into_iter().map(|topic| {
        refuse(
            &topic.name,
            "Creation of internal topic __cluster_metadata is prohibited.",
        )
    }));
    Reply::Answer(response)
}

/// How many partitions they would have.
fn partitions(topics: &[&CreatableTopic], config: &BrokerConfig) -> u64 {
    let of_one = |topic: &&CreatableTopic| match topic.assignments.len() {
        0 if topic.num_partitions == -1 => u64::try_from(config.num_partitions).unwrap_or(0),
        0 => u64::try_from(topic.num_partitions).unwrap_or(0),
        assigned => assigned as u64,
    };
    topics.iter().map(of_one).sum()
}

async fn create(
    call: &Call,
    image: &Image,
    config: &BrokerConfig,
    topic: &CreatableTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<(Arc<Topic>, TopicSettings), Refused> {
    let (new, settings) = new_topic(image, config, topic)?;
    let partitions = new.partitions as usize;
    let command = Command::CreateTopic(new);
    if call.is_limited(Kind::ControllerMutation) {
        // Only what would be done counts.
        metadata::preview(image, command.clone())?;
        call.mutate(partitions, STRICT_SINCE)?;
    }
    let output = match validate_only {
        true => metadata::preview(image, command).map_err(Refused::from)?,
        false => call.broker.change(command, deadline).await?,
    };
    match output {
        Output::Topic(topic) => Ok((topic, settings)),
        Output::Done | Output::ProducerIds(_) => Err(ErrorCode::UnknownServerError.into()),
    }
}

/// What is asked for, checked in Kafka's order: the name, the settings, the replicas.
fn new_topic(
    image: &Image,
    config: &BrokerConfig,
    topic: &CreatableTopic,
) -> Result<(NewTopic, TopicSettings), Refused> {
    let name = &**topic.name;
    topic_name::check(name)
        .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    if image.topic(name).is_some() {
        return Err(Refusal::TopicExists(name.to_owned()).into());
    }
    if let Some(other) = image.colliding(name) {
        let (name, other) = (name.to_owned(), other.to_owned());
        return Err(Refusal::TopicCollides { name, other }.into());
    }
    let settings = settings(&topic.configs, config)?;
    let (partitions, placement) = placement(config, topic)?;
    let new = NewTopic {
        name: name.to_owned(),
        id: uuid::random(),
        partitions,
        placement,
        configs: settings
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    Ok((new, settings))
}

fn settings(
    configs: &[CreatableTopicConfig],
    broker: &BrokerConfig,
) -> Result<TopicSettings, Refused> {
    let invalid = |why: String| Refused::new(ErrorCode::InvalidConfig, why);
    let null = configs.iter().filter(|config| config.value.is_none());
    let null: Vec<&str> = null.map(|config| &*config.name).collect();
    if !null.is_empty() {
        let names = null.join(",");
        return Err(invalid(format!(
            "Null value not supported for topic configs: {names}"
        )));
    }
    let pairs = configs
        .iter()
        .filter_map(|config| Some((&*config.name, &**config.value.as_ref()?)));
    TopicSettings::new(pairs, broker).map_err(|error| invalid(error.to_string()))
}

fn placement(config: &BrokerConfig, topic: &CreatableTopic) -> Result<(u32, Placement), Refused> {
    let refuse = |code, why: &str| Err(Refused::new(code, why));
    if !topic.assignments.is_empty() {
        if topic.replication_factor != -1 {
            return refuse(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            );
        }
        if topic.num_partitions != -1 {
            return refuse(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            );
        }
        let assigned = assigned(&topic.assignments)?;
        return Ok((assigned.len() as u32, Placement::Manual(assigned)));
    }
    let replicas = match topic.replication_factor {
        -1 => u16::try_from(config.default_replication_factor).unwrap_or(1),
        factor => u16::try_from(factor).unwrap_or(0),
    };
    if replicas == 0 {
        return refuse(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        );
    }
    let partitions = match topic.num_partitions {
        -1 => u32::try_from(config.num_partitions).unwrap_or(1),
        partitions => u32::try_from(partitions).unwrap_or(0),
    };
    if partitions == 0 {
        return refuse(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        );
    }
    let seed = uuid::random().as_u128() as u64;
    Ok((partitions, Placement::Automatic { replicas, seed }))
}

/// The replicas of each partition, in the order of partitions.
fn assigned(assignments: &[CreatableReplicaAssignment]) -> Result<Vec<Vec<BrokerId>>, Refused> {
    let invalid = |why: String| Refused::new(ErrorCode::InvalidReplicaAssignment, why);
    let mut by_partition = BTreeMap::new();
    for assignment in assignments {
        let partition = assignment.partition_index;
        let brokers: Vec<BrokerId> = assignment.broker_ids.iter().map(|id| id.0).collect();
        if by_partition.insert(partition, brokers).is_some() {
            return Err(invalid(format!(
                "Found multiple manual partition assignments for partition {partition}"
            )));
        }
    }
    if !by_partition
        .keys()
        .copied()
        .eq(0..by_partition.len() as i32)
    {
        let why = "partitions should be a consecutive 0-based integer sequence";
        return Err(invalid(why.to_owned()));
    }
    Ok(by_partition.into_values().collect())
}

fn made_so(config: &BrokerConfig, topic: &Topic, settings: &TopicSettings) -> CreatableTopicResult {
    let mut result = CreatableTopicResult::default();
    result.name = TopicName(text(&*topic.name));
    result.topic_id = topic.id;
    result.error_message = None;
    result.num_partitions = topic.partitions.len() as i32;
    let replicas = topic.partitions.first().map(|first| first.replicas.len());
    result.replication_factor = replicas.unwrap_or(0) as i16;
    let entries = config.describe_topic(settings).into_iter().map(|entry| {
        let mut config = CreatableTopicConfigs::default();
        config.name = text(entry.name);
        config.value = entry.value.map(text);
        config.read_only = entry.is_read_only;
        config.config_source = entry.source.id();
        config.is_sensitive = entry.is_sensitive;
        config
    });
    result.configs = Some(entries.collect());
    result
}

fn failed(name: &TopicName, refused: Refused) -> CreatableTopicResult {
    let mut result = CreatableTopicResult::default();
    result.name = name.clone();
    result.error_code = code(refused.code);
    result.error_message = Some(text(refused.message));
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use millrace_wire::messages::BrokerId as WireBrokerId;

    fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(brokers.iter().map(|id| WireBrokerId(*id)).collect())
    }

    #[test]
    fn an_assignment_may_name_partitions_in_any_order() {
        let given = [assignment(1, &[5, 6]), assignment(0, &[6, 5])];
        assert_eq!(assigned(&given).unwrap(), [vec![6, 5], vec![5, 6]]);
    }

    #[test]
    fn an_assignment_with_gaps_or_repetitions_is_refused() {
        let refused = |given: &[CreatableReplicaAssignment]| assigned(given).unwrap_err().message;
        let gap = refused(&[assignment(0, &[1]), assignment(2, &[1])]);
        assert_eq!(
            gap,
            "partitions should be a consecutive 0-based integer sequence"
        );
        let twice = refused(&[assignment(0, &[1]), assignment(0, &[1])]);
        assert_eq!(
            twice,
            "Found multiple manual partition assignments for partition 0"
        );
        refused(&[assignment(-1, &[1])]);
    }
}
