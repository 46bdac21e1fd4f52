//! The header that each raft entry of a partition carries in its `context`, so that storage can map offsets to entries
//! without reading batches. An entry without a header (a new leader's empty one, a membership change) occupies no offset.

use super::ids::Offset;
use super::varint;
use bytes::{Buf, BufMut, Bytes};

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

/// A kind and three numbers, each at its longest: 64, 32 and 64 bits.
const MAX_LEN: usize = 1 + varint::MAX_LEN + 5 + varint::MAX_LEN;

impl EntryHeader {
    pub fn next_offset(&self) -> Offset {
        self.base_offset + i64::from(self.offsets)
    }

    /// The header of an entry that holds what `next` holds, too, which begins where this one ends. `None` when that is more
    /// than an entry takes.
    pub fn join(&self, next: &EntryHeader) -> Option<EntryHeader> {
        debug_assert_eq!(self.next_offset(), next.base_offset);
        Some(EntryHeader {
            offsets: self.offsets.checked_add(next.offsets)?,
            max_timestamp_ms: self.max_timestamp_ms.max(next.max_timestamp_ms),
            ..*self
        })
    }

    /// Numbers that are small most of the time take few bytes: the header lies beside each entry in the log.
    pub fn encode(&self) -> Bytes {
        let mut bytes = [0; MAX_LEN];
        let mut out = &mut bytes[..];
        out.put_u8(match self.kind {
            EntryKind::Batches => 1,
            EntryKind::LogStart => 2,
        });
        varint::put(&mut out, varint::zigzag(self.base_offset.0));
        varint::put(&mut out, u64::from(self.offsets));
        varint::put(&mut out, varint::zigzag(self.max_timestamp_ms));
        let len = MAX_LEN - out.len();
        Bytes::copy_from_slice(&bytes[..len])
    }

    /// `None` for an entry that is not the partition's own: it has no context.
    pub fn decode(context: &[u8]) -> Result<Option<EntryHeader>, HeaderError> {
        let Some((kind, mut rest)) = context.split_first() else {
            return Ok(None);
        };
        let kind = match kind {
            1 => EntryKind::Batches,
            2 => EntryKind::LogStart,
            kind => return Err(HeaderError::Kind(*kind)),
        };
        let malformed = HeaderError::Malformed {
            bytes: context.len(),
        };
        let mut number = || varint::get(&mut rest).ok_or(malformed);
        let (base, offsets, timestamp) = (number()?, number()?, number()?);
        let offsets = u32::try_from(offsets).map_err(|_| malformed)?;
        match rest.is_empty() {
            true => Ok(Some(EntryHeader {
                kind,
                base_offset: Offset(varint::unzigzag(base)),
                offsets,
                max_timestamp_ms: varint::unzigzag(timestamp),
            })),
            false => Err(malformed),
        }
    }
}

/// An entry's header that this release cannot read. Guessing would lose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("entry header of {bytes} bytes is not a kind, an offset, a count and a timestamp")]
    Malformed { bytes: usize },
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
        fn other_bytes_are_refused(header: (i64, u32, i64), cut in 1usize..4, extra: u8, kind in 3u8..) {
            let (base, offsets, max_timestamp_ms) = header;
            let header = EntryHeader { kind: EntryKind::Batches, base_offset: Offset(base), offsets, max_timestamp_ms };
            let bytes = header.encode();
            prop_assert!(EntryHeader::decode(&bytes[..bytes.len().saturating_sub(cut).max(1)]).is_err());
            prop_assert!(EntryHeader::decode(&[&bytes[..], &[extra]].concat()).is_err());
            prop_assert_eq!(EntryHeader::decode(&[&[kind], &bytes[1..]].concat()), Err(HeaderError::Kind(kind)));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = EntryHeader::decode(&bytes);
        }
    }
}
