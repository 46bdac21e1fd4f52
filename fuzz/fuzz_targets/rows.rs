//! Whatever the small rows and headers hold, reading them does not panic, and what is read can be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_broker::storage::entry::{EntryHeader, SnapshotHeader};
use millrace_broker::storage::rows::{GroupRow, Run};

/// The version of the rows' format, their first byte.
const VERSION: u8 = 1;

fuzz_target!(|input: &[u8]| {
    read(input);
    let mut checked = vec![VERSION];
    checked.extend_from_slice(input);
    checked.extend(crc32c::crc32c(&checked).to_be_bytes());
    read(&checked);
});

fn read(bytes: &[u8]) {
    if let Ok(row) = GroupRow::decode(bytes) {
        assert_eq!(GroupRow::decode(&row.encode()), Ok(row));
    }
    if let Ok(run) = Run::decode(bytes) {
        assert_eq!(run.encode(), bytes);
    }
    if let Ok(Some(header)) = EntryHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes);
        let _ = header.base_offset.0.checked_add(i64::from(header.offsets));
    }
    if let Some(header) = SnapshotHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes[..SnapshotHeader::LEN]);
    }
}
