//! Every record that a client sends is looked at before it is appended, as Kafka does: what is stored can be read again, by
//! consumers and by log compaction. And a topic that asks for a codec gets its records in it.
//!
//! Small batches are looked at where the request is served. Whatever takes longer is done on a thread that may be busy, as
//! many at a time as there are cores, and with a bound on the memory of all their decoders together.

use super::rejected::Rejected;
use crate::budget::Budget;
use crate::config::{CompressionType, TimestampType, TopicConfig};
use bytes::{Bytes, BytesMut};
use millrace_wire::batch::{
    self, BatchMut, Produced, RecordRules, RecordsError, RecordsRefusal, TimestampType as Stamped,
};
use millrace_wire::compression::{self, Codec, decoder_memory_bytes};
use millrace_wire::{Batch, Compression, ErrorCode};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most that one batch may hold when decompressed: more than any producer gathers, and what the broker can read again.
pub const MAX_DECOMPRESSED_BYTES: usize = 64 << 20;

/// Uncompressed records of so many bytes are looked at at once: a tenth of a millisecond where they are as small as can be.
const QUICK_BYTES: usize = 128 << 10;
/// So are compressed ones of so many bytes, if they decompress to no more than [`QUICK_DECOMPRESSED_BYTES`].
const QUICK_COMPRESSED_BYTES: usize = 16 << 10;
const QUICK_DECOMPRESSED_BYTES: usize = 64 << 10;
/// And if their decoder takes no more than this.
const QUICK_MEMORY_BYTES: usize = 512 << 10;

/// What all decoders and encoders may hold together. Who needs more than all of it waits until he is alone: zstd's highest
/// level takes 128 MiB to read.
const MEMORY_BYTES: usize = 64 << 20;

/// Where batches wait for a thread and for memory.
pub struct Inspection {
    turns: Arc<Semaphore>,
    memory: Budget,
}

impl Default for Inspection {
    fn default() -> Inspection {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Inspection {
            turns: Arc::new(Semaphore::new(cores)),
            memory: Budget::new(MEMORY_BYTES),
        }
    }
}

/// What a topic makes of the records that are sent to it.
#[derive(Clone, Debug)]
pub struct Wanted {
    rules: RecordRules,
    /// `None` keeps the producer's.
    codec: Option<Codec>,
    keeps_timestamps: bool,
    max_message_bytes: usize,
}

impl Wanted {
    pub fn of(config: &TopicConfig, now_ms: i64) -> Wanted {
        let keeps_timestamps = config.message_timestamp_type == TimestampType::CreateTime;
        let earliest = now_ms.saturating_sub(config.message_timestamp_before_max_ms);
        let latest = now_ms.saturating_add(config.message_timestamp_after_max_ms);
        Wanted {
            rules: RecordRules {
                needs_keys: config.cleanup_policy.compacts,
                timestamps: keeps_timestamps.then_some(earliest..=latest),
                limit_bytes: MAX_DECOMPRESSED_BYTES,
            },
            codec: codec(config.compression_type),
            keeps_timestamps,
            max_message_bytes: config.max_message_bytes as usize,
        }
    }

    /// The codec that this batch must be changed to.
    fn other_codec(&self, batch: &Batch) -> Option<Codec> {
        let found = batch.header().attributes.compression().ok()?;
        self.codec.filter(|codec| codec.compression != found)
    }
}

fn codec(wanted: CompressionType) -> Option<Codec> {
    let at = |compression, level| Codec { compression, level };
    Some(match wanted {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Compression::None.into(),
        CompressionType::Gzip(level) => at(Compression::Gzip, level.map(i32::from)),
        CompressionType::Snappy => Compression::Snappy.into(),
        CompressionType::Lz4(level) => at(Compression::Lz4, Some(i32::from(level))),
        CompressionType::Zstd(level) => at(Compression::Zstd, Some(level)),
    })
}

/// The batch as it is to be appended.
pub async fn fit(inspection: &Inspection, batch: Batch, wanted: Wanted) -> Result<Bytes, Rejected> {
    let bytes = batch.header().size_bytes;
    if bytes > wanted.max_message_bytes {
        let limit = wanted.max_message_bytes;
        let why = format!("the batch has {bytes} bytes, max.message.bytes is {limit}");
        return Err(Rejected::unseen(ErrorCode::MessageTooLarge, why));
    }
    match quickly(&batch, &wanted) {
        Some(looked) => corrected(batch, looked, &wanted),
        None => inspection.examine(batch, wanted).await,
    }
}

/// What the records are, when it takes little to find out.
fn quickly(batch: &Batch, wanted: &Wanted) -> Option<Result<Produced, RecordsRefusal>> {
    let codec = batch.header().attributes.compression();
    if wanted.other_codec(batch).is_some() {
        return None;
    }
    let payload = batch.payload();
    match codec {
        // Refused, and in few words.
        Err(_) => Some(batch.validate_produced_records(&wanted.rules)),
        Ok(Compression::None) => {
            (payload.len() <= QUICK_BYTES).then(|| batch.validate_produced_records(&wanted.rules))
        }
        Ok(codec) => {
            // Zstd is decompressed in one call, without a window of its own.
            let is_frugal = codec == Compression::Zstd
                || decoder_memory_bytes(codec, &payload) <= QUICK_MEMORY_BYTES;
            if payload.len() > QUICK_COMPRESSED_BYTES || !is_frugal {
                return None;
            }
            match compression::decompress(codec, &payload, QUICK_DECOMPRESSED_BYTES) {
                Ok(section) => Some(batch.validate_decompressed_records(&section, &wanted.rules)),
                Err(compression::Error::TooLarge { .. }) => None,
                Err(error) => Some(Err(RecordsError::Compression(error).into())),
            }
        }
    }
}

impl Inspection {
    async fn examine(&self, batch: Batch, wanted: Wanted) -> Result<Bytes, Rejected> {
        // First a turn, then memory: who has memory waits for nobody. Both are held until the thread is done, though the client
        // may be gone.
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let share = self.memory.take(memory_bytes(&batch, &wanted)).await;
        let work = tokio::task::spawn_blocking(move || {
            let _held = (turn, share);
            let looked = batch.validate_produced_records(&wanted.rules);
            match (&looked, wanted.other_codec(&batch)) {
                (Ok(produced), Some(codec)) => {
                    batch.verify_crc().map_err(Rejected::corrupt)?;
                    let limit = wanted.max_message_bytes;
                    let bytes = batch.recompressed(codec, *produced, limit)?;
                    let batch = Batch::decode(bytes).map_err(Rejected::corrupt)?;
                    corrected(batch, looked, &wanted)
                }
                _ => corrected(batch, looked, &wanted),
            }
        });
        work.await.unwrap_or_else(|error| {
            let why = format!("looking at the records failed: {error}");
            Err(Rejected::unseen(ErrorCode::UnknownServerError, why).told())
        })
    }
}

/// What looking at the batch holds in memory, and writing it in another codec.
fn memory_bytes(batch: &Batch, wanted: &Wanted) -> usize {
    let Ok(found) = batch.header().attributes.compression() else {
        return 0;
    };
    let payload = batch.payload();
    let decoder = decoder_memory_bytes(found, &payload);
    let encoder = match wanted.other_codec(batch) {
        None => 0,
        // What the records will be is not known yet. Zstd's tables grow with them.
        Some(codec) => match (codec.compression, found) {
            (Compression::Zstd, Compression::None) => payload.len().saturating_mul(8),
            (Compression::Zstd, _) => payload.len().saturating_mul(64),
            _ => wanted.max_message_bytes.min(MEMORY_BYTES / 4),
        },
    };
    decoder.saturating_add(encoder)
}

/// The batch with what is wrong in its header put right: its largest timestamp is its records', and they are its producer's.
fn corrected(
    batch: Batch,
    looked: Result<Produced, RecordsRefusal>,
    wanted: &Wanted,
) -> Result<Bytes, Rejected> {
    let produced = match looked {
        Ok(produced) => produced,
        // Records that were damaged on their way are to be sent again, whatever the damage made of them.
        Err(refusal) => {
            batch.verify_crc().map_err(Rejected::corrupt)?;
            return Err(refusal.into());
        }
    };
    let header = batch.header();
    let is_right = header.attributes.timestamp_type() == Stamped::Create
        && header.max_timestamp_ms == produced.max_timestamp_ms;
    if !wanted.keeps_timestamps || is_right {
        return Ok(batch.into_bytes());
    }
    batch.verify_crc().map_err(Rejected::corrupt)?;
    set_create_time(batch.into_bytes(), produced.max_timestamp_ms).map_err(Rejected::corrupt)
}

fn set_create_time(bytes: Bytes, max_timestamp_ms: i64) -> Result<Bytes, batch::Error> {
    let mut bytes = bytes
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let (mut batch, _) = BatchMut::split_first(&mut bytes)?;
    batch.set_create_time(max_timestamp_ms);
    Ok(bytes.freeze())
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
