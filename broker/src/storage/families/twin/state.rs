//! What the twin holds: what readers see, what is durable, and what a crash takes.

use super::super::{Error, Family, RowChange};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::Included;

type Table = BTreeMap<Vec<u8>, Bytes>;

#[derive(Default)]
pub(super) struct State {
    pub(super) boot: u64,
    /// What readers see, by family. The ingested ones are durable but for `dropped`.
    pub(super) tables: BTreeMap<Family, Table>,
    /// The rows as of the last flush, and what was done to them since, oldest first.
    pub(super) flushed: Table,
    pub(super) unflushed: Vec<Change>,
    /// What was dropped from the packed families since the last flush, oldest first.
    pub(super) dropped: Vec<Dropped>,
    pub(super) damaged: BTreeSet<(Family, Vec<u8>)>,
    /// Packed families that new runs should not go to, until a crash or until they are renewed.
    pub(super) held: BTreeSet<Family>,
    pub(super) ops: u64,
    pub(super) fail_after_ops: Option<u64>,
    pub(super) capacity: Option<u64>,
}

pub(super) enum Change {
    Put(Vec<RowChange>),
    Drop { from: Vec<u8>, to: Vec<u8> },
}

pub(super) struct Dropped {
    pub(super) family: Family,
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    pub(super) rows: Table,
}

impl State {
    pub(super) fn table(&self, family: Family) -> Option<&Table> {
        self.tables.get(&family)
    }

    pub(super) fn bytes(&self) -> u64 {
        let tables = self.tables.values();
        tables.flatten().map(|(k, v)| size(k, v)).sum()
    }

    /// Files of record families are disjoint, so there not even the gaps between a file's rows may be filled.
    pub(super) fn refuse_present(
        &self,
        family: Family,
        rows: &[(Vec<u8>, Bytes)],
    ) -> Result<(), Error> {
        let (Some(table), Some(first), Some(last)) =
            (self.table(family), rows.first(), rows.last())
        else {
            return Ok(());
        };
        let present = match family {
            Family::Records(_) => {
                let range = (Included(&*first.0), Included(&*last.0));
                table.range::<[u8], _>(range).next().is_some()
            }
            _ => rows.iter().any(|(key, _)| table.contains_key(key)),
        };
        match present {
            true => Err(failed(format!("{family:?} has rows in the ingested range"))),
            false => Ok(()),
        }
    }

    pub(super) fn refuse_full(&self, more: u64) -> Result<(), Error> {
        let full = self
            .capacity
            .is_some_and(|all| self.bytes().saturating_add(more) > all);
        match full {
            true => Err(failed("no space left")),
            false => Ok(()),
        }
    }

    pub(super) fn refuse_damaged(&self, family: Family, key: &[u8]) -> Result<(), Error> {
        match self.damaged.contains(&(family, key.to_vec())) {
            true => Err(Error::Corrupt {
                path: "the twin".into(),
                reason: format!("checksum mismatch in {family:?} at row {key:02x?}"),
            }),
            false => Ok(()),
        }
    }

    /// Brings back what all but a prefix of the unflushed drops of `family` took.
    pub(super) fn forget_drops(&mut self, family: Family, below: &mut dyn FnMut(usize) -> usize) {
        let drops = self.dropped.iter().filter(|d| d.family == family);
        let kept = below(drops.clone().count() + 1);
        let table = self.tables.entry(family).or_default();
        for dropped in drops.skip(kept) {
            for (key, value) in &dropped.rows {
                table.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

impl Change {
    pub(super) fn apply(&self, rows: &mut Table) {
        match self {
            Change::Drop { from, to } => drop(cut(rows, from, to)),
            Change::Put(changes) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => rows.insert(key.clone(), Bytes::copy_from_slice(value)),
                        None => rows.remove(key),
                    };
                }
            }
        }
    }
}

/// Takes the rows with `from <= key < to` out of `table`.
pub(super) fn cut(table: &mut Table, from: &[u8], to: &[u8]) -> Table {
    let mut taken = table.split_off(from);
    let mut behind = taken.split_off(to);
    table.append(&mut behind);
    taken
}

pub(super) fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

pub(super) fn failed(reason: impl Into<String>) -> Error {
    Error::Io {
        path: "the twin".into(),
        reason: reason.into(),
    }
}
