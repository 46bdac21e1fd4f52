//! The engine on real disks and real threads.

mod moves;
mod several;

use super::hosted::RaftWorker;
use super::{AppendError, Engine, EngineOptions, Handle};
use crate::partition::config::CleanupPolicy;
use crate::partition::{Mark, TopicConfig};
use crate::raft::Reply;
use crate::raft::ports::{Ack, GroupId, PeerId};
use crate::storage::ids::Offset;
use crate::storage::log::LogOptions;
use bytes::Bytes;
use millrace_wire::batch::split;
use millrace_wire::{BatchBuilder, BatchSettings};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use std::path::Path;
use std::time::{Duration, Instant};

const ALL: Ack = Ack::Committed { voters: 1 };

pub(crate) fn options(dirs: &[&Path]) -> EngineOptions {
    let mut options = EngineOptions::new(dirs.iter().map(|dir| dir.to_path_buf()).collect());
    options.shard.log = LogOptions {
        segment_bytes: 256 << 10,
        spare_segments: 1,
    };
    options.shard.log_budget_bytes = 1 << 20;
    options.shard.log_limit_bytes = 2 << 20;
    options.shard.packed_below_bytes = 64 << 10;
    options.shard.min_free_bytes = 1 << 20;
    options
}

fn open(dirs: &[&Path]) -> Engine {
    Engine::open(&options(dirs), &|_| TopicConfig::default()).expect("the engine opens")
}

/// A new engine with one partition that leads.
fn one(options: &EngineOptions, config: &TopicConfig) -> (Engine, Handle) {
    let engine = Engine::open(options, &|_| config.clone()).expect("open");
    let handle = engine
        .create(&[(GroupId(1), config.clone())])
        .expect("create")
        .remove(0);
    wait_until("a leader", || leads(&handle));
    (engine, handle)
}

pub(crate) fn batch(key: &str, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    for value in values {
        builder.push(1000, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    builder.build().expect("a valid batch")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

pub(crate) fn append(handle: &Handle, batches: Bytes) -> Result<Offset, AppendError> {
    runtime()
        .block_on(handle.append(batches, 1000, ALL))
        .map(|appended| appended.base_offset)
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what} for 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn leads(handle: &Handle) -> bool {
    handle.positions().role == crate::partition::Role::Leader
}

/// Lets a replica learn, on the part of who leads.
pub(crate) fn add_learner(handle: &Handle, peer: PeerId) {
    let mut single = ConfChangeSingle::default();
    single.set_change_type(ConfChangeType::AddLearnerNode);
    single.node_id = peer;
    let mut change = ConfChangeV2::default();
    change.set_changes(vec![single].into());
    let (sender, answered) = std::sync::mpsc::channel();
    let group = handle.group();
    let reply = Reply::new(move |changed| {
        let _ = sender.send(changed);
    });
    let ask = move |worker: &mut RaftWorker| worker.change_membership(group, &change, reply);
    handle.shared.call(ask).expect("the worker has time");
    let changed = answered.recv_timeout(Duration::from_secs(20));
    changed.expect("an answer").expect("it is let in");
}

/// All records as `offset:value`.
pub(crate) fn contents(handle: &Handle) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = handle.positions().log_start;
    loop {
        let read = handle.read(at, Mark::HighWatermark, 1 << 20).expect("read");
        if read.chunks.is_empty() {
            return found;
        }
        for chunk in read.chunks {
            for batch in split(chunk).map(|batch| batch.expect("whole batches")) {
                for record in batch.records(1 << 20).expect("records") {
                    let record = record.expect("record");
                    let offset = batch.header().base_offset + i64::from(record.offset_delta);
                    let value = record.value.unwrap_or_default();
                    found.push(format!("{offset}:{}", String::from_utf8_lossy(&value)));
                }
                at = Offset(batch.header().next_offset());
            }
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let ids = [GroupId(1), GroupId(2)];
    {
        let engine = open(&[dir.path()]);
        let handles = engine
            .create(&ids.map(|id| (id, TopicConfig::default())))
            .expect("create");
        for handle in &handles {
            wait_until("a leader", || leads(handle));
            assert_eq!(
                append(handle, batch("k", &["a", "b"])).expect("append"),
                Offset(0)
            );
            assert_eq!(
                append(handle, batch("k", &["c"])).expect("append"),
                Offset(2)
            );
            assert_eq!(contents(handle), ["0:a", "1:b", "2:c"]);
        }
    }
    for _ in 0..2 {
        let engine = open(&[dir.path()]);
        for id in ids {
            let handle = engine.partition(id).expect("it is there");
            wait_until("the high watermark", || {
                handle.positions().high_watermark == Offset(3)
            });
            assert_eq!(contents(&handle), ["0:a", "1:b", "2:c"]);
        }
    }
}

#[test]
fn a_log_over_its_budget_is_sealed_and_everything_stays_readable() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(&[dir.path()]);
    let handles = engine
        .create(&[1, 2, 3].map(|id| (GroupId(id), TopicConfig::default())))
        .expect("create");
    let value = "x".repeat(10_000);
    for _ in 0..200 {
        for handle in &handles {
            wait_until("a leader", || leads(handle));
            append(handle, batch("k", &[&value])).expect("append");
        }
    }
    wait_until("sealing", || {
        engine.disk_bytes().expect("size").0 <= 2 << 20
    });
    assert!(
        engine.disk_bytes().expect("size").1 > 4 << 20,
        "most of it is in the families"
    );
    for handle in &handles {
        assert_eq!(contents(handle).len(), 200);
    }
    drop((engine, handles));
    let engine = open(&[dir.path()]);
    for handle in engine.partitions() {
        wait_until("the high watermark", || {
            handle.positions().high_watermark == Offset(200)
        });
        assert_eq!(contents(&handle).len(), 200);
    }
}

#[test]
fn retention_and_delete_records_move_the_log_start_for_good() {
    let dir = tempfile::tempdir().expect("a folder");
    let small = TopicConfig {
        retention_bytes: Some(100_000),
        retention_ms: None,
        ..TopicConfig::default()
    };
    let engine = Engine::open(&options(&[dir.path()]), &|_| small.clone()).expect("open");
    let handle = engine
        .create(&[(GroupId(1), small.clone())])
        .expect("create")
        .remove(0);
    wait_until("a leader", || leads(&handle));
    let value = "x".repeat(10_000);
    for _ in 0..50 {
        append(&handle, batch("k", &[&value])).expect("append");
    }
    engine.seal_all();
    for _ in 0..20 {
        append(&handle, batch("k", &[&value])).expect("append");
    }
    engine.run_retention();
    let start = handle.positions().log_start;
    assert!(
        start >= Offset(50),
        "the sealed run went as a whole: {start}"
    );
    assert!(handle.read(Offset(0), Mark::HighWatermark, 1).is_err());
    assert!(
        handle.size_bytes().expect("size") < 250_000,
        "one round gives the space back"
    );
    let moved = runtime()
        .block_on(handle.delete_records(Some(Offset(69))))
        .expect("delete records");
    assert_eq!(moved, Offset(69));
    assert_eq!(contents(&handle).len(), 1);
    drop((engine, handle));
    let engine = Engine::open(&options(&[dir.path()]), &|_| small.clone()).expect("open");
    let handle = engine.partition(GroupId(1)).expect("it is there");
    wait_until("the high watermark", || {
        handle.positions().high_watermark == Offset(70)
    });
    wait_until("the log start", || {
        handle.positions().log_start == Offset(69)
    });
}

#[test]
fn compaction_keeps_the_last_of_each_key_and_every_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        ..TopicConfig::default()
    };
    let (engine, handle) = one(&options(&[dir.path()]), &config);
    for round in 0..10 {
        for key in ["a", "b", "c"] {
            append(&handle, batch(key, &[&format!("{key}{round}")])).expect("append");
        }
    }
    engine.seal_all();
    engine.run_compaction();
    assert_eq!(contents(&handle), ["27:a9", "28:b9", "29:c9"]);
    append(&handle, batch("b", &["b10"])).expect("append");
    assert_eq!(contents(&handle), ["27:a9", "28:b9", "29:c9", "30:b10"]);
    engine.seal_all();
    engine.run_compaction();
    drop((engine, handle));
    let engine = Engine::open(&options(&[dir.path()]), &|_| config.clone()).expect("open");
    let handle = engine.partition(GroupId(1)).expect("it is there");
    wait_until("the high watermark", || {
        handle.positions().high_watermark == Offset(31)
    });
    assert_eq!(
        contents(&handle),
        ["27:a9", "28:b9", "29:c9", "30:b10"],
        "a quarter new is not worth a round"
    );
}

#[test]
fn a_partition_is_compacted_to_its_end_however_little_is_rewritten_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        min_cleanable_dirty_ratio: 0.0,
        ..TopicConfig::default()
    };
    let mut options = options(&[dir.path()]);
    options.housekeeping.cleaner_step_bytes = 1;
    let (engine, handle) = one(&options, &config);
    let mut write = |round: usize| {
        for key in ["a", "b", "c"] {
            append(&handle, batch(key, &[&format!("{key}{round}")])).expect("append");
            // A run each.
            engine.seal_all();
        }
    };
    write(0);
    engine.run_compaction();
    assert_eq!(contents(&handle), ["0:a0", "1:b0", "2:c0"]);
    (1..4).for_each(&mut write);
    engine.run_compaction();
    assert_eq!(contents(&handle), ["9:a3", "10:b3", "11:c3"]);
    write(4);
    engine.run_compaction();
    assert_eq!(contents(&handle), ["12:a4", "13:b4", "14:c4"]);
}

#[test]
fn offsets_are_found_by_time_wherever_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(&[dir.path()]);
    let handle = engine
        .create(&[(GroupId(1), TopicConfig::default())])
        .expect("create")
        .remove(0);
    wait_until("a leader", || leads(&handle));
    for base in [10, 20, 30] {
        let mut builder = BatchBuilder::new(BatchSettings::default());
        for i in 0..3 {
            builder.push(base + i, None, Some(b"value"));
        }
        append(&handle, builder.build().expect("a batch")).expect("append");
    }
    let find = |ms| {
        handle
            .offset_for_timestamp(ms)
            .expect("look up")
            .map(|found| found.offset.0)
    };
    for sealed in [false, true] {
        if sealed {
            engine.seal_all();
        }
        assert_eq!(
            [find(0), find(11), find(13), find(32), find(33)],
            [Some(0), Some(1), Some(3), Some(8), None]
        );
    }
}

#[test]
fn one_failed_directory_leaves_the_other_online() {
    let (good, bad) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    {
        let engine = open(&[good.path(), bad.path()]);
        let handles = engine
            .create(&[1, 2].map(|id| (GroupId(id), TopicConfig::default())))
            .expect("create");
        for handle in &handles {
            wait_until("a leader", || leads(handle));
            append(handle, batch("k", &["a"])).expect("append");
            append(handle, batch("k", &["b"])).expect("append");
            append(handle, batch("k", &["c"])).expect("append");
        }
    }
    // A flipped bit in the middle of the log's synced part.
    let log = bad.path().join("log/00000000000000000001.log");
    let mut bytes = std::fs::read(&log).expect("read");
    bytes[4096 + 100] ^= 1;
    std::fs::write(&log, bytes).expect("write");
    let engine = open(&[good.path(), bad.path()]);
    let online: Vec<GroupId> = engine.partitions().iter().map(Handle::group).collect();
    assert_eq!(online.len(), 1, "one partition each: {online:?}");
    let handle = engine.partition(online[0]).expect("it is there");
    wait_until("the high watermark", || {
        handle.positions().high_watermark == Offset(3)
    });
    append(&handle, batch("k", &["d"])).expect("the other directory takes appends");
    let damaged = Engine::open(&options(&[bad.path()]), &|_| TopicConfig::default())
        .err()
        .expect("it stays offline");
    let text = damaged.to_string();
    assert!(
        text.contains("00000000000000000001.log") && text.contains("damaged at"),
        "{text}"
    );
}

#[test]
fn a_deleted_partition_answers_nobody_and_its_name_is_free() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(&[dir.path()]);
    let handle = engine
        .create(&[(GroupId(1), TopicConfig::default())])
        .expect("create")
        .remove(0);
    wait_until("a leader", || leads(&handle));
    append(&handle, batch("k", &["a"])).expect("append");
    engine.delete(GroupId(1)).expect("delete");
    assert!(append(&handle, batch("k", &["b"])).is_err());
    assert!(engine.partition(GroupId(1)).is_none());
    assert!(engine.delete(GroupId(1)).is_err());
    drop((engine, handle));
    assert!(open(&[dir.path()]).partitions().is_empty());
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut tight = options(&[dir.path()]);
    tight.shard.min_free_bytes = u64::MAX;
    let engine = Engine::open(&tight, &|_| TopicConfig::default()).expect("open");
    let handle = engine
        .create(&[(GroupId(1), TopicConfig::default())])
        .expect("create")
        .remove(0);
    wait_until("a leader", || leads(&handle));
    let refused = append(&handle, batch("k", &["a"])).expect_err("no room");
    assert!(matches!(refused, AppendError::DiskFull { .. }), "{refused}");
    assert_eq!(handle.positions().high_watermark, Offset(0));
}

#[test]
fn a_closed_engine_lets_go_of_its_directory_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let ids: Vec<_> = (1..=20).map(GroupId).collect();
    let new: Vec<_> = ids.iter().map(|id| (*id, TopicConfig::default())).collect();
    open(&[dir.path()]).create(&new).expect("create");
    for _ in 0..10 {
        let engine = open(&[dir.path()]);
        for handle in engine.partitions() {
            handle.append_then(batch("k", &["a"]), 1000, ALL, |_| ());
        }
    }
}

#[test]
fn metadata_that_is_gone_is_not_begun_anew_beside_partitions() {
    let (first, second) = (tempfile::tempdir(), tempfile::tempdir());
    let (data, metadata) = (first.expect("a directory"), second.expect("a directory"));
    let mut options = options(&[data.path(), metadata.path()]);
    options.metadata_directory = Some(metadata.path().to_owned());
    let open = || Engine::open(&options, &|_| TopicConfig::default()).expect("the engine opens");
    let engine = open();
    assert!(engine.metadata().is_some());
    engine
        .create(&[(GroupId(1), TopicConfig::default())])
        .expect("a partition is made");
    drop(engine);
    assert!(open().metadata().is_some(), "it is found again");
    for entry in std::fs::read_dir(metadata.path()).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        std::fs::remove_dir_all(path).expect("it can be removed");
    }
    let engine = open();
    assert!(engine.metadata().is_none());
    assert!(engine.partition(GroupId(1)).is_some());
}
