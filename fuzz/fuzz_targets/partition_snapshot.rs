//! Whatever a partition's snapshot holds, a partition made from it keeps its invariants, and writes a snapshot that makes the
//! same partition.
#![no_main]

use crc32c::{crc32c, crc32c_append};
use libfuzzer_sys::fuzz_target;
use millrace_broker::partition::{Partition, TopicConfig};
use millrace_broker::raft::ports::StateMachine as _;
use millrace_broker::storage::entry::SnapshotHeader;

const VERSION: u8 = 1;

fuzz_target!(|input: &[u8]| {
    read(input);
    if let Some(bytes) = checked(input) {
        read(&bytes);
    }
});

/// The input as header and body, with the version and the checksum that belong to them.
fn checked(input: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = input.split_at_checked(SnapshotHeader::LEN)?;
    let mut bytes = header.to_vec();
    bytes.push(VERSION);
    bytes.extend(crc32c_append(crc32c(header), body).to_be_bytes());
    bytes.extend_from_slice(body);
    Some(bytes)
}

fn read(bytes: &[u8]) {
    let Ok(mut partition) = Partition::from_snapshot_row(TopicConfig::default(), bytes) else {
        return;
    };
    let positions = partition.view().positions();
    assert!(positions.log_start <= positions.last_stable);
    assert!(positions.last_stable <= positions.high_watermark);
    assert!(positions.high_watermark <= positions.log_end);
    partition.view().aborted_in(positions.log_start, positions.log_end);
    partition.view().end_offset_for(0);
    partition.expire_producers(i64::MAX / 2);
    let written = partition.snapshot().expect("it can be written");
    let mut again = Partition::from_snapshot_row(TopicConfig::default(), &written)
        .expect("what was written can be read");
    assert_eq!(again.snapshot().expect("it can be written"), written);
}
