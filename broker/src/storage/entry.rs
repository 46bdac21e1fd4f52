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

    /// `None` for an entry that is not the partition's own: it has no context.
    pub fn decode(mut context: &[u8]) -> Result<Option<EntryHeader>, HeaderError> {
        if context.is_empty() {
            return Ok(None);
        }
        if context.len() != LEN {
            return Err(HeaderError::Length(context.len()));
        }
        let kind = match context.get_u8() {
            1 => EntryKind::Batches,
            2 => EntryKind::LogStart,
            kind => return Err(HeaderError::Kind(kind)),
        };
        Ok(Some(EntryHeader {
            kind,
            base_offset: Offset(context.get_i64()),
            offsets: context.get_u32(),
            max_timestamp_ms: context.get_i64(),
        }))
    }
}

/// An entry's header that this release cannot read. Guessing would lose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("entry header has {0} bytes, this release reads {LEN}")]
    Length(usize),
    #[error("entry is of kind {0}, which this release does not know")]
    Kind(u8),
}

/// What storage must know of a state machine's snapshot: its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The offset behind the last record: where the log starts anew.
    pub next_offset: Offset,
    /// The first offset that is still wanted.
    pub log_start: Offset,
}

impl SnapshotHeader {
    pub const LEN: usize = 16;

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let (next, start) = out.split_at_mut(8);
        next.copy_from_slice(&self.next_offset.0.to_be_bytes());
        start.copy_from_slice(&self.log_start.0.to_be_bytes());
        out
    }

    pub fn decode(snapshot: &[u8]) -> Option<SnapshotHeader> {
        let mut header: &[u8] = snapshot.get(..Self::LEN)?;
        Some(SnapshotHeader {
            next_offset: Offset(header.get_i64()),
            log_start: Offset(header.get_i64()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_decodes_to_what_was_encoded(base: i64, offsets: u32, max_timestamp_ms: i64, records: bool) {
            let kind = if records { EntryKind::Batches } else { EntryKind::LogStart };
            let header = EntryHeader { kind, base_offset: Offset(base), offsets, max_timestamp_ms };
            prop_assert_eq!(EntryHeader::decode(&header.encode()), Ok(Some(header)));
        }

        #[test]
        fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            prop_assume!(bytes.len() != LEN || bytes[0] > 2 || bytes[0] == 0);
            prop_assert!(EntryHeader::decode(&bytes).is_err());
        }
    }
}
