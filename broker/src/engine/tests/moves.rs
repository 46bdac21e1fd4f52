//! Partitions that change directories while they are used.

use super::*;
use crate::engine::Move;
use std::sync::atomic::{AtomicBool, Ordering};

const MOVED: GroupId = GroupId(1);

fn name(dir: &Path) -> String {
    dir.display().to_string()
}

/// The first partition of a new engine lies in the first directory, the second in the second.
fn two(dirs: &[&Path]) -> (Engine, Handle) {
    let engine = open(dirs);
    let new = [MOVED, GroupId(2)].map(|id| (id, TopicConfig::default()));
    engine.create(&new).expect("create");
    let handle = engine.partition(MOVED).expect("it is there");
    wait_until("a leader", || leads(&handle));
    (engine, handle)
}

fn wait_for_moves(engine: &Engine) {
    wait_until("the end of all moves", || engine.moves().is_empty());
}

/// Appends until it is taken: a partition that changes directories has no leader for a moment.
fn insist(handle: &Handle, value: &str) -> Offset {
    let mut offset = None;
    wait_until("an append to be taken", || {
        offset = append(handle, batch("k", &[value])).ok();
        offset.is_some()
    });
    offset.expect("it was waited for")
}

fn other_of<'a>(dirs: &[&'a Path; 2], handle: &Handle) -> &'a Path {
    let is_first = handle.directory() == Some(name(dirs[0]));
    dirs[usize::from(is_first)]
}

#[test]
fn a_partition_that_moves_under_load_loses_nothing_and_is_read_throughout() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let dirs = [a.path(), b.path()];
    let (engine, handle) = two(&dirs);
    let value = "x".repeat(5_000);
    let done = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let value = format!("{n} {value}");
                // What is refused was not appended, or nobody knows; it is another one's turn then.
                if let Ok(offset) = append(&handle, batch("k", &[&value])) {
                    acknowledged.push((offset, n));
                }
            }
            acknowledged
        });
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = contents(&handle);
                let dense = (0..).zip(&found);
                for (offset, record) in dense {
                    assert!(
                        record.starts_with(&format!("{offset}:")),
                        "record {offset} is {record:.20}"
                    );
                }
            }
        });
        for _ in 0..4 {
            let before = handle.positions().log_end;
            wait_until("more to move", || handle.positions().log_end > before + 300);
            let to = other_of(&dirs, &handle);
            engine.move_to(MOVED, &name(to)).expect("it may be moved");
            wait_for_moves(&engine);
            assert_eq!(handle.directory(), Some(name(to)));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("what is read is dense");
        writer.join().expect("the writer")
    });
    assert!(engine.moved_bytes() > 0);
    let check = |found: &[String]| {
        for (offset, n) in &acknowledged {
            let record = &found[offset.0 as usize];
            let expected = format!("{offset}:{n} ");
            assert!(record.starts_with(&expected), "{record:.20} at {offset}");
        }
    };
    let found = contents(&handle);
    check(&found);
    let directory = handle.directory();
    drop((handle, engine));
    let engine = open(&dirs);
    let handle = engine.partition(MOVED).expect("it is there");
    wait_until("a leader", || leads(&handle));
    assert_eq!(handle.directory(), directory);
    assert!(contents(&handle) == found);
}

#[test]
fn a_producer_that_is_remembered_is_remembered_in_the_other_directory() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let (engine, handle) = two(&[a.path(), b.path()]);
    let mut settings = BatchSettings::default();
    (settings.producer_id, settings.producer_epoch) = (7, 0);
    settings.base_sequence = 0;
    let mut builder = BatchBuilder::new(settings);
    builder.push(1000, Some(b"k"), Some(b"once"));
    let once = builder.build().expect("a valid batch");
    assert_eq!(append(&handle, once.clone()).expect("append"), Offset(0));
    engine
        .move_to(MOVED, &name(b.path()))
        .expect("it may be moved");
    wait_for_moves(&engine);
    wait_until("a leader", || leads(&handle));
    assert_eq!(append(&handle, once).expect("the duplicate"), Offset(0));
    assert_eq!(contents(&handle), ["0:once"]);
}

#[test]
fn a_move_to_where_it_is_ends_the_one_under_way_and_deletion_does_too() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let dirs = [a.path(), b.path()];
    let (engine, handle) = two(&dirs);
    let value = "x".repeat(200_000);
    for _ in 0..100 {
        insist(&handle, &value);
    }
    let here = handle.directory().expect("a directory");
    let there = name(other_of(&dirs, &handle));
    // It has to be copied, and that takes a while at 64 MiB a second; should it be over sooner all the same it has to move back.
    engine.move_to(MOVED, &there).expect("it may be moved");
    let under_way = engine.moves();
    engine.move_to(MOVED, &here).expect("it may stay");
    wait_for_moves(&engine);
    assert_eq!(handle.directory(), Some(here));
    let names_it = |moves: &Move| moves.group == MOVED && moves.to == there;
    assert!(under_way.iter().all(names_it), "{under_way:?}");
    engine.move_to(MOVED, &there).expect("it may be moved");
    engine.delete(MOVED).expect("it can be deleted");
    assert_eq!(engine.moves(), []);
    assert!(engine.move_to(MOVED, &there).is_err());
    drop((handle, engine));
    let engine = open(&dirs);
    assert!(engine.partition(MOVED).is_none());
    assert!(engine.partition(GroupId(2)).is_some());
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let (engine, handle) = two(&[a.path(), b.path()]);
    assert!(engine.move_to(MOVED, "elsewhere").is_err());
    assert!(engine.move_to(GroupId(9), &name(b.path())).is_err());
    insist(&handle, "a");
}
