//! Batches under every kind of damage, and what clients may send.

#![allow(clippy::unwrap_used)]

use bytes::{BufMut, Bytes, BytesMut};
use millrace_wire::batch::{self, BatchMut, HEADER_BYTES, RecordRules, Refusal, split};
use millrace_wire::builder;
use millrace_wire::record::{Fault, Records};
use millrace_wire::{
    Batch, BatchBuilder, BatchHeader, BatchSettings, Compression, Headers, Record,
};
use proptest::prelude::*;

const LIMIT_BYTES: usize = 1 << 20;
fn batch_of(settings: BatchSettings, records: u32) -> Bytes {
    let mut builder = BatchBuilder::new(settings);
    for i in 0..records {
        builder.push(1_000 + i64::from(i), Some(&i.to_be_bytes()), Some(b"value"));
    }
    builder.build().unwrap()
}

fn plain() -> Bytes {
    batch_of(BatchSettings::default(), 3)
}

/// `plain` with the bytes at `at` replaced.
fn patched<const N: usize>(at: usize, field: [u8; N]) -> Bytes {
    let mut bytes = BytesMut::from(&plain()[..]);
    bytes[at..at + N].copy_from_slice(&field);
    bytes.freeze()
}

fn decode(bytes: Bytes) -> Result<Batch, batch::Error> {
    Batch::decode(bytes)
}

#[test]
fn old_formats_are_refused_by_name() {
    for magic in [0, 1] {
        let old = patched(16, [magic as u8]);
        assert_eq!(decode(old.clone()), Err(batch::Error::OldMagic { magic }));
        // Theirs may be shorter than our header.
        assert_eq!(
            decode(old.slice(..17)),
            Err(batch::Error::OldMagic { magic })
        );
    }
    assert_eq!(
        decode(patched(16, [3])),
        Err(batch::Error::UnknownMagic { magic: 3 })
    );
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let remaining = plain().len();
    for length in [i32::MIN, -1, 0, 48] {
        assert_eq!(
            decode(patched(8, length.to_be_bytes())),
            Err(batch::Error::BadLength { length })
        );
    }
    assert_eq!(
        decode(patched(8, i32::MAX.to_be_bytes())),
        Err(batch::Error::Truncated {
            needed: i32::MAX as usize + 12,
            remaining
        })
    );
    let stray = Bytes::from([&plain()[..], b"x"].concat());
    assert_eq!(decode(stray), Err(batch::Error::Stray { bytes: 1 }));
}

#[test]
fn offsets_and_counts_that_cannot_be_are_refused() {
    for last_offset_delta in [-1, i32::MIN] {
        let bad = decode(patched(23, last_offset_delta.to_be_bytes()));
        assert!(
            matches!(bad, Err(batch::Error::BadOffsets { .. })),
            "{bad:?}"
        );
    }
    let beyond = decode(patched(0, (i64::MAX - 2).to_be_bytes()));
    assert!(
        matches!(beyond, Err(batch::Error::BadOffsets { .. })),
        "{beyond:?}"
    );
    for count in [-1, i32::MIN, i32::MAX, 1000] {
        let bad = decode(patched(57, count.to_be_bytes()));
        assert!(matches!(bad, Err(batch::Error::BadCount { .. })), "{bad:?}");
    }
}

#[test]
fn many_records_may_hide_in_few_compressed_bytes() {
    let mut builder = BatchBuilder::new(BatchSettings {
        compression: Compression::Zstd,
        ..BatchSettings::default()
    });
    for _ in 0..10_000 {
        builder.push(5, None, None);
    }
    let batch = decode(builder.build().unwrap()).unwrap();
    assert!(batch.payload().len() < 10_000);
    assert_eq!(batch.records(LIMIT_BYTES).unwrap().count(), 10_000);
    assert!(batch.records(1_000).is_err());
}

#[test]
fn more_records_than_there_are_and_bytes_after_the_last_are_errors() {
    let batch = decode(plain()).unwrap();
    let section = batch.payload();
    let errors = |count| {
        let items: Vec<_> = Records::new(section.clone(), count).collect();
        let (last, before) = items.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        last.clone().unwrap_err()
    };
    assert_eq!(errors(4).index, 3);
    assert_eq!(errors(4).position, section.len());
    assert!(matches!(errors(2).fault, Fault::StrayAfterLast { .. }));
}

#[test]
fn claims_inside_a_record_are_checked_before_they_are_believed() {
    let fault = |body: &[u8]| {
        let mut section = vec![(body.len() * 2) as u8];
        section.extend(body);
        Records::new(section.into(), 1)
            .next()
            .unwrap()
            .map_err(|error| error.fault)
    };
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    // attributes, timestamp delta, offset delta, key, value, headers
    assert!(fault(&[0, 0, 0, 1, 1, 0]).is_ok());
    let key = [&[0, 0, 0], &huge[..]].concat();
    assert!(matches!(
        fault(&key),
        Err(Fault::Truncated { field: "key", .. })
    ));
    let value = [&[0, 0, 0, 1], &huge[..]].concat();
    assert!(matches!(
        fault(&value),
        Err(Fault::Truncated { field: "value", .. })
    ));
    let headers = [&[0, 0, 0, 1, 1], &huge[..]].concat();
    assert!(matches!(fault(&headers), Err(Fault::TooManyHeaders { .. })));
    assert!(matches!(
        fault(&[0, 0, 0, 1, 1, 1]),
        Err(Fault::Negative {
            field: "header count",
            ..
        })
    ));
    assert!(matches!(
        fault(&[0, 0, 0, 1, 1, 2, 1, 0]),
        Err(Fault::Negative {
            field: "header key",
            ..
        })
    ));
    assert!(matches!(
        fault(&[0, 0, 0, 1, 1, 0, 9]),
        Err(Fault::Stray { bytes: 1 })
    ));
    // Any negative length is null.
    assert!(
        fault(&[0, 0, 0, 3, 5, 0])
            .is_ok_and(|record| record.key.is_none() && record.value.is_none())
    );
}

#[test]
fn a_stream_stops_at_the_first_batch_that_is_none() {
    let stream = Bytes::from([&plain()[..], &plain()[..], &plain()[..20]].concat());
    let items: Vec<_> = split(stream).collect();
    assert_eq!(items.len(), 3);
    assert!(items[0].is_ok() && items[1].is_ok());
    assert_eq!(items[2].as_ref().unwrap_err().position, 2 * plain().len());
}

#[test]
fn clients_may_send_dense_batches_of_data() {
    let check = |bytes| decode(bytes).unwrap().validate_produced();
    let settings = BatchSettings::default();
    assert_eq!(check(plain()), Ok(()));
    let empty = BatchSettings {
        last_offset_delta: Some(0),
        ..settings
    };
    assert_eq!(check(batch_of(empty, 0)), Err(Refusal::NoRecords));
    let sparse = BatchSettings {
        last_offset_delta: Some(7),
        ..settings
    };
    assert_eq!(
        check(batch_of(sparse, 3)),
        Err(Refusal::CountMismatch {
            records: 3,
            offsets: 8
        })
    );
    let control = BatchSettings {
        is_control: true,
        ..settings
    };
    assert_eq!(check(batch_of(control, 1)), Err(Refusal::ControlBatch));
    let unsequenced = BatchSettings {
        producer_id: 5,
        producer_epoch: 0,
        ..settings
    };
    assert_eq!(
        check(batch_of(unsequenced, 1)),
        Err(Refusal::NegativeSequence {
            producer_id: 5,
            base_sequence: -1
        })
    );
    assert_eq!(
        check(patched(21, [0, 5])),
        Err(Refusal::UnknownCompression { bits: 5 })
    );
    let whole = patched(57, 2i32.to_be_bytes());
    assert!(matches!(check(whole), Err(Refusal::CountMismatch { .. })));
}

#[test]
fn a_builder_reports_what_cannot_be_a_batch() {
    let at = |offset_delta| Record {
        offset_delta,
        ..Record::default()
    };
    let build = |settings, deltas: &[i32]| {
        let mut builder = BatchBuilder::new(settings);
        for &delta in deltas {
            builder.push_record(0, at(delta));
        }
        builder.build()
    };
    let settings = BatchSettings::default();
    assert!(matches!(
        build(settings, &[3, 3]),
        Err(builder::Error::OffsetNotAscending { index: 1, .. })
    ));
    assert!(matches!(
        build(settings, &[-1]),
        Err(builder::Error::OffsetNotAscending { index: 0, .. })
    ));
    assert_eq!(build(settings, &[]), Err(builder::Error::NoOffsets));
    let ends_at = |last_offset_delta| BatchSettings {
        last_offset_delta: Some(last_offset_delta),
        ..settings
    };
    assert!(matches!(
        build(ends_at(2), &[3]),
        Err(builder::Error::LastOffsetTooSmall { .. })
    ));
    assert!(matches!(
        build(ends_at(-1), &[]),
        Err(builder::Error::LastOffsetTooSmall { .. })
    ));
    let beyond = BatchSettings {
        base_offset: i64::MAX,
        ..settings
    };
    assert!(matches!(
        build(beyond, &[0]),
        Err(builder::Error::BeyondLastOffset { .. })
    ));
    let gaps = decode(build(ends_at(9), &[1, 5]).unwrap()).unwrap();
    assert_eq!(
        (gaps.header().record_count, gaps.header().next_offset()),
        (2, 10)
    );
}

#[test]
fn a_base_offset_beyond_the_last_is_refused_and_nothing_changes() {
    let mut bytes = BytesMut::from(&plain()[..]);
    let (mut batch, _) = BatchMut::split_first(&mut bytes).unwrap();
    assert!(batch.set_base_offset(i64::MAX - 2).is_err());
    batch.set_base_offset(i64::MAX - 3).unwrap();
    batch.set_base_offset(0).unwrap();
    assert_eq!(bytes, plain());
}

#[test]
fn sequences_wrap() {
    let settings = BatchSettings {
        producer_id: 1,
        producer_epoch: 0,
        base_sequence: i32::MAX - 1,
        ..BatchSettings::default()
    };
    let header = BatchHeader::decode(&batch_of(settings, 4)).unwrap();
    assert_eq!(header.last_sequence(), Some(1));
    assert_eq!(decode(plain()).unwrap().header().last_sequence(), None);
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

prop_compose! {
    fn record()(
        attributes: i8,
        gap in 0i32..4,
        key in prop::option::of(bytes()),
        value in prop::option::of(bytes()),
        headers in prop::collection::vec((bytes(), prop::option::of(bytes())), 0..4),
    ) -> Record {
        Record { attributes, timestamp_delta: 0, offset_delta: gap, key, value, headers: headers.into_iter().collect() }
    }
}

prop_compose! {
    fn settings()(
        (base_offset, leader_epoch) in (0..i64::MAX / 2, any::<i32>()),
        (is_transactional, is_control) in any::<(bool, bool)>(),
        codec in 0u8..5,
        log_append_time_ms in prop::option::of(any::<i64>()),
        delete_horizon_ms in prop::option::of(any::<i64>()),
        (producer_id, producer_epoch, base_sequence) in any::<(i64, i16, i32)>(),
    ) -> BatchSettings {
        BatchSettings {
            base_offset, leader_epoch, is_transactional, is_control, log_append_time_ms, delete_horizon_ms,
            producer_id, producer_epoch, base_sequence,
            compression: Compression::from_bits(codec).unwrap(),
            ..BatchSettings::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(
        settings in settings(),
        records in prop::collection::vec((any::<i64>(), record()), 1..20),
    ) {
        let mut builder = BatchBuilder::new(settings);
        let mut expected = Vec::new();
        let mut next = 0;
        for (timestamp_ms, mut record) in records {
            record.offset_delta += next;
            next = record.offset_delta + 1;
            builder.push_record(timestamp_ms, record.clone());
            expected.push((settings.log_append_time_ms.unwrap_or(timestamp_ms), record));
        }
        let batch = decode(builder.build().unwrap()).unwrap();
        batch.verify_crc().unwrap();
        let read: Vec<_> = batch.records(LIMIT_BYTES).unwrap().map(|record| {
            let record = record.unwrap();
            (batch.header().timestamp_ms(&record), Record { timestamp_delta: 0, ..record })
        }).collect();
        prop_assert_eq!(read, expected);
        let kept = BatchSettings { last_offset_delta: Some(next - 1), ..settings };
        prop_assert_eq!(BatchSettings::of(batch.header()).unwrap(), kept);
    }

    #[test]
    fn headers_keep_order_and_duplicates(
        headers in prop::collection::vec((bytes(), prop::option::of(bytes())), 0..6),
    ) {
        let read: Headers = headers.iter().cloned().collect();
        prop_assert_eq!(read.len(), headers.len());
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), headers);
    }

    #[test]
    fn a_batch_cut_anywhere_is_refused(settings in settings()) {
        let whole = batch_of(settings, 3);
        for len in 0..whole.len() {
            let is_truncated = matches!(decode(whole.slice(..len)), Err(batch::Error::Truncated { .. }));
            prop_assert!(is_truncated, "cut at {}", len);
        }
    }

    #[test]
    fn a_section_cut_anywhere_is_refused(records in prop::collection::vec(record(), 1..4)) {
        let mut section = BytesMut::new();
        for record in &records {
            record.encode(&mut section);
        }
        let section = section.freeze();
        let read = |section| Records::new(section, records.len() as u32).collect::<Result<Vec<_>, _>>();
        prop_assert_eq!(&read(section.clone()).unwrap(), &records);
        for len in 0..section.len() {
            prop_assert!(read(section.slice(..len)).is_err(), "cut at {}", len);
        }
    }

    #[test]
    fn any_flipped_bit_behind_the_crc_is_noticed(settings in settings()) {
        let whole = batch_of(settings, 2);
        for bit in 17 * 8..whole.len() * 8 {
            let mut bytes = BytesMut::from(&whole[..]);
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A header that is refused is noticed too.
            if let Ok(batch) = decode(bytes.freeze()) {
                prop_assert!(batch.verify_crc().is_err(), "bit {}", bit);
            }
        }
    }

    #[test]
    fn any_bytes_behind_a_magic_are_survived(
        head in prop::collection::vec(any::<u8>(), HEADER_BYTES),
        section in prop::collection::vec(any::<u8>(), 0..200),
        count in 0i32..10,
        codec in 0u8..8,
    ) {
        let mut bytes = BytesMut::from(&head[..]);
        bytes.put_slice(&section);
        let length = (bytes.len() - 12) as i32;
        bytes[..8].copy_from_slice(&5i64.to_be_bytes());
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[22] = (bytes[22] & !7) | codec;
        bytes[23] &= 0x7f;
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        for batch in split(bytes.freeze()).flatten() {
            let _ = batch.verify_crc();
            let _ = batch.validate_produced();
            let rules = RecordRules { needs_keys: true, timestamps: None, limit_bytes: LIMIT_BYTES };
            let _ = batch.validate_produced_records(&rules);
        }
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0u32..50) {
        let bytes = Bytes::from(bytes);
        prop_assert!(split(bytes.clone()).flatten().all(|batch| batch.bytes().len() >= HEADER_BYTES));
        for record in Records::new(bytes, count).flatten() {
            prop_assert_eq!(record.headers.iter().count(), record.headers.len());
        }
    }
}
