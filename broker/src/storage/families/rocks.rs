//! The column families on RocksDB.
//!
//! Nothing is written to RocksDB's own log: records come as whole files, and small rows are flushed by who needs them
//! durable. Files of the record families do not overlap, so they land on the bottom level and are never compacted.

use super::{Error, Families, Family, PACKED_FAMILIES, RECORD_FAMILIES, RowChange};
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    ErrorKind, IngestExternalFileOptions, IteratorMode, LogLevel, Options, ReadOptions,
    SstFileWriter, WriteBatch, WriteOptions,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Batches are tens of kilobytes and more; the index has one entry a block.
const RECORD_BLOCK_BYTES: usize = 64 << 10;

/// Holds range tombstones only.
const PACKED_MEMTABLE_BYTES: usize = 1 << 20;
const ROWS_MEMTABLE_BYTES: usize = 8 << 20;

/// What every opening replays is at most about this.
const MANIFEST_BYTES: usize = 4 << 20;

/// What must be free on the disk before rows or files are added. RocksDB takes a flush or a MANIFEST that finds the disk full
/// for a fault that only opening the database again heals; nobody may get that far. (Crate `rocksdb` has no `Resume`.)
const RESERVE_BYTES: u64 = 8 << 20;

/// Open files of all families; each costs memory for its index while it is open.
const MAX_OPEN_FILES: i32 = 2_000;

#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Blocks that were read, of all families together.
    pub cache_bytes: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        RocksOptions {
            cache_bytes: 32 << 20,
        }
    }
}

pub struct RocksFamilies {
    path: PathBuf,
    db: DB,
    record_options: Options,
    /// Numbers the files on their way into a family.
    next_file: AtomicU64,
    /// Packed families with a range tombstone that is not flushed.
    packed_dirty: [AtomicBool; PACKED_FAMILIES as usize],
}

impl RocksFamilies {
    pub fn open(path: impl Into<PathBuf>, options: &RocksOptions) -> Result<RocksFamilies, Error> {
        let path = path.into();
        let io = |error: std::io::Error| Error::Io {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        fs::create_dir_all(&path).map_err(io)?;
        // Whatever is there was on its way in when the process died; its rows never existed.
        let incoming = incoming(&path);
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(io)?;
        }
        fs::create_dir_all(&incoming).map_err(io)?;
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let families = all().map(|family| {
            ColumnFamilyDescriptor::new(name(family), family_options(family, &cache))
        });
        let db = DB::open_cf_descriptors(&database_options(), &path, families)
            .map_err(|e| error(&path, &e))?;
        Ok(RocksFamilies {
            record_options: family_options(Family::Records(0), &cache),
            path,
            db,
            next_file: AtomicU64::new(0),
            packed_dirty: Default::default(),
        })
    }

    fn handle(&self, family: Family) -> &ColumnFamily {
        self.db
            .cf_handle(&name(family))
            .expect("every family was named when the database was opened")
    }

    fn error(&self, e: &rocksdb::Error) -> Error {
        error(&self.path, e)
    }

    fn check_room(&self) -> Result<(), Error> {
        let path = || self.path.display().to_string();
        let stat = rustix::fs::statvfs(&self.path).map_err(|errno| Error::Io {
            path: path(),
            reason: errno.to_string(),
        })?;
        let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free_bytes < RESERVE_BYTES {
            let path = path();
            return Err(Error::Full { path, free_bytes });
        }
        Ok(())
    }

    fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.db
            .write_opt(batch, &no_wal())
            .map_err(|e| self.error(&e))
    }

    fn write_file(
        &self,
        file: &Path,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, rocksdb::Error> {
        let mut writer = SstFileWriter::create(&self.record_options);
        writer.open(file)?;
        for (key, value) in rows {
            writer.put(key, value)?;
        }
        // Syncs the file.
        writer.finish()?;
        Ok(writer.file_size())
    }
}

impl Families for RocksFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        if family == Family::Rows {
            let reason = "small rows are put, not ingested".to_owned();
            return Err(Error::Io {
                path: self.path.display().to_string(),
                reason,
            });
        }
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(0);
        }
        let file = incoming(&self.path).join(format!(
            "{}.sst",
            self.next_file.fetch_add(1, Ordering::Relaxed)
        ));
        let written = self.write_file(&file, &mut rows);
        let ingested = written.map_err(|e| self.error(&e)).and_then(|bytes| {
            self.check_room()?;
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            self.db
                .ingest_external_file_cf_opts(self.handle(family), &options, vec![&file])
                .map_err(|e| self.error(&e))?;
            Ok(bytes)
        });
        ingested.inspect_err(|_| {
            let _ = fs::remove_file(&file);
        })
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        // Here and not in `flush`: rows that are refused must not become durable with somebody else's.
        self.check_room()?;
        let rows = self.handle(Family::Rows);
        let mut batch = WriteBatch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put_cf(rows, key, value),
                None => batch.delete_cf(rows, key),
            }
        }
        self.write(batch)
    }

    fn flush(&self) -> Result<(), Error> {
        // First what was dropped: a row that is gone must not leave records behind.
        for (n, dirty) in (0..).zip(&self.packed_dirty) {
            if dirty.swap(false, Ordering::AcqRel) {
                self.db
                    .flush_cf(self.handle(Family::Packed(n)))
                    .map_err(|e| self.error(&e))?;
            }
        }
        self.db
            .flush_cf(self.handle(Family::Rows))
            .map_err(|e| self.error(&e))
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self
            .db
            .get_pinned_cf(self.handle(family), key)
            .map_err(|e| self.error(&e))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        if readahead_bytes > 0 {
            options.set_readahead_size(readahead_bytes);
            options.fill_cache(false);
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.handle(family), options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value) {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(|e| self.error(&e))
    }

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        let mode = IteratorMode::From(at, rocksdb::Direction::Reverse);
        let mut rows = self.db.iterator_cf_opt(self.handle(family), options, mode);
        match rows.next() {
            Some(Ok((key, value))) => Ok(Some((key.into_vec(), Bytes::from(value)))),
            Some(Err(e)) => Err(self.error(&e)),
            None => Ok(None),
        }
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let handle = self.handle(family);
        if family != Family::Rows {
            // RocksDB takes the end inclusive.
            let last = before(to);
            self.db
                .delete_file_in_range_cf(handle, from, &last[..])
                .map_err(|e| self.error(&e))?;
        }
        // A run of the record families is a file of its own, so nothing is left there. Elsewhere a tombstone says so.
        if let Family::Packed(n) = family {
            self.packed_dirty[usize::from(n)].store(true, Ordering::Release);
        }
        if !matches!(family, Family::Records(_)) {
            self.db
                .delete_range_cf_opt(handle, from, to, &no_wal())
                .map_err(|e| self.error(&e))?;
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        let size = |family| {
            let bytes = self
                .db
                .property_int_value_cf(self.handle(family), "rocksdb.total-sst-files-size");
            bytes
                .map(Option::unwrap_or_default)
                .map_err(|e| self.error(&e))
        };
        all().map(size).sum()
    }
}

fn all() -> impl Iterator<Item = Family> {
    let records = (0..RECORD_FAMILIES).map(Family::Records);
    records
        .chain((0..PACKED_FAMILIES).map(Family::Packed))
        .chain([Family::Rows])
}

fn name(family: Family) -> String {
    match family {
        Family::Records(n) => format!("records-{n:02}"),
        Family::Packed(n) => format!("packed-{n:02}"),
        Family::Rows => "rows".to_owned(),
    }
}

/// On the same file system as the database, so that a file moves in by its name.
fn incoming(path: &Path) -> PathBuf {
    path.join("incoming")
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_max_open_files(MAX_OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_max_manifest_file_size(MANIFEST_BYTES);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options
}

fn family_options(family: Family, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    match family {
        Family::Records(_) => {
            table.set_block_size(RECORD_BLOCK_BYTES);
            options.set_disable_auto_compactions(true);
            options.set_write_buffer_size(64 << 10);
        }
        Family::Packed(_) => {
            table.set_block_size(RECORD_BLOCK_BYTES);
            options.set_write_buffer_size(PACKED_MEMTABLE_BYTES);
        }
        Family::Rows => {
            table.set_bloom_filter(10.0, false);
            options.set_write_buffer_size(ROWS_MEMTABLE_BYTES);
        }
    }
    options.set_block_based_table_factory(&table);
    options
}

fn no_wal() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn error(path: &Path, e: &rocksdb::Error) -> Error {
    let (path, reason) = (path.display().to_string(), e.to_string());
    match e.kind() {
        ErrorKind::Corruption => Error::Corrupt { path, reason },
        _ => Error::Io { path, reason },
    }
}

/// A key that lies before `key` and behind every shorter-or-equal-length key before it.
fn before(key: &[u8]) -> Vec<u8> {
    let mut before = key.to_vec();
    match before.last_mut() {
        Some(0) => {
            before.pop();
        }
        Some(last) => {
            *last -= 1;
            before.extend([0xff; 8]);
        }
        None => {}
    }
    before
}
