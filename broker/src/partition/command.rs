//! What can be asked of a partition, what it answers, and why it refuses.

use super::producer::ProducerRefusal;
use crate::storage::ids::Offset;
use bytes::Bytes;

#[derive(Clone, Debug)]
pub enum Command {
    Append(Append),
    SetLogStart(SetLogStart),
}

/// Adds records at the end of the log: all batches, or none.
#[derive(Clone, Debug)]
pub struct Append {
    /// One or more v2 record batches, as the client sent them. They are given their offsets in place when nobody else holds
    /// the bytes, so hand over the only reference.
    pub batches: Bytes,
    /// The leader's clock, read once per command.
    pub now_ms: i64,
    pub origin: Origin,
}

/// Who wrote the batches decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A produce request, whose records were looked at before: batch and header are checked.
    Client,
    /// The group or transaction coordinator of this broker writes records without sequence numbers.
    Coordinator,
    /// The transaction coordinator ends transactions with control batches.
    TransactionMarkers { transaction_version: u8 },
}

/// Removes the records below `offset` (DeleteRecords, retention).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLogStart {
    /// The new log start; `None` is the high watermark (Kafka's -1).
    pub offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Appended(Appended),
    /// The log starts here once the answer's entry is applied, or already does.
    LogStart(Offset),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// `None` unless the topic's timestamps are the leader's.
    pub log_append_time_ms: Option<i64>,
    pub log_start: Offset,
}

/// What a client may be told. `position` counts bytes from the start of the request's batches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this replica does not lead in term {term}")]
    NotLeader { term: u64 },
    #[error("in term {term} there is no leader epoch")]
    TermTooLarge { term: u64 },
    /// Not a v2 batch, or not the one that its CRC was computed from.
    #[error("batch at byte {position} is corrupt: {error}")]
    CorruptBatch {
        position: usize,
        error: millrace_wire::batch::Error,
    },
    /// The batch is well-formed, its records are not.
    #[error("batch at byte {position} has corrupt records: {reason}")]
    CorruptRecords { position: usize, reason: String },
    #[error("batch at byte {position} is invalid: {reason}")]
    InvalidRecord { position: usize, reason: String },
    #[error("batch at byte {position} has {bytes} bytes, max.message.bytes is {limit}")]
    MessageTooLarge {
        position: usize,
        bytes: usize,
        limit: u32,
    },
    #[error("batch at byte {position} has compression type {found}")]
    UnsupportedCompression { position: usize, found: u8 },
    #[error(transparent)]
    Producer(#[from] ProducerRefusal),
    #[error("offset {found} is outside the log, {log_start}..={high_watermark}")]
    OffsetOutOfRange {
        found: Offset,
        log_start: Offset,
        high_watermark: Offset,
    },
    #[error("records cannot be deleted: cleanup.policy does not contain delete")]
    DeletionNotAllowed,
    #[error("the partition has no offsets left for {records} records after {log_end}")]
    OffsetsExhausted { records: u64, log_end: Offset },
}
