//! What a stored batch means for the state of its partition: whose it is, and whether it ends a transaction.

use super::producer::{EndMarker, ProducerBatch};
use crate::storage::ids::Offset;
use millrace_wire::Batch;
use millrace_wire::batch::RecordsError;
use millrace_wire::control::{self, ControlType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracked {
    /// Not of an idempotent producer.
    Plain,
    Records(ProducerBatch),
    End(EndMarker),
}

/// A control batch that cannot be read. Leaders refuse it, so that it is a fault where it was committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    #[error("the control batch has no record")]
    Empty,
    #[error("the control record has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Control(#[from] control::Error),
}

/// Control records are a few bytes, and never compressed by Kafka.
const CONTROL_LIMIT_BYTES: usize = 64 * 1024;

/// `base_offset` and `timestamp_ms` are what the batch has, or will have once it is appended.
pub(super) fn track(
    batch: &Batch,
    base_offset: Offset,
    timestamp_ms: i64,
) -> Result<Tracked, TrackError> {
    let header = batch.header();
    if !header.has_producer_id() {
        return Ok(Tracked::Plain);
    }
    if !header.attributes.is_control() {
        return Ok(Tracked::Records(ProducerBatch {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            base_offset,
            last_offset: base_offset + i64::from(header.last_offset_delta),
            timestamp_ms,
            is_transactional: header.attributes.is_transactional(),
        }));
    }
    let record = batch
        .records(CONTROL_LIMIT_BYTES)?
        .next()
        .ok_or(TrackError::Empty)?
        .map_err(RecordsError::Record)?;
    let key = record.key.ok_or(TrackError::Missing("key"))?;
    let is_commit = match ControlType::decode_key(&key)? {
        ControlType::Commit => true,
        ControlType::Abort => false,
        ControlType::Other(_) => return Ok(Tracked::Plain),
    };
    let value = record.value.ok_or(TrackError::Missing("value"))?;
    Ok(Tracked::End(EndMarker {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        coordinator_epoch: control::EndMarker::decode(&value)?.coordinator_epoch,
        is_commit,
        offset: base_offset,
        timestamp_ms,
    }))
}
