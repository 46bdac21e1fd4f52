//! Whatever the small rows and headers hold, reading them does not panic, and what is read can be written again.

use bytes::Bytes;
use millrace_broker::storage::entry::{EntryHeader, EntryKind, SnapshotHeader};
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log::Position;
use millrace_broker::storage::rows::{GroupRow, Run};
use raft::eraftpb::{ConfState, HardState};

/// The version of the rows' format, their first byte.
const VERSION: u8 = 1;

pub fn run(input: &[u8]) -> bool {
    let as_it_is = read(input);
    let mut checked = vec![VERSION];
    checked.extend_from_slice(input);
    checked.extend(crc32c::crc32c(&checked).to_be_bytes());
    read(&checked) || as_it_is
}

/// Rows without the version and the checksum, which `run` adds; and headers.
pub fn seeds() -> Vec<Vec<u8>> {
    let inside = |row: Vec<u8>| row[1..row.len() - 4].to_vec();
    let position = Position {
        segment: 3,
        offset: 4096,
    };
    let group = GroupRow {
        hard_state: HardState::default(),
        hard_state_from: position,
        truncated_index: 7,
        truncated_term: 2,
        next_offset: Offset(1_000),
        entries_from: position,
        conf_state: ConfState::default(),
        generation: 1,
        cleaned_to: Offset(500),
        applied: 9,
        machine: Bytes::from_static(b"machine"),
    };
    let run = Run {
        generation: 1,
        base: Offset(1_000),
        next: Offset(2_000),
        bytes: 1 << 20,
        max_timestamp_ms: 1_700_000_000_000,
        packed: Some(0),
    };
    let header = EntryHeader {
        kind: EntryKind::Batches,
        base_offset: Offset(1_000),
        offsets: 10,
        max_timestamp_ms: 1_700_000_000_000,
    };
    vec![
        inside(group.encode()),
        inside(run.encode()),
        inside(
            Run {
                packed: None,
                ..run
            }
            .encode(),
        ),
        header.encode().to_vec(),
    ]
}

fn read(bytes: &[u8]) -> bool {
    let mut was_read = false;
    if let Ok(row) = GroupRow::decode(bytes) {
        assert_eq!(GroupRow::decode(&row.encode()), Ok(row));
        was_read = true;
    }
    if let Ok(run) = Run::decode(bytes) {
        assert_eq!(run.encode(), bytes);
        was_read = true;
    }
    if let Ok(Some(header)) = EntryHeader::decode(bytes) {
        // Not the bytes: a number may be written longer than need be.
        assert_eq!(EntryHeader::decode(&header.encode()), Ok(Some(header)));
        let _ = header.base_offset.0.checked_add(i64::from(header.offsets));
        was_read = true;
    }
    if let Some(header) = SnapshotHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes[..SnapshotHeader::LEN]);
    }
    was_read
}
