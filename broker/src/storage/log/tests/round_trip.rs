use super::*;
use crate::storage::disk::OsDisk;
use proptest::test_runner::Config;
use proptest::{prop_assert, prop_assert_eq, proptest};

/// Appends random records, group after group, and returns them with their places.
fn fill(log: &mut SharedLog, rng: &mut SmallRng, groups: u64) -> Replayed {
    let mut appended = Vec::new();
    for _ in 0..groups {
        let records: Vec<Record> = (0..rng.random_range(0..12))
            .map(|i| random_record(rng, appended.len() as u64 + i))
            .collect();
        let located = log.append(&records).unwrap();
        assert_eq!(located.len(), records.len());
        appended.extend(located.into_iter().zip(records));
        if rng.random_bool(0.5) {
            log.sync().unwrap();
        }
    }
    appended
}

fn check_reads(log: &SharedLog, appended: &Replayed) {
    let reader = log.reader();
    for (located, record) in appended {
        if let Record::Entry { group, entry } = record {
            let read = reader.read(*located, *group, entry.index).unwrap();
            assert_eq!(&read, entry);
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(32))]

    #[test]
    fn what_was_appended_is_replayed_and_readable(seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let disk = TwinDisk::new();
        let (mut log, replayed) = open(&disk).unwrap();
        prop_assert!(replayed.is_empty());
        let mut appended = fill(&mut log, &mut rng, 12);
        check_reads(&log, &appended);
        let mut disk = disk;
        for _ in 0..3 {
            disk = disk.kill();
            let (mut log, replayed) = open(&disk).unwrap();
            prop_assert_eq!(&replayed, &appended);
            appended.extend(fill(&mut log, &mut rng, 4));
            check_reads(&log, &appended);
        }
    }
}

#[test]
fn a_real_directory_holds_what_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open_with(Arc::new(OsDisk::open(dir.path()).unwrap()), options()).unwrap();
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut log, _) = open();
    let appended = fill(&mut log, &mut rng, 20);
    check_reads(&log, &appended);
    assert!(log.active_segment() > 3);
    drop(log);

    let (mut log, replayed) = open();
    assert_eq!(replayed, appended);
    let oldest = log.active_segment() - 1;
    log.release_below(oldest).unwrap();
    let more = fill(&mut log, &mut rng, 20);
    let kept = appended
        .into_iter()
        .filter(|(l, _)| l.position.segment >= oldest);
    let expected: Replayed = kept.chain(more).collect();
    check_reads(&log, &expected);
    drop(log);
    assert_eq!(open().1, expected);
}

#[test]
fn a_run_reads_like_its_entries_one_by_one() {
    let (mut log, _) = open(&TwinDisk::new()).unwrap();
    let mut located = Vec::new();
    for first in [1, 4, 7, 10] {
        let own: Vec<Record> = (first..first + 3).map(|i| entry(i, 1500)).collect();
        located.extend(log.append(&own).unwrap());
        let group = GroupId(2);
        log.append(&[vote(group)]).unwrap();
    }
    assert!(log.active_segment() > 1);
    let reader = log.reader();
    let run = reader.read_run(&located[1..], GroupId(1), 2).unwrap();
    let singles: Vec<Entry> = (1..located.len())
        .map(|i| reader.read(located[i], GroupId(1), i as u64 + 1).unwrap())
        .collect();
    assert_eq!(run, singles);
    assert_eq!(reader.read_run(&[], GroupId(1), 1), Ok(Vec::new()));
}

#[test]
fn a_read_checks_that_it_got_the_entry_it_asked_for() {
    let (mut log, _) = open(&TwinDisk::new()).unwrap();
    let first = entry(1, 100);
    let state = HardState::default();
    let group = GroupId(1);
    let located = log
        .append(&[first, Record::HardState { group, state }])
        .unwrap();
    let reader = log.reader();
    let corrupt = |located, group, index| {
        let read = reader.read(located, GroupId(group), index);
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    };
    reader.read(located[0], GroupId(1), 1).unwrap();
    corrupt(located[0], 2, 1);
    corrupt(located[0], 1, 2);
    corrupt(located[1], 1, 1);
    let mut longer = located[0];
    longer.len += 1;
    corrupt(longer, 1, 1);
    longer.len = u32::MAX;
    corrupt(longer, 1, 1);
}

#[test]
fn a_refused_record_is_named() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let located = log.append(&[entry(1, 10), entry(2, 10)]).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(disk.kill());
    let opened = SharedLog::open(disk, options(), SALT_SEED, &mut |_, record| match record {
        Record::Entry { entry, .. } if entry.index == 2 => Err("a gap"),
        _ => Ok(()),
    });
    let expected = Error::Refused {
        file: "00000000000000000001.log".to_owned(),
        offset: u64::from(located[1].position.offset),
        reason: "a gap".to_owned(),
    };
    assert_eq!(opened.err(), Some(expected));
}
