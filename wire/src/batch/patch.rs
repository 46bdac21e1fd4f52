//! The fields that a broker writes into a client's batch.

use super::header::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT};
use super::{Attributes, BatchHeader, Error, TimestampType, checksum};

/// One batch in bytes that may still change. Base offset and leader epoch lie outside the CRC.
#[derive(Debug)]
pub struct BatchMut<'a> {
    header: BatchHeader,
    /// Exactly the batch.
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// The batch at the start of `bytes`, and what follows it.
    pub fn split_first(bytes: &'a mut [u8]) -> Result<(BatchMut<'a>, &'a mut [u8]), Error> {
        let header = BatchHeader::decode(bytes)?;
        let (bytes, rest) = bytes.split_at_mut(header.size_bytes);
        Ok((BatchMut { header, bytes }, rest))
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Refused when the batch would then end beyond the last offset there is.
    pub fn set_base_offset(&mut self, base_offset: i64) -> Result<(), Error> {
        let last_offset_delta = self.header.last_offset_delta;
        let offsets = i64::from(last_offset_delta) + 1;
        if base_offset.checked_add(offsets).is_none() {
            return Err(Error::BadOffsets {
                base_offset,
                last_offset_delta,
            });
        }
        self.header.base_offset = base_offset;
        self.put(0, base_offset.to_be_bytes());
        Ok(())
    }

    pub fn set_leader_epoch(&mut self, leader_epoch: i32) {
        self.header.leader_epoch = leader_epoch;
        self.put(LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
    }

    /// The batch takes the broker's time: type and max timestamp change, and with them the CRC. The base timestamp and the
    /// records stay as they are, since readers take the max timestamp for every record's.
    pub fn set_log_append_time(&mut self, max_timestamp_ms: i64) {
        self.set_timestamps(TimestampType::LogAppend, max_timestamp_ms);
    }

    /// The records' own times stand, and this is the latest of them.
    pub fn set_create_time(&mut self, max_timestamp_ms: i64) {
        self.set_timestamps(TimestampType::Create, max_timestamp_ms);
    }

    fn set_timestamps(&mut self, kind: TimestampType, max_timestamp_ms: i64) {
        let header = &mut self.header;
        if header.attributes.timestamp_type() == kind && header.max_timestamp_ms == max_timestamp_ms
        {
            return;
        }
        match kind {
            TimestampType::LogAppend => header.attributes.0 |= Attributes::LOG_APPEND_TIME,
            TimestampType::Create => header.attributes.0 &= !Attributes::LOG_APPEND_TIME,
        }
        header.max_timestamp_ms = max_timestamp_ms;
        let attributes = header.attributes.0;
        self.put(ATTRIBUTES_AT, attributes.to_be_bytes());
        self.put(MAX_TIMESTAMP_AT, max_timestamp_ms.to_be_bytes());
        self.header.crc = checksum(self.bytes);
        self.put(CRC_AT, self.header.crc.to_be_bytes());
    }

    fn put<const N: usize>(&mut self, at: usize, field: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&field);
    }
}
