//! Apache Kafka's own bytes: `golden/java.txt` was written by its classes (`golden/Golden.java`, kafka-clients 4.3.1).

#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use millrace_wire::batch::{BatchMut, split};
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::{Batch, BatchBuilder, BatchSettings, Compression, Headers, Record};
use std::fmt::Write;

const LIMIT_BYTES: usize = 1 << 20;

fn java(name: &str) -> Batch {
    let line = include_str!("golden/java.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no batch {name} in java.txt"));
    let bytes: Vec<u8> = (0..line.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
        .collect();
    let batch = Batch::decode(bytes.into()).unwrap();
    batch.verify_crc().unwrap();
    batch
}

fn settings() -> BatchSettings {
    BatchSettings {
        base_offset: 1_000_000,
        leader_epoch: 5,
        producer_id: 42,
        producer_epoch: 7,
        base_sequence: 100,
        ..BatchSettings::default()
    }
}

/// What `Golden.fill` appends: timestamps and records.
fn sample() -> Vec<(i64, Record)> {
    let b = Bytes::from_static;
    let headers = Headers::from_iter([
        (b(b"h"), Some(b(b"1"))),
        (b(b"h"), Some(b(b"2"))),
        (b(b""), None),
        (b(b"empty"), Some(b(b""))),
    ]);
    let long = Bytes::from("abcdefgh".repeat(40));
    let rows = [
        (1_700_000_000_000, Some(b(b"key")), Some(b(b"value"))),
        (1_700_000_000_500, None, Some(b(b"no key"))),
        (1_699_999_999_000, Some(b(b"tombstone")), None),
        (1_700_000_000_700, Some(b(b"")), Some(b(b""))),
        (1_700_000_001_000, Some(b(b"long")), Some(long)),
    ];
    let mut sample: Vec<(i64, Record)> = (0..)
        .zip(rows)
        .map(|(offset_delta, (timestamp_ms, key, value))| {
            let record = Record {
                offset_delta,
                key,
                value,
                ..Record::default()
            };
            (timestamp_ms, record)
        })
        .collect();
    sample[4].1.headers = headers;
    sample
}

fn build(settings: BatchSettings, records: &[(i64, Record)]) -> Batch {
    let mut builder = BatchBuilder::new(settings);
    for (timestamp_ms, record) in records {
        builder.push_record(*timestamp_ms, record.clone());
    }
    Batch::decode(builder.build().unwrap()).unwrap()
}

fn records_of(batch: &Batch) -> Vec<(i64, Record)> {
    let records = batch.records(LIMIT_BYTES).unwrap();
    records
        .map(|record| {
            let record = record.unwrap();
            let timestamp_ms = batch.header().timestamp_ms(&record);
            let timestamp_delta = 0;
            (
                timestamp_ms,
                Record {
                    timestamp_delta,
                    ..record
                },
            )
        })
        .collect()
}

/// Every batch that we build here, for Java to read: `Golden.java read`.
fn ours() -> Vec<(&'static str, Batch)> {
    let sample = sample();
    let mut ours = vec![
        ("none", build(settings(), &sample)),
        (
            "transactional",
            build(
                BatchSettings {
                    is_transactional: true,
                    ..settings()
                },
                &sample,
            ),
        ),
        (
            "log-append-time",
            build(
                BatchSettings {
                    log_append_time_ms: Some(1_700_000_055_555),
                    ..settings()
                },
                &sample,
            ),
        ),
    ];
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let settings = BatchSettings {
            compression: codec,
            ..settings()
        };
        ours.push((codec.name(), build(settings, &sample)));
    }
    for (name, control) in [
        ("abort", ControlType::Abort),
        ("commit", ControlType::Commit),
    ] {
        let marker = Record {
            key: Some(control.encode_key()),
            value: Some(
                EndMarker {
                    coordinator_epoch: 11,
                }
                .encode(),
            ),
            ..Record::default()
        };
        let settings = BatchSettings {
            base_offset: 77,
            leader_epoch: 5,
            producer_id: 4242,
            producer_epoch: 3,
            is_transactional: true,
            is_control: true,
            ..BatchSettings::default()
        };
        ours.push((name, build(settings, &[(1_700_000_000_000, marker)])));
    }
    let cleaned = BatchSettings {
        is_transactional: true,
        delete_horizon_ms: Some(1_800_086_400_000),
        last_offset_delta: Some(4),
        ..settings()
    };
    ours.push(("delete-horizon", build(cleaned, &sample)));
    ours.push(("last-records-lost", build(cleaned, &sample[..3])));
    let emptied = BatchSettings {
        delete_horizon_ms: None,
        max_timestamp_ms: Some(1_700_000_001_000),
        ..cleaned
    };
    ours.push(("emptied", build(emptied, &[])));
    ours
}

#[test]
fn what_we_build_is_what_java_builds() {
    for (name, ours) in ours() {
        let java = java(name);
        match ours.header().attributes.compression().unwrap() {
            Compression::None => assert_eq!(ours, java, "{name}"),
            // Two encoders need not choose alike: size and CRC may differ, nothing else.
            _ => {
                let header = millrace_wire::BatchHeader {
                    crc: java.header().crc,
                    size_bytes: java.header().size_bytes,
                    ..*ours.header()
                };
                assert_eq!(&header, java.header(), "{name}");
                assert_eq!(records_of(&ours), records_of(&java), "{name}");
            }
        }
    }
}

#[test]
fn javas_records_are_read_with_every_codec() {
    for name in ["none", "gzip", "snappy", "lz4", "zstd", "transactional"] {
        assert_eq!(records_of(&java(name)), sample(), "{name}");
    }
    for (timestamp_ms, _) in records_of(&java("log-append-time")) {
        assert_eq!(timestamp_ms, 1_700_000_055_555);
    }
}

#[test]
fn patching_in_place_gives_javas_bytes() {
    let mut bytes = BytesMut::from(&java("none").bytes()[..]);
    let (mut batch, rest) = BatchMut::split_first(&mut bytes).unwrap();
    assert!(rest.is_empty());
    batch.set_base_offset(2_000_000).unwrap();
    batch.set_leader_epoch(9);
    batch.set_log_append_time(1_700_000_099_999);
    let header = *batch.header();
    let patched = Batch::decode(bytes.freeze()).unwrap();
    assert_eq!(patched, java("patched"));
    assert_eq!(&header, patched.header());
}

#[test]
fn javas_markers_say_what_they_end() {
    for (name, control) in [
        ("abort", ControlType::Abort),
        ("commit", ControlType::Commit),
    ] {
        let batch = java(name);
        assert!(batch.header().attributes.is_control());
        let (_, record) = records_of(&batch).remove(0);
        assert_eq!(
            ControlType::decode_key(&record.key.unwrap()).unwrap(),
            control
        );
        let marker = EndMarker::decode(&record.value.unwrap()).unwrap();
        assert_eq!(marker.coordinator_epoch, 11);
    }
}

#[test]
fn a_stream_of_javas_batches_is_split() {
    let names = ["none", "zstd", "abort", "emptied", "lz4"];
    let mut stream = BytesMut::new();
    for name in names {
        stream.extend_from_slice(java(name).bytes());
    }
    let batches: Vec<Batch> = split(stream.freeze()).map(Result::unwrap).collect();
    assert_eq!(batches, names.map(java));
}

#[test]
fn ours_are_written_down_for_java_to_read() {
    let mut text = String::new();
    for (name, batch) in ours() {
        write!(text, "{name} ").unwrap();
        for byte in batch.bytes() {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/ours.txt");
    std::fs::write(path, text).unwrap();
}
