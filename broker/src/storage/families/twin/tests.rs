//! What a crash leaves, and what is refused.

#![allow(clippy::unwrap_used)]

use super::*;

const RECORDS: Family = Family::Records(0);
const PACKED: Family = Family::Packed(0);

fn put(twin: &TwinFamilies, key: u8) -> Result<(), Error> {
    twin.put(&[(vec![key], Some(vec![key]))])
}

fn ingest(twin: &TwinFamilies, family: Family, keys: &[u8]) -> Result<u64, Error> {
    let row = |key: &u8| (vec![*key], Bytes::from(vec![*key; 10]));
    twin.ingest(family, &mut keys.iter().map(row))
}

fn keys(twin: &TwinFamilies, family: Family) -> Result<Vec<u8>, Error> {
    let mut keys = Vec::new();
    twin.scan(family, &[], &[255], 0, &mut |key, _| {
        keys.push(key[0]);
        true
    })?;
    Ok(keys)
}

#[test]
fn a_crash_keeps_a_prefix_of_the_unflushed_rows() {
    for kept in 0..=4 {
        let twin = TwinFamilies::new();
        put(&twin, 1).unwrap();
        twin.flush().unwrap();
        put(&twin, 2).unwrap();
        twin.drop_range(Family::Rows, &[1], &[2]).unwrap();
        put(&twin, 3).unwrap();
        twin.put(&[(vec![4], Some(vec![])), (vec![2], None)])
            .unwrap();
        let after = twin.crash(&mut |choices| kept.min(choices - 1));
        let expected: [&[u8]; 5] = [&[1], &[1, 2], &[2], &[2, 3], &[3, 4]];
        assert_eq!(keys(&after, Family::Rows).unwrap(), expected[kept]);
        // What a crash left is durable.
        let after = after.crash(&mut |_| 0);
        assert_eq!(keys(&after, Family::Rows).unwrap(), expected[kept]);
    }
}

#[test]
fn a_crash_brings_back_packed_ranges_whose_drop_was_not_flushed() {
    let twin = TwinFamilies::new();
    ingest(&twin, PACKED, &[1, 2, 3, 4, 5]).unwrap();
    ingest(&twin, RECORDS, &[1, 2, 3]).unwrap();
    twin.drop_range(PACKED, &[1], &[2]).unwrap();
    twin.flush().unwrap();
    twin.drop_range(PACKED, &[2], &[3]).unwrap();
    twin.drop_range(PACKED, &[3], &[4]).unwrap();
    twin.drop_range(RECORDS, &[2], &[9]).unwrap();
    assert_eq!(keys(&twin, PACKED).unwrap(), [4, 5]);
    let mut picks = [0, 1, 0].into_iter();
    let after = twin.crash(&mut |_| picks.next().unwrap());
    assert_eq!(keys(&after, PACKED).unwrap(), [3, 4, 5]);
    assert_eq!(keys(&after, RECORDS).unwrap(), [1]);
    // A run that fills a dropped range takes the drop to disk.
    after.drop_range(PACKED, &[3], &[5]).unwrap();
    ingest(&after, PACKED, &[3]).unwrap();
    let after = after.crash(&mut |_| 0);
    assert_eq!(keys(&after, PACKED).unwrap(), [3, 5]);
}

#[test]
fn handles_from_before_a_crash_fail() {
    let twin = TwinFamilies::new();
    let clone = twin.clone();
    put(&clone, 1).unwrap();
    assert_eq!(keys(&twin, Family::Rows).unwrap(), [1]);
    let after = twin.crash(&mut |_| 0);
    for old in [&twin, &clone] {
        put(old, 2).unwrap_err();
        keys(old, Family::Rows).unwrap_err();
        old.disk_bytes().unwrap_err();
    }
    put(&after, 3).unwrap();
}

#[test]
fn everything_fails_behind_the_last_change_that_was_granted() {
    let twin = TwinFamilies::new();
    ingest(&twin, RECORDS, &[1]).unwrap();
    put(&twin, 1).unwrap();
    assert_eq!(twin.ops(), 2);
    twin.fail_after_ops(3);
    twin.flush().unwrap();
    keys(&twin, RECORDS).unwrap();
    ingest(&twin, RECORDS, &[2]).unwrap_err();
    keys(&twin, RECORDS).unwrap_err();
    twin.flush().unwrap_err();
    let after = twin.crash(&mut |_| 0);
    assert_eq!(keys(&after, RECORDS).unwrap(), [1]);
    assert_eq!(keys(&after, Family::Rows).unwrap(), [1]);
    ingest(&after, RECORDS, &[2]).unwrap();
}

#[test]
fn a_full_disk_takes_no_run_and_no_flush() {
    let twin = TwinFamilies::new();
    ingest(&twin, RECORDS, &[1]).unwrap();
    twin.set_capacity(Some(twin.disk_bytes().unwrap()));
    ingest(&twin, RECORDS, &[2]).unwrap_err();
    put(&twin, 1).unwrap();
    twin.flush().unwrap_err();
    twin.drop_range(RECORDS, &[1], &[2]).unwrap();
    twin.flush().unwrap();
    let after = twin.crash(&mut |_| 0);
    assert_eq!(keys(&after, Family::Rows).unwrap(), [1]);
}

#[test]
fn a_damaged_row_is_told_until_it_is_dropped() {
    let twin = TwinFamilies::new();
    ingest(&twin, RECORDS, &[1, 2, 3]).unwrap();
    twin.damage(RECORDS, &[2]);
    let twin = twin.crash(&mut |_| 0);
    let told = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    };
    told(keys(&twin, RECORDS).map(drop));
    told(twin.get(RECORDS, &[2]).map(drop));
    told(twin.last_at_or_before(RECORDS, &[1], &[2]).map(drop));
    assert!(twin.get(RECORDS, &[3]).unwrap().is_some());
    twin.drop_range(RECORDS, &[2], &[3]).unwrap();
    ingest(&twin, RECORDS, &[2]).unwrap();
    assert_eq!(keys(&twin, RECORDS).unwrap(), [1, 2, 3]);
}

#[test]
fn a_fork_goes_its_own_way() {
    let twin = TwinFamilies::new();
    put(&twin, 1).unwrap();
    let fork = twin.fork();
    put(&twin, 2).unwrap();
    assert_eq!(keys(&fork, Family::Rows).unwrap(), [1]);
    let fork = fork.crash(&mut |_| 0);
    assert_eq!(keys(&fork, Family::Rows).unwrap(), [1]);
    assert_eq!(keys(&twin, Family::Rows).unwrap(), [1, 2]);
}
