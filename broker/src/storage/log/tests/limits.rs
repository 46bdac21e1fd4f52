use super::*;

const GROUP: GroupId = GroupId(1);

/// The largest entry's data: what a segment leaves beside its header, one block's, the record's and the context.
const MAX_DATA: usize = SEGMENT_BYTES as usize - 4096 - 40 - 13 - 7;

#[test]
fn a_record_larger_than_a_segment_is_refused_and_writes_nothing() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let ops = disk.ops();
    let error = log.append(&[entry(1, 10), entry(2, MAX_DATA + 1)]);
    let expected = Error::TooLarge {
        record_bytes: SEGMENT_BYTES - 4096 - 40 + 1,
        limit_bytes: SEGMENT_BYTES - 4096 - 40,
    };
    assert_eq!(error, Err(expected));
    assert_eq!(disk.ops(), ops);
    let largest = [entry(1, MAX_DATA), entry(2, MAX_DATA), entry(3, 0)];
    let located = log.append(&largest).unwrap();
    let segments: Vec<u64> = located.iter().map(|l| l.position.segment).collect();
    assert_eq!(segments, [1, 2, 3]);
    let (_, replayed) = open(&disk.kill()).unwrap();
    assert_eq!(records(&replayed), largest);
}

#[test]
fn impossible_segment_sizes_are_refused() {
    for segment_bytes in [0, 4096, 8192 + 512, 1 << 32] {
        let mut options = options();
        options.segment_bytes = segment_bytes;
        let opened = open_with(Arc::new(TwinDisk::new()), options);
        let expected = Error::SegmentBytes { segment_bytes };
        assert_eq!(opened.err(), Some(expected));
    }
}

#[test]
fn nothing_is_written_after_a_failed_write() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 10)]).unwrap();
    log.sync().unwrap();
    disk.fail_writes(true);
    let failed = log.append(&[entry(2, 10)]);
    assert!(
        matches!(
            failed,
            Err(Error::Io {
                action: "write",
                ..
            })
        ),
        "{failed:?}"
    );
    disk.fail_writes(false);
    let ops = disk.ops();
    assert_eq!(log.append(&[entry(2, 10)]), Err(Error::Poisoned));
    assert_eq!(log.sync(), Err(Error::Poisoned));
    assert_eq!(log.release_below(1), Err(Error::Poisoned));
    assert_eq!(log.reserve(), Err(Error::Poisoned));
    assert_eq!(disk.ops(), ops);
    let (_, replayed) = open(&disk.crash(Unsynced::Lost)).unwrap();
    assert_eq!(records(&replayed), [entry(1, 10)]);
}

#[test]
fn what_opening_replays_after_a_failed_sync_is_durable() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 1000)]).unwrap();
    log.sync().unwrap();
    log.append(&[entry(2, 1000)]).unwrap();
    disk.fail_syncs(true);
    let failed = log.sync();
    assert!(
        matches!(failed, Err(Error::Io { action: "sync", .. })),
        "{failed:?}"
    );
    disk.fail_syncs(false);
    assert_eq!(log.sync(), Err(Error::Poisoned));

    let disk = disk.kill();
    let (_, replayed) = open(&disk).unwrap();
    assert_eq!(records(&replayed), [entry(1, 1000), entry(2, 1000)]);
    let (_, replayed) = open(&disk.crash(Unsynced::Lost)).unwrap();
    assert_eq!(records(&replayed), [entry(1, 1000), entry(2, 1000)]);
}

#[test]
fn a_full_disk_refuses_an_append_as_a_whole_and_recovers() {
    let disk = TwinDisk::new();
    // The active segment, its reserved successor, and one more.
    disk.set_capacity(Some(3 * SEGMENT_BYTES));
    let (mut log, _) = open(&disk).unwrap();
    let four: Vec<Record> = (1..=4).map(|i| entry(i, MAX_DATA)).collect();
    let full = Error::Full {
        needed_bytes: SEGMENT_BYTES,
    };
    assert_eq!(log.append(&four), Err(full.clone()));
    log.append(&four[..3]).unwrap();
    assert_eq!(log.append(&four[3..]), Err(full.clone()));
    assert_eq!(log.reserve(), Err(full));
    log.sync().unwrap();

    log.release_below(3).unwrap();
    assert_eq!(log.oldest_segment(), 3);
    log.append(&four[3..]).unwrap();
    log.sync().unwrap();
    let (_, replayed) = open(&disk.crash(Unsynced::Lost)).unwrap();
    assert_eq!(records(&replayed), four[2..]);
}

#[test]
fn a_full_disk_can_be_opened_and_released_from() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let three: Vec<Record> = (1..=3).map(|i| entry(i, MAX_DATA)).collect();
    log.append(&three).unwrap();
    let disk = disk.kill();
    // Somebody else took what the spare segment held.
    for name in names(&disk).iter().filter(|n| n.ends_with(".spare")) {
        disk.remove(name).unwrap();
    }
    disk.set_capacity(Some(3 * SEGMENT_BYTES));
    let (mut log, replayed) = open(&disk).unwrap();
    assert_eq!(records(&replayed), three);
    assert!(matches!(
        log.append(&[entry(4, 10)]),
        Err(Error::Full { .. })
    ));
    assert_eq!((log.oldest_segment(), log.active_segment()), (1, 4));
    log.release_below(u64::MAX).unwrap();
    assert_eq!(log.oldest_segment(), 3, "the newest segment stays");
    log.append(&[entry(4, 10)]).unwrap();
    assert_eq!(log.active_segment(), 4);
    let (_, replayed) = open(&disk.kill()).unwrap();
    assert_eq!(records(&replayed), [entry(3, MAX_DATA), entry(4, 10)]);
}

#[test]
fn released_segments_become_spares_and_the_rest_is_removed() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for index in 1..=6 {
        log.append(&[entry(index, MAX_DATA)]).unwrap();
    }
    assert_eq!(log.bytes_in_use(), 6 * SEGMENT_BYTES);
    log.release_below(6).unwrap();
    assert_eq!(log.bytes_in_use(), SEGMENT_BYTES);
    let spares = ["00000000000000000000.spare", "00000000000000000001.spare"];
    let active = "00000000000000000006.log";
    assert_eq!(names(&disk), [spares[0], spares[1], active]);
    log.append(&[entry(7, MAX_DATA)]).unwrap();
    let next = "00000000000000000007.log";
    assert_eq!(names(&disk), [spares[1], active, next]);
}

#[test]
fn a_segment_that_was_cut_does_not_become_a_spare() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 10)]).unwrap();
    let (mut log, _) = open(&disk.kill()).unwrap();
    assert!(log.bytes_in_use() < SEGMENT_BYTES + 8192);
    log.release_below(2).unwrap();
    let disk = disk.kill();
    for name in names(&disk) {
        let len = disk.contents(&name).map(|bytes| bytes.len() as u64);
        assert_eq!(len, Some(SEGMENT_BYTES), "{name}");
    }
}

#[test]
fn a_reader_of_a_released_segment_is_told_to_look_again() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let first = log.append(&[entry(1, MAX_DATA)]).unwrap()[0];
    let reader = log.reader();
    let second = log.append(&[entry(2, MAX_DATA)]).unwrap()[0];
    reader.read(first, GROUP, 1).unwrap();
    log.release_below(2).unwrap();
    let gone = Err(Error::Gone { segment: 1 });
    assert_eq!(reader.read(first, GROUP, 1), gone);
    reader.read(second, GROUP, 2).unwrap();
    // The file is written to again, under another number.
    for index in 3..=5 {
        log.append(&[entry(index, MAX_DATA)]).unwrap();
    }
    assert_eq!(reader.read(first, GROUP, 1), gone);
}

#[test]
fn other_files_in_the_directory_are_left_alone() {
    let disk = TwinDisk::new();
    disk.create("meta.properties", 10).unwrap();
    disk.create("00000000000000000000.spare", 100).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 10)]).unwrap();
    assert!(names(&disk).contains(&"meta.properties".to_owned()));
    let spare = disk.contents("00000000000000000000.spare").unwrap();
    assert_eq!(spare.len() as u64, SEGMENT_BYTES, "a cut spare is replaced");
}

#[test]
fn segments_of_another_size_are_replayed_and_not_reused() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let three: Vec<Record> = (1..=3).map(|i| entry(i, MAX_DATA)).collect();
    log.append(&three).unwrap();
    let disk = disk.kill();
    let mut larger = options();
    larger.segment_bytes *= 2;
    let (mut log, replayed) = open_with(Arc::new(disk.clone()), larger).unwrap();
    assert_eq!(records(&replayed), three);
    log.release_below(log.active_segment()).unwrap();
    for name in names(&disk) {
        let len = disk.contents(&name).map(|bytes| bytes.len() as u64);
        assert_eq!(len, Some(2 * SEGMENT_BYTES), "{name}");
    }
}

#[test]
fn a_log_can_be_read_beside_its_writer() {
    fn shared<T: Clone + Send + Sync>() {}
    fn owned<T: Send>() {}
    shared::<LogReader>();
    owned::<SharedLog>();
}
