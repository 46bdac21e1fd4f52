//! Bits flip in the files of a closed engine: the smallest thing that can no longer be trusted stops, and says what and where.

#[path = "support/contents.rs"]
mod contents;
#[path = "support/wait.rs"]
mod wait;

use bytes::Bytes;
use contents::contents;
use millrace_broker::engine::{AppendError, Engine, EngineOptions, Handle, ReadError};
use millrace_broker::partition::{Role, TopicConfig};
use millrace_broker::raft::Failure;
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log::LogOptions;
use millrace_wire::{BatchBuilder, BatchSettings};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;
use wait::wait_until;

const ALL: Ack = Ack::Committed { voters: 1 };

fn options(dirs: &[&Path]) -> EngineOptions {
    let mut options = EngineOptions::new(dirs.iter().map(|dir| dir.to_path_buf()).collect());
    options.shard.log = LogOptions {
        segment_bytes: 256 << 10,
        spare_segments: 1,
    };
    options.shard.packed_below_bytes = 16 << 10;
    options.shard.min_free_bytes = 1 << 20;
    options
}

fn open(dirs: &[&Path]) -> Result<Engine, millrace_broker::engine::Error> {
    Engine::open(&options(dirs), &|_| TopicConfig::default())
}

fn folder() -> TempDir {
    log();
    tempfile::tempdir().expect("a folder")
}

/// What this process logged, all tests together: each looks for its own directory or group.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone())
            .init();
        log
    })
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no holder panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines_with(&self, what: &str) -> Vec<String> {
        let text = self.0.lock().expect("no holder panics").clone();
        let text = String::from_utf8(text).expect("text");
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

fn append(handle: &Handle, n: usize) -> Result<Offset, AppendError> {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    let mut value = format!("{}:{n}:", handle.group()).into_bytes();
    value.resize(1_000, b'.');
    builder.push(1_000, None, Some(&value));
    let batch: Bytes = builder.build().expect("a valid batch");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let appended = runtime
        .expect("a runtime")
        .block_on(handle.append(batch, 1_000, ALL))?;
    Ok(appended.base_offset)
}

fn ready(handle: &Handle, records: usize) {
    wait_until("a leader", || {
        let positions = handle.positions();
        positions.role == Role::Leader && positions.high_watermark == Offset(records as i64)
    });
}

/// Makes partitions of so many records each.
fn filled(engine: &Engine, ids: &[u64], records: usize) -> Vec<Handle> {
    let new: Vec<_> = ids
        .iter()
        .map(|id| (GroupId(*id), TopicConfig::default()))
        .collect();
    let handles = engine.create(&new).expect("created");
    for handle in &handles {
        ready(handle, 0);
        for n in 0..records {
            append(handle, n).expect("appended");
        }
    }
    handles
}

#[track_caller]
fn check_whole(handle: &Handle, records: usize) {
    ready(handle, records);
    let found = contents(handle);
    let found = found.unwrap_or_else(|error| panic!("{}: {error}", handle.group()));
    assert_eq!(found.len(), records);
    for (n, record) in found.iter().enumerate() {
        let expected = format!("{}:{n}:", handle.group());
        assert!(record.offset == n as i64 && record.key.is_none());
        assert!(record.value.starts_with(expected.as_bytes()));
    }
}

fn flip_bit(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("the file is there");
    bytes[at] ^= 4;
    std::fs::write(file, bytes).expect("the file can be written");
}

fn files(dir: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a name").path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&is_wanted)
        })
        .collect();
    files.sort();
    files
}

/// Where `needle` lies in a file of `dir`, or of a folder in it.
fn find(dir: &Path, needle: &str) -> (PathBuf, usize) {
    let below = files(dir, |_| true).into_iter().flat_map(|path| {
        let inside = path.is_dir().then(|| files(&path, |_| true));
        inside.unwrap_or_else(|| vec![path])
    });
    below
        .filter(|path| path.is_file())
        .find_map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            let at = bytes
                .windows(needle.len())
                .position(|window| window == needle.as_bytes())?;
            Some((path, at))
        })
        .unwrap_or_else(|| panic!("no file in {} holds {needle}", dir.display()))
}

/// Opens `damaged` alone, which must fail and say all of `says`; and beside `healthy`, which must go on.
#[track_caller]
fn check_stays_offline(damaged: &Path, healthy: &Path, online: u64, says: &[&str]) {
    let error = open(&[damaged]).err().expect("it stays offline");
    let text = error.to_string();
    for says in says {
        assert!(text.contains(says), "{says} is not in: {text}");
    }
    let engine = open(&[damaged, healthy]).expect("one directory is left");
    let handles = engine.partitions();
    let ids: Vec<u64> = handles.iter().map(|handle| handle.group().0).collect();
    assert_eq!(ids, [online]);
    check_whole(&handles[0], 20);
    append(&handles[0], 20).expect("it takes appends");
    let path = damaged.display().to_string();
    let reported = log().lines_with(&path);
    assert_eq!(reported.len(), 2, "one line an opening: {reported:?}");
    assert!(reported[0].contains("directory stays offline"));
}

/// Two directories with a partition each, of 20 records.
fn two_directories(ids: [u64; 2]) -> [TempDir; 2] {
    ids.map(|id| {
        let dir = folder();
        filled(&open(&[dir.path()]).expect("open"), &[id], 20);
        dir
    })
}

#[test]
fn damage_to_the_log_takes_its_directory_offline() {
    let [damaged, healthy] = two_directories([101, 102]);
    let (file, at) = find(&damaged.path().join("log"), "101:3:");
    flip_bit(&file, at);
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let says = [
        name,
        "is damaged at",
        damaged.path().to_str().expect("text"),
    ];
    check_stays_offline(damaged.path(), healthy.path(), 102, &says);
}

#[test]
fn damage_to_the_families_manifest_takes_its_directory_offline() {
    for (n, file) in ["MANIFEST", "CURRENT"].into_iter().enumerate() {
        let ids = [201 + 2 * n as u64, 202 + 2 * n as u64];
        let [damaged, healthy] = two_directories(ids);
        let families = damaged.path().join("families");
        let path = files(&families, |name| name.starts_with(file)).pop();
        flip_bit(&path.expect("the file is there"), 9);
        let says = ["column families", damaged.path().to_str().expect("text")];
        check_stays_offline(damaged.path(), healthy.path(), ids[1], &says);
    }
}

#[test]
fn damage_to_sealed_records_takes_their_partition_offline_and_no_other() {
    // The same two families hold them all: 16 of records, 2 of packed ones.
    let (big, small, neighbours) = (316, 332, [348, 364]);
    let dir = folder();
    {
        let engine = open(&[dir.path()]).expect("open");
        filled(&engine, &[big, neighbours[0]], 100);
        filled(&engine, &[small, neighbours[1]], 10);
        engine.seal_all();
    }
    let families = dir.path().join("families");
    let mut written = [100, 10];
    for (id, records) in [(big, 100), (small, 10)] {
        let (file, at) = find(&families, &format!("{id}:4:"));
        flip_bit(&file, at);
        let engine = open(&[dir.path()]).expect("the directory opens");
        let handle = engine.partition(GroupId(id)).expect("nobody has looked");
        ready(&handle, records);
        append(&handle, records).expect("nobody has looked");
        let error = contents(&handle).expect_err("the range is damaged");
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        assert!(matches!(error, ReadError::Storage(_)), "{error}");
        assert!(
            error.to_string().contains(name),
            "{name} is not in: {error}"
        );
        assert_eq!(
            handle.fault().map(ToString::to_string),
            Some(error.to_string())
        );
        wait_until("the replica to go offline", || {
            handle.positions().role == Role::Leaderless
        });
        let refused = append(&handle, 0).expect_err("it is offline");
        assert!(
            matches!(&refused, AppendError::Failed(Failure::Faulty(why)) if why.contains(name)),
            "{refused}"
        );
        contents(&handle).expect_err("still damaged");
        let reported = log().lines_with(&format!("group={id} "));
        assert_eq!(reported.len(), 1, "{reported:?}");
        for (neighbour, written) in neighbours.iter().zip(&mut written) {
            let handle = engine.partition(GroupId(*neighbour)).expect("it is there");
            ready(&handle, *written);
            // The records of small partitions lie many to a block, and are damaged together: the size of that block bounds it.
            if (id, *neighbour) != (small, neighbours[1]) {
                check_whole(&handle, *written);
            }
            append(&handle, *written).expect("it takes appends");
            *written += 1;
        }
        // Undone: nothing spread.
        drop((handle, engine));
        flip_bit(&file, at);
        let engine = open(&[dir.path()]).expect("the directory opens");
        check_whole(
            &engine.partition(GroupId(id)).expect("it is there"),
            records + 1,
        );
    }
}

/// Appends to each of these partitions and seals it all, as one file for each of the two packed families.
fn seal_more(engine: &Engine, ids: &[u64], written: &mut usize) {
    for id in ids {
        let handle = engine.partition(GroupId(*id)).expect("it is there");
        ready(&handle, *written);
        for n in *written..*written + 12 {
            append(&handle, n).expect("appended");
        }
    }
    *written += 12;
    engine.seal_all();
}

#[test]
fn damage_that_compaction_meets_in_a_packed_file_stops_nobody_else() {
    // The first block of the file holds the damaged one's records, and some of the one behind it.
    let (damaged, beside) = (500, 502);
    let neighbours = [501, 503, 504, 506];
    let dir = folder();
    let mut written = 0;
    {
        let engine = open(&[dir.path()]).expect("open");
        let ids = [damaged, beside].into_iter().chain(neighbours);
        let ids: Vec<u64> = ids.collect();
        filled(&engine, &ids, 0);
        seal_more(&engine, &ids, &mut written);
    }
    let packed = dir.path().join("families").join("packed-00");
    let (file, at) = find(&packed, &format!("{damaged}:1:"));
    flip_bit(&file, at);
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.expect("a name");
    let stopped = || {
        let lines = log().lines_with("a packed family stopped");
        let here = |line: &String| line.contains(&packed.display().to_string());
        lines.into_iter().filter(here).collect::<Vec<_>>()
    };
    let check_neighbours = |engine: &Engine, written| {
        for id in neighbours {
            check_whole(
                &engine.partition(GroupId(id)).expect("it is there"),
                written,
            );
        }
    };
    {
        let engine = open(&[dir.path()]).expect("the directory opens");
        // Each seal brings another file, until RocksDB merges them.
        wait_until("compaction to meet the damage", || {
            seal_more(&engine, &neighbours, &mut written);
            !stopped().is_empty()
        });
        assert_eq!(stopped().len(), 1);
        assert!(stopped()[0].contains(name), "{:?}", stopped());
        for _ in 0..6 {
            seal_more(&engine, &neighbours, &mut written);
        }
        check_neighbours(&engine, written);
    }
    for _ in 0..2 {
        let engine = open(&[dir.path()]).expect("the directory opens");
        for _ in 0..6 {
            seal_more(&engine, &neighbours, &mut written);
        }
        check_neighbours(&engine, written);
        let handle = engine.partition(GroupId(damaged)).expect("it is there");
        let error = contents(&handle).expect_err("it is damaged");
        assert!(error.to_string().contains(name), "{error}");
    }
    // Nobody needs what is damaged any more.
    let engine = open(&[dir.path()]).expect("the directory opens");
    for id in [damaged, beside] {
        engine.delete(GroupId(id)).expect("it can be deleted");
    }
    seal_more(&engine, &neighbours, &mut written);
    check_neighbours(&engine, written);
    drop(engine);
    let engine = open(&[dir.path()]).expect("the directory opens");
    assert_eq!(engine.partitions().len(), neighbours.len());
    check_neighbours(&engine, written);
}

#[test]
fn a_torn_tail_is_cut_with_one_warning() {
    let dir = folder();
    let log_dir = dir.path().join("log");
    let segment = || {
        files(&log_dir, |name| name.ends_with(".log"))
            .pop()
            .expect("a segment")
    };
    let before = {
        let engine = open(&[dir.path()]).expect("open");
        let handle = filled(&engine, &[401], 20).remove(0);
        let before = std::fs::read(segment()).expect("a segment");
        // This one stands for what was being written when the power went.
        append(&handle, 20).expect("appended");
        before
    };
    let after = std::fs::read(segment()).expect("a segment");
    let is_new = |at: &usize| before[*at] != after[*at];
    let first = (0..after.len()).find(is_new).expect("a block was written");
    let last = (0..after.len()).rfind(is_new).expect("a block was written");
    let mut torn = after.clone();
    torn[first + (last - first) / 2..].fill(0);
    std::fs::write(segment(), &torn).expect("written");
    let name = segment();
    let name = name
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let warnings = || {
        log()
            .lines_with("torn tail")
            .into_iter()
            .filter(|line| line.contains(name))
            .count()
    };
    {
        let engine = open(&[dir.path()]).expect("a torn tail is no damage");
        assert_eq!(warnings(), 1);
        let handle = engine.partition(GroupId(401)).expect("it is there");
        check_whole(&handle, 20);
        append(&handle, 20).expect("appended");
    }
    // Garbage behind the last block, and a file that is shorter than it was made: nothing to lose, nothing to warn of.
    for garbage in [vec![0x5a; 3_000], Vec::new()] {
        let mut bytes = std::fs::read(segment()).expect("a segment");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("a block") + 1;
        // The last byte of a record is 0: it says that there are no headers.
        bytes.truncate((end + 1).next_multiple_of(8));
        bytes.extend(&garbage);
        std::fs::write(segment(), bytes).expect("written");
        let engine = open(&[dir.path()]).expect("a torn tail is no damage");
        check_whole(&engine.partition(GroupId(401)).expect("it is there"), 21);
    }
    assert_eq!(warnings(), 1);
}
