//! Produce: what is taken, what is refused, and what a topic's settings make of it.

use crate::rig::{Broker, Client, TIMESTAMP_MS, batch, batch_with, error, name, produce_request};
use bytes::Bytes;
use millrace_wire::batch::TimestampType;
use millrace_wire::messages::ProduceRequest;
use millrace_wire::{BatchHeader, BatchSettings, Compression, ErrorCode};
use std::time::Duration;

const LATEST: i64 = -1;

fn compressed(compression: Compression) -> Bytes {
    let settings = BatchSettings {
        compression,
        ..BatchSettings::default()
    };
    batch_with(settings, &["a", "b"])
}

async fn refused(client: &mut Client, topic: &str, records: Bytes) -> ErrorCode {
    let response = client.produce(topic, 0, records).await;
    assert_eq!(response.base_offset, -1);
    error(response.error_code)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_as_they_were_sent_in_every_version_and_codec() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let id = client.describe("t").await.topic_id;
    let mut offset = 0;
    for version in 3..=13 {
        let mut request = produce_request("t", 0, batch(&["a", "b"]), -1);
        if version >= 13 {
            request.topic_data[0].name = name("");
            request.topic_data[0].topic_id = id;
        }
        let response = client.ask(version, &request).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            error(partition.error_code),
            ErrorCode::None,
            "version {version}"
        );
        assert_eq!(partition.base_offset, offset);
        assert_eq!(partition.log_append_time_ms, -1);
        offset += 2;
    }
    use Compression::{Gzip, Lz4, Snappy, Zstd};
    for compression in [Gzip, Snappy, Lz4, Zstd] {
        let sent = client.produce("t", 0, compressed(compression)).await;
        assert_eq!(sent.error_code, 0, "{compression:?}");
        let fetched = client
            .fetch("t", 0, sent.base_offset)
            .await
            .records
            .unwrap();
        let header = BatchHeader::decode(&fetched).unwrap();
        assert_eq!(
            header.attributes.compression(),
            Ok(compression),
            "passed through"
        );
        assert_eq!(client.values("t", 0, sent.base_offset).await, ["a", "b"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_acknowledgements_is_kept() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    for acks in [1, -1] {
        let response = client
            .ask(9, &produce_request("t", 0, batch(&["v"]), acks))
            .await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    client
        .send(9, &produce_request("t", 0, batch(&["v"]), 0))
        .await;
    // Nothing is answered: the next answer is that of the next request.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while client.offset("t", 0, LATEST).await.offset < 3 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited for a record with acks=0"
        );
    }
    let response = client
        .ask(9, &produce_request("t", 0, batch(&["v"]), 2))
        .await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error(code), ErrorCode::InvalidRequiredAcks);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_acknowledgement_a_refusal_ends_the_connection() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client
        .send(9, &produce_request("no", 0, batch(&["v"]), 0))
        .await;
    assert_eq!(client.frame().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_and_nothing_of_it_is_there() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("max.message.bytes", "500")]).await;
    let mut corrupt = batch(&["v"]).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    assert_eq!(
        refused(&mut client, "t", corrupt.into()).await,
        ErrorCode::CorruptMessage
    );
    let large = "v".repeat(600);
    assert_eq!(
        refused(&mut client, "t", batch(&[&large])).await,
        ErrorCode::MessageTooLarge
    );
    assert_eq!(
        refused(&mut client, "t", Bytes::new()).await,
        ErrorCode::InvalidRecord
    );
    let two = [batch(&["a"]), batch(&["b"])].concat();
    assert_eq!(
        refused(&mut client, "t", two.into()).await,
        ErrorCode::InvalidRecord
    );
    let mut old = batch(&["v"]).to_vec();
    old[16] = 1;
    assert_eq!(
        refused(&mut client, "t", old.into()).await,
        ErrorCode::InvalidRecord
    );
    assert_eq!(
        refused(&mut client, "no", batch(&["v"])).await,
        ErrorCode::UnknownTopicOrPartition
    );
    let response = client
        .ask(
            6,
            &produce_request("t", 0, compressed(Compression::Zstd), -1),
        )
        .await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error(code), ErrorCode::UnsupportedCompressionType);
    let mut unknown_id: ProduceRequest = produce_request("", 0, batch(&["v"]), -1);
    unknown_id.topic_data[0].topic_id = uuid::Uuid::from_u128(7);
    let response = client.ask(13, &unknown_id).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error(code), ErrorCode::UnknownTopicId);
    assert_eq!(client.offset("t", 0, LATEST).await.offset, 0);
    client.fill("t", 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_takes_no_records_without_keys() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("cleanup.policy", "compact")]).await;
    let mut keyless = millrace_wire::BatchBuilder::new(BatchSettings::default());
    keyless.push(TIMESTAMP_MS, None, Some(b"v"));
    let keyless = keyless.build().unwrap();
    assert_eq!(
        refused(&mut client, "t", keyless).await,
        ErrorCode::InvalidRecord
    );
    client.fill("t", 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_append_time_is_the_brokers() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client
        .topic("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .await;
    let sent = client.produce("t", 0, batch(&["v"])).await;
    assert!(sent.log_append_time_ms > TIMESTAMP_MS, "{sent:?}");
    let fetched = client.fetch("t", 0, 0).await.records.unwrap();
    let header = BatchHeader::decode(&fetched).unwrap();
    assert_eq!(header.max_timestamp_ms, sent.log_append_time_ms);
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppend);
    let found = client.offset("t", 0, sent.log_append_time_ms).await;
    assert_eq!(
        (found.offset, found.timestamp),
        (0, sent.log_append_time_ms)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_asks_for_a_codec_keeps_records_in_it() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("compression.type", "gzip")]).await;
    for sent in [Compression::None, Compression::Zstd, Compression::Gzip] {
        let sent = client.produce("t", 0, compressed(sent)).await;
        assert_eq!(sent.error_code, 0);
        let fetched = client
            .fetch("t", 0, sent.base_offset)
            .await
            .records
            .unwrap();
        let header = BatchHeader::decode(&fetched).unwrap();
        assert_eq!(header.attributes.compression(), Ok(Compression::Gzip));
        assert_eq!(client.values("t", 0, sent.base_offset).await, ["a", "b"]);
    }
}
