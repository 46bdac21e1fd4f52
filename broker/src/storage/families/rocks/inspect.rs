//! The families of a directory for reading only: beside a broker that runs, without its lock, and without changing anything.

use super::database::Database;
use super::settings::{self, Settings};
use super::{descriptors, in_main, name};
use crate::storage::families::{Error, Family, PACKED_FAMILIES};
use rocksdb::{ColumnFamilyDescriptor, DEFAULT_COLUMN_FAMILY_NAME};
use std::path::Path;

/// The families as they were flushed last when this was opened.
pub struct ReadOnlyFamilies {
    main: Database,
    packed: Vec<Database>,
}

/// The rows in one table file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub family: Family,
    pub first_key: Vec<u8>,
    pub last_key: Vec<u8>,
}

impl ReadOnlyFamilies {
    pub fn open(path: &Path) -> Result<ReadOnlyFamilies, Error> {
        let settings = Settings::default();
        let cache = settings::cache(&settings);
        let options = settings::database(&settings);
        let packed = (0..PACKED_FAMILIES).map(|n| {
            let options = settings::packed(&cache);
            let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options);
            let folder = path.join(name(Family::Packed(n)));
            Database::open_read_only(&folder, &settings::database(&settings), vec![family])
        });
        let packed = packed.collect::<Result<_, _>>()?;
        let main = Database::open_read_only(path, &options, descriptors(&cache))?;
        Ok(ReadOnlyFamilies { main, packed })
    }

    /// Visits rows with `from <= key < to` in ascending order until `visit` says false.
    pub fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        const READAHEAD_BYTES: usize = 1 << 20;
        let (database, name) = match family {
            Family::Packed(n) => (
                &self.packed[usize::from(n)],
                DEFAULT_COLUMN_FAMILY_NAME.to_owned(),
            ),
            Family::Records(_) | Family::Rows => (&self.main, name(family)),
        };
        database.scan(database.cf(&name)?, from, to, READAHEAD_BYTES, visit)
    }

    /// What the table file `file`, as in `000012.sst`, holds, when it is one of the main database's or that of a packed family.
    pub fn table(&self, packed: Option<u8>, file: &str) -> Result<Option<Table>, Error> {
        let database = match packed {
            Some(n) => match self.packed.get(usize::from(n)) {
                Some(database) => database,
                None => return Ok(None),
            },
            None => &self.main,
        };
        let live = database.db.live_files();
        let live = live.map_err(|error| database.error(error))?;
        let found = live
            .into_iter()
            .find(|live| live.name.trim_start_matches('/') == file);
        Ok(found.and_then(|live| {
            let mut families = in_main();
            Some(Table {
                family: match packed {
                    Some(n) => Family::Packed(n),
                    None => families.find(|family| name(*family) == live.column_family_name)?,
                },
                first_key: live.start_key?,
                last_key: live.end_key?,
            })
        }))
    }
}
