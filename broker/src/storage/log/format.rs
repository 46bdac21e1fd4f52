//! The bytes of the log. All numbers are little-endian.
//!
//! ```text
//! segment  header area of 4096 bytes, then blocks, each at a multiple of 8
//! header   magic 8 | version 4 | crc 4 | number 8 | salt 8 | previous_end 4 | zero 4          the rest is zero
//! block    magic 4 | crc 4 | salt 8 | number 8 | offset 4 | synced 4 | records 4 | body 4     then `body` bytes of records
//! record   crc 4 | length 4 | kind 1 | group v | then by kind, `length` in all
//! entry        index v | term v | context length v | context bytes | data bytes
//! hard state   term v | vote v | commit v
//! ```
//!
//! A `v` is a number of one to ten bytes ([`varint`]): beside a small batch every byte of a header counts. The kind of an
//! entry is also its type. Each crc is CRC-32C over what follows it (and, in the segment's header, precedes it). A record's starts from salt and
//! number of its segment, so that records left in a recycled file do not validate. `synced` is an offset in the same segment
//! below which everything was durable when the block was written: it tells damage from a torn tail.

use super::{Record, RecordRef};
use crate::raft::ports::GroupId;
use crate::storage::varint;
use bytes::{Buf, BufMut, Bytes};
use crc32c::{crc32c, crc32c_append};
use raft::eraftpb::{Entry, EntryType, HardState};
use std::ops::Range;

pub(super) const VERSION: u32 = 2;
pub(super) const SEGMENT_HEADER_LEN: u64 = 4096;
/// The part of the header area that is not zero: within one sector, so that it is never torn.
pub(super) const SEGMENT_HEADER_USED: usize = 40;
pub(super) const BLOCK_HEADER_LEN: usize = 40;
pub(super) const ALIGNMENT: u64 = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"mrlogseg";
const BLOCK_MAGIC: [u8; 4] = *b"mrbk";
/// What each record begins with: its checksum and its length.
const RECORD_PREFIX_LEN: usize = 8;
/// Prefix, kind, and four numbers of one byte: no record is shorter.
const RECORD_MIN_LEN: usize = RECORD_PREFIX_LEN + 1 + 4;

const KIND_ENTRY: u8 = 1;
const KIND_HARD_STATE: u8 = 2;
const KIND_CHANGE: u8 = 3;
const KIND_CHANGE_V2: u8 = 4;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// Torn or damaged.
    Invalid(&'static str),
    /// Intact, and of a kind that this version does not know.
    UnknownKind(u8),
    /// Intact, and not as this version writes it.
    Malformed(&'static str),
}

fn kind_of(entry: &Entry) -> u8 {
    match entry.entry_type {
        EntryType::EntryNormal => KIND_ENTRY,
        EntryType::EntryConfChange => KIND_CHANGE,
        EntryType::EntryConfChangeV2 => KIND_CHANGE_V2,
    }
}

/// The length of `record` on disk, in 64 bits because an entry of raft has no limit of its own.
pub(super) fn record_len(record: RecordRef<'_>) -> u64 {
    let (numbers, bytes) = match record {
        RecordRef::Entry { group, entry } => {
            let context_len = entry.context.len() as u64;
            (
                [group.0, entry.index, entry.term, context_len],
                context_len + entry.data.len() as u64,
            )
        }
        RecordRef::HardState { group, state } => {
            ([group.0, state.term, state.vote, state.commit], 0)
        }
    };
    let numbers: usize = numbers.into_iter().map(varint::len).sum();
    (RECORD_PREFIX_LEN + 1 + numbers) as u64 + bytes
}

/// Appends `record`, whose length the caller knows and checked against the segment's, to `out`.
pub(super) fn encode_record(record: RecordRef<'_>, len: u32, seed: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u32_le(len);
    match record {
        RecordRef::Entry { group, entry } => {
            out.put_u8(kind_of(entry));
            varint::put(out, group.0);
            varint::put(out, entry.index);
            varint::put(out, entry.term);
            varint::put(out, entry.context.len() as u64);
            out.put_slice(&entry.context);
            out.put_slice(&entry.data);
        }
        RecordRef::HardState { group, state } => {
            out.put_u8(KIND_HARD_STATE);
            varint::put(out, group.0);
            varint::put(out, state.term);
            varint::put(out, state.vote);
            varint::put(out, state.commit);
        }
    }
    debug_assert_eq!(out.len() - start, len as usize);
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
    if rest.len() < RECORD_PREFIX_LEN {
        return Err(NoRecord::Invalid("the record is cut off"));
    }
    let crc = (&rest[..4]).get_u32_le();
    let len = (&rest[4..8]).get_u32_le() as usize;
    if len < RECORD_PREFIX_LEN || len > rest.len() {
        return Err(NoRecord::Invalid("the record's length is impossible"));
    }
    if crc32c_append(seed, &rest[4..len]) != crc {
        return Err(NoRecord::Invalid("the record's checksum does not match"));
    }
    Ok(start..start + len)
}

/// Decodes a record whose checksum was checked. Context and data of an entry are slices of `bytes`.
pub(super) fn decode_checked(bytes: &Bytes) -> Result<Record, NoRecord> {
    let cut_off = NoRecord::Malformed("the record is cut off");
    let Some((kind, mut rest)) = bytes.get(RECORD_PREFIX_LEN..).and_then(<[u8]>::split_first)
    else {
        return Err(cut_off);
    };
    let entry_type = match *kind {
        KIND_ENTRY => Some(EntryType::EntryNormal),
        KIND_CHANGE => Some(EntryType::EntryConfChange),
        KIND_CHANGE_V2 => Some(EntryType::EntryConfChangeV2),
        KIND_HARD_STATE => None,
        kind => return Err(NoRecord::UnknownKind(kind)),
    };
    let mut number = || varint::get(&mut rest).ok_or(cut_off);
    let (group, first, second, third) = (GroupId(number()?), number()?, number()?, number()?);
    let Some(entry_type) = entry_type else {
        if !rest.is_empty() {
            return Err(NoRecord::Malformed("the length does not fit the kind"));
        }
        let state = HardState {
            term: first,
            vote: second,
            commit: third,
            ..HardState::default()
        };
        return Ok(Record::HardState { group, state });
    };
    let context = bytes.len() - rest.len();
    let Some(data) = usize::try_from(third)
        .ok()
        .and_then(|len| context.checked_add(len))
        .filter(|data| *data <= bytes.len())
    else {
        return Err(NoRecord::Malformed("the context is longer than the record"));
    };
    let entry = Entry {
        entry_type,
        index: first,
        term: second,
        context: bytes.slice(context..data),
        data: bytes.slice(data..),
        ..Entry::default()
    };
    Ok(Record::Entry { group, entry })
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
    let capacity = (records as usize).min(body.len() / RECORD_MIN_LEN);
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
