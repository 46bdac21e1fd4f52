//! CreateTopics, DeleteTopics, CreatePartitions.

use crate::rig::{Broker, batch, error, name, new_topic, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use millrace_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use millrace_wire::messages::delete_topics_request::DeleteTopicState;
use millrace_wire::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, Uuid,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_as_asked_for_in_every_version() {
    let broker = Broker::start(&["num.partitions=4"]).await;
    let mut client = broker.connect().await;
    for version in 2..=7 {
        let topic = format!("v{version}");
        let new = new_topic(&topic, 3, 1, &[("retention.ms", "1000")]);
        let request = CreateTopicsRequest::default().with_topics(vec![new]);
        let response = client.ask(version, &request).await;
        let made = &response.topics[0];
        assert_eq!(error(made.error_code), ErrorCode::None);
        assert_eq!(made.error_message, None);
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
            let configs = made.configs.as_ref().unwrap();
            let retention = configs
                .iter()
                .find(|config| &*config.name == "retention.ms");
            let retention = retention.unwrap();
            assert_eq!(retention.value.as_deref(), Some("1000"));
            assert_eq!(retention.config_source, 1, "it was set on the topic");
        }
        let described = client.led(&topic).await;
        assert_eq!(described.partitions.len(), 3);
        if version == 7 {
            assert_eq!(made.topic_id, described.topic_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn minus_one_is_the_brokers_default() {
    let broker = Broker::start(&["num.partitions=4"]).await;
    let mut client = broker.connect().await;
    let made = client.create(new_topic("t", -1, -1, &[])).await;
    assert_eq!((made.num_partitions, made.replication_factor), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn validating_makes_nothing_and_refuses_the_same() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let topics = vec![new_topic("good", 2, 1, &[]), new_topic("far", 1, 3, &[])];
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_validate_only(true);
    let response = client.ask(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0);
    assert_eq!(response.topics[0].num_partitions, 2);
    let refused = error(response.topics[1].error_code);
    assert_eq!(refused, ErrorCode::InvalidReplicationFactor);
    let described = client.describe("good").await;
    assert_eq!(
        error(described.error_code),
        ErrorCode::UnknownTopicOrPartition
    );
}

fn assigned(topic: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = partitions.iter().map(|(partition, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*partition)
            .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
    });
    new_topic(topic, -1, -1, &[]).with_assignments(assignments.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_refuses_is_refused_in_its_words() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("there.is", 1, &[]).await;
    let null = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(None);
    let cases: Vec<(CreatableTopic, ErrorCode, &str)> = vec![
        (
            new_topic("there.is", 1, 1, &[]),
            ErrorCode::TopicAlreadyExists,
            "Topic 'there.is' already exists.",
        ),
        (
            new_topic("there_is", 1, 1, &[]),
            ErrorCode::InvalidTopicException,
            "Topic 'there_is' collides with existing topic: there.is",
        ),
        (
            new_topic("a b", 1, 1, &[]),
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            new_topic("t", 0, 1, &[]),
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            new_topic("t", -2, 1, &[]),
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            new_topic("t", 1, 0, &[]),
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            new_topic("t", 1, 3, &[]),
            ErrorCode::InvalidReplicationFactor,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
        ),
        (
            new_topic("t", 1, 1, &[("no.such", "1")]),
            ErrorCode::InvalidConfig,
            "Unknown topic config name: no.such",
        ),
        (
            new_topic("t", 1, 1, &[("retention.ms", "soon")]),
            ErrorCode::InvalidConfig,
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        (
            new_topic("t", 1, 1, &[]).with_configs(vec![null]),
            ErrorCode::InvalidConfig,
            "Null value not supported for topic configs: retention.ms",
        ),
        (
            assigned("t", &[(0, &[7])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            assigned("t", &[(1, &[1])]),
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("t", &[(0, &[])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("t", &[(0, &[1])]).with_num_partitions(1),
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            new_topic("__cluster_metadata", 1, 1, &[]),
            ErrorCode::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            new_topic("t", 10_001, 1, &[]),
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    ];
    for (new, code, words) in cases {
        let result = client.create(new).await;
        assert_eq!(error(result.error_code), code, "{words}");
        assert_eq!(result.error_message.as_deref(), Some(words));
    }
    assert_eq!(
        error(client.describe("t").await.error_code),
        ErrorCode::UnknownTopicOrPartition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_twice_is_refused_once_and_the_others_are_made() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let names = ["twice", "once", "twice"];
    let topics = names.iter().map(|name| new_topic(name, 1, 1, &[]));
    let request = CreateTopicsRequest::default().with_topics(topics.collect());
    let mut response = client.ask(7, &request).await;
    response.topics.sort_by(|a, b| a.name.cmp(&b.name));
    let [once, twice] = &response.topics[..] else {
        panic!("{response:?}");
    };
    assert_eq!(once.error_code, 0);
    assert_eq!(error(twice.error_code), ErrorCode::InvalidRequest);
    assert_eq!(
        twice.error_message.as_deref(),
        Some("Duplicate topic name.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_assignment_is_obeyed() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let made = client.create(assigned("t", &[(1, &[1]), (0, &[1])])).await;
    assert_eq!((made.error_code, made.num_partitions), (0, 2));
    let described = client.led("t").await;
    assert_eq!(described.partitions[1].replica_nodes, [BrokerId(1)]);
}

fn state(topic: Option<&str>, id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default()
        .with_name(topic.map(name))
        .with_topic_id(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_deleted_by_name_and_by_id() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for version in 1..=5 {
        client.topic("t", 1, &[]).await;
        client.fill("t", 0, 1).await;
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name("t"), name("no")]);
        let response = client.ask(version, &request).await;
        let codes = response.responses.iter().map(|result| {
            let name = result.name.as_ref().unwrap().to_string();
            (name, error(result.error_code))
        });
        let mut codes: Vec<_> = codes.collect();
        codes.sort_by(|a, b| b.0.cmp(&a.0));
        assert_eq!(codes[0], ("t".to_owned(), ErrorCode::None));
        assert_eq!(
            codes[1],
            ("no".to_owned(), ErrorCode::UnknownTopicOrPartition)
        );
        let gone = client.produce("t", 0, batch(&["v"])).await;
        assert_eq!(error(gone.error_code), ErrorCode::UnknownTopicOrPartition);
    }
    client.topic("t", 1, &[]).await;
    assert!(client.values("t", 0, 0).await.is_empty(), "it is a new one");
    let id = client.describe("t").await.topic_id;
    let request = DeleteTopicsRequest::default().with_topics(vec![state(None, id)]);
    let deleted = &client.ask(6, &request).await.responses[0];
    assert_eq!(error(deleted.error_code), ErrorCode::None);
    assert_eq!(deleted.name, Some(name("t")));
    let again = &client.ask(6, &request).await.responses[0];
    assert_eq!(error(again.error_code), ErrorCode::UnknownTopicId);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_not_clear_deletes_nothing() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let id = client.describe("t").await.topic_id;
    let cases = [
        (
            vec![state(Some("t"), id)],
            "You may not specify both topic name and topic id.",
        ),
        (
            vec![state(None, Uuid::nil())],
            "Neither topic name nor id were specified.",
        ),
        (
            vec![state(Some("t"), Uuid::nil()), state(Some("t"), Uuid::nil())],
            "Duplicate topic name.",
        ),
        (
            vec![state(None, id), state(None, id)],
            "Duplicate topic id.",
        ),
        (
            vec![state(None, id), state(Some("t"), Uuid::nil())],
            "The provided topic name maps to an ID that was already supplied.",
        ),
    ];
    for (topics, words) in cases {
        let request = DeleteTopicsRequest::default().with_topics(topics);
        let responses = client.ask(6, &request).await.responses;
        assert_eq!(responses.len(), 1, "{words}");
        assert_eq!(error(responses[0].error_code), ErrorCode::InvalidRequest);
        assert_eq!(responses[0].error_message.as_deref(), Some(words));
    }
    assert_eq!(client.describe("t").await.error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_can_be_switched_off() {
    let broker = Broker::start(&["delete.topic.enable=false"]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    let code = client.ask(5, &request).await.responses[0].error_code;
    assert_eq!(error(code), ErrorCode::TopicDeletionDisabled);
    let code = client.ask(2, &request).await.responses[0].error_code;
    assert_eq!(error(code), ErrorCode::InvalidRequest);
    assert_eq!(client.describe("t").await.error_code, 0);
}

fn more(topic: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default()
        .with_name(name(topic))
        .with_count(count)
        .with_assignments(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_grows_and_takes_records_in_new_partitions() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for version in 0..=3 {
        let topic = format!("v{version}");
        client.topic(&topic, 1, &[]).await;
        let request = CreatePartitionsRequest::default().with_topics(vec![more(&topic, 3)]);
        let only = request.clone().with_validate_only(true);
        assert_eq!(client.ask(version, &only).await.results[0].error_code, 0);
        assert_eq!(client.describe(&topic).await.partitions.len(), 1);
        assert_eq!(client.ask(version, &request).await.results[0].error_code, 0);
        assert_eq!(client.led(&topic).await.partitions.len(), 3);
        client.fill(&topic, 2, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_that_is_none_is_refused() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    let on = |ids: &[i32]| {
        CreatePartitionsAssignment::default()
            .with_broker_ids(ids.iter().map(|id| BrokerId(*id)).collect())
    };
    let cases = [
        (
            more("t", 2),
            ErrorCode::InvalidPartitions,
            Some("Topic already has 2 partition(s)."),
        ),
        (
            more("t", -1),
            ErrorCode::InvalidPartitions,
            Some("The topic t currently has 2 partition(s); -1 would not be an increase."),
        ),
        (
            more("t", 4).with_assignments(Some(vec![on(&[1])])),
            ErrorCode::InvalidReplicaAssignment,
            Some(
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
            ),
        ),
        (
            more("t", 3).with_assignments(Some(vec![on(&[1, 1])])),
            ErrorCode::InvalidReplicaAssignment,
            Some("The manual partition assignment includes the broker 1 more than once."),
        ),
        (more("no", 3), ErrorCode::UnknownTopicOrPartition, None),
        (
            more("t", 20_000),
            ErrorCode::PolicyViolation,
            Some("Excessively large number of additional partitions per request."),
        ),
    ];
    for (asked, code, words) in cases {
        let request = CreatePartitionsRequest::default().with_topics(vec![asked]);
        let result = &client.ask(3, &request).await.results[0];
        assert_eq!(error(result.error_code), code, "{words:?}");
        assert_eq!(result.error_message.as_deref(), words);
    }
    assert_eq!(client.describe("t").await.partitions.len(), 2);
}
