//! What is promised of one partition's queue.

use super::*;
use crate::Error;
use crate::producer::Written;
use bytes::Bytes;
use millrace_wire::ErrorCode;

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

    /// One whose producer the broker knows.
    fn known() -> Partition {
        let mut partition = Partition::new();
        partition.queue.sequences = Sequences::known(IDENTITY);
        partition
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
    let mut partition = Partition::known();
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
    let mut partition = Partition::known();
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
    let mut partition = Partition::known();
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
fn the_first_batch_of_an_epoch_goes_alone() {
    let mut partition = Partition::new();
    for _ in 0..3 {
        partition.batch();
    }
    assert_eq!(partition.take(), Some((0, 0, 0)));
    assert_eq!(
        partition.take(),
        None,
        "the broker does not know the producer yet"
    );
    partition.settle(0, Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(partition.take(), Some((0, 0, 0)));
    assert_eq!(partition.take(), None);
    partition.settle(0, Ok(WRITTEN));
    assert_eq!(partition.take(), Some((1, 2, 0)));
    assert_eq!(partition.take(), Some((2, 4, 0)));
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
fn a_batch_that_was_sent_takes_no_more_records_for_another_try() {
    let mut partition = Partition::new();
    let push = |partition: &mut Partition| {
        let now = partition.now;
        partition.queue.push(0, Record::default(), 10, 1_000, now)
    };
    let sent = push(&mut partition).outcome;
    partition.now += Duration::from_secs(1);
    partition.take().expect("it has waited for its linger");
    partition.settle(0, Err(ErrorCode::NotLeaderOrFollower));
    let late = push(&mut partition);
    assert!(!Arc::ptr_eq(&late.outcome, &sent));
    assert_eq!(late.index, 0);
}
