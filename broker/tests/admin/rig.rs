//! A broker on port 0, a client of a few requests, HTTP by hand, and what was logged.

use bytes::{Buf, Bytes};
use millrace_broker::admin::LogFilter;
use millrace_broker::config::{BrokerConfig, Sources};
use millrace_broker::server::Server;
use millrace_wire::frame::decode_response_header;
use millrace_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use millrace_wire::messages::metadata_request::MetadataRequestTopic;
use millrace_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_wire::messages::traits::Request;
use millrace_wire::messages::{
    BrokerId, FetchRequest, MetadataRequest, ProduceRequest, StrBytes, TopicName,
};
use millrace_wire::{ApiKey, BatchBuilder, BatchSettings, decode_response, encode_request};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const PATIENCE: Duration = Duration::from_secs(30);
const CLIENT_ID: &str = "client-of-the-test";

pub fn config(directory: &TempDir, overrides: &[&str]) -> BrokerConfig {
    let mut all = vec![
        "node.id=1".to_owned(),
        "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
        format!("log.dirs={}", directory.path().display()),
    ];
    for name in ["millrace.metrics.listener", "millrace.control.listener"] {
        if !overrides.iter().any(|text| text.starts_with(name)) {
            all.push(format!("{name}=127.0.0.1:0"));
        }
    }
    all.extend(overrides.iter().map(|text| (*text).to_owned()));
    let sources = Sources {
        overrides: all,
        ..Sources::default()
    };
    BrokerConfig::load(&sources)
        .expect("the settings are right")
        .config
}

pub async fn start(overrides: &[&str]) -> (Server, TempDir) {
    let filter = log_filter();
    let directory = tempfile::tempdir().expect("a directory can be made");
    let config = config(&directory, overrides);
    let server = Server::start_with(config, Some(filter))
        .await
        .expect("it starts");
    (server, directory)
}

/// Deadlines in tests say what was waited for.
pub async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// ---- HTTP ----

pub async fn get(at: Option<SocketAddr>, path: &str) -> (u16, String) {
    http(at, "GET", path, "").await
}

pub async fn put(at: Option<SocketAddr>, path: &str, body: &str) -> (u16, String) {
    http(at, "PUT", path, body).await
}

async fn http(at: Option<SocketAddr>, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(at.expect("the port is on"))
        .await
        .expect("it is open");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it is read");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    read.expect("an answer comes").expect("it can be read");
    let answer = String::from_utf8(answer).expect("it is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// The number of one series, named as it is written.
pub fn series(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

// ---- the log ----

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One for all tests of this program; each looks for its own lines.
fn log_filter() -> LogFilter {
    static FILTER: OnceLock<LogFilter> = OnceLock::new();
    let make = || {
        let (layer, filter) = LogFilter::new(EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(|| Lines);
        tracing_subscriber::registry()
            .with(layer)
            .with(lines)
            .init();
        filter
    };
    FILTER.get_or_init(make).clone()
}

pub fn logged() -> String {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(lines).expect("lines are text")
}

// ---- Kafka ----

pub struct Client {
    socket: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub async fn connect(server: &Server) -> Client {
        let (_, address) = &server.addresses[0];
        Client {
            socket: TcpStream::connect(address).await.expect("it is open"),
            correlation_id: 0,
        }
    }

    pub async fn create_topic(&mut self, name: &str) {
        let mut topic = MetadataRequestTopic::default();
        topic.name = Some(topic_name(name));
        let mut request = MetadataRequest::default();
        request.topics = Some(vec![topic]);
        request.allow_auto_topic_creation = true;
        let deadline = Instant::now() + PATIENCE;
        while self.ask(9, &request).await.topics[0].error_code != 0 {
            assert!(
                Instant::now() < deadline,
                "waited {PATIENCE:?} for topic {name}"
            );
        }
    }

    /// One batch of so many records for partition 0; its bytes.
    pub async fn produce(&mut self, topic: &str, records: usize) -> usize {
        assert_eq!(self.produce_to(topic, 0, records).await, 0);
        batch(records).len()
    }

    /// The error code.
    pub async fn produce_to(&mut self, topic: &str, partition: i32, records: usize) -> i16 {
        let mut data = PartitionProduceData::default();
        data.index = partition;
        data.records = Some(batch(records));
        let mut to = TopicProduceData::default();
        to.name = topic_name(topic);
        to.partition_data = vec![data];
        let mut request = ProduceRequest::default();
        request.acks = -1;
        request.timeout_ms = 30_000;
        request.topic_data = vec![to];
        self.ask(9, &request).await.responses[0].partition_responses[0].error_code
    }

    /// Bytes of records from offset 0 on of partition 0.
    pub async fn fetch(&mut self, topic: &str, wait: Duration) -> usize {
        let mut partition = FetchPartition::default();
        partition.partition_max_bytes = 1 << 20;
        let mut from = FetchTopic::default();
        from.topic = topic_name(topic);
        from.partitions = vec![partition];
        let mut request = FetchRequest::default();
        request.replica_id = BrokerId(-1);
        request.max_wait_ms = wait.as_millis() as i32;
        request.min_bytes = 1;
        request.max_bytes = 1 << 20;
        request.session_epoch = -1;
        request.topics = vec![from];
        let response = self.ask(12, &request).await;
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        partition.records.as_ref().map_or(0, Bytes::len)
    }

    async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.correlation_id += 1;
        let frame = encode_request(self.correlation_id, Some(CLIENT_ID), version, request);
        let frame = frame.expect("the request can be written");
        self.socket.write_all(&frame).await.expect("it is read");
        let length = self.socket.read_u32().await.expect("an answer comes");
        let mut answer = vec![0; length as usize];
        self.socket
            .read_exact(&mut answer)
            .await
            .expect("a whole answer comes");
        let mut answer = Bytes::from(answer);
        let api = ApiKey::try_from(R::KEY).expect("a known api");
        let correlation_id = decode_response_header(&mut answer, api, version);
        assert_eq!(correlation_id, Ok(self.correlation_id));
        let response = decode_response::<R>(&mut answer, version).expect("a right answer");
        assert!(!answer.has_remaining());
        response
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn batch(records: usize) -> Bytes {
    let mut batch = BatchBuilder::new(BatchSettings::default());
    for _ in 0..records {
        batch.push(1_700_000_000_000, None, Some(&[b'v'; 100]));
    }
    batch.build().expect("a batch can be built")
}
