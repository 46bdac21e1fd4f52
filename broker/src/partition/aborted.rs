//! Which transactions were aborted, so that a read_committed consumer can leave their records out (KIP-98).

use super::codec::{DecodeError, Reader, count_of};
use crate::storage::ids::Offset;
use bytes::{BufMut, BytesMut};

const VERSION: u8 = 1;
const ENTRY_LEN: usize = 4 * 8;

/// The records of `producer_id` from `first_offset` on, up to its abort marker at `last_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// The last stable offset once this transaction had ended: all that is aborted below it is known by then.
    pub last_stable: Offset,
}

/// Strictly ascending by `last_offset`; `last_stable` never descends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aborted {
    entries: Vec<AbortedTransaction>,
}

impl Aborted {
    pub fn entries(&self) -> &[AbortedTransaction] {
        &self.entries
    }

    /// Adds the transaction whose abort marker was applied last.
    pub fn push(&mut self, transaction: AbortedTransaction) {
        debug_assert!(
            self.entries
                .last()
                .is_none_or(|last| last.last_offset < transaction.last_offset)
        );
        self.entries.push(transaction);
    }

    /// The aborted transactions with records in `from..to`.
    pub fn overlapping(&self, from: Offset, to: Offset) -> Vec<AbortedTransaction> {
        let first = self.entries.partition_point(|t| t.last_offset < from);
        let mut found = Vec::new();
        for transaction in &self.entries[first..] {
            if transaction.first_offset < to {
                found.push(*transaction);
            }
            // All that was aborted with records below `to` ended no later than this one.
            if transaction.last_stable >= to {
                break;
            }
        }
        found
    }

    /// Forgets the transactions that ended below the log start. True if there were any.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let gone = self.entries.partition_point(|t| t.last_offset < start);
        self.entries.drain(..gone);
        gone > 0
    }

    /// Forgets the transactions whose marker lies at or above `end`.
    pub fn truncate_from_end(&mut self, end: Offset) {
        let kept = self.entries.partition_point(|t| t.last_offset < end);
        self.entries.truncate(kept);
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u32(count_of(self.entries.len()));
        for transaction in &self.entries {
            out.put_i64(transaction.producer_id);
            out.put_i64(transaction.first_offset.0);
            out.put_i64(transaction.last_offset.0);
            out.put_i64(transaction.last_stable.0);
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Aborted, DecodeError> {
        from.version("aborted transactions", VERSION)?;
        let count = from.count("number of aborted transactions", ENTRY_LEN)?;
        let mut entries: Vec<AbortedTransaction> = Vec::with_capacity(count);
        for _ in 0..count {
            let transaction = AbortedTransaction {
                producer_id: from.i64("producer id of an abort")?,
                first_offset: Offset(from.i64("first offset of an abort")?),
                last_offset: Offset(from.i64("last offset of an abort")?),
                last_stable: Offset(from.i64("last stable offset of an abort")?),
            };
            if entries.last().is_some_and(|last| {
                last.last_offset >= transaction.last_offset
                    || last.last_stable > transaction.last_stable
            }) {
                return Err(from.invalid(
                    "last offset of an abort",
                    transaction.last_offset.0,
                    "aborts must ascend",
                ));
            }
            entries.push(transaction);
        }
        Ok(Aborted { entries })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn aborted(transactions: &[(i64, i64, i64, i64)]) -> Aborted {
        let mut aborted = Aborted::default();
        for (producer_id, first, last, stable) in transactions {
            aborted.push(AbortedTransaction {
                producer_id: *producer_id,
                first_offset: Offset(*first),
                last_offset: Offset(*last),
                last_stable: Offset(*stable),
            });
        }
        aborted
    }

    fn check(transactions: &[(i64, i64, i64, i64)], from: i64, to: i64, producers: &[i64]) {
        let found = aborted(transactions).overlapping(Offset(from), Offset(to));
        let ids: Vec<i64> = found.iter().map(|t| t.producer_id).collect();
        assert_eq!(ids, producers);
    }

    // Producer 1 aborts 0..=10 while producer 2 is open from 5, producer 2 aborts at 20, producer 3 aborts 30..=40.
    const THREE: [(i64, i64, i64, i64); 3] = [(1, 0, 10, 5), (2, 5, 20, 21), (3, 30, 40, 41)];

    #[test]
    fn a_fetch_sees_the_aborts_that_overlap_it() {
        check(&THREE, 0, 100, &[1, 2, 3]);
        check(&THREE, 10, 21, &[1, 2]);
        check(&THREE, 11, 21, &[2]);
        check(&THREE, 21, 30, &[]);
        check(&THREE, 21, 31, &[3]);
    }

    #[test]
    fn a_later_abort_that_began_inside_the_range_is_seen() {
        check(&THREE, 0, 6, &[1, 2]);
    }

    #[test]
    fn the_search_ends_where_all_below_the_range_was_stable() {
        check(&THREE, 0, 5, &[1]);
    }

    #[test]
    fn truncation_keeps_aborts_that_reach_into_the_log() {
        let mut cut = aborted(&THREE);
        assert!(cut.truncate_from_start(Offset(20)));
        assert_eq!(cut, aborted(&THREE[1..]));
        assert!(!cut.truncate_from_start(Offset(20)));
        cut.truncate_from_end(Offset(40));
        assert_eq!(cut, aborted(&THREE[1..2]));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(steps in prop::collection::vec((any::<i64>(), 0i64..9, 1i64..9), 0..20)) {
            let mut before = Aborted::default();
            let mut end = 0;
            for (producer_id, back, ahead) in steps {
                end += ahead;
                before.push(AbortedTransaction {
                    producer_id,
                    first_offset: Offset(end - back),
                    last_offset: Offset(end),
                    last_stable: Offset(end + 1),
                });
            }
            let mut bytes = BytesMut::new();
            before.encode(&mut bytes);
            prop_assert_eq!(Aborted::decode(&mut Reader::new(&bytes)).unwrap(), before);
        }
    }
}
