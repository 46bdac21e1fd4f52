//! What a client may append, as Kafka's brokers decide it.

use super::{Batch, Error, HEADER_BYTES, NO_TIMESTAMP, RecordsError, TimestampType};
use crate::compression::{Compression, Decoder};
use crate::walk::{Section, Stream, walk};
use std::fmt;
use std::ops::RangeInclusive;

/// As many refused records of a batch are named; what a client learns of the rest is that the batch was refused.
const MAX_NAMED_RECORDS: usize = 1000;

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
}

/// A batch whose header is right and whose records a client must not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsRefusal {
    /// INVALID_RECORD.
    #[error("record {index} has offset delta {found}")]
    SparseOffset { index: u32, found: i32 },
    /// INVALID_TIMESTAMP when one of them has such a fault, INVALID_RECORD otherwise.
    #[error("{0}")]
    Records(RefusedRecords),
    /// INVALID_RECORD: the bytes are those that the client sent.
    #[error("the records cannot be read: {0}")]
    Unreadable(#[from] RecordsError),
}

/// Records of a batch that are whole and yet must not be appended, and with them the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecords {
    /// The first of them, by their place in the batch.
    pub named: Vec<RefusedRecord>,
    pub count: u32,
}

impl fmt::Display for RefusedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records of the batch are refused", self.count)?;
        let mut separator = ": ";
        for record in self.named.iter().take(3) {
            write!(f, "{separator}{record}")?;
            separator = "; ";
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} {fault}")]
pub struct RefusedRecord {
    pub index: u32,
    pub fault: RecordFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error("has no key, a compacted topic needs one")]
    NoKey,
    #[error("has the timestamp {found}, which is outside {earliest}..={latest}")]
    Timestamp {
        found: i64,
        earliest: i64,
        latest: i64,
    },
    #[error("claims the broker's own timestamp type")]
    TimestampOfBroker,
}

/// How records themselves are checked, for which they are decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRules {
    /// The topic is compacted.
    pub needs_keys: bool,
    /// What a producer's timestamps must lie in; `None` where the broker's replace them.
    pub timestamps: Option<RangeInclusive<i64>>,
    /// Of one batch, decompressed.
    pub limit_bytes: usize,
}

impl RecordRules {
    fn fault(&self, has_key: bool, timestamp_ms: i64, kind: TimestampType) -> Option<RecordFault> {
        if self.needs_keys && !has_key {
            return Some(RecordFault::NoKey);
        }
        match &self.timestamps {
            Some(range) if timestamp_ms != NO_TIMESTAMP => {
                (!range.contains(&timestamp_ms)).then(|| RecordFault::Timestamp {
                    found: timestamp_ms,
                    earliest: *range.start(),
                    latest: *range.end(),
                })
            }
            _ if kind == TimestampType::LogAppend => Some(RecordFault::TimestampOfBroker),
            _ => None,
        }
    }
}

/// What the records of a batch turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Of all records; the header may say another, which is then to be corrected.
    pub max_timestamp_ms: i64,
    /// The records, decompressed.
    pub bytes: usize,
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

    /// Looks at every record of a batch that a client produced. Of compressed ones a buffer is held at a time, and what
    /// [`crate::compression::decoder_memory_bytes`] says.
    pub fn validate_produced_records(
        &self,
        rules: &RecordRules,
    ) -> Result<Produced, RecordsRefusal> {
        let codec = self.header.attributes.compression();
        let payload = &self.bytes[HEADER_BYTES..];
        match codec.map_err(RecordsError::Batch)? {
            Compression::None => self.look_through(&mut Section::new(payload), rules),
            codec => {
                let decoder = Decoder::new(codec, payload, rules.limit_bytes);
                let decoder = decoder.map_err(RecordsError::Compression)?;
                self.look_through(&mut Stream::new(decoder), rules)
            }
        }
    }

    /// The same for records that somebody decompressed already.
    pub fn validate_decompressed_records(
        &self,
        section: &[u8],
        rules: &RecordRules,
    ) -> Result<Produced, RecordsRefusal> {
        self.look_through(&mut Section::new(section), rules)
    }

    fn look_through(
        &self,
        source: &mut impl crate::walk::Source,
        rules: &RecordRules,
    ) -> Result<Produced, RecordsRefusal> {
        let kind = self.header.attributes.timestamp_type();
        let mut max_timestamp_ms = NO_TIMESTAMP;
        let mut refused = RefusedRecords {
            named: Vec::new(),
            count: 0,
        };
        let bytes = walk(source, &self.header, |record| {
            let index = record.index;
            if u32::try_from(record.offset_delta) != Ok(index) {
                return Err(RecordsRefusal::SparseOffset {
                    index,
                    found: record.offset_delta,
                });
            }
            max_timestamp_ms = max_timestamp_ms.max(record.timestamp_ms);
            if let Some(fault) = rules.fault(record.has_key, record.timestamp_ms, kind) {
                refused.count += 1;
                if refused.named.len() < MAX_NAMED_RECORDS {
                    refused.named.push(RefusedRecord { index, fault });
                }
            }
            Ok(())
        })?;
        match refused.count {
            0 => Ok(Produced {
                max_timestamp_ms,
                bytes,
            }),
            _ => Err(RecordsRefusal::Records(refused)),
        }
    }
}
