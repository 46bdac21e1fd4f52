//! Every committed record of one partition, and what follows from all of them: which keys hold what, which transactions were
//! aborted, how far a reader of committed transactions may go, and what log compaction may have taken away by now.

use super::{Checked, violated};
use bytes::Bytes;
use millrace_wire::control::ControlType;
use millrace_wire::{Batch, BatchHeader};
use std::collections::BTreeMap;

/// What one batch of a test may decompress to.
const LIMIT_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub timestamp_ms: i64,
    pub headers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Of the transaction with this place in the list.
    InTransaction(usize),
    Marker,
}

/// `first` is its first record, `end` its marker's offset and whether that commits.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    producer_id: i64,
    first: i64,
    end: Option<(i64, bool)>,
}

/// As the broker names it to consumers: producer, first offset, offset of the marker.
pub type Aborted = (i64, i64, i64);

#[derive(Default)]
pub struct History {
    records: BTreeMap<i64, (Record, Kind)>,
    /// The data of each key, ascending.
    by_key: BTreeMap<Bytes, Vec<i64>>,
    transactions: Vec<Transaction>,
    open: BTreeMap<i64, usize>,
    /// Rounds of log compaction on any replica: up to where, and when.
    rounds: Vec<(i64, i64)>,
}

/// The records of a batch, each with its offset.
pub fn records(batch: &Batch) -> Checked<Vec<(i64, Record)>> {
    let header = batch.header();
    let base = header.base_offset;
    let Ok(found) = batch.records(LIMIT_BYTES) else {
        return violated(format!("the batch at {base} has no readable records"));
    };
    let mut records = Vec::new();
    for record in found {
        let Ok(record) = record else {
            return violated(format!("a record of the batch at {base} cannot be read"));
        };
        let timestamp_ms = header.timestamp_ms(&record);
        let offset = base + i64::from(record.offset_delta);
        records.push((
            offset,
            Record {
                key: record.key,
                value: record.value,
                timestamp_ms,
                headers: record.headers.len(),
            },
        ));
    }
    let are_counted = records.len() == header.record_count as usize;
    let ascend = records.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let are_inside = records
        .iter()
        .all(|(offset, _)| (base..header.next_offset()).contains(offset));
    match are_counted && ascend && are_inside {
        true => Ok(records),
        false => violated(format!(
            "the batch at {base} has records that do not fit it"
        )),
    }
}

/// Whether a control record commits its transaction.
pub fn is_commit(record: &Record) -> Checked<bool> {
    match ControlType::decode_key(record.key.as_deref().unwrap_or_default()) {
        Ok(ControlType::Commit) => Ok(true),
        Ok(ControlType::Abort) => Ok(false),
        other => violated(format!("a transaction marker says {other:?}")),
    }
}

impl History {
    pub fn commit(&mut self, batch: &Batch) -> Checked {
        let header = *batch.header();
        for (offset, record) in records(batch)? {
            let kind = if header.attributes.is_control() {
                self.end(&header, offset, is_commit(&record)?);
                Kind::Marker
            } else {
                if let Some(key) = &record.key {
                    self.by_key.entry(key.clone()).or_default().push(offset);
                }
                match header.attributes.is_transactional() {
                    true => Kind::InTransaction(self.transaction(&header)),
                    false => Kind::Plain,
                }
            };
            self.records.insert(offset, (record, kind));
        }
        Ok(())
    }

    fn transaction(&mut self, header: &BatchHeader) -> usize {
        let transactions = &mut self.transactions;
        *self.open.entry(header.producer_id).or_insert_with(|| {
            transactions.push(Transaction {
                producer_id: header.producer_id,
                first: header.base_offset,
                end: None,
            });
            transactions.len() - 1
        })
    }

    fn end(&mut self, header: &BatchHeader, offset: i64, is_commit: bool) {
        if let Some(at) = self.open.remove(&header.producer_id) {
            self.transactions[at].end = Some((offset, is_commit));
        }
    }

    pub fn compacted(&mut self, to: i64, now_ms: i64) {
        self.rounds.push((to, now_ms));
    }

    /// The last stable offset of a replica with this high watermark and log start.
    pub fn last_stable(&self, high_watermark: i64, log_start: i64) -> i64 {
        let is_open = |transaction: &&Transaction| {
            let end = transaction.end.map_or(i64::MAX, |(offset, _)| offset);
            transaction.first < high_watermark && end >= high_watermark
        };
        let first = self.transactions.iter().filter(is_open).map(|t| t.first);
        first.min().unwrap_or(high_watermark).max(log_start)
    }

    /// The aborted transactions with records in `from..to`, by marker, of a replica with this high watermark and log start.
    pub fn aborted_in(
        &self,
        from: i64,
        to: i64,
        high_watermark: i64,
        log_start: i64,
    ) -> Vec<Aborted> {
        let mut aborted: Vec<Aborted> = self
            .transactions
            .iter()
            .filter_map(|transaction| match transaction.end {
                Some((end, false)) => Some((transaction.producer_id, transaction.first, end)),
                _ => None,
            })
            .filter(|(_, first, end)| {
                (log_start.max(from)..high_watermark).contains(end) && *first < to
            })
            .collect();
        aborted.sort_by_key(|(.., end)| *end);
        aborted
    }

    /// Whether a consumer of committed transactions gets the record.
    pub fn is_for_consumers(&self, offset: i64) -> bool {
        match self.records.get(&offset) {
            Some((_, Kind::Plain)) => true,
            Some((_, Kind::InTransaction(at))) => {
                matches!(self.transactions[*at].end, Some((_, true)))
            }
            Some((_, Kind::Marker)) | None => false,
        }
    }

    fn is_aborted(&self, offset: i64) -> bool {
        match self.records.get(&offset) {
            Some((_, Kind::InTransaction(at))) => {
                matches!(self.transactions[*at].end, Some((_, false)))
            }
            _ => false,
        }
    }

    pub fn is_as_written(&self, offset: i64, record: &Record) -> bool {
        self.records
            .get(&offset)
            .is_some_and(|(known, _)| known == record)
    }

    /// The records in `from..to` may be gone, each for a reason of its own.
    pub fn may_miss(&self, from: i64, to: i64, now_ms: i64, retention_ms: i64) -> Checked {
        if self.records.range(from..to).next().is_none() {
            return Ok(());
        }
        let end = self
            .records
            .last_key_value()
            .map_or(0, |(last, _)| last + 1);
        let stable = self.last_stable(end, 0);
        for (offset, (record, kind)) in self.records.range(from..to) {
            let what = match record.value {
                Some(_) => "value",
                None => "tombstone",
            };
            if *offset >= stable {
                return violated(format!(
                    "the {what} at {offset} is gone, which lies above the last stable offset {stable}"
                ));
            }
            if self.is_aborted(*offset) || self.is_superseded(*offset, record, *kind, stable) {
                continue;
            }
            let outlives = *kind == Kind::Marker || record.value.is_none();
            let seen = self.rounds.iter().filter(|(to, _)| *to > *offset);
            let seen_ms = seen.map(|(_, at_ms)| *at_ms).min();
            let is_due = seen_ms.is_some_and(|at_ms| now_ms - at_ms >= retention_ms);
            if outlives && is_due {
                continue;
            }
            return violated(format!(
                "the {what} ({kind:?}) at {offset} of key {:?} is gone at {now_ms}: nothing superseded it, it was compacted at {seen_ms:?} for the first time",
                record.key
            ));
        }
        Ok(())
    }

    fn is_superseded(&self, offset: i64, record: &Record, kind: Kind, stable: i64) -> bool {
        let (Some(key), false) = (&record.key, kind == Kind::Marker) else {
            return false;
        };
        let offsets = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let behind = offsets.partition_point(|other| *other <= offset);
        offsets[behind..]
            .iter()
            .any(|other| *other < stable && !self.is_aborted(*other))
    }
}
