//! Produce: what is taken, what is refused, and what a topic's settings make of it.

use crate::rig::{Broker, Client, TIMESTAMP_MS, batch, batch_with, error, name, produce_request};
use bytes::{Bytes, BytesMut};
use millrace_wire::batch::{BatchMut, HEADER_BYTES, TimestampType};
use millrace_wire::messages::ProduceRequest;
use millrace_wire::{BatchBuilder, BatchHeader, BatchSettings, Compression, ErrorCode};
use std::io::Write as _;
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

/// A sound batch with other bytes for its records.
fn with_payload(batch: &[u8], payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&batch[..HEADER_BYTES]);
    bytes.extend_from_slice(payload);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    with_right_crc(bytes)
}

/// The same with another count of records.
fn with_count(batch: &[u8], count: i32) -> Bytes {
    let mut bytes = BytesMut::from(batch);
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    with_right_crc(bytes)
}

fn with_right_crc(mut bytes: BytesMut) -> Bytes {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_read_are_refused_in_every_codec() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    for codec in [None, Gzip, Snappy, Lz4, Zstd] {
        let sound = compressed(codec);
        let large = vec![0xa5; 300_000];
        for garbage in [
            &b"these are no records, and no codec wrote them"[..],
            &large,
        ] {
            let sent = with_payload(&sound, garbage);
            let code = refused(&mut client, "t", sent).await;
            assert_eq!(code, ErrorCode::InvalidRecord, "{codec:?}");
        }
        for count in [1, 3] {
            let sent = with_count(&sound, count);
            let code = refused(&mut client, "t", sent).await;
            assert_eq!(code, ErrorCode::InvalidRecord, "{codec:?}: {count}");
        }
        let mut damaged = sound.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let code = refused(&mut client, "t", damaged.into()).await;
        assert_eq!(code, ErrorCode::CorruptMessage, "{codec:?}");
    }
    assert_eq!(client.offset("t", 0, LATEST).await.offset, 0);
    client.fill("t", 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_decompresses_to_too_much_is_refused_and_the_broker_goes_on() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let zeros = vec![0; 1 << 20];
    let mut bomb =
        millrace_wire::compression::Encoder::new(Compression::Gzip.into(), 0, Vec::new()).unwrap();
    // A record that claims almost two gigabytes.
    bomb.write_all(&[
        0xf0, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0xc0, 0xff, 0xff, 0xff, 0x0f,
    ])
    .unwrap();
    for _ in 0..70 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = with_count(
        &with_payload(&compressed(Compression::Gzip), &bomb.finish().unwrap()),
        1,
    );
    let code = refused(&mut client, "t", bomb).await;
    assert_eq!(code, ErrorCode::MessageTooLarge);
    client.fill("t", 0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_kafkas_does() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    client.topic("c", 1, &[("cleanup.policy", "compact")]).await;
    let keys = |keys: &[Option<&[u8]>], timestamp_ms| {
        let mut batch = BatchBuilder::new(BatchSettings::default());
        for key in keys {
            batch.push(timestamp_ms, *key, Some(b"v"));
        }
        batch.build().unwrap()
    };
    let some_keyless = keys(&[Some(b"k"), None, None], TIMESTAMP_MS);
    let late = keys(&[None], i64::MAX);
    let mut corrupt = batch(&["v"]).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let two = [batch(&["a"]), batch(&["b"])].concat();
    let none: &[i32] = &[];
    let cases = [
        (
            "c",
            some_keyless,
            ErrorCode::InvalidRecord,
            true,
            0,
            &[1, 2][..],
        ),
        ("t", late, ErrorCode::InvalidTimestamp, true, 0, &[0]),
        (
            "t",
            corrupt.into(),
            ErrorCode::CorruptMessage,
            false,
            -1,
            none,
        ),
        ("t", two.into(), ErrorCode::InvalidRecord, false, -1, none),
        ("t", Bytes::new(), ErrorCode::InvalidRecord, false, -1, none),
        (
            "t",
            with_count(&batch(&["v"]), 2),
            ErrorCode::InvalidRecord,
            false,
            0,
            none,
        ),
        (
            "no",
            batch(&["v"]),
            ErrorCode::UnknownTopicOrPartition,
            false,
            -1,
            none,
        ),
    ];
    for (topic, records, code, is_told, log_start, indexes) in cases {
        let response = client.produce(topic, 0, records).await;
        assert_eq!(error(response.error_code), code, "{response:?}");
        assert_eq!(response.error_message.is_some(), is_told, "{response:?}");
        assert_eq!(response.log_start_offset, log_start, "{response:?}");
        let errors = &response.record_errors;
        let found: Vec<i32> = errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(found, indexes);
        let are_explained = errors
            .iter()
            .all(|error| error.batch_index_error_message.is_some());
        assert!(are_explained, "{errors:?}");
    }
    // Versions before 8 have no place for any of it.
    let response = client
        .ask(
            7,
            &produce_request("t", 0, with_count(&batch(&["v"]), 2), -1),
        )
        .await;
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(error(partition.error_code), ErrorCode::InvalidRecord);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_keep_the_order_of_requests_however_long_looking_at_them_takes() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let large = "v".repeat(900_000);
    let gzip = BatchSettings {
        compression: Compression::Gzip,
        ..BatchSettings::default()
    };
    let mut expected = Vec::new();
    for n in 0..30 {
        let name = n.to_string();
        let batch = match n % 3 {
            0 => batch_with(gzip, &[&large, &name]),
            1 => batch(&[&name]),
            _ => batch_with(gzip, &[&name]),
        };
        let acks = [1, -1][n % 2];
        client.send(9, &produce_request("t", 0, batch, acks)).await;
        expected.push(name);
    }
    for n in 0..30 {
        // Answers come in the order of requests, and the client counts them from the last.
        let frame = client.frame().await.expect("an answer");
        let ended = i32::from_be_bytes(*frame.first_chunk().unwrap());
        assert_eq!(ended, client.last - 29 + n);
    }
    let mut found = Vec::new();
    let mut offset = 0;
    while found.len() < expected.len() {
        let values = client.values("t", 0, offset).await;
        assert!(!values.is_empty(), "{found:?}");
        offset += values.len() as i64;
        found.extend(values.into_iter().filter(|value| value.len() < 10));
    }
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_timestamp_is_that_of_the_records() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    let mut wrong = BytesMut::from(&batch(&["v"])[..]);
    let (mut header, _) = BatchMut::split_first(&mut wrong).unwrap();
    header.set_create_time(TIMESTAMP_MS + 5_000);
    assert_eq!(client.produce("t", 0, wrong.freeze()).await.error_code, 0);
    let fetched = client.fetch("t", 0, 0).await.records.unwrap();
    let header = BatchHeader::decode(&fetched).unwrap();
    assert_eq!(header.max_timestamp_ms, TIMESTAMP_MS);
    assert_eq!(client.values("t", 0, 0).await, ["v"]);
    let found = client.offset("t", 0, TIMESTAMP_MS + 1).await;
    assert_eq!(found.offset, -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_is_for_other_replicas_and_there_are_none() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[]).await;
    for timeout_ms in [0, -1, i32::MIN, 1] {
        for acks in [1, -1] {
            let mut request = produce_request("t", 0, batch(&["v"]), acks);
            request.timeout_ms = timeout_ms;
            let response = client.ask(9, &request).await;
            let partition = &response.responses[0].partition_responses[0];
            assert_eq!(error(partition.error_code), ErrorCode::None, "{timeout_ms}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_a_codec_is_the_topics_or_else_the_brokers() {
    // Words in an order that does not repeat: what a match finder has to search for.
    let mut state = 1_u32;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", (state >> 16) % 700 * 7919)
    })
    .take(30_000)
    .collect();
    let broker = Broker::start(&["compression.type=gzip", "compression.gzip.level=1"]).await;
    let mut client = broker.connect().await;
    client.topic("low", 1, &[]).await;
    client
        .topic("high", 1, &[("compression.gzip.level", "9")])
        .await;
    let mut sizes = Vec::new();
    for topic in ["low", "high"] {
        let sent = client.produce(topic, 0, batch(&[&text])).await;
        assert_eq!(sent.error_code, 0);
        let fetched = client.fetch(topic, 0, 0).await.records.unwrap();
        let header = BatchHeader::decode(&fetched).unwrap();
        assert_eq!(header.attributes.compression(), Ok(Compression::Gzip));
        assert_eq!(client.values(topic, 0, 0).await, [text.as_str()]);
        sizes.push(fetched.len());
    }
    assert!(sizes[1] < sizes[0], "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_takes_no_records_without_keys() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    client.topic("t", 1, &[("cleanup.policy", "compact")]).await;
    let mut keyless = BatchBuilder::new(BatchSettings::default());
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
