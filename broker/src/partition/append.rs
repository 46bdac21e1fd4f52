//! What a leader checks in batches before it appends them, and what it writes into them: Kafka's rules for message format
//! v2, from the header alone. Records were looked at before, by whoever took them from a client (`api/produce`).

use super::command::{Append, Origin, Refusal};
use super::config::TopicConfig;
use super::producer::ProducerRefusal;
use crate::storage::ids::Offset;
use bytes::{Bytes, BytesMut};
use millrace_wire::Batch;
use millrace_wire::batch::{self, BatchMut, split};

/// The batches of `append` in order, each with its position, all of them fit to be appended as far as they themselves can
/// tell. Not empty.
pub(super) fn check(append: &Append, config: &TopicConfig) -> Result<Vec<(usize, Batch)>, Refusal> {
    let mut batches = Vec::with_capacity(1);
    let mut position = 0;
    for next in split(append.batches.clone()) {
        let batch = next.map_err(|at| Refusal::CorruptBatch {
            position: at.position,
            error: at.error,
        })?;
        check_batch(&batch, position, append, config)?;
        let bytes = batch.header().size_bytes;
        batches.push((position, batch));
        position += bytes;
    }
    if batches.is_empty() {
        return Err(invalid(0, "there is no batch".to_owned()));
    }
    Ok(batches)
}

fn check_batch(
    batch: &Batch,
    position: usize,
    append: &Append,
    config: &TopicConfig,
) -> Result<(), Refusal> {
    let header = batch.header();
    if append.origin == Origin::Client && header.base_offset != 0 {
        let found = header.base_offset;
        return Err(invalid(
            position,
            format!("its base offset is {found}, not 0"),
        ));
    }
    if header.size_bytes > config.max_message_bytes as usize {
        return Err(Refusal::MessageTooLarge {
            position,
            bytes: header.size_bytes,
            limit: config.max_message_bytes,
        });
    }
    batch
        .verify_crc()
        .map_err(|error| Refusal::CorruptBatch { position, error })?;
    check_header(batch, position, append.origin)
}

fn check_header(batch: &Batch, position: usize, origin: Origin) -> Result<(), Refusal> {
    let header = batch.header();
    let has_producer = header.has_producer_id();
    let checked = match batch.validate_produced() {
        Err(batch::Refusal::ControlBatch) if origin != Origin::Client => Ok(()),
        // Coordinators write without sequence numbers.
        Err(batch::Refusal::NegativeSequence { .. }) if origin != Origin::Client => Ok(()),
        checked => checked,
    };
    checked.map_err(|refusal| of_wire(position, refusal))?;
    let is_marker = matches!(origin, Origin::TransactionMarkers { .. });
    if has_producer && header.producer_epoch < 0 {
        return Err(Refusal::Producer(ProducerRefusal::NegativeEpoch {
            producer_id: header.producer_id,
            found: header.producer_epoch,
        }));
    }
    let fault = if is_marker != header.attributes.is_control() {
        "only transaction markers are control batches"
    } else if is_marker && (!has_producer || header.record_count != 1) {
        "a transaction marker is one record of one producer"
    } else if header.attributes.is_transactional() && !has_producer {
        "it is transactional, but has no producer id"
    } else {
        return Ok(());
    };
    Err(invalid(position, fault.to_owned()))
}

fn invalid(position: usize, reason: String) -> Refusal {
    Refusal::InvalidRecord { position, reason }
}

fn of_wire(position: usize, refusal: batch::Refusal) -> Refusal {
    use batch::Refusal as Wire;
    match refusal {
        Wire::UnknownCompression { bits } => Refusal::UnsupportedCompression {
            position,
            found: bits,
        },
        refusal @ (Wire::NoRecords
        | Wire::CountMismatch { .. }
        | Wire::ControlBatch
        | Wire::NegativeSequence { .. }) => invalid(position, refusal.to_string()),
    }
}

/// Writes offsets from `base_offset` on, the leader epoch and, if given, the log-append time into checked batches; in place
/// if `batches` is the only reference to its bytes.
pub(super) fn assign(
    batches: Bytes,
    base_offset: Offset,
    leader_epoch: i32,
    log_append_time_ms: Option<i64>,
) -> Result<Bytes, batch::Error> {
    let mut bytes = batches
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let mut rest = &mut bytes[..];
    let mut next = base_offset.0;
    while !rest.is_empty() {
        let (mut batch, after) = BatchMut::split_first(rest)?;
        batch.set_base_offset(next)?;
        batch.set_leader_epoch(leader_epoch);
        if let Some(now_ms) = log_append_time_ms {
            batch.set_log_append_time(now_ms);
        }
        next = batch.header().next_offset();
        rest = after;
    }
    Ok(bytes.freeze())
}
