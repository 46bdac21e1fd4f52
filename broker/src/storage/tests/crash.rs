//! A crash at every operation of everything that changes the directory: appends, sealing, retention, compaction, deletion.

use super::rig::{Rig, group};
use crate::storage::Error;
use crate::storage::ids::Offset;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What was promised so far: a crash must not take it back.
#[derive(Clone, Default)]
struct Promised {
    log_end: BTreeMap<u64, Offset>,
    log_start: BTreeMap<u64, Offset>,
    deleted: bool,
}

/// Does a bit of everything; stops at the first failure. Group 3 is the one that is deleted.
fn script(rig: &mut Rig, promised: &mut Promised) -> Result<(), Error> {
    for round in 0..6 {
        for _ in 0..4 {
            for id in [1, 2, 3] {
                if id == 3 && promised.deleted {
                    continue;
                }
                let bytes = if id == 1 { 1000 } else { 100 };
                let base = rig.append(id, 2, bytes)?;
                promised.log_end.insert(id, base + 2);
            }
        }
        match round {
            1 | 3 => rig.seal(&[1, 2])?,
            2 => {
                rig.seal(&[1])?;
                rig.log_start.insert(group(1), Offset(8));
                promised.log_start.insert(1, Offset(8));
                rig.shard.expire(&rig.checkpoint(1))?;
            }
            4 => {
                promised.deleted = true;
                rig.shard.delete(group(3))?;
                let ids: Vec<u64> = rig
                    .shard
                    .oldest_groups()
                    .iter()
                    .map(|group| group.0)
                    .collect();
                rig.seal(&ids)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check(rig: &Rig, promised: &Promised) {
    assert!(rig.shard.damaged().is_empty(), "{:?}", rig.shard.damaged());
    for (id, end) in &promised.log_end {
        if *id == 3 && promised.deleted {
            // Its deletion was asked for, and may or may not have happened; half of it must not show.
            if rig.shard.group(group(3)).is_err() {
                continue;
            }
        }
        let found = rig.log_end(*id);
        assert!(
            found >= *end,
            "group {id}: {found} is the end, {end} was promised"
        );
        assert!(
            found <= *end + 2,
            "group {id}: {found} is the end, nothing above {end} was written but one entry"
        );
        let log = rig.shard.start(group(*id)).expect("start").log;
        assert!(
            log.hard_state().commit + 1 >= log.first_index(),
            "raft refuses to start with a commit below its log"
        );
        rig.check_dense(
            *id,
            promised.log_start.get(id).copied().unwrap_or_default(),
            3000,
        );
    }
}

fn prepared() -> Rig {
    let rig = Rig::new();
    rig.create(&[1, 2, 3]);
    rig
}

/// Runs the script with a failure after `ops` operations of the disk or the families, crashes, checks, and goes on.
fn crash_after(ops: u64, in_families: bool, seed: u64) -> bool {
    let mut rig = prepared();
    let mut promised = Promised::default();
    if in_families {
        rig.families.fail_after_ops(rig.families.ops() + ops);
    } else {
        rig.disk.fail_after_ops(rig.disk.ops() + ops);
    }
    let ended = script(&mut rig, &mut promised).is_ok();
    let rig = rig
        .crash(seed)
        .unwrap_or_else(|error| panic!("ops {ops}, seed {seed}: {error}"));
    check(&rig, &promised);
    if promised.deleted && rig.shard.group(group(3)).is_ok() {
        promised.deleted = false;
        rig.shard
            .delete(group(3))
            .expect("deletion can be asked for again");
        promised.deleted = true;
    }
    // What the crash left must not be in the way.
    for id in [1, 2] {
        let base = rig.append(id, 2, 100).expect("append");
        promised.log_end.insert(id, base + 2);
    }
    rig.seal(&[1, 2]).expect("seal");
    check(&rig, &promised);
    let rig = rig.crash(seed + 1).expect("reopen");
    check(&rig, &promised);
    ended
}

#[test]
fn no_crash_of_the_log_takes_back_what_was_synced() {
    let ended = (0..)
        .find(|ops| crash_after(*ops, false, *ops))
        .expect("the script ends");
    assert!(ended > 60, "the script has only {ended} operations");
}

#[test]
fn no_crash_between_two_arrows_of_sealing_loses_or_doubles_anything() {
    let ended = (0..)
        .find(|ops| crash_after(*ops, true, *ops))
        .expect("the script ends");
    assert!(ended > 15, "the script has only {ended} operations");
}

#[test]
fn a_crash_in_log_compaction_leaves_the_old_run_or_the_new_one() {
    for ops in 0.. {
        let rig = prepared();
        for _ in 0..10 {
            rig.append(1, 2, 1000).expect("append");
        }
        rig.seal(&[1]).expect("seal");
        rig.seal(&[1]).expect("seal the rest");
        let (runs, _) = rig.shard.sealed_runs(group(1)).expect("runs");
        let mut kept = Vec::new();
        for run in &runs {
            let keep = &mut |base: Offset, data: &[u8]| {
                if base.0 % 4 == 0 {
                    kept.push((base, Bytes::copy_from_slice(data), base.0));
                }
                true
            };
            rig.shard.scan_run(group(1), run, keep).expect("scan");
        }
        let upto = runs.last().expect("a run").next;
        rig.families.fail_after_ops(rig.families.ops() + ops);
        let done = rig
            .shard
            .replace_runs(group(1), &runs, kept.clone(), upto)
            .is_ok();
        let rig = rig.crash(ops).expect("reopen");
        let (now, cleaned_to) = rig.shard.sealed_runs(group(1)).expect("runs");
        let bases = |rig: &Rig| -> Vec<i64> {
            let read = rig.read(1, Offset(0), upto, 1 << 20).expect("read");
            read.iter().map(|batch| batch.base_offset).collect()
        };
        let found = bases(&rig);
        if cleaned_to == upto {
            assert_eq!(
                found,
                kept.iter().map(|(base, ..)| base.0).collect::<Vec<_>>(),
                "after {ops} operations"
            );
            let kept = kept.clone();
            assert!(
                rig.shard
                    .replace_runs(group(1), &now, kept, upto)
                    .expect("and again")
            );
        } else {
            assert_eq!(now, runs);
            assert_eq!(found.len(), 10, "after {ops} operations");
            assert!(
                rig.shard
                    .replace_runs(group(1), &now, kept, upto)
                    .expect("compaction can be done again")
            );
            assert_eq!(bases(&rig).len(), 5);
        }
        rig.check_every_row_is_named(1);
        if done {
            assert!(ops >= 4, "compaction has only {ops} operations");
            return;
        }
    }
}
