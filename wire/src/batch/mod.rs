//! Record batches, message format v2: a checked view of the bytes as a client sent them.
//!
//! [`split`] cuts a stream of batches, [`Batch::validate_produced`] says what a client may send, [`BatchMut`] changes the few
//! fields that the broker owns. What is stored and served is the bytes that came in, but where a topic's codec is another:
//! [`Batch::recompressed`].

mod header;
mod patch;
mod produced;
mod recompress;

pub(crate) use header::checksum;
pub use header::{
    Attributes, BatchHeader, HEADER_BYTES, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
pub use patch::BatchMut;
pub use produced::{
    Produced, RecordFault, RecordRules, RecordsRefusal, Refusal, RefusedRecord, RefusedRecords,
};
pub use recompress::RecompressError;

use crate::compression::{self, Compression};
use crate::record::Records;
use bytes::Bytes;

/// Bytes that are no record batch. A broker answers CORRUPT_MESSAGE, but for the two variants that say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a record batch needs {needed} bytes, {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("a record batch claims a length of {length}, the least is {}", HEADER_BYTES - header::LENGTH_END)]
    BadLength { length: i32 },
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT.
    #[error("message format {magic} is no longer supported, the batch must have magic 2")]
    OldMagic { magic: i8 },
    #[error("a record batch has the unknown magic {magic}, expected 2")]
    UnknownMagic { magic: i8 },
    #[error(
        "a record batch at offset {base_offset} claims the last offset delta {last_offset_delta}"
    )]
    BadOffsets {
        base_offset: i64,
        last_offset_delta: i32,
    },
    #[error("a record batch claims {count} records in {payload} bytes")]
    BadCount { count: i32, payload: usize },
    #[error(
        "the record batch at offset {base_offset} has CRC {computed:08x}, its header says {stored:08x}"
    )]
    BadCrc {
        base_offset: i64,
        stored: u32,
        computed: u32,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("a record batch has the unknown compression type {bits}")]
    UnknownCompression { bits: u8 },
    #[error("{bytes} bytes follow the record batch")]
    Stray { bytes: usize },
}

/// The records of a batch cannot be reached, or one of them not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Batch(#[from] Error),
    #[error(transparent)]
    Compression(#[from] compression::Error),
    #[error(transparent)]
    Record(#[from] crate::record::Error),
}

/// One batch, header checked, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// `bytes` is one batch and nothing else. The CRC is not checked.
    pub fn decode(bytes: Bytes) -> Result<Batch, Error> {
        let header = BatchHeader::decode(&bytes)?;
        match bytes.len() - header.size_bytes {
            0 => Ok(Batch { header, bytes }),
            stray => Err(Error::Stray { bytes: stray }),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub fn verify_crc(&self) -> Result<(), Error> {
        let computed = checksum(&self.bytes);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(Error::BadCrc {
            base_offset: self.header.base_offset,
            stored: self.header.crc,
            computed,
        })
    }

    /// The records section as it lies on the wire.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// The records, decompressed into at most `limit_bytes`.
    pub fn records(&self, limit_bytes: usize) -> Result<Records, RecordsError> {
        let codec = self.header.attributes.compression()?;
        let payload = self.payload();
        // A batch that log compaction emptied has no frame either, whatever its codec.
        let is_empty = payload.is_empty() && self.header.record_count == 0;
        let section = if is_empty || codec == Compression::None {
            payload
        } else {
            compression::decompress(codec, &payload, limit_bytes)?
        };
        Ok(Records::new(section, self.header.record_count))
    }
}

/// Whether the bytes are a batch's as its sender wrote them, whatever its header says of counts and offsets.
pub fn has_right_crc(batch: &[u8]) -> bool {
    let stored = batch.get(header::CRC_AT..).and_then(|at| at.first_chunk());
    batch.len() >= HEADER_BYTES
        && stored.is_some_and(|stored| u32::from_be_bytes(*stored) == checksum(batch))
}

/// A batch in the middle of a stream is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {error}")]
pub struct SplitError {
    pub position: usize,
    pub error: Error,
}

/// The batches of `bytes`, one after the other and sharing them; the first error is the last item.
pub fn split(bytes: Bytes) -> Split {
    Split { bytes, position: 0 }
}

#[derive(Clone, Debug)]
pub struct Split {
    bytes: Bytes,
    position: usize,
}

impl Iterator for Split {
    type Item = Result<Batch, SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return None;
        }
        let position = self.position;
        Some(match BatchHeader::decode(rest) {
            Ok(header) => {
                self.position += header.size_bytes;
                let bytes = self.bytes.slice(position..self.position);
                Ok(Batch { header, bytes })
            }
            Err(error) => {
                self.position = self.bytes.len();
                Err(SplitError { position, error })
            }
        })
    }
}
