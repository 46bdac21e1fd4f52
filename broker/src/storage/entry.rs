//! The header that each raft entry of a partition carries in its `context`, so that storage can map offsets to entries
//! without reading batches. An entry without a header (a new leader's empty one, a membership change) occupies no offset.

use super::ids::Offset;
use bytes::{Buf, BufMut, Bytes, BytesMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// `data` is one or more Kafka record batches, as the client sent them but for base offset and leader epoch.
    Batches,
    /// The partition's log start moves to `base_offset` (DeleteRecords, retention). Occupies no offset.
    LogStart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    pub kind: EntryKind,
    pub base_offset: Offset,
    /// How many offsets the entry occupies.
    pub offsets: u32,
    /// The largest timestamp in it, or -1.
    pub max_timestamp_ms: i64,
}

const LEN: usize = 1 + 8 + 4 + 8;

impl EntryHeader {
    pub fn next_offset(&self) -> Offset {
        self.base_offset + i64::from(self.offsets)
    }

    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(LEN);
        out.put_u8(match self.kind {
            EntryKind::Batches => 1,
            EntryKind::LogStart => 2,
        });
        out.put_i64(self.base_offset.0);
        out.put_u32(self.offsets);
        out.put_i64(self.max_timestamp_ms);
        out.freeze()
    }

    /// `None` for an entry that is not the partition's own (empty context), or one that this version does not know.
    pub fn decode(mut context: &[u8]) -> Option<EntryHeader> {
        if context.len() != LEN {
            return None;
        }
        let kind = match context.get_u8() {
            1 => EntryKind::Batches,
            2 => EntryKind::LogStart,
            _ => return None,
        };
        Some(EntryHeader {
            kind,
            base_offset: Offset(context.get_i64()),
            offsets: context.get_u32(),
            max_timestamp_ms: context.get_i64(),
        })
    }
}
