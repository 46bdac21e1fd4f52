//! The bytes of the log. All numbers are little-endian.
//!
//! ```text
//! segment  header area of 4096 bytes, then blocks, each at a multiple of 8
//! header   magic 8 | version 4 | crc 4 | number 8 | salt 8 | previous_end 4 | zero 4          the rest is zero
//! block    magic 4 | crc 4 | salt 8 | number 8 | offset 4 | synced 4 | records 4 | body 4     then `body` bytes of records
//! record   crc 4 | length 4 | kind 1 | entry type 1 | zero 2 | context 4 | group 8            then by kind, `length` in all
//! entry        index 8 | term 8 | context bytes | data bytes
//! hard state   term 8 | vote 8 | commit 8
//! ```
//!
//! Each crc is CRC-32C over what follows it (and, in the segment's header, precedes it). A record's starts from salt and
//! number of its segment, so that records left in a recycled file do not validate. `synced` is an offset in the same segment
//! below which everything was durable when the block was written: it tells damage from a torn tail.

use super::Record;
use crate::raft::ports::GroupId;
use bytes::{Buf, BufMut, Bytes};
use crc32c::{crc32c, crc32c_append};
use raft::eraftpb::{Entry, EntryType, HardState};
use std::ops::Range;

pub(super) const VERSION: u32 = 1;
pub(super) const SEGMENT_HEADER_LEN: u64 = 4096;
/// The part of the header area that is not zero: within one sector, so that it is never torn.
pub(super) const SEGMENT_HEADER_USED: usize = 40;
pub(super) const BLOCK_HEADER_LEN: usize = 40;
pub(super) const ALIGNMENT: u64 = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"mrlogseg";
const BLOCK_MAGIC: [u8; 4] = *b"mrbk";
const RECORD_HEADER_LEN: usize = 24;

const KIND_ENTRY: u8 = 1;
const KIND_HARD_STATE: u8 = 2;

pub(super) fn align(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub number: u64,
    pub salt: u64,
    /// Where the valid blocks of the segment before this one end; 0 for the first segment of a log.
    pub previous_end: u32,
}

/// Why there is no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// Never written, torn, or damaged.
    Invalid,
    UnknownVersion(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_USED] {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let mut out = &mut bytes[..];
        out.put_slice(&SEGMENT_MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(0);
        out.put_u64_le(self.number);
        out.put_u64_le(self.salt);
        out.put_u32_le(self.previous_end);
        out.put_u32_le(0);
        let crc = SegmentHeader::crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_USED]) -> Result<SegmentHeader, NoHeader> {
        let crc = (&bytes[12..16]).get_u32_le();
        if bytes[..8] != SEGMENT_MAGIC || crc != SegmentHeader::crc(bytes) {
            return Err(NoHeader::Invalid);
        }
        // Every version keeps magic, version and crc where they are, and the length that the crc covers.
        let version = (&bytes[8..12]).get_u32_le();
        if version != VERSION {
            return Err(NoHeader::UnknownVersion(version));
        }
        let mut rest = &bytes[16..];
        Ok(SegmentHeader {
            number: rest.get_u64_le(),
            salt: rest.get_u64_le(),
            previous_end: rest.get_u32_le(),
        })
    }

    fn crc(bytes: &[u8; SEGMENT_HEADER_USED]) -> u32 {
        crc32c_append(crc32c(&bytes[..12]), &bytes[16..])
    }

    /// What the crc of each record of this segment starts from.
    pub(super) fn record_seed(&self) -> u32 {
        crc32c_append(crc32c(&self.salt.to_le_bytes()), &self.number.to_le_bytes())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub salt: u64,
    pub number: u64,
    pub offset: u32,
    pub synced: u32,
    pub records: u32,
    pub body_len: u32,
}

impl BlockHeader {
    pub(super) fn encode(&self) -> [u8; BLOCK_HEADER_LEN] {
        let mut bytes = [0; BLOCK_HEADER_LEN];
        let mut out = &mut bytes[..];
        out.put_slice(&BLOCK_MAGIC);
        out.put_u32_le(0);
        out.put_u64_le(self.salt);
        out.put_u64_le(self.number);
        out.put_u32_le(self.offset);
        out.put_u32_le(self.synced);
        out.put_u32_le(self.records);
        out.put_u32_le(self.body_len);
        let crc = crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` unless there is an intact header of a block of segment `number` that begins at `offset`.
    pub(super) fn decode(bytes: &[u8], number: u64, offset: u64) -> Option<BlockHeader> {
        let bytes = bytes.get(..BLOCK_HEADER_LEN)?;
        if bytes[..4] != BLOCK_MAGIC || (&bytes[4..8]).get_u32_le() != crc32c(&bytes[8..]) {
            return None;
        }
        let mut rest = &bytes[8..];
        let header = BlockHeader {
            salt: rest.get_u64_le(),
            number: rest.get_u64_le(),
            offset: rest.get_u32_le(),
            synced: rest.get_u32_le(),
            records: rest.get_u32_le(),
            body_len: rest.get_u32_le(),
        };
        (header.number == number && u64::from(header.offset) == offset).then_some(header)
    }

    pub(super) fn end(&self) -> u64 {
        u64::from(self.offset) + BLOCK_HEADER_LEN as u64 + u64::from(self.body_len)
    }
}

/// Why bytes are not a record, or not one of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// Torn or damaged.
    Invalid(&'static str),
    /// Intact, and of a kind that this version does not know.
    UnknownKind(u8),
    /// Intact, and not as this version writes it.
    Malformed(&'static str),
}

/// The length of `record` on disk, in 64 bits because an entry of raft has no limit of its own.
pub(super) fn record_len(record: &Record) -> u64 {
    let rest = match record {
        Record::Entry { entry, .. } => 16 + entry.context.len() as u64 + entry.data.len() as u64,
        Record::HardState { .. } => 24,
    };
    RECORD_HEADER_LEN as u64 + rest
}

/// Appends `record` to `out`. Its length, which the caller checked against the segment's, fits 32 bits.
pub(super) fn encode_record(record: &Record, seed: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let (kind, entry_type, context_len, group) = match record {
        Record::Entry { group, entry } => (
            KIND_ENTRY,
            match entry.entry_type {
                EntryType::EntryNormal => 0,
                EntryType::EntryConfChange => 1,
                EntryType::EntryConfChangeV2 => 2,
            },
            entry.context.len() as u32,
            group,
        ),
        Record::HardState { group, .. } => (KIND_HARD_STATE, 0, 0, group),
    };
    out.put_u32_le(0);
    out.put_u32_le(record_len(record) as u32);
    out.put_u8(kind);
    out.put_u8(entry_type);
    out.put_u16_le(0);
    out.put_u32_le(context_len);
    out.put_u64_le(group.0);
    match record {
        Record::Entry { entry, .. } => {
            out.put_u64_le(entry.index);
            out.put_u64_le(entry.term);
            out.put_slice(&entry.context);
            out.put_slice(&entry.data);
        }
        Record::HardState { state, .. } => {
            out.put_u64_le(state.term);
            out.put_u64_le(state.vote);
            out.put_u64_le(state.commit);
        }
    }
    let crc = crc32c_append(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The range in `bytes` of the intact record that begins at `start`.
pub(super) fn check_record(
    bytes: &[u8],
    start: usize,
    seed: u32,
) -> Result<Range<usize>, NoRecord> {
    let rest = bytes.get(start..).unwrap_or_default();
    if rest.len() < RECORD_HEADER_LEN {
        return Err(NoRecord::Invalid("the record is cut off"));
    }
    let crc = (&rest[..4]).get_u32_le();
    let len = (&rest[4..8]).get_u32_le() as usize;
    if len < RECORD_HEADER_LEN || len > rest.len() {
        return Err(NoRecord::Invalid("the record's length is impossible"));
    }
    if crc32c_append(seed, &rest[4..len]) != crc {
        return Err(NoRecord::Invalid("the record's checksum does not match"));
    }
    Ok(start..start + len)
}

/// Decodes a record whose checksum was checked. Context and data of an entry are slices of `bytes`.
pub(super) fn decode_checked(bytes: &Bytes) -> Result<Record, NoRecord> {
    let Some((mut header, mut rest)) = bytes.split_at_checked(RECORD_HEADER_LEN) else {
        return Err(NoRecord::Malformed("the record is cut off"));
    };
    header.advance(8);
    let kind = header.get_u8();
    let entry_type = header.get_u8();
    header.advance(2);
    let context_len = header.get_u32_le() as usize;
    let group = GroupId(header.get_u64_le());
    let fixed = match kind {
        KIND_ENTRY => 16,
        KIND_HARD_STATE => 24,
        kind => return Err(NoRecord::UnknownKind(kind)),
    };
    if rest.len() < fixed || (kind != KIND_ENTRY && rest.len() > fixed) {
        return Err(NoRecord::Malformed("the length does not fit the kind"));
    }
    Ok(match kind {
        KIND_ENTRY => {
            let context = RECORD_HEADER_LEN + fixed;
            let Some(data) = context
                .checked_add(context_len)
                .filter(|d| *d <= bytes.len())
            else {
                return Err(NoRecord::Malformed("the context is longer than the record"));
            };
            let entry = Entry {
                entry_type: match entry_type {
                    0 => EntryType::EntryNormal,
                    1 => EntryType::EntryConfChange,
                    2 => EntryType::EntryConfChangeV2,
                    _ => return Err(NoRecord::Malformed("the entry's type is unknown")),
                },
                index: rest.get_u64_le(),
                term: rest.get_u64_le(),
                context: bytes.slice(context..data),
                data: bytes.slice(data..),
                ..Entry::default()
            };
            Record::Entry { group, entry }
        }
        // A hard state: the kind was checked above.
        _ => {
            let state = HardState {
                term: rest.get_u64_le(),
                vote: rest.get_u64_le(),
                commit: rest.get_u64_le(),
                ..HardState::default()
            };
            Record::HardState { group, state }
        }
    })
}

/// Why the body of a block is refused, and where in it.
pub(super) type BodyError = (usize, NoRecord);

/// All records of a block's body with the range of each, or the first fault.
pub(super) fn decode_body(
    body: &Bytes,
    records: u32,
    seed: u32,
) -> Result<Vec<(Range<usize>, Record)>, BodyError> {
    // The header says how many, but a body of this size cannot hold more than so many.
    let capacity = (records as usize).min(body.len() / RECORD_HEADER_LEN);
    let mut ranges = Vec::with_capacity(capacity);
    let mut at = 0;
    for _ in 0..records {
        let range = check_record(body, at, seed).map_err(|fault| (at, fault))?;
        at = range.end;
        ranges.push(range);
    }
    if at != body.len() {
        return Err((
            at,
            NoRecord::Invalid("the block is longer than its records"),
        ));
    }
    // Only a block that is intact as a whole may say that it is from another version.
    ranges
        .into_iter()
        .map(|range| match decode_checked(&body.slice(range.clone())) {
            Ok(record) => Ok((range, record)),
            Err(fault) => Err((range.start, fault)),
        })
        .collect()
}

/// Decodes one record without checking its checksum: for fuzzing what lies behind the checksum.
pub fn decode_record(bytes: &Bytes) -> Option<Record> {
    decode_checked(bytes).ok()
}
