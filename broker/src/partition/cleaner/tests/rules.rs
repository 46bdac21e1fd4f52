//! One rule a test.

use super::*;

#[test]
fn the_map_holds_the_last_offset_of_each_key() {
    let log = Log::of(vec![
        plain(0, &[("a", "1"), ("b", "1"), ("a", "2")]),
        plain(7, &[("", "no key"), ("c", "1")]),
    ]);
    let map = log.map(1 << 16, 0);
    assert_eq!((map.end(), map.is_full(), map.keys()), (9, false, 3));
    assert_eq!(map.last_offset(b"a"), Some(2));
    assert_eq!(map.last_offset(b"b"), Some(1));
    assert_eq!(map.last_offset(b"c"), Some(8));
    assert_eq!(map.last_offset(b"d"), None);
    let later = log.map(1 << 16, 2);
    assert_eq!(
        (later.last_offset(b"a"), later.last_offset(b"b")),
        (Some(2), None)
    );
}

#[test]
fn a_full_map_says_how_far_it_got() {
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
    let log = Log::of(vec![plain(100, &pairs), plain(120, &pairs)]);
    let map = log.map(0, 0);
    // 16 slots, of which 12 may be taken.
    assert_eq!((map.end(), map.is_full(), map.keys()), (112, true, 12));
    assert_eq!(map.last_offset(b"k11"), Some(111));
    assert_eq!(map.last_offset(b"k12"), None);
}

#[test]
fn a_map_has_room_for_all_the_keys_there_can_be_and_takes_no_more_than_that() {
    for records in [1, 3, 4, 5, 100, 1000] {
        let keys: Vec<String> = (0..records).map(|i| format!("k{i}")).collect();
        let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
        let map = Log::of(vec![plain(7, &pairs)]).map(usize::MAX, 7);
        assert_eq!((map.is_full(), map.keys()), (false, records));
        let bound = 24 * (records / 4 * 5 + 16);
        assert!(
            map.memory_bytes() <= bound,
            "{records}: {}",
            map.memory_bytes()
        );
    }
}

#[test]
fn the_map_ignores_aborted_data_and_markers() {
    let mut log = Log::of(vec![
        plain(0, &[("a", "kept")]),
        batch_with(transactional(7, 1), &[("a", "aborted")]),
        marker(7, 2, ControlType::Abort),
    ]);
    log.aborted = AbortedRanges::from_iter([AbortedRange {
        producer_id: 7,
        first_offset: 1,
        last_offset: 2,
    }]);
    let map = log.map(1 << 16, 0);
    assert_eq!(
        (map.last_offset(b"a"), map.keys(), map.end()),
        (Some(0), 1, 3)
    );
}

#[test]
fn superseded_records_go_and_offsets_stay() {
    let log = Log::of(vec![
        plain(10, &[("a", "1"), ("b", "1"), ("c", "1")]),
        plain(20, &[("a", "2")]),
        plain(30, &[("c", "2"), ("d", "1")]),
    ]);
    let cleaned = log.clean();
    let first = rewritten(&cleaned[0]);
    let header = first.header();
    assert_eq!(
        (
            header.base_offset,
            header.last_offset(),
            header.record_count
        ),
        (10, 12, 1)
    );
    assert_eq!(header.leader_epoch, 3);
    let record = first.records(LIMIT_BYTES).unwrap().next().unwrap().unwrap();
    assert_eq!(record.offset_delta, 1);
    assert_eq!(record.key.as_deref(), Some(&b"b"[..]));
    assert_eq!(header.timestamp_ms(&record), 101);
    assert_eq!(cleaned[1], keep(&log.batches[1]));
    assert_eq!(cleaned[2], keep(&log.batches[2]));
}

#[test]
fn a_batch_that_lost_everything_is_dropped() {
    let log = Log::of(vec![plain(0, &[("a", "1")]), plain(1, &[("a", "2")])]);
    assert_eq!(log.clean(), [Cleaned::Dropped, keep(&log.batches[1])]);
}

#[test]
fn records_without_a_key_are_removed_where_the_map_covers_them() {
    let log = Log::of(vec![
        plain(0, &[("", "x"), ("a", "1")]),
        plain(2, &[("", "y")]),
    ]);
    let cleaned = log.clean();
    assert_eq!(rewritten(&cleaned[0]).header().record_count, 1);
    assert_eq!(cleaned[1], Cleaned::Dropped);
    let before = Log::of(log.batches[..1].to_vec()).map(1 << 16, 0);
    assert_eq!(log.pass(&before, POLICY)[1], keep(&log.batches[1]));
}

#[test]
fn what_lies_beyond_the_map_stays() {
    let log = Log::of(vec![
        plain(0, &[("a", "1")]),
        plain(1, &[("a", "2")]),
        plain(2, &[("a", "3")]),
    ]);
    let map = Log::of(log.batches[..2].to_vec()).map(1 << 16, 0);
    let cleaned = log.pass(&map, POLICY);
    let kept = [keep(&log.batches[1]), keep(&log.batches[2])];
    assert_eq!((&cleaned[0], &cleaned[1..]), (&Cleaned::Dropped, &kept[..]));
}

#[test]
fn the_codec_and_the_producer_survive_a_rewrite() {
    for bits in 0..5 {
        let compression = Compression::from_bits(bits).unwrap();
        let settings = BatchSettings {
            compression,
            ..by(9, 0)
        };
        let log = Log::of(vec![
            batch_with(settings, &[("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]),
            plain(4, &[("b", "3")]),
        ]);
        let batch = rewritten(&log.clean()[0]);
        let expected = BatchSettings {
            last_offset_delta: Some(3),
            ..settings
        };
        assert_eq!(BatchSettings::of(batch.header()).unwrap(), expected);
        assert_eq!(batch.header().last_sequence(), Some(53));
    }
}

#[test]
fn a_log_append_time_stands_for_every_record_after_a_rewrite_too() {
    let settings = BatchSettings {
        log_append_time_ms: Some(777),
        ..at(0)
    };
    let log = Log::of(vec![
        batch_with(settings, &[("a", "1"), ("b", ""), ("c", "1")]),
        plain(3, &[("a", "2")]),
    ]);
    let batch = rewritten(&log.clean()[0]);
    assert_eq!(batch.header().max_timestamp_ms, 777);
    assert_eq!(
        batch.header().delete_horizon_ms(),
        Some(NOW_MS + RETENTION_MS)
    );
    for record in batch.records(LIMIT_BYTES).unwrap() {
        assert_eq!(batch.header().timestamp_ms(&record.unwrap()), 777);
    }
}

#[test]
fn a_tombstone_goes_when_its_delete_horizon_has_passed() {
    let log = Log::of(vec![
        plain(0, &[("a", "1")]),
        plain(1, &[("a", ""), ("b", "1")]),
    ]);
    let first = log.cleaned_at(NOW_MS);
    assert_eq!(first.offsets(), [1, 2]);
    let header = *first.batches[0].header();
    assert_eq!(header.delete_horizon_ms(), Some(NOW_MS + RETENTION_MS));
    let records: Vec<Record> = first.batches[0]
        .records(LIMIT_BYTES)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        records
            .iter()
            .map(|r| header.timestamp_ms(r))
            .collect::<Vec<_>>(),
        [100, 101]
    );

    // The horizon is set once.
    let second = first.cleaned_at(NOW_MS + RETENTION_MS - 1);
    assert_eq!(second.batches, first.batches);
    let third = second.cleaned_at(NOW_MS + RETENTION_MS);
    assert_eq!(third.offsets(), [2]);
    assert_eq!(
        third.batches[0].header().delete_horizon_ms(),
        Some(NOW_MS + RETENTION_MS)
    );
    assert_eq!(third.batches[0].header().base_offset, 1);
}

#[test]
fn aborted_data_goes_at_once_and_its_marker_when_the_abort_is_forgotten_and_its_horizon_has_passed()
{
    let mut log = Log::of(vec![
        plain(0, &[("a", "1")]),
        batch_with(transactional(7, 1), &[("a", "2"), ("b", "2")]),
        marker(7, 3, ControlType::Abort),
        batch_with(transactional(7, 4), &[("c", "3")]),
        marker(7, 5, ControlType::Commit),
    ]);
    log.aborted = AbortedRanges::from_iter([AbortedRange {
        producer_id: 7,
        first_offset: 1,
        last_offset: 3,
    }]);
    let kept = |i: usize| keep(&log.batches[i]);
    assert_eq!(
        log.clean(),
        [kept(0), Cleaned::Dropped, kept(2), kept(3), kept(4)]
    );

    let mut second = log.cleaned_at(NOW_MS).cleaned_at(NOW_MS);
    assert_eq!(second.offsets(), [0, 3, 4, 5]);
    assert_eq!(
        second.batches[1].header().delete_horizon_ms(),
        Some(NOW_MS + RETENTION_MS)
    );
    assert!(!second.batches[3].header().attributes.has_delete_horizon());
    // A consumer that is told of the abort would otherwise leave out the committed record at 4, too.
    assert_eq!(
        second.cleaned_at(NOW_MS + RETENTION_MS).offsets(),
        [0, 3, 4, 5]
    );

    second.aborted = AbortedRanges::default();
    assert_eq!(
        second.cleaned_at(NOW_MS + RETENTION_MS - 1).offsets(),
        [0, 3, 4, 5]
    );
    assert_eq!(
        second.cleaned_at(NOW_MS + RETENTION_MS).offsets(),
        [0, 4, 5]
    );
}

#[test]
fn only_the_batches_inside_an_aborted_range_are_aborted() {
    let range = |first_offset, last_offset| AbortedRange {
        producer_id: 7,
        first_offset,
        last_offset,
    };
    let aborted = AbortedRanges::from_iter([range(20, 25), range(10, 15)]);
    let is_aborted = |settings| aborted.contain(batch_with(settings, &[("a", "1")]).header());
    for (offset, expected) in [
        (9, false),
        (10, true),
        (14, true),
        (16, false),
        (20, true),
        (26, false),
    ] {
        assert_eq!(is_aborted(transactional(7, offset)), expected, "{offset}");
    }
    assert!(!is_aborted(transactional(8, 12)));
    assert!(!is_aborted(by(7, 12)));
    assert!(!aborted.contain(marker(7, 15, ControlType::Abort).header()));
}

#[test]
fn a_commit_marker_stays_while_any_data_of_its_transaction_does() {
    let log = Log::of(vec![
        batch_with(transactional(7, 0), &[("a", "1"), ("b", "1")]),
        marker(7, 2, ControlType::Commit),
        plain(3, &[("a", "2")]),
    ]);
    let much_later = log
        .cleaned_at(NOW_MS)
        .cleaned_at(NOW_MS)
        .cleaned_at(NOW_MS * 10);
    assert_eq!(much_later.offsets(), [1, 2, 3]);
    let mut superseded = much_later.clone();
    superseded.batches.push(plain(4, &[("b", "2")]));
    let last = superseded
        .cleaned_at(NOW_MS)
        .cleaned_at(NOW_MS)
        .cleaned_at(NOW_MS * 10);
    assert_eq!(last.offsets(), [3, 4]);
}

#[test]
fn control_records_of_an_unknown_type_stay() {
    let log = Log::of(vec![marker(7, 0, ControlType::Other(9))]);
    assert_eq!(log.clean(), [keep(&log.batches[0])]);
}

#[test]
fn the_last_batch_of_a_known_producer_stays_for_its_sequence() {
    let settings = BatchSettings {
        compression: Compression::Zstd,
        ..by(9, 0)
    };
    let mut log = Log::of(vec![
        batch_with(settings, &[("a", "1"), ("b", "")]),
        batch_with(by(8, 2), &[("a", "2")]),
        plain(3, &[("a", "3"), ("b", "2")]),
    ]);
    log.last_of_producers
        .insert(9, LastOfProducer::Data { last_offset: 1 });
    let cleaned = log.clean();
    let batch = emptied(&cleaned[0]);
    let header = batch.header();
    assert_eq!(
        (
            header.base_offset,
            header.last_offset(),
            header.record_count
        ),
        (0, 1, 0)
    );
    assert_eq!(
        (
            header.producer_id,
            header.producer_epoch,
            header.last_sequence()
        ),
        (9, 2, Some(51))
    );
    assert_eq!(
        (header.max_timestamp_ms, header.base_timestamp_ms),
        (101, -1)
    );
    assert_eq!(header.attributes.compression(), Ok(Compression::None));
    assert_eq!(batch.records(LIMIT_BYTES).unwrap().count(), 0);
    assert_eq!(cleaned[1], Cleaned::Dropped);

    // An empty batch passes as it is, until the producer has gone on or is forgotten.
    let mut again = log.cleaned_at(NOW_MS);
    assert_eq!(again.clean()[0], keep(&again.batches[0]));
    again.last_of_producers.clear();
    assert_eq!(again.clean()[0], Cleaned::Dropped);
}

#[test]
fn the_last_marker_of_a_producer_without_data_stays_for_its_epoch() {
    let mut log = Log::of(vec![marker(9, 0, ControlType::Commit)]);
    log.last_of_producers
        .insert(9, LastOfProducer::Marker { producer_epoch: 2 });
    let last = log.cleaned_at(NOW_MS).cleaned_at(NOW_MS * 10);
    assert_eq!(last.batches.len(), 1);
    let header = last.batches[0].header();
    assert_eq!((header.record_count, header.producer_epoch), (0, 2));
    assert!(header.attributes.is_control() && header.attributes.is_transactional());
    assert_eq!(last.cleaned_at(NOW_MS * 20).batches, last.batches);
    let mut forgotten = last.clone();
    forgotten
        .last_of_producers
        .insert(9, LastOfProducer::Marker { producer_epoch: 3 });
    assert!(forgotten.cleaned_at(NOW_MS * 20).batches.is_empty());
}

#[test]
fn the_last_batch_of_a_round_stays_for_the_end_of_the_log() {
    let log = Log::of(vec![plain(0, &[("", "x")]), plain(1, &[("", "y")])]);
    let policy = Policy {
        round_end: Some(2),
        ..POLICY
    };
    let cleaned = log.pass(&log.map(1 << 16, 0), policy);
    assert_eq!(cleaned[0], Cleaned::Dropped);
    assert_eq!(emptied(&cleaned[1]).header().next_offset(), 2);
}

#[test]
fn a_record_outside_its_batch_is_an_error() {
    let mut bytes = plain(0, &[("a", "1"), ("b", "1")]).bytes().to_vec();
    bytes[26] = 0;
    let batch = Batch::decode(bytes.into()).unwrap();
    let log = Log::of(vec![plain(0, &[("a", "1")])]);
    let map = log.map(1 << 16, 0);
    let mut cleaner = Cleaner::new(&map, POLICY, &log.aborted, &log.last_of_producers);
    assert_eq!(
        cleaner.clean(&batch),
        Err(Error::OffsetOutside {
            base_offset: 0,
            offset_delta: 1,
            last_offset_delta: 0
        })
    );
}
