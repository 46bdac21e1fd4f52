//! Whose a group is that several directories hold something of: asked when they are opened, before anything runs.

use crate::raft::ports::GroupId;
use crate::storage::error::Error;
use crate::storage::families::Family;
use crate::storage::keys;
use crate::storage::rows::MoveId;
use crate::storage::shard::Shard;
use std::collections::{BTreeMap, BTreeSet};

const TAKEN_OVER: &str = "another directory has taken it over";

/// A group that must not run in the directory at this place, and why. It lies there untouched.
#[derive(Clone, Debug)]
pub struct Aside {
    pub shard: usize,
    pub group: GroupId,
    pub reason: String,
}

/// A row of a move; one that cannot be read belongs to no move.
type Mark = Option<MoveId>;

/// What the directories hold of one group; places are those of the shards.
#[derive(Default)]
struct Traces {
    /// With a row of the group, in order.
    held: BTreeMap<usize, Option<Mark>>,
    arriving: BTreeMap<usize, Mark>,
}

/// Finishes or undoes the moves that the last end of this process interrupted. `all_open` when no directory is missing: else some
/// half copies are kept until they all are, because the owner may be in the missing one.
pub fn settle(shards: &[&Shard], all_open: bool) -> Result<Vec<Aside>, (usize, Error)> {
    let mut aside = Vec::new();
    for (group, traces) in traces(shards)? {
        aside.extend(settle_one(shards, group, &traces, all_open));
    }
    Ok(aside)
}

fn traces(shards: &[&Shard]) -> Result<BTreeMap<GroupId, Traces>, (usize, Error)> {
    let mut found: BTreeMap<GroupId, Traces> = BTreeMap::new();
    for (at, shard) in shards.iter().enumerate() {
        let marks = |range| marks(shard, range).map_err(|error| (at, error));
        let leaving = marks(keys::all_leaving())?;
        for (id, mark) in marks(keys::all_arriving())? {
            found.entry(id).or_default().arriving.insert(at, mark);
        }
        let damaged = shard.damaged().keys().copied();
        for id in shard.group_ids().into_iter().chain(damaged) {
            let mark = leaving.get(&id).copied();
            found.entry(id).or_default().held.insert(at, mark);
        }
    }
    found.retain(|_, traces| {
        let leaves = traces.held.values().any(Option::is_some);
        leaves || traces.held.len() > 1 || !traces.arriving.is_empty()
    });
    Ok(found)
}

fn marks(shard: &Shard, (from, to): (Vec<u8>, Vec<u8>)) -> Result<BTreeMap<GroupId, Mark>, Error> {
    let mut found = BTreeMap::new();
    shard
        .families
        .scan(Family::Rows, &from, &to, 0, &mut |key, row| {
            if let Some(id) = keys::parse_group(key) {
                found.insert(id, MoveId::decode(row).ok());
            }
            true
        })?;
    Ok(found)
}

fn settle_one(shards: &[&Shard], group: GroupId, traces: &Traces, all_open: bool) -> Vec<Aside> {
    let Traces { held, arriving } = traces;
    let aside = |shard: usize, reason: &str| Aside {
        shard,
        group,
        reason: reason.to_owned(),
    };
    let all_aside = |reason: &str| held.keys().map(|at| aside(*at, reason)).collect();
    let stay: Vec<usize> = places(held, Option::is_none);
    let owner = match stay[..] {
        [owner] => Some(owner),
        [] => {
            let is_unclaimed = |mark: &Option<Mark>| {
                let mark = mark.flatten();
                mark.is_some() && arriving.values().any(|arriving| *arriving == mark)
            };
            match places(held, is_unclaimed)[..] {
                [owner] => Some(owner),
                [] if held.is_empty() => None,
                _ => return all_aside("another directory has taken it over, and that is not open"),
            }
        }
        _ => return all_aside("several directories hold it: keep one of them only"),
    };
    if owner.is_none() && !all_open {
        return Vec::new();
    }
    if let Some(owner) = owner
        && held[&owner].is_some()
    {
        // Nothing was taken over. The other mark stays until this one is gone for good.
        if let Err(error) = shards[owner].stay(group) {
            tracing::error!(%group, %error, "cannot note that a replica stays where it is");
            let others = held.keys().filter(|at| **at != owner);
            return others.map(|at| aside(*at, TAKEN_OVER)).collect();
        }
    }
    let left: BTreeSet<usize> = held.keys().chain(arriving.keys()).copied().collect();
    let mut kept = Vec::new();
    for at in left.into_iter().filter(|at| Some(*at) != owner) {
        match shards[at].discard(group) {
            Ok(()) => tracing::info!(%group, "removed what a move had left of a replica"),
            Err(error) => {
                tracing::error!(%group, %error, "cannot remove what a move has left of a replica");
                kept.push(aside(at, TAKEN_OVER));
            }
        }
    }
    kept
}

fn places(
    held: &BTreeMap<usize, Option<Mark>>,
    wanted: impl Fn(&Option<Mark>) -> bool,
) -> Vec<usize> {
    let found = held.iter().filter(|(_, mark)| wanted(mark));
    found.map(|(at, _)| *at).collect()
}
