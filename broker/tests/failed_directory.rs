//! A directory that fails while the broker runs: one of partitions takes these offline, that of the metadata ends the broker.
//!
//! Writes fail because the running process may write no files any more (RLIMIT_FSIZE), from the moment on that the test says so.

#[path = "support/wait.rs"]
mod wait;

use millrace_wire::frame::decode_response_header;
use millrace_wire::messages::create_topics_request::CreatableTopic;
use millrace_wire::messages::metadata_request::MetadataRequestTopic;
use millrace_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_wire::messages::traits::Request;
use millrace_wire::messages::{
    CreateTopicsRequest, MetadataRequest, ProduceRequest, StrBytes, TopicName,
};
use millrace_wire::{
    ApiKey, BatchBuilder, BatchSettings, ErrorCode, decode_response, encode_request,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wait::wait_until;

/// A broker in a process of its own, and what it logs.
struct Broker {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Broker {
    fn start(settings: &Path) -> Broker {
        // A write beyond the limit raises a signal as well, which would end the process.
        let mut child = Command::new("sh")
            .args(["-c", r#"trap '' XFSZ; exec "$0" server "$1""#])
            .arg(env!("CARGO_BIN_EXE_millrace"))
            .arg(settings)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("no holder panics").push(line);
            }
        });
        Broker { child, log }
    }

    fn lines_with(&self, what: &str) -> Vec<String> {
        let lines = self.log.lock().expect("no holder panics");
        let found = lines.iter().filter(|line| line.contains(what));
        found.cloned().collect()
    }

    fn connect(&self) -> Client {
        wait_until("the broker to serve", || {
            !self.lines_with("\"serving\"").is_empty()
        });
        let line = self.lines_with("\"listening\"").remove(0);
        let (_, rest) = line
            .split_once(r#""address":""#)
            .expect("it says where it listens");
        let (address, _) = rest.split_once('"').expect("a text");
        let stream = TcpStream::connect(address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a limit");
        Client { stream }
    }

    /// From now on every write to a file fails.
    fn forbid_writes(&self) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit {
            current: Some(0),
            maximum,
        };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, limit).expect("limits can be lowered");
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    fn ended(&mut self) -> ExitStatus {
        wait_until("the broker to end", || !self.is_running());
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn send<R: Request>(&mut self, version: i16, request: &R) {
        let frame = encode_request(1, Some("test"), version, request);
        let frame = frame.expect("the request can be written");
        self.stream.write_all(&frame).expect("it is read");
    }

    fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer");
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).expect("all of it");
        let mut frame = bytes::Bytes::from(frame);
        let api = ApiKey::try_from(R::KEY).expect("a known api");
        decode_response_header(&mut frame, api, version).expect("a header");
        decode_response::<R>(&mut frame, version).expect("it can be read")
    }

    fn is_led(&mut self, topic: &str) -> bool {
        let mut asked = MetadataRequestTopic::default();
        asked.name = Some(name(topic));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let topic = self.ask(12, &request).topics.remove(0);
        topic.partitions.iter().all(|one| one.error_code == 0)
    }

    fn produce(&mut self, topic: &str) -> ErrorCode {
        let mut builder = BatchBuilder::new(BatchSettings::default());
        builder.push(1_700_000_000_000, None, Some(b"value"));
        let batch = builder.build().expect("a valid batch");
        let data = PartitionProduceData::default().with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(name(topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        let mut response = self.ask(9, &request);
        let partition = response.responses.remove(0).partition_responses.remove(0);
        ErrorCode::from(partition.error_code)
    }
}

fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn new_topic(topic: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(1)
        .with_replication_factor(1);
    CreateTopicsRequest::default().with_topics(vec![topic])
}

#[test]
fn a_broker_goes_on_without_a_directory_but_not_without_that_of_the_metadata() {
    let dir = tempfile::tempdir().expect("a folder");
    let directories = ["metadata", "partitions"].map(|name| dir.path().join(name));
    let [metadata, partitions] = directories
        .each_ref()
        .map(|path| path.display().to_string());
    let settings = dir.path().join("server.properties");
    let text = format!(
        "node.id=1\nlisteners=PLAINTEXT://127.0.0.1:0\nlog.dirs={metadata},{partitions}\n\
         millrace.metrics.listener=\nmillrace.control.listener=\nmillrace.min.free.bytes=0\n"
    );
    std::fs::write(&settings, text).expect("settings can be written");
    let mut broker = Broker::start(&settings);
    let mut client = broker.connect();

    // The directory that holds the fewest groups gets it: not that of the metadata, which is one.
    let made = client.ask(7, &new_topic("t")).topics.remove(0);
    assert_eq!(ErrorCode::from(made.error_code), ErrorCode::None);
    wait_until("a leader", || client.is_led("t"));
    assert_eq!(client.produce("t"), ErrorCode::None);

    broker.forbid_writes();
    assert_eq!(client.produce("t"), ErrorCode::KafkaStorageError);
    let failed = "log shard failed";
    wait_until("the failed directory to be named", || {
        !broker.lines_with(failed).is_empty()
    });
    assert!(broker.lines_with(failed)[0].contains(&partitions));
    wait_until("it to be offline", || !client.is_led("t"));
    assert!(broker.is_running());

    client.send(7, &new_topic("u"));
    assert_eq!(broker.ended().code(), Some(1));
    let said = || broker.lines_with("the directory of the metadata");
    wait_until("its last lines", || !said().is_empty());
    let said = said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&metadata), "{said:?}");
    assert!(said[0].contains("ERROR"), "{said:?}");
}
