//! A packed family: a database of its own, so that what goes wrong in its compaction stays with it.
//!
//! RocksDB's compaction that meets a damaged block stops every write of its database, of all its families, until it is opened
//! again. Here it then *is* opened again, without compaction: such a family is *held*. It is read, takes runs and drops, and
//! gives space back by whole files only; new runs belong elsewhere. What is damaged is told to whoever reads it. A held family
//! is compacted again, and held again if need be, when it is next opened, and begins anew when no run lies in it any more.

use super::database::{self, Database, failed};
use super::settings::{self, Settings};
use crate::storage::families::Error;
use bytes::Bytes;
use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, DEFAULT_COLUMN_FAMILY_NAME, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Beside the folder of a family: its earlier contents, which are being removed.
const REMOVED: &str = "removed";

type Range = (Vec<u8>, Vec<u8>);

pub(super) struct Packed {
    path: PathBuf,
    settings: Settings,
    cache: Cache,
    options: Options,
    /// Locked for writing while it is opened again; `None` when that failed.
    database: RwLock<Option<Database>>,
    /// What was dropped since the last flush, so at most what retention and deletion drop between two changes of rows: a
    /// database that stopped takes these with it. Taken after `database`.
    dropped: Mutex<Vec<Range>>,
    held: AtomicBool,
}

impl Packed {
    /// `is_new` says that the folder may be missing.
    pub fn open(
        path: PathBuf,
        is_new: bool,
        settings: &Settings,
        cache: &Cache,
    ) -> Result<Packed, Error> {
        let removed = path.with_extension(REMOVED);
        let removing = removed.exists();
        if !is_new && !removing && !database::exists(&path) {
            return Err(Error::Corrupt {
                path: path.display().to_string(),
                reason: "file CURRENT is missing".to_owned(),
            });
        }
        let database = open(&path, settings, cache)?;
        if removing {
            remove(&removed)?;
        }
        Ok(Packed {
            path,
            settings: *settings,
            cache: cache.clone(),
            options: settings::packed(cache),
            database: RwLock::new(Some(database)),
            dropped: Mutex::default(),
            held: AtomicBool::new(false),
        })
    }

    /// Whether damage was met, so that new runs belong elsewhere.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    pub fn ingest(&self, rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>) -> Result<u64, Error> {
        let table = self.read(|database, _| database.write_table(&self.options, rows))?;
        let Some(table) = table else {
            return Ok(0);
        };
        self.change(|database, cf| {
            database.check_room()?;
            // Or a drop that is made again when the database stops would take the new rows too.
            self.flush_in(database, cf)?;
            database.adopt(cf, &table, true)
        })?;
        Ok(table.bytes)
    }

    pub fn drop_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.change(|database, cf| {
            database.unlink(cf, from, to)?;
            match database.is_empty(cf, from, to) {
                Ok(true) => Ok(()),
                // What cannot be read can be buried.
                Ok(false) | Err(Error::Corrupt { .. }) => {
                    let mut dropped = self.dropped();
                    dropped.push((from.to_vec(), to.to_vec()));
                    database.bury(cf, from, to)
                }
                Err(error) => Err(error),
            }
        })
    }

    pub fn flush(&self) -> Result<(), Error> {
        self.change(|database, cf| self.flush_in(database, cf))
    }

    /// Gives back at once what dropped ranges still hold; a held family keeps it.
    pub fn compact(&self) -> Result<(), Error> {
        self.flush()?;
        self.change(|database, cf| {
            if !self.is_held() {
                database
                    .db
                    .compact_range_cf(cf, None::<&[u8]>, None::<&[u8]>);
            }
            database.refuse_stopped()
        })
    }

    /// A database that stopped goes on answering.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Database, &ColumnFamily) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| self.closed())?;
        read(database, database.cf(DEFAULT_COLUMN_FAMILY_NAME)?)
    }

    /// Forgets everything and begins anew: only for a family in which no run lies.
    pub fn renew(&self) -> Result<(), Error> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let removed = self.path.with_extension(REMOVED);
        *database = None;
        remove(&removed)?;
        // From here on the removed one says that this one may be missing, should there be a crash.
        fs::rename(&self.path, &removed)
            .map_err(|error| failed(&self.path, "rename", &self.path, &error))?;
        self.sync_parent()?;
        *database = Some(open(&self.path, &self.settings, &self.cache)?);
        self.sync_parent()?;
        self.dropped().clear();
        self.held.store(false, Ordering::Release);
        remove(&removed)
    }

    /// Does `change`, and once more on the family opened again if the database has stopped.
    fn change(
        &self,
        change: impl Fn(&Database, &ColumnFamily) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut stopped = None;
        let result = self.read(|database, cf| {
            let result = change(database, cf);
            if result.is_err() {
                stopped = database.refuse_stopped().err();
            }
            result
        });
        match stopped {
            Some(why) => {
                self.hold(&why)?;
                self.read(change)
            }
            None => result,
        }
    }

    fn hold(&self, why: &Error) -> Result<(), Error> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if self.is_held() {
            return Ok(());
        }
        tracing::error!(
            path = %self.path.display(), error = %why,
            "a packed family stopped: it is read but not compacted any more, new runs go elsewhere"
        );
        let stopped = database.take().ok_or_else(|| self.closed())?;
        let (options, family) = setup(&self.settings, &self.cache, false);
        let opened = stopped.open_again(&options, vec![family])?;
        let cf = opened.cf(DEFAULT_COLUMN_FAMILY_NAME)?;
        // Its memtable is lost. Dropping twice is harmless: what was ingested since was preceded by a flush.
        for (from, to) in self.dropped().iter() {
            opened.bury(cf, from, to)?;
        }
        self.held.store(true, Ordering::Release);
        *database = Some(opened);
        Ok(())
    }

    fn flush_in(&self, database: &Database, cf: &ColumnFamily) -> Result<(), Error> {
        // Locked meanwhile, or a drop in between would be forgotten.
        let mut dropped = self.dropped();
        database.flush(cf)?;
        dropped.clear();
        Ok(())
    }

    fn dropped(&self) -> MutexGuard<'_, Vec<Range>> {
        // Pushing and clearing leave nothing half done.
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> Error {
        Error::Io {
            path: self.path.display().to_string(),
            reason: "it stopped and could not be opened again".to_owned(),
        }
    }

    fn sync_parent(&self) -> Result<(), Error> {
        let parent = self.path.parent().unwrap_or(&self.path);
        fs::File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(&self.path, "sync", parent, &error))
    }
}

fn open(path: &Path, settings: &Settings, cache: &Cache) -> Result<Database, Error> {
    let (options, family) = setup(settings, cache, true);
    Database::open(path, &options, vec![family])
}

fn setup(settings: &Settings, cache: &Cache, compacts: bool) -> (Options, ColumnFamilyDescriptor) {
    let mut options = settings::packed(cache);
    options.set_disable_auto_compactions(!compacts);
    let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options);
    (settings::database(settings), family)
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(folder, "remove", folder, &error))
        }
        _ => Ok(()),
    }
}
