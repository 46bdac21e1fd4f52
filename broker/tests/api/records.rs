//! DeleteRecords, ListOffsets, OffsetForLeaderEpoch.

use crate::rig::{Broker, Client, TIMESTAMP_MS, error, list_offsets, name};
use millrace_wire::ErrorCode;
use millrace_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use millrace_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use millrace_wire::messages::offset_for_leader_epoch_response::EpochEndOffset;
use millrace_wire::messages::{BrokerId, DeleteRecordsRequest, OffsetForLeaderEpochRequest};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

async fn delete(client: &mut Client, topic: &str, partition: i32, offset: i64) -> (ErrorCode, i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let mut last = None;
    for version in 0..=2 {
        let response = client.ask(version, &request).await;
        let result = &response.topics[0].partitions[0];
        last = Some((error(result.error_code), result.low_watermark));
    }
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_a_deletion_is_gone() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.fill("t", 0, 5).await;
    assert_eq!(delete(&mut client, "t", 0, 3).await, (ErrorCode::None, 3));
    assert_eq!(client.offset("t", 0, EARLIEST).await.offset, 3);
    let code = client.fetch("t", 0, 2).await.error_code;
    assert_eq!(error(code), ErrorCode::OffsetOutOfRange);
    assert_eq!(client.values("t", 0, 3).await.len(), 2);
    assert_eq!(
        delete(&mut client, "t", 0, 1).await,
        (ErrorCode::None, 3),
        "no way back"
    );
    assert_eq!(delete(&mut client, "t", 0, -1).await, (ErrorCode::None, 5));
    assert!(client.values("t", 0, 5).await.is_empty());
    client.fill("t", 0, 1).await;
    assert_eq!(client.offset("t", 0, LATEST).await.offset, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_cannot_be_is_refused() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.topic("c", 1, &[("cleanup.policy", "compact")]).await;
    client.fill("t", 0, 1).await;
    client.fill("c", 0, 1).await;
    let cases = [
        ("t", 0, 2, ErrorCode::OffsetOutOfRange),
        ("t", 0, -2, ErrorCode::OffsetOutOfRange),
        ("c", 0, 1, ErrorCode::PolicyViolation),
        ("t", 1, 0, ErrorCode::UnknownTopicOrPartition),
        ("no", 0, 0, ErrorCode::UnknownTopicOrPartition),
    ];
    for (topic, partition, offset, code) in cases {
        let refused = delete(&mut client, topic, partition, offset).await;
        assert_eq!(refused, (code, -1), "{topic}-{partition} to {offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_what_their_timestamps_stand_for() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.fill("t", 0, 3).await;
    let cases = [
        (LATEST, 3),
        (EARLIEST, 0),
        (-4, 0),
        (-5, -1),
        (TIMESTAMP_MS, 0),
        (TIMESTAMP_MS + 1, -1),
    ];
    for (timestamp, offset) in cases {
        let found = client.offset("t", 0, timestamp).await;
        assert_eq!(error(found.error_code), ErrorCode::None);
        assert_eq!(found.offset, offset, "{timestamp}");
    }
    let largest = client.offset("t", 0, MAX_TIMESTAMP).await;
    assert_eq!(largest.timestamp, TIMESTAMP_MS);
    for version in 1..=11 {
        let found = client.ask(version, &list_offsets("t", 0, LATEST)).await;
        assert_eq!(found.topics[0].partitions[0].offset, 3, "version {version}");
    }
    let early = client.ask(6, &list_offsets("t", 0, MAX_TIMESTAMP)).await;
    let code = early.topics[0].partitions[0].error_code;
    assert_eq!(error(code), ErrorCode::UnsupportedVersion);
    let code = client.offset("t", 7, LATEST).await.error_code;
    assert_eq!(error(code), ErrorCode::UnknownTopicOrPartition);
}

async fn end(client: &mut Client, version: i16, current: i32, epoch: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current)
        .with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    client
        .ask(version, &request)
        .await
        .topics
        .remove(0)
        .partitions
        .remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_where_the_next_begins_and_other_epochs_are_refused() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.fill("t", 0, 3).await;
    let first = client.led("t").await.partitions[0].leader_epoch;
    assert_eq!(first, 0);
    for version in 2..=4 {
        let found = end(&mut client, version, first, first).await;
        assert_eq!(error(found.error_code), ErrorCode::None);
        assert_eq!((found.leader_epoch, found.end_offset), (first, 3));
    }
    let above = end(&mut client, 4, -1, first + 1).await;
    assert_eq!((above.leader_epoch, above.end_offset), (-1, -1));
    let code = end(&mut client, 4, first + 1, first).await.error_code;
    assert_eq!(error(code), ErrorCode::UnknownLeaderEpoch);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    let second = client.led("t").await.partitions[0].leader_epoch;
    assert_eq!(second, 1);
    client.fill("t", 0, 2).await;
    let old = end(&mut client, 4, second, first).await;
    assert_eq!((old.leader_epoch, old.end_offset), (first, 3));
    let new = end(&mut client, 4, second, second).await;
    assert_eq!((new.leader_epoch, new.end_offset), (second, 5));
    let code = end(&mut client, 4, first, first).await.error_code;
    assert_eq!(error(code), ErrorCode::FencedLeaderEpoch);
}
