//! All producers that a partition remembers, the transactions they have open, and when an idle one is forgotten.

use super::codec::{DecodeError, Reader, count_of};
use super::producer::{EndMarker, Producer, ProducerBatch, RECENT_BATCHES, RecentBatch};
use crate::storage::ids::Offset;
use bytes::{BufMut, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// How many producers a partition remembers. One more, and the one that wrote longest ago is forgotten, as if it had
/// expired; those with an open transaction never are, since the last stable offset depends on them.
pub const MAX_PRODUCERS: usize = 10_000;

const VERSION: u8 = 1;
const PRODUCER_LEN: usize = 8 + 2 + 4 + 8 + 8 + 8 + 1;
/// `transaction_start` of a producer without an open transaction.
const NO_TRANSACTION: i64 = -1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
    /// By the last offset written: whom to forget first.
    by_last_offset: BTreeMap<Offset, i64>,
    /// Open transactions by their first offset.
    open: BTreeMap<Offset, i64>,
}

impl Producers {
    pub fn get(&self, producer_id: i64) -> Option<&Producer> {
        self.by_id.get(&producer_id)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// Where the first transaction begins that has not ended.
    pub fn first_unstable(&self) -> Option<Offset> {
        self.open.keys().next().copied()
    }

    /// The last offset that any of them wrote.
    pub fn last_offset(&self) -> Option<Offset> {
        self.by_last_offset.keys().next_back().copied()
    }

    /// Records were appended.
    pub fn record(&mut self, batch: &ProducerBatch) {
        let mut producer = self.take(batch.producer_id);
        producer.record(batch);
        self.put(batch.producer_id, producer);
        self.forget_beyond(MAX_PRODUCERS);
    }

    /// A marker was appended. Returns where the transaction it ended began.
    pub fn end(&mut self, marker: &EndMarker) -> Option<Offset> {
        let mut producer = self.take(marker.producer_id);
        let started = producer.end(marker);
        self.put(marker.producer_id, producer);
        self.forget_beyond(MAX_PRODUCERS);
        started
    }

    pub fn forget(&mut self, producer_id: i64) {
        self.take(producer_id);
    }

    fn take(&mut self, producer_id: i64) -> Producer {
        let Some(producer) = self.by_id.remove(&producer_id) else {
            return Producer::unknown();
        };
        self.by_last_offset.remove(&producer.last_offset);
        if let Some(start) = producer.transaction_start {
            self.open.remove(&start);
        }
        producer
    }

    fn put(&mut self, producer_id: i64, producer: Producer) {
        self.by_last_offset
            .insert(producer.last_offset, producer_id);
        if let Some(start) = producer.transaction_start {
            self.open.insert(start, producer_id);
        }
        self.by_id.insert(producer_id, producer);
    }

    fn forget_beyond(&mut self, limit: usize) {
        while self.by_id.len() > limit {
            let idle = self
                .by_last_offset
                .values()
                .copied()
                .find(|id| self.by_id[id].transaction_start.is_none());
            let Some(producer_id) = idle else {
                return;
            };
            self.forget(producer_id);
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u32(count_of(self.by_id.len()));
        for (producer_id, producer) in &self.by_id {
            out.put_i64(*producer_id);
            out.put_i16(producer.epoch);
            out.put_i32(producer.coordinator_epoch);
            out.put_i64(producer.last_timestamp_ms);
            out.put_i64(producer.transaction_start.map_or(NO_TRANSACTION, |o| o.0));
            out.put_i64(producer.last_offset.0);
            out.put_u8(u8::try_from(producer.recent.len()).expect("at most five"));
            for recent in &producer.recent {
                out.put_i32(recent.first_sequence);
                out.put_i32(recent.last_sequence);
                out.put_i64(recent.base_offset.0);
                out.put_i64(recent.last_offset.0);
                out.put_i64(recent.timestamp_ms);
            }
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Producers, DecodeError> {
        from.version("producers", VERSION)?;
        let count = from.count("number of producers", PRODUCER_LEN)?;
        let mut producers = Producers::default();
        for _ in 0..count {
            let producer_id = from.i64("producer id")?;
            let producer = Producer {
                epoch: from.i16("producer epoch")?,
                coordinator_epoch: from.i32("coordinator epoch")?,
                last_timestamp_ms: from.i64("last timestamp of a producer")?,
                transaction_start: match from.i64("first offset of a transaction")? {
                    NO_TRANSACTION => None,
                    start => Some(Offset(start)),
                },
                last_offset: Offset(from.i64("last offset of a producer")?),
                recent: decode_recent(from)?,
            };
            if producers
                .by_id
                .last_key_value()
                .is_some_and(|(last, _)| *last >= producer_id)
            {
                return Err(from.invalid("producer id", producer_id, "producers must ascend"));
            }
            if producers.by_last_offset.contains_key(&producer.last_offset) {
                return Err(from.invalid(
                    "last offset of a producer",
                    producer.last_offset.0,
                    "another producer wrote it",
                ));
            }
            if let Some(start) = producer.transaction_start
                && (start.0 < 0 || producers.open.contains_key(&start))
            {
                return Err(from.invalid(
                    "first offset of a transaction",
                    start.0,
                    "must be an offset of its own",
                ));
            }
            producers.put(producer_id, producer);
        }
        Ok(producers)
    }
}

fn decode_recent(from: &mut Reader<'_>) -> Result<VecDeque<RecentBatch>, DecodeError> {
    let count = usize::from(from.u8("number of recent batches")?);
    if count > RECENT_BATCHES {
        return Err(from.invalid("number of recent batches", count as i64, "at most five"));
    }
    let mut recent = VecDeque::with_capacity(count);
    for _ in 0..count {
        recent.push_back(RecentBatch {
            first_sequence: from.i32("first sequence")?,
            last_sequence: from.i32("last sequence")?,
            base_offset: Offset(from.i64("base offset of a recent batch")?),
            last_offset: Offset(from.i64("last offset of a recent batch")?),
            timestamp_ms: from.i64("timestamp of a recent batch")?,
        });
    }
    Ok(recent)
}

/// Finds producers that have been idle for `producer.id.expiration.ms` of this replica's own clock.
///
/// This is not replicated, and need not be: nothing that `apply` does depends on whether a producer is remembered (see
/// [`Producer`]), so replicas may forget it at different times. The batches' own timestamps, which Kafka goes by, would not
/// do: a producer that copies old records would be forgotten at every look, and its duplicates let in.
#[derive(Clone, Debug, Default)]
pub struct IdleProducers {
    /// What each producer had written, and since when, as far as this clock has seen.
    since: BTreeMap<i64, (Offset, i64)>,
}

impl IdleProducers {
    /// To be called every now and then; the producers to forget.
    pub fn expired(&mut self, producers: &Producers, now_ms: i64, expiration_ms: i64) -> Vec<i64> {
        let mut expired = Vec::new();
        let mut since = BTreeMap::new();
        for (id, producer) in producers.iter() {
            match self.since.get(&id) {
                Some((last_offset, idle_since_ms)) if *last_offset == producer.last_offset => {
                    let idle_ms = now_ms.saturating_sub(*idle_since_ms);
                    if idle_ms >= expiration_ms && producer.transaction_start.is_none() {
                        expired.push(id);
                    } else {
                        since.insert(id, (*last_offset, *idle_since_ms));
                    }
                }
                _ => {
                    since.insert(id, (producer.last_offset, now_ms));
                }
            }
        }
        self.since = since;
        expired
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn batch(producer_id: i64, offset: i64, is_transactional: bool) -> ProducerBatch {
        ProducerBatch {
            producer_id,
            epoch: 0,
            first_sequence: 0,
            base_offset: Offset(offset),
            last_offset: Offset(offset),
            timestamp_ms: 0,
            is_transactional,
        }
    }

    fn marker(producer_id: i64, offset: i64) -> EndMarker {
        EndMarker {
            producer_id,
            epoch: 0,
            coordinator_epoch: 0,
            is_commit: true,
            offset: Offset(offset),
            timestamp_ms: 0,
        }
    }

    #[test]
    fn the_first_open_transaction_is_unstable_until_it_ends() {
        let mut producers = Producers::default();
        producers.record(&batch(1, 0, false));
        assert_eq!(producers.first_unstable(), None);
        producers.record(&batch(2, 1, true));
        producers.record(&batch(3, 2, true));
        producers.record(&batch(2, 3, true));
        assert_eq!(producers.first_unstable(), Some(Offset(1)));
        assert_eq!(producers.end(&marker(2, 4)), Some(Offset(1)));
        assert_eq!(producers.first_unstable(), Some(Offset(2)));
        assert_eq!(producers.end(&marker(3, 5)), Some(Offset(2)));
        assert_eq!(producers.first_unstable(), None);
    }

    #[test]
    fn beyond_the_limit_the_longest_idle_without_a_transaction_is_forgotten() {
        let mut producers = Producers::default();
        producers.record(&batch(1, 0, true));
        producers.record(&batch(2, 1, false));
        producers.record(&batch(3, 2, false));
        producers.record(&batch(2, 3, false));
        producers.forget_beyond(2);
        let left: Vec<i64> = producers.iter().map(|(id, _)| id).collect();
        assert_eq!(left, [1, 2]);
        producers.forget_beyond(0);
        let left: Vec<i64> = producers.iter().map(|(id, _)| id).collect();
        assert_eq!(left, [1], "an open transaction is never forgotten");
    }

    #[test]
    fn a_producer_expires_when_it_wrote_nothing_for_long_enough() {
        let mut producers = Producers::default();
        let mut idle = IdleProducers::default();
        producers.record(&batch(1, 0, false));
        producers.record(&batch(2, 1, false));
        producers.record(&batch(3, 2, true));
        assert!(idle.expired(&producers, 1_000, 100).is_empty());
        producers.record(&batch(2, 3, false));
        assert!(idle.expired(&producers, 1_099, 100).is_empty());
        assert_eq!(idle.expired(&producers, 1_100, 100), [1]);
        producers.forget(1);
        assert_eq!(idle.expired(&producers, 9_000, 100), [2]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(steps in prop::collection::vec((0i64..6, any::<bool>(), any::<bool>()), 0..60)) {
            let mut before = Producers::default();
            for (offset, (id, is_marker, is_transactional)) in steps.into_iter().enumerate() {
                if is_marker {
                    before.end(&marker(id, offset as i64));
                } else {
                    before.record(&batch(id, offset as i64, is_transactional));
                }
            }
            let mut bytes = BytesMut::new();
            before.encode(&mut bytes);
            prop_assert_eq!(Producers::decode(&mut Reader::new(&bytes)).unwrap(), before);
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Producers::decode(&mut Reader::new(&bytes));
        }
    }
}
