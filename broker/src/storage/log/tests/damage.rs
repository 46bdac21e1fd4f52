use super::*;
use crate::storage::log::format::{
    self, BLOCK_HEADER_LEN, BlockHeader, SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentHeader,
};
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::ops::Range;

const FIRST: &str = "00000000000000000001.log";

/// A log of three segments, all of it synced, one block an append. Returns the places block by block.
fn synced_log() -> (TwinDisk, Vec<Vec<Located>>) {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let mut blocks = Vec::new();
    for i in 0..12 {
        let group = GroupId(9);
        let records = [entry(i, 2876), vote(group), entry(100 + i, 3 + i as usize)];
        blocks.push(log.append(&records).unwrap());
        log.sync().unwrap();
    }
    assert!(log.active_segment() >= 3);
    (disk.crash(Unsynced::Lost), blocks)
}

/// Where each fault is to be reported, and the bytes of which it may be.
fn faults(block: &[Located]) -> Vec<(u64, Range<u64>)> {
    let start = |l: &Located| u64::from(l.position.offset);
    let header = start(&block[0]) - BLOCK_HEADER_LEN as u64;
    let mut faults = vec![(header, header..start(&block[0]))];
    faults.extend(
        block
            .iter()
            .map(|l| (start(l), start(l)..start(l) + u64::from(l.len))),
    );
    faults
}

#[test]
fn a_flipped_bit_anywhere_is_found_or_harmless() {
    let (disk, blocks) = synced_log();
    let all: usize = blocks.iter().map(Vec::len).sum();
    let segments = blocks.last().map_or(0, |b| b[0].position.segment);
    let mut found = 0;
    for number in 1..=segments {
        let name = segment::name(number);
        for offset in 0..SEGMENT_BYTES {
            let disk = disk.fork();
            disk.flip_bit(&name, offset, (offset % 8) as u8);
            let opened = open(&disk).map(|(_, replayed)| replayed.len());
            let of_this = blocks
                .iter()
                .filter(|block| block[0].position.segment == number);
            let fault = of_this
                .flat_map(|block| faults(block).into_iter().map(move |f| (block, f)))
                .find(|(_, (_, range))| range.contains(&offset));
            match fault {
                // Nobody can tell damage to the last block of all from a tear.
                Some((block, _)) if Some(block) == blocks.last() => {
                    assert_eq!(opened, Ok(all - 3), "{name} at {offset}");
                }
                _ if offset < SEGMENT_HEADER_USED as u64 => {
                    let expected = Error::corrupt(&name, 0, "the segment's header is invalid");
                    assert_eq!(opened, Err(expected), "{name} at {offset}");
                    found += 1;
                }
                Some((_, (reported, _))) => match opened {
                    Err(Error::Corrupt {
                        file, offset: o, ..
                    }) => {
                        assert_eq!((&file, o), (&name, reported), "flipped at {offset}");
                        found += 1;
                    }
                    other => panic!("{name} at {offset}: {other:?}"),
                },
                None => assert_eq!(opened, Ok(all), "{name} at {offset}"),
            }
        }
    }
    assert!(found > 30_000, "{found}");
}

#[test]
fn a_reader_finds_a_flipped_bit() {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let located = log.append(&[entry(1, 100)]).unwrap()[0];
    let reader = log.reader();
    reader.read(located, GroupId(1), 1).unwrap();
    let offset = u64::from(located.position.offset);
    disk.flip_bit(FIRST, offset + 60, 3);
    let reason = "the record's checksum does not match";
    let expected = Error::corrupt(FIRST, offset, reason);
    assert_eq!(reader.read(located, GroupId(1), 1), Err(expected));
}

#[test]
fn a_missing_segment_is_named() {
    let (disk, _) = synced_log();
    let second = "00000000000000000002.log";
    disk.remove(second).unwrap();
    let expected = Error::corrupt(second, 0, "the segment is missing");
    assert_eq!(open(&disk).err(), Some(expected));
}

#[test]
fn a_segment_that_was_cut_short_is_damage() {
    let (disk, blocks) = synced_log();
    disk.open(FIRST).unwrap().set_len(6000).unwrap();
    assert_eq!(blocks[1][0].position.segment, 1);
    match open(&disk).map(|_| ()) {
        Err(Error::Corrupt { file, offset, .. }) => {
            assert_eq!((file.as_str(), offset), (FIRST, 6000));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_half_made_segment_is_removed_whatever_it_holds() {
    let (disk, blocks) = synced_log();
    let all: usize = blocks.iter().map(Vec::len).sum();
    let next = segment::name(blocks.last().unwrap()[0].position.segment + 1);
    let recycled = disk.contents(FIRST).unwrap();
    for len in [0, 100, 4096, SEGMENT_BYTES] {
        for old in [vec![0; len as usize], recycled[..len as usize].to_vec()] {
            let disk = disk.fork();
            let file = disk.create(&next, len).unwrap();
            file.write_at(&old, 0).unwrap();
            let (mut log, replayed) = open(&disk).unwrap();
            assert_eq!(replayed.len(), all);
            log.append(&[entry(500, 10)]).unwrap();
            let (_, replayed) = open(&disk.kill()).unwrap();
            assert_eq!(replayed.len(), all + 1);
        }
    }
}

/// Rewrites the only record of a log by `change` and gives it the right checksum again.
fn patched(change: &dyn Fn(&mut [u8])) -> (TwinDisk, Located) {
    let disk = TwinDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let located = log.append(&[entry(1, 20)]).unwrap()[0];
    let image = disk.contents(FIRST).unwrap();
    let header = SegmentHeader::decode(image.first_chunk().unwrap()).unwrap();
    let offset = located.position.offset as usize;
    let mut record = image[offset..offset + located.len as usize].to_vec();
    change(&mut record);
    let crc = crc32c::crc32c_append(header.record_seed(), &record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    let disk = disk.kill();
    let file = disk.open(FIRST).unwrap();
    file.write_at(&record, offset as u64).unwrap();
    (disk, located)
}

#[test]
fn a_record_of_an_unknown_kind_is_not_taken_for_damage() {
    let (disk, located) = patched(&|record| record[8] = 200);
    let expected = Error::UnknownKind {
        file: FIRST.to_owned(),
        offset: u64::from(located.position.offset),
        kind: 200,
    };
    assert_eq!(open(&disk).err(), Some(expected));
}

#[test]
fn an_intact_record_that_makes_no_sense_is_not_taken_for_a_tear() {
    for (at, value, reason) in [
        (12, 34, "the context is longer than the record"),
        (8, 2, "the length does not fit the kind"),
    ] {
        let (disk, located) = patched(&|record| record[at] = value);
        let offset = u64::from(located.position.offset);
        let expected = Error::corrupt(FIRST, offset, reason);
        assert_eq!(open(&disk).err(), Some(expected));
    }
}

#[test]
fn a_segment_of_a_later_version_is_refused() {
    let disk = TwinDisk::new();
    open(&disk).unwrap();
    let disk = disk.kill();
    let mut used: Vec<u8> = disk.contents(FIRST).unwrap()[..SEGMENT_HEADER_USED].to_vec();
    used[8] = 3;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&used[..12]), &used[16..]);
    used[12..16].copy_from_slice(&crc.to_le_bytes());
    disk.open(FIRST).unwrap().write_at(&used, 0).unwrap();
    let expected = Error::UnknownVersion {
        file: FIRST.to_owned(),
        version: 3,
    };
    assert_eq!(open(&disk).err(), Some(expected));
}

/// An image of one segment whose headers are right, so that what lies behind them is reached.
fn image(body: &[u8], records: u32, fix_checksum: bool) -> Bytes {
    let header = SegmentHeader {
        number: 1,
        salt: 2,
        previous_end: 0,
    };
    let mut image = header.encode().to_vec();
    image.resize(SEGMENT_HEADER_LEN as usize, 0);
    let block = BlockHeader {
        salt: 2,
        number: 1,
        offset: SEGMENT_HEADER_LEN as u32,
        synced: 0,
        records,
        body_len: body.len() as u32,
    };
    image.extend_from_slice(&block.encode());
    let start = image.len();
    image.extend_from_slice(body);
    if fix_checksum && body.len() >= 8 {
        image[start + 4..start + 8].copy_from_slice(&(body.len() as u32).to_le_bytes());
        let crc = crc32c::crc32c_append(header.record_seed(), &image[start + 4..]);
        image[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
    Bytes::from(image)
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        mut body in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0u8..6,
        records in prop_oneof![0u32..4, any::<u32>()],
        fix_checksum: bool,
    ) {
        let _ = replay_bytes(&Bytes::from(body.clone()), &mut |_, _| {});
        if let Some(byte) = body.get_mut(8) {
            *byte = kind;
        }
        // Numbers of one byte, so that some contexts fit.
        if let Some(bytes) = body.get_mut(9..13) {
            bytes.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        let _ = decode_record(&Bytes::from(body.clone()));
        let image = image(&body, records, fix_checksum);
        if let Ok(end) = replay_bytes(&image, &mut |_, _| {}) {
            prop_assert!(end as usize <= image.len());
        }
    }

    #[test]
    fn a_record_decodes_to_what_was_encoded(seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let record = random_record(&mut rng, 1);
        let mut bytes = Vec::new();
        let len = format::record_len(record.borrow());
        format::encode_record(record.borrow(), len as u32, 5, &mut bytes);
        prop_assert_eq!(bytes.len() as u64, len);
        prop_assert_eq!(format::check_record(&bytes, 0, 5), Ok(0..bytes.len()));
        prop_assert!(format::check_record(&bytes, 0, 6).is_err());
        prop_assert_eq!(decode_record(&Bytes::from(bytes)), Some(record));
    }
}

#[test]
fn an_image_replays_like_its_file() {
    let (disk, blocks) = synced_log();
    let image = Bytes::from(disk.contents(FIRST).unwrap());
    let mut offsets = Vec::new();
    let end = replay_bytes(&image, &mut |offset, _| offsets.push(offset)).unwrap();
    let located = blocks.iter().flatten();
    let expected: Vec<u32> = located
        .filter(|l| l.position.segment == 1)
        .map(|l| l.position.offset)
        .collect();
    assert_eq!(offsets, expected);
    assert!(end > *expected.last().unwrap());
}
