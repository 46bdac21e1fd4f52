//! What a shard has done since it was opened, as counters that only grow: what metrics and benchmarks read.

use crate::metrics::{Histogram, Times};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Counters {
    log_bytes: AtomicU64,
    log_syncs: AtomicU64,
    sync_times: Histogram,
    sealed_bytes: AtomicU64,
    sealed_runs: AtomicU64,
    family_bytes: AtomicU64,
    expired_bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Written to the shared log: records with their headers.
    pub log_bytes: u64,
    /// fdatasyncs of the shared log.
    pub log_syncs: u64,
    /// How long those took that the log thread made.
    pub sync_times: Times,
    /// Records moved into families, and in how many runs.
    pub sealed_bytes: u64,
    pub sealed_runs: u64,
    /// Written to families by ingestion: sealed and compacted runs with their index.
    pub family_bytes: u64,
    /// Records that retention dropped from families.
    pub expired_bytes: u64,
}

impl Counters {
    pub fn appended(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn synced(&self) {
        self.log_syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub fn sync_took(&self, took: Duration) {
        self.sync_times.record(took);
    }

    pub fn sealed(&self, runs: u64, bytes: u64) {
        self.sealed_runs.fetch_add(runs, Ordering::Relaxed);
        self.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn ingested(&self, bytes: u64) {
        self.family_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn expired(&self, bytes: u64) {
        self.expired_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            log_bytes: get(&self.log_bytes),
            log_syncs: get(&self.log_syncs),
            sync_times: self.sync_times.read(),
            sealed_bytes: get(&self.sealed_bytes),
            sealed_runs: get(&self.sealed_runs),
            family_bytes: get(&self.family_bytes),
            expired_bytes: get(&self.expired_bytes),
        }
    }
}
