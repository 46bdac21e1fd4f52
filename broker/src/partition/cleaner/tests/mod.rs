//! Logs to clean, and what is read from them.

#![allow(clippy::unwrap_used)]

mod properties;
mod rules;

use super::*;
use millrace_wire::control::{ControlType, EndMarker};
use std::collections::BTreeMap;

const LIMIT_BYTES: usize = 1 << 20;
const NOW_MS: i64 = 1_000_000;
const RETENTION_MS: i64 = 500;
const POLICY: Policy = Policy {
    now_ms: NOW_MS,
    delete_retention_ms: RETENTION_MS,
    round_end: None,
    limit_bytes: LIMIT_BYTES,
};

type Row<'a> = (Option<&'a str>, Option<&'a str>);

/// `(key, value)`; `""` is null.
fn rows<'a>(rows: &[(&'a str, &'a str)]) -> Vec<Row<'a>> {
    let null = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    rows.iter().map(|&(k, v)| (null(k), null(v))).collect()
}

fn batch_with(settings: BatchSettings, pairs: &[(&str, &str)]) -> Batch {
    let mut builder = BatchBuilder::new(settings);
    for (timestamp_ms, (key, value)) in (100..).zip(rows(pairs)) {
        builder.push(
            timestamp_ms,
            key.map(str::as_bytes),
            value.map(str::as_bytes),
        );
    }
    Batch::decode(builder.build().unwrap()).unwrap()
}

fn at(base_offset: i64) -> BatchSettings {
    BatchSettings {
        base_offset,
        leader_epoch: 3,
        ..BatchSettings::default()
    }
}

fn by(producer_id: i64, base_offset: i64) -> BatchSettings {
    BatchSettings {
        producer_id,
        producer_epoch: 2,
        base_sequence: 50,
        ..at(base_offset)
    }
}

fn transactional(producer_id: i64, base_offset: i64) -> BatchSettings {
    BatchSettings {
        is_transactional: true,
        ..by(producer_id, base_offset)
    }
}

fn plain(base_offset: i64, pairs: &[(&str, &str)]) -> Batch {
    batch_with(at(base_offset), pairs)
}

fn marker(producer_id: i64, offset: i64, control: ControlType) -> Batch {
    let settings = BatchSettings {
        is_control: true,
        base_sequence: -1,
        ..transactional(producer_id, offset)
    };
    let mut builder = BatchBuilder::new(settings);
    let value = EndMarker {
        coordinator_epoch: 0,
    };
    builder.push(100, Some(&control.encode_key()), Some(&value.encode()));
    Batch::decode(builder.build().unwrap()).unwrap()
}

/// A log and what its partition knows of it.
#[derive(Clone, Debug, Default)]
struct Log {
    batches: Vec<Batch>,
    aborted: AbortedRanges,
    last_of_producers: HashMap<i64, LastOfProducer>,
}

impl Log {
    fn of(batches: Vec<Batch>) -> Log {
        Log {
            batches,
            ..Log::default()
        }
    }

    fn map(&self, memory_bytes: usize, from: i64) -> OffsetMap {
        let last = self.batches.last();
        let next_offset = last.map_or(from, |batch| batch.header().next_offset());
        let settings = MapSettings {
            memory_bytes,
            max_keys: (next_offset - from).unsigned_abs(),
            hash_key: [1, 2],
            from,
            limit_bytes: LIMIT_BYTES,
        };
        let batches = self.batches.iter().cloned().map(Ok::<_, Error>);
        OffsetMap::build(settings, &self.aborted, batches).unwrap()
    }

    fn pass(&self, map: &OffsetMap, policy: Policy) -> Vec<Cleaned> {
        let mut cleaner = Cleaner::new(map, policy, &self.aborted, &self.last_of_producers);
        self.batches
            .iter()
            .map(|batch| cleaner.clean(batch).unwrap())
            .collect()
    }

    fn clean(&self) -> Vec<Cleaned> {
        self.pass(&self.map(1 << 20, 0), POLICY)
    }

    /// The log after a pass.
    fn cleaned(&self, map: &OffsetMap, policy: Policy) -> Log {
        let bytes = self
            .pass(map, policy)
            .into_iter()
            .flat_map(Cleaned::into_bytes);
        Log {
            batches: bytes.map(read).collect(),
            ..self.clone()
        }
    }

    fn cleaned_at(&self, now_ms: i64) -> Log {
        self.cleaned(&self.map(1 << 20, 0), Policy { now_ms, ..POLICY })
    }

    /// What a consumer of committed data keeps when it reads all: the last value of each key.
    fn table(&self) -> BTreeMap<Bytes, Bytes> {
        let mut table = BTreeMap::new();
        for batch in &self.batches {
            let header = batch.header();
            if header.attributes.is_control() || self.aborted.contain(header) {
                continue;
            }
            for record in batch.records(LIMIT_BYTES).unwrap().map(Result::unwrap) {
                match (record.key, record.value) {
                    (Some(key), Some(value)) => table.insert(key, value),
                    (Some(key), None) => table.remove(&key),
                    (None, _) => None,
                };
            }
        }
        table
    }

    fn offsets(&self) -> Vec<i64> {
        let offsets = |batch: &Batch| {
            let base = batch.header().base_offset;
            let records = batch.records(LIMIT_BYTES).unwrap();
            records
                .map(|record| base + i64::from(record.unwrap().offset_delta))
                .collect::<Vec<_>>()
        };
        self.batches.iter().flat_map(offsets).collect()
    }
}

fn read(bytes: Bytes) -> Batch {
    let batch = Batch::decode(bytes).unwrap();
    batch.verify_crc().unwrap();
    batch
}

fn rewritten(cleaned: &Cleaned) -> Batch {
    match cleaned {
        Cleaned::Rewritten(bytes) => read(bytes.clone()),
        other => panic!("expected a rewritten batch, got {other:?}"),
    }
}

fn emptied(cleaned: &Cleaned) -> Batch {
    match cleaned {
        Cleaned::Emptied(bytes) => read(bytes.clone()),
        other => panic!("expected an emptied batch, got {other:?}"),
    }
}

fn keep(batch: &Batch) -> Cleaned {
    Cleaned::Keep(batch.bytes().clone())
}
