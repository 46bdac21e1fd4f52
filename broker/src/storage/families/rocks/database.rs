//! One RocksDB database and what it does for some of the families; which of them, [`super`] knows.

use super::settings;
use crate::storage::families::Error;
use bytes::Bytes;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, ErrorKind, Options, SstFileWriter,
    WriteBatch,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Files on their way in, below the database's folder: a link cannot leave its file system.
pub(super) const INGEST_FOLDER: &str = "ingest";
/// Longer than any key differs from another in its tail, see [`last_below`].
const PREDECESSOR_PADDING: usize = 64;

/// What must be free on the disk before rows or files are added. RocksDB takes a flush or a MANIFEST that finds the disk full
/// for a fault that only opening the database again heals; nobody may get that far. (Crate `rocksdb` has no `Resume`.)
const RESERVE_BYTES: u64 = 8 << 20;

pub(super) struct Database {
    pub db: DB,
    path: PathBuf,
    next_file: AtomicU64,
}

impl Database {
    /// Opens the database in `path`, and creates folder and families if they are missing.
    pub fn open(
        path: &Path,
        options: &Options,
        families: Vec<ColumnFamilyDescriptor>,
    ) -> Result<Database, Error> {
        let ingest = path.join(INGEST_FOLDER);
        fs::create_dir_all(&ingest).map_err(|error| failed(path, "create", &ingest, &error))?;
        refuse_lost_current(path)?;
        let database = Database::open_from(path, options, families, 0)?;
        // Only now: before, they could be those of a process that still runs.
        empty(&ingest).map_err(|error| failed(path, "empty", &ingest, &error))?;
        Ok(database)
    }

    /// As it was flushed last, for reading: beside a process that has it open, and without changing anything.
    pub fn open_read_only(
        path: &Path,
        options: &Options,
        families: Vec<ColumnFamilyDescriptor>,
    ) -> Result<Database, Error> {
        let db = DB::open_cf_descriptors_read_only(options, path, families, false)
            .map_err(|error| open_failed(path, error))?;
        Ok(Database {
            db,
            path: path.to_owned(),
            next_file: AtomicU64::new(0),
        })
    }

    /// Closes the database and opens it again. Tables that were written but not adopted stay.
    pub fn open_again(
        self,
        options: &Options,
        families: Vec<ColumnFamilyDescriptor>,
    ) -> Result<Database, Error> {
        let Database {
            db,
            path,
            next_file,
        } = self;
        drop(db);
        Database::open_from(&path, options, families, next_file.into_inner())
    }

    fn open_from(
        path: &Path,
        options: &Options,
        families: Vec<ColumnFamilyDescriptor>,
        next_file: u64,
    ) -> Result<Database, Error> {
        let db = DB::open_cf_descriptors(options, path, families)
            .map_err(|error| open_failed(path, error))?;
        Ok(Database {
            db,
            path: path.to_owned(),
            next_file: AtomicU64::new(next_file),
        })
    }

    pub fn cf(&self, name: &str) -> Result<&ColumnFamily, Error> {
        let found = self.db.cf_handle(name);
        found.ok_or_else(|| self.refused(format!("there is no family {name}")))
    }

    pub fn error(&self, error: rocksdb::Error) -> Error {
        to_error(&self.path, error)
    }

    pub fn refused(&self, reason: String) -> Error {
        Error::Io {
            path: self.path.display().to_string(),
            reason,
        }
    }

    pub fn check_room(&self) -> Result<(), Error> {
        let stat = rustix::fs::statvfs(&self.path).map_err(|errno| Error::Io {
            path: self.path.display().to_string(),
            reason: errno.to_string(),
        })?;
        let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        match free_bytes < RESERVE_BYTES {
            true => Err(Error::Full {
                path: self.path.display().to_string(),
                free_bytes,
            }),
            false => Ok(()),
        }
    }

    pub fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.db
            .write_opt(batch, &settings::write())
            .map_err(|error| self.error(error))
    }

    /// The crate drops the result of a compaction. One that failed stops all writes, and that tells why.
    pub fn refuse_stopped(&self) -> Result<(), Error> {
        self.write(WriteBatch::default())
    }

    pub fn flush(&self, cf: &ColumnFamily) -> Result<(), Error> {
        self.db.flush_cf(cf).map_err(|error| self.error(error))
    }

    /// The file is not the database's before [`Database::adopt`]; `None` if there are no rows.
    pub fn write_table(
        &self,
        options: &Options,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<Option<Table>, Error> {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let file = Scratch(self.path.join(INGEST_FOLDER).join(format!("{number}.sst")));
        let mut last: Option<Vec<u8>> = None;
        let mut writer = SstFileWriter::create(options);
        writer.open(&file.0).map_err(|error| self.error(error))?;
        for (position, (key, value)) in rows.enumerate() {
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(self.refused(format!("row {position} to ingest does not ascend")));
            }
            writer
                .put(&key, &value)
                .map_err(|error| self.error(error))?;
            last = Some(key);
        }
        if last.is_none() {
            return Ok(None);
        }
        writer.finish().map_err(|error| self.error(error))?;
        let bytes = writer.file_size();
        Ok(Some(Table { file, bytes }))
    }

    /// The table's file becomes the family's, durably. If that fails the table is as it was.
    pub fn adopt(&self, cf: &ColumnFamily, table: &Table, may_overlap: bool) -> Result<(), Error> {
        self.db
            .ingest_external_file_cf_opts(cf, &settings::ingest(may_overlap), vec![&table.file.0])
            .map_err(|error| self.error(error))
    }

    pub fn get(&self, cf: &ColumnFamily, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self
            .db
            .get_pinned_cf(cf, key)
            .map_err(|error| self.error(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    pub fn scan(
        &self,
        cf: &ColumnFamily,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let mut rows = self.iterate(cf, from, Some(to), readahead_bytes);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value) {
                return Ok(());
            }
            rows.next();
        }
        // An iterator that meets damage ends early, and only its status says so.
        rows.status().map_err(|error| self.error(error))
    }

    pub fn last_at_or_before(
        &self,
        cf: &ColumnFamily,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        if from > at {
            return Ok(None);
        }
        let mut rows = self.iterate(cf, from, None, 0);
        rows.seek_for_prev(at);
        let last = rows
            .item()
            .map(|(key, value)| (key.to_vec(), Bytes::copy_from_slice(value)));
        match rows.status().map_err(|error| self.error(error)) {
            Ok(()) => Ok(last),
            // On its way back RocksDB looks at rows before `from`, and farther the more of them were dropped: what is damaged
            // there is not asked for.
            Err(Error::Corrupt { .. }) => self.last_by_scan(cf, from, at),
            Err(error) => Err(error),
        }
    }

    fn last_by_scan(
        &self,
        cf: &ColumnFamily,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        let behind = [at, &[0]].concat();
        let mut last = None;
        self.scan(cf, from, &behind, 0, &mut |key, value| {
            last = Some((key.to_vec(), Bytes::copy_from_slice(value)));
            true
        })?;
        Ok(last)
    }

    pub fn is_empty(&self, cf: &ColumnFamily, from: &[u8], to: &[u8]) -> Result<bool, Error> {
        let mut empty = true;
        self.scan(cf, from, to, 0, &mut |_, _| {
            empty = false;
            false
        })?;
        Ok(empty)
    }

    /// Unlinks the files whose rows all lie in `from <= key < to`. RocksDB's upper bound is inclusive, and it looks at level 1 and
    /// below only, which is where ingested files lie.
    pub fn unlink(&self, cf: &ColumnFamily, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let last = last_below(to);
        if last.as_slice() < from {
            return Ok(());
        }
        self.db
            .delete_file_in_range_cf(cf, from, &last)
            .map_err(|error| self.error(error))
    }

    pub fn bury(&self, cf: &ColumnFamily, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.db
            .delete_range_cf_opt(cf, from, to, &settings::write())
            .map_err(|error| self.error(error))
    }

    pub fn disk_bytes(&self, cf: &ColumnFamily) -> Result<u64, Error> {
        let size = self
            .db
            .property_int_value_cf(cf, rocksdb::properties::TOTAL_SST_FILES_SIZE)
            .map_err(|error| self.error(error))?;
        Ok(size.unwrap_or(0))
    }

    fn iterate(
        &self,
        cf: &ColumnFamily,
        from: &[u8],
        to: Option<&[u8]>,
        readahead_bytes: usize,
    ) -> DBRawIterator<'_> {
        let options = settings::read(from, to, readahead_bytes);
        self.db.raw_iterator_cf_opt(cf, options)
    }
}

/// A finished table file that is not the database's yet.
pub(super) struct Table {
    file: Scratch,
    pub bytes: u64,
}

/// A file that is nobody's if the ingest fails.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // After an ingest it is gone already; what cannot be removed is removed at the next open.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a database was made in `path`.
pub(super) fn exists(path: &Path) -> bool {
    path.join("CURRENT").exists()
}

/// A key below `to` that no real key lies between. Should there be one all the same, a file that ends with it is not unlinked
/// but buried: `last_below(to) < to` is all that correctness needs.
fn last_below(to: &[u8]) -> Vec<u8> {
    let mut key = to.to_vec();
    if let Some(last) = key.pop()
        && last > 0
    {
        key.push(last - 1);
        key.extend([0xff; PREDECESSOR_PADDING]);
    }
    key
}

/// RocksDB takes a folder without the file CURRENT for a new one, and then deletes the table files in it.
fn refuse_lost_current(path: &Path) -> Result<(), Error> {
    let list = |error| failed(path, "list", path, &error);
    let mut table = None;
    for entry in fs::read_dir(path).map_err(list)? {
        let name = entry.map_err(list)?.file_name();
        if name == "CURRENT" {
            return Ok(());
        }
        if Path::new(&name).extension().is_some_and(|e| e == "sst") {
            table = Some(name);
        }
    }
    match table {
        None => Ok(()),
        Some(name) => Err(Error::Corrupt {
            path: path.display().to_string(),
            reason: format!(
                "file CURRENT is missing beside {}",
                Path::new(&name).display()
            ),
        }),
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

pub(super) fn failed(path: &Path, what: &str, name: &Path, error: &io::Error) -> Error {
    Error::Io {
        path: path.display().to_string(),
        reason: format!("cannot {what} {}: {error}", name.display()),
    }
}

fn to_error(path: &Path, error: rocksdb::Error) -> Error {
    let corrupt = error.kind() == ErrorKind::Corruption;
    let path = path.display().to_string();
    let reason = error.into_string();
    match corrupt {
        true => Error::Corrupt { path, reason },
        false => Error::Io { path, reason },
    }
}

/// At open, a file that the database names and that is not there is damage too.
fn open_failed(path: &Path, error: rocksdb::Error) -> Error {
    match to_error(path, error) {
        Error::Io { path, reason } if reason.contains("No such file or directory") => {
            Error::Corrupt { path, reason }
        }
        error => error,
    }
}
