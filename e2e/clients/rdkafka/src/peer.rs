//! The broker under test, and how crate rdkafka's programs reach it.

use crate::statements::{Outcome, PATIENCE, eventually, name};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub struct Peer {
    pub bootstrap: String,
    pub admin: AdminClient<DefaultClientContext>,
    pub runtime: tokio::runtime::Runtime,
}

#[derive(Clone, Default)]
pub struct Record {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Option<OwnedHeaders>,
    pub timestamp: Option<i64>,
}

pub fn numbered(partition: i32, count: usize) -> Vec<Record> {
    let record = |i| Record {
        partition,
        key: Some(format!("k{i}").into_bytes()),
        value: Some(format!("v{i}").into_bytes()),
        ..Record::default()
    };
    (0..count).map(record).collect()
}

impl Peer {
    pub fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("log.connection.close", "false");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    pub fn options(&self) -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
    }

    pub fn create(
        &self,
        topic: &NewTopic<'_>,
        validate: bool,
    ) -> Outcome<Result<(), RDKafkaErrorCode>> {
        let options = self.options().validate_only(validate);
        let told = self
            .runtime
            .block_on(self.admin.create_topics([topic], &options))?;
        Ok(told
            .into_iter()
            .next()
            .ok_or("no answer for the topic")?
            .map(|_| ())
            .map_err(|(_, code)| code))
    }

    pub fn topic(&self, hint: &str, partitions: i32, settings: &[(&str, &str)]) -> Outcome<String> {
        let created = name(hint);
        let mut topic = NewTopic::new(&created, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        self.create(&topic, false)??;
        let reader = self.consumer(&[])?;
        // Kafka's controller answers before the broker leads the partitions.
        eventually("the topic is led", || {
            Ok((0..partitions).all(|p| {
                reader
                    .fetch_watermarks(&created, p, Duration::from_secs(5))
                    .is_ok()
            }))
        })?;
        Ok(created)
    }

    /// Gives what was told of each: partition and offset, or its refusal.
    pub fn send(
        &self,
        topic: &str,
        records: &[Record],
        settings: &[(&str, &str)],
    ) -> Outcome<Vec<Result<(i32, i64), RDKafkaErrorCode>>> {
        let producer: FutureProducer = self.config(settings).create()?;
        let sent = records.iter().map(|record| {
            let mut one = FutureRecord::<Vec<u8>, Vec<u8>>::to(topic);
            if record.partition >= 0 {
                one = one.partition(record.partition);
            }
            one.key = record.key.as_ref();
            one.payload = record.value.as_ref();
            one.timestamp = record.timestamp;
            one.headers = record.headers.clone();
            producer.send_result(one).map_err(|(why, _)| why)
        });
        let mut told = vec![];
        for delivery in sent.collect::<Result<Vec<_>, _>>()? {
            told.push(
                match self
                    .runtime
                    .block_on(async { tokio::time::timeout(PATIENCE, delivery).await })??
                {
                    Ok(delivery) => Ok((delivery.partition, delivery.offset)),
                    Err((why, _)) => Err(code(&why)?),
                },
            );
        }
        Ok(told)
    }

    pub fn sent(
        &self,
        topic: &str,
        records: &[Record],
        settings: &[(&str, &str)],
    ) -> Outcome<Vec<(i32, i64)>> {
        Ok(self
            .send(topic, records, settings)?
            .into_iter()
            .collect::<Result<_, _>>()?)
    }

    pub fn consumer(&self, settings: &[(&str, &str)]) -> Outcome<BaseConsumer> {
        let mut config = self.config(&[
            ("group.id", "unused"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "100"),
            ("topic.metadata.refresh.interval.ms", "2000"),
        ]);
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Ok(config.create()?)
    }

    pub fn read(
        &self,
        topic: &str,
        partitions: i32,
        offset: Offset,
        count: usize,
        settings: &[(&str, &str)],
    ) -> Outcome<Vec<OwnedMessage>> {
        let reader = self.consumer(settings)?;
        let mut assigned = TopicPartitionList::new();
        for p in 0..partitions {
            assigned.add_partition_offset(topic, p, offset)?;
        }
        reader.assign(&assigned)?;
        poll(&reader, count)
    }
}

pub fn poll(reader: &BaseConsumer, count: usize) -> Outcome<Vec<OwnedMessage>> {
    let deadline = Instant::now() + PATIENCE;
    let mut got = vec![];
    while got.len() < count {
        if Instant::now() > deadline {
            return Err(format!(
                "only {} of {count} records came within {} s",
                got.len(),
                PATIENCE.as_secs()
            )
            .into());
        }
        if let Some(message) = reader.poll(Duration::from_millis(200)) {
            got.push(message?.detach());
        }
    }
    Ok(got)
}

/// What Kafka calls it.
pub fn code(why: &KafkaError) -> Outcome<RDKafkaErrorCode> {
    why.rdkafka_error_code()
        .ok_or_else(|| format!("no error of Kafka's: {why}").into())
}
