//! Small appends that wait together become one entry: what it costs to replicate, write and apply it is then shared.

use super::Partition;
use crate::partition::command::{Append, Origin, Output, Refusal};
use crate::partition::producer::Producer;
use crate::partition::tail::{Pending, Tail};
use crate::partition::tracked::Tracked;
use crate::storage::entry::EntryHeader;
use bytes::Bytes;

/// Entries of several small appends are not made larger than this: each append was one that a reader may want alone.
const MAX_JOINED_BYTES: usize = 64 * 1024;

/// Larger appends get an entry of their own: copying them into a common one costs more than it saves.
const MAX_JOINING_BYTES: usize = 8 * 1024;

/// What an append adds to an entry, and the header of the whole.
pub(super) struct Part {
    pub(super) header: EntryHeader,
    pub(super) data: Bytes,
    pub(super) output: Output,
}

/// Whether others may join an entry that `append` begins.
pub(super) fn may_grow(append: &Append) -> bool {
    append.origin == Origin::Client && append.batches.len() <= MAX_JOINING_BYTES
}

impl Partition {
    /// Of an entry of several appends.
    fn max_joined_bytes(&self) -> usize {
        MAX_JOINED_BYTES.min(self.max_entry_bytes)
    }

    /// `append` as a part of the pending entry. `None` when it needs one of its own, or is a duplicate.
    pub(super) fn join_append(
        &self,
        tail: &Tail,
        append: &mut Append,
    ) -> Option<Result<(Part, Vec<(i64, Producer)>), Refusal>> {
        let Some(Pending::Batches {
            header,
            producers,
            bytes,
            may_grow: true,
        }) = &self.pending
        else {
            return None;
        };
        let len = append.batches.len();
        if append.origin != Origin::Client
            || len > MAX_JOINING_BYTES
            || bytes + len > self.max_joined_bytes()
        {
            return None;
        }
        let checked = match self.check_append(header.next_offset(), append) {
            Ok(checked) => checked,
            Err(refusal) => return Some(Err(refusal)),
        };
        let repeats = |batch: &Tracked| match batch {
            Tracked::Records(batch) => self
                .producer(tail, producers, batch.producer_id)
                .duplicate_of(batch)
                .is_some(),
            Tracked::Plain | Tracked::End(_) => false,
        };
        let joined = header.join(&checked.header)?;
        if checked.batches.iter().any(repeats) {
            return None;
        }
        let append = Append {
            batches: std::mem::take(&mut append.batches),
            ..*append
        };
        let part = self
            .check_producers(tail, producers, &checked.batches, append.origin)
            .and_then(|changed| {
                let (data, output) = self.assign(tail, &checked, append)?;
                let part = Part {
                    header: joined,
                    data,
                    output,
                };
                Ok((part, changed))
            });
        Some(part)
    }

    pub(super) fn grow(&mut self, part: &Part, changed: Vec<(i64, Producer)>) {
        let Some(Pending::Batches {
            header,
            producers,
            bytes,
            ..
        }) = &mut self.pending
        else {
            return;
        };
        *header = part.header;
        *bytes += part.data.len();
        for (id, producer) in changed {
            match producers.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => *known = producer,
                None => producers.push((id, producer)),
            }
        }
    }
}
