//! A broker on port 0 in a directory of its own, and a client that says what it wants in Kafka's own messages.

use bytes::Bytes;
use millrace_broker::config::{BrokerConfig, Sources};
use millrace_broker::server::Server;
use millrace_wire::frame::decode_response_header;
use millrace_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use millrace_wire::messages::create_topics_response::CreatableTopicResult;
use millrace_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use millrace_wire::messages::fetch_response::PartitionData;
use millrace_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use millrace_wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use millrace_wire::messages::metadata_request::MetadataRequestTopic;
use millrace_wire::messages::metadata_response::MetadataResponseTopic;
use millrace_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_wire::messages::produce_response::PartitionProduceResponse;
use millrace_wire::messages::traits::Request;
use millrace_wire::messages::{
    BrokerId, CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest, StrBytes, TopicName,
};
use millrace_wire::{
    ApiKey, Batch, BatchBuilder, BatchSettings, ErrorCode, decode_response, encode_request,
};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// When records were made, unless a test says otherwise: not long ago, for they are checked against the clock.
pub const TIMESTAMP_MS: i64 = 1_700_000_000_000;

pub struct Broker {
    directory: TempDir,
    overrides: Vec<String>,
    pub server: Server,
}

impl Broker {
    pub async fn start(overrides: &[&str]) -> Broker {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let server = open(&directory, &overrides).await;
        Broker {
            directory,
            overrides,
            server,
        }
    }

    pub async fn restart(self) -> Broker {
        let overrides = self.overrides.clone();
        self.restart_as(overrides).await
    }

    /// With other settings.
    pub async fn restart_with(self, overrides: &[&str]) -> Broker {
        let overrides = overrides.iter().map(|text| (*text).to_owned());
        self.restart_as(overrides.collect()).await
    }

    async fn restart_as(self, overrides: Vec<String>) -> Broker {
        let Broker {
            directory, server, ..
        } = self;
        server.stop().await;
        let server = open(&directory, &overrides).await;
        Broker {
            directory,
            overrides,
            server,
        }
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub async fn connect(&self) -> Client {
        let (_, address) = &self.server.addresses[0];
        let stream = TcpStream::connect(address).await.expect("it listens");
        Client { stream, last: 0 }
    }
}

async fn open(directory: &TempDir, overrides: &[String]) -> Server {
    let mut all = vec![
        "node.id=1".to_owned(),
        "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
        format!("log.dirs={}", directory.path().display()),
        "millrace.metrics.listener=127.0.0.1:0".to_owned(),
        "millrace.control.listener=127.0.0.1:0".to_owned(),
        "millrace.raft.tick.ms=10".to_owned(),
        "millrace.min.free.bytes=0".to_owned(),
    ];
    all.extend(overrides.iter().cloned());
    let sources = Sources {
        overrides: all,
        ..Sources::default()
    };
    let loaded = BrokerConfig::load(&sources).expect("the settings are right");
    Server::start(loaded.config).await.expect("it starts")
}

pub struct Client {
    stream: TcpStream,
    /// The correlation id of the last request.
    pub last: i32,
}

impl Client {
    /// Sends a request and waits for its answer.
    pub async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.answer::<R>(version).await
    }

    pub async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.last += 1;
        let frame = encode_request(self.last, Some("test"), version, request);
        let frame = frame.expect("the request can be written");
        self.send_frame(&frame).await;
    }

    pub async fn send_frame(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).await.expect("it is read");
    }

    pub async fn answer<R: Request>(&mut self, version: i16) -> R::Response {
        let mut frame = self.frame().await.expect("an answer, not the end");
        let api = ApiKey::try_from(R::KEY).expect("a known api");
        let id = decode_response_header(&mut frame, api, version);
        assert_eq!(id, Ok(self.last), "answers come in order");
        let response = decode_response::<R>(&mut frame, version).expect("it can be read");
        assert!(frame.is_empty(), "{} bytes are left", frame.len());
        response
    }

    /// The next frame without its length; `None` when the broker has ended the connection.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let read = async {
            let length = self.stream.read_i32().await.ok()?;
            let mut frame = vec![0; usize::try_from(length).expect("a length")];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("an answer in time")
    }

    pub async fn create(&mut self, new: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest::default().with_topics(vec![new]);
        let mut response = self.ask(7, &request).await;
        response.topics.remove(0)
    }

    /// A topic that is there when this returns.
    pub async fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let made = self.create(new_topic(name, partitions, 1, configs)).await;
        assert_eq!(error(made.error_code), ErrorCode::None, "{made:?}");
        self.led(name).await;
    }

    /// Waits until every partition of the topic has a leader.
    pub async fn led(&mut self, name: &str) -> MetadataResponseTopic {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let topic = self.describe(name).await;
            let is_led = topic.partitions.iter().all(|one| one.error_code == 0);
            if topic.error_code == 0 && is_led {
                return topic;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} has no leaders: {topic:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A topic as Metadata has it, without making it.
    pub async fn describe(&mut self, topic: &str) -> MetadataResponseTopic {
        let mut asked = MetadataRequestTopic::default();
        asked.name = Some(name(topic));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![asked]))
            .with_allow_auto_topic_creation(false);
        self.ask(12, &request).await.topics.remove(0)
    }

    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, partition, batch, -1);
        let mut response = self.ask(9, &request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// So many records of one byte each, one batch each; they are there afterwards.
    pub async fn fill(&mut self, topic: &str, partition: i32, records: usize) {
        for _ in 0..records {
            let produced = self.produce(topic, partition, batch(&["v"])).await;
            assert_eq!(error(produced.error_code), ErrorCode::None, "{produced:?}");
        }
    }

    /// What is there from `offset` on, without a session and without waiting.
    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let request = fetch_request(topic, partition, offset);
        let mut response = self.ask(11, &request).await;
        response.responses.remove(0).partitions.remove(0)
    }

    /// The values of all records of a partition from `offset` on.
    pub async fn values(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<String> {
        let fetched = self.fetch(topic, partition, offset).await;
        assert_eq!(error(fetched.error_code), ErrorCode::None);
        values(fetched.records.unwrap_or_default())
    }

    pub async fn offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let request = list_offsets(topic, partition, timestamp);
        let mut response = self.ask(9, &request).await;
        response.topics.remove(0).partitions.remove(0)
    }
}

pub fn error(code: i16) -> ErrorCode {
    ErrorCode::from(code)
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub fn new_topic(
    topic: &str,
    partitions: i32,
    replicas: i16,
    configs: &[(&str, &str)],
) -> CreatableTopic {
    let configs = configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
        .with_configs(configs.collect())
}

pub fn batch(values: &[&str]) -> Bytes {
    batch_with(BatchSettings::default(), values)
}

pub fn batch_with(settings: BatchSettings, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(settings);
    for value in values {
        builder.push(TIMESTAMP_MS, Some(b"key"), Some(value.as_bytes()));
    }
    builder.build().expect("a batch can be built")
}

pub fn values(records: Bytes) -> Vec<String> {
    let mut values = Vec::new();
    for batch in millrace_wire::batch::split(records) {
        let Ok(batch): Result<Batch, _> = batch else {
            break;
        };
        batch.verify_crc().expect("a sound batch");
        for record in batch.records(1 << 20).expect("records") {
            let value = record.expect("a record").value.expect("a value");
            values.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    values
}

pub fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(name(topic))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// Without a session; to be changed by who wants one.
pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

pub fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic])
}
