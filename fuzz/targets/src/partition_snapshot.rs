//! Whatever a partition's snapshot holds, a partition made from it keeps its invariants, and writes a snapshot that makes the
//! same partition.

use crc32c::{crc32c, crc32c_append};
use millrace_broker::partition::{Partition, TopicConfig};
use millrace_broker::raft::ports::StateMachine as _;
use millrace_broker::storage::entry::SnapshotHeader;

const VERSION: u8 = 1;

/// What the log takes: not of interest here.
const MAX_ENTRY_BYTES: usize = 1 << 20;

pub fn run(input: &[u8]) -> bool {
    let as_it_is = read(input);
    checked(input).is_some_and(|bytes| read(&bytes)) || as_it_is
}

/// That of an empty partition, without the version and the checksum, which `run` adds.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut empty = Partition::new(TopicConfig::default(), MAX_ENTRY_BYTES);
    let row = empty.snapshot().expect("it can be written");
    let (header, rest) = row.split_at(SnapshotHeader::LEN);
    vec![[header, &rest[5..]].concat()]
}

/// The input as header and body, with the version and the checksum that belong to them.
fn checked(input: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = input.split_at_checked(SnapshotHeader::LEN)?;
    let mut bytes = header.to_vec();
    bytes.push(VERSION);
    bytes.extend(crc32c_append(crc32c(header), body).to_be_bytes());
    bytes.extend_from_slice(body);
    Some(bytes)
}

fn read(bytes: &[u8]) -> bool {
    let Ok(mut partition) =
        Partition::from_snapshot_row(TopicConfig::default(), MAX_ENTRY_BYTES, bytes)
    else {
        return false;
    };
    let positions = partition.view().positions();
    assert!(positions.log_start <= positions.last_stable);
    assert!(positions.last_stable <= positions.high_watermark);
    assert!(positions.high_watermark <= positions.log_end);
    partition
        .view()
        .aborted_in(positions.log_start, positions.log_end);
    partition.view().end_offset_for(0);
    partition.expire_producers(i64::MAX / 2);
    let written = partition.snapshot().expect("it can be written");
    let mut again = Partition::from_snapshot_row(TopicConfig::default(), MAX_ENTRY_BYTES, &written)
        .expect("what was written can be read");
    assert_eq!(again.snapshot().expect("it can be written"), written);
    true
}
