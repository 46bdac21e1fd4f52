//! The coordinator's records in its partition: written as batches, read as they were written.

use super::Now;
use super::machine::Machine;
use crate::engine::{self, ReadError};
use crate::partition::Mark;
use crate::storage::ids::Offset;
use bytes::{Bytes, BytesMut};
use millrace_wire::batch::split;
use millrace_wire::group_records::GroupRecord;
use millrace_wire::{BatchBuilder, BatchSettings};

/// A batch is closed when it has become as large as this: well below `max.message.bytes`.
const BATCH_BYTES: usize = 512 << 10;

/// Records that are one step's, and must be there all or not at all, are one append up to here.
const APPEND_BYTES: usize = 8 << 20;

/// What is read of the log at a time.
const READ_BYTES: u64 = 4 << 20;

/// What the records of one batch may decompress to: batches that another broker wrote may be compressed.
const DECOMPRESSED_BYTES: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Wire(#[from] millrace_wire::Error),
    #[error(transparent)]
    Build(#[from] millrace_wire::builder::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("batch at offset {offset}: {reason}")]
    Batch { offset: Offset, reason: String },
    #[error("the log ends at offset {found} though it should go on to {upto}")]
    Short { found: Offset, upto: Offset },
}

/// The records as appends: one, unless there are very many.
pub fn appends(records: &[GroupRecord], now: Now) -> Result<Vec<Bytes>, Error> {
    let mut appends = Vec::new();
    let mut append = BytesMut::new();
    let mut batch = Batch::default();
    for record in records {
        let (key, value) = record.encode()?;
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        if batch.bytes > 0 && batch.bytes + bytes > BATCH_BYTES {
            append.extend_from_slice(&std::mem::take(&mut batch).build()?);
        }
        if append.len() >= APPEND_BYTES {
            appends.push(std::mem::take(&mut append).freeze());
        }
        batch.push(now.wall_ms, &key, value.as_deref());
    }
    if batch.bytes > 0 {
        append.extend_from_slice(&batch.build()?);
    }
    if !append.is_empty() {
        appends.push(append.freeze());
    }
    Ok(appends)
}

struct Batch {
    builder: BatchBuilder,
    bytes: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            builder: BatchBuilder::new(BatchSettings::default()),
            bytes: 0,
        }
    }
}

impl Batch {
    fn push(&mut self, timestamp_ms: i64, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.builder.push(timestamp_ms, Some(key), value);
    }

    fn build(self) -> Result<Bytes, Error> {
        Ok(self.builder.build()?)
    }
}

/// Reads everything below `upto` into the machine. Waits for the disk. Returns how many records there were.
pub fn load(machine: &mut Machine, handle: &engine::Handle, upto: Offset) -> Result<u64, Error> {
    let mut from = handle.positions().log_start;
    let mut records = 0;
    while from < upto {
        let read = handle.read(from, Mark::HighWatermark, READ_BYTES)?;
        let before = from;
        for chunk in read.chunks {
            for batch in split(chunk) {
                let damaged = |offset: Offset, reason: String| Error::Batch { offset, reason };
                let batch = batch.map_err(|at| damaged(from, at.error.to_string()))?;
                records += replay(machine, &batch).map_err(|reason| damaged(from, reason))?;
                from = from.max(Offset(batch.header().next_offset()));
            }
        }
        if from == before {
            return Err(Error::Short { found: from, upto });
        }
    }
    Ok(records)
}

fn replay(machine: &mut Machine, batch: &millrace_wire::Batch) -> Result<u64, String> {
    // Markers of transactions: there are none yet.
    if batch.header().attributes.is_control() {
        return Ok(0);
    }
    let mut count = 0;
    let records = batch
        .records(DECOMPRESSED_BYTES)
        .map_err(|error| error.to_string())?;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        count += 1;
        let Some(key) = record.key else {
            tracing::warn!("a record without a key in __consumer_offsets is passed over");
            continue;
        };
        match GroupRecord::decode(key, record.value) {
            Ok(Some(record)) => machine.replay(&record),
            Ok(None) => {}
            // One group's misfortune should not be all groups'; Kafka passes over it, too.
            Err(error) => tracing::error!(%error, "a record of __consumer_offsets is passed over"),
        }
    }
    Ok(count)
}
