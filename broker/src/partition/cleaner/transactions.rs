//! What log compaction must know of transactions: which were aborted, and of which some data is left.

use super::Error;
use millrace_wire::control::ControlType;
use millrace_wire::{Batch, BatchHeader};
use std::collections::{HashMap, HashSet};

/// An aborted transaction: `producer_id`'s batches in `first_offset..=last_offset`, where its marker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedRange {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
}

#[derive(Clone, Debug, Default)]
pub struct AbortedRanges {
    /// By producer; ascending and disjoint.
    by_producer: HashMap<i64, Vec<(i64, i64)>>,
}

impl FromIterator<AbortedRange> for AbortedRanges {
    fn from_iter<I: IntoIterator<Item = AbortedRange>>(ranges: I) -> AbortedRanges {
        let mut by_producer: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
        for range in ranges {
            let ranges = by_producer.entry(range.producer_id).or_default();
            ranges.push((range.first_offset, range.last_offset));
        }
        for ranges in by_producer.values_mut() {
            ranges.sort_unstable();
        }
        AbortedRanges { by_producer }
    }
}

impl AbortedRanges {
    /// Whether the batch is data of an aborted transaction.
    pub fn contain(&self, header: &BatchHeader) -> bool {
        if !header.attributes.is_transactional() || header.attributes.is_control() {
            return false;
        }
        let Some(ranges) = self.by_producer.get(&header.producer_id) else {
            return false;
        };
        let after = ranges.partition_point(|&(first, _)| first <= header.base_offset);
        after > 0 && header.last_offset() <= ranges[after - 1].1
    }

    /// Whether the control batch is the marker of one of them.
    pub(super) fn end_with(&self, header: &BatchHeader) -> bool {
        self.by_producer
            .get(&header.producer_id)
            .is_some_and(|ranges| {
                ranges
                    .binary_search_by_key(&header.base_offset, |&(_, last)| last)
                    .is_ok()
            })
    }
}

/// The producers of whose transaction a batch was seen, and its marker not yet.
#[derive(Debug, Default)]
pub(super) struct OpenTransactions(HashSet<i64>);

impl OpenTransactions {
    pub(super) fn see_data(&mut self, header: &BatchHeader) {
        if header.attributes.is_transactional() {
            self.0.insert(header.producer_id);
        }
    }

    /// Whether nothing depends on the control batch any more: the pass met no data that it ends. Data that this very pass
    /// removes counts as met (as in Kafka), so a marker's delete horizon starts one pass after its data is gone.
    pub(super) fn see_control(&mut self, batch: &Batch, limit_bytes: usize) -> Result<bool, Error> {
        let header = batch.header();
        let base_offset = header.base_offset;
        let fail = |error| Error::Records { base_offset, error };
        let mut records = batch.records(limit_bytes).map_err(fail)?;
        let Some(record) = records.next() else {
            // Emptied by an earlier pass.
            return Ok(true);
        };
        let record = record.map_err(|error| fail(error.into()))?;
        let key = record.key.unwrap_or_default();
        let control =
            ControlType::decode_key(&key).map_err(|error| Error::Control { base_offset, error })?;
        Ok(match control {
            ControlType::Abort | ControlType::Commit => !self.0.remove(&header.producer_id),
            ControlType::Other(_) => false,
        })
    }
}
