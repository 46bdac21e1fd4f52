//! A group that moves between two directories, under a crash at every operation of either.

use super::rig::{Rig, group};
use crate::storage::Error;
use crate::storage::families::{Families as _, Family};
use crate::storage::ids::Offset;
use crate::storage::keys;
use crate::storage::moving::{Aside, Copied, Failed, settle};
use crate::storage::rows::MoveId;
use bytes::Bytes;
use std::collections::BTreeMap;

/// The group that moves. The others stay where they are, and share everything with it.
const MOVED: u64 = 1;

struct Pair {
    a: Rig,
    b: Rig,
}

/// What was promised so far: a crash must not take it back.
#[derive(Clone, Default)]
struct Promised {
    log_end: BTreeMap<u64, Offset>,
    log_start: Offset,
}

#[derive(Clone, Copy, Debug)]
enum Device {
    DiskA,
    FamiliesA,
    DiskB,
    FamiliesB,
}

impl Pair {
    fn new() -> Pair {
        let pair = Pair {
            a: Rig::new(),
            b: Rig::new(),
        };
        pair.a.create(&[MOVED, 2]);
        pair.b.create(&[3]);
        pair
    }

    fn fail_after(&self, device: Device, ops: u64) {
        match device {
            Device::DiskA => self.a.disk.fail_after_ops(self.a.disk.ops() + ops),
            Device::DiskB => self.b.disk.fail_after_ops(self.b.disk.ops() + ops),
            Device::FamiliesA => self.a.families.fail_after_ops(self.a.families.ops() + ops),
            Device::FamiliesB => self.b.families.fail_after_ops(self.b.families.ops() + ops),
        }
    }

    fn crash(self, seed: u64) -> Pair {
        let open = |rig: Rig, seed| {
            rig.crash(seed)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        };
        Pair {
            a: open(self.a, seed),
            b: open(self.b, seed ^ 0xb),
        }
    }

    fn settle(&self) -> Vec<Aside> {
        settle(&[&self.a.shard, &self.b.shard], true).expect("the directories can be read")
    }

    /// The directory that holds the group, and the other one.
    fn sides(&self) -> (&Rig, &Rig) {
        let here = self.a.shard.group(group(MOVED)).is_ok();
        let there = self.b.shard.group(group(MOVED)).is_ok();
        match (here, there) {
            (true, false) => (&self.a, &self.b),
            (false, true) => (&self.b, &self.a),
            both => panic!("the group must be in one directory, and is in {both:?}"),
        }
    }

    fn set_log_start(&mut self, offset: i64) {
        for rig in [&mut self.a, &mut self.b] {
            rig.log_start.insert(group(MOVED), Offset(offset));
        }
    }
}

fn append(rig: &Rig, id: u64, bytes: usize, promised: &mut Promised) -> Result<(), Error> {
    let base = rig.append(id, 2, bytes)?;
    promised.log_end.insert(id, base + 2);
    Ok(())
}

fn copy_all(from: &Rig, to: &Rig) -> Result<(), Error> {
    while to.shard.copy_runs(&from.shard, group(MOVED), &mut |_| ())? != Copied::All {}
    Ok(())
}

/// One whole move, as the engine does it.
fn move_over(from: &Rig, to: &Rig, move_id: u64, promised: &mut Promised) -> Result<(), Error> {
    let id = group(MOVED);
    to.shard.arrive(id, MoveId(move_id))?;
    copy_all(from, to)?;
    for _ in 0..3 {
        append(from, MOVED, 1000, promised)?;
        append(to, 3, 100, promised).or_else(|error| match error {
            // It lives in the other directory when the group moves back.
            Error::UnknownGroup(_) => append(from, 3, 100, promised),
            error => Err(error),
        })?;
    }
    from.seal(&[MOVED])?;
    from.shard.expire(&from.checkpoint(MOVED))?;
    append(from, MOVED, 100, promised)?;
    copy_all(from, to)?;
    match to.shard.take_over(&from.shard, &from.checkpoint(MOVED)) {
        Ok(_) => from.shard.delete(id),
        Err(Failed::Behind) => panic!("nothing has changed since it was copied"),
        Err(Failed::Kept(error) | Failed::Unknown(error)) => Err(error),
    }
}

/// Appends, seals, moves there, goes on there, and moves back; stops at the first failure.
fn script(pair: &mut Pair, promised: &mut Promised) -> Result<(), Error> {
    for _ in 0..12 {
        append(&pair.a, MOVED, 1000, promised)?;
        append(&pair.a, 2, 100, promised)?;
    }
    pair.a.seal(&[MOVED, 2])?;
    append(&pair.a, MOVED, 100, promised)?;
    pair.a.seal(&[MOVED])?;
    append(&pair.a, MOVED, 0, promised)?;
    // A first try is given up.
    pair.b.shard.arrive(group(MOVED), MoveId(6))?;
    pair.b
        .shard
        .copy_runs(&pair.a.shard, group(MOVED), &mut |_| ())?;
    pair.a.shard.stay(group(MOVED))?;
    pair.b.shard.discard(group(MOVED))?;
    pair.set_log_start(14);
    promised.log_start = Offset(14);
    move_over(&pair.a, &pair.b, 7, promised)?;
    for _ in 0..12 {
        append(&pair.b, MOVED, 1000, promised)?;
        append(&pair.a, 2, 1000, promised)?;
    }
    pair.a.seal(&[2])?;
    pair.b.seal(&[MOVED, 3])?;
    move_over(&pair.b, &pair.a, 8, promised)?;
    append(&pair.a, MOVED, 1000, promised)?;
    pair.a.seal(&[MOVED])
}

fn check(pair: &Pair, promised: &Promised) {
    for rig in [&pair.a, &pair.b] {
        assert!(rig.shard.damaged().is_empty(), "{:?}", rig.shard.damaged());
    }
    let (owner, other) = pair.sides();
    check_log(owner, MOVED, promised);
    check_nothing_is_left(other);
    for (rig, id) in [(&pair.a, 2), (&pair.b, 3)] {
        check_log(rig, id, promised);
    }
}

fn check_log(rig: &Rig, id: u64, promised: &Promised) {
    let (end, found) = (
        promised.log_end.get(&id).copied().unwrap_or_default(),
        rig.log_end(id),
    );
    assert!(
        found >= end && found <= end + 2,
        "group {id}: {found} is the end, {end} was promised, and one entry more may be there"
    );
    let from = match id {
        MOVED => promised.log_start,
        _ => Offset(0),
    };
    rig.check_dense(id, from.min(found), 3000);
}

/// But for records in packed families, which a crash may bring back after any deletion: the next arrival drops them.
fn check_nothing_is_left(rig: &Rig) {
    let id = group(MOVED);
    let mut found = Vec::new();
    let mut look = |family, from: &[u8], to: &[u8]| {
        let mut push = |key: &[u8], _: &[u8]| {
            found.push((family, key.to_vec()));
            true
        };
        rig.families
            .scan(family, from, to, 0, &mut push)
            .expect("scan");
    };
    let record = |id| keys::record(group(id), 0, Offset(0));
    look(keys::record_family(id), &record(MOVED), &record(MOVED + 1));
    let (from, to) = keys::runs_of(id);
    look(Family::Rows, &from, &to);
    for key in [
        keys::group(id),
        keys::arriving(id),
        keys::leaving(id),
        keys::deleting(id),
    ] {
        let end = [&key[..], &[0]].concat();
        look(Family::Rows, &key, &end);
    }
    assert_eq!(found, [], "of the group that is elsewhere");
}

/// One directory alone is opened first: the group must not go on there unless all that was promised is there.
fn open_one_first(pair: &Pair, seed: u64, promised: &mut Promised) {
    let (rig, name) = match seed % 4 {
        0 => (&pair.a, "a"),
        1 => (&pair.b, "b"),
        _ => return,
    };
    let aside = settle(&[&rig.shard], false).expect("the directory can be read");
    if rig.shard.group(group(MOVED)).is_err() || !aside.is_empty() {
        return;
    }
    let end = promised.log_end.get(&MOVED).copied().unwrap_or_default();
    assert!(
        rig.log_end(MOVED) >= end,
        "directory {name} alone goes on although it lacks what was promised"
    );
    append(rig, MOVED, 100, promised).expect("it goes on");
}

/// Runs the script with a failure after `ops` operations of `device`, crashes, checks, and goes on. True when it did not fail.
fn crash_after(device: Device, ops: u64, seed: u64) -> bool {
    let mut pair = Pair::new();
    let mut promised = Promised::default();
    pair.fail_after(device, ops);
    let ended = script(&mut pair, &mut promised).is_ok();
    let pair = pair.crash(seed);
    open_one_first(&pair, seed, &mut promised);
    let pair = pair.crash(seed + 1);
    let aside = pair.settle();
    assert!(aside.is_empty(), "{device:?} after {ops}: {aside:?}");
    check(&pair, &promised);
    // What the crash left must not be in the way.
    let (owner, other) = pair.sides();
    append(owner, MOVED, 1000, &mut promised).expect("append");
    owner.seal(&[MOVED]).expect("seal");
    owner.check_every_row_is_named(MOVED);
    let id = group(MOVED);
    other.shard.arrive(id, MoveId(9)).expect("arrive");
    copy_all(owner, other).expect("copy");
    other
        .shard
        .take_over(&owner.shard, &owner.checkpoint(MOVED))
        .expect("it can be moved again");
    owner.shard.delete(id).expect("delete");
    other.check_every_row_is_named(MOVED);
    check(&pair, &promised);
    let pair = pair.crash(seed + 2);
    assert!(pair.settle().is_empty());
    check(&pair, &promised);
    ended
}

fn crash_everywhere(device: Device, at_least: u64) {
    for seeds in 0..4 {
        let ended = (0..)
            .find(|ops| crash_after(device, *ops, ops * 5 + seeds))
            .expect("the script ends");
        assert!(ended > at_least, "the script has only {ended} operations");
    }
}

#[test]
fn no_crash_of_the_log_it_leaves_takes_back_what_was_acknowledged() {
    crash_everywhere(Device::DiskA, 80);
}

#[test]
fn no_crash_of_the_log_it_enters_takes_back_what_was_acknowledged() {
    crash_everywhere(Device::DiskB, 50);
}

#[test]
fn no_crash_of_the_families_it_leaves_loses_or_doubles_anything() {
    crash_everywhere(Device::FamiliesA, 40);
}

#[test]
fn no_crash_of_the_families_it_enters_loses_or_doubles_anything() {
    crash_everywhere(Device::FamiliesB, 40);
}

/// Everything but the deletion of what is left behind.
fn taken_over(promised: &mut Promised) -> Pair {
    let pair = Pair::new();
    for _ in 0..12 {
        append(&pair.a, MOVED, 1000, promised).expect("append");
    }
    pair.a.seal(&[MOVED]).expect("seal");
    append(&pair.a, MOVED, 100, promised).expect("append");
    let id = group(MOVED);
    pair.b.shard.arrive(id, MoveId(7)).expect("arrive");
    copy_all(&pair.a, &pair.b).expect("copy");
    pair.b
        .shard
        .take_over(&pair.a.shard, &pair.a.checkpoint(MOVED))
        .expect("it is taken over");
    pair
}

#[test]
fn a_directory_that_was_left_does_not_go_on_alone() {
    let mut promised = Promised::default();
    let pair = taken_over(&mut promised);
    append(&pair.b, MOVED, 100, &mut promised).expect("append");
    let pair = pair.crash(1);
    let aside = settle(&[&pair.a.shard], false).expect("it can be read");
    let ids: Vec<_> = aside.iter().map(|aside| aside.group).collect();
    assert_eq!(ids, [group(MOVED)]);
    assert!(
        settle(&[&pair.b.shard], false)
            .expect("it can be read")
            .is_empty()
    );
    assert!(pair.settle().is_empty());
    assert!(pair.b.shard.group(group(MOVED)).is_ok());
    check_log(&pair.b, MOVED, &promised);
    check_nothing_is_left(&pair.a);
}

#[test]
fn nothing_is_removed_while_the_owner_may_be_in_a_directory_that_is_missing() {
    let mut promised = Promised::default();
    let pair = Pair::new();
    append(&pair.a, MOVED, 1000, &mut promised).expect("append");
    let id = group(MOVED);
    pair.b.shard.arrive(id, MoveId(7)).expect("arrive");
    let mark = |pair: &Pair| {
        let key = keys::arriving(id);
        let row = pair.b.families.get(Family::Rows, &key);
        row.expect("it can be read").is_some()
    };
    let pair = pair.crash(1);
    let alone = settle(&[&pair.b.shard], false).expect("it can be read");
    assert!(alone.is_empty() && mark(&pair));
    assert!(pair.settle().is_empty());
    assert!(!mark(&pair), "the owner is there and does not leave");
    check(&pair, &promised);
}

#[test]
fn a_copy_that_fell_behind_is_not_taken_over_and_the_group_goes_on() {
    let mut promised = Promised::default();
    let pair = Pair::new();
    for _ in 0..12 {
        append(&pair.a, MOVED, 1000, &mut promised).expect("append");
    }
    let id = group(MOVED);
    pair.b.shard.arrive(id, MoveId(7)).expect("arrive");
    copy_all(&pair.a, &pair.b).expect("copy");
    pair.a.seal(&[MOVED]).expect("seal");
    let over = |pair: &Pair| {
        let checkpoint = pair.a.checkpoint(MOVED);
        pair.b.shard.take_over(&pair.a.shard, &checkpoint).map(drop)
    };
    assert!(matches!(over(&pair), Err(Failed::Behind)));
    append(&pair.a, MOVED, 1000, &mut promised).expect("it goes on");
    pair.a.seal(&[MOVED]).expect("it is sealed as ever");
    copy_all(&pair.a, &pair.b).expect("copy");
    assert!(over(&pair).is_ok());
    check_log(&pair.b, MOVED, &promised);
}

#[test]
fn a_group_that_two_directories_claim_runs_in_neither() {
    let pair = Pair::new();
    pair.b.create(&[MOVED]);
    let aside = pair.settle();
    let found: Vec<_> = aside
        .iter()
        .map(|aside| (aside.shard, aside.group))
        .collect();
    assert_eq!(found, [(0, group(MOVED)), (1, group(MOVED))]);
    assert!(pair.a.shard.group(group(MOVED)).is_ok());
    assert!(pair.b.shard.group(group(MOVED)).is_ok());
}

#[test]
fn what_log_compaction_rewrites_during_a_move_is_what_arrives() {
    let mut promised = Promised::default();
    let pair = Pair::new();
    for _ in 0..10 {
        append(&pair.a, MOVED, 1000, &mut promised).expect("append");
    }
    pair.a.seal(&[MOVED]).expect("seal");
    pair.a.seal(&[MOVED]).expect("seal the rest");
    let id = group(MOVED);
    pair.b.shard.arrive(id, MoveId(7)).expect("arrive");
    copy_all(&pair.a, &pair.b).expect("copy");
    let (runs, _) = pair.a.shard.sealed_runs(id).expect("runs");
    let mut kept = Vec::new();
    for run in &runs {
        let keep = &mut |base: Offset, data: &[u8]| {
            if base.0 % 4 == 0 {
                kept.push((base, Bytes::copy_from_slice(data), base.0));
            }
            true
        };
        pair.a.shard.scan_run(id, run, keep).expect("scan");
    }
    let upto = runs.last().expect("a run").next;
    let bases: Vec<i64> = kept.iter().map(|(base, ..)| base.0).collect();
    assert!(
        pair.a
            .shard
            .replace_runs(id, &runs, kept, upto)
            .expect("compact")
    );
    copy_all(&pair.a, &pair.b).expect("copy");
    pair.b
        .shard
        .take_over(&pair.a.shard, &pair.a.checkpoint(MOVED))
        .expect("it is taken over");
    pair.a.shard.delete(id).expect("delete");
    let pair = pair.crash(1);
    assert!(pair.settle().is_empty());
    let (arrived, cleaned_to) = pair.b.shard.sealed_runs(id).expect("runs");
    assert!(arrived.iter().all(|run| run.generation == 1), "{arrived:?}");
    assert_eq!(cleaned_to, upto);
    let read = pair.b.read(MOVED, Offset(0), upto, 1 << 20).expect("read");
    let found: Vec<i64> = read.iter().map(|batch| batch.base_offset).collect();
    assert_eq!(found, bases);
    pair.b.check_every_row_is_named(MOVED);
}
