//! The fixed head of a record batch.
//!
//! | at | bytes | field | | at | bytes | field |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | base offset | | 27 | 8 | base timestamp, or the delete horizon |
//! | 8 | 4 | length of what follows | | 35 | 8 | max timestamp |
//! | 12 | 4 | partition leader epoch | | 43 | 8 | producer id |
//! | 16 | 1 | magic, 2 | | 51 | 2 | producer epoch |
//! | 17 | 4 | CRC32C of all that follows it | | 53 | 4 | base sequence |
//! | 21 | 2 | attributes | | 57 | 4 | record count |
//! | 23 | 4 | last offset delta | | 61 | | records |

use super::Error;
use crate::compression::Compression;
use crate::record::{MIN_RECORD_BYTES, Record};
use bytes::{Buf, BufMut};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 61;
/// The only message format that is stored and served.
pub const MAGIC: i8 = 2;
pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
pub const NO_SEQUENCE: i32 = -1;
pub const NO_TIMESTAMP: i64 = -1;

/// Base offset and length, which the length does not count.
pub(super) const LENGTH_END: usize = 12;
pub(super) const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;

/// A batch's flags, as they lie on the wire. Bits that Kafka does not define are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    Create,
    /// The broker's: the batch's max timestamp stands for every record's.
    LogAppend,
}

impl Attributes {
    pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
    pub(crate) const CONTROL: i16 = 1 << 5;
    pub(crate) const DELETE_HORIZON: i16 = 1 << 6;
    pub(crate) const COMPRESSION: i16 = 0b111;

    pub fn compression(self) -> Result<Compression, Error> {
        let bits = (self.0 & Self::COMPRESSION) as u8;
        Compression::from_bits(bits).ok_or(Error::UnknownCompression { bits })
    }

    pub fn timestamp_type(self) -> TimestampType {
        match self.0 & Self::LOG_APPEND_TIME {
            0 => TimestampType::Create,
            _ => TimestampType::LogAppend,
        }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// `HEADER_BYTES <= size`, `0 <= last_offset_delta`, `base_offset + last_offset_delta + 1` is an offset, and an uncompressed
/// batch has room for its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Of the whole batch, this header included.
    pub size_bytes: usize,
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Less than the offsets of the batch after log compaction.
    pub record_count: u32,
}

impl BatchHeader {
    /// Reads the batch at the start of `bytes`, all of which must be there. The CRC is not checked.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, Error> {
        let remaining = bytes.len();
        // Old formats have their magic at the same place, but may be shorter.
        match bytes.get(MAGIC_AT).map(|&magic| magic as i8) {
            None => {
                return Err(Error::Truncated {
                    needed: HEADER_BYTES,
                    remaining,
                });
            }
            Some(MAGIC) => {}
            Some(magic @ (0 | 1)) => return Err(Error::OldMagic { magic }),
            Some(magic) => return Err(Error::UnknownMagic { magic }),
        }
        if remaining < HEADER_BYTES {
            return Err(Error::Truncated {
                needed: HEADER_BYTES,
                remaining,
            });
        }
        let mut at = bytes;
        let base_offset = at.get_i64();
        let length = at.get_i32();
        let size_bytes = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LENGTH_END))
            .filter(|&size| size >= HEADER_BYTES)
            .ok_or(Error::BadLength { length })?;
        if size_bytes > remaining {
            return Err(Error::Truncated {
                needed: size_bytes,
                remaining,
            });
        }
        let leader_epoch = at.get_i32();
        at.advance(1);
        let crc = at.get_u32();
        let attributes = Attributes(at.get_i16());
        let last_offset_delta = at.get_i32();
        let offsets = i64::from(last_offset_delta) + 1;
        if last_offset_delta < 0 || base_offset.checked_add(offsets).is_none() {
            return Err(Error::BadOffsets {
                base_offset,
                last_offset_delta,
            });
        }
        let base_timestamp_ms = at.get_i64();
        let max_timestamp_ms = at.get_i64();
        let producer_id = at.get_i64();
        let producer_epoch = at.get_i16();
        let base_sequence = at.get_i32();
        let count = at.get_i32();
        let payload = size_bytes - HEADER_BYTES;
        // How many records compressed bytes hold cannot be told.
        let is_plain = attributes.compression() == Ok(Compression::None);
        let record_count = u32::try_from(count)
            .ok()
            .filter(|&count| !is_plain || count as usize <= payload / MIN_RECORD_BYTES)
            .ok_or(Error::BadCount { count, payload })?;
        Ok(BatchHeader {
            base_offset,
            size_bytes,
            leader_epoch,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp_ms,
            max_timestamp_ms,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count,
        })
    }

    /// Writes the header, its CRC as it stands: whoever builds a batch computes that last.
    pub(crate) fn encode(&self, mut out: &mut [u8]) {
        out.put_i64(self.base_offset);
        out.put_i32((self.size_bytes - LENGTH_END) as i32);
        out.put_i32(self.leader_epoch);
        out.put_i8(MAGIC);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp_ms);
        out.put_i64(self.max_timestamp_ms);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.base_sequence);
        out.put_i32(self.record_count as i32);
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// The sequence of the last offset; sequences wrap from `i32::MAX` to 0. `None` without a producer.
    pub fn last_sequence(&self) -> Option<i32> {
        if self.base_sequence < 0 {
            return None;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        Some((last & i64::from(i32::MAX)) as i32)
    }

    /// When tombstones and markers of this batch may go, once log compaction has seen them (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes
            .has_delete_horizon()
            .then_some(self.base_timestamp_ms)
    }

    pub fn timestamp_ms(&self, record: &Record) -> i64 {
        self.timestamp_of(record.timestamp_delta)
    }

    pub(crate) fn timestamp_of(&self, timestamp_delta: i64) -> i64 {
        match self.attributes.timestamp_type() {
            // A producer chooses both, so their sum may overflow; Java's wraps too.
            TimestampType::Create => self.base_timestamp_ms.wrapping_add(timestamp_delta),
            TimestampType::LogAppend => self.max_timestamp_ms,
        }
    }
}

/// CRC32C of everything from the attributes on. `batch` is at least a header.
pub(crate) fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[ATTRIBUTES_AT..])
}
