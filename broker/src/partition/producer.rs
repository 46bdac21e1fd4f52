//! What one idempotent or transactional producer has written to this partition, and what it may write next (KIP-98).
//!
//! The checks run on the leader only. What was written is *recorded* by [`Producer::record`] and [`Producer::end`], which
//! never refuse: a replica that has forgotten a producer must reach a sound state from the same entry as one that has not.

use crate::storage::ids::Offset;
use std::collections::VecDeque;

/// `producerEpoch` of a producer that is not known, or not idempotent.
pub const NO_EPOCH: i16 = -1;
/// `baseSequence` of a batch without sequence numbers.
pub const NO_SEQUENCE: i32 = -1;
/// How many of a producer's last batches are recognised when they come again: what a client may have in flight.
pub const RECENT_BATCHES: usize = 5;

/// The sequence number `by` after `sequence`; 0 follows `i32::MAX`.
pub fn sequence_after(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum)
        .unwrap_or_else(|_| i32::try_from(sum - (1i64 << 31)).expect("both are at most i32::MAX"))
}

fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}

/// The header of a batch of records, as far as its producer is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    pub producer_id: i64,
    pub epoch: i16,
    pub first_sequence: i32,
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// The largest timestamp in it.
    pub timestamp_ms: i64,
    pub is_transactional: bool,
}

impl ProducerBatch {
    pub fn last_sequence(&self) -> i32 {
        if self.first_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        let delta = i32::try_from(self.last_offset - self.base_offset)
            .expect("a batch has an i32 last offset delta");
        sequence_after(self.first_sequence, delta)
    }
}

/// The control record that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    pub producer_id: i64,
    pub epoch: i16,
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    pub offset: Offset,
    pub timestamp_ms: i64,
}

/// A batch that would be recognised as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub timestamp_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub(super) epoch: i16,
    /// Of the last marker; -1 before the first.
    pub(super) coordinator_epoch: i32,
    /// The largest timestamp of its last batch, or its last marker's.
    pub(super) last_timestamp_ms: i64,
    /// Where its open transaction begins.
    pub(super) transaction_start: Option<Offset>,
    /// The last offset it wrote, records or marker.
    pub(super) last_offset: Offset,
    /// Oldest first; all of `epoch`.
    pub(super) recent: VecDeque<RecentBatch>,
}

/// Why a batch or marker of a producer may not be appended. `offset` is where it would have gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerRefusal {
    #[error(
        "producer {producer_id} in epoch {epoch} sent sequence {found} for offset {offset}, expected {expected} after {last}"
    )]
    OutOfOrderSequence {
        producer_id: i64,
        epoch: i16,
        offset: Offset,
        found: i32,
        expected: i32,
        /// The last sequence it wrote in this epoch, or -1.
        last: i32,
    },
    #[error(
        "producer {producer_id} sent epoch {found} for offset {offset}, but epoch {current} was seen"
    )]
    InvalidProducerEpoch {
        producer_id: i64,
        offset: Offset,
        found: i16,
        current: i16,
    },
    /// Refused as one that is below any.
    #[error("producer {producer_id} sent the epoch {found}, which is none")]
    NegativeEpoch { producer_id: i64, found: i16 },
    #[error(
        "producer {producer_id} sent records outside its open transaction, which began at offset {started}, for offset {offset}"
    )]
    InvalidTransactionState {
        producer_id: i64,
        offset: Offset,
        started: Offset,
    },
    #[error(
        "coordinator epoch {found} ends a transaction of producer {producer_id}, but epoch {current} was seen"
    )]
    TransactionCoordinatorFenced {
        producer_id: i64,
        found: i32,
        current: i32,
    },
}

impl Producer {
    /// One that has not written here, or not for so long that it was forgotten.
    pub fn unknown() -> Producer {
        Producer {
            epoch: NO_EPOCH,
            coordinator_epoch: -1,
            last_timestamp_ms: -1,
            transaction_start: None,
            last_offset: Offset(-1),
            recent: VecDeque::new(),
        }
    }

    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    /// The last sequence number written in the current epoch, or -1.
    pub fn last_sequence(&self) -> i32 {
        self.recent
            .back()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub fn last_offset(&self) -> Offset {
        self.last_offset
    }

    pub fn last_timestamp_ms(&self) -> i64 {
        self.last_timestamp_ms
    }

    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    pub fn transaction_start(&self) -> Option<Offset> {
        self.transaction_start
    }

    /// The batch that `batch` repeats: same epoch, same first and last sequence.
    pub fn duplicate_of(&self, batch: &ProducerBatch) -> Option<RecentBatch> {
        if batch.epoch != self.epoch || batch.first_sequence == NO_SEQUENCE {
            return None;
        }
        self.recent
            .iter()
            .find(|recent| {
                recent.first_sequence == batch.first_sequence
                    && recent.last_sequence == batch.last_sequence()
            })
            .copied()
    }

    /// May records be appended? Coordinators write without sequence numbers, so only a client's are checked.
    pub fn check(&self, batch: &ProducerBatch, is_client: bool) -> Result<(), ProducerRefusal> {
        if batch.epoch < self.epoch {
            return Err(self.fenced(batch.producer_id, batch.epoch, batch.base_offset));
        }
        if is_client {
            self.check_sequence(batch)?;
        }
        match self.transaction_start {
            Some(started) if !batch.is_transactional => {
                Err(ProducerRefusal::InvalidTransactionState {
                    producer_id: batch.producer_id,
                    offset: batch.base_offset,
                    started,
                })
            }
            _ => Ok(()),
        }
    }

    fn check_sequence(&self, batch: &ProducerBatch) -> Result<(), ProducerRefusal> {
        // Whatever a forgotten producer sends first is accepted: retention may have removed all it wrote (KIP-360).
        if self.epoch == NO_EPOCH {
            return Ok(());
        }
        // A new epoch begins at 0; the current one goes on where it was.
        let last = if batch.epoch == self.epoch {
            self.last_sequence()
        } else {
            NO_SEQUENCE
        };
        if follows(last, batch.first_sequence) {
            return Ok(());
        }
        Err(ProducerRefusal::OutOfOrderSequence {
            producer_id: batch.producer_id,
            epoch: batch.epoch,
            offset: batch.base_offset,
            found: batch.first_sequence,
            expected: sequence_after(last, 1),
            last,
        })
    }

    /// May `marker` be appended? From transaction version 2 on the coordinator bumps the epoch before it writes a marker, so
    /// one in the current epoch is late, unless it only repeats the marker that ended the transaction (KIP-890, KAFKA-19999).
    pub fn check_end(
        &self,
        marker: &EndMarker,
        transaction_version: u8,
    ) -> Result<(), ProducerRefusal> {
        let is_repeat = marker.epoch == self.epoch && self.transaction_start.is_none();
        let is_late = marker.epoch == self.epoch && transaction_version >= 2 && !is_repeat;
        if marker.epoch < self.epoch || is_late {
            return Err(self.fenced(marker.producer_id, marker.epoch, marker.offset));
        }
        if marker.coordinator_epoch < self.coordinator_epoch {
            return Err(ProducerRefusal::TransactionCoordinatorFenced {
                producer_id: marker.producer_id,
                found: marker.coordinator_epoch,
                current: self.coordinator_epoch,
            });
        }
        Ok(())
    }

    fn fenced(&self, producer_id: i64, found: i16, offset: Offset) -> ProducerRefusal {
        ProducerRefusal::InvalidProducerEpoch {
            producer_id,
            offset,
            found,
            current: self.epoch,
        }
    }

    /// Records were appended.
    pub fn record(&mut self, batch: &ProducerBatch) {
        self.enter(batch.epoch);
        if self.recent.len() == RECENT_BATCHES {
            self.recent.pop_front();
        }
        self.recent.push_back(RecentBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            timestamp_ms: batch.timestamp_ms,
        });
        self.last_timestamp_ms = batch.timestamp_ms;
        self.last_offset = batch.last_offset;
        if batch.is_transactional && self.transaction_start.is_none() {
            self.transaction_start = Some(batch.base_offset);
        }
    }

    /// A marker was appended. Returns where the transaction it ended began, if it had any records here.
    pub fn end(&mut self, marker: &EndMarker) -> Option<Offset> {
        self.enter(marker.epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp_ms = marker.timestamp_ms;
        self.last_offset = marker.offset;
        self.transaction_start.take()
    }

    fn enter(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.recent.clear();
            self.epoch = epoch;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use std::fmt::Write;

    /// Each line is `EPOCH FIRST..LAST` (append as a client, `txn` in a transaction) or `end EPOCH by COORDINATOR`
    /// (a marker, `v2` with transaction version 2); the trace is what came of it.
    fn check(script: &str, expected: Expect) {
        let mut producer = Producer::unknown();
        let mut next = Offset(0);
        let mut trace = String::new();
        for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let outcome = if words[0] == "end" {
                let marker = EndMarker {
                    producer_id: 1,
                    epoch: words[1].parse().unwrap(),
                    coordinator_epoch: words[3].parse().unwrap(),
                    is_commit: true,
                    offset: next,
                    timestamp_ms: 0,
                };
                let version = if line.contains("v2") { 2 } else { 1 };
                producer.check_end(&marker, version).map(|()| {
                    next = next + 1;
                    match producer.end(&marker) {
                        Some(start) => format!("ends the transaction from {start}"),
                        None => "ends nothing".to_owned(),
                    }
                })
            } else {
                let (first, last) = words[1].split_once("..").unwrap();
                let first: i32 = first.parse().unwrap();
                let last: i32 = last.parse().unwrap();
                let delta = (i64::from(last) - i64::from(first)).rem_euclid(1 << 31);
                let batch = ProducerBatch {
                    producer_id: 1,
                    epoch: words[0].parse().unwrap(),
                    first_sequence: first,
                    base_offset: next,
                    last_offset: next + delta,
                    timestamp_ms: 0,
                    is_transactional: line.contains("txn"),
                };
                match producer.duplicate_of(&batch) {
                    Some(original) => Ok(format!("duplicate of {}", original.base_offset)),
                    None => producer.check(&batch, true).map(|()| {
                        producer.record(&batch);
                        next = batch.last_offset + 1;
                        format!("at {}", batch.base_offset)
                    }),
                }
            };
            let outcome = outcome.unwrap_or_else(|refusal| format!("refused: {refusal}"));
            writeln!(trace, "{line}: {outcome}").unwrap();
        }
        expected.assert_eq(&trace);
    }

    #[test]
    fn sequences_go_on_duplicates_are_recognised_and_gaps_refused() {
        check(
            "0 0..4
             0 5..9
             0 0..4
             0 5..9
             0 11..12
             0 5..8
             0 10..10",
            expect![[r#"
                0 0..4: at 0
                0 5..9: at 5
                0 0..4: duplicate of 0
                0 5..9: duplicate of 5
                0 11..12: refused: producer 1 in epoch 0 sent sequence 11 for offset 10, expected 10 after 9
                0 5..8: refused: producer 1 in epoch 0 sent sequence 5 for offset 10, expected 10 after 9
                0 10..10: at 10
            "#]],
        );
    }

    #[test]
    fn the_sixth_last_batch_is_no_longer_recognised() {
        check(
            "0 0..0
             0 1..1
             0 2..2
             0 3..3
             0 4..4
             0 0..0
             0 5..5
             0 0..0
             0 1..1",
            expect![[r#"
                0 0..0: at 0
                0 1..1: at 1
                0 2..2: at 2
                0 3..3: at 3
                0 4..4: at 4
                0 0..0: duplicate of 0
                0 5..5: at 5
                0 0..0: refused: producer 1 in epoch 0 sent sequence 0 for offset 6, expected 6 after 5
                0 1..1: duplicate of 1
            "#]],
        );
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        check(
            "3 0..4
             4 5..6
             4 0..1
             3 5..6
             4 2..2",
            expect![[r#"
                3 0..4: at 0
                4 5..6: refused: producer 1 in epoch 4 sent sequence 5 for offset 5, expected 0 after -1
                4 0..1: at 5
                3 5..6: refused: producer 1 sent epoch 3 for offset 7, but epoch 4 was seen
                4 2..2: at 7
            "#]],
        );
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        check(
            "2 57..59
             2 60..60
             2 62..62",
            expect![[r#"
                2 57..59: at 0
                2 60..60: at 3
                2 62..62: refused: producer 1 in epoch 2 sent sequence 62 for offset 4, expected 61 after 60
            "#]],
        );
    }

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        check(
            "0 2147483645..2147483647
             0 0..1
             0 2147483645..2147483647
             0 2..2147483647
             0 2147483647..0
             0 0..0",
            expect![[r#"
                0 2147483645..2147483647: at 0
                0 0..1: at 3
                0 2147483645..2147483647: duplicate of 0
                0 2..2147483647: at 5
                0 2147483647..0: refused: producer 1 in epoch 0 sent sequence 2147483647 for offset 2147483651, expected 0 after 2147483647
                0 0..0: at 2147483651
            "#]],
        );
        check(
            "0 2147483646..1
             0 2147483646..1
             0 2..2",
            expect![[r#"
                0 2147483646..1: at 0
                0 2147483646..1: duplicate of 0
                0 2..2: at 4
            "#]],
        );
    }

    #[test]
    fn a_marker_ends_the_transaction_and_keeps_the_sequence_of_its_epoch() {
        check(
            "0 0..4 txn
             0 5..5
             0 5..6 txn
             end 0 by 7
             0 7..7
             end 0 by 6",
            expect![[r#"
                0 0..4 txn: at 0
                0 5..5: refused: producer 1 sent records outside its open transaction, which began at offset 0, for offset 5
                0 5..6 txn: at 5
                end 0 by 7: ends the transaction from 0
                0 7..7: at 8
                end 0 by 6: refused: coordinator epoch 6 ends a transaction of producer 1, but epoch 7 was seen
            "#]],
        );
    }

    #[test]
    fn a_marker_of_transaction_version_2_bumps_the_epoch_and_may_be_repeated() {
        check(
            "0 0..4 txn
             end 0 by 1 v2
             end 1 by 1 v2
             end 1 by 1 v2
             0 5..5 txn
             1 5..5 txn
             1 0..0 txn
             end 1 by 1 v2",
            expect![[r#"
                0 0..4 txn: at 0
                end 0 by 1 v2: refused: producer 1 sent epoch 0 for offset 5, but epoch 0 was seen
                end 1 by 1 v2: ends the transaction from 0
                end 1 by 1 v2: ends nothing
                0 5..5 txn: refused: producer 1 sent epoch 0 for offset 7, but epoch 1 was seen
                1 5..5 txn: refused: producer 1 in epoch 1 sent sequence 5 for offset 7, expected 0 after -1
                1 0..0 txn: at 7
                end 1 by 1 v2: refused: producer 1 sent epoch 1 for offset 8, but epoch 1 was seen
            "#]],
        );
    }

    proptest! {
        #[test]
        fn a_sequence_after_another_never_is_negative(sequence in 0..=i32::MAX, by in 0..=i32::MAX) {
            let after = sequence_after(sequence, by);
            prop_assert!(after >= 0);
            prop_assert_eq!((i64::from(sequence) + i64::from(by)) % (1 << 31), i64::from(after));
        }
    }
}
