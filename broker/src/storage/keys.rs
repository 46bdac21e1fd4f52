//! All keys' bytes. Numbers are big-endian so that rows sort as their numbers do.
//!
//! | family | key | value |
//! |---|---|---|
//! | records, packed | group u64, generation u32, base offset u64 | the entry's batches |
//! | rows | `g` group u64 | [`super::rows::GroupRow`] |
//! | rows | `r` group u64, generation u32, base offset u64 | [`super::rows::Run`] |
//! | rows | `x` group u64 | nothing: a group that is being deleted |
//! | rows | `m` group u64 | [`super::rows::MoveId`]: a copy of a group that another directory holds, on its way in |
//! | rows | `l` group u64 | [`super::rows::MoveId`]: a group that another directory is about to take over, or has |
//! | rows | `v` | the format version of the whole shard |

use super::families::{Family, PACKED_FAMILIES, RECORD_FAMILIES};
use super::ids::Offset;
use super::rows::Run;
use crate::raft::ports::GroupId;

pub const FORMAT: &[u8] = b"v";
const GROUP: u8 = b'g';
const RUN: u8 = b'r';
const DELETING: u8 = b'x';
const ARRIVING: u8 = b'm';
const LEAVING: u8 = b'l';

pub fn group(group: GroupId) -> Vec<u8> {
    prefixed(GROUP, group)
}

/// All group rows.
pub fn groups() -> (Vec<u8>, Vec<u8>) {
    (vec![GROUP], vec![GROUP + 1])
}

pub fn run(group: GroupId, run: &Run) -> Vec<u8> {
    let mut key = vec![RUN];
    key.extend(record(group, run.generation, run.base));
    key
}

/// All runs of all groups.
pub fn runs() -> (Vec<u8>, Vec<u8>) {
    (vec![RUN], vec![RUN + 1])
}

/// All runs of one group.
pub fn runs_of(group: GroupId) -> (Vec<u8>, Vec<u8>) {
    (prefixed(RUN, group), prefixed(RUN, GroupId(group.0 + 1)))
}

pub fn deleting(group: GroupId) -> Vec<u8> {
    prefixed(DELETING, group)
}

/// All groups whose deletion has begun.
pub fn all_deleting() -> (Vec<u8>, Vec<u8>) {
    (vec![DELETING], vec![DELETING + 1])
}

pub fn arriving(group: GroupId) -> Vec<u8> {
    prefixed(ARRIVING, group)
}

pub fn all_arriving() -> (Vec<u8>, Vec<u8>) {
    (vec![ARRIVING], vec![ARRIVING + 1])
}

pub fn leaving(group: GroupId) -> Vec<u8> {
    prefixed(LEAVING, group)
}

pub fn all_leaving() -> (Vec<u8>, Vec<u8>) {
    (vec![LEAVING], vec![LEAVING + 1])
}

pub fn record(group: GroupId, generation: u32, base: Offset) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    key.extend(group.0.to_be_bytes());
    key.extend(generation.to_be_bytes());
    key.extend(base.0.to_be_bytes());
    key
}

/// A run's records, as a range of keys.
pub fn records_of(group: GroupId, run: &Run) -> (Vec<u8>, Vec<u8>) {
    (
        record(group, run.generation, run.base),
        record(group, run.generation, run.next),
    )
}

/// Group, generation and base offset of a run's or a record's key.
pub fn parse_run(key: &[u8]) -> Option<(GroupId, u32, Offset)> {
    parse_record(key.strip_prefix(&[RUN])?)
}

/// The same of a record's key.
pub fn parse_record(key: &[u8]) -> Option<(GroupId, u32, Offset)> {
    let group = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    let generation = u32::from_be_bytes(key.get(8..12)?.try_into().ok()?);
    let base = i64::from_be_bytes(key.get(12..)?.try_into().ok()?);
    Some((GroupId(group), generation, Offset(base)))
}

/// The group of a key that is a letter and a group.
pub fn parse_group(key: &[u8]) -> Option<GroupId> {
    Some(GroupId(u64::from_be_bytes(key.get(1..)?.try_into().ok()?)))
}

/// The family that holds a run.
pub fn family(group: GroupId, run: &Run) -> Family {
    run.packed.map_or(record_family(group), Family::Packed)
}

pub fn record_family(group: GroupId) -> Family {
    Family::Records((group.0 % u64::from(RECORD_FAMILIES)) as u8)
}

/// The packed families, the one first that a group's runs go to as long as it takes them.
pub fn packed_families(group: GroupId) -> impl Iterator<Item = u8> {
    (0..PACKED_FAMILIES).map(move |n| {
        let at = group.0.wrapping_add(u64::from(n)) % u64::from(PACKED_FAMILIES);
        at as u8
    })
}

/// Wherever runs of a group may lie.
pub fn families(group: GroupId) -> impl Iterator<Item = Family> {
    let packed = packed_families(group).map(Family::Packed);
    std::iter::once(record_family(group)).chain(packed)
}

fn prefixed(letter: u8, group: GroupId) -> Vec<u8> {
    let mut key = Vec::with_capacity(21);
    key.push(letter);
    key.extend(group.0.to_be_bytes());
    key
}
