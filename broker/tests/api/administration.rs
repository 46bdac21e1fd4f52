//! What administrators ask of a cluster: DescribeQuorum, features, elections, reassignments, brokers.

use crate::rig::{Broker, Client, error, name, text};
use millrace_broker::metadata::{Broker as Registered, Command};
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use millrace_wire::messages::describe_quorum_request::{PartitionData, TopicData};
use millrace_wire::messages::elect_leaders_request::TopicPartitions;
use millrace_wire::messages::update_features_request::FeatureUpdateKey;
use millrace_wire::messages::{
    AlterPartitionReassignmentsRequest, ApiVersionsRequest, BrokerId, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, DescribeQuorumRequest, ElectLeadersRequest, GroupId,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest, Uuid,
};

fn of_quorum(asked: &[(&str, &[i32])]) -> DescribeQuorumRequest {
    let topics = asked.iter().map(|(topic, partitions)| {
        let partitions = partitions
            .iter()
            .map(|index| PartitionData::default().with_partition_index(*index));
        TopicData::default()
            .with_topic_name(name(topic))
            .with_partitions(partitions.collect())
    });
    DescribeQuorumRequest::default().with_topics(topics.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quorum_of_the_metadata_is_this_broker() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let (_, address) = &broker.server.addresses[0];
    let request = of_quorum(&[("__cluster_metadata", &[0])]);
    let mut last = 0;
    for version in 0..=2 {
        client.topic(&format!("t{version}"), 1, &[]).await;
        let response = client.ask(version, &request).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(error(partition.error_code), ErrorCode::None);
        assert_eq!(partition.leader_id, BrokerId(1));
        assert!(partition.leader_epoch >= 1);
        let committed = broker.server.broker.metadata.image().version as i64;
        assert!(
            partition.high_watermark > committed.min(last),
            "{partition:?}"
        );
        assert!(partition.high_watermark > last, "a topic was made");
        last = partition.high_watermark;
        assert!(partition.observers.is_empty());
        let [voter] = &*partition.current_voters else {
            panic!("one voter, not {:?}", partition.current_voters);
        };
        assert_eq!(voter.replica_id, BrokerId(1));
        assert!(voter.log_end_offset >= partition.high_watermark);
        if version >= 1 {
            let now_ms = millrace_broker::clock::now_ms();
            assert!((now_ms - voter.last_caught_up_timestamp).abs() < 60_000);
        }
        if version >= 2 {
            let file = broker.directory().join("meta.properties");
            let meta = std::fs::read_to_string(file).unwrap();
            let id = millrace_wire::uuid::to_text(voter.replica_directory_id);
            assert!(meta.contains(&format!("directory.id={id}")), "{id}: {meta}");
            assert_ne!(voter.replica_directory_id, Uuid::nil());
            assert_eq!(response.nodes[0].node_id, BrokerId(1));
            assert_eq!(response.nodes[0].listeners[0].port, address.port());
        }
    }
    let before = broker.server.broker.metadata_directory_id;
    let broker = broker.restart().await;
    assert_eq!(broker.server.broker.metadata_directory_id, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_metadata_has_a_quorum_that_is_told() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let asked: [&[(&str, &[i32])]; 5] = [
        &[("t", &[0])],
        &[("__cluster_metadata", &[1])],
        &[("__cluster_metadata", &[0, 0])],
        &[("__cluster_metadata", &[0]), ("t", &[0])],
        &[("__cluster_metadata", &[])],
    ];
    for asked in asked {
        let response = client.ask(2, &of_quorum(asked)).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        assert_eq!(response.topics.len(), asked.len());
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let code = error(partition.error_code);
            assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
            assert!(partition.current_voters.is_empty());
        }
    }
}

async fn features(
    client: &mut Client,
    version: i16,
) -> (Vec<(String, i16, i16)>, Vec<(String, i16)>, i64) {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1.0"));
    let response = client.ask(version, &request).await;
    let supported = response.supported_features.iter();
    let supported = supported.map(|one| (one.name.to_string(), one.min_version, one.max_version));
    let finalized = response.finalized_features.iter();
    let finalized = finalized.map(|one| {
        assert_eq!(one.min_version_level, one.max_version_level);
        (one.name.to_string(), one.max_version_level)
    });
    (
        supported.collect(),
        finalized.collect(),
        response.finalized_features_epoch,
    )
}

async fn update(
    client: &mut Client,
    version: i16,
    feature: &str,
    level: i16,
    kind: i8,
    validate_only: bool,
) -> (ErrorCode, String) {
    let mut key = FeatureUpdateKey::default()
        .with_feature(text(feature))
        .with_max_version_level(level);
    match version {
        0 => key.allow_downgrade = kind > 1,
        _ => key.upgrade_type = kind,
    }
    let request = UpdateFeaturesRequest::default()
        .with_feature_updates(vec![key])
        .with_validate_only(validate_only);
    let response = client.ask(version, &request).await;
    let code = error(response.error_code);
    let has_results = version < 2 && code == ErrorCode::None;
    assert_eq!(response.results.len(), usize::from(has_results));
    let words = response.error_message.as_ref().map(ToString::to_string);
    (code, words.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn features_that_work_are_told_and_no_others() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for version in 0..=2 {
        assert_eq!(features(&mut client, version).await, (vec![], vec![], -1));
    }
    let of = |name: &str, level: i16| (name.to_owned(), level);
    let both = [of("group.version", 1), of("metadata.version", 30)];
    let (supported, finalized, epoch) = features(&mut client, 3).await;
    assert_eq!(supported, [("metadata.version".to_owned(), 30, 30)]);
    assert_eq!(finalized, both);
    assert!(epoch >= 0);
    let (supported, finalized, _) = features(&mut client, 4).await;
    let of_groups = ("group.version".to_owned(), 0, 1);
    assert_eq!(
        supported,
        [of_groups, ("metadata.version".to_owned(), 30, 30)]
    );
    assert_eq!(finalized, both);
}

const UP: i8 = 1;
const DOWN: i8 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn without_group_version_there_are_no_consumer_groups() {
    let broker = Broker::start(&["offsets.topic.num.partitions=1"]).await;
    let mut client = broker.connect().await;
    let (.., before) = features(&mut client, 4).await;
    let done = (ErrorCode::None, String::new());
    assert_eq!(
        update(&mut client, 1, "group.version", 0, DOWN, true).await,
        done
    );
    assert_eq!(
        features(&mut client, 4).await.1.len(),
        2,
        "it was only asked"
    );
    assert_eq!(
        update(&mut client, 0, "group.version", 0, DOWN, false).await,
        done
    );
    let (_, finalized, after) = features(&mut client, 4).await;
    assert_eq!(finalized, [("metadata.version".to_owned(), 30)]);
    assert!(after > before, "the epoch rises: {before}, {after}");
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert_eq!(features(&mut client, 4).await.1.len(), 1, "it is kept");
    let beat = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text("m"))
        .with_rebalance_timeout_ms(1_000)
        .with_subscribed_topic_names(Some(vec![]))
        .with_topic_partitions(Some(vec![]));
    let refused = client.ask(1, &beat).await;
    assert_eq!(error(refused.error_code), ErrorCode::UnsupportedVersion);
    let describe = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text("g"))]);
    let refused = &client.ask(1, &describe).await.groups[0];
    assert_eq!(error(refused.error_code), ErrorCode::UnsupportedVersion);
    assert_eq!(
        update(&mut client, 2, "group.version", 1, UP, false).await,
        done
    );
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match error(client.ask(1, &beat).await.error_code) {
            ErrorCode::None => break,
            // The topic of the groups is made first.
            ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator => {}
            other => panic!("{other:?}"),
        }
        assert!(std::time::Instant::now() < give_up, "no group within 30 s");
        client.ask(3, &find_coordinator()).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn find_coordinator() -> millrace_wire::messages::FindCoordinatorRequest {
    millrace_wire::messages::FindCoordinatorRequest::default().with_key(text("g"))
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_that_do_not_work_are_refused_in_kafkas_words() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let cases = [
        (
            1,
            "group.version",
            2,
            UP,
            "version 2 for feature group.version. Local controller 1 only supports versions 0-1",
        ),
        (
            1,
            "group.version",
            0,
            UP,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ),
        (
            0,
            "group.version",
            0,
            UP,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ),
        (
            2,
            "transaction.version",
            2,
            UP,
            "Local controller 1 does not support this feature.",
        ),
        (
            2,
            "metadata.version",
            25,
            DOWN,
            "Local controller 1 only supports versions 30",
        ),
        (
            2,
            "group.version",
            1,
            9,
            "The controller does not support the given upgrade type.",
        ),
        (
            2,
            "group.version",
            -1,
            DOWN,
            "A feature version cannot be less than 0.",
        ),
    ];
    for (version, feature, level, kind, expected) in cases {
        let (code, words) = update(&mut client, version, feature, level, kind, false).await;
        assert_eq!(code, ErrorCode::InvalidUpdateVersion);
        assert!(words.starts_with("The update failed for all features since the following feature had an error: Invalid update version "));
        assert!(words.ends_with(expected), "{words}");
    }
}

async fn elect(
    client: &mut Client,
    version: i16,
    kind: i8,
    asked: Option<&[(&str, &[i32])]>,
) -> (ErrorCode, Vec<(String, i32, ErrorCode)>) {
    let topics = asked.map(|asked| {
        let topics = asked.iter().map(|(topic, partitions)| {
            TopicPartitions::default()
                .with_topic(name(topic))
                .with_partitions(partitions.to_vec())
        });
        topics.collect()
    });
    let request = ElectLeadersRequest::default()
        .with_election_type(kind)
        .with_topic_partitions(topics);
    let response = client.ask(version, &request).await;
    let mut told = Vec::new();
    for topic in &response.replica_election_results {
        for one in &topic.partition_result {
            assert!(one.error_message.is_some());
            told.push((
                topic.topic.to_string(),
                one.partition_id,
                error(one.error_code),
            ));
        }
    }
    (error(response.error_code), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_elected_where_the_right_one_leads() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    let of = |topic: &str, index, code| (topic.to_owned(), index, code);
    for (version, kind) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let asked: &[(&str, &[i32])] = &[("t", &[1, 7, 0, -1]), ("no", &[0])];
        let (code, told) = elect(&mut client, version, kind, Some(asked)).await;
        assert_eq!(code, ErrorCode::None);
        assert_eq!(
            told,
            [
                of("t", 1, ErrorCode::ElectionNotNeeded),
                of("t", 7, ErrorCode::UnknownTopicOrPartition),
                of("t", 0, ErrorCode::ElectionNotNeeded),
                of("t", -1, ErrorCode::UnknownTopicOrPartition),
                of("no", 0, ErrorCode::UnknownTopicOrPartition),
            ]
        );
        let all = elect(&mut client, version, kind, None).await;
        assert_eq!(all, (ErrorCode::None, vec![]), "all of them");
    }
    let (code, told) = elect(&mut client, 2, 9, Some(&[("t", &[0])])).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert_eq!(told, [of("t", 0, ErrorCode::InvalidRequest)]);
}

/// A broker that once was.
async fn with_a_dead_broker(broker: &Broker) {
    let dead = Registered {
        id: 2,
        endpoints: Vec::new(),
        rack: None,
        peer: None,
        metadata_replica: 2,
    };
    let command = Command::RegisterBroker(dead);
    broker.server.broker.metadata.submit(command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_elsewhere_cannot_be_elected() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    with_a_dead_broker(&broker).await;
    let assignment =
        millrace_wire::messages::create_topics_request::CreatableReplicaAssignment::default()
            .with_broker_ids(vec![BrokerId(2)]);
    let new = crate::rig::new_topic("t", -1, -1, &[]).with_assignments(vec![assignment]);
    assert_eq!(error(client.create(new).await.error_code), ErrorCode::None);
    let expected = [
        (0, ErrorCode::PreferredLeaderNotAvailable),
        (1, ErrorCode::EligibleLeadersNotAvailable),
    ];
    for (kind, code) in expected {
        let of = vec![("t".to_owned(), 0, code)];
        assert_eq!(
            elect(&mut client, 2, kind, Some(&[("t", &[0])])).await.1,
            of
        );
        assert_eq!(elect(&mut client, 2, kind, None).await.1, of);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_reassigned_to_brokers_that_are_known_and_that_can_be_given_up() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    with_a_dead_broker(&broker).await;
    let unknown_broker =
        "The manual partition assignment includes broker 99, but no such broker is registered.";
    let cases: [(&str, i32, Option<&[i32]>, ErrorCode, Option<&str>); 8] = [
        ("t", 0, Some(&[1]), ErrorCode::None, None),
        (
            "t",
            0,
            Some(&[99]),
            ErrorCode::InvalidReplicaAssignment,
            Some(unknown_broker),
        ),
        // That broker is not there: it is waited for.
        ("t", 0, Some(&[2]), ErrorCode::None, None),
        (
            "t",
            0,
            Some(&[]),
            ErrorCode::InvalidReplicaAssignment,
            Some("The manual partition assignment includes an empty replica list."),
        ),
        ("t", 0, None, ErrorCode::None, None),
        ("t", 0, None, ErrorCode::NoReassignmentInProgress, None),
        (
            "t",
            7,
            None,
            ErrorCode::UnknownTopicOrPartition,
            Some("Unable to find partition t:7."),
        ),
        (
            "no",
            0,
            Some(&[1]),
            ErrorCode::UnknownTopicOrPartition,
            Some("Unable to find a topic named no."),
        ),
    ];
    for version in 0..=1 {
        for (topic, index, replicas, code, words) in cases {
            let replicas = replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
            let partition = ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(replicas);
            let asked = ReassignableTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![partition]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![asked]);
            let response = client.ask(version, &request).await;
            assert_eq!(error(response.error_code), ErrorCode::None);
            let answer = &response.responses[0].partitions[0];
            assert_eq!(error(answer.error_code), code, "{answer:?}");
            assert_eq!(answer.error_message.as_deref(), words);
        }
        // What was given up ends within a moment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let listed = client
                .ask(
                    0,
                    &ListPartitionReassignmentsRequest::default().with_topics(None),
                )
                .await;
            assert_eq!(listed.error_code, 0);
            if listed.topics.is_empty() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{listed:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert_eq!(
        broker
            .server
            .broker
            .metadata
            .image()
            .topic("t")
            .unwrap()
            .partitions[0]
            .replicas,
        [1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_no_more_can_be_forgotten() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    with_a_dead_broker(&broker).await;
    let mut unregister = async |id: i32| {
        let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
        let response = client.ask(0, &request).await;
        let words = response.error_message.as_ref().map(ToString::to_string);
        (error(response.error_code), words.unwrap_or_default())
    };
    assert_eq!(unregister(2).await, (ErrorCode::None, String::new()));
    let unknown = "Broker ID 2 is not currently registered".to_owned();
    assert_eq!(
        unregister(2).await,
        (ErrorCode::BrokerIdNotRegistered, unknown)
    );
    let (code, _) = unregister(1).await;
    assert_eq!(code, ErrorCode::InvalidRequest, "it is alive");
    assert!(
        broker
            .server
            .broker
            .metadata
            .image()
            .brokers
            .contains_key(&1)
    );
}
