//! DescribeCluster, DescribeTopicPartitions, DescribeLogDirs, FindCoordinator, Metadata.

use crate::rig::{Broker, batch, error, name, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use millrace_wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use millrace_wire::messages::metadata_request::MetadataRequestTopic;
use millrace_wire::messages::{
    BrokerId, DescribeClusterRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    FindCoordinatorRequest, MetadataRequest, MetadataResponse, Uuid,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_described_to_clients_of_brokers() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let (_, address) = &broker.server.addresses[0];
    let request =
        DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    for version in 0..=2 {
        let response = client.ask(version, &request).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        assert_eq!(*response.cluster_id, *broker.server.broker.cluster_id);
        assert_eq!(response.controller_id, BrokerId(1));
        assert_eq!(response.brokers.len(), 1);
        assert_eq!(response.brokers[0].port, i32::from(address.port()));
        assert!(response.cluster_authorized_operations > 0);
    }
    let controllers = DescribeClusterRequest::default().with_endpoint_type(2);
    let response = client.ask(1, &controllers).await;
    assert_eq!(
        error(response.error_code),
        ErrorCode::MismatchedEndpointType
    );
    assert_eq!(
        response.error_message.as_deref(),
        Some(
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
        )
    );
    let other = DescribeClusterRequest::default().with_endpoint_type(9);
    let code = client.ask(2, &other).await.error_code;
    assert_eq!(error(code), ErrorCode::UnsupportedEndpointType);
}

fn asked(names: &[&str]) -> Vec<TopicRequest> {
    let topics = names
        .iter()
        .map(|topic| TopicRequest::default().with_name(name(topic)));
    topics.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_told_in_pages_by_name() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for (topic, partitions) in [("c", 1), ("a", 2), ("b", 3)] {
        client.topic(topic, partitions, &[]).await;
    }
    let mut request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(2);
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let response = client.ask(0, &request).await;
        pages += 1;
        for topic in response.topics {
            assert_eq!(error(topic.error_code), ErrorCode::None);
            assert!(topic.topic_authorized_operations > 0);
            for partition in topic.partitions {
                assert_eq!(partition.leader_id, BrokerId(1));
                assert_eq!(partition.eligible_leader_replicas, Some(Vec::new()));
                let of = topic.name.as_ref().unwrap().to_string();
                seen.push((of, partition.partition_index));
            }
        }
        let Some(next) = response.next_cursor else {
            break;
        };
        let cursor = Cursor::default()
            .with_topic_name(next.topic_name)
            .with_partition_index(next.partition_index);
        request.cursor = Some(cursor);
    }
    let all = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", 0)];
    let all = all.map(|(topic, partition)| (topic.to_owned(), partition));
    assert_eq!((seen, pages), (all.to_vec(), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_not_there_and_cursors_that_point_nowhere_are_refused() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("b", 1, &[]).await;
    let request = DescribeTopicPartitionsRequest::default().with_topics(asked(&["no", "b", "a b"]));
    let topics = client.ask(0, &request).await.topics;
    let told = topics.iter().map(|topic| {
        let name = topic.name.as_ref().unwrap().to_string();
        (name, error(topic.error_code))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("a b".to_owned(), ErrorCode::InvalidTopicException),
            ("b".to_owned(), ErrorCode::None),
            ("no".to_owned(), ErrorCode::UnknownTopicOrPartition),
        ]
    );
    for (topic, partition) in [("z", 0), ("b", -1)] {
        let cursor = Cursor::default()
            .with_topic_name(name(topic))
            .with_partition_index(partition);
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(asked(&["b"]))
            .with_cursor(Some(cursor));
        let topics = client.ask(0, &request).await.topics;
        assert_eq!(error(topics[0].error_code), ErrorCode::InvalidRequest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_described_with_what_lies_in_them() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    client.topic("other", 1, &[]).await;
    client.fill("t", 1, 3).await;
    for version in 1..=5 {
        let all = DescribeLogDirsRequest::default().with_topics(None);
        let mut response = client.ask(version, &all).await;
        assert_eq!(response.results.len(), 1);
        let directory = response.results.remove(0);
        assert_eq!(error(directory.error_code), ErrorCode::None);
        assert_eq!(*directory.log_dir, broker.directory().display().to_string());
        if version >= 4 {
            assert!(directory.total_bytes >= directory.usable_bytes);
            assert!(directory.usable_bytes > 0);
        }
        let names: Vec<&str> = directory.topics.iter().map(|topic| &**topic.name).collect();
        assert_eq!(names, ["other", "t"]);
        let sizes: Vec<i64> = directory.topics[1]
            .partitions
            .iter()
            .map(|partition| partition.partition_size)
            .collect();
        assert_eq!(sizes[0], 0);
        assert!(sizes[1] >= 3 * batch(&["v"]).len() as i64, "{sizes:?}");
    }
    let one = DescribableLogDirTopic::default()
        .with_topic(name("t"))
        .with_partitions(vec![1, 9]);
    let some = DescribeLogDirsRequest::default().with_topics(Some(vec![one]));
    let directory = client.ask(4, &some).await.results.remove(0);
    assert_eq!(directory.topics.len(), 1);
    assert_eq!(directory.topics[0].partitions.len(), 1);
    assert_eq!(directory.topics[0].partitions[0].partition_index, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_have_a_coordinator_and_transactions_have_none_yet() {
    let broker = Broker::start(&["offsets.topic.num.partitions=2"]).await;
    let mut client = broker.connect().await;
    let (_, address) = &broker.server.addresses[0];
    for version in 0..=3 {
        let request = FindCoordinatorRequest::default().with_key(text("g"));
        let response = client.ask(version, &request).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        assert_eq!(response.node_id, BrokerId(1));
        assert_eq!(response.port, i32::from(address.port()));
    }
    for version in 4..=6 {
        let request = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![text("a"), text("b")]);
        let coordinators = client.ask(version, &request).await.coordinators;
        let told = coordinators
            .iter()
            .map(|one| (one.key.to_string(), error(one.error_code)));
        assert_eq!(
            coordinators[0].error_message.as_deref(),
            Some("transactions are not served yet")
        );
        let missing = ErrorCode::UnsupportedVersion;
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("a".to_owned(), missing), ("b".to_owned(), missing)]
        );
        let bad = request.with_key_type(7);
        let coordinators = client.ask(version, &bad).await.coordinators;
        assert_eq!(error(coordinators[0].error_code), ErrorCode::InvalidRequest);
    }
}

fn metadata_of(topic: &str, makes: bool) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(makes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_when_it_is_asked_for_and_that_is_allowed() {
    let broker = Broker::start(&["num.partitions=2"]).await;
    let mut client = broker.connect().await;
    let code = client.ask(9, &metadata_of("t", false)).await.topics[0].error_code;
    assert_eq!(error(code), ErrorCode::UnknownTopicOrPartition);
    client.ask(9, &metadata_of("t", true)).await;
    assert_eq!(client.led("t").await.partitions.len(), 2);
    let code = client.ask(9, &metadata_of("a b", true)).await.topics[0].error_code;
    assert_eq!(error(code), ErrorCode::InvalidTopicException);
    let strict = Broker::start(&["auto.create.topics.enable=false"]).await;
    let mut client = strict.connect().await;
    let code = client.ask(9, &metadata_of("t", true)).await.topics[0].error_code;
    assert_eq!(error(code), ErrorCode::UnknownTopicOrPartition);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_tells_all_topics_or_none_in_every_version() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("a", 1, &[]).await;
    client.topic("b", 2, &[]).await;
    for version in 0..=13 {
        let all = MetadataRequest::default().with_topics(match version {
            0 => Some(Vec::new()),
            _ => None,
        });
        let response = client.ask(version, &all).await;
        assert_eq!(response.brokers[0].node_id, BrokerId(1));
        let mut names: Vec<String> = response
            .topics
            .iter()
            .map(|topic| topic.name.as_ref().unwrap().to_string())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "b"], "version {version}");
        if version > 0 {
            let none = MetadataRequest::default().with_topics(Some(Vec::new()));
            assert!(client.ask(version, &none).await.topics.is_empty());
        }
    }
}

fn topic_asked(name: Option<&str>, id: Uuid) -> MetadataRequestTopic {
    let mut topic = MetadataRequestTopic::default();
    topic.name = name.map(crate::rig::name);
    topic.topic_id = id;
    topic
}

fn names_of(response: &MetadataResponse) -> Vec<Option<String>> {
    let topics = response.topics.iter();
    topics
        .map(|topic| topic.name.as_ref().map(|name| name.to_string()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_tells_once_what_is_asked_for_twice() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("a", 1, &[]).await;
    client.topic("b", 1, &[]).await;
    let id = client.describe("a").await.topic_id;
    let unknown = Uuid::from_u128(7);
    let request = |topics| {
        MetadataRequest::default()
            .with_topics(Some(topics))
            .with_allow_auto_topic_creation(false)
    };
    let by_name = |name| topic_asked(Some(name), Uuid::nil());
    let by_id = |id| topic_asked(None, id);
    let some = |name: &str| Some(name.to_owned());
    for version in 4..=13 {
        let names = vec![by_name("b"), by_name("no"), by_name("b"), by_name("no")];
        let response = client.ask(version, &request(names)).await;
        assert_eq!(names_of(&response), [some("b"), some("no")], "{version}");
    }
    for version in 12..=13 {
        let ids = vec![by_id(id), by_id(unknown), by_id(id), by_id(unknown)];
        let response = client.ask(version, &request(ids)).await;
        assert_eq!(names_of(&response), [some("a"), None]);
        let mixed = vec![by_name("b"), by_id(id)];
        let response = client.ask(version, &request(mixed)).await;
        assert_eq!(names_of(&response), [some("a")], "ids only");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_named_makes_the_request_invalid() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("a", 1, &[]).await;
    let id = client.describe("a").await.topic_id;
    let nameless = |version, topics: Vec<MetadataRequestTopic>| {
        let mut request = MetadataRequest::default().with_topics(Some(topics));
        request.allow_auto_topic_creation = false;
        (version, request)
    };
    for (version, request) in [
        nameless(10, vec![topic_asked(None, id)]),
        nameless(11, vec![topic_asked(Some("a"), id)]),
        nameless(
            11,
            vec![topic_asked(Some("a"), Uuid::nil()), topic_asked(None, id)],
        ),
        nameless(12, vec![topic_asked(None, Uuid::nil())]),
        nameless(13, vec![topic_asked(None, Uuid::nil())]),
    ] {
        let response = client.ask(version, &request).await;
        assert!(response.brokers.is_empty(), "version {version}");
        for topic in &response.topics {
            assert_eq!(error(topic.error_code), ErrorCode::InvalidRequest);
            assert!(topic.partitions.is_empty());
        }
    }
}
