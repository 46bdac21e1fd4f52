//! The column families on RocksDB.
//!
//! Records are ingested as finished table files, so RocksDB's own log and its memtables stay off the data path. What each
//! step relies on, all in RocksDB 11.8: `SstFileWriter::Finish` syncs the file, an ingest that moves syncs it again with its
//! folder, and every change of the set of files is synced into the manifest before the call returns.

mod settings;
#[cfg(test)]
mod tests;

pub use settings::Settings;

use super::{Error, Families, Family, PACKED_FAMILIES, RECORD_FAMILIES, RowChange};
use bytes::Bytes;
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, ErrorKind, Options,
    SstFileWriter, WriteBatch,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files on their way in, below the database's folder: a link cannot leave its file system.
const INGEST_FOLDER: &str = "ingest";
/// Longer than any key differs from another in its tail, see [`last_below`].
const PREDECESSOR_PADDING: usize = 64;

/// What must be free on the disk before rows or files are added. RocksDB takes a flush or a MANIFEST that finds the disk full
/// for a fault that only opening the database again heals; nobody may get that far. (Crate `rocksdb` has no `Resume`.)
const RESERVE_BYTES: u64 = 8 << 20;

/// The column families of one directory. One process has it open at a time; RocksDB's own lock file sees to that.
pub struct RocksFamilies {
    db: DB,
    path: PathBuf,
    records: Options,
    packed: Options,
    next_file: AtomicU64,
    /// One for each record family: a file is neither added while a straddled one is cut, nor the other way round.
    changing: Vec<Mutex<()>>,
}

impl RocksFamilies {
    /// Opens the families in `path`, and creates folder and families in bulk if they are missing.
    pub fn open(path: impl AsRef<Path>) -> Result<RocksFamilies, Error> {
        RocksFamilies::open_with(path, &Settings::default())
    }

    pub fn open_with(path: impl AsRef<Path>, settings: &Settings) -> Result<RocksFamilies, Error> {
        let path = path.as_ref();
        let ingest = path.join(INGEST_FOLDER);
        fs::create_dir_all(&ingest).map_err(|error| failed(path, "create", &ingest, &error))?;
        refuse_lost_current(path)?;
        let cache = settings::cache(settings);
        let db = DB::open_cf_descriptors(&settings::database(settings), path, descriptors(&cache))
            .map_err(|error| open_failed(path, error))?;
        // Only now: before, they could be those of a process that still runs.
        empty(&ingest).map_err(|error| failed(path, "empty", &ingest, &error))?;
        Ok(RocksFamilies {
            db,
            path: path.to_owned(),
            records: settings::records(&cache),
            packed: settings::packed(&cache),
            next_file: AtomicU64::new(0),
            changing: (0..RECORD_FAMILIES).map(|_| Mutex::new(())).collect(),
        })
    }

    /// Gives back at once what dropped ranges still hold in the packed families. RocksDB does it by itself, at the
    /// latest an hour and a quarter after the flush.
    pub fn compact_packed(&self) -> Result<(), Error> {
        self.flush()?;
        for n in 0..PACKED_FAMILIES {
            let cf = self.cf(Family::Packed(n))?;
            self.db.compact_range_cf(cf, None::<&[u8]>, None::<&[u8]>);
        }
        self.refuse_stopped()
    }

    /// The crate drops the result of a compaction. One that failed stops all writes, and that tells why.
    fn refuse_stopped(&self) -> Result<(), Error> {
        self.put(&[])
    }

    fn cf(&self, family: Family) -> Result<&ColumnFamily, Error> {
        let name = name(family);
        self.db.cf_handle(&name).ok_or_else(|| Error::Io {
            path: self.path.display().to_string(),
            reason: format!("there is no family {name}"),
        })
    }

    fn error(&self, error: rocksdb::Error) -> Error {
        to_error(&self.path, error)
    }

    fn refused(&self, reason: String) -> Error {
        Error::Io {
            path: self.path.display().to_string(),
            reason,
        }
    }

    fn check_room(&self) -> Result<(), Error> {
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

    fn iterate(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        readahead_bytes: usize,
    ) -> Result<DBRawIterator<'_>, Error> {
        let options = settings::read(from, to, readahead_bytes);
        Ok(self.db.raw_iterator_cf_opt(self.cf(family)?, options))
    }

    fn is_empty(&self, family: Family, from: &[u8], to: &[u8]) -> Result<bool, Error> {
        let mut rows = self.iterate(family, from, Some(to), 0)?;
        rows.seek(from);
        let empty = !rows.valid();
        rows.status().map_err(|error| self.error(error))?;
        Ok(empty)
    }

    /// Writes `rows` as a table file and returns its size, or `None` if there are no rows.
    fn write_table(
        &self,
        options: &Options,
        file: &Path,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<Option<u64>, Error> {
        let mut last: Option<Vec<u8>> = None;
        let mut writer = SstFileWriter::create(options);
        writer.open(file).map_err(|error| self.error(error))?;
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
        Ok(Some(writer.file_size()))
    }

    fn changing(&self, family: Family) -> Option<std::sync::MutexGuard<'_, ()>> {
        let Family::Records(n) = family else {
            return None;
        };
        let lock = self.changing.get(usize::from(n))?;
        // What it guards is in RocksDB: a panic elsewhere leaves nothing half done here.
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Unlinks the files whose rows all lie in `from <= key < to`. RocksDB's upper bound is inclusive, and it looks at level 1 and
    /// below only, which is where ingested files lie.
    fn unlink(&self, cf: &ColumnFamily, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let last = last_below(to);
        if last.as_slice() < from {
            return Ok(());
        }
        self.db
            .delete_file_in_range_cf(cf, from, &last)
            .map_err(|error| self.error(error))
    }

    fn bury(&self, cf: &ColumnFamily, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.db
            .delete_range_cf_opt(cf, from, to, &settings::write())
            .map_err(|error| self.error(error))
    }
}

impl Families for RocksFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        let (options, may_overlap) = match family {
            Family::Records(_) => (&self.records, false),
            Family::Packed(_) => (&self.packed, true),
            Family::Rows => return Err(self.refused("rows are put, not ingested".into())),
        };
        let cf = self.cf(family)?;
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let file = Scratch(self.path.join(INGEST_FOLDER).join(format!("{number}.sst")));
        let Some(bytes) = self.write_table(options, &file.0, rows)? else {
            return Ok(0);
        };
        self.check_room()?;
        let _changing = self.changing(family);
        self.db
            .ingest_external_file_cf_opts(cf, &settings::ingest(may_overlap), vec![&file.0])
            .map_err(|error| self.error(error))?;
        Ok(bytes)
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        // Here and not in `flush`: rows that are refused must not become durable with somebody else's.
        self.check_room()?;
        let cf = self.cf(Family::Rows)?;
        let mut batch = WriteBatch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put_cf(cf, key, value),
                None => batch.delete_cf(cf, key),
            }
        }
        self.db
            .write_opt(batch, &settings::write())
            .map_err(|error| self.error(error))
    }

    fn flush(&self) -> Result<(), Error> {
        // Packed ranges first: a run that is no longer listed in the rows must not come back. An empty memtable costs nothing.
        let packed = (0..PACKED_FAMILIES).map(Family::Packed);
        for family in packed.chain([Family::Rows]) {
            let cf = self.cf(family)?;
            self.db.flush_cf(cf).map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self
            .db
            .get_pinned_cf(self.cf(family)?, key)
            .map_err(|error| self.error(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
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
        let mut rows = self.iterate(family, from, Some(to), readahead_bytes)?;
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

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        if from > at {
            return Ok(None);
        }
        let mut rows = self.iterate(family, from, None, 0)?;
        rows.seek_for_prev(at);
        let last = rows
            .item()
            .map(|(key, value)| (key.to_vec(), Bytes::copy_from_slice(value)));
        rows.status().map_err(|error| self.error(error))?;
        Ok(last)
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let cf = self.cf(family)?;
        // Not for rows: an unlinked file may hide an older value of a row in another, which a crash would bring back.
        if family == Family::Rows {
            return self.bury(cf, from, to);
        }
        let _changing = self.changing(family);
        self.unlink(cf, from, to)?;
        if self.is_empty(family, from, to)? {
            return Ok(());
        }
        self.bury(cf, from, to)?;
        if matches!(family, Family::Records(_)) {
            // A run was cut, which is rare. Nothing compacts these families, so the tombstone goes down now, together with
            // the rows it covers: the files at the two ends are rewritten. If that fails the tombstone stays, and is obeyed.
            self.db.flush_cf(cf).map_err(|error| self.error(error))?;
            self.db.compact_range_cf(cf, Some(from), Some(to));
            self.refuse_stopped()?;
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for family in all() {
            let size = self
                .db
                .property_int_value_cf(self.cf(family)?, rocksdb::properties::TOTAL_SST_FILES_SIZE)
                .map_err(|error| self.error(error))?;
            bytes += size.unwrap_or(0);
        }
        Ok(bytes)
    }
}

/// A table file that is not the database's yet, and is nobody's if the ingest fails.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // After an ingest it is gone already; what cannot be removed is removed at the next open.
        let _ = fs::remove_file(&self.0);
    }
}

fn all() -> impl Iterator<Item = Family> {
    let records = (0..RECORD_FAMILIES).map(Family::Records);
    let packed = (0..PACKED_FAMILIES).map(Family::Packed);
    records.chain(packed).chain([Family::Rows])
}

fn name(family: Family) -> String {
    match family {
        Family::Records(n) => format!("records-{n:02}"),
        Family::Packed(n) => format!("packed-{n:02}"),
        Family::Rows => "rows".into(),
    }
}

fn descriptors(cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let unused = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;
    let mut descriptors = vec![ColumnFamilyDescriptor::new(unused, settings::unused(cache))];
    descriptors.extend(all().map(|family| {
        let options = match family {
            Family::Records(_) => settings::records(cache),
            Family::Packed(_) => settings::packed(cache),
            Family::Rows => settings::rows(cache),
        };
        ColumnFamilyDescriptor::new(name(family), options)
    }));
    descriptors
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

fn failed(path: &Path, what: &str, name: &Path, error: &io::Error) -> Error {
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
