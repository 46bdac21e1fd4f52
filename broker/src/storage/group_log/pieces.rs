//! What readers and the sealer ask of a group's log: which entries hold which records, and where to cut.

use super::GroupLog;
use super::slots::{Slot, Slots};
use crate::storage::ids::Offset;
use crate::storage::log::{self, Located, Position};
use bytes::Bytes;
use raft::eraftpb::HardState;

/// An entry's data, or where to read it.
pub(in crate::storage) enum Piece {
    Cached(Bytes),
    OnDisk { index: u64, located: Located },
}

/// What a reader or the sealer found in the log: consecutive entries that hold records.
pub(in crate::storage) struct Pieces {
    /// Each with the offset of its first record.
    pub pieces: Vec<(Offset, Piece)>,
    /// The offset behind the last one.
    pub next: Offset,
    pub max_timestamp_ms: i64,
}

/// A committed, persisted piece of the log that may move into a family.
pub(in crate::storage) struct Sealable {
    pub through_index: u64,
    pub pieces: Pieces,
    pub bytes: u64,
}

/// Where a group's log may be cut, and what its row must say then.
pub(in crate::storage) struct CutPoint {
    pub through: u64,
    pub term: u64,
    pub next_offset: Offset,
    pub kept_at: Option<Position>,
    pub hard_state: HardState,
}

impl GroupLog {
    /// Bytes and largest timestamp of each entry of records, oldest first, with the offset behind it: what retention needs.
    pub(in crate::storage) fn tail_spans(&self) -> Vec<(Offset, u64, i64)> {
        let inner = self.lock();
        let spans = inner.slots.iter_from(0).filter(|(_, slot)| slot.is_records);
        spans
            .map(|(index, slot)| {
                let bytes = inner.slots.bytes(index);
                (slot.next_offset, bytes, slot.max_timestamp_ms)
            })
            .collect()
    }

    /// Entries of records from the one that holds `from` up to `upto`, at least one and then while they fit in `max_bytes`.
    /// `None` when `from` lies before the log.
    pub(in crate::storage) fn pieces(
        &self,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Option<Pieces> {
        let slots = &self.lock().slots;
        if from < slots.truncated_next {
            return None;
        }
        let first = slots.ending_by(from);
        // Of an entry that ends above `upto` some batches may still be wanted.
        let mut base = slots.next_of(slots.truncated_index + first as u64);
        let found = collect(slots, first, max_bytes, |_, slot| {
            std::mem::replace(&mut base, slot.next_offset) < upto
        });
        Some(found.pieces)
    }

    /// The first entry of records with a timestamp of at least `timestamp_ms` that ends above `from` and at or below `upto`.
    pub(in crate::storage) fn piece_by_timestamp(
        &self,
        timestamp_ms: i64,
        from: Offset,
        upto: Offset,
    ) -> Option<(Offset, Piece)> {
        let slots = &self.lock().slots;
        let start = slots.ending_by(from);
        let hit = |slot: &Slot| {
            slot.is_records && slot.max_timestamp_ms >= timestamp_ms && slot.next_offset <= upto
        };
        let (index, _) = slots.iter_from(start).find(|(_, slot)| hit(slot))?;
        piece(slots, index)
    }

    /// The largest timestamp of entries that reach into `from..upto`.
    pub(in crate::storage) fn max_timestamp(&self, from: Offset, upto: Offset) -> Option<i64> {
        let inner = self.lock();
        between(&inner.slots, from, upto)
            .map(|(_, slot)| slot.max_timestamp_ms)
            .max()
    }

    /// Bytes of entries that reach into `from..upto`.
    pub(in crate::storage) fn bytes_between(&self, from: Offset, upto: Offset) -> u64 {
        let inner = self.lock();
        between(&inner.slots, from, upto)
            .map(|(index, _)| inner.slots.bytes(index))
            .sum()
    }

    /// The oldest entries that may be sealed: committed, persisted, at or below `applied`, at most `max_bytes` unless the
    /// first one alone is larger. Records below `log_start` are passed over. `None` when there is nothing.
    pub(in crate::storage) fn sealable(
        &self,
        applied: u64,
        log_start: Offset,
        max_bytes: u64,
    ) -> Option<Sealable> {
        let inner = self.lock();
        let (slots, limit) = (&inner.slots, applied.min(inner.hard_state.commit));
        let mut found = collect(slots, 0, max_bytes, |index, slot| {
            index <= limit && slot.located().is_some()
        });
        found.pieces.pieces.retain(|(base, _)| {
            *base >= log_start || {
                let at = slots.truncated_index + 1 + slots.ending_by(*base) as u64;
                slots.next_of(at) > log_start
            }
        });
        (found.through_index > slots.truncated_index).then_some(found)
    }

    /// Term of, and offset behind, the entry up to which the log is about to be cut, and where the first one kept lies.
    ///
    /// `None` while the only entries kept are on their way to the log: nobody knows yet where they will lie.
    pub(in crate::storage) fn cut_point(&self, through: u64) -> Option<CutPoint> {
        let inner = self.lock();
        let slots = &inner.slots;
        let through = through.max(slots.truncated_index);
        let mut kept = slots
            .iter_from((through - slots.truncated_index) as usize)
            .peekable();
        let nothing_kept = kept.peek().is_none();
        let kept_at = kept
            .filter_map(|(_, slot)| slot.located())
            .map(|located| located.position)
            .min();
        if kept_at.is_none() && !nothing_kept {
            return None;
        }
        Some(CutPoint {
            through,
            term: slots.term_of(through)?,
            next_offset: slots.next_of(through),
            kept_at,
            hard_state: inner.hard_state.clone(),
        })
    }

    /// The group's row now stands for everything up to `through`, and for the hard state when `hard_state` is still it.
    pub(in crate::storage) fn cut_through(&self, through: u64, row_has: &HardState) {
        let mut inner = self.lock();
        inner.slots.cut_through(through);
        self.publish(&inner.slots);
        // A vote or term written since then lies in the log and stays needed there.
        if inner.hard_state.term == row_has.term && inner.hard_state.vote == row_has.vote {
            inner.hard_state_at = None;
        }
    }

    pub(in crate::storage) fn read(&self, piece: Piece) -> Result<Bytes, log::Error> {
        match piece {
            Piece::Cached(data) => Ok(data),
            Piece::OnDisk { index, located } => Ok(self.read_entry(index, located)?.data),
        }
    }
}

/// Entries of records that reach into `from..upto`.
fn between(slots: &Slots, from: Offset, upto: Offset) -> impl Iterator<Item = (u64, &Slot)> {
    let reached = slots
        .iter_from(slots.ending_by(from))
        .take_while(move |(index, _)| slots.next_of(index - 1) < upto);
    reached.filter(|(_, slot)| slot.is_records)
}

fn piece(slots: &Slots, index: u64) -> Option<(Offset, Piece)> {
    let base = slots.next_of(index - 1);
    let piece = match slots.data(index) {
        Some(data) => Piece::Cached(data.clone()),
        None => Piece::OnDisk {
            index,
            located: slots.get(index)?.located()?,
        },
    };
    Some((base, piece))
}

fn collect(
    slots: &Slots,
    first: usize,
    max_bytes: u64,
    mut wanted: impl FnMut(u64, &Slot) -> bool,
) -> Sealable {
    let before = slots.truncated_index + first as u64;
    let mut found = Sealable {
        through_index: before,
        bytes: 0,
        pieces: Pieces {
            pieces: Vec::new(),
            next: slots.next_of(before),
            max_timestamp_ms: -1,
        },
    };
    for (index, slot) in slots.iter_from(first) {
        let size = slots.bytes(index);
        let full = !found.pieces.pieces.is_empty() && found.bytes + size > max_bytes;
        if full || !wanted(index, slot) {
            break;
        }
        found.through_index += 1;
        if slot.is_records {
            found.bytes += size;
            found.pieces.pieces.extend(piece(slots, index));
            found.pieces.next = slot.next_offset;
            found.pieces.max_timestamp_ms =
                found.pieces.max_timestamp_ms.max(slot.max_timestamp_ms);
        }
    }
    found
}
