//! One partition's batches, oldest first. No clock, no socket: what may be sent, and what an answer means, is decided here.
//!
//! Batches carry sequences in the order in which they were first sent. A batch that must be sent again is sent again only when
//! it is the oldest, and nothing new is sent before it: so the broker never sees a later sequence accepted before an earlier
//! one was, and what arrives out of order because of a failure is refused by the broker and comes back here.
//!
//! [`batch`]: what waits; [`sequences`]: its numbers; [`settle`]: what becomes of it.

mod batch;
mod sequences;
mod settle;
#[cfg(test)]
mod tests;

pub use batch::{Payload, record_bytes};
pub use sequences::Identity;
pub use settle::{Patience, Settled};

use super::Outcome;
use crate::TopicPartition;
use batch::QueuedBatch;
use millrace_wire::record::Record;
use sequences::Sequences;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch to be sent.
#[derive(Debug)]
pub struct Sending {
    pub key: u64,
    pub payload: Payload,
    /// `None` without idempotence.
    pub identity: Option<(Identity, i32)>,
    pub size_bytes: usize,
}

pub struct Pushed {
    pub outcome: Arc<Outcome>,
    pub index: u32,
    /// The sender must look again.
    pub wake: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready {
        since: Instant,
    },
    At(Instant),
    /// Nothing to send, or not before an answer.
    Nothing,
}

#[derive(Debug)]
pub struct PartitionQueue {
    partition: TopicPartition,
    batches: VecDeque<QueuedBatch>,
    next_key: u64,
    sequences: Sequences,
}

impl PartitionQueue {
    pub fn new(partition: TopicPartition) -> PartitionQueue {
        PartitionQueue {
            partition,
            batches: VecDeque::new(),
            next_key: 0,
            sequences: Sequences::default(),
        }
    }

    pub fn push(
        &mut self,
        timestamp_ms: i64,
        record: Record,
        size_bytes: usize,
        batch_bytes: usize,
        now: Instant,
    ) -> Pushed {
        let takes = |batch: &QueuedBatch| batch.takes(size_bytes, batch_bytes);
        if let Some(last) = self.batches.back_mut()
            && !takes(last)
        {
            last.is_full = true;
        }
        let is_new = !self.batches.back().is_some_and(takes);
        if is_new {
            let outcome = Outcome::new(self.partition.clone());
            let batch = QueuedBatch::new(self.next_key, now, outcome);
            self.batches.push_back(batch);
            self.next_key += 1;
        }
        let at = self.batches.len() - 1;
        let batch = &mut self.batches[at];
        let index = batch.push(timestamp_ms, record, size_bytes, batch_bytes);
        Pushed {
            outcome: Arc::clone(&batch.outcome),
            index,
            wake: is_new || batch.is_full,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn outcomes(&self) -> impl Iterator<Item = Arc<Outcome>> + '_ {
        self.batches.iter().map(|batch| Arc::clone(&batch.outcome))
    }

    pub fn readiness(&self, now: Instant, linger: Duration, is_flushing: bool) -> Readiness {
        let Some(at) = self.batches.iter().position(|batch| !batch.is_in_flight()) else {
            return Readiness::Nothing;
        };
        let batch = &self.batches[at];
        let must_be_oldest = batch.attempts > 0 || self.sequences.must_go_alone();
        if must_be_oldest && at > 0 {
            return Readiness::Nothing;
        }
        let due = match batch.retry_at {
            Some(retry_at) => retry_at,
            None if batch.is_full || is_flushing => batch.created,
            None => batch.created + linger,
        };
        match due <= now {
            true => Readiness::Ready {
                since: batch.created,
            },
            false => Readiness::At(due),
        }
    }

    /// Whether the next epoch would be none: a new producer id is needed.
    pub fn exhausts(&self, identity: Identity) -> bool {
        self.sequences.exhausts(identity)
    }

    /// The batch that [`PartitionQueue::readiness`] spoke of.
    pub fn take(&mut self, identity: Option<Identity>) -> Option<Sending> {
        let at = self
            .batches
            .iter()
            .position(|batch| !batch.is_in_flight())?;
        if identity.is_some_and(|identity| self.sequences.begin(identity, at == 0)) {
            for batch in &mut self.batches {
                batch.sequence = None;
            }
        }
        let batch = &mut self.batches[at];
        let payload = batch.payload.take()?;
        // What is sent is fixed, also for another try: a record that came to it now would be acknowledged and never sent.
        batch.is_full = true;
        let (given, records) = (&mut batch.sequence, batch.record_count);
        let identity = self.sequences.assign(given, records);
        Some(Sending {
            key: batch.key,
            payload,
            identity,
            size_bytes: batch.size_bytes,
        })
    }
}
