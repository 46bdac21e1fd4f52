//! A death at every operation of everything that changes a directory: appends, sealing, retention, compaction, creation and
//! deletion. The in-memory twin of this is `storage/tests/crash.rs`; here disk, RocksDB and process are real.

use super::ports::Fuse;
use super::rig::{RECORDS, Rig, is_kept};
use super::{is_full, seed};
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::Error;
use millrace_broker::storage::ids::Offset;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// What makes this test's process the one that dies.
const DIR: &str = "MILLRACE_ARROWS_DIR";
const DIES_AT: &str = "MILLRACE_ARROWS_DIES_AT";
const TEARS: &str = "MILLRACE_ARROWS_TEARS";

const THIS: &str = "arrows::a_death_at_any_operation_takes_back_nothing";

/// The groups that are there, with one entry each, before the script begins.
const PREPARED: [u64; 3] = [1, 2, 3];

/// Without `MILLRACE_TEST_FULL` one operation in so many is tried; which ones follows from the seed.
const STRIDE: usize = 6;

/// Group 1 has large runs and a log start that moves, 2 has small runs and is compacted, 3 is deleted, 4 is created.
fn script(rig: &Rig) -> Result<(), Error> {
    let start = |round| Offset(if round >= 2 { 8 } else { 0 });
    for round in 0..6 {
        for _ in 0..3 {
            let groups: &[_] = match round {
                0..4 => &[(1, 1000), (2, 100), (3, 100)],
                _ => &[(1, 1000), (2, 100), (4, 100)],
            };
            for (id, base) in rig.append(groups)? {
                println!("\n!end {id} {}", base.0 + RECORDS);
            }
        }
        match round {
            1 => rig.seal(&[(1, start(1)), (2, Offset(0))])?,
            2 => {
                rig.seal(&[(1, start(2))])?;
                println!("\n!start 1 {}", start(2).0);
                rig.shard.expire(&rig.checkpoint(1, start(2))?)?;
            }
            3 => {
                println!("\n!deleting 3 0");
                rig.shard.delete(GroupId(3))?;
                println!("\n!deleted 3 0");
                rig.create(4)?;
                println!("\n!end 4 0");
            }
            4 => {
                rig.seal(&[(1, start(4)), (2, Offset(0)), (4, Offset(0))])?;
                println!("\n!halving 2 0");
                rig.halve(2)?;
                println!("\n!halved 2 0");
            }
            5 => rig.seal(&[(2, Offset(0)), (1, start(5)), (4, Offset(0))])?,
            _ => {}
        }
    }
    Ok(())
}

#[derive(Default)]
struct Promised {
    end: BTreeMap<u64, i64>,
    start: BTreeMap<u64, i64>,
    words: Vec<String>,
    operations: Vec<String>,
}

impl Promised {
    fn of(output: &Output) -> Promised {
        let mut promised = Promised {
            end: PREPARED.map(|id| (id, RECORDS)).into(),
            ..Promised::default()
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(operation) = line.strip_prefix("~") {
                promised.operations.push(operation.to_owned());
            }
            let Some(line) = line.strip_prefix('!') else {
                continue;
            };
            let mut parts = line.split(' ');
            let word = parts.next().expect("a word").to_owned();
            let mut number =
                || -> i64 { parts.next().and_then(|n| n.parse().ok()).expect("a number") };
            let (id, offset) = (number() as u64, number());
            match word.as_str() {
                "end" => drop(promised.end.insert(id, offset)),
                "start" => drop(promised.start.insert(id, offset)),
                _ => promised.words.push(word),
            }
        }
        promised
    }

    fn said(&self, word: &str) -> bool {
        self.words.iter().any(|said| said == word)
    }

    fn check(&self, rig: &Rig) -> Result<(), Error> {
        assert!(rig.shard.damaged().is_empty(), "{:?}", rig.shard.damaged());
        for (id, end) in &self.end {
            if *id == 3 && self.said("deleting") {
                if rig.shard.group(GroupId(3)).is_err() {
                    continue;
                }
                assert!(!self.said("deleted"), "group 3 is back");
            }
            let found = rig.log_end(*id)?.0;
            assert!(
                (*end..=*end + RECORDS).contains(&found),
                "group {id} ends at {found}, {end} was promised and one more entry is possible"
            );
            let start = self.start.get(id).copied().unwrap_or(0);
            let offsets = rig.offsets(*id, Offset(start))?;
            match *id {
                2 if self.said("halving") => self.check_halved(&offsets, found, rig)?,
                _ => assert_eq!(offsets, Vec::from_iter(start..found), "group {id}"),
            }
        }
        Ok(())
    }

    /// All of the old run, or all of the new one.
    fn check_halved(&self, offsets: &[i64], end: i64, rig: &Rig) -> Result<(), Error> {
        let (_, cleaned_to) = rig.shard.sealed_runs(GroupId(2))?;
        assert!(
            cleaned_to > Offset(0) || !self.said("halved"),
            "the old run is back"
        );
        let stays = |offset: &i64| {
            let base = Offset(offset - offset % RECORDS);
            base >= cleaned_to || is_kept(base)
        };
        assert_eq!(offsets, Vec::from_iter((0..end).filter(stays)));
        Ok(())
    }
}

#[test]
fn a_death_at_any_operation_takes_back_nothing() {
    if let Some(dir) = std::env::var_os(DIR) {
        let dies_at = std::env::var(DIES_AT)
            .ok()
            .map(|n| n.parse().expect("a number"));
        let fuse = Fuse::new(dies_at, std::env::var_os(TEARS).is_some());
        let rig = Rig::open(Path::new(&dir), &fuse, 2).expect("the directory opens");
        script(&rig).expect("nothing fails");
        for operation in fuse.operations() {
            println!("\n~{operation}");
        }
        return;
    }
    let started = Instant::now();
    let prepared = tempfile::tempdir().expect("a folder");
    {
        let rig = Rig::open(prepared.path(), &Fuse::default(), 1).expect("a new directory");
        for id in PREPARED {
            rig.create(id).expect("a group");
        }
        // So that the next opening has a log to cut.
        rig.append(&PREPARED.map(|id| (id, 100))).expect("appended");
    }
    let whole = Promised::of(&live(prepared.path(), None, false).1);
    let operations = whole.operations;
    assert!(whole.words.len() == 4, "{:?}", whole.words);
    for needed in [
        "ingest",
        "put",
        "flush",
        "drop_range",
        "rename",
        "remove",
        "set_len",
    ] {
        assert!(
            operations.iter().any(|o| o == needed),
            "no {needed} in {operations:?}"
        );
    }
    let mut deaths = 0;
    for (at, operation) in operations.iter().enumerate() {
        if !is_full() && !(at + seed() as usize).is_multiple_of(STRIDE) {
            continue;
        }
        let can_tear = operation == "write" || operation == "create";
        for tears in [false, true].into_iter().filter(|tears| can_tear || !tears) {
            check_death(prepared.path(), at, tears).unwrap_or_else(|e| {
                panic!("died at {operation}, number {at}, tears: {tears}: {e}")
            });
            deaths += 1;
        }
    }
    let kinds: BTreeMap<&String, usize> =
        operations.iter().fold(BTreeMap::new(), |mut kinds, o| {
            *kinds.entry(o).or_default() += 1;
            kinds
        });
    println!(
        "{deaths} deaths at {} operations ({kinds:?}) in {:.0?}",
        operations.len(),
        started.elapsed()
    );
}

fn check_death(prepared: &Path, at: usize, tears: bool) -> Result<(), Error> {
    println!("dies at {at}, tears: {tears}");
    let (dir, output) = live(prepared, Some(at), tears);
    assert!(!output.status.success(), "it did not die");
    let mut promised = Promised::of(&output);
    let rig = Rig::open(dir.path(), &Fuse::default(), 3)?;
    promised.check(&rig)?;
    if promised.said("deleting") && rig.shard.group(GroupId(3)).is_ok() {
        rig.shard.delete(GroupId(3))?;
    }
    if promised.said("deleting") {
        promised.words.push("deleted".to_owned());
    }
    // What the death left must not be in the way of going on.
    for (id, end) in &mut promised.end {
        if rig.shard.group(GroupId(*id)).is_ok() {
            let made = rig.append(&[(*id, 100)])?;
            *end = made[0].1.0 + RECORDS;
        }
    }
    let start = Offset(promised.start.get(&1).copied().unwrap_or(0));
    for _ in 0..3 {
        rig.seal(&[(1, start), (2, Offset(0))])?;
    }
    rig.shard.expire(&rig.checkpoint(1, start)?)?;
    promised.check(&rig)?;
    drop(rig);
    promised.check(&Rig::open(dir.path(), &Fuse::default(), 4)?)
}

/// One life of the script in a copy of `prepared`.
fn live(prepared: &Path, dies_at: Option<usize>, tears: bool) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().expect("a folder");
    for part in ["log", "families"] {
        copy(&prepared.join(part), &dir.path().join(part));
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([THIS, "--exact", "--nocapture"])
        .env(DIR, dir.path());
    if let Some(at) = dies_at {
        command.env(DIES_AT, at.to_string());
    }
    if tears {
        command.env(TEARS, "1");
    }
    let output = command.output().expect("the child runs");
    assert!(
        output.status.success() == dies_at.is_none(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (dir, output)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a name");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
