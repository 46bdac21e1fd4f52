//! Where each leader epoch begins (KIP-101, KIP-279, KIP-320): a consumer that asks for the end of the epoch it last read
//! learns whether the log was truncated under it.

use super::codec::{DecodeError, Reader, count_of};
use crate::raft::ports::FOUNDING_TERM;
use crate::storage::ids::Offset;
use bytes::{BufMut, BytesMut};

/// Of the first leader that a group can have.
const FIRST_LEADER_TERM: u64 = FOUNDING_TERM + 1;

/// The leader epoch of whoever leads in `term`: the one place where raft's terms become what clients see. Kafka's first leader
/// has epoch 0, and so has ours; an election that nobody won leaves a gap, as is allowed. Epochs rise with every leadership
/// because terms do.
///
/// `None` where there is no such epoch: before the first leader, and beyond what an epoch can hold.
pub fn leader_epoch_of(term: u64) -> Option<i32> {
    let epoch = term.checked_sub(FIRST_LEADER_TERM)?;
    i32::try_from(epoch).ok()
}

const VERSION: u8 = 1;
const ENTRY_LEN: usize = 4 + 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: i32,
    pub start: Offset,
}

/// Strictly ascending by epoch and by start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<EpochStart>,
}

impl Epochs {
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The latest epoch that began.
    pub fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// `epoch` begins at `start`; true if that was news. Of an epoch without any record, only the newest is kept.
    pub fn assign(&mut self, epoch: i32, start: Offset) -> bool {
        if let Some(latest) = self.latest()
            && latest.epoch == epoch
            && start >= latest.start
        {
            return false;
        }
        while let Some(latest) = self.latest()
            && (latest.epoch >= epoch || latest.start >= start)
        {
            self.entries.pop();
        }
        self.entries.push(EpochStart { epoch, start });
        true
    }

    /// The largest epoch not above `requested`, and where it ends: at the start of the next one, or at `log_end`.
    /// Below the first known epoch it is `requested` itself, ending where the first known one starts. `None` when the epoch
    /// is unknown (-1, or above all).
    pub fn end_offset_for(&self, requested: i32, log_end: Offset) -> Option<(i32, Offset)> {
        if requested < 0 {
            return None;
        }
        if self.latest()?.epoch == requested {
            return Some((requested, log_end));
        }
        let above = self.entries.partition_point(|e| e.epoch <= requested);
        let next = self.entries.get(above)?;
        let found = above
            .checked_sub(1)
            .map_or(requested, |floor| self.entries[floor].epoch);
        Some((found, next.start))
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<i32> {
        let above = self.entries.partition_point(|e| e.start <= offset);
        above.checked_sub(1).map(|at| self.entries[at].epoch)
    }

    /// Forgets what lies wholly below `start`; the epoch that spans it now begins there. True if anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let above = self.entries.partition_point(|e| e.start <= start);
        let Some(spanning) = above.checked_sub(1) else {
            return false;
        };
        if spanning == 0 && self.entries[0].start == start {
            return false;
        }
        self.entries.drain(..spanning);
        self.entries[0].start = start;
        true
    }

    /// Forgets the epochs that begin at or above `end`.
    pub fn truncate_from_end(&mut self, end: Offset) {
        self.entries.retain(|e| e.start < end);
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u32(count_of(self.entries.len()));
        for entry in &self.entries {
            out.put_i32(entry.epoch);
            out.put_i64(entry.start.0);
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Epochs, DecodeError> {
        from.version("leader epochs", VERSION)?;
        let count = from.count("number of leader epochs", ENTRY_LEN)?;
        let mut entries: Vec<EpochStart> = Vec::with_capacity(count);
        for _ in 0..count {
            let epoch = from.i32("leader epoch")?;
            let start = Offset(from.i64("start of a leader epoch")?);
            if epoch < 0 || entries.last().is_some_and(|e| e.epoch >= epoch) {
                return Err(from.invalid("leader epoch", epoch.into(), "epochs must ascend"));
            }
            if start.0 < 0 || entries.last().is_some_and(|e| e.start >= start) {
                return Err(from.invalid("start of a leader epoch", start.0, "must ascend"));
            }
            entries.push(EpochStart { epoch, start });
        }
        Ok(Epochs { entries })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn epochs(starts: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in starts {
            epochs.assign(*epoch, Offset(*start));
        }
        epochs
    }

    fn check(starts: &[(i32, i64)], requested: i32, expected: Option<(i32, i64)>) {
        let found = epochs(starts).end_offset_for(requested, Offset(100));
        assert_eq!(found, expected.map(|(epoch, end)| (epoch, Offset(end))));
    }

    #[test]
    fn the_first_leader_has_epoch_0_and_each_later_term_its_own() {
        assert_eq!(
            [0, 1, 2, 3, 9].map(leader_epoch_of),
            [None, None, Some(0), Some(1), Some(7)]
        );
        let last = FIRST_LEADER_TERM + i32::MAX as u64;
        assert_eq!(leader_epoch_of(last), Some(i32::MAX));
        assert_eq!(leader_epoch_of(last + 1), None);
        assert_eq!(leader_epoch_of(u64::MAX), None);
    }

    #[test]
    fn the_latest_epoch_ends_at_the_log_end() {
        check(&[(2, 0), (5, 30)], 5, Some((5, 100)));
    }

    #[test]
    fn an_earlier_epoch_ends_where_the_next_one_starts() {
        check(&[(2, 0), (5, 30), (6, 40)], 2, Some((2, 30)));
    }

    #[test]
    fn an_epoch_that_never_was_answers_with_the_one_before_it() {
        check(&[(2, 0), (5, 30)], 4, Some((2, 30)));
    }

    #[test]
    fn an_epoch_below_the_first_known_ends_where_that_one_starts() {
        check(&[(2, 10), (5, 30)], 1, Some((1, 10)));
    }

    #[test]
    fn an_epoch_above_all_and_the_undefined_one_are_unknown() {
        check(&[(2, 10), (5, 30)], 6, None);
        check(&[(2, 10), (5, 30)], -1, None);
        check(&[], 0, None);
    }

    #[test]
    fn an_epoch_without_records_is_replaced_by_the_next() {
        assert_eq!(epochs(&[(1, 0), (2, 7), (3, 7)]), epochs(&[(1, 0), (3, 7)]));
        assert_eq!(epochs(&[(1, 0), (2, 7), (2, 9)]), epochs(&[(1, 0), (2, 7)]));
    }

    #[test]
    fn the_epoch_that_spans_the_new_log_start_begins_there() {
        let mut cut = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(cut.truncate_from_start(Offset(15)));
        assert_eq!(cut, epochs(&[(2, 15), (3, 20)]));
        assert!(!cut.truncate_from_start(Offset(15)));
        assert!(!cut.truncate_from_start(Offset(3)));
        assert_eq!(cut.epoch_at(Offset(14)), None);
        assert_eq!(cut.epoch_at(Offset(19)), Some(2));
        assert_eq!(cut.epoch_at(Offset(20)), Some(3));
    }

    #[test]
    fn epochs_that_begin_at_the_new_end_are_forgotten() {
        let mut cut = epochs(&[(1, 0), (2, 10), (3, 20)]);
        cut.truncate_from_end(Offset(10));
        assert_eq!(cut, epochs(&[(1, 0)]));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(starts in prop::collection::vec((0..50, 0i64..500), 0..20)) {
            let before = epochs(&starts);
            let mut bytes = BytesMut::new();
            before.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Epochs::decode(&mut reader).unwrap(), before);
            reader.end().unwrap();
        }

        #[test]
        fn damaged_bytes_are_refused_or_decode_to_ascending_epochs(
            bytes in prop::collection::vec(any::<u8>(), 0..80)
        ) {
            if let Ok(decoded) = Epochs::decode(&mut Reader::new(&bytes)) {
                prop_assert!(decoded.entries.windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start < w[1].start));
            }
        }
    }
}
