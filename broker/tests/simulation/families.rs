//! The column families as a broker sees them: the twin, a disk that may be full, and a cleaner that may be broken.

use bytes::{Bytes, BytesMut};
use millrace_broker::storage::families::twin::TwinFamilies;
use millrace_broker::storage::families::{Error, Families, Family, RowChange};
use millrace_wire::batch::split;
use millrace_wire::{Batch, BatchBuilder, BatchSettings};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A planted cleaner loses the newest value of this key, and of no other.
const LOST_KEY: &[u8] = b"key 3";

#[derive(Clone)]
pub struct SimFamilies {
    pub twin: TwinFamilies,
    /// Refuses as RocksDB's side does: before anything is changed.
    pub full: Arc<AtomicBool>,
    /// Loses values from what is ingested.
    pub loses: Arc<AtomicBool>,
}

impl SimFamilies {
    pub fn new(twin: TwinFamilies) -> SimFamilies {
        SimFamilies {
            twin,
            full: Arc::default(),
            loses: Arc::default(),
        }
    }

    fn refuse_full(&self) -> Result<(), Error> {
        match self.full.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Full {
                path: "the simulated disk".to_owned(),
                free_bytes: 0,
            }),
        }
    }
}

impl Families for SimFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        self.refuse_full()?;
        match self.loses.load(Ordering::Relaxed) {
            false => self.twin.ingest(family, rows),
            true => {
                let mut rows = rows.map(|(key, value)| (key, without(value, LOST_KEY)));
                self.twin.ingest(family, &mut rows)
            }
        }
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        self.refuse_full()?;
        self.twin.put(changes)
    }

    fn flush(&self) -> Result<(), Error> {
        self.twin.flush()
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.twin.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        self.twin.scan(family, from, to, readahead_bytes, visit)
    }

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        self.twin.last_at_or_before(family, from, at)
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.twin.drop_range(family, from, to)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.twin.disk_bytes()
    }

    fn takes_runs(&self, family: Family) -> bool {
        self.twin.takes_runs(family)
    }

    fn renew(&self, family: Family) -> Result<(), Error> {
        self.refuse_full()?;
        self.twin.renew(family)
    }
}

/// The batches of an entry without the records of one key.
fn without(entry: Bytes, lost: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    for batch in split(entry) {
        let batch = batch.expect("what is ingested was checked");
        out.extend_from_slice(&batch_without(&batch, lost));
    }
    out.freeze()
}

fn batch_without(batch: &Batch, lost: &[u8]) -> Bytes {
    let header = batch.header();
    let mut settings = BatchSettings::of(header).expect("its codec is known");
    settings.max_timestamp_ms = Some(header.max_timestamp_ms);
    let mut builder = BatchBuilder::new(settings);
    for record in batch.records(1 << 20).expect("it has records") {
        let record = record.expect("its records can be read");
        if record.key.as_deref() != Some(lost) {
            builder.push_record(header.timestamp_ms(&record), record);
        }
    }
    builder.build().expect("what is left is a batch")
}
