//! A batch that waits or is in flight, and what records take in it.

use crate::producer::{Outcome, ProducerRecord};
use bytes::Bytes;
use millrace_wire::batch::HEADER_BYTES;
use millrace_wire::record::Record;
use std::sync::Arc;
use std::time::Instant;

/// More than the fields of a record with small deltas and lengths cost.
const RECORD_OVERHEAD_BYTES: usize = 21;

/// What a record may take in a batch.
pub fn record_bytes(record: &ProducerRecord) -> usize {
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|(key, value)| 10 + key.len() + value.map_or(0, |value| value.len()))
        .sum();
    let field = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    RECORD_OVERHEAD_BYTES + field(&record.key) + field(&record.value) + headers
}

#[derive(Clone, Debug)]
pub enum Payload {
    /// With their timestamps.
    Records(Vec<(i64, Record)>),
    Encoded(Bytes),
}

#[derive(Debug)]
pub(super) struct QueuedBatch {
    pub key: u64,
    /// Gone while it is in flight.
    pub payload: Option<Payload>,
    pub record_count: u32,
    pub size_bytes: usize,
    pub created: Instant,
    /// Takes no more records.
    pub is_full: bool,
    pub attempts: u32,
    pub retry_at: Option<Instant>,
    pub sequence: Option<i32>,
    pub outcome: Arc<Outcome>,
}

impl QueuedBatch {
    pub fn new(key: u64, now: Instant, outcome: Outcome) -> QueuedBatch {
        QueuedBatch {
            key,
            payload: Some(Payload::Records(Vec::new())),
            record_count: 0,
            size_bytes: HEADER_BYTES,
            created: now,
            is_full: false,
            attempts: 0,
            retry_at: None,
            sequence: None,
            outcome: Arc::new(outcome),
        }
    }

    pub fn is_in_flight(&self) -> bool {
        self.payload.is_none()
    }

    pub fn takes(&self, size_bytes: usize, batch_bytes: usize) -> bool {
        !self.is_full && !self.is_in_flight() && self.size_bytes + size_bytes <= batch_bytes
    }

    /// Returns the record's index.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        record: Record,
        size_bytes: usize,
        batch_bytes: usize,
    ) -> u32 {
        let index = self.record_count;
        let offset_delta = i32::try_from(index).unwrap_or(i32::MAX);
        if let Some(Payload::Records(records)) = &mut self.payload {
            records.push((
                timestamp_ms,
                Record {
                    offset_delta,
                    ..record
                },
            ));
        }
        self.record_count += 1;
        self.size_bytes += size_bytes;
        self.is_full = self.size_bytes >= batch_bytes;
        index
    }
}
