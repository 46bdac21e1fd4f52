//! InitProducerId, idempotent producers, DescribeProducers.

use crate::rig::{Broker, Client, TIMESTAMP_MS, batch_with, error, name, text};
use bytes::Bytes;
use millrace_wire::messages::describe_producers_request::TopicRequest;
use millrace_wire::messages::describe_producers_response::PartitionResponse;
use millrace_wire::messages::{
    DescribeProducersRequest, InitProducerIdRequest, ProducerId, TransactionalId,
};
use millrace_wire::{BatchSettings, ErrorCode};
use std::collections::BTreeSet;

async fn init(client: &mut Client, version: i16) -> i64 {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(-1))
        .with_transaction_timeout_ms(60_000);
    let response = client.ask(version, &request).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    assert_eq!(response.producer_epoch, 0);
    *response.producer_id
}

fn numbered(producer_id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let settings = BatchSettings {
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        ..BatchSettings::default()
    };
    batch_with(settings, values)
}

async fn active(client: &mut Client, topic: &str, partition: i32) -> PartitionResponse {
    let topic = TopicRequest::default()
        .with_name(name(topic))
        .with_partition_indexes(vec![partition]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    client
        .ask(0, &request)
        .await
        .topics
        .remove(0)
        .partitions
        .remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_producer_id_is_given_twice_not_even_after_a_restart() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let mut ids = BTreeSet::new();
    for version in (0..=5).cycle().take(1_010) {
        assert!(ids.insert(init(&mut client, version).await));
    }
    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    assert!(ids.insert(init(&mut client, 4).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_higher_epoch_gets_a_new_id() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let id = init(&mut client, 4).await;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(0);
    let response = client.ask(4, &request).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    assert_eq!(response.producer_epoch, 0);
    assert_ne!(*response.producer_id, id);
    let half = request.with_producer_epoch(-1);
    let response = client.ask(4, &half).await;
    assert_eq!(error(response.error_code), ErrorCode::InvalidRequest);
    assert_eq!((*response.producer_id, response.producer_epoch), (-1, -1));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_have_no_coordinator_yet() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let request = InitProducerIdRequest::default()
        .with_producer_id(ProducerId(-1))
        .with_transactional_id(Some(TransactionalId(text("t"))))
        .with_transaction_timeout_ms(60_000);
    let code = client.ask(4, &request).await.error_code;
    assert_eq!(error(code), ErrorCode::UnsupportedVersion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_is_answered_with_where_it_is_and_a_gap_is_refused() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let id = init(&mut client, 4).await;
    for (sequence, offset) in [(0, 0), (2, 2), (4, 4)] {
        let sent = client
            .produce("t", 0, numbered(id, 0, sequence, &["a", "b"]))
            .await;
        assert_eq!((sent.error_code, sent.base_offset), (0, offset));
    }
    let again = client
        .produce("t", 0, numbered(id, 0, 2, &["a", "b"]))
        .await;
    assert_eq!((again.error_code, again.base_offset), (0, 2));
    let gap = client.produce("t", 0, numbered(id, 0, 8, &["x"])).await;
    assert_eq!(error(gap.error_code), ErrorCode::OutOfOrderSequenceNumber);

    let broker = broker.restart().await;
    let mut client = broker.connect().await;
    client.led("t").await;
    let again = client
        .produce("t", 0, numbered(id, 0, 4, &["a", "b"]))
        .await;
    assert_eq!(
        (again.error_code, again.base_offset),
        (0, 4),
        "known after a restart"
    );
    let next = client.produce("t", 0, numbered(id, 0, 6, &["c"])).await;
    assert_eq!((next.error_code, next.base_offset), (0, 6));
    assert_eq!(client.values("t", 0, 0).await.len(), 7);
    let raised = client.produce("t", 0, numbered(id, 1, 0, &["d"])).await;
    assert_eq!((raised.error_code, raised.base_offset), (0, 7));
    let old = client.produce("t", 0, numbered(id, 0, 7, &["e"])).await;
    assert_eq!(error(old.error_code), ErrorCode::InvalidProducerEpoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_tells_whom_it_remembers() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    assert!(
        active(&mut client, "t", 0)
            .await
            .active_producers
            .is_empty()
    );
    let id = init(&mut client, 4).await;
    client
        .produce("t", 0, numbered(id, 0, 0, &["a", "b"]))
        .await;
    let told = active(&mut client, "t", 0).await;
    assert_eq!(told.active_producers.len(), 1);
    let producer = &told.active_producers[0];
    assert_eq!(producer.producer_id, ProducerId(id));
    assert_eq!((producer.producer_epoch, producer.last_sequence), (0, 1));
    assert_eq!(producer.last_timestamp, TIMESTAMP_MS);
    assert_eq!(
        (
            producer.coordinator_epoch,
            producer.current_txn_start_offset
        ),
        (-1, -1)
    );
    for (topic, partition, code) in [
        ("t", 1, ErrorCode::UnknownTopicOrPartition),
        ("no", 0, ErrorCode::UnknownTopicOrPartition),
        ("a b", 0, ErrorCode::InvalidTopicException),
    ] {
        let refused = active(&mut client, topic, partition).await;
        assert_eq!(error(refused.error_code), code);
    }
}
