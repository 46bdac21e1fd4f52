//! What a client may append, as Kafka's brokers decide it.

use super::{Batch, Error, RecordsError};

/// A well-formed batch that a client must not send. Decoding and the CRC are checked before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("the record batch has the unknown compression type {bits}")]
    UnknownCompression { bits: u8 },
    /// INVALID_RECORD.
    #[error("the record batch has no records")]
    NoRecords,
    /// INVALID_RECORD.
    #[error("the record batch has {records} records, its offsets are {offsets}")]
    CountMismatch { records: u32, offsets: u32 },
    /// INVALID_RECORD.
    #[error("clients must not write control records")]
    ControlBatch,
    /// INVALID_RECORD.
    #[error("producer {producer_id} sent the negative sequence {base_sequence}")]
    NegativeSequence {
        producer_id: i64,
        base_sequence: i32,
    },
    /// INVALID_RECORD.
    #[error("record {index} has offset delta {found}")]
    SparseOffset { index: u32, found: i32 },
    /// INVALID_RECORD.
    #[error("record {index} has no key, a compacted topic needs one")]
    NoKey { index: u32 },
    /// CORRUPT_MESSAGE.
    #[error("the records cannot be read: {0}")]
    Unreadable(#[from] RecordsError),
}

/// How records themselves are checked, for which they are decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRules {
    /// The topic is compacted.
    pub needs_keys: bool,
    /// Of one batch, decompressed.
    pub limit_bytes: usize,
}

impl Batch {
    /// Checks the header of a batch that a client produced.
    pub fn validate_produced(&self) -> Result<(), Refusal> {
        let header = self.header();
        if let Err(Error::UnknownCompression { bits }) = header.attributes.compression() {
            return Err(Refusal::UnknownCompression { bits });
        }
        if header.record_count == 0 {
            return Err(Refusal::NoRecords);
        }
        let offsets = header.last_offset_delta as u32 + 1;
        if header.record_count != offsets {
            return Err(Refusal::CountMismatch {
                records: header.record_count,
                offsets,
            });
        }
        if header.attributes.is_control() {
            return Err(Refusal::ControlBatch);
        }
        if header.has_producer_id() && header.base_sequence < 0 {
            return Err(Refusal::NegativeSequence {
                producer_id: header.producer_id,
                base_sequence: header.base_sequence,
            });
        }
        Ok(())
    }

    /// Reads every record of a batch that a client produced. Needed where records are read again by the broker: log
    /// compaction stops at a batch that it cannot read.
    pub fn validate_produced_records(&self, rules: RecordRules) -> Result<(), Refusal> {
        let records = self.records(rules.limit_bytes)?;
        for (index, record) in (0u32..).zip(records) {
            let record = record.map_err(RecordsError::Record)?;
            if u32::try_from(record.offset_delta) != Ok(index) {
                return Err(Refusal::SparseOffset {
                    index,
                    found: record.offset_delta,
                });
            }
            if rules.needs_keys && record.key.is_none() {
                return Err(Refusal::NoKey { index });
            }
        }
        Ok(())
    }
}
