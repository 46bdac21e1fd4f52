//! A file system that is really full: a small one of its own, mounted for the life of this process where that is permitted.
//! Where it is not, the same rules are held against the in-memory disk's capacity, and the output says so.

#[path = "support/contents.rs"]
mod contents;
#[path = "support/wait.rs"]
mod wait;

use bytes::Bytes;
use contents::contents;
use millrace_broker::engine::{AppendError, Engine, EngineOptions, Handle};
use millrace_broker::partition::{Role, TopicConfig};
use millrace_broker::raft::Failure;
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log::LogOptions;
use millrace_wire::{BatchBuilder, BatchSettings};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use wait::wait_until;

/// The folder on which the file system is mounted, in a process that may.
const MOUNTED: &str = "MILLRACE_FULL_DISK_DIR";

const THIS: &str = "a_full_disk_refuses_appends_and_nothing_else";

const DISK_BYTES: u64 = 64 << 20;
const MIN_FREE_BYTES: u64 = 16 << 20;

const ALL: Ack = Ack::Committed { voters: 1 };

fn options(dir: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(vec![dir.to_path_buf()]);
    options.shard.log = LogOptions {
        segment_bytes: 1 << 20,
        spare_segments: 1,
    };
    options.shard.log_budget_bytes = 4 << 20;
    options.shard.log_limit_bytes = 6 << 20;
    options.shard.cache_bytes = 1 << 20;
    options.shard.run_bytes = 1 << 20;
    options.shard.packed_below_bytes = 64 << 10;
    options.shard.min_free_bytes = MIN_FREE_BYTES;
    options
}

fn config() -> TopicConfig {
    TopicConfig {
        retention_ms: None,
        ..TopicConfig::default()
    }
}

fn open(dir: &Path) -> Engine {
    Engine::open(&options(dir), &|_| config()).expect("the engine opens")
}

fn batch(n: u64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    let mut value = format!("{n}:").into_bytes();
    value.resize(100_000, b'.');
    builder.push(1_000, None, Some(&value));
    builder.build().expect("a valid batch")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

fn append(handle: &Handle, n: u64) -> Result<Offset, AppendError> {
    let appended = runtime().block_on(handle.append(batch(n), 1_000, ALL))?;
    Ok(appended.base_offset)
}

/// Appends until that is refused; how many were taken.
fn fill(handle: &Handle) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    for n in 0.. {
        assert!(Instant::now() < deadline, "the disk does not fill up");
        match append(handle, n) {
            Ok(_) => {}
            Err(AppendError::DiskFull { min_free_bytes }) => {
                assert_eq!(min_free_bytes, MIN_FREE_BYTES);
                return n;
            }
            Err(AppendError::Failed(Failure::Overloaded)) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("append {n}: {error}"),
        }
    }
    unreachable!("the loop has no end")
}

fn appends_again(handle: &Handle) {
    wait_until("room for appends", || append(handle, 0).is_ok());
}

fn check_contents(handle: &Handle, taken: u64) {
    let found = contents(handle).expect("reads go on");
    assert_eq!(found.len() as u64, taken);
    for (n, record) in found.iter().enumerate() {
        let expected = format!("{n}:");
        assert!(record.offset == n as i64 && record.key.is_none());
        assert!(record.value.starts_with(expected.as_bytes()));
    }
}

fn ready(handle: &Handle, records: i64) {
    wait_until("a leader", || {
        let positions = handle.positions();
        positions.role == Role::Leader && positions.high_watermark >= Offset(records)
    });
}

#[test]
fn a_full_disk_refuses_appends_and_nothing_else() {
    if let Some(mounted) = std::env::var_os(MOUNTED) {
        return on_a_small_disk(Path::new(&mounted));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mount = format!(
        r#"mount -t tmpfs -o size={DISK_BYTES} millrace "$0" || exit 77; exec "$1" {THIS} --exact --nocapture"#
    );
    let mounted = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mount])
        .args([dir.path(), &std::env::current_exe().expect("this program")])
        .env(MOUNTED, dir.path())
        .output();
    match mounted {
        Ok(output) if output.status.success() => {
            println!("on a file system of {DISK_BYTES} bytes, mounted for this test");
        }
        Ok(output) if was_permitted(&output) => panic!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        _ => {
            println!("mounting a small file system is not permitted here: on the in-memory disk");
            twin::refuses_and_goes_on();
        }
    }
}

/// The test began: what failed then is no lack of permission.
fn was_permitted(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout).contains("running 1 test")
}

fn on_a_small_disk(mounted: &Path) {
    let dir = mounted.join("data");
    let engine = open(&dir);
    let made = engine.create(&[1, 2, 3].map(|id| (GroupId(id), config())));
    let mut handles = made.expect("partitions are created");
    handles.iter().for_each(|handle| ready(handle, 0));
    append(&handles[1], 0).expect("there is room");

    // Refused before the disk is full, with room for what goes on.
    let taken = fill(&handles[0]);
    let free = free_bytes(mounted);
    assert!(taken > 100, "{taken} of 100 kB were taken");
    assert!(free > MIN_FREE_BYTES / 4, "{free} bytes are left");
    assert!(matches!(
        append(&handles[1], 1),
        Err(AppendError::DiskFull { .. })
    ));

    // Reads go on.
    check_contents(&handles[0], taken);
    // So do new partitions, sealing, and a restart.
    let visitor = engine.create(&[(GroupId(4), config())]).expect("created");
    ready(&visitor[0], 0);
    engine.seal_all();
    drop((visitor, handles, engine));
    let engine = open(&dir);
    handles = [1, 2, 3, 4]
        .map(|id| engine.partition(GroupId(id)).expect("it is there"))
        .into();
    ready(&handles[0], taken as i64);
    check_contents(&handles[0], taken);
    // What sealing gave back is used up first.
    let taken = taken + fill(&handles[0]);

    // DeleteRecords gives space back, and appends are taken.
    let keep = taken as i64 - 50;
    let moved = runtime().block_on(handles[0].delete_records(Some(Offset(keep))));
    assert_eq!(moved.expect("records can be deleted"), Offset(keep));
    engine.run_retention();
    appends_again(&handles[0]);
    assert!(contents(&handles[0]).expect("read").len() >= 51);

    // So does retention by size.
    fill(&handles[1]);
    engine.set_config(
        GroupId(2),
        TopicConfig {
            retention_bytes: Some(1 << 20),
            ..config()
        },
    );
    wait_until("retention", || {
        engine.run_retention();
        append(&handles[1], 0).is_ok()
    });

    // So does the deletion of a topic.
    engine.set_config(GroupId(2), config());
    fill(&handles[1]);
    engine.delete(GroupId(2)).expect("deleted");
    appends_again(&handles[0]);

    // Somebody else takes the last byte: nothing fails for good.
    for n in 0..10 {
        append(&handles[0], n).expect("there is room");
    }
    let end = handles[0].positions().high_watermark;
    let others = mounted.join("others");
    fill_with_a_file(&others);
    wait_until("the refusal", || {
        matches!(append(&handles[2], 0), Err(AppendError::DiskFull { .. }))
    });
    let log_bytes = || engine.disk_bytes().expect("sizes").0;
    let before = log_bytes();
    engine.seal_all();
    assert_eq!(log_bytes(), before, "there is no room for sealing");
    assert!(contents(&handles[0]).is_ok(), "reads need no room");
    let start = Offset(end.0 - 2);
    let moved = runtime().block_on(handles[0].delete_records(Some(start)));
    assert_eq!(moved.expect("a log start needs no room"), start);
    engine.run_retention();
    std::fs::remove_file(&others).expect("room again");
    appends_again(&handles[0]);
    appends_again(&handles[2]);
    engine.seal_all();
    engine.seal_all();
    assert!(log_bytes() < before, "sealing goes on");
    let end = handles[0].positions().high_watermark;
    drop((handles, engine));
    let engine = open(&dir);
    let handle = engine.partition(GroupId(1)).expect("it is there");
    ready(&handle, end.0);
    appends_again(&handle);
}

fn fill_with_a_file(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("a file");
    let zeros = vec![0; 4096];
    while file.write_all(&zeros).is_ok() {}
}

fn free_bytes(path: &Path) -> u64 {
    use millrace_broker::storage::disk::{Disk as _, OsDisk};
    let disk = OsDisk::open(path.join("data/log")).expect("the log's folder");
    disk.free_bytes().expect("the file system says")
}

/// The same rules without a file system: what the shard does when its disk has so many bytes.
mod twin {
    use super::MIN_FREE_BYTES;
    use bytes::Bytes;
    use millrace_broker::raft::ports::{GroupId, GroupLog as _, Write};
    use millrace_broker::storage::disk::TwinDisk;
    use millrace_broker::storage::entry::{EntryHeader, EntryKind};
    use millrace_broker::storage::families::twin::TwinFamilies;
    use millrace_broker::storage::log::LogOptions;
    use millrace_broker::storage::shard::{Shard, ShardOptions};
    use millrace_broker::storage::{Error, log};
    use raft::eraftpb::Entry;
    use std::sync::Arc;

    fn append(shard: &Shard) -> Result<(), Error> {
        let mut log = shard.start(GroupId(1))?.log;
        let header = EntryHeader {
            kind: EntryKind::Batches,
            base_offset: log.log_end(),
            offsets: 1,
            max_timestamp_ms: 0,
        };
        let entry = Entry {
            index: log.last_index() + 1,
            term: 1,
            context: header.encode(),
            data: Bytes::from(vec![0; 100_000]),
            ..Entry::default()
        };
        let write = Write {
            entries: vec![entry],
            ..Write::default()
        };
        log.stage(&write);
        shard.append(&[(GroupId(1), write)])?;
        shard.sync()
    }

    pub fn refuses_and_goes_on() {
        let disk = TwinDisk::new();
        disk.set_capacity(Some(super::DISK_BYTES));
        let options = ShardOptions {
            log: LogOptions {
                segment_bytes: 1 << 20,
                spare_segments: 1,
            },
            min_free_bytes: MIN_FREE_BYTES,
            ..ShardOptions::default()
        };
        let families = Arc::new(TwinFamilies::new());
        let shard = Shard::open(Arc::new(disk.clone()), families, options, 1).expect("it opens");
        shard.create(&[(GroupId(1), vec![1])]).expect("a group");
        let mut taken = 0;
        while shard.has_room() {
            append(&shard).expect("there is room");
            shard.refresh_room();
            taken += 1;
        }
        assert!(taken > 100, "{taken} of 100 kB were taken");
        // What may not be refused still goes in, until nothing does, and that is no failure.
        let refused = loop {
            if let Err(error) = append(&shard) {
                break error;
            }
        };
        assert!(
            matches!(refused, Error::Log(log::Error::Full { .. })),
            "{refused}"
        );
        disk.set_capacity(None);
        shard.refresh_room();
        assert!(shard.has_room());
        append(&shard).expect("there is room again");
    }
}

#[test]
fn the_in_memory_disk_refuses_and_goes_on_too() {
    twin::refuses_and_goes_on();
}
