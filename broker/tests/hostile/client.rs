//! The client that does nothing wrong, and must not suffer from those that do.

use bytes::Bytes;
use millrace_client::address::Address;
use millrace_client::admin::{NewTopic, OffsetSpec};
use millrace_client::consumer::{Consumer, ConsumerConfig, Isolation, Start};
use millrace_client::producer::{Producer, ProducerConfig, ProducerRecord};
use millrace_client::{ClientConfig, TopicPartition};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TOPIC: &str = "others";

/// Records of one round: some fit the first packet, others do not.
const SIZES: [usize; 3] = [10, 20_000, 300_000];

pub struct Client {
    client: millrace_client::Client,
    producer: Producer,
    consumer: Consumer,
}

impl Client {
    pub async fn new(address: SocketAddr) -> Client {
        let address = Address::new(address.ip().to_string(), address.port());
        let config = ClientConfig::new(vec![address]);
        let client = millrace_client::Client::new(config);
        let mut client = Client {
            producer: Producer::new(client.clone(), ProducerConfig::default()).expect("a producer"),
            consumer: Consumer::new(client.clone(), ConsumerConfig::default()),
            client,
        };
        client.topic(TOPIC).await;
        let partition = TopicPartition::new(TOPIC, 0);
        // Looked up now, before there is anything to read; a topic that was just made may take a moment.
        let asked = [(partition.clone(), OffsetSpec::Latest)];
        let found = client
            .client
            .list_offsets(&asked, Isolation::ReadUncommitted);
        let mut found = found.await.expect("an answer");
        let end = found.remove(&partition).expect("it was asked for");
        let end = Start::Offset(end.expect("it is led").offset);
        client.consumer.assign([(partition, end)]);
        client
    }

    /// A topic of one partition, which is there when this returns.
    pub async fn topic(&mut self, name: &str) {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(1),
            replication_factor: Some(1),
            assignment: Vec::new(),
            configs: Vec::new(),
        };
        let made = self.client.create_topics(&[topic], false).await;
        match made.expect("an answer").remove(0) {
            Ok(_) => {}
            Err(error) => assert!(error.to_string().contains("exists"), "{error}"),
        }
    }

    /// Appends records of so many bytes, a batch each.
    pub async fn append(&mut self, topic: &str, size: usize, count: usize) {
        for _ in 0..count {
            let record = ProducerRecord::new(topic, vec![b'v'; size]);
            let sent = self.producer.send(record).await.expect("it is taken");
            sent.wait().await.expect("it is acknowledged");
        }
    }

    /// Records come back as they were sent; how long that took. Panics when it takes longer than `patience`.
    pub async fn works(&mut self, patience: Duration) -> Duration {
        let began = Instant::now();
        let round = tokio::time::timeout(patience, self.round()).await;
        round.unwrap_or_else(|_| panic!("another client was not served for {patience:?}"));
        began.elapsed()
    }

    async fn round(&mut self) {
        for size in SIZES {
            let value = Bytes::from(vec![size as u8; size]);
            let record = ProducerRecord::new(TOPIC, value.clone());
            let sent = self.producer.send(record).await.expect("it is taken");
            let at = sent.wait().await.expect("it is acknowledged").offset;
            let mut read = Vec::new();
            while read.is_empty() {
                let records = self.consumer.poll(Duration::from_millis(100)).await;
                read = records.expect("it can be read");
                read.retain(|record| record.offset >= at);
            }
            assert_eq!(read[0].offset, at);
            assert_eq!(read[0].value, Some(value));
        }
    }
}
