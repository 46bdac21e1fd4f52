use super::*;

/// What the log was asked for and what it promised.
#[derive(Default)]
struct Model {
    /// In order of appending; the segment is known of those whose append succeeded.
    records: Vec<(Record, Option<u64>)>,
    /// So many of them are durable.
    synced: usize,
    /// So many of them were released at least, and at most.
    released: (usize, usize),
    serial: u64,
}

impl Model {
    /// Compares what a fresh opening replays with what it must, and goes on from there.
    fn check(&mut self, replayed: Replayed, what: &str) {
        let (at_least, at_most) = self.released;
        let first = match replayed.first() {
            Some((_, first)) => self.records.iter().position(|(r, _)| r == first),
            None => Some(at_most),
        };
        let first = first.unwrap_or_else(|| panic!("{what}: replays a record never appended"));
        assert!(
            (at_least..=at_most).contains(&first),
            "{what}: begins at {first}, {:?} were released",
            self.released
        );
        let end = first + replayed.len();
        assert!(
            end >= self.synced,
            "{what}: ends at {end}, {} were synced",
            self.synced
        );
        let expected = self.records[first..end].iter().map(|(record, _)| record);
        assert!(
            expected.eq(replayed.iter().map(|(_, record)| record)),
            "{what}: the order changed"
        );
        self.records = replayed
            .into_iter()
            .map(|(located, record)| (record, Some(located.position.segment)))
            .collect();
        self.synced = self.records.len();
        self.released = (0, 0);
    }

    fn append(
        &mut self,
        log: &mut SharedLog,
        count: u64,
        make: &mut dyn FnMut(u64) -> Record,
    ) -> Result<(), Error> {
        let records: Vec<Record> = (0..count).map(|i| make(self.serial + i)).collect();
        self.serial += count;
        let first = self.records.len();
        self.records
            .extend(records.iter().map(|r| (r.clone(), None)));
        for (i, located) in log.append(&records)?.into_iter().enumerate() {
            self.records[first + i].1 = Some(located.position.segment);
        }
        Ok(())
    }

    fn sync(&mut self, log: &mut SharedLog) -> Result<(), Error> {
        log.sync()?;
        self.synced = self.records.len();
        Ok(())
    }

    fn release(&mut self, log: &mut SharedLog, below: u64) -> Result<(), Error> {
        let kept = |(_, segment): &(Record, Option<u64>)| segment.is_some_and(|s| s >= below);
        let released = self.records.iter().position(kept);
        self.released.1 = released.unwrap_or(self.records.len());
        log.release_below(below)?;
        self.synced = self.records.len();
        self.released.0 = self.released.1;
        Ok(())
    }
}

/// Appends, syncs, rolls, releases and reopens. Leaves the disk behind that was in use when the first error came.
fn script(disk: &mut TwinDisk, model: &mut Model) -> Result<(), Error> {
    let mut rng = SmallRng::seed_from_u64(3);
    let (mut log, replayed) = open(disk)?;
    model.check(replayed, "the first opening");
    for step in 1..=30 {
        let count = rng.random_range(1..8);
        model.append(&mut log, count, &mut |serial| {
            random_record(&mut rng, serial)
        })?;
        if step % 2 == 0 {
            model.sync(&mut log)?;
        }
        if step % 7 == 0 {
            let below = log.active_segment();
            model.release(&mut log, below)?;
        }
        if step % 10 == 0 {
            *disk = disk.kill();
            let (reopened, replayed) = open(disk)?;
            model.check(replayed, "reopening");
            log = reopened;
        }
    }
    Ok(())
}

fn torn(disk: &TwinDisk, rng: &mut SmallRng) -> TwinDisk {
    disk.crash(Unsynced::Torn(&mut |n| rng.random_range(0..n)))
}

#[test]
fn a_crash_after_any_operation_loses_nothing_synced() {
    let mut disk = TwinDisk::new();
    script(&mut disk, &mut Model::default()).unwrap();
    let ops = disk.ops();
    assert!(ops > 100, "the script is too short: {ops} operations");
    for cut in 0..ops {
        for variant in 0..5 {
            let mut disk = TwinDisk::new();
            let mut model = Model::default();
            disk.fail_after_ops(cut);
            script(&mut disk, &mut model).expect_err("the power goes off");
            let mut rng = SmallRng::seed_from_u64(variant);
            let disk = match variant {
                0 => disk.crash(Unsynced::Lost),
                1 => disk.crash(Unsynced::Kept),
                _ => torn(&disk, &mut rng),
            };
            let what = format!("cut after {cut}, variant {variant}");
            let opened = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            let (mut log, replayed) = opened;
            model.check(replayed, &what);
            model
                .append(&mut log, 3, &mut |serial| random_record(&mut rng, serial))
                .unwrap();
            let disk = torn(&disk, &mut rng);
            let (_, replayed) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            model.check(replayed, &what);
        }
    }
}

#[test]
fn a_crash_while_reopening_loses_nothing() {
    for seed in 0..40 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let disk = TwinDisk::new();
        let mut model = Model::default();
        let (mut log, _) = open(&disk).unwrap();
        for _ in 0..6 {
            let count = rng.random_range(1..6);
            model
                .append(&mut log, count, &mut |serial| {
                    random_record(&mut rng, serial)
                })
                .unwrap();
            if rng.random_bool(0.3) {
                model.sync(&mut log).unwrap();
            }
        }
        let mut disk = torn(&disk, &mut rng);
        for cut in 0.. {
            disk.fail_after_ops(cut);
            match open(&disk) {
                Ok((_, replayed)) => {
                    model.check(replayed, &format!("seed {seed}, cut {cut}"));
                    break;
                }
                Err(_) => disk = torn(&disk, &mut rng),
            }
            let check = disk.fork();
            let (_, replayed) = open(&check).unwrap();
            model.check(replayed, &format!("seed {seed}, cut {cut}"));
        }
    }
}

/// Blocks of one size, so that an old block lies exactly where a new one would.
fn alike(serial: u64) -> Record {
    entry(serial, 700)
}

#[test]
fn a_torn_tail_is_cut_and_what_was_cut_never_comes_back() {
    let mut cuts = 0;
    for seed in 0..500 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut disk = TwinDisk::new();
        let mut model = Model::default();
        for round in 0..6 {
            let what = format!("seed {seed}, round {round}");
            let (mut log, replayed) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            cuts += usize::from(replayed.len() < model.records.len());
            model.check(replayed, &what);
            for _ in 0..rng.random_range(0..6) {
                let count = rng.random_range(1..3);
                model.append(&mut log, count, &mut alike).unwrap();
                if rng.random_bool(0.2) {
                    model.sync(&mut log).unwrap();
                }
            }
            disk = match rng.random_bool(0.2) {
                true => disk.kill(),
                false => torn(&disk, &mut rng),
            };
        }
    }
    assert!(cuts > 500, "hardly anything was torn: {cuts} tails");
}

#[test]
fn what_is_left_in_a_recycled_file_is_never_replayed() {
    for seed in 0..100 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut disk = TwinDisk::new();
        let mut model = Model::default();
        for round in 0..4 {
            let what = format!("seed {seed}, round {round}");
            let (mut log, replayed) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            model.check(replayed, &what);
            for _ in 0..40 {
                model.append(&mut log, 2, &mut alike).unwrap();
                if rng.random_bool(0.3) {
                    let below = log.active_segment();
                    model.release(&mut log, below).unwrap();
                }
            }
            disk = torn(&disk, &mut rng);
        }
    }
}

#[test]
fn a_recycled_file_really_holds_old_blocks() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let mut model = Model::default();
    while log.active_segment() < 3 {
        model.append(&mut log, 1, &mut alike).unwrap();
    }
    log.release_below(3).unwrap();
    // The first spare was never used before.
    while log.active_segment() < 5 {
        model.append(&mut log, 1, &mut alike).unwrap();
    }
    let bytes = disk.contents("00000000000000000005.log").unwrap();
    let behind = bytes[8192..].iter().filter(|byte| **byte != 0).count();
    assert!(behind > 1000);
}

/// The header of a new block survives and its body does not, and the body that the file held before has the same layout.
#[test]
fn the_body_of_an_old_block_is_not_taken_for_the_body_of_a_new_one() {
    // A block that ends 40 bytes before a sector does, so that the next one's body begins with a sector of its own. Beside
    // its data an entry with a small index has 13 bytes of header and 7 of context, one above 127 a byte more.
    let filler = |index: u64| entry(index, 512 - 40 - 40 - 13 - 7 - usize::from(index > 127));
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    // Two blocks a segment, in every file that the log will ever have, until all of them were used before.
    for index in 1..=12 {
        log.append(&[filler(100 + index)]).unwrap();
        log.append(&[entry(index, 11_500)]).unwrap();
        log.release_below(log.active_segment()).unwrap();
    }
    log.append(&[filler(300)]).unwrap();
    log.sync().unwrap();
    let active = log.active_segment();
    let old = disk.contents(&segment::name(active)).unwrap();
    assert_ne!(old[8192], 0, "an old entry lies there");
    let located = log.append(&[entry(301, 11_500)]).unwrap()[0];
    assert_eq!(located.position.offset % 512, 0);
    let mut sectors = 0;
    let disk = disk.crash(Unsynced::Torn(&mut |versions| {
        sectors += 1;
        if sectors == 1 { versions - 1 } else { 0 }
    }));
    let (_, replayed) = open(&disk).unwrap();
    assert_eq!(records(&replayed).last(), Some(&filler(300)));
}

#[test]
fn a_header_whose_sync_failed_is_written_again() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&[entry(1, 10_000)]).unwrap();
    log.sync().unwrap();
    disk.fail_syncs(true);
    assert!(log.append(&[entry(2, 10_000)]).is_err(), "it rolls");

    // The page cache still shows the header, and no sync would ever write it.
    let disk = disk.kill();
    disk.fail_syncs(false);
    let (mut log, replayed) = open(&disk).unwrap();
    assert_eq!(records(&replayed), [entry(1, 10_000)]);
    log.append(&[entry(2, 10_000)]).unwrap();
    log.sync().unwrap();

    let disk = disk.crash(Unsynced::Lost);
    let (_, replayed) = open(&disk).unwrap();
    assert_eq!(records(&replayed), [entry(1, 10_000), entry(2, 10_000)]);
}
