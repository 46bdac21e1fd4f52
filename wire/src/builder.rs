//! Writes record batches: for log compaction, transaction markers, tests and benchmarks.

use crate::batch::{
    Attributes, BatchHeader, HEADER_BYTES, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType, checksum,
};
use crate::compression::{self, Compression};
use crate::record::{Headers, Record};
use bytes::{Bytes, BytesMut};

/// All of a batch but its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub compression: Compression,
    pub is_transactional: bool,
    pub is_control: bool,
    /// The broker's time, which then stands for every record's.
    pub log_append_time_ms: Option<i64>,
    /// Takes the base timestamp's place (KIP-534).
    pub delete_horizon_ms: Option<i64>,
    /// Instead of the largest of the records': a batch that lost all of them keeps its own.
    pub max_timestamp_ms: Option<i64>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Instead of the last record's offset delta: a batch that lost its last records keeps its offsets.
    pub last_offset_delta: Option<i32>,
}

impl Default for BatchSettings {
    fn default() -> BatchSettings {
        BatchSettings {
            base_offset: 0,
            leader_epoch: -1,
            compression: Compression::None,
            is_transactional: false,
            is_control: false,
            log_append_time_ms: None,
            delete_horizon_ms: None,
            max_timestamp_ms: None,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            last_offset_delta: None,
        }
    }
}

impl BatchSettings {
    /// What a batch keeps when log compaction writes it anew.
    pub fn of(header: &BatchHeader) -> Result<BatchSettings, crate::batch::Error> {
        Ok(BatchSettings {
            base_offset: header.base_offset,
            leader_epoch: header.leader_epoch,
            compression: header.attributes.compression()?,
            is_transactional: header.attributes.is_transactional(),
            is_control: header.attributes.is_control(),
            log_append_time_ms: match header.attributes.timestamp_type() {
                TimestampType::LogAppend => Some(header.max_timestamp_ms),
                TimestampType::Create => None,
            },
            delete_horizon_ms: header.delete_horizon_ms(),
            max_timestamp_ms: None,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_offset_delta: Some(header.last_offset_delta),
        })
    }

    fn attributes(&self) -> Attributes {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        Attributes(
            i16::from(self.compression.bits())
                | flag(
                    self.log_append_time_ms.is_some(),
                    Attributes::LOG_APPEND_TIME,
                )
                | flag(self.is_transactional, Attributes::TRANSACTIONAL)
                | flag(self.is_control, Attributes::CONTROL)
                | flag(self.delete_horizon_ms.is_some(), Attributes::DELETE_HORIZON),
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("record {index} has offset delta {found}, the one before it {previous}")]
    OffsetNotAscending {
        index: u32,
        found: i32,
        previous: i32,
    },
    #[error("the last offset delta {last_offset_delta} is below the last record's, {found}")]
    LastOffsetTooSmall { last_offset_delta: i32, found: i32 },
    #[error("a batch without records needs a last offset delta")]
    NoOffsets,
    #[error("the batch at offset {base_offset} would end beyond the last offset there is")]
    BeyondLastOffset { base_offset: i64 },
    #[error("a batch of {bytes} bytes and {records} records exceeds what its header can say")]
    TooLarge { bytes: usize, records: u32 },
    #[error(transparent)]
    Compression(#[from] compression::Error),
}

/// Records go in by ascending offset, the batch comes out of [`BatchBuilder::build`], which also reports the first fault of
/// what went in.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    settings: BatchSettings,
    /// Room for the header, then the records.
    bytes: BytesMut,
    base_timestamp_ms: Option<i64>,
    max_timestamp_ms: i64,
    last_offset_delta: i32,
    record_count: u32,
    fault: Option<Error>,
}

impl BatchBuilder {
    pub fn new(settings: BatchSettings) -> BatchBuilder {
        BatchBuilder {
            settings,
            bytes: BytesMut::zeroed(HEADER_BYTES),
            base_timestamp_ms: settings.delete_horizon_ms,
            max_timestamp_ms: NO_TIMESTAMP,
            last_offset_delta: -1,
            record_count: 0,
            fault: None,
        }
    }

    /// Adds a record at the offset after the last.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> &mut BatchBuilder {
        let record = Record {
            offset_delta: self.last_offset_delta.saturating_add(1),
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            headers: Headers::default(),
            ..Record::default()
        };
        self.push_record(timestamp_ms, record)
    }

    /// Adds `record` at its offset delta, which may leave a gap; its timestamp delta follows from `timestamp_ms`.
    pub fn push_record(&mut self, timestamp_ms: i64, record: Record) -> &mut BatchBuilder {
        if record.offset_delta <= self.last_offset_delta {
            self.fault.get_or_insert(Error::OffsetNotAscending {
                index: self.record_count,
                found: record.offset_delta,
                previous: self.last_offset_delta,
            });
            return self;
        }
        let base_timestamp_ms = *self.base_timestamp_ms.get_or_insert(timestamp_ms);
        self.max_timestamp_ms = match self.record_count {
            0 => timestamp_ms,
            _ => self.max_timestamp_ms.max(timestamp_ms),
        };
        self.last_offset_delta = record.offset_delta;
        self.record_count += 1;
        Record {
            timestamp_delta: timestamp_ms.wrapping_sub(base_timestamp_ms),
            ..record
        }
        .encode(&mut self.bytes);
        self
    }

    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes of the batch so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn build(self) -> Result<Bytes, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let settings = self.settings;
        let last_offset_delta = settings.last_offset_delta.unwrap_or(self.last_offset_delta);
        if self.record_count == 0 && settings.last_offset_delta.is_none() {
            return Err(Error::NoOffsets);
        }
        if last_offset_delta < self.last_offset_delta.max(0) {
            return Err(Error::LastOffsetTooSmall {
                last_offset_delta,
                found: self.last_offset_delta,
            });
        }
        let base_offset = settings.base_offset;
        let offsets = i64::from(last_offset_delta) + 1;
        if base_offset.checked_add(offsets).is_none() {
            return Err(Error::BeyondLastOffset { base_offset });
        }
        let mut bytes = self.bytes;
        if settings.compression != Compression::None && self.record_count > 0 {
            let packed = compression::compress(settings.compression, &bytes[HEADER_BYTES..])?;
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&packed);
        }
        if i32::try_from(bytes.len()).is_err() || i32::try_from(self.record_count).is_err() {
            return Err(Error::TooLarge {
                bytes: bytes.len(),
                records: self.record_count,
            });
        }
        let mut header = BatchHeader {
            base_offset: settings.base_offset,
            size_bytes: bytes.len(),
            leader_epoch: settings.leader_epoch,
            crc: 0,
            attributes: settings.attributes(),
            last_offset_delta,
            base_timestamp_ms: self.base_timestamp_ms.unwrap_or(NO_TIMESTAMP),
            max_timestamp_ms: settings
                .log_append_time_ms
                .or(settings.max_timestamp_ms)
                .unwrap_or(self.max_timestamp_ms),
            producer_id: settings.producer_id,
            producer_epoch: settings.producer_epoch,
            base_sequence: settings.base_sequence,
            record_count: self.record_count,
        };
        header.encode(&mut bytes);
        header.crc = checksum(&bytes);
        header.encode(&mut bytes);
        Ok(bytes.freeze())
    }
}
