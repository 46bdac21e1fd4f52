//! What every implementation of the port does alike, and what RocksDB does besides.

use super::rocks::{RocksFamilies, RocksOptions};
use super::twin::TwinFamilies;
use super::{Error, Families, Family};
use bytes::Bytes;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const RECORDS: Family = Family::Records(3);
const PACKED: Family = Family::Packed(1);

fn rocks(path: &Path) -> RocksFamilies {
    RocksFamilies::open(path, &RocksOptions::default()).expect("the families open")
}

fn both(check: impl Fn(&dyn Families)) {
    check(&TwinFamilies::new());
    let dir = tempfile::tempdir().expect("a folder");
    check(&rocks(dir.path()));
}

fn key(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn rows(keys: std::ops::Range<u64>, bytes: usize) -> Vec<(Vec<u8>, Bytes)> {
    keys.map(|n| (key(n), Bytes::from(vec![n as u8; bytes])))
        .collect()
}

fn ingest(families: &dyn Families, family: Family, keys: std::ops::Range<u64>) {
    families
        .ingest(family, &mut rows(keys, 100).into_iter())
        .expect("ingest");
}

fn found(families: &dyn Families, family: Family, from: u64, to: u64) -> Vec<u64> {
    let mut keys = Vec::new();
    families
        .scan(family, &key(from), &key(to), 0, &mut |key, _| {
            keys.push(u64::from_be_bytes(key.try_into().expect("eight bytes")));
            true
        })
        .expect("scan");
    keys
}

#[test]
fn ingested_rows_are_found_within_bounds_and_in_order() {
    both(|families| {
        ingest(families, RECORDS, 10..20);
        ingest(families, RECORDS, 20..30);
        ingest(families, Family::Records(4), 0..100);
        assert_eq!(
            found(families, RECORDS, 0, 1000),
            (10..30).collect::<Vec<_>>()
        );
        assert_eq!(
            found(families, RECORDS, 15, 25),
            (15..25).collect::<Vec<_>>()
        );
        assert!(found(families, RECORDS, 30, 40).is_empty());
        assert!(found(families, RECORDS, 25, 15).is_empty());
        let mut seen = 0;
        let stop = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            seen < 3
        };
        families
            .scan(RECORDS, &key(0), &key(100), 4096, stop)
            .expect("scan");
        assert_eq!(seen, 3);
        assert_eq!(
            families.get(RECORDS, &key(12)).expect("get"),
            Some(Bytes::from(vec![12; 100]))
        );
        assert_eq!(families.get(PACKED, &key(12)).expect("get"), None);
        let last = |from, at| {
            families
                .last_at_or_before(RECORDS, &key(from), &key(at))
                .expect("look up")
        };
        assert_eq!(last(0, 99).map(|(k, _)| k), Some(key(29)));
        assert_eq!(last(0, 15).map(|(k, _)| k), Some(key(15)));
        assert_eq!(last(0, 9), None);
        assert_eq!(last(30, 50), None, "the lower bound holds");
    });
}

#[test]
fn rows_out_of_order_or_in_the_wrong_family_are_refused_and_leave_nothing() {
    both(|families| {
        let mut unsorted = rows(0..3, 10);
        unsorted.reverse();
        assert!(families.ingest(RECORDS, &mut unsorted.into_iter()).is_err());
        assert!(
            families
                .ingest(Family::Rows, &mut rows(0..3, 10).into_iter())
                .is_err()
        );
        assert!(found(families, RECORDS, 0, 100).is_empty());
        assert_eq!(
            families
                .ingest(RECORDS, &mut std::iter::empty())
                .expect("nothing is nothing"),
            0
        );
        ingest(families, RECORDS, 0..3);
    });
}

#[test]
fn dropping_a_range_leaves_its_neighbours_alone() {
    both(|families| {
        for family in [RECORDS, PACKED] {
            for start in [0, 10, 20] {
                ingest(families, family, start..start + 10);
            }
            // A neighbour of one row, right at the end of the range.
            ingest(families, family, 30..31);
            ingest(families, family, 31..40);
            families
                .drop_range(family, &key(10), &key(30))
                .expect("drop");
            let left: Vec<u64> = (0..10).chain(30..40).collect();
            assert_eq!(found(families, family, 0, 100), left, "{family:?}");
        }
        families
            .put(&[(key(1), Some(vec![1])), (key(2), Some(vec![2]))])
            .expect("put");
        families
            .drop_range(Family::Rows, &key(1), &key(2))
            .expect("drop");
        assert_eq!(found(families, Family::Rows, 0, 100), [2]);
    });
}

#[test]
fn small_rows_are_put_and_deleted_together() {
    both(|families| {
        families
            .put(&[(key(1), Some(vec![1])), (key(2), Some(vec![2]))])
            .expect("put");
        families
            .put(&[
                (key(1), None),
                (key(3), Some(vec![3])),
                (key(2), Some(vec![9])),
            ])
            .expect("put");
        families.flush().expect("flush");
        assert_eq!(found(families, Family::Rows, 0, 100), [2, 3]);
        assert_eq!(
            families.get(Family::Rows, &key(2)).expect("get"),
            Some(Bytes::from_static(&[9]))
        );
    });
}

#[test]
fn rocks_keeps_what_was_ingested_or_flushed_when_the_process_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let families = rocks(dir.path());
    ingest(&families, RECORDS, 0..10);
    ingest(&families, PACKED, 0..10);
    families.put(&[(key(1), Some(vec![1]))]).expect("put");
    families.drop_range(PACKED, &key(0), &key(5)).expect("drop");
    families.flush().expect("flush");
    // As after kill -9: the files as they are now, under another process's nose.
    let copy = tempfile::tempdir().expect("a folder");
    copy_dir(dir.path(), copy.path());
    let families = rocks(copy.path());
    assert_eq!(found(&families, RECORDS, 0, 100).len(), 10);
    assert_eq!(
        found(&families, PACKED, 0, 100),
        (5..10).collect::<Vec<_>>()
    );
    assert_eq!(found(&families, Family::Rows, 0, 100), [1]);
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("list");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            fs::create_dir_all(&target).expect("make");
            copy_dir(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), &target).expect("copy");
        }
    }
}

#[test]
fn rocks_finds_a_flipped_bit_and_names_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let families = rocks(dir.path());
    families
        .ingest(RECORDS, &mut rows(0..100, 5000).into_iter())
        .expect("ingest");
    drop(families);
    let is_table = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "sst");
    let files: Vec<_> = fs::read_dir(dir.path())
        .expect("list")
        .map(|e| e.expect("list").path())
        .filter(is_table)
        .collect();
    let [file] = &files[..] else {
        panic!("one file: {files:?}")
    };
    let mut bytes = fs::read(file).expect("read");
    bytes[100_000] ^= 1;
    fs::write(file, bytes).expect("write");
    let families = rocks(dir.path());
    let damaged = families
        .scan(RECORDS, &key(0), &key(100), 0, &mut |_, _| true)
        .expect_err("the damage is found");
    let Error::Corrupt { reason, .. } = &damaged else {
        panic!("{damaged}")
    };
    assert!(
        reason.contains(&*file.file_name().expect("a name").to_string_lossy()),
        "{reason}"
    );
}

#[test]
fn rocks_files_of_partitions_lie_at_the_bottom_and_give_their_space_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let families = rocks(dir.path());
    for n in 0..20 {
        families
            .ingest(RECORDS, &mut rows(n * 100..n * 100 + 100, 1000).into_iter())
            .expect("ingest");
    }
    let full = families.disk_bytes().expect("size");
    assert!(full > 2_000_000, "{full}");
    families
        .drop_range(RECORDS, &key(0), &key(1000))
        .expect("drop");
    let half = families.disk_bytes().expect("size");
    assert!(half < full * 6 / 10, "{half} of {full} bytes are left");
}

#[derive(Clone, Debug)]
enum Op {
    Ingest(u64, u64),
    Put(u64, Option<u8>),
    Drop(Family, u64, u64),
    Flush,
}

fn op() -> impl Strategy<Value = Op> {
    let family = prop_oneof![Just(PACKED), Just(Family::Rows)];
    prop_oneof![
        (0..50u64, 1..10u64).prop_map(|(from, len)| Op::Ingest(from, len)),
        (0..50u64, any::<Option<u8>>()).prop_map(|(key, value)| Op::Put(key, value)),
        (family, 0..50u64, 1..20u64).prop_map(|(family, from, len)| Op::Drop(family, from, len)),
        Just(Op::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rocks_and_its_twin_answer_alike(ops in prop::collection::vec(op(), 1..40)) {
        let dir = tempfile::tempdir().expect("a folder");
        let (rocks, twin) = (rocks(dir.path()), TwinFamilies::new());
        for op in ops {
            for families in [&rocks as &dyn Families, &twin] {
                match &op {
                    // Only where nothing is: that is the port's rule.
                    Op::Ingest(from, len) => {
                        let free = found(families, PACKED, *from, from + len).is_empty();
                        if free {
                            ingest(families, PACKED, *from..from + len);
                        }
                    }
                    Op::Put(n, value) => families.put(&[(key(*n), value.map(|v| vec![v]))]).expect("put"),
                    Op::Drop(family, from, len) => families.drop_range(*family, &key(*from), &key(from + len)).expect("drop"),
                    Op::Flush => families.flush().expect("flush"),
                }
            }
            for family in [PACKED, Family::Rows] {
                prop_assert_eq!(found(&rocks, family, 0, 100), found(&twin, family, 0, 100));
            }
            for at in [0, 7, 25, 60] {
                let last = |families: &dyn Families| families.last_at_or_before(PACKED, &key(3), &key(at)).expect("look up");
                prop_assert_eq!(last(&rocks), last(&twin));
            }
        }
    }
}
