//! What only a replica among others meets: entries that are committed before they are durable, snapshots on their way, groups
//! that leave and come back, records of others.

use super::rig::{Rig, batch, group};
use crate::raft::ports::{GroupLog as _, Write};
use crate::storage::entry::{EntryHeader, EntryKind, SnapshotHeader};
use crate::storage::ids::Offset;
use crate::storage::import::Import;
use bytes::Bytes;
use raft::eraftpb::{Entry, HardState, Snapshot};

fn snapshot(index: u64, next_offset: Offset, log_start: Offset) -> Snapshot {
    let header = SnapshotHeader {
        next_offset,
        log_start,
    };
    let mut snapshot = Snapshot {
        data: Bytes::copy_from_slice(&header.encode()),
        ..Snapshot::default()
    };
    let metadata = snapshot.mut_metadata();
    metadata.index = index;
    metadata.term = 1;
    metadata.mut_conf_state().voters = vec![1];
    snapshot
}

fn entry(index: u64, base: Offset, bytes: usize) -> Entry {
    let header = EntryHeader {
        kind: EntryKind::Batches,
        base_offset: base,
        offsets: 1,
        max_timestamp_ms: base.0,
    };
    Entry {
        index,
        term: 1,
        context: header.encode(),
        data: batch(base, 1, bytes),
        ..Entry::default()
    }
}

fn hard_state(commit: u64) -> HardState {
    HardState {
        term: 1,
        vote: 1,
        commit,
        ..HardState::default()
    }
}

fn assert_sound(rig: &Rig, id: u64) {
    assert!(rig.shard.damaged().is_empty(), "{:?}", rig.shard.damaged());
    let start = rig.shard.start(group(id)).expect("the group is there");
    assert!(start.applied + 1 >= start.log.first_index());
    assert!(start.log.hard_state().commit <= start.log.last_index());
}

#[test]
fn a_place_in_the_log_is_not_used_again_after_a_crash_took_what_was_there() {
    for seed in 0..40 {
        let rig = Rig::new();
        rig.create(&[1]);
        rig.append_unsynced(1, 1, 100).expect("append");
        // Its row says that nothing of it lies before the place where the log ends now.
        rig.create(&[2]);
        let rig = rig.crash(seed).expect("reopen");
        rig.append(2, 2, 0).expect("append");
        let rig = rig.crash(seed).expect("reopen");
        assert_eq!(rig.log_end(2), Offset(2), "seed {seed}");
    }
}

#[test]
fn what_a_crash_left_of_a_seal_is_swept_although_records_expired_meanwhile() {
    let mut rig = Rig::new();
    rig.create(&[1]);
    rig.append(1, 2, 100).expect("append");
    rig.seal(&[1]).expect("seal");
    rig.append(1, 2, 100).expect("append");
    // The file is ingested, its row is not written.
    rig.families.fail_after_ops(rig.families.ops() + 1);
    assert!(rig.seal(&[1]).is_err());
    rig = rig.crash(1).expect("reopen");
    rig.log_start.insert(group(1), Offset(2));
    rig.shard.expire(&rig.checkpoint(1)).expect("expire");
    rig.append(1, 1, 100).expect("append");
    rig.seal(&[1]).expect("seal again");
    assert_eq!(rig.shard.sealed_runs(group(1)).expect("runs").0.len(), 1);
    rig.check_dense(1, Offset(2), 1 << 20);
}

#[test]
fn a_seal_between_staging_and_installing_a_snapshot_changes_nothing() {
    let rig = Rig::new();
    rig.create(&[1]);
    rig.append(1, 2, 100).expect("append");
    let before = rig.checkpoint(1);
    let write = Write {
        snapshot: Some(snapshot(50, Offset(90), Offset(90))),
        ..Write::default()
    };
    rig.shard.start(group(1)).expect("start").log.stage(&write);
    rig.shard.seal(&[before]).expect("seal");
    assert_sound(&rig.crash(1).expect("reopen"), 1);
}

#[test]
fn a_checkpoint_of_a_replica_that_was_deleted_is_not_taken_for_the_next_one() {
    let rig = Rig::new();
    rig.create(&[1]);
    rig.append(1, 2, 100).expect("append");
    let old = rig.checkpoint(1);
    rig.shard.delete(group(1)).expect("delete");
    rig.shard.create(&[(group(1), Vec::new())]).expect("create");
    rig.shard.seal(&[old]).expect("seal");
    assert_sound(&rig.crash(1).expect("reopen"), 1);
}

#[test]
fn a_row_claims_no_commit_beyond_what_was_applied() {
    let rig = Rig::new();
    rig.create(&[1]);
    rig.append(1, 2, 100).expect("append");
    let checkpoint = rig.checkpoint(1);
    rig.append(1, 1, 100).expect("append");
    let mut log = rig.shard.start(group(1)).expect("start").log;
    let next = log.last_index() + 1;
    // A follower learns that an entry is committed before it has written it.
    log.stage(&Write {
        entries: vec![entry(next, Offset(3), 0)],
        ..Write::default()
    });
    log.note_commit(&hard_state(next));
    rig.shard.seal(&[checkpoint]).expect("seal");
    assert_sound(&rig.crash(1).expect("reopen"), 1);
}

#[test]
fn a_commit_written_before_its_entries_is_no_damage() {
    for ops in 0..8 {
        let rig = Rig::new();
        rig.create(&[1]);
        // The rest of the segment has room for the hard state, not for the entry.
        rig.append(1, 1, 5000).expect("append");
        let mut log = rig.shard.start(group(1)).expect("start").log;
        let next = log.last_index() + 1;
        let write = Write {
            entries: vec![entry(next, Offset(1), 9000)],
            hard_state: Some(hard_state(next)),
            snapshot: None,
        };
        log.stage(&write);
        rig.disk.fail_after_ops(rig.disk.ops() + ops);
        let _ = rig.shard.append(&[(group(1), write)]);
        assert_sound(&rig.crash(ops).expect("reopen"), 1);
    }
}

#[test]
fn a_snapshot_is_installed_without_the_entries_behind_it() {
    for ops in 0..4 {
        let rig = Rig::new();
        rig.create(&[1]);
        let write = Write {
            entries: vec![entry(51, Offset(90), 0)],
            hard_state: Some(hard_state(51)),
            snapshot: Some(snapshot(50, Offset(90), Offset(90))),
        };
        rig.shard.start(group(1)).expect("start").log.stage(&write);
        rig.disk.fail_after_ops(rig.disk.ops() + ops);
        let _ = rig.shard.append(&[(group(1), write)]);
        assert_sound(&rig.crash(ops).expect("reopen"), 1);
    }
}

#[test]
fn what_was_written_in_one_go_before_a_snapshot_is_not_part_of_the_log_behind_it() {
    let rig = Rig::new();
    rig.create(&[1]);
    let mut log = rig.shard.start(group(1)).expect("start").log;
    let entries = (2..=4).map(|i| entry(i, Offset(i as i64 - 2), 0)).collect();
    let old = Write {
        entries,
        ..Write::default()
    };
    let new = Write {
        snapshot: Some(snapshot(3, Offset(2), Offset(2))),
        hard_state: Some(hard_state(3)),
        ..Write::default()
    };
    log.stage(&old);
    log.stage(&new);
    let batch = [(group(1), old), (group(1), new)];
    rig.shard.append(&batch).expect("append");
    rig.shard.sync().expect("sync");
    let rig = rig.crash(1).expect("reopen");
    assert_sound(&rig, 1);
    assert_eq!(rig.log_end(1), Offset(2), "entry 4 is of another history");
}

#[test]
fn what_is_replaced_is_not_recycled_before_its_replacement_is_written() {
    let by_snapshot = Write {
        snapshot: Some(snapshot(50, Offset(90), Offset(90))),
        ..Write::default()
    };
    let by_entries = Write {
        entries: vec![Entry {
            term: 2,
            ..entry(2, Offset(0), 0)
        }],
        ..Write::default()
    };
    for write in [by_snapshot, by_entries] {
        let rig = Rig::new();
        rig.create(&[1, 2]);
        for id in [1, 2, 2, 2, 1] {
            rig.append(id, 1, 5000).expect("append");
        }
        rig.shard.start(group(1)).expect("start").log.stage(&write);
        rig.seal(&[2]).expect("seal");
        rig.seal(&[2]).expect("seal the rest");
        let rig = rig.crash(1).expect("reopen");
        assert_sound(&rig, 1);
        assert_eq!(rig.log_end(1), Offset(2));
    }
}

#[test]
fn a_write_of_a_deleted_group_does_not_fail_the_others() {
    let rig = Rig::new();
    rig.create(&[1, 2]);
    rig.shard.delete(group(1)).expect("delete");
    let late = Write {
        snapshot: Some(snapshot(50, Offset(90), Offset(90))),
        ..Write::default()
    };
    rig.shard.append(&[(group(1), late)]).expect("append");
    rig.append(2, 1, 0).expect("append");
}

fn import(from: i64, to: i64) -> Import {
    Import {
        base: Offset(from),
        next: Offset(to),
        entries: (from..to)
            .map(|base| (Offset(base), batch(Offset(base), 1, 100)))
            .collect(),
    }
}

#[test]
fn imported_records_are_read_behind_a_snapshot_and_need_no_second_import() {
    let rig = Rig::new();
    rig.create(&[1]);
    let header = SnapshotHeader {
        next_offset: Offset(8),
        log_start: Offset(0),
    };
    let wanted = rig.shard.import_from(group(1), &header).expect("look");
    assert_eq!(wanted, Some(Offset(0)));
    for (made, import) in [
        (true, import(0, 5)),
        (false, import(1, 5)),
        (true, import(3, 8)),
    ] {
        let done = rig.shard.import_run(group(1), import).expect("import");
        assert_eq!(done, made);
    }
    assert_eq!(
        rig.shard.import_from(group(1), &header).expect("look"),
        None
    );
    let write = Write {
        snapshot: Some(snapshot(50, Offset(8), Offset(0))),
        ..Write::default()
    };
    rig.shard.start(group(1)).expect("start").log.stage(&write);
    rig.shard.append(&[(group(1), write)]).expect("install");
    let rig = rig.crash(1).expect("reopen");
    rig.append(1, 2, 100).expect("append");
    rig.check_dense(1, Offset(0), 300);
    rig.seal(&[1]).expect("seal");
    rig.check_dense(1, Offset(0), 300);
}

#[test]
fn what_was_imported_is_not_sealed_again_when_the_log_catches_up() {
    let rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..3 {
        rig.append(1, 1, 100).expect("append");
    }
    rig.shard
        .import_run(group(1), import(0, 2))
        .expect("import");
    let rig = rig.crash(1).expect("reopen");
    rig.append(1, 1, 100).expect("append");
    rig.seal(&[1]).expect("seal");
    rig.check_dense(1, Offset(0), 300);
    let (runs, _) = rig.shard.sealed_runs(group(1)).expect("runs");
    let ranges: Vec<_> = runs.iter().map(|run| (run.base.0, run.next.0)).collect();
    assert_eq!(ranges, [(0, 2), (2, 4)]);
}

#[test]
fn a_crash_in_an_import_leaves_nothing_in_the_way() {
    for ops in 0..3 {
        let rig = Rig::new();
        rig.create(&[1]);
        rig.families.fail_after_ops(rig.families.ops() + ops);
        assert!(rig.shard.import_run(group(1), import(0, 5)).is_err());
        let rig = rig.crash(ops).expect("reopen");
        rig.shard
            .import_run(group(1), import(0, 5))
            .expect("import");
        rig.append(1, 1, 100).expect("append");
    }
}

/// All that is exported from `from` on, with the pieces' bounds.
fn exported(rig: &Rig, from: i64, upto: Offset, max_bytes: u64) -> Option<(Vec<i64>, Vec<Offset>)> {
    let (mut at, mut bounds, mut bases) = (Offset(from), Vec::new(), Vec::new());
    while at < upto {
        let piece = rig.shard.export(group(1), at, upto, max_bytes);
        let piece = piece.expect("it is read")?;
        assert!(piece.base <= at && at < piece.next && piece.next <= upto);
        let bytes: usize = piece.entries.iter().map(|(_, data)| data.len()).sum();
        assert!(piece.entries.len() == 1 || bytes as u64 <= max_bytes);
        bases.extend(piece.entries.iter().map(|(base, _)| base.0));
        at = piece.next;
        bounds.push(at);
    }
    Some((bases, bounds))
}

#[test]
fn entries_are_exported_whole_once_and_in_order_wherever_they_lie() {
    let rig = Rig::new();
    rig.create(&[1]);
    let mut entries = Vec::new();
    for n in 0..40 {
        entries.push(rig.append(1, 3, 400).expect("append").0);
        // Runs of several sizes, and a tail.
        if [1, 2, 20, 30].contains(&n) {
            rig.seal(&[1]).expect("seal");
        }
    }
    let (runs, _) = rig.shard.sealed_runs(group(1)).expect("there are some");
    assert!(runs.len() >= 4, "{runs:?}");
    let end = rig.log_end(1);
    for max_bytes in [1, 2_000, 5_000, 1 << 20] {
        let (bases, bounds) = exported(&rig, 0, end, max_bytes).expect("all is there");
        assert_eq!(bases, entries, "{max_bytes}");
        assert_eq!(bounds.last(), Some(&end));
        let is_cut_there = |at: &Offset| *at == end || entries.contains(&at.0);
        assert!(bounds.iter().all(is_cut_there), "{bounds:?}");
    }
    assert_eq!(exported(&rig, 0, end, 1 << 20).expect("there").1, [end]);
    // From the middle of an entry, which comes whole; and not beyond what is asked for.
    for middle in [4, 100] {
        let (bases, _) = exported(&rig, middle, Offset(111), 1 << 20).expect("there");
        assert_eq!(bases[0], middle - middle % 3);
        assert_eq!(bases.last(), Some(&108));
    }
}

#[test]
fn what_the_log_start_has_passed_is_not_exported_as_if_it_had_been_empty() {
    let mut rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..10 {
        rig.append(1, 1, 400).expect("append");
        rig.seal(&[1]).expect("seal");
    }
    rig.append(1, 1, 400).expect("append");
    rig.log_start.insert(group(1), Offset(5));
    rig.shard.expire(&rig.checkpoint(1)).expect("expire");
    let end = rig.log_end(1);
    assert_eq!(exported(&rig, 4, end, 1 << 20), None);
    assert_eq!(
        exported(&rig, 5, end, 1 << 20).expect("there").0,
        [5, 6, 7, 8, 9, 10]
    );
    rig.log_start.insert(group(1), end);
    rig.seal(&[1]).expect("seal");
    rig.shard.expire(&rig.checkpoint(1)).expect("expire");
    assert_eq!(exported(&rig, 5, end, 1 << 20), None, "no run, and no tail");
}

#[test]
fn a_replica_that_imports_what_another_exports_reads_the_same() {
    let source = Rig::new();
    source.create(&[1]);
    for n in 0..30 {
        source.append(1, 2, 100).expect("append");
        if n % 7 == 0 {
            source.seal(&[1]).expect("seal");
        }
    }
    let end = source.log_end(1);
    let header = SnapshotHeader {
        next_offset: end,
        log_start: Offset(0),
    };
    for max_bytes in [1, 3_000, 1 << 20] {
        let target = Rig::new();
        target
            .shard
            .create(&[(group(1), Vec::new())])
            .expect("made");
        while let Some(from) = target.shard.import_from(group(1), &header).expect("look") {
            let piece = source.shard.export(group(1), from, end, max_bytes);
            let piece = piece.expect("it is read").expect("it is there");
            assert!(target.shard.import_run(group(1), piece).expect("import"));
        }
        let target = target.crash(7).expect("it opens");
        // Until the snapshot is installed readers look into the log.
        let all = |rig: &Rig| {
            let all = rig.shard.export(group(1), Offset(0), end, 1 << 20);
            all.expect("it is read").expect("it is there").entries
        };
        assert_eq!(all(&target), all(&source), "{max_bytes}");
    }
}
