//! The entries of one group above its truncation point: where each lies, and the bytes of the newest.

use crate::storage::entry::{EntryHeader, EntryKind, SnapshotHeader};
use crate::storage::ids::Offset;
use crate::storage::log::{Located, Position};
use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Snapshot};
use std::collections::VecDeque;

/// One entry of the log above the truncation point. There are as many as the log has entries: small.
pub(super) struct Slot {
    pub term: u64,
    /// The offset behind this entry; an entry without records repeats its predecessor's.
    pub next_offset: Offset,
    pub max_timestamp_ms: i64,
    /// Where it lies, once it is persisted: a length of 0 says that it is not.
    position: Position,
    len: u32,
    pub is_records: bool,
}

/// What was appended as an entry.
struct Payload {
    entry_type: EntryType,
    context: Bytes,
    data: Bytes,
}

/// **Invariants:** indexes and offsets are without gaps. `payloads` are those of the last entries, so that the last payload
/// is the last slot's; every entry that is not located has one.
pub(super) struct Slots {
    pub truncated_index: u64,
    pub truncated_term: u64,
    pub truncated_next: Offset,
    slots: VecDeque<Slot>,
    payloads: VecDeque<Payload>,
}

/// An entry, or where to read it.
pub(super) enum Held {
    InMemory(Entry),
    OnDisk(Located),
}

impl Slot {
    pub fn located(&self) -> Option<Located> {
        (self.len > 0).then_some(Located {
            position: self.position,
            len: self.len,
        })
    }

    fn locate(&mut self, located: Located) {
        self.position = located.position;
        self.len = located.len;
    }
}

impl Slots {
    pub fn behind(truncated_index: u64, truncated_term: u64, truncated_next: Offset) -> Slots {
        Slots {
            truncated_index,
            truncated_term,
            truncated_next,
            slots: VecDeque::new(),
            payloads: VecDeque::new(),
        }
    }

    pub fn last_index(&self) -> u64 {
        self.truncated_index + self.slots.len() as u64
    }

    /// With its index.
    pub fn iter_from(&self, at: usize) -> impl Iterator<Item = (u64, &Slot)> {
        let first = self.truncated_index + 1 + at as u64;
        (first..).zip(self.slots.iter().skip(at))
    }

    pub fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub fn get(&self, index: u64) -> Option<&Slot> {
        self.slots.get(self.place(index)?)
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.truncated_index + 1)?).ok()
    }

    /// How many entries end at or below `offset`.
    pub fn ending_by(&self, offset: Offset) -> usize {
        self.slots
            .partition_point(|slot| slot.next_offset <= offset)
    }

    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.truncated_index {
            Some(self.truncated_term)
        } else {
            self.get(index).map(|slot| slot.term)
        }
    }

    /// The offset behind entry `index`.
    pub fn next_of(&self, index: u64) -> Offset {
        self.get(index.min(self.last_index()))
            .map_or(self.truncated_next, |slot| slot.next_offset)
    }

    /// On disk with its header, or in memory.
    pub fn bytes(&self, index: u64) -> u64 {
        match self.get(index).map(|slot| slot.len) {
            Some(0) | None => self.payload(index).map_or(0, |payload| {
                (payload.data.len() + payload.context.len()) as u64
            }),
            Some(len) => u64::from(len),
        }
    }

    fn first_payload(&self) -> u64 {
        self.last_index() + 1 - self.payloads.len() as u64
    }

    fn payload(&self, index: u64) -> Option<&Payload> {
        let at = index.checked_sub(self.first_payload())?;
        self.payloads.get(usize::try_from(at).ok()?)
    }

    pub fn data(&self, index: u64) -> Option<&Bytes> {
        self.payload(index).map(|payload| &payload.data)
    }

    pub fn held(&self, index: u64) -> Option<Held> {
        let slot = self.get(index)?;
        match self.payload(index) {
            Some(payload) => Some(Held::InMemory(Entry {
                entry_type: payload.entry_type,
                term: slot.term,
                index,
                context: payload.context.clone(),
                data: payload.data.clone(),
                ..Entry::default()
            })),
            None => slot.located().map(Held::OnDisk),
        }
    }

    /// A snapshot takes the place of the whole log.
    pub fn reset(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        let next = SnapshotHeader::decode(&snapshot.data)
            .map_or(self.truncated_next, |header| header.next_offset);
        *self = Slots::behind(metadata.index, metadata.term, next);
    }

    /// Drops `index` and all above it.
    pub fn cut_from(&mut self, index: u64) {
        let kept = index.saturating_sub(self.truncated_index + 1) as usize;
        let first_payload = self.first_payload();
        self.payloads
            .truncate(index.saturating_sub(first_payload) as usize);
        self.slots.truncate(kept);
    }

    /// Drops `through` and all below it.
    pub fn cut_through(&mut self, through: u64) {
        while self.truncated_index < through {
            let Some(slot) = self.slots.pop_front() else {
                break;
            };
            self.truncated_index += 1;
            self.truncated_term = slot.term;
            self.truncated_next = slot.next_offset;
        }
        let superfluous = self.payloads.len().saturating_sub(self.slots.len());
        self.payloads.drain(..superfluous);
    }

    fn push_slot(&mut self, entry: &Entry) -> Result<(), String> {
        let expected = self.next_of(u64::MAX);
        let header = EntryHeader::decode(&entry.context)
            .map_err(|error| format!("entry {}: {error}", entry.index))?;
        let records = header.filter(|header| header.kind == EntryKind::Batches);
        if let Some(header) = records
            && header.base_offset != expected
        {
            let (index, base) = (entry.index, header.base_offset);
            return Err(format!(
                "entry {index} starts at offset {base}, the one before it ends at {expected}"
            ));
        }
        self.slots.push_back(Slot {
            term: entry.term,
            next_offset: records.map_or(expected, |header| header.next_offset()),
            max_timestamp_ms: records.map_or(-1, |header| header.max_timestamp_ms),
            position: Position {
                segment: 0,
                offset: 0,
            },
            len: 0,
            is_records: records.is_some(),
        });
        Ok(())
    }

    /// An entry that is yet to be written.
    pub fn push(&mut self, entry: &Entry) -> Result<(), String> {
        self.push_slot(entry)?;
        self.payloads.push_back(Payload {
            entry_type: entry.entry_type,
            context: entry.context.clone(),
            data: entry.data.clone(),
        });
        Ok(())
    }

    /// An entry that was read from the log. It is read again when somebody asks: a start must not fill the memory.
    pub fn push_located(&mut self, entry: &Entry, located: Located) -> Result<(), String> {
        self.push_slot(entry)?;
        self.payloads.clear();
        if let Some(slot) = self.slots.back_mut() {
            slot.locate(located);
        }
        Ok(())
    }

    pub fn locate(&mut self, index: u64, term: u64, located: Located) {
        let slot = self.place(index).and_then(|at| self.slots.get_mut(at));
        // Staged again with another term meanwhile: this copy is dead, and a later one will be reported.
        if let Some(slot) = slot.filter(|slot| slot.term == term) {
            slot.locate(located);
        }
    }

    /// Lets go of the entries up to `through`, as far as they can be read from disk.
    pub fn evict(&mut self, through: u64) {
        let mut first = self.first_payload();
        while first <= through && self.get(first).is_some_and(|slot| slot.len > 0) {
            self.payloads.pop_front();
            first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(entries: std::ops::Range<u64>) -> Slots {
        let mut slots = Slots::behind(entries.start - 1, 1, Offset(0));
        for index in entries {
            slots.push(&entry(index, 1)).expect("it fits");
        }
        slots
    }

    fn entry(index: u64, term: u64) -> Entry {
        Entry {
            index,
            term,
            data: Bytes::from(vec![index as u8; 10]),
            ..Entry::default()
        }
    }

    fn located(offset: u32) -> Located {
        let position = Position { segment: 1, offset };
        Located { position, len: 30 }
    }

    fn in_memory(slots: &Slots) -> Vec<u64> {
        (0..=slots.last_index())
            .filter(|index| slots.data(*index).is_some())
            .collect()
    }

    #[test]
    fn only_what_can_be_read_again_is_let_go() {
        let mut slots = slots(3..8);
        (3..6).for_each(|index| slots.locate(index, 1, located(index as u32)));
        slots.evict(4);
        assert_eq!(in_memory(&slots), [5, 6, 7]);
        slots.evict(7);
        assert_eq!(in_memory(&slots), [6, 7]);
        assert!(matches!(slots.held(5), Some(Held::OnDisk(at)) if at == located(5)));
        assert!(matches!(slots.held(6), Some(Held::InMemory(e)) if e == entry(6, 1)));
    }

    #[test]
    fn a_payload_stays_with_its_entry_when_the_log_is_cut_at_either_end() {
        let mut slots = slots(3..8);
        slots.cut_from(7);
        slots.cut_through(4);
        assert_eq!(in_memory(&slots), [5, 6]);
        slots.push(&entry(7, 2)).expect("it fits");
        // Of the entry that was replaced.
        slots.locate(7, 1, located(7));
        assert!(slots.get(7).expect("it is there").located().is_none());
        (5..7).for_each(|index| slots.locate(index, 1, located(index as u32)));
        slots.evict(6);
        slots.cut_from(6);
        assert_eq!(in_memory(&slots), [0; 0]);
        slots.cut_through(6);
        assert_eq!((slots.truncated_index, slots.last_index()), (5, 5));
    }
}
