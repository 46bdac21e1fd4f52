//! How RocksDB is set up, one function per kind of family. The figures behind it are in ARCHITECTURE.md.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, IngestExternalFileOptions, LogLevel, Options,
    ReadOptions, WriteOptions,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What an installation may want different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bound of the one cache that holds blocks, indexes and filters of all families.
    pub block_cache_bytes: usize,
    /// Bound of the open table files; those beyond are closed and opened again when read.
    pub max_open_files: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            block_cache_bytes: 32 * MIB,
            max_open_files: 1000,
        }
    }
}

pub(super) fn database(settings: &Settings) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_max_open_files(settings.max_open_files);
    options.set_max_background_jobs(2);
    // By default 16 for each family, 300 in all, start for a moment at every open.
    options.set_max_file_opening_threads(4);
    // Nobody reads them, and without the switch they are collected every 10 minutes from all families.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(MIB);
    // Each ingest and each drop appends a record of some hundred bytes; an open reads all of it.
    options.set_max_manifest_file_size(16 * MIB);
    options.set_manifest_preallocation_size(256 * KIB);
    options.set_bytes_per_sync(MIB as u64);
    // Those who read a partition from its beginning are served by the kernel's reading ahead.
    options.set_advise_random_on_open(false);
    options
}

pub(super) fn cache(settings: &Settings) -> Cache {
    Cache::new_lru_cache(settings.block_cache_bytes)
}

/// Files come in by ingestion, are disjoint and never rewritten. The memtable holds at most a tombstone on its way to disk.
pub(super) fn records(cache: &Cache) -> Options {
    let mut options = family(&table(cache, 64 * KIB));
    options.set_write_buffer_size(64 * KIB);
    options.set_disable_auto_compactions(true);
    options
}

/// Files come in by ingestion too, but many partitions' runs interleave in each, and compaction sorts them out.
pub(super) fn packed(cache: &Cache) -> Options {
    let mut options = family(&table(cache, 16 * KIB));
    options.set_write_buffer_size(64 * KIB);
    options.set_target_file_size_base(16 * MIB as u64);
    // Writes to all families wait for one that has too many overlapping files: only as a last resort.
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(256);
    // Without it fewer than four files with range tombstones would hold dropped rows for a month.
    options.set_ttl(60 * 60);
    options
}

/// Small rows, the only ones that pass through a memtable.
pub(super) fn rows(cache: &Cache) -> Options {
    let mut table = table(cache, 4 * KIB);
    table.set_bloom_filter(10.0, false);
    let mut options = family(&table);
    options.set_write_buffer_size(8 * MIB);
    options.set_target_file_size_base(8 * MIB as u64);
    options
}

/// RocksDB insists on its default family; it stays empty.
pub(super) fn unused(cache: &Cache) -> Options {
    let mut options = family(&table(cache, 4 * KIB));
    options.set_write_buffer_size(64 * KIB);
    options
}

fn family(table: &BlockBasedOptions) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(table);
    // Record batches come compressed by clients, and RocksDB is built without the libraries.
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::None);
    options.set_paranoid_checks(true);
    options
}

fn table(cache: &Cache, block_bytes: usize) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(block_bytes);
    table.set_block_cache(cache);
    // Otherwise indexes grow outside of the bound, with the number of files.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table
}

/// **Invariant:** nothing is ever written to RocksDB's log, so its files stay empty. The shared log is the log.
pub(super) fn write() -> WriteOptions {
    let mut options = WriteOptions::new();
    options.disable_wal(true);
    options
}

/// Reads of `from <= key`, and `key < to` if there is a `to`.
pub(super) fn read(from: &[u8], to: Option<&[u8]>, readahead_bytes: usize) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.set_async_io(false);
    options.set_iterate_lower_bound(from);
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    if readahead_bytes > 0 {
        options.set_readahead_size(readahead_bytes);
        options.fill_cache(false);
    }
    options
}

/// The file is linked into the database, not copied. Where `may_overlap` is false, an ingest whose range holds a row or a
/// tombstone fails; otherwise the file gets a sequence number, in the manifest only: it is not written again.
pub(super) fn ingest(may_overlap: bool) -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    // There are no snapshots; an iterator keeps to the files it began with.
    options.set_snapshot_consistency(false);
    options.set_allow_global_seqno(may_overlap);
    options
}
