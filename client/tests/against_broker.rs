//! The client against a real broker, Apache Kafka's or ours: set `MILLRACE_TEST_BOOTSTRAP=host:port`. Without it there is nothing
//! to test against, and the tests say so.

use bytes::Bytes;
use millrace_client::address::Address;
use millrace_client::admin::{
    AlterConfig, ConfigResource, NewPartitions, NewTopic, OffsetSpec, TopicRef,
};
use millrace_client::consumer::{
    Consumer, ConsumerConfig, ConsumerRecord, Following, Isolation, Start,
};
use millrace_client::producer::{Acks, Producer, ProducerConfig, ProducerRecord};
use millrace_client::wire::{Compression, ErrorCode};
use millrace_client::{Client, ClientConfig, TopicPartition, uuid};
use std::time::{Duration, Instant};

fn client() -> Option<Client> {
    let Ok(bootstrap) = std::env::var("MILLRACE_TEST_BOOTSTRAP") else {
        eprintln!("MILLRACE_TEST_BOOTSTRAP is not set: no broker to test against");
        return None;
    };
    let addresses = Address::parse_list(&bootstrap).expect("an address");
    Some(Client::new(ClientConfig::new(addresses)))
}

async fn topic(client: &Client, partitions: i32) -> String {
    let name = format!("test-{}", uuid::to_text(uuid::random()));
    let new = NewTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..NewTopic::default()
    };
    for result in client.create_topics(&[new], false).await.expect("answered") {
        result.expect("made");
    }
    name
}

async fn delete(client: &Client, name: String) {
    for result in client
        .delete_topics(&[TopicRef::Name(name)])
        .await
        .expect("answered")
    {
        result.expect("deleted");
    }
}

async fn read(
    client: &Client,
    topic: &str,
    isolation: Isolation,
    count: usize,
) -> Vec<ConsumerRecord> {
    let config = ConsumerConfig {
        isolation,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(client.clone(), config);
    consumer.follow(Following::Named(vec![topic.to_owned()]), Start::Earliest);
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < give_up {
        records.extend(consumer.poll(Duration::from_secs(1)).await.expect("polled"));
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_whole_with_every_compression() {
    let Some(client) = client() else { return };
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let name = topic(&client, 1).await;
        let config = ProducerConfig {
            compression,
            ..ProducerConfig::default()
        };
        let producer = Producer::new(client.clone(), config).expect("a producer");
        let header =
            |value: Option<&'static str>| (Bytes::from_static(b"h"), value.map(Bytes::from));
        let full = ProducerRecord {
            timestamp_ms: Some(1_700_000_000_000),
            headers: [header(Some("1")), header(None), header(Some("1"))]
                .into_iter()
                .collect(),
            ..ProducerRecord::new(name.as_str(), "value").with_key("key")
        };
        let bare = ProducerRecord {
            value: None,
            ..ProducerRecord::new(name.as_str(), "")
        };
        let large = ProducerRecord::new(name.as_str(), vec![7u8; 900_000]);
        let mut deliveries = Vec::new();
        for record in [full, bare, large] {
            deliveries.push(producer.send(record).await.expect("queued"));
        }
        for (offset, delivery) in deliveries.iter().enumerate() {
            let metadata = delivery.wait().await.expect("written");
            assert_eq!(metadata.offset, offset as i64, "{compression:?}");
        }
        producer.close().await;
        let records = read(&client, &name, Isolation::ReadCommitted, 3).await;
        assert_eq!(records.len(), 3, "{compression:?}");
        assert_eq!(records[0].key.as_deref(), Some(&b"key"[..]));
        assert_eq!(records[0].timestamp_ms, 1_700_000_000_000);
        let headers: Vec<Option<Bytes>> =
            records[0].headers.iter().map(|(_, value)| value).collect();
        assert_eq!(
            headers,
            [Some(Bytes::from("1")), None, Some(Bytes::from("1"))]
        );
        assert_eq!((&records[1].key, &records[1].value), (&None, &None));
        assert_eq!(records[2].value.as_ref().map(Bytes::len), Some(900_000));
        delete(&client, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_arrive_once_each_and_keys_in_order() {
    let Some(client) = client() else { return };
    let name = topic(&client, 3).await;
    let config = ProducerConfig {
        linger: Duration::ZERO,
        batch_bytes: 500,
        ..ProducerConfig::default()
    };
    let producer = Producer::new(client.clone(), config).expect("a producer");
    const COUNT: usize = 20_000;
    let mut deliveries = Vec::new();
    for index in 0..COUNT {
        let record = ProducerRecord::new(name.as_str(), index.to_string())
            .with_key((index % 10).to_string());
        deliveries.push(producer.send(record).await.expect("queued"));
    }
    producer.close().await;
    for delivery in deliveries {
        delivery.wait().await.expect("written");
    }
    let records = read(&client, &name, Isolation::ReadUncommitted, COUNT).await;
    assert_eq!(records.len(), COUNT);
    let mut last = [None; 10];
    for record in &records {
        let text = |bytes: &Option<Bytes>| -> usize {
            let bytes = bytes.clone().expect("there");
            String::from_utf8_lossy(&bytes).parse().expect("a number")
        };
        let (key, value) = (text(&record.key), text(&record.value));
        assert!(
            last[key].is_none_or(|last| value == last + 10),
            "{value} follows {:?}",
            last[key]
        );
        last[key] = Some(value);
    }
    delete(&client, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_acknowledgements_lose_nothing_here() {
    let Some(client) = client() else { return };
    for acks in [Acks::None, Acks::Leader] {
        let name = topic(&client, 1).await;
        let config = ProducerConfig {
            acks,
            idempotence: false,
            ..ProducerConfig::default()
        };
        let producer = Producer::new(client.clone(), config).expect("a producer");
        let delivery = producer
            .send(ProducerRecord::new(name.as_str(), "v"))
            .await
            .expect("queued");
        let metadata = delivery.wait().await.expect("sent");
        assert_eq!(metadata.offset, if acks == Acks::None { -1 } else { 0 });
        assert_eq!(
            read(&client, &name, Isolation::ReadUncommitted, 1)
                .await
                .len(),
            1
        );
        producer.close().await;
        delete(&client, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_grown_described_and_deleted() {
    let Some(client) = client() else { return };
    let name = topic(&client, 1).await;
    let again = NewTopic {
        name: name.clone(),
        ..NewTopic::default()
    };
    let refused = client
        .create_topics(&[again], false)
        .await
        .expect("answered")
        .remove(0)
        .expect_err("it exists");
    assert_eq!(refused.code(), Some(ErrorCode::TopicAlreadyExists));
    let grown = NewPartitions {
        topic: name.clone(),
        total: 3,
        assignment: None,
    };
    for result in client
        .create_partitions(&[grown], false)
        .await
        .expect("answered")
    {
        result.expect("grown");
    }
    let described = client
        .describe_topics(std::slice::from_ref(&name), 2)
        .await
        .expect("described");
    let ids: Vec<i32> = described[0]
        .partitions
        .iter()
        .map(|partition| partition.id)
        .collect();
    assert_eq!(ids, [0, 1, 2], "two to an answer");
    assert_eq!(
        client
            .describe_topic_id(described[0].id)
            .await
            .expect("described")
            .name,
        name
    );

    let resource = ConfigResource::topic(&name);
    let set = AlterConfig::Set("retention.ms".to_owned(), "1234".to_owned());
    client
        .alter_configs(&resource, &[set], false)
        .await
        .expect("altered");
    // A broker may learn of it a moment after the controller has answered.
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let entries = client.describe_configs(&resource).await.expect("described");
        let retention = entries
            .iter()
            .find(|entry| entry.name == "retention.ms")
            .expect("known");
        if retention.value.as_deref() == Some("1234") {
            break;
        }
        assert!(
            Instant::now() < give_up,
            "retention.ms is still {:?}",
            retention.value
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let unknown = AlterConfig::Set("no.such".to_owned(), "1".to_owned());
    let refused = client
        .alter_configs(&resource, &[unknown], false)
        .await
        .expect_err("unknown");
    assert_eq!(refused.code(), Some(ErrorCode::InvalidConfig));

    delete(&client, name.clone()).await;
    let refused = client
        .delete_topics(&[TopicRef::Name(name)])
        .await
        .expect("answered")
        .remove(0);
    assert_eq!(
        refused.expect_err("it is gone").code(),
        Some(ErrorCode::UnknownTopicOrPartition)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_follow_what_is_written_and_deleted() {
    let Some(client) = client() else { return };
    let name = topic(&client, 1).await;
    let producer = Producer::new(client.clone(), ProducerConfig::default()).expect("a producer");
    for index in 0..5i64 {
        let record = ProducerRecord {
            timestamp_ms: Some(1_000_000 + index),
            ..ProducerRecord::new(name.as_str(), "v")
        };
        producer.send(record).await.expect("queued");
    }
    producer.close().await;
    let partition = TopicPartition::new(name.as_str(), 0);
    let find = async |spec| {
        let found = client
            .list_offsets(&[(partition.clone(), spec)], Isolation::ReadUncommitted)
            .await;
        found
            .expect("answered")
            .remove(&partition)
            .expect("asked")
            .expect("found")
            .offset
    };
    assert_eq!(find(OffsetSpec::Earliest).await, 0);
    assert_eq!(find(OffsetSpec::Latest).await, 5);
    assert_eq!(find(OffsetSpec::Timestamp(1_000_003)).await, 3);
    assert_eq!(find(OffsetSpec::Timestamp(1_000_009)).await, -1);
    assert_eq!(find(OffsetSpec::MaxTimestamp).await, 4);
    let deleted = client
        .delete_records(&[(partition.clone(), 2)])
        .await
        .expect("answered");
    assert_eq!(deleted[&partition].as_ref().expect("deleted"), &2);
    assert_eq!(find(OffsetSpec::Earliest).await, 2);
    let missing = TopicPartition::new(name.as_str(), 7);
    let refused = client
        .delete_records(&[(missing.clone(), 1)])
        .await
        .expect("answered")
        .remove(&missing);
    let refused = refused.expect("asked").expect_err("not there");
    assert_eq!(refused.code(), Some(ErrorCode::UnknownTopicOrPartition));
    delete(&client, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_describes_itself() {
    let Some(client) = client() else { return };
    let cluster = client.describe_cluster(false).await.expect("described");
    assert!(!cluster.cluster_id.is_empty() && !cluster.brokers.is_empty());
    client
        .refresh(millrace_client::Topics::None, false)
        .await
        .expect("refreshed");
    for broker in &cluster.brokers {
        assert!(
            client
                .broker_versions(broker.id)
                .await
                .expect("versions")
                .iter()
                .count()
                > 10
        );
        let dirs = client
            .describe_log_dirs(broker.id)
            .await
            .expect("directories");
        assert!(dirs.iter().all(|dir| dir.error.is_none()) && !dirs.is_empty());
    }
}
