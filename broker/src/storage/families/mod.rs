//! The port to the column families: sorted rows that are ingested whole, and a few small rows written without a write-ahead
//! log. `rocks` is RocksDB, `twin` the in-memory one that loses what was not flushed.
//!
//! **Invariant:** no record ever passes through a memtable. Records come in by [`Families::ingest`] only.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod model;
pub mod rocks;
pub mod twin;

use bytes::Bytes;

/// Where a row lives. A fixed pool, created in bulk at first open: one more column family costs seconds (see ARCHITECTURE.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Runs of one partition per file, in family `n` of [`RECORD_FAMILIES`]: disjoint files, never compacted.
    Records(u8),
    /// Runs of many small partitions per file, in family `n` of [`PACKED_FAMILIES`]: RocksDB's compaction earns its keep. Any
    /// run may lie in any of them, so that damage to one leaves another for new runs.
    Packed(u8),
    /// Small rows: the state of partitions, what runs there are. Written by [`Families::put`].
    Rows,
}

pub const RECORD_FAMILIES: u8 = 16;
pub const PACKED_FAMILIES: u8 = 2;

/// One change of a small row: `None` deletes it.
pub type RowChange = (Vec<u8>, Option<Vec<u8>>);

pub trait Families: Send + Sync {
    /// Adds `rows` (strictly ascending by key, none of them present yet) to `family` in one file; durable on return, all or none of
    /// them. Returns the bytes written; no rows are no file. Not for [`Family::Rows`].
    ///
    /// Refused if the keys do not ascend, and in `Family::Records` if any row is present between the first and the last.
    /// What a crash may have left of an earlier try is to be dropped before the next one.
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error>;
    /// Changes small rows, all or none of them, readable at once and durable after the next [`Families::flush`].
    fn put(&self, changes: &[RowChange]) -> Result<(), Error>;
    /// Makes every earlier `put` and `drop_range` durable.
    fn flush(&self) -> Result<(), Error>;
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// Visits rows with `from <= key < to` in ascending order until `visit` says false. `readahead_bytes` > 0 says that much
    /// will be read in one go, and that it should not push hotter blocks out of the cache. `visit` must not use the families.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error>;
    /// The last row with `from <= key <= at`.
    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error>;
    /// Forgets all rows with `from <= key < to`: files that lie wholly inside are unlinked at once, the rest goes by and by.
    /// For readers they are gone on return. In `Family::Records` they are so durably; elsewhere a crash before the next flush may
    /// bring rows back, so whoever drops a range must be able to tell after a crash that it was to be dropped, and drop it again.
    /// Cutting through an ingested file costs a rewrite of it: in `Family::Records` at once, so there drop whole runs.
    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error>;
    /// Bytes on disk in all families' files.
    fn disk_bytes(&self) -> Result<u64, Error>;
    /// Whether new runs belong in `family`. Not in a packed one that met damage: it takes them if there is no other, but gives
    /// space back by whole files only.
    fn takes_runs(&self, family: Family) -> bool;
    /// Forgets everything in a packed family and begins it anew, without damage. Nobody may read or write it meanwhile.
    fn renew(&self, family: Family) -> Result<(), Error>;
}

/// The column families failed: a fault of the disk or of what was written on it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("column families in {path}: {reason}")]
    Io { path: String, reason: String },
    /// A checksum did not match. `reason` names the file and the position as RocksDB does.
    #[error("column families in {path} are damaged: {reason}")]
    Corrupt { path: String, reason: String },
    /// Refused before anything was changed: a write that finds no room in the middle stops all later ones.
    #[error("column families in {path} need more room: {free_bytes} bytes are free")]
    Full { path: String, free_bytes: u64 },
}
