//! What a leader says to a follower that is to have its records, and what that one answers.
//!
//! ```text
//! question = checksum u32 (CRC-32C of all that follows), length of head u32, head (JSON, to which releases may add), data
//! parcel   = entry, entry, ...
//! entry    = base offset i64, length u32, record batches
//! ```

use crate::raft::ports::{GroupId, PeerId};
use crate::storage::entry::SnapshotHeader;
use crate::storage::ids::Offset;
use crate::storage::import::Import;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use millrace_wire::batch::split;
use serde::{Deserialize, Serialize};

/// Of an entry in a parcel.
const ENTRY_HEAD_BYTES: usize = 8 + 4;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    Begin(Begin),
    Chunk(Chunk),
}

/// What is to be there before a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begin {
    /// Random: what comes of an earlier attempt is told apart by it.
    pub shipment: u64,
    pub group: GroupId,
    pub from: PeerId,
    pub to: PeerId,
    pub next_offset: i64,
    pub log_start: i64,
}

/// Consecutive bytes of a parcel. The data comes behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub shipment: u64,
    pub group: GroupId,
    /// What the parcel covers.
    pub base: i64,
    pub next: i64,
    /// All of it.
    pub parcel_bytes: u64,
    /// Where in it this chunk begins.
    pub at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Everything is there: the snapshot may come.
    Complete,
    /// Records from this offset on.
    Needs(i64),
    /// The parcel goes on.
    More,
    /// Too much is taken in at once: to be asked later.
    Busy,
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a question is cut short")]
    Short,
    #[error("a question's checksum is wrong")]
    Checksum,
    #[error("a question is none that this release knows")]
    Unknown,
    #[error("the parcel ends within an entry")]
    ShortEntry,
    #[error("the entry at offset {0} is out of order, or reaches out of its parcel")]
    Order(Offset),
    #[error("the entry at offset {0} is not made of whole record batches")]
    Batches(Offset),
    #[error("the entry at offset {0} has a batch with a wrong checksum")]
    BatchChecksum(Offset),
}

impl Begin {
    pub fn header(&self) -> SnapshotHeader {
        SnapshotHeader {
            next_offset: Offset(self.next_offset),
            log_start: Offset(self.log_start),
        }
    }
}

impl Question {
    pub fn encode(&self, data: &[u8]) -> Bytes {
        // Nothing in it has a key that is no text, or a number that is none.
        let head = serde_json::to_vec(self).unwrap_or_default();
        let mut out = BytesMut::with_capacity(8 + head.len() + data.len());
        out.put_u32(0);
        // A few hundred bytes.
        out.put_u32(head.len() as u32);
        out.put_slice(&head);
        out.put_slice(data);
        let checksum = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&checksum.to_be_bytes());
        out.freeze()
    }

    pub fn decode(mut bytes: Bytes) -> Result<(Question, Bytes), Malformed> {
        let checksum = bytes.try_get_u32().map_err(|_| Malformed::Short)?;
        if crc32c::crc32c(&bytes) != checksum {
            return Err(Malformed::Checksum);
        }
        let length = bytes.try_get_u32().map_err(|_| Malformed::Short)? as usize;
        if length > bytes.len() {
            return Err(Malformed::Short);
        }
        let head = bytes.split_to(length);
        let question = serde_json::from_slice(&head).map_err(|_| Malformed::Unknown)?;
        Ok((question, bytes))
    }
}

impl Reply {
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub fn decode(bytes: &[u8]) -> Option<Reply> {
        serde_json::from_slice(bytes).ok()
    }
}

/// A run, or a piece of one, as it is sent.
pub(super) fn pack(import: &Import) -> Bytes {
    let bytes: usize = import.entries.iter().map(|(_, data)| data.len()).sum();
    let heads = import.entries.len() * ENTRY_HEAD_BYTES;
    let mut out = BytesMut::with_capacity(bytes + heads);
    for (base, data) in &import.entries {
        out.put_i64(base.0);
        // An entry fits a segment of the log.
        out.put_u32(data.len() as u32);
        out.put_slice(data);
    }
    out.freeze()
}

/// The same as it came. Everything in it is looked at: entries in order and within `base..next`, whole batches, their checksums.
pub(super) fn unpack(base: Offset, next: Offset, mut parcel: Bytes) -> Result<Import, Malformed> {
    let mut entries = Vec::new();
    let mut at = base;
    while !parcel.is_empty() {
        if parcel.len() < ENTRY_HEAD_BYTES {
            return Err(Malformed::ShortEntry);
        }
        let (entry, length) = (Offset(parcel.get_i64()), parcel.get_u32() as usize);
        if length > parcel.len() {
            return Err(Malformed::ShortEntry);
        }
        let data = parcel.split_to(length);
        if entry < at || data.is_empty() {
            return Err(Malformed::Order(entry));
        }
        at = entry;
        for batch in split(data.clone()) {
            let batch = batch.map_err(|_| Malformed::Batches(entry))?;
            batch
                .verify_crc()
                .map_err(|_| Malformed::BatchChecksum(entry))?;
            if Offset(batch.header().base_offset) < at {
                return Err(Malformed::Order(entry));
            }
            at = Offset(batch.header().next_offset());
        }
        entries.push((entry, data));
    }
    match at > next {
        true => Err(Malformed::Order(at)),
        false => Ok(Import {
            base,
            next,
            entries,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_wire::{BatchBuilder, BatchSettings};
    use proptest::prelude::*;

    /// Entries of one batch each, with so many records, and so many offsets of nothing before.
    fn import(base: i64, entries: &[(u8, u8)]) -> Import {
        let mut at = base;
        let mut import = Import {
            base: Offset(base),
            next: Offset(base),
            entries: Vec::new(),
        };
        for (gap, records) in entries {
            at += i64::from(*gap);
            let mut builder = BatchBuilder::new(BatchSettings {
                base_offset: at,
                ..BatchSettings::default()
            });
            for n in 0..=*records {
                builder.push(1000, Some(b"key"), Some(&[n; 20]));
            }
            let batch = builder.build().expect("a valid batch");
            import.entries.push((Offset(at), batch));
            at += i64::from(*records) + 1;
        }
        import.next = Offset(at);
        import
    }

    fn same(a: &Import, b: &Import) -> bool {
        (a.base, a.next, &a.entries) == (b.base, b.next, &b.entries)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_parcel_unpacks_to_what_was_packed(
            base in 0i64..1 << 40,
            entries in prop::collection::vec((0u8..3, 0u8..4), 0..6),
        ) {
            let import = import(base, &entries);
            let unpacked = unpack(import.base, import.next, pack(&import)).expect("it is whole");
            prop_assert!(same(&unpacked, &import));
        }

        #[test]
        fn a_parcel_with_a_flipped_bit_is_refused_or_covers_no_more(
            entries in prop::collection::vec((0u8..3, 0u8..4), 1..4),
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let import = import(100, &entries);
            let mut bytes = pack(&import).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // Base offset and leader epoch lie outside of a batch's checksum; that of the chunk covers them.
            if let Ok(unpacked) = unpack(import.base, import.next, bytes.into()) {
                let reached = unpacked.entries.last().map(|(base, _)| *base);
                prop_assert!(reached < Some(import.next));
            }
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = Question::decode(bytes.clone());
            let _ = Reply::decode(&bytes);
            let _ = unpack(Offset(0), Offset(1 << 40), bytes);
        }

        #[test]
        fn a_question_decodes_to_what_was_encoded(
            numbers: [u64; 3],
            offsets: (i64, i64),
            data in prop::collection::vec(any::<u8>(), 0..100),
            flip: prop::sample::Index,
        ) {
            let question = Question::Chunk(Chunk {
                shipment: numbers[0],
                group: GroupId(numbers[1]),
                base: offsets.0,
                next: offsets.1,
                parcel_bytes: numbers[2],
                at: numbers[0] ^ numbers[1],
            });
            let encoded = question.encode(&data);
            let decoded = Question::decode(encoded.clone());
            prop_assert_eq!(decoded, Ok((question, Bytes::from(data))));
            let mut damaged = encoded.to_vec();
            let at = flip.index(damaged.len());
            damaged[at] ^= 1;
            prop_assert_eq!(Question::decode(damaged.into()), Err(Malformed::Checksum));
        }
    }

    #[test]
    fn entries_out_of_order_or_out_of_their_parcel_are_refused() {
        let whole = import(10, &[(0, 1), (0, 1)]);
        let unpacked = |base, next, import: &Import| {
            unpack(Offset(base), Offset(next), pack(import)).map(|import| import.entries.len())
        };
        assert_eq!(unpacked(10, 14, &whole), Ok(2));
        assert_eq!(
            unpacked(10, 13, &whole),
            Err(Malformed::Order(Offset(14))),
            "beyond its end"
        );
        assert_eq!(
            unpacked(11, 14, &whole),
            Err(Malformed::Order(Offset(10))),
            "before its base"
        );
        let mut swapped = whole.clone();
        swapped.entries.reverse();
        assert!(unpacked(10, 14, &swapped).is_err());
        let mut twice = whole;
        twice.entries[1] = twice.entries[0].clone();
        assert!(unpacked(10, 14, &twice).is_err());
    }
}
