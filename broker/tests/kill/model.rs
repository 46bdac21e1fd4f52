//! What was promised, and whether an engine keeps it.

use super::child::Word;
use super::contents::{Found, contents};
use super::plan::{self, FIRST_SHORT_LIVED, PRODUCERS, RETENTION_BYTES};
use super::wait::wait_until;
use millrace_broker::engine::{Engine, Handle};
use millrace_broker::partition::Role;
use millrace_broker::raft::ports::GroupId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Whose record it is.
type Record = (usize, u64, u64);

#[derive(Default)]
pub struct Promises {
    partitions: BTreeMap<u64, Partition>,
    deleting: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    /// By producer: the first batch that was not acknowledged.
    pub next: Vec<u64>,
    pub appends: u64,
    pub deletions: u64,
    pub checked_records: u64,
}

#[derive(Default)]
struct Partition {
    acknowledged: BTreeMap<i64, Record>,
    // log start was acknowledged <= log start <= log start that was asked for
    log_start: i64,
    asked_log_start: i64,
}

impl Promises {
    pub fn new() -> Promises {
        Promises {
            next: vec![0; PRODUCERS.len()],
            ..Promises::default()
        }
    }

    pub fn hear(&mut self, word: Word) {
        match word {
            Word::Appended {
                partition,
                producer,
                batch,
                base_offset,
            } => {
                self.appends += 1;
                if let Some(next) = self.next.get_mut(producer) {
                    *next = (*next).max(batch + 1);
                }
                let promised = &mut self.partition(partition).acknowledged;
                for record in 0..plan::records_in(producer, batch) {
                    let found = (producer, batch, record);
                    let before = promised.insert(base_offset + record as i64, found);
                    assert!(
                        before.is_none_or(|before| before == found),
                        "partition {partition}: offset {base_offset} + {record} was given to {before:?} and to {found:?}"
                    );
                }
            }
            Word::AskedToCut { partition, offset } => {
                let partition = self.partition(partition);
                partition.asked_log_start = partition.asked_log_start.max(offset);
            }
            Word::Cut {
                partition,
                log_start,
            } => {
                let partition = self.partition(partition);
                partition.log_start = partition.log_start.max(log_start);
            }
            Word::Created(id) => {
                self.partition(id);
            }
            Word::AskedToDelete(id) => {
                self.deleting.insert(id);
            }
            Word::Deleted(id) => {
                self.deleting.remove(&id);
                self.deleted.insert(id);
                self.deletions += 1;
                self.partitions.remove(&id);
            }
        }
    }

    fn partition(&mut self, id: u64) -> &mut Partition {
        self.partitions.entry(id).or_default()
    }

    /// The records of a plain producer are never sent again: each round has batch numbers of its own.
    pub fn start_round(&mut self, round: u64) {
        for (next, producer) in self.next.iter_mut().zip(&PRODUCERS) {
            if !producer.is_idempotent {
                *next = round << 32;
            }
        }
    }

    pub fn check(&mut self, engine: &Engine) {
        for id in &self.deleted {
            assert!(
                engine.partition(GroupId(*id)).is_none(),
                "topic {id} was deleted and is there"
            );
        }
        let promised: Vec<u64> = self.partitions.keys().copied().collect();
        for id in promised {
            match engine.partition(GroupId(id)) {
                Some(handle) => self.check_partition(id, &handle),
                None if self.deleting.remove(&id) => {
                    self.deleted.insert(id);
                    self.partitions.remove(&id);
                }
                None => panic!("partition {id} was acknowledged and is not there"),
            }
        }
        // A deletion that was asked for and did not happen may be asked for again.
        self.deleting.clear();
    }

    fn check_partition(&mut self, id: u64, handle: &Handle) {
        let acknowledged = self.partition(id).log_start;
        // A leader commits what it found in its log with the first entry of its own.
        wait_until("all that is committed", || {
            let positions = handle.positions();
            positions.role == Role::Leader
                && positions.high_watermark == positions.log_end
                && positions.log_start.0 >= acknowledged
        });
        let found = contents(handle).unwrap_or_else(|error| panic!("partition {id}: {error}"));
        let (start, end) = (
            handle.positions().log_start.0,
            handle.positions().high_watermark.0,
        );
        self.checked_records += found.len() as u64;
        let records = recognise(id, &found);
        if plan::is_compacted(id) {
            check_ascending(id, &found, start, end);
        } else {
            check_dense(id, &found, start, end);
        }
        check_producers(id, &found, &records);
        let promised = self.partition(id);
        promised.check_log_start(id, start, &found);
        promised.check_acknowledged(id, &found, &records, end);
        // A cut that was only asked for may show later: `asked_log_start` stays.
        promised.acknowledged = promised.acknowledged.split_off(&start);
        promised.log_start = start;
    }
}

impl Partition {
    fn check_log_start(&self, id: u64, start: i64, found: &[Found]) {
        assert!(
            start >= self.log_start,
            "partition {id}: log start {start}, {} was acknowledged",
            self.log_start
        );
        match id {
            5 | 6 => {
                let bytes: usize = found.iter().map(|record| record.value.len()).sum();
                assert!(
                    start == self.log_start || bytes as u64 >= RETENTION_BYTES * 8 / 10,
                    "partition {id}: retention left {bytes} bytes"
                );
            }
            _ => assert!(
                start <= self.asked_log_start.max(self.log_start),
                "partition {id}: log start {start}, nobody asked for more than {}",
                self.asked_log_start
            ),
        }
    }

    fn check_acknowledged(&self, id: u64, found: &[Found], records: &[Record], end: i64) {
        let at: HashMap<i64, usize> = found
            .iter()
            .enumerate()
            .map(|(n, f)| (f.offset, n))
            .collect();
        let newest: HashMap<_, i64> = found
            .iter()
            .map(|record| (&record.key, record.offset))
            .collect();
        let start = found.first().map_or(end, |record| record.offset);
        for (offset, record) in &self.acknowledged {
            assert!(
                *offset < end,
                "partition {id}: offset {offset} was acknowledged, {end} is the end"
            );
            match at.get(offset) {
                Some(n) => assert_eq!(
                    records[*n], *record,
                    "partition {id}: another record at offset {offset}"
                ),
                None if plan::is_compacted(id) => {
                    let (producer, batch, n) = *record;
                    let key = Some(plan::key(producer, batch, n).into());
                    assert!(
                        newest.get(&key).is_some_and(|newer| newer > offset),
                        "partition {id}: {record:?} at offset {offset} is gone, and no newer one of its key is there"
                    );
                }
                None => assert!(
                    *offset < start,
                    "partition {id}: {record:?} at offset {offset} is gone"
                ),
            }
        }
    }
}

fn recognise(id: u64, found: &[Found]) -> Vec<Record> {
    let whose = |record: &Found| {
        let whose = plan::recognise(&record.value)
            .unwrap_or_else(|| panic!("partition {id}: nobody wrote {record:?}"));
        let partition = PRODUCERS.get(whose.0).map(|p| p.partition);
        assert!(
            partition == Some(id) || partition.is_none() && id >= FIRST_SHORT_LIVED,
            "partition {id}: {whose:?} was written to another"
        );
        whose
    };
    found.iter().map(whose).collect()
}

fn check_dense(id: u64, found: &[Found], start: i64, end: i64) {
    // The batch that holds the log start comes whole.
    let first = found.first().map_or(end, |record| record.offset);
    assert!(first <= start, "partition {id}: {first}, not {start}");
    for (record, offset) in found.iter().zip(first..) {
        assert_eq!(record.offset, offset, "partition {id}: not dense");
    }
    assert_eq!(first + found.len() as i64, end, "partition {id}: its end");
}

fn check_ascending(id: u64, found: &[Found], start: i64, end: i64) {
    assert_eq!(start, 0, "partition {id}: nothing moves its log start");
    assert!(
        found.is_sorted_by(|a, b| a.offset < b.offset),
        "partition {id}: offsets do not ascend"
    );
    assert!(found.last().is_none_or(|last| last.offset < end));
}

/// A producer's records are in its order; an idempotent one's each once, and without a gap unless compaction made it.
fn check_producers(id: u64, found: &[Found], records: &[Record]) {
    let mut last: HashMap<usize, Record> = HashMap::new();
    for (record, Found { offset, .. }) in records.iter().zip(found) {
        let (producer, batch, n) = *record;
        if producer == plan::VISITOR {
            continue;
        }
        if let Some(before) = last.insert(producer, *record) {
            assert!(
                before < *record,
                "partition {id}: {record:?} at offset {offset} comes after {before:?}"
            );
            let expected = match before.2 + 1 < plan::records_in(producer, before.1) {
                true => (before.1, before.2 + 1),
                false => (before.1 + 1, 0),
            };
            let is_dense = PRODUCERS[producer].is_idempotent && !plan::is_compacted(id);
            assert!(
                !is_dense || expected == (batch, n),
                "partition {id}: {record:?} at offset {offset} comes after {before:?}"
            );
        }
    }
}
