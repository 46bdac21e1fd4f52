//! Classic consumer groups and their offsets.

use crate::rig::{Broker, Client, error, name, text};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::messages::join_group_request::JoinGroupRequestProtocol;
use millrace_wire::messages::leave_group_request::MemberIdentity;
use millrace_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace_wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use millrace_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use millrace_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use millrace_wire::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest, SyncGroupResponse,
};
use std::time::Duration;

const FEW: &[&str] = &[
    "offsets.topic.num.partitions=3",
    "group.initial.rebalance.delay.ms=50",
];

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

async fn coordinated(client: &mut Client, id: &str) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(id)]);
    let response = client.ask(4, &request).await;
    let found = &response.coordinators[0];
    assert_eq!(error(found.error_code), ErrorCode::None, "{found:?}");
    assert_eq!(found.node_id.0, 1);
    assert!(found.port > 0);
}

fn join(id: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0"));
    JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn sync(
    id: &str,
    member: &str,
    generation: i32,
    work: &[(&str, &'static str)],
) -> SyncGroupRequest {
    let work = work.iter().map(|(member, work)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::from_static(work.as_bytes()))
    });
    SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(work.collect())
}

/// A member by itself, in a settled group: its id and generation.
async fn alone(client: &mut Client, id: &str) -> (String, i32) {
    let joined: JoinGroupResponse = client.ask(3, &join(id, "")).await;
    assert_eq!(error(joined.error_code), ErrorCode::None, "{joined:?}");
    let member = joined.member_id.to_string();
    assert_eq!(*joined.leader, member);
    let request = sync(id, &member, joined.generation_id, &[(&member, "all")]);
    let synced: SyncGroupResponse = client.ask(3, &request).await;
    assert_eq!(error(synced.error_code), ErrorCode::None);
    assert_eq!(&synced.assignment[..], b"all");
    (member, joined.generation_id)
}

async fn heartbeat(client: &mut Client, id: &str, member: &str, generation: i32) -> ErrorCode {
    let request = HeartbeatRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_generation_id(generation);
    error(client.ask(3, &request).await.error_code)
}

async fn commit(
    client: &mut Client,
    id: &str,
    (member, generation): (&str, i32),
    (topic, partition, offset): (&str, i32, i64),
) -> ErrorCode {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("why")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    let response = client.ask(8, &request).await;
    error(response.topics[0].partitions[0].error_code)
}

/// The offsets of partitions 0 and 1 of a topic.
async fn committed(client: &mut Client, id: &str, topic: &str) -> Vec<i64> {
    let found = ask_committed(client, id, topic).await;
    found.expect("the group is served")
}

async fn ask_committed(client: &mut Client, id: &str, topic: &str) -> Result<Vec<i64>, ErrorCode> {
    let topics = OffsetFetchRequestTopics::default()
        .with_name(name(topic))
        .with_partition_indexes(vec![0, 1]);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group(id))
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let response = client.ask(8, &request).await;
    let found = &response.groups[0];
    if found.error_code != 0 {
        return Err(error(found.error_code));
    }
    let partitions = found.topics[0].partitions.iter();
    Ok(partitions.map(|one| one.committed_offset).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_work_and_a_third_joins_them() {
    let broker = Broker::start(FEW).await;
    let (mut a, mut b, mut c) = (
        broker.connect().await,
        broker.connect().await,
        broker.connect().await,
    );
    coordinated(&mut a, "g").await;
    a.send(2, &join("g", "")).await;
    b.send(2, &join("g", "")).await;
    let (one, two) = (
        a.answer::<JoinGroupRequest>(2).await,
        b.answer::<JoinGroupRequest>(2).await,
    );
    assert_eq!((one.generation_id, two.generation_id), (1, 1));
    assert_eq!(one.leader, two.leader);
    let (leader, follower) = match one.leader == one.member_id {
        true => (&one, &two),
        false => (&two, &one),
    };
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));
    let is_leader_a = leader.member_id == one.member_id;
    let (to_lead, to_follow) = match is_leader_a {
        true => (&mut a, &mut b),
        false => (&mut b, &mut a),
    };
    to_follow
        .send(3, &sync("g", &follower.member_id, 1, &[]))
        .await;
    let work = [
        (leader.member_id.as_str(), "first"),
        (follower.member_id.as_str(), "second"),
    ];
    let led = to_lead
        .ask(3, &sync("g", &leader.member_id, 1, &work))
        .await;
    assert_eq!(&led.assignment[..], b"first");
    let followed = to_follow.answer::<SyncGroupRequest>(3).await;
    assert_eq!(&followed.assignment[..], b"second");
    // A third one, as newer clients come: told its id first.
    let told = c.ask(9, &join("g", "")).await;
    assert_eq!(error(told.error_code), ErrorCode::MemberIdRequired);
    c.send(9, &join("g", &told.member_id)).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while heartbeat(to_lead, "g", &leader.member_id, 1).await != ErrorCode::RebalanceInProgress {
        assert!(tokio::time::Instant::now() < deadline);
    }
    to_lead.send(2, &join("g", &leader.member_id)).await;
    to_follow.send(2, &join("g", &follower.member_id)).await;
    assert_eq!(to_lead.answer::<JoinGroupRequest>(2).await.generation_id, 2);
    assert_eq!(
        to_follow.answer::<JoinGroupRequest>(2).await.generation_id,
        2
    );
    let third = c.answer::<JoinGroupRequest>(9).await;
    assert_eq!(third.generation_id, 2);
    assert_eq!(third.protocol_type, Some(text("consumer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_and_its_offsets_outlive_the_broker() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    let (member, generation) = alone(&mut client, "g").await;
    assert_eq!(committed(&mut client, "g", "t").await, [-1, -1]);
    let claim = (&*member, generation);
    assert_eq!(
        commit(&mut client, "g", claim, ("t", 0, 7)).await,
        ErrorCode::None
    );
    assert_eq!(
        commit(&mut client, "g", claim, ("t", 0, 9)).await,
        ErrorCode::None
    );
    assert_eq!(committed(&mut client, "g", "t").await, [9, -1]);
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    assert_eq!(committed(&mut client, "g", "t").await, [9, -1]);
    // The member does not notice.
    assert_eq!(
        heartbeat(&mut client, "g", &member, generation).await,
        ErrorCode::None
    );
    assert_eq!(
        commit(&mut client, "g", claim, ("t", 1, 5)).await,
        ErrorCode::None
    );
    assert_eq!(committed(&mut client, "g", "t").await, [9, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_refused_where_there_is_no_such_partition_and_to_who_is_no_member() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    let nobody = ("", -1);
    for (place, expected) in [
        (("t", 2, 0), ErrorCode::UnknownTopicOrPartition),
        (("t", -1, 0), ErrorCode::UnknownTopicOrPartition),
        (("other", 0, 0), ErrorCode::UnknownTopicOrPartition),
        (("t", 0, 3), ErrorCode::None),
    ] {
        assert_eq!(commit(&mut client, "g", nobody, place).await, expected);
    }
    let (member, generation) = alone(&mut client, "g").await;
    for (claim, expected) in [
        (nobody, ErrorCode::UnknownMemberId),
        (("other", generation), ErrorCode::UnknownMemberId),
        ((&*member, generation + 1), ErrorCode::IllegalGeneration),
    ] {
        assert_eq!(commit(&mut client, "g", claim, ("t", 0, 4)).await, expected);
    }
    assert_eq!(committed(&mut client, "g", "t").await, [3, -1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_fetches_what_was_committed() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    commit(&mut client, "g", ("", -1), ("t", 1, 11)).await;
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(name("t"))
            .with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group("g"))
            .with_topics(Some(vec![topic]));
        let response = client.ask(version, &request).await;
        let partitions = &response.topics[0].partitions;
        let offsets: Vec<i64> = partitions.iter().map(|one| one.committed_offset).collect();
        assert_eq!(offsets, [-1, 11], "version {version}");
        assert_eq!(partitions[1].metadata, Some(text("why")));
    }
    // All of the group's, by name and by id.
    let id = client.describe("t").await.topic_id;
    for version in 8..=10 {
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![asked]);
        let response = client.ask(version, &request).await;
        let topic = &response.groups[0].topics[0];
        match version {
            10.. => assert_eq!(topic.topic_id, id),
            _ => assert_eq!(topic.name, name("t")),
        }
        assert_eq!(topic.partitions.len(), 1);
        assert_eq!(topic.partitions[0].committed_offset, 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_is_gone_and_the_group_can_be_deleted() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    let (member, generation) = alone(&mut client, "g").await;
    commit(&mut client, "g", (&member, generation), ("t", 0, 1)).await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    let deleted = client.ask(2, &delete).await;
    assert_eq!(
        error(deleted.results[0].error_code),
        ErrorCode::NonEmptyGroup
    );
    let identity = MemberIdentity::default().with_member_id(text(&member));
    let leave = LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(vec![identity.clone(), identity]);
    let left = client.ask(5, &leave).await;
    let codes: Vec<ErrorCode> = left
        .members
        .iter()
        .map(|one| error(one.error_code))
        .collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(
        heartbeat(&mut client, "g", &member, generation).await,
        ErrorCode::UnknownMemberId
    );
    let deleted = client.ask(2, &delete).await;
    assert_eq!(error(deleted.results[0].error_code), ErrorCode::None);
    assert_eq!(committed(&mut client, "g", "t").await, [-1, -1]);
    let deleted = client.ask(2, &delete).await;
    assert_eq!(
        error(deleted.results[0].error_code),
        ErrorCode::GroupIdNotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_and_described() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    for id in ["g", "h"] {
        coordinated(&mut client, id).await;
    }
    let (member, _) = alone(&mut client, "g").await;
    commit(&mut client, "h", ("", -1), ("t", 0, 1)).await;
    let listed = client.ask(5, &ListGroupsRequest::default()).await;
    let mut ids: Vec<_> = listed
        .groups
        .iter()
        .map(|one| (one.group_id.to_string(), one.group_state.to_string()))
        .collect();
    ids.sort();
    let expected = [("g", "Stable"), ("h", "Empty")];
    assert_eq!(
        ids,
        expected.map(|(id, state)| (id.to_owned(), state.to_owned()))
    );
    let stable = ListGroupsRequest::default().with_states_filter(vec![text("stable")]);
    assert_eq!(client.ask(4, &stable).await.groups.len(), 1);
    let consumers = ListGroupsRequest::default().with_types_filter(vec![text("consumer")]);
    assert_eq!(client.ask(5, &consumers).await.groups.len(), 0);
    let request = DescribeGroupsRequest::default().with_groups(vec![group("g"), group("none")]);
    for version in 0..=6 {
        let described = client.ask(version, &request).await;
        let g = &described.groups[0];
        assert_eq!(&*g.group_state, "Stable");
        assert_eq!(&*g.protocol_data, "range");
        assert_eq!(&*g.members[0].member_id, &*member);
        assert_eq!(&*g.members[0].client_host, "/127.0.0.1");
        assert_eq!(&g.members[0].member_assignment[..], b"all");
        let none = &described.groups[1];
        assert_eq!(&*none.group_state, "Dead");
        let expected = match version {
            6.. => ErrorCode::GroupIdNotFound,
            _ => ErrorCode::None,
        };
        assert_eq!(error(none.error_code), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_deleted_topic_are_forgotten() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    // The broker looks once a second which topics there are.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    commit(&mut client, "g", ("", -1), ("t", 0, 8)).await;
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    client.ask(4, &delete).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while committed(&mut client, "g", "t").await != [-1, -1] {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_deleted_where_nobody_reads() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    client.topic("u", 2, &[]).await;
    coordinated(&mut client, "g").await;
    commit(&mut client, "g", ("", -1), ("t", 0, 1)).await;
    commit(&mut client, "g", ("", -1), ("u", 0, 1)).await;
    let (_member, _) = alone(&mut client, "g").await;
    let topic = |topic: &str| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        OffsetDeleteRequestTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition])
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(group("g"))
        .with_topics(vec![topic("t"), topic("u"), topic("none")]);
    let response = client.ask(0, &request).await;
    let codes: Vec<ErrorCode> = response
        .topics
        .iter()
        .map(|topic| error(topic.partitions[0].error_code))
        .collect();
    let expected = [
        ErrorCode::GroupSubscribedToTopic,
        ErrorCode::None,
        ErrorCode::UnknownTopicOrPartition,
    ];
    assert_eq!(codes, expected);
    assert_eq!(committed(&mut client, "g", "t").await, [1, -1]);
    assert_eq!(committed(&mut client, "g", "u").await, [-1, -1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_group_that_has_no_name_is_refused() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    let joined = client.ask(5, &join("", "")).await;
    assert_eq!(error(joined.error_code), ErrorCode::InvalidGroupId);
    let heard = heartbeat(&mut client, "", "m", 1).await;
    assert_eq!(heard, ErrorCode::InvalidGroupId);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_lets_go_of_who_waits() {
    let broker = Broker::start(&[
        "offsets.topic.num.partitions=1",
        "group.initial.rebalance.delay.ms=600000",
    ])
    .await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    client.send(3, &join("g", "")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = std::time::Instant::now();
    let _broker = broker.restart().await;
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_commits_and_loses_none() {
    let broker = Broker::start(FEW).await;
    let mut client = broker.connect().await;
    client.topic("t", 2, &[]).await;
    coordinated(&mut client, "g").await;
    let nobody = ("", -1);
    assert_eq!(
        commit(&mut client, "g", nobody, ("t", 0, 5)).await,
        ErrorCode::None
    );
    let full = [FEW, &["millrace.min.free.bytes=9000000000000000000"]].concat();
    let broker = broker.restart_with(&full).await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    let refused = commit(&mut client, "g", nobody, ("t", 0, 6)).await;
    assert_eq!(refused, ErrorCode::NotCoordinator);
    // What could not be written is forgotten; what was is served again.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        match ask_committed(&mut client, "g", "t").await {
            Ok(offsets) => break assert_eq!(offsets, [5, -1]),
            Err(error) => assert!(
                tokio::time::Instant::now() < deadline,
                "not served again: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let broker = broker.restart_with(FEW).await;
    let mut client = broker.connect().await;
    coordinated(&mut client, "g").await;
    assert_eq!(committed(&mut client, "g", "t").await, [5, -1]);
    assert_eq!(
        commit(&mut client, "g", nobody, ("t", 0, 6)).await,
        ErrorCode::None
    );
}
