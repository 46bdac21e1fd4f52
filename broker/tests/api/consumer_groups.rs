//! Consumer groups by the newer protocol (KIP-848).

use crate::rig::{Broker, Client, error, name, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::consumer_group_describe_response::DescribedGroup;
use millrace_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use millrace_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use millrace_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};
use uuid::Uuid;

const FEW: &[&str] = &["offsets.topic.num.partitions=3"];

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

async fn coordinated(client: &mut Client, id: &str) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(id)]);
    let response = client.ask(4, &request).await;
    assert_eq!(error(response.coordinators[0].error_code), ErrorCode::None);
}

fn heartbeat(id: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_instance_id(None)
        .with_rack_id(None)
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(None)
        .with_server_assignor(None)
        .with_topic_partitions(None)
}

fn join(id: &str, member: &str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    heartbeat(id, member, 0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![name(topic)]))
        .with_topic_partitions(Some(Vec::new()))
}

fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Vec<(Uuid, Vec<i32>)> {
    let assignment = response.assignment.as_ref().expect("an assignment");
    let topics = assignment.topic_partitions.iter();
    topics
        .map(|topic| (topic.topic_id, topic.partitions.clone()))
        .collect()
}

async fn describe(client: &mut Client, id: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(id)]);
    client.ask(1, &request).await.groups.remove(0)
}

async fn commit(client: &mut Client, id: &str, topic: Uuid, epoch: i32, offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_topic_id(topic)
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_member_id(text("a"))
        .with_generation_id_or_member_epoch(epoch)
        .with_topics(vec![topic]);
    let response = client.ask(10, &request).await;
    error(response.topics[0].partitions[0].error_code)
}

#[tokio::test]
async fn a_member_reads_commits_and_is_described() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    let joined = client.ask(1, &join("g", "a", "t")).await;
    assert_eq!(error(joined.error_code), ErrorCode::None, "{joined:?}");
    assert_eq!(joined.member_id.as_deref(), Some("a"));
    assert_eq!(
        (joined.member_epoch, joined.heartbeat_interval_ms),
        (2, 5_000)
    );
    let (topic, partitions) = assigned(&joined).remove(0);
    assert_eq!(partitions, [0, 1]);

    let there = client.ask(1, &heartbeat("g", "a", 2)).await;
    assert_eq!(
        (error(there.error_code), there.member_epoch),
        (ErrorCode::None, 2)
    );
    assert_eq!(there.assignment, None);

    assert_eq!(commit(&mut client, "g", topic, 2, 7).await, ErrorCode::None);
    let stale = commit(&mut client, "g", topic, 3, 8).await;
    assert_eq!(stale, ErrorCode::StaleMemberEpoch);
    for (epoch, expected) in [(2, ErrorCode::None), (1, ErrorCode::StaleMemberEpoch)] {
        let topics = OffsetFetchRequestTopics::default()
            .with_topic_id(topic)
            .with_partition_indexes(vec![0]);
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_member_id(Some(text("a")))
            .with_member_epoch(epoch)
            .with_topics(Some(vec![topics]));
        let request = OffsetFetchRequest::default().with_groups(vec![asked]);
        let fetched = client.ask(10, &request).await.groups.remove(0);
        assert_eq!(error(fetched.error_code), expected);
        if expected == ErrorCode::None {
            assert_eq!(fetched.topics[0].partitions[0].committed_offset, 7);
        }
    }

    let described = describe(&mut client, "g").await;
    assert_eq!(&*described.group_state, "Stable");
    assert_eq!((described.group_epoch, described.assignment_epoch), (2, 2));
    assert_eq!(&*described.assignor_name, "uniform");
    let member = &described.members[0];
    assert_eq!((&*member.member_id, member.member_type), ("a", 1));
    assert_eq!(&*member.client_host, "/127.0.0.1");
    let place = &member.assignment.topic_partitions[0];
    assert_eq!(
        (&*place.topic_name.0, &place.partitions[..]),
        ("t", &[0, 1][..])
    );
    assert_eq!(member.target_assignment, member.assignment);

    let listed = client.ask(5, &ListGroupsRequest::default()).await.groups;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&*listed[0].group_type, &*listed[0].group_state),
        ("consumer", "Stable")
    );
    let request = DescribeGroupsRequest::default().with_groups(vec![group("g")]);
    let classic = client.ask(6, &request).await.groups.remove(0);
    assert_eq!(error(classic.error_code), ErrorCode::GroupIdNotFound);

    let left = client.ask(1, &heartbeat("g", "a", -1)).await;
    assert_eq!(
        (error(left.error_code), left.member_epoch),
        (ErrorCode::None, -1)
    );
    assert_eq!(&*describe(&mut client, "g").await.group_state, "Empty");
}

#[tokio::test]
async fn members_and_partitions_are_where_they_were_after_a_restart() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 3, &[]).await;
    coordinated(&mut client, "g").await;
    let joined = client.ask(1, &join("g", "a", "t")).await;
    assert_eq!(assigned(&joined)[0].1, [0, 1, 2]);
    let before = describe(&mut client, "g").await;
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    let there = loop {
        let there = client.ask(1, &heartbeat("g", "a", 2)).await;
        if error(there.error_code) != ErrorCode::CoordinatorLoadInProgress {
            break there;
        }
    };
    assert_eq!(
        (error(there.error_code), there.member_epoch),
        (ErrorCode::None, 2)
    );
    assert_eq!(describe(&mut client, "g").await, before);
}

#[tokio::test]
async fn a_topic_that_comes_is_assigned_and_one_that_goes_is_given_back() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    let by_pattern = join("g", "a", "t")
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(Some(text("logs-.*")));
    let joined = client.ask(1, &by_pattern).await;
    assert_eq!(assigned(&joined), []);
    client.topic("logs-1", 1, &[]).await;
    client.topic("other", 1, &[]).await;
    // Two decisions are at least so far apart.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let told = client.ask(1, &heartbeat("g", "a", 2)).await;
    assert_eq!(assigned(&told)[0].1, [0]);
    assert_eq!(told.member_epoch, 3);
    let owned = TopicPartitions::default()
        .with_topic_id(assigned(&told)[0].0)
        .with_partitions(vec![0]);
    let there = heartbeat("g", "a", 3).with_topic_partitions(Some(vec![owned]));
    assert_eq!(
        error(client.ask(1, &there).await.error_code),
        ErrorCode::None
    );
}

#[tokio::test]
async fn what_a_member_says_wrong_is_named() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    let bad =
        |request: ConsumerGroupHeartbeatRequest, code, part: &'static str| (request, code, part);
    for (request, code, part) in [
        bad(join("", "a", "t"), ErrorCode::InvalidRequest, "GroupId"),
        bad(join("g", "", "t"), ErrorCode::InvalidRequest, "MemberId"),
        bad(
            heartbeat("g", "a", 2),
            ErrorCode::GroupIdNotFound,
            "Group g not found",
        ),
        bad(
            join("g", "a", "t").with_subscribed_topic_regex(Some(text("("))),
            ErrorCode::InvalidRegularExpression,
            "`(`",
        ),
        bad(
            join("g", "a", "t").with_server_assignor(Some(text("best"))),
            ErrorCode::UnsupportedAssignor,
            "best",
        ),
    ] {
        let response = client.ask(1, &request).await;
        assert_eq!(error(response.error_code), code, "{request:?}");
        let message = response.error_message.expect("a message");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(
        client.ask(5, &ListGroupsRequest::default()).await.groups,
        []
    );
}
