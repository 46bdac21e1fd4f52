//! `millrace dump-log` on the files of a real broker: Kafka's lines, damage named with its place, and nothing changed.

use bytes::Bytes;
use expect_test::{Expect, expect};
use millrace_broker::config::{BrokerConfig, Sources};
use millrace_broker::metadata::{Command, NewTopic, Placement};
use millrace_broker::partition::Role;
use millrace_broker::raft::ports::Ack;
use millrace_broker::server::Server;
use millrace_wire::record::{Headers, Record};
use millrace_wire::uuid::Uuid;
use millrace_wire::{BatchBuilder, BatchHeader, BatchSettings, Compression};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// A directory that a broker has written to: topic `t` with two partitions.
struct Written {
    dir: TempDir,
    server: Option<Server>,
}

impl Written {
    async fn new() -> Written {
        let dir = tempfile::tempdir().expect("a folder");
        let overrides = [
            "node.id=1".to_owned(),
            "listeners=PLAINTEXT://127.0.0.1:0".to_owned(),
            "millrace.metrics.listener=".to_owned(),
            "millrace.control.listener=".to_owned(),
            format!("log.dirs={}", dir.path().display()),
        ];
        let sources = Sources {
            overrides: overrides.to_vec(),
            ..Sources::default()
        };
        let loaded = BrokerConfig::load(&sources).expect("the settings are right");
        let server = Server::start(loaded.config).await.expect("it starts");
        let new = NewTopic {
            name: "t".to_owned(),
            id: Uuid::from_u128(7),
            partitions: 2,
            placement: Placement::Automatic {
                replicas: 1,
                seed: 0,
            },
            configs: BTreeMap::new(),
        };
        let made = server.broker.metadata.submit(Command::CreateTopic(new));
        made.await.expect("the topic is made");
        let version = server.broker.metadata.image().version;
        let caught_up = server.broker.replicas.caught_up(version);
        let caught_up = tokio::time::timeout(DEADLINE, caught_up);
        caught_up.await.expect("replicas are made in time");
        let server = Some(server);
        Written { dir, server }
    }

    async fn append(&self, partition: usize, batch: Bytes) {
        let server = self.server.as_ref().expect("it runs");
        let hosting = server.broker.replicas.hosting();
        let topic = hosting.topic("t").expect("the topic is there");
        let handle = topic.partitions[partition].clone().expect("it is served");
        let leads = async {
            while handle.positions().role != Role::Leader {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let leads = tokio::time::timeout(DEADLINE, leads);
        leads.await.expect("it leads in time");
        let appended = handle.append(batch, 1_000, Ack::Committed { voters: 1 });
        appended.await.expect("appended");
    }

    async fn stop(&mut self) {
        let server = self.server.take().expect("it runs");
        server.stop().await;
    }

    fn segment(&self) -> PathBuf {
        self.dir.path().join("log/00000000000000000001.log")
    }

    fn dump(&self, file: &Path, options: &[&str]) -> Output {
        dump(file, options)
    }

    /// What is printed for `file`, and behind it what is said and the exit code when there is either. How many bytes of the
    /// metadata and of raft lie before a batch is chance, and the epoch is raft's.
    fn check(&self, file: &Path, options: &[&str], expected: Expect) {
        let output = self.dump(file, options);
        let mut shown = String::from_utf8(output.stdout).expect("text");
        let said = String::from_utf8(output.stderr).expect("text");
        if !said.is_empty() || !output.status.success() {
            shown += &format!("{said}{}\n", output.status);
        }
        check_positions(file, &shown);
        let root = self.dir.path().canonicalize().expect("it is there");
        let mut shown = shown.replace(&root.display().to_string(), "DIR");
        for name in ["position", "partitionLeaderEpoch", "vote", "commit", "term"] {
            shown = masked(&shown, name);
        }
        expected.assert_eq(&shown);
    }
}

/// The number behind `name: `.
fn number(line: &str, name: &str) -> Option<usize> {
    let (_, rest) = line.split_once(&format!("{name}: "))?;
    rest.split(' ').next()?.parse().ok()
}

/// With an N for each number behind `name: `.
fn masked(text: &str, name: &str) -> String {
    let label = format!(" {name}: ");
    let mut parts = text.split(&label);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out += &format!("{label}N{rest}");
    }
    out
}

/// Each batch is where its line says.
fn check_positions(file: &Path, shown: &str) {
    let bytes = std::fs::read(file).expect("a file");
    for line in shown.lines().filter(|line| line.starts_with("baseOffset")) {
        let position = number(line, "position").expect("a position");
        let header = BatchHeader::decode(&bytes[position..]).expect("a batch");
        assert_eq!(
            number(line, "baseOffset"),
            Some(header.base_offset as usize)
        );
        assert_eq!(number(line, "size"), Some(header.size_bytes));
    }
}

fn dump(file: &Path, options: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["dump-log", "--files"])
        .arg(file)
        .args(options)
        .output()
        .expect("the program runs")
}

fn plain(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    for (n, value) in values.iter().enumerate() {
        builder.push(100 + n as i64, None, Some(value.as_bytes()));
    }
    builder.build().expect("a valid batch")
}

/// With a key, headers and a tombstone, compressed, of an idempotent producer.
fn rich() -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings {
        compression: Compression::Gzip,
        producer_id: 5,
        producer_epoch: 0,
        base_sequence: 0,
        ..BatchSettings::default()
    });
    let header = |name: &'static str| (Bytes::from(name), Some(Bytes::from("x")));
    let record = Record {
        key: Some(Bytes::from("k")),
        value: Some(Bytes::copy_from_slice(&256i32.to_be_bytes())),
        headers: Headers::from_iter([header("a"), header("b")]),
        ..Record::default()
    };
    builder.push_record(200, record);
    builder.push(201, Some(b"k"), None);
    builder.build().expect("a valid batch")
}

/// Names, lengths and checksums of all files below `dir`.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (usize, u32)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => {
                let bytes = std::fs::read(&path).expect("a file");
                found.insert(path, (bytes.len(), crc32c::crc32c(&bytes)));
            }
        }
    }
    found
}

fn position(file: &Path, needle: &str) -> usize {
    let bytes = std::fs::read(file).expect("a file");
    let mut windows = bytes.windows(needle.len());
    let found = windows.position(|window| window == needle.as_bytes());
    found.expect("it was written")
}

fn flip_bit(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[at] ^= 4;
    std::fs::write(file, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_shown_in_kafkas_lines_partition_by_partition() {
    let mut written = Written::new().await;
    written.append(0, plain(&["hello", "world"])).await;
    written.append(1, rich()).await;
    written.append(0, plain(&["again"])).await;
    written.stop().await;
    let before = contents(written.dir.path());
    let segment = written.segment();
    let records = ["--topic-partition", "t-0,t-1"];
    written.check(&segment, &records, expect![[r#"
        Dumping DIR/log/00000000000000000001.log
        Topic partition: t-0
        Log starting offset: 0
        baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 101 size: 85 magic: 2 compresscodec: none crc: 2701005466 isvalid: true
        baseOffset: 2 lastOffset: 2 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 100 size: 73 magic: 2 compresscodec: none crc: 4214800521 isvalid: true
        Dumping DIR/log/00000000000000000001.log
        Topic partition: t-1
        Log starting offset: 0
        baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 0 lastSequence: 1 producerId: 5 producerEpoch: 0 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 201 size: 109 magic: 2 compresscodec: gzip crc: 163535424 isvalid: true
    "#]]);
    written.check(
        &segment,
        &["--topic-partition", "t-0", "--print-data-log"],
        expect![[r#"
            Dumping DIR/log/00000000000000000001.log
            Topic partition: t-0
            Log starting offset: 0
            baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 101 size: 85 magic: 2 compresscodec: none crc: 2701005466 isvalid: true
            | offset: 0 CreateTime: 100 keySize: -1 valueSize: 5 sequence: -1 headerKeys: [] payload: hello
            | offset: 1 CreateTime: 101 keySize: -1 valueSize: 5 sequence: -1 headerKeys: [] payload: world
            baseOffset: 2 lastOffset: 2 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 100 size: 73 magic: 2 compresscodec: none crc: 4214800521 isvalid: true
            | offset: 2 CreateTime: 100 keySize: -1 valueSize: 5 sequence: -1 headerKeys: [] payload: again
        "#]],
    );
    written.check(
        &segment,
        &[
            "--topic-partition=t-1",
            "--print-data-log",
            "--skip-record-metadata",
            "--value-decoder-class",
            "kafka.serializer.IntegerDecoder",
        ],
        expect![[r#"
            Dumping DIR/log/00000000000000000001.log
            Topic partition: t-1
            Log starting offset: 0
            baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 0 lastSequence: 1 producerId: 5 producerEpoch: 0 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 201 size: 109 magic: 2 compresscodec: gzip crc: 163535424 isvalid: true
            | key: k payload: 256
            | key: k
        "#]],
    );
    written.check(
        &segment,
        &["--topic-partition", "t-0", "--max-bytes", "1"],
        expect![[r#"
            Dumping DIR/log/00000000000000000001.log
            Topic partition: t-0
            Log starting offset: 0
            baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 101 size: 85 magic: 2 compresscodec: none crc: 2701005466 isvalid: true
        "#]],
    );
    written.check(
        &segment,
        &["--topic-partition", "t-0", "--print-raft"],
        expect![[r#"
            Dumping DIR/log/00000000000000000001.log
            Topic partition: t-0
            raft term: N vote: N commit: N position: N size: 13
            raft index: 2 term: N position: N size: 13 kind: empty
            raft index: 3 term: N position: N size: 103 kind: batches
            Log starting offset: 0
            baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 101 size: 85 magic: 2 compresscodec: none crc: 2701005466 isvalid: true
            raft index: 4 term: N position: N size: 91 kind: batches
            baseOffset: 2 lastOffset: 2 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: N isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: N CreateTime: 100 size: 73 magic: 2 compresscodec: none crc: 4214800521 isvalid: true
        "#]],
    );
    written.check(&segment, &["--verify-index-only"], expect![""]);
    written.check(
        &segment,
        &["--index-sanity-check"],
        expect![[r#"
        DIR/log/00000000000000000001.log passed sanity check.
    "#]],
    );
    assert_eq!(
        contents(written.dir.path()),
        before,
        "dumping changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_is_shown_as_json() {
    let mut written = Written::new().await;
    written.stop().await;
    let output = written.dump(&written.segment(), &["--cluster-metadata-decoder"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    let topic = shown.lines().find(|line| line.contains("TopicCreated"));
    let (_, json) = topic
        .expect("it is in the log")
        .split_once("payload: ")
        .expect("decoded");
    assert_eq!(
        json,
        r#"{"data":{"configs":{},"name":"t","partitions":[{"adding":[],"group":1,"made":[],"peers":[1],"removing":[],"replicas":[1]},{"adding":[],"group":2,"made":[],"peers":[1],"removing":[],"replicas":[1]}],"topicId":"AAAAAAAAAAAAAAAAAAAABw"},"type":"TopicCreated"}"#
    );
    assert!(
        shown
            .lines()
            .any(|line| line.contains(r#""type":"BrokerRegistered""#)),
        "{shown}"
    );
    assert!(
        shown.contains("Topic partition: __cluster_metadata-0"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_shown_also_while_a_broker_runs_on_it() {
    let mut written = Written::new().await;
    written.append(0, plain(&["sealed"])).await;
    written
        .server
        .as_ref()
        .expect("it runs")
        .broker
        .replicas
        .engine()
        .seal_all();
    written.append(0, plain(&["fresh"])).await;
    let options = ["--topic-partition", "t-0", "--print-data-log"];
    let shown = |output: Output| String::from_utf8(output.stdout).expect("text");
    let running = shown(written.dump(written.dir.path(), &options));
    let lines: Vec<&str> = running
        .lines()
        .filter(|line| line.contains("payload"))
        .collect();
    assert!(
        lines.len() == 2 && lines[0].ends_with("sealed") && lines[1].ends_with("fresh"),
        "{running}"
    );
    assert!(
        running.contains("families (sealed offsets 0 to 0)"),
        "{running}"
    );
    assert_eq!(shown(written.dump(written.dir.path(), &options)), running);

    written.append(0, plain(&["more"])).await;
    written.stop().await;
    let before = contents(written.dir.path());
    let stopped = shown(written.dump(written.dir.path(), &options));
    assert_eq!(
        stopped
            .lines()
            .filter(|line| line.contains("payload"))
            .count(),
        3,
        "{stopped}"
    );
    let tables: Vec<&PathBuf> = before
        .keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .collect();
    let from_tables: Vec<String> = tables
        .iter()
        .map(|table| shown(written.dump(table, &options)))
        .collect();
    let held: Vec<&String> = from_tables
        .iter()
        .filter(|shown| shown.contains("payload: sealed"))
        .collect();
    assert_eq!(held.len(), 1, "{from_tables:?}");
    assert_eq!(
        contents(written.dir.path()),
        before,
        "dumping changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_what_lies_behind_it_is_shown() {
    let mut written = Written::new().await;
    for value in ["first", "second", "third"] {
        written.append(0, plain(&[value])).await;
    }
    written.stop().await;
    let segment = written.segment();
    let at = position(&segment, "second");
    flip_bit(&segment, at);
    let output = written.dump(&segment, &["--topic-partition", "t-0", "--print-data-log"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    let payloads: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once("payload: "))
        .map(|(_, payload)| payload)
        .collect();
    assert_eq!(payloads, ["first", "third"], "{shown}");
    let said = String::from_utf8(output.stderr).expect("text");
    let position: usize = said
        .split_once("damaged at position ")
        .and_then(|(_, rest)| rest.split(':').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no position in {said}"));
    assert!(
        (at - 200..at).contains(&position),
        "{said}, the bit is at {at}"
    );
    assert!(
        said.contains("00000000000000000001.log") && said.contains("checksum"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));

    // Without its header the file still says which segment it is.
    flip_bit(&segment, at);
    flip_bit(&segment, 3);
    let output = written.dump(&segment, &["--topic-partition", "t-0", "--print-data-log"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.contains("payload"))
            .count(),
        3,
        "{shown}"
    );
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(
        said.contains("is damaged at position 0: the segment's header is invalid"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_no_damage() {
    let mut written = Written::new().await;
    written.append(0, plain(&["first"])).await;
    written.append(0, plain(&["last"])).await;
    written.stop().await;
    let segment = written.segment();
    let at = position(&segment, "last");
    let bytes = std::fs::read(&segment).expect("a file");
    std::fs::write(&segment, &bytes[..at + 2]).expect("cut");
    let before = contents(written.dir.path());
    let output = written.dump(&segment, &["--topic-partition", "t-0", "--print-data-log"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.contains("payload"))
            .count(),
        1,
        "{shown}"
    );
    assert!(
        shown.contains("invalid bytes at the end of 00000000000000000001.log"),
        "{shown}"
    );
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(
        contents(written.dir.path()),
        before,
        "dumping changes nothing"
    );
}

#[test]
fn what_is_no_file_of_a_broker_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().canonicalize().expect("it is there");
    let check = |name: &str, bytes: &[u8], expected: Expect| {
        let path = root.join(name);
        std::fs::write(&path, bytes).expect("written");
        let output = dump(&path, &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).expect("text");
        expected.assert_eq(&said.replace(&root.display().to_string(), "DIR"));
    };
    check(
        "00000000000000000000.log",
        b"of Apache Kafka",
        expect![[r#"
            Ignoring unknown file DIR/00000000000000000000.log: it is no segment of a shared log
            millrace: 1 fault was found
        "#]],
    );
    check(
        "00000000000000000001.spare",
        &[0; 64],
        expect![[r#"
            Ignoring unknown file DIR/00000000000000000001.spare: it is a spare segment: it holds nothing
            millrace: 1 fault was found
        "#]],
    );
    check(
        "000012.sst",
        b"",
        expect![[r#"
            Ignoring unknown file DIR/000012.sst: a table file is read with the database it belongs to: name it in its place
            millrace: 1 fault was found
        "#]],
    );
    let missing = dump(&root.join("none"), &[]);
    assert_eq!(missing.status.code(), Some(1));
    let folder = dump(&root, &[]);
    let said = String::from_utf8(folder.stderr).expect("text");
    assert!(said.contains("has the folders log and families"), "{said}");
    let offsets = dump(&root, &["--offsets-decoder"]);
    let said = String::from_utf8(offsets.stderr).expect("text");
    assert!(
        said.contains("this release keeps no __consumer_offsets"),
        "{said}"
    );
}
