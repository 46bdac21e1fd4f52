//! What an answer, or none, means for a batch: it is done, sent again, or failed.

use super::{PartitionQueue, Payload};
use crate::Error;
use crate::producer::Written;
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::batch::HEADER_BYTES;
use std::time::{Duration, Instant};

/// What decides how long a batch is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub retries: u32,
    pub delivery_timeout: Duration,
}

/// What settling a batch did.
#[derive(Debug, Default)]
pub struct Settled {
    pub freed_bytes: usize,
    /// Why a batch must be sent again, and how often it was sent.
    pub retry_of: Option<(Error, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Retry,
    RetryInNewEpoch,
    Fail,
}

impl PartitionQueue {
    /// `encoded` is what was sent, for another try.
    pub fn settle(
        &mut self,
        key: u64,
        result: Result<Written, Error>,
        encoded: Bytes,
        now: Instant,
        backoff: &dyn Fn(u32) -> Duration,
        patience: Patience,
    ) -> Settled {
        let Some(at) = self.batches.iter().position(|batch| batch.key == key) else {
            return Settled::default();
        };
        let error = match result {
            Ok(written) => {
                self.sequences.accepted();
                return self.remove(at, Ok(written));
            }
            Err(error) => error,
        };
        if error.code() == Some(ErrorCode::DuplicateSequenceNumber) {
            // It is there, written by an earlier try; where, the broker has forgotten.
            let written = Written {
                base_offset: -1,
                log_append_time_ms: None,
            };
            self.sequences.accepted();
            return self.remove(at, Ok(written));
        }
        let reaction = self.reaction(at, &error);
        let batch = &mut self.batches[at];
        let is_late = now >= batch.created + patience.delivery_timeout;
        if reaction == Reaction::Fail || batch.attempts >= patience.retries || is_late {
            if batch.sequence.is_some() {
                self.sequences.lost();
            }
            return self.remove(at, Err(error));
        }
        if reaction == Reaction::RetryInNewEpoch {
            self.sequences.lost();
        }
        batch.attempts += 1;
        batch.retry_at = Some(now + backoff(batch.attempts - 1));
        batch.payload = Some(Payload::Encoded(encoded));
        Settled {
            freed_bytes: 0,
            retry_of: Some((error, batch.attempts)),
        }
    }

    fn reaction(&self, at: usize, error: &Error) -> Reaction {
        let has_sequence = self.batches[at].sequence.is_some();
        match error.code() {
            // A batch before this one failed: this one was right, and will be again.
            Some(ErrorCode::OutOfOrderSequenceNumber) if at > 0 || self.sequences.needs_epoch() => {
                Reaction::Retry
            }
            // The broker no longer knows the producer: its records were all deleted (KIP-360).
            Some(ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch)
                if has_sequence =>
            {
                Reaction::RetryInNewEpoch
            }
            _ if error.is_retriable() => Reaction::Retry,
            _ => Reaction::Fail,
        }
    }

    fn remove(&mut self, at: usize, result: Result<Written, Error>) -> Settled {
        let Some(batch) = self.batches.remove(at) else {
            return Settled::default();
        };
        batch.outcome.settle(result);
        Settled {
            freed_bytes: batch.size_bytes - HEADER_BYTES,
            retry_of: None,
        }
    }

    /// Fails what has waited for too long; what is in flight is failed by its answer.
    pub fn expire(&mut self, now: Instant, patience: Patience) -> Settled {
        let mut freed_bytes = 0;
        while let Some(at) = self.batches.iter().position(|batch| {
            !batch.is_in_flight() && now >= batch.created + patience.delivery_timeout
        }) {
            if self.batches[at].sequence.is_some() {
                self.sequences.lost();
            }
            let expired = Error::TimedOut {
                what: format!(
                    "Expiring {} record(s) for {}: delivery",
                    self.batches[at].record_count, self.partition
                ),
                after: patience.delivery_timeout,
            };
            freed_bytes += self.remove(at, Err(expired)).freed_bytes;
        }
        Settled {
            freed_bytes,
            retry_of: None,
        }
    }

    pub fn fail_all(&mut self, error: &Error) {
        for batch in self.batches.drain(..) {
            batch.outcome.settle(Err(error.clone()));
        }
    }

    /// When the oldest waiting batch expires.
    pub fn expires_at(&self, patience: Patience) -> Option<Instant> {
        let waiting = self.batches.iter().find(|batch| !batch.is_in_flight())?;
        Some(waiting.created + patience.delivery_timeout)
    }
}
