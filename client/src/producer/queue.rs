//! One partition's batches, oldest first. No clock, no socket: what may be sent, and what an answer means, is decided here.
//!
//! Batches carry sequences in the order in which they were first sent. A batch that must be sent again is sent again only when
//! it is the oldest, and nothing new is sent before it: so the broker never sees a later sequence accepted before an earlier
//! one was, and what arrives out of order because of a failure is refused by the broker and comes back here.

use super::{Outcome, ProducerRecord, Written};
use crate::{Error, TopicPartition};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::batch::HEADER_BYTES;
use millrace_wire::record::Record;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A producer's id and epoch, as the broker gave them; the epoch then goes its own way in each partition (KIP-360).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub producer_id: i64,
    pub epoch: i16,
}

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
struct QueuedBatch {
    key: u64,
    /// Gone while it is in flight.
    payload: Option<Payload>,
    record_count: u32,
    size_bytes: usize,
    created: Instant,
    /// Takes no more records.
    is_full: bool,
    attempts: u32,
    retry_at: Option<Instant>,
    sequence: Option<i32>,
    outcome: Arc<Outcome>,
}

impl QueuedBatch {
    fn is_in_flight(&self) -> bool {
        self.payload.is_none()
    }
}

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

/// What settling a batch did.
#[derive(Debug, Default)]
pub struct Settled {
    pub freed_bytes: usize,
    /// Why a batch must be sent again, and how often it was sent.
    pub retry_of: Option<(Error, u32)>,
}

#[derive(Debug)]
pub struct PartitionQueue {
    partition: TopicPartition,
    batches: VecDeque<QueuedBatch>,
    next_key: u64,
    identity: Option<Identity>,
    next_sequence: i32,
    /// A sequence was lost or its fate is unknown: what follows needs another epoch, once nothing is in flight.
    needs_epoch: bool,
}

/// What decides how long a batch is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub retries: u32,
    pub delivery_timeout: Duration,
}

impl PartitionQueue {
    pub fn new(partition: TopicPartition) -> PartitionQueue {
        PartitionQueue {
            partition,
            batches: VecDeque::new(),
            next_key: 0,
            identity: None,
            next_sequence: 0,
            needs_epoch: false,
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
        let fits = |batch: &QueuedBatch| {
            !batch.is_full && !batch.is_in_flight() && batch.size_bytes + size_bytes <= batch_bytes
        };
        if let Some(last) = self.batches.back_mut()
            && !fits(last)
        {
            last.is_full = true;
        }
        let is_new = !self.batches.back().is_some_and(fits);
        if is_new {
            self.batches.push_back(QueuedBatch {
                key: self.next_key,
                payload: Some(Payload::Records(Vec::new())),
                record_count: 0,
                size_bytes: HEADER_BYTES,
                created: now,
                is_full: false,
                attempts: 0,
                retry_at: None,
                sequence: None,
                outcome: Arc::new(Outcome::new(self.partition.clone())),
            });
            self.next_key += 1;
        }
        let at = self.batches.len() - 1;
        let batch = &mut self.batches[at];
        let index = batch.record_count;
        let offset_delta = i32::try_from(index).unwrap_or(i32::MAX);
        if let Some(Payload::Records(records)) = &mut batch.payload {
            records.push((
                timestamp_ms,
                Record {
                    offset_delta,
                    ..record
                },
            ));
        }
        batch.record_count += 1;
        batch.size_bytes += size_bytes;
        batch.is_full = batch.size_bytes >= batch_bytes;
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
        let must_be_oldest = batch.attempts > 0 || self.needs_epoch;
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
        let own = self
            .identity
            .filter(|own| own.producer_id == identity.producer_id);
        self.needs_epoch && own.is_some_and(|own| own.epoch == i16::MAX)
    }

    /// The batch that [`PartitionQueue::readiness`] spoke of.
    pub fn take(&mut self, identity: Option<Identity>) -> Option<Sending> {
        let at = self
            .batches
            .iter()
            .position(|batch| !batch.is_in_flight())?;
        if let Some(identity) = identity {
            self.settle_identity(identity, at == 0);
        }
        let own = self.identity;
        let batch = &mut self.batches[at];
        let payload = batch.payload.take()?;
        let identity = own.map(|own| {
            let sequence = *batch.sequence.get_or_insert(self.next_sequence);
            if sequence == self.next_sequence {
                self.next_sequence = after(sequence, batch.record_count);
            }
            (own, sequence)
        });
        Some(Sending {
            key: batch.key,
            payload,
            identity,
            size_bytes: batch.size_bytes,
        })
    }

    /// Another epoch, or another producer, starts its sequences at 0; what waits is numbered anew.
    fn settle_identity(&mut self, current: Identity, nothing_in_flight: bool) {
        let next = match self.identity {
            None => current,
            Some(own) if own.producer_id != current.producer_id => match nothing_in_flight {
                true => current,
                false => return,
            },
            Some(own) if self.needs_epoch => Identity {
                epoch: own.epoch.saturating_add(1),
                ..own
            },
            Some(_) => return,
        };
        self.identity = Some(next);
        self.needs_epoch = false;
        self.next_sequence = 0;
        for batch in &mut self.batches {
            batch.sequence = None;
        }
    }

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
            Ok(written) => return self.remove(at, Ok(written)),
            Err(error) => error,
        };
        if error.code() == Some(ErrorCode::DuplicateSequenceNumber) {
            // It is there, written by an earlier try; where, the broker has forgotten.
            let written = Written {
                base_offset: -1,
                log_append_time_ms: None,
            };
            return self.remove(at, Ok(written));
        }
        let reaction = self.reaction(at, &error);
        let batch = &mut self.batches[at];
        let is_late = now >= batch.created + patience.delivery_timeout;
        if reaction == Reaction::Fail || batch.attempts >= patience.retries || is_late {
            self.needs_epoch |= batch.sequence.is_some();
            return self.remove(at, Err(error));
        }
        self.needs_epoch |= reaction == Reaction::RetryInNewEpoch;
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
            Some(ErrorCode::OutOfOrderSequenceNumber) if at > 0 || self.needs_epoch => {
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
            self.needs_epoch |= self.batches[at].sequence.is_some();
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Retry,
    RetryInNewEpoch,
    Fail,
}

/// Sequences wrap from the greatest to 0.
fn after(sequence: i32, records: u32) -> i32 {
    let sum = i64::from(sequence) + i64::from(records);
    (sum & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        retries: 10,
        delivery_timeout: Duration::from_secs(120),
    };
    const WRITTEN: Written = Written {
        base_offset: 7,
        log_append_time_ms: None,
    };
    const IDENTITY: Identity = Identity {
        producer_id: 9,
        epoch: 0,
    };

    struct Partition {
        queue: PartitionQueue,
        now: Instant,
    }

    impl Partition {
        fn new() -> Partition {
            Partition {
                queue: PartitionQueue::new(TopicPartition::new("t", 0)),
                now: Instant::now(),
            }
        }

        /// A full batch of two records.
        fn batch(&mut self) -> Arc<Outcome> {
            self.queue.push(0, Record::default(), 50, 161, self.now);
            self.queue
                .push(0, Record::default(), 50, 161, self.now)
                .outcome
        }

        /// The key and sequence of what may be sent now.
        fn take(&mut self) -> Option<(u64, i32, i16)> {
            let ready = self
                .queue
                .readiness(self.now, Duration::from_millis(5), false);
            if !matches!(ready, Readiness::Ready { .. }) {
                return None;
            }
            let sending = self.queue.take(Some(IDENTITY)).expect("a batch");
            let (identity, sequence) = sending.identity.expect("an identity");
            Some((sending.key, sequence, identity.epoch))
        }

        fn settle(&mut self, key: u64, result: Result<Written, ErrorCode>) -> Settled {
            let result = result.map_err(|code| Error::of(code, None));
            let encoded = Bytes::from_static(b"encoded");
            self.queue.settle(
                key,
                result,
                encoded,
                self.now,
                &|_| Duration::ZERO,
                PATIENCE,
            )
        }
    }

    #[test]
    fn a_batch_waits_for_linger_unless_it_is_full() {
        let mut partition = Partition::new();
        let linger = Duration::from_millis(5);
        let start = partition.now;
        assert!(
            partition
                .queue
                .push(0, Record::default(), 50, 161, start)
                .wake
        );
        let check = |queue: &PartitionQueue, now, flushing, expected| {
            assert_eq!(queue.readiness(now, linger, flushing), expected);
        };
        let ready = Readiness::Ready { since: start };
        check(
            &partition.queue,
            start,
            false,
            Readiness::At(start + linger),
        );
        check(&partition.queue, start, true, ready);
        check(&partition.queue, start + linger, false, ready);
        assert!(
            partition
                .queue
                .push(0, Record::default(), 50, 161, start)
                .wake
        );
        check(&partition.queue, start, false, ready);
    }

    #[test]
    fn batches_are_pipelined_with_rising_sequences() {
        let mut partition = Partition::new();
        for _ in 0..3 {
            partition.batch();
        }
        assert_eq!(partition.take(), Some((0, 0, 0)));
        assert_eq!(partition.take(), Some((1, 2, 0)));
        assert_eq!(partition.take(), Some((2, 4, 0)));
        assert_eq!(partition.take(), None);
    }

    #[test]
    fn a_failed_batch_is_sent_again_before_anything_else_and_with_its_sequence() {
        let mut partition = Partition::new();
        for _ in 0..4 {
            partition.batch();
        }
        assert_eq!(
            [partition.take(), partition.take(), partition.take()].map(|t| t.expect("sent").0),
            [0, 1, 2]
        );
        partition.settle(1, Err(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!(partition.take(), None, "the oldest is in flight");
        partition.settle(0, Err(ErrorCode::NotLeaderOrFollower));
        assert_eq!(partition.take(), Some((0, 0, 0)));
        assert_eq!(partition.take(), None, "the second must wait for the first");
        partition.settle(0, Ok(WRITTEN));
        assert_eq!(partition.take(), Some((1, 2, 0)));
        partition.settle(1, Ok(WRITTEN));
        partition.settle(2, Ok(WRITTEN));
        assert_eq!(partition.take(), Some((3, 6, 0)));
    }

    #[test]
    fn a_lost_sequence_starts_an_epoch_once_nothing_is_in_flight() {
        let mut partition = Partition::new();
        for _ in 0..3 {
            partition.batch();
        }
        partition.take();
        partition.take();
        partition.settle(0, Err(ErrorCode::MessageTooLarge));
        assert_eq!(partition.take(), None, "batch 1 is in flight");
        partition.settle(1, Err(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!(partition.take(), Some((1, 0, 1)));
        partition.settle(1, Ok(WRITTEN));
        assert_eq!(partition.take(), Some((2, 2, 1)));
    }

    #[test]
    fn an_out_of_order_oldest_batch_fails_since_records_are_missing() {
        let mut partition = Partition::new();
        let outcome = partition.batch();
        partition.take();
        partition.settle(0, Err(ErrorCode::OutOfOrderSequenceNumber));
        let (_, result) = outcome.result.get().expect("settled");
        assert!(result.is_err());
    }

    #[test]
    fn a_duplicate_is_a_success_without_an_offset() {
        let mut partition = Partition::new();
        let outcome = partition.batch();
        partition.take();
        let freed = partition
            .settle(0, Err(ErrorCode::DuplicateSequenceNumber))
            .freed_bytes;
        assert_eq!(freed, 100);
        let (_, result) = outcome.result.get().expect("settled");
        assert_eq!(result.as_ref().expect("written").base_offset, -1);
    }

    #[test]
    fn what_waits_too_long_is_failed_and_frees_its_memory() {
        let mut partition = Partition::new();
        let outcome = partition.batch();
        partition.now += PATIENCE.delivery_timeout;
        assert_eq!(
            partition.queue.expire(partition.now, PATIENCE).freed_bytes,
            100
        );
        assert!(outcome.result.get().expect("settled").1.is_err());
        assert!(partition.queue.is_empty());
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(after(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 4), 2);
    }
}
