//! A directory for reading only, for tools: of a broker that runs or has stopped. Nothing is locked, repaired or changed.
//!
//! Of a broker that runs it is what was flushed at the moment of opening; what it does meanwhile may take files away, and then
//! an error says so.

use super::families::rocks::{ReadOnlyFamilies, Table};
use super::families::{self, Family};
use super::ids::Offset;
use super::keys;
pub use super::log::inspect::{Damage, Findings, OpenError, SegmentFile};
use super::rows::{GroupRow, Run};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub struct Directory {
    path: PathBuf,
    families: ReadOnlyFamilies,
    pub groups: BTreeMap<GroupId, GroupRow>,
    /// Of each group, oldest first.
    pub runs: BTreeMap<GroupId, Vec<Run>>,
    /// Rows that cannot be read, and why.
    pub damaged_rows: Vec<String>,
}

/// A sealed entry: the offset that it begins at, and its batches.
pub type Visit<'a> = &'a mut dyn FnMut(GroupId, Offset, Bytes) -> bool;

impl Directory {
    /// Whether `path` looks like one.
    pub fn is_one(path: &Path) -> bool {
        path.join("log").is_dir() && path.join("families").is_dir()
    }

    pub fn open(path: &Path) -> Result<Directory, families::Error> {
        let families = ReadOnlyFamilies::open(&path.join("families"))?;
        let mut directory = Directory {
            path: path.to_owned(),
            families,
            groups: BTreeMap::new(),
            runs: BTreeMap::new(),
            damaged_rows: Vec::new(),
        };
        directory.read_rows()?;
        Ok(directory)
    }

    fn read_rows(&mut self) -> Result<(), families::Error> {
        let (groups, runs, damaged) = (&mut self.groups, &mut self.runs, &mut self.damaged_rows);
        let (from, to) = keys::groups();
        let rows = Family::Rows;
        self.families.scan(rows, &from, &to, &mut |key, value| {
            match (keys::parse_group(key), GroupRow::decode(value)) {
                (Some(id), Ok(row)) => drop(groups.insert(id, row)),
                (Some(id), Err(error)) => damaged.push(format!("row of group {id}: {error}")),
                (None, _) => damaged.push(format!("a row's key is {key:02x?}")),
            }
            true
        })?;
        let (from, to) = keys::runs();
        self.families.scan(rows, &from, &to, &mut |key, value| {
            match (keys::parse_run(key), Run::decode(value)) {
                (Some((id, ..)), Ok(run)) => runs.entry(id).or_default().push(run),
                (Some((id, _, base)), Err(error)) => {
                    damaged.push(format!(
                        "row of the run of group {id} at offset {base}: {error}"
                    ));
                }
                (None, _) => damaged.push(format!("a run's key is {key:02x?}")),
            }
            true
        })?;
        for runs in runs.values_mut() {
            runs.sort_by_key(|run| run.base);
        }
        Ok(())
    }

    /// The log's segments, oldest first.
    pub fn segments(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.path.join("log"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                found.push(path);
            }
        }
        // Their numbers have all digits.
        found.sort();
        Ok(found)
    }

    /// Visits the entries of a run until `visit` says false.
    pub fn scan_run(
        &self,
        group: GroupId,
        run: &Run,
        visit: Visit<'_>,
    ) -> Result<(), families::Error> {
        let (from, to) = keys::records_of(group, run);
        self.scan_records(keys::family(group, run), &from, &to, visit)
    }

    /// What a table file below `families/` holds; `None` if it is none of the database's.
    pub fn table(&self, file: &Path) -> Result<Option<Table>, families::Error> {
        let below = file.strip_prefix(self.path.join("families"));
        let parts: Vec<&str> = below.map_or(Vec::new(), |below| {
            below.iter().filter_map(|part| part.to_str()).collect()
        });
        match parts[..] {
            [file] => self.families.table(None, file),
            [folder, file] => {
                let number = folder.strip_prefix("packed-");
                match number.and_then(|number| number.parse().ok()) {
                    Some(number) => self.families.table(Some(number), file),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Visits the entries of a table until `visit` says false. What was dropped since it was written is left out.
    pub fn scan_table(&self, table: &Table, visit: Visit<'_>) -> Result<(), families::Error> {
        let behind = [&table.last_key[..], &[0]].concat();
        self.scan_records(table.family, &table.first_key, &behind, visit)
    }

    fn scan_records(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        visit: Visit<'_>,
    ) -> Result<(), families::Error> {
        self.families.scan(
            family,
            from,
            to,
            &mut |key, value| match keys::parse_record(key) {
                Some((group, _, base)) => visit(group, base, Bytes::copy_from_slice(value)),
                None => true,
            },
        )
    }
}
