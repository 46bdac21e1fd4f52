//! What a directory is found to hold: its format, unfinished deletions, and the rows of its groups.

use crate::raft::ports::GroupId;
use crate::storage::error::Error;
use crate::storage::families::{Families, Family};
use crate::storage::ids::Offset;
use crate::storage::keys;
use crate::storage::rows::{GroupRow, Run};
use std::collections::BTreeMap;

/// The format of everything in a shard's directory taken together.
const FORMAT_VERSION: u8 = 2;

pub(super) fn check_format(families: &dyn Families) -> Result<(), Error> {
    match families.get(Family::Rows, keys::FORMAT)? {
        Some(version) if version[..] == [FORMAT_VERSION] => Ok(()),
        Some(version) => Err(Error::Version {
            found: version.first().copied().unwrap_or(0),
            supported: FORMAT_VERSION,
        }),
        None => {
            families.put(&[(keys::FORMAT.to_vec(), Some(vec![FORMAT_VERSION]))])?;
            Ok(families.flush()?)
        }
    }
}

pub(super) fn finish_deletions(families: &dyn Families) -> Result<(), Error> {
    let (from, to) = keys::all_deleting();
    let mut unfinished = Vec::new();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, _| {
        unfinished.extend(keys::parse_group(key));
        true
    })?;
    unfinished
        .into_iter()
        .try_for_each(|group| finish_deletion(families, group))
}

pub(in crate::storage) fn finish_deletion(
    families: &dyn Families,
    group: GroupId,
) -> Result<(), Error> {
    let from = keys::record(group, 0, Offset(0));
    let to = keys::record(GroupId(group.0 + 1), 0, Offset(0));
    for family in keys::families(group) {
        families.drop_range(family, &from, &to)?;
    }
    families.put(&[(keys::deleting(group), None)])?;
    Ok(())
}

pub(super) fn read_rows(
    families: &dyn Families,
    damaged: &mut BTreeMap<GroupId, Error>,
) -> Result<BTreeMap<GroupId, GroupRow>, Error> {
    let mut rows = BTreeMap::new();
    let (from, to) = keys::groups();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, value| {
        let Some(id) = keys::parse_group(key) else {
            return true;
        };
        match GroupRow::decode(value) {
            Ok(row) => {
                rows.insert(id, row);
            }
            Err(error) => {
                damaged.insert(
                    id,
                    Error::Row {
                        key: key.to_vec(),
                        error,
                    },
                );
            }
        }
        true
    })?;
    Ok(rows)
}

/// The runs of each group, oldest first.
pub(super) fn read_runs(
    families: &dyn Families,
    rows: &BTreeMap<GroupId, GroupRow>,
    damaged: &mut BTreeMap<GroupId, Error>,
) -> Result<BTreeMap<GroupId, Vec<Run>>, Error> {
    let mut runs: BTreeMap<GroupId, Vec<Run>> = BTreeMap::new();
    let (from, to) = keys::runs();
    families.scan(Family::Rows, &from, &to, 0, &mut |key, value| {
        let Some((id, ..)) = keys::parse_run(key).filter(|(id, ..)| rows.contains_key(id)) else {
            return true;
        };
        match Run::decode(value) {
            Ok(run) => runs.entry(id).or_default().push(run),
            Err(error) => {
                damaged.insert(
                    id,
                    Error::Row {
                        key: key.to_vec(),
                        error,
                    },
                );
            }
        }
        true
    })?;
    for (id, runs) in &mut runs {
        runs.sort_by_key(|run| run.base);
        if let Some(pair) = runs.windows(2).find(|pair| pair[0].next > pair[1].base) {
            let reason = format!(
                "run at offset {} ends at {}, the next starts at {}",
                pair[0].base, pair[0].next, pair[1].base
            );
            damaged.insert(*id, Error::Group { group: *id, reason });
        }
    }
    Ok(runs)
}
