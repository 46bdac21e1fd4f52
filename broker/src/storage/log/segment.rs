//! The files of a log: their names, the live ones that readers share with the writer, and the spare ones.

use super::Error;
use super::format::SegmentHeader;
use crate::storage::disk::{Disk, DiskFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) fn name(number: u64) -> String {
    format!("{number:020}.log")
}

/// What a name in the directory means; `None` for what is not the log's.
pub(super) fn parse_name(name: &str) -> Option<FileName> {
    let (number, kind) = name.split_once('.')?;
    if number.len() != 20 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    match kind {
        "log" => Some(FileName::Segment(number)),
        "spare" => Some(FileName::Spare(number)),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileName {
    Segment(u64),
    Spare(u64),
}

/// A segment with a valid header.
pub(super) struct Segment {
    pub name: String,
    pub header: SegmentHeader,
    pub len: u64,
    pub file: Arc<dyn DiskFile>,
}

/// The segments that hold records, by number: the writer changes them, readers look them up.
#[derive(Clone, Default)]
pub(super) struct Live(Arc<RwLock<BTreeMap<u64, Arc<Segment>>>>);

impl Live {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Arc<Segment>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Arc<Segment>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Segment>> {
        self.read().get(&number).cloned()
    }
}

/// Preallocated files that wait to become segments. What they hold is of no interest.
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    /// By a number that means nothing but that no two have the same.
    numbers: BTreeSet<u64>,
}

impl Spares {
    pub(super) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Spares {
        Spares {
            disk,
            segment_bytes,
            numbers: BTreeSet::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Counts the file of that number as a spare, or removes it if it is not one (any more): cut short by a crash or
    /// of another size than is asked for now, or one too many.
    pub(super) fn adopt(&mut self, number: u64, keep: usize) -> Result<(), Error> {
        let name = spare_name(number);
        let len = self.disk.open(&name).and_then(|file| file.len());
        let len = len.map_err(|error| Error::io("open", &name, &error))?;
        if len == self.segment_bytes && self.count() < keep {
            self.numbers.insert(number);
            Ok(())
        } else {
            remove(&*self.disk, &name)
        }
    }

    /// Makes files until there are `count`.
    pub(super) fn provide(&mut self, count: usize) -> Result<(), Error> {
        while self.count() < count {
            let number = self.unused();
            let name = spare_name(number);
            match self.disk.create(&name, self.segment_bytes) {
                Ok(_) => self.numbers.insert(number),
                Err(error) => match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                        return Err(Error::Full {
                            needed_bytes: self.segment_bytes,
                        });
                    }
                    _ => return Err(Error::io("create", &name, &error)),
                },
            };
        }
        Ok(())
    }

    /// Turns a spare into the file `name`.
    pub(super) fn take(&mut self, name: &str) -> Result<Arc<dyn DiskFile>, Error> {
        self.provide(1)?;
        let number = self.numbers.pop_first().unwrap_or_default();
        let spare = spare_name(number);
        self.disk
            .rename(&spare, name)
            .map_err(|error| Error::io("rename", &spare, &error))?;
        self.disk
            .open(name)
            .map_err(|error| Error::io("open", name, &error))
    }

    /// Turns `segment`, which nobody needs any more, into a spare, or removes it if there are `keep`.
    pub(super) fn recycle(&mut self, segment: &Segment, keep: usize) -> Result<(), Error> {
        if segment.len != self.segment_bytes || self.count() >= keep {
            return remove(&*self.disk, &segment.name);
        }
        let number = self.unused();
        self.disk
            .rename(&segment.name, &spare_name(number))
            .map_err(|error| Error::io("rename", &segment.name, &error))?;
        self.numbers.insert(number);
        Ok(())
    }

    fn unused(&self) -> u64 {
        (0..)
            .find(|number| !self.numbers.contains(number))
            .unwrap_or_default()
    }
}

pub(super) fn remove(disk: &dyn Disk, name: &str) -> Result<(), Error> {
    disk.remove(name)
        .map_err(|error| Error::io("remove", name, &error))
}

fn spare_name(number: u64) -> String {
    format!("{number:020}.spare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_logs_own_names_are_recognised() {
        let log = "00000000000000000007.log";
        assert_eq!(name(7), log);
        assert_eq!(parse_name(log), Some(FileName::Segment(7)));
        assert_eq!(parse_name(&spare_name(8)), Some(FileName::Spare(8)));
        let largest = "18446744073709551615.log";
        assert_eq!(parse_name(largest), Some(FileName::Segment(u64::MAX)));
        for foreign in [
            "7.log",
            "00000000000000000007.logs",
            "00000000000000000007",
            "+0000000000000000007.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }
}
