//! What only RocksDB can get wrong: its files, their places, and damage to them.
#![allow(clippy::unwrap_used)]

use super::super::contract::copy;
use super::database::INGEST_FOLDER;
use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tempfile::TempDir;

const RECORDS: Family = Family::Records(0);
const PACKED: Family = Family::Packed(0);
const ROW_BYTES: usize = 64 << 10;

/// A run of `rows` rows of 64 KiB whose keys begin with `name`.
fn run(name: &str, rows: u32) -> impl Iterator<Item = (Vec<u8>, Bytes)> {
    (0..rows).map(move |n| {
        (
            format!("{name}{n:04}").into_bytes(),
            Bytes::from(vec![n as u8; ROW_BYTES]),
        )
    })
}

fn keys(families: &RocksFamilies, family: Family) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    families.scan(family, b"", b"zzzz", 0, &mut |key, _| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        true
    })?;
    Ok(keys)
}

/// Where the database of [`PACKED`] is.
fn packed(folder: &TempDir) -> PathBuf {
    folder.path().join(name(PACKED))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

fn flip(file: &Path, offset: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn level(families: &RocksFamilies, family: Family, level: usize) -> u64 {
    let name = format!("rocksdb.num-files-at-level{level}");
    let count = families.read(family, |database, cf| {
        Ok(database.db.property_value_cf(cf, &name).unwrap().unwrap())
    });
    count.unwrap().parse().unwrap()
}

#[track_caller]
fn corrupt<T>(result: Result<T, Error>, names: &str) {
    match result.err().expect("the damage is found") {
        Error::Corrupt { reason, .. } => assert!(reason.contains(names), "{reason}"),
        error => panic!("not told as damage: {error}"),
    }
}

#[test]
fn runs_lie_on_the_bottom_level_and_leave_it_as_whole_files() {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    for name in ["c", "a", "b", "d"] {
        families.ingest(RECORDS, &mut run(name, 4)).unwrap();
    }
    assert_eq!(level(&families, RECORDS, 6), 4);
    families.drop_range(RECORDS, b"a", b"c").unwrap();
    assert_eq!(level(&families, RECORDS, 6), 2);
    assert_eq!(files(folder.path(), "sst").len(), 2);
    families.ingest(RECORDS, &mut run("b", 4)).unwrap();
    assert_eq!(level(&families, RECORDS, 6), 3);
}

#[test]
fn a_cut_run_leaves_no_tombstone_behind() {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    families.ingest(RECORDS, &mut run("a", 8)).unwrap();
    families.ingest(RECORDS, &mut run("b", 8)).unwrap();
    let before = families.disk_bytes().unwrap();
    families.drop_range(RECORDS, b"a0004", b"b0004").unwrap();
    assert_eq!(level(&families, RECORDS, 0), 0);
    let after = families.disk_bytes().unwrap();
    assert!(after < before * 5 / 8, "{after} of {before} bytes are left");
    assert_eq!(keys(&families, RECORDS).unwrap().len(), 8);
}

#[test]
fn a_dropped_packed_range_gives_its_space_back() {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    families.ingest(PACKED, &mut run("a", 16)).unwrap();
    let before = families.disk_bytes().unwrap();
    families.drop_range(PACKED, b"a0001", b"a0015").unwrap();
    assert_eq!(keys(&families, PACKED).unwrap(), ["a0000", "a0015"]);
    families.compact_packed().unwrap();
    let after = families.disk_bytes().unwrap();
    assert!(after < before / 4, "{after} of {before} bytes are left");
    assert_eq!(keys(&families, PACKED).unwrap(), ["a0000", "a0015"]);
}

#[test]
fn nothing_is_written_to_the_log_of_rocksdb() {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    let log_bytes = || -> u64 {
        let logs = [folder.path().to_owned(), packed(&folder)].map(|folder| files(&folder, "log"));
        logs.iter()
            .flatten()
            .map(|f| fs::metadata(f).unwrap().len())
            .sum()
    };
    let change = |n: u8| (vec![n; 100], Some(vec![n; 1000]));
    for n in 0..50 {
        families.put(&[change(n)]).unwrap();
        families
            .ingest(RECORDS, &mut run(&format!("r{n}-"), 1))
            .unwrap();
        families
            .ingest(PACKED, &mut run(&format!("p{n:02}-"), 2))
            .unwrap();
    }
    families
        .drop_range(PACKED, b"p01-0001", b"p40-0001")
        .unwrap();
    families.drop_range(Family::Rows, &[1], &[2]).unwrap();
    assert_eq!(log_bytes(), 0);
    families.flush().unwrap();
    assert_eq!(log_bytes(), 0);
}

#[test]
fn what_a_crash_left_of_an_ingest_is_removed_at_open() {
    let folder = TempDir::new().unwrap();
    drop(RocksFamilies::open(folder.path()).unwrap());
    let ingest = folder.path().join(INGEST_FOLDER);
    fs::write(ingest.join("0.sst"), b"half a file").unwrap();
    // A finished file that was linked in, but never named by the manifest.
    fs::write(folder.path().join("000999.sst"), b"linked").unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    assert_eq!(files(&ingest, "sst"), Vec::<PathBuf>::new());
    assert_eq!(files(folder.path(), "sst"), Vec::<PathBuf>::new());
    families.ingest(RECORDS, &mut run("a", 1)).unwrap();
    let unsorted = run("b", 2).chain(run("a", 1));
    families.ingest(RECORDS, &mut { unsorted }).unwrap_err();
    families.ingest(RECORDS, &mut run("a", 1)).unwrap_err();
    assert_eq!(files(&ingest, "sst"), Vec::<PathBuf>::new());
}

#[test]
fn a_second_process_is_kept_out() {
    let folder = TempDir::new().unwrap();
    let first = RocksFamilies::open(folder.path()).unwrap();
    let error = RocksFamilies::open(folder.path()).err().unwrap();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    first.ingest(RECORDS, &mut run("a", 1)).unwrap();
}

#[test]
fn a_flipped_bit_is_found_on_read_and_named() {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    families.ingest(RECORDS, &mut run("a", 8)).unwrap();
    families.ingest(RECORDS, &mut run("b", 8)).unwrap();
    drop(families);
    let damaged = files(folder.path(), "sst").remove(0);
    flip(&damaged, 3 * ROW_BYTES as u64);
    let families = RocksFamilies::open(folder.path()).unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    for readahead_bytes in [0, 1 << 20] {
        let mut seen = 0;
        let scanned = families.scan(RECORDS, b"a", b"b", readahead_bytes, &mut |_, _| {
            seen += 1;
            true
        });
        corrupt(scanned, name);
        assert!(seen < 8);
    }
    corrupt(families.get(RECORDS, b"a0002"), name);
    let last = families.last_at_or_before(RECORDS, b"a", b"a0002");
    corrupt(last, name);
    // The damage stays with its file: others are served, and the damaged one can be dropped and made anew.
    assert!(families.get(RECORDS, b"b0000").unwrap().is_some());
    families.drop_range(RECORDS, b"a", b"b").unwrap();
    families.ingest(RECORDS, &mut run("a", 8)).unwrap();
    assert_eq!(keys(&families, RECORDS).unwrap().len(), 16);
}

/// A family whose compaction will meet damage in the run `a`, with another run and rows beside it.
fn damaged() -> (TempDir, RocksFamilies) {
    let folder = TempDir::new().unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    families.ingest(PACKED, &mut run("a", 8)).unwrap();
    families.ingest(PACKED, &mut run("c", 8)).unwrap();
    families.ingest(RECORDS, &mut run("a", 8)).unwrap();
    drop(families);
    flip(&files(&packed(&folder), "sst")[0], 3 * ROW_BYTES as u64);
    let families = RocksFamilies::open(folder.path()).unwrap();
    (folder, families)
}

#[test]
fn damage_that_compaction_meets_stops_no_writes() {
    let (folder, families) = damaged();
    families.drop_range(PACKED, b"a0006", b"a0007").unwrap();
    families.drop_range(PACKED, b"c0002", b"c0004").unwrap();
    assert!(families.takes_runs(PACKED));
    families.compact_packed().unwrap();
    assert!(!families.takes_runs(PACKED));
    let check = |families: &RocksFamilies| {
        corrupt(keys(families, PACKED), ".sst");
        assert!(families.get(PACKED, b"a0007").unwrap().is_some());
        assert_eq!(families.get(PACKED, b"a0006").unwrap(), None);
        assert_eq!(families.get(PACKED, b"c0002").unwrap(), None);
        assert_eq!(families.get(PACKED, b"c0003").unwrap(), None);
        assert!(families.get(PACKED, b"c0004").unwrap().is_some());
        assert_eq!(keys(families, RECORDS).unwrap().len(), 8);
    };
    check(&families);
    families.put(&[(b"row".to_vec(), Some(vec![1]))]).unwrap();
    families.ingest(RECORDS, &mut run("b", 8)).unwrap();
    families.drop_range(RECORDS, b"b", b"c").unwrap();
    // It takes what has no other place, and drops, although nothing else is left to do with it.
    families.ingest(PACKED, &mut run("d", 2)).unwrap();
    families.drop_range(PACKED, b"d0000", b"d0001").unwrap();
    families.flush().unwrap();
    families.compact_packed().unwrap();
    check(&families);
    drop(families);
    let families = RocksFamilies::open(folder.path()).unwrap();
    check(&families);
    assert_eq!(families.get(PACKED, b"d0000").unwrap(), None);
    assert!(families.get(PACKED, b"d0001").unwrap().is_some());
    assert!(families.get(Family::Rows, b"row").unwrap().is_some());
}

#[test]
fn whoever_writes_first_after_the_damage_was_met_does_not_notice() {
    for write in 0..3 {
        let (_folder, families) = damaged();
        families.drop_range(PACKED, b"a0006", b"a0007").unwrap();
        families.flush().unwrap();
        // Not yet flushed when the database stops, and dropped all the same.
        families.drop_range(PACKED, b"c0001", b"c0005").unwrap();
        families
            .read(PACKED, |database, cf| {
                let db = &database.db;
                db.compact_range_cf(cf, Some(b"a"), Some(b"b"));
                corrupt(database.refuse_stopped(), ".sst");
                Ok(())
            })
            .unwrap();
        match write {
            0 => drop(families.ingest(PACKED, &mut run("b", 8)).unwrap()),
            1 => families.drop_range(PACKED, b"c0006", b"c0007").unwrap(),
            _ => families.flush().unwrap(),
        }
        assert_eq!(families.get(PACKED, b"c0001").unwrap(), None, "{write}");
        assert!(families.get(PACKED, b"c0005").unwrap().is_some());
        assert_eq!(
            families.get(PACKED, b"b0007").unwrap().is_some(),
            write == 0
        );
        assert_eq!(
            families.get(PACKED, b"c0006").unwrap().is_none(),
            write == 1
        );
    }
}

#[test]
fn a_family_begun_anew_has_no_damage() {
    let (folder, families) = damaged();
    families.compact_packed().unwrap();
    families.renew(PACKED).unwrap();
    assert!(families.takes_runs(PACKED));
    assert_eq!(keys(&families, PACKED).unwrap(), Vec::<String>::new());
    families.ingest(PACKED, &mut run("a", 2)).unwrap();
    families.compact_packed().unwrap();
    assert!(families.takes_runs(PACKED));
    drop(families);
    // A crash before the new one was made, and one before the old one was gone.
    let removed = packed(&folder).with_extension("removed");
    fs::create_dir(&removed).unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    assert_eq!(keys(&families, PACKED).unwrap().len(), 2);
    assert!(!removed.exists());
    drop(families);
    fs::rename(packed(&folder), &removed).unwrap();
    let families = RocksFamilies::open(folder.path()).unwrap();
    assert_eq!(keys(&families, PACKED).unwrap().len(), 0);
    assert!(!removed.exists());
}

#[test]
fn a_packed_family_that_is_gone_is_damage() {
    let (folder, families) = damaged();
    drop(families);
    fs::remove_dir_all(packed(&folder)).unwrap();
    corrupt(RocksFamilies::open(folder.path()), "CURRENT");
}

#[test]
fn damaged_files_are_told_at_open() {
    let intact = TempDir::new().unwrap();
    let families = RocksFamilies::open(intact.path()).unwrap();
    families.ingest(RECORDS, &mut run("a", 2)).unwrap();
    families.put(&[(b"row".to_vec(), Some(vec![1]))]).unwrap();
    drop(families);
    let check = |damage: &dyn Fn(&Path), names: &str| {
        let folder = TempDir::new().unwrap();
        copy(intact.path(), folder.path());
        damage(folder.path());
        corrupt(RocksFamilies::open(folder.path()), names);
        assert!(!files(folder.path(), "sst").is_empty());
    };
    let manifest = |folder: &Path| {
        let current = fs::read_to_string(folder.join("CURRENT")).unwrap();
        folder.join(current.trim())
    };
    check(&|f| fs::remove_file(f.join("CURRENT")).unwrap(), "CURRENT");
    check(
        &|f| fs::write(f.join("CURRENT"), "nonsense\n").unwrap(),
        "CURRENT",
    );
    check(&|f| fs::write(f.join("CURRENT"), "").unwrap(), "CURRENT");
    check(&|f| fs::remove_file(manifest(f)).unwrap(), "MANIFEST");
    check(&|f| flip(&manifest(f), 200), "MANIFEST");
    check(&|f| fs::remove_file(&files(f, "sst")[0]).unwrap(), ".sst");
    let cut = |file: &Path| {
        let len = fs::metadata(file).unwrap().len();
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_len(len - 1).unwrap();
    };
    check(&|f| cut(&files(f, "sst")[0]), ".sst");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wherever a table file is hit, readers get what was written, or are told.
    #[test]
    fn no_flipped_bit_changes_what_is_read(file in 0..3usize, at in 0.0..1.0f64) {
        let folder = TempDir::new().unwrap();
        let small = |n: u8| (vec![n], Bytes::from(vec![n; 900]));
        let families = RocksFamilies::open(folder.path()).unwrap();
        families.ingest(RECORDS, &mut (0..9).map(small)).unwrap();
        families.ingest(PACKED, &mut (0..9).map(small)).unwrap();
        let changes: Vec<_> = (0..9).map(small).map(|(k, v)| (k, Some(v.to_vec()))).collect();
        families.put(&changes).unwrap();
        drop(families);
        let mut tables = files(folder.path(), "sst");
        tables.extend(files(&packed(&folder), "sst"));
        let damaged = tables.swap_remove(file);
        let len = fs::metadata(&damaged).unwrap().len();
        flip(&damaged, (len as f64 * at) as u64);
        match RocksFamilies::open(folder.path()) {
            Err(error) => prop_assert!(matches!(error, Error::Corrupt { .. }), "{}", error),
            Ok(families) => for family in [RECORDS, PACKED, Family::Rows] {
                let mut rows = Vec::new();
                let scanned = families.scan(family, &[0], &[99], 0, &mut |key, value| {
                    rows.push((key.to_vec(), Bytes::copy_from_slice(value)));
                    true
                });
                match scanned {
                    Ok(()) => prop_assert!(rows.into_iter().eq((0..9).map(small))),
                    Err(error) => prop_assert!(matches!(error, Error::Corrupt { .. }), "{}", error),
                }
            }
        }
    }
}
