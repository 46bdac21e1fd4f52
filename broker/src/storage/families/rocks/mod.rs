//! The column families on RocksDB.
//!
//! Records are ingested as finished table files, so RocksDB's own log and its memtables stay off the data path. What each
//! step relies on, all in RocksDB 11.8: `SstFileWriter::Finish` syncs the file, an ingest that moves syncs it again with its
//! folder, and every change of the set of files is synced into the manifest before the call returns.
//!
//! One database holds rows and record families, which are never compacted without being asked; each packed family has a
//! database of its own below it, see [`packed`].

mod database;
mod inspect;
mod packed;
mod settings;
#[cfg(test)]
mod tests;

pub use inspect::{ReadOnlyFamilies, Table};
pub use settings::Settings;

use super::{Error, Families, Family, PACKED_FAMILIES, RECORD_FAMILIES, RowChange};
use bytes::Bytes;
use database::Database;
use packed::Packed;
use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, Options, WriteBatch};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The column families of one directory. One process has it open at a time; RocksDB's own lock file sees to that.
pub struct RocksFamilies {
    main: Database,
    packed: Vec<Packed>,
    records: Options,
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
        let cache = settings::cache(settings);
        // The main one is made last: where it is, the others were made.
        let is_new = !database::exists(path);
        let open = |n| {
            let folder = path.join(name(Family::Packed(n)));
            Packed::open(folder, is_new, settings, &cache)
        };
        let packed = std::thread::scope(|scope| {
            // Opening is mostly waiting for syncs.
            let opening: Vec<_> = (0..PACKED_FAMILIES)
                .map(|n| scope.spawn(move || open(n)))
                .collect();
            let opened = opening
                .into_iter()
                .map(|thread| thread.join().expect("opening does not panic"));
            opened.collect::<Result<Vec<_>, Error>>()
        })?;
        let main = Database::open(path, &settings::database(settings), descriptors(&cache))?;
        Ok(RocksFamilies {
            main,
            packed,
            records: settings::records(&cache),
            changing: (0..RECORD_FAMILIES).map(|_| Mutex::new(())).collect(),
        })
    }

    /// Gives back at once what dropped ranges still hold in the packed families. RocksDB does it by itself, at the
    /// latest an hour and a quarter after the flush.
    pub fn compact_packed(&self) -> Result<(), Error> {
        self.packed.iter().try_for_each(Packed::compact)
    }

    fn packed(&self, family: u8) -> Result<&Packed, Error> {
        let found = self.packed.get(usize::from(family));
        found.ok_or_else(|| {
            let name = name(Family::Packed(family));
            self.main.refused(format!("there is no family {name}"))
        })
    }

    fn read<T>(
        &self,
        family: Family,
        read: impl FnOnce(&Database, &ColumnFamily) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match family {
            Family::Packed(n) => self.packed(n)?.read(read),
            Family::Records(_) | Family::Rows => read(&self.main, self.main.cf(&name(family))?),
        }
    }

    fn changing(&self, family: u8) -> Option<std::sync::MutexGuard<'_, ()>> {
        let lock = self.changing.get(usize::from(family))?;
        // What it guards is in RocksDB: a panic elsewhere leaves nothing half done here.
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn drop_records(&self, family: u8, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let cf = self.main.cf(&name(Family::Records(family)))?;
        let _changing = self.changing(family);
        self.main.unlink(cf, from, to)?;
        // Damage in a file that was to be cut ends it here, before a compaction meets it.
        if self.main.is_empty(cf, from, to)? {
            return Ok(());
        }
        self.main.bury(cf, from, to)?;
        // A run was cut, which is rare. Nothing compacts these families, so the tombstone goes down now, together with
        // the rows it covers: the files at the two ends are rewritten. If that fails the tombstone stays, and is obeyed.
        self.main.flush(cf)?;
        self.main.db.compact_range_cf(cf, Some(from), Some(to));
        self.main.refuse_stopped()
    }
}

impl Families for RocksFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        let n = match family {
            Family::Records(n) => n,
            Family::Packed(n) => return self.packed(n)?.ingest(rows),
            Family::Rows => {
                let reason = "rows are put, not ingested";
                return Err(self.main.refused(reason.into()));
            }
        };
        let cf = self.main.cf(&name(family))?;
        let Some(table) = self.main.write_table(&self.records, rows)? else {
            return Ok(0);
        };
        self.main.check_room()?;
        let _changing = self.changing(n);
        self.main.adopt(cf, &table, false)?;
        Ok(table.bytes)
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        // Here and not in `flush`: rows that are refused must not become durable with somebody else's.
        self.main.check_room()?;
        let cf = self.main.cf(&name(Family::Rows))?;
        let mut batch = WriteBatch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put_cf(cf, key, value),
                None => batch.delete_cf(cf, key),
            }
        }
        self.main.write(batch)
    }

    fn flush(&self) -> Result<(), Error> {
        // Packed ranges first: a run that is no longer listed in the rows must not come back. An empty memtable costs nothing.
        self.packed.iter().try_for_each(Packed::flush)?;
        self.main.flush(self.main.cf(&name(Family::Rows))?)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read(family, |database, cf| database.get(cf, key))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        self.read(family, |database, cf| {
            database.scan(cf, from, to, readahead_bytes, visit)
        })
    }

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        self.read(family, |database, cf| {
            database.last_at_or_before(cf, from, at)
        })
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        match family {
            Family::Records(n) => self.drop_records(n, from, to),
            Family::Packed(n) => self.packed(n)?.drop_range(from, to),
            // No file is unlinked: it may hide an older value of a row in another, which a crash would bring back.
            Family::Rows => self.main.bury(self.main.cf(&name(family))?, from, to),
        }
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        let packed = (0..PACKED_FAMILIES).map(Family::Packed);
        let mut bytes = 0;
        for family in in_main().chain(packed) {
            bytes += self.read(family, |database, cf| database.disk_bytes(cf))?;
        }
        Ok(bytes)
    }

    fn takes_runs(&self, family: Family) -> bool {
        match family {
            Family::Packed(n) => self.packed(n).is_ok_and(|packed| !packed.is_held()),
            Family::Records(_) => true,
            Family::Rows => false,
        }
    }

    fn renew(&self, family: Family) -> Result<(), Error> {
        match family {
            Family::Packed(n) => self.packed(n)?.renew(),
            Family::Records(_) | Family::Rows => {
                let reason = format!("family {} is not renewed", name(family));
                Err(self.main.refused(reason))
            }
        }
    }
}

/// The families of the main database.
fn in_main() -> impl Iterator<Item = Family> {
    let records = (0..RECORD_FAMILIES).map(Family::Records);
    records.chain([Family::Rows])
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
    descriptors.extend(in_main().map(|family| {
        let options = match family {
            Family::Rows => settings::rows(cache),
            Family::Records(_) | Family::Packed(_) => settings::records(cache),
        };
        ColumnFamilyDescriptor::new(name(family), options)
    }));
    descriptors
}
