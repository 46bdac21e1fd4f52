//! What clients may send, and the same in another codec.

#![allow(clippy::unwrap_used)]

use bytes::{BufMut, Bytes, BytesMut};
use millrace_wire::batch::{
    self, BatchMut, HEADER_BYTES, Produced, RecompressError, RecordFault, RecordRules,
    RecordsRefusal, RefusedRecord, TimestampType,
};
use millrace_wire::compression::{self, Codec};
use millrace_wire::record::Records;
use millrace_wire::{Batch, BatchBuilder, BatchSettings, Compression, Record};
use proptest::prelude::*;

const LIMIT_BYTES: usize = 1 << 20;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn rules() -> RecordRules {
    RecordRules {
        needs_keys: false,
        timestamps: Some(0..=5_000),
        limit_bytes: LIMIT_BYTES,
    }
}

fn keyed() -> RecordRules {
    RecordRules {
        needs_keys: true,
        ..rules()
    }
}

/// A batch of these timestamps, whose records have keys where their index is even.
fn batch_of(settings: BatchSettings, timestamps: &[i64]) -> Batch {
    let mut builder = BatchBuilder::new(settings);
    for (index, timestamp_ms) in timestamps.iter().enumerate() {
        let key = (index % 2 == 0).then_some(&b"key"[..]);
        builder.push(*timestamp_ms, key, Some(b"some value"));
    }
    Batch::decode(builder.build().unwrap()).unwrap()
}

fn compressed(compression: Compression) -> BatchSettings {
    BatchSettings {
        compression,
        ..BatchSettings::default()
    }
}

/// A batch that says `count` records, around whatever `section` is.
fn around(section: &[u8], codec: Compression, count: u32) -> Batch {
    let mut bytes = BytesMut::zeroed(HEADER_BYTES);
    bytes.put_slice(&compression::compress(codec, section).unwrap());
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[22] = codec.bits();
    bytes[23..27].copy_from_slice(&count.saturating_sub(1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    Batch::decode(bytes.freeze()).unwrap()
}

fn refused(batch: &Batch, rules: &RecordRules) -> Vec<RefusedRecord> {
    match batch.validate_produced_records(rules) {
        Err(RecordsRefusal::Records(records)) => records.named,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_records_are_is_told_in_every_codec() {
    for codec in CODECS {
        let batch = batch_of(compressed(codec), &[1_000, 4_000, -1, 2_000]);
        let plain = batch_of(BatchSettings::default(), &[1_000, 4_000, -1, 2_000]);
        let expected = Produced {
            max_timestamp_ms: 4_000,
            bytes: plain.payload().len(),
        };
        let found = batch.validate_produced_records(&rules());
        assert_eq!(found, Ok(expected), "{codec:?}");
        let section = plain.payload();
        let found = batch.validate_decompressed_records(&section, &rules());
        assert_eq!(found, Ok(expected), "{codec:?}");
    }
}

#[test]
fn every_record_without_a_key_or_with_a_bad_timestamp_is_named() {
    let name = |index, fault| RefusedRecord { index, fault };
    for codec in CODECS {
        let batch = batch_of(compressed(codec), &[5_000, 6_000, 7_000, 0, -2]);
        let of_time = |found| RecordFault::Timestamp {
            found,
            earliest: 0,
            latest: 5_000,
        };
        assert_eq!(
            refused(&batch, &keyed()),
            [
                name(1, RecordFault::NoKey),
                name(2, of_time(7_000)),
                name(3, RecordFault::NoKey),
                name(4, of_time(-2)),
            ],
            "{codec:?}"
        );
        let ours = RecordRules {
            timestamps: None,
            ..keyed()
        };
        assert_eq!(
            refused(&batch, &ours),
            [name(1, RecordFault::NoKey), name(3, RecordFault::NoKey)]
        );
    }
}

#[test]
fn a_thousand_records_are_named_and_all_are_counted() {
    let batch = batch_of(BatchSettings::default(), &[9_000; 2_500]);
    match batch.validate_produced_records(&rules()) {
        Err(RecordsRefusal::Records(records)) => {
            assert_eq!((records.named.len(), records.count), (1_000, 2_500));
            let text = records.to_string();
            assert!(text.starts_with("2500 records of the batch are refused: record 0 has the"));
            assert!(text.len() < 400, "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_brokers_timestamp_type_is_the_brokers() {
    let settings = BatchSettings {
        log_append_time_ms: Some(3_000),
        ..BatchSettings::default()
    };
    let batch = batch_of(settings, &[1, 2]);
    let found = batch.validate_produced_records(&rules()).unwrap();
    assert_eq!(
        found.max_timestamp_ms, 3_000,
        "it stands for every record's"
    );
    let ours = RecordRules {
        timestamps: None,
        ..rules()
    };
    assert_eq!(
        refused(&batch, &ours)[1],
        RefusedRecord {
            index: 1,
            fault: RecordFault::TimestampOfBroker
        }
    );
    let mut bytes = BytesMut::from(&batch.bytes()[..]);
    let (mut patched, _) = BatchMut::split_first(&mut bytes).unwrap();
    patched.set_create_time(2);
    let patched = Batch::decode(bytes.freeze()).unwrap();
    patched.verify_crc().unwrap();
    let header = patched.header();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::Create);
    assert_eq!(header.max_timestamp_ms, 2);
}

#[test]
fn offsets_are_0_1_2_and_so_on() {
    for codec in CODECS {
        let mut sparse = BatchBuilder::new(compressed(codec));
        let record = Record {
            offset_delta: 2,
            ..Record::default()
        };
        sparse.push(0, Some(b"k"), None).push_record(0, record);
        let sparse = Batch::decode(sparse.build().unwrap()).unwrap();
        assert_eq!(
            sparse.validate_produced_records(&rules()),
            Err(RecordsRefusal::SparseOffset { index: 1, found: 2 })
        );
    }
}

#[test]
fn counts_that_are_not_the_records_are_refused() {
    let section = batch_of(BatchSettings::default(), &[1, 2, 3]).payload();
    for codec in CODECS {
        let check = |count| around(&section, codec, count).validate_produced_records(&rules());
        assert!(check(3).is_ok());
        for count in [1, 2, 4, 8] {
            let is_unreadable = matches!(check(count), Err(RecordsRefusal::Unreadable(_)));
            assert!(is_unreadable, "{codec:?}: {count}");
        }
    }
    let batch = around(&section, Compression::Zstd, i32::MAX as u32);
    assert!(batch.validate_produced_records(&rules()).is_err());
}

#[test]
fn garbage_under_a_codecs_name_is_refused() {
    for codec in CODECS {
        let mut batch = BytesMut::from(&around(b"", Compression::None, 0).bytes()[..]);
        batch.put_slice(b"this is no codec's output, and no records either");
        let length = (batch.len() - 12) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[22] = codec.bits();
        batch[60] = 1;
        let batch = Batch::decode(batch.freeze()).unwrap();
        let is_unreadable = matches!(
            batch.validate_produced_records(&rules()),
            Err(RecordsRefusal::Unreadable(_))
        );
        assert!(is_unreadable, "{codec:?}");
    }
}

#[test]
fn a_record_larger_than_any_buffer_is_passed_over() {
    let value = vec![7; 900_000];
    for codec in CODECS {
        let mut builder = BatchBuilder::new(compressed(codec));
        builder.push(1, None, Some(&value)).push(2, None, None);
        let batch = Batch::decode(builder.build().unwrap()).unwrap();
        let found = batch.validate_produced_records(&rules()).unwrap();
        assert_eq!(found.max_timestamp_ms, 2, "{codec:?}");
        let rules = RecordRules {
            limit_bytes: 500_000,
            ..rules()
        };
        let is_refused = batch.validate_produced_records(&rules).is_err();
        assert_eq!(is_refused, codec != Compression::None, "{codec:?}");
    }
}

#[test]
fn a_batch_in_another_codec_has_the_same_records() {
    let settings = BatchSettings {
        producer_id: 7,
        producer_epoch: 1,
        base_sequence: 3,
        is_transactional: true,
        ..BatchSettings::default()
    };
    for from in CODECS {
        let from = BatchSettings {
            compression: from,
            ..settings
        };
        let sent = batch_of(from, &[1_000, 4_000, 2_000]);
        let produced = sent.validate_produced_records(&rules()).unwrap();
        for to in CODECS {
            let stored = sent.recompressed(to.into(), produced, LIMIT_BYTES).unwrap();
            let stored = Batch::decode(stored).unwrap();
            stored.verify_crc().unwrap();
            let expected = BatchSettings {
                compression: to,
                ..BatchSettings::of(sent.header()).unwrap()
            };
            assert_eq!(BatchSettings::of(stored.header()).unwrap(), expected);
            let all = |batch: &Batch| -> Vec<Record> {
                let records = batch.records(LIMIT_BYTES).unwrap();
                records.map(Result::unwrap).collect()
            };
            assert_eq!(all(&sent), all(&stored), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn what_becomes_too_large_in_another_codec_is_refused() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(300_000)
    .collect();
    let mut builder = BatchBuilder::new(compressed(Compression::None));
    builder.push(1, None, Some(&noise));
    let batch = Batch::decode(builder.build().unwrap()).unwrap();
    let produced = batch.validate_produced_records(&rules()).unwrap();
    for compression in CODECS {
        for level in [None, Some(4)] {
            let stored = batch.recompressed(Codec { compression, level }, produced, 100_000);
            let is_too_large = matches!(
                stored,
                Err(RecompressError::TooLarge {
                    limit_bytes: 100_000,
                    ..
                })
            );
            assert!(is_too_large, "{compression:?}");
        }
    }
}

proptest! {
    /// Whatever reads records later reads exactly what was found fit.
    #[test]
    fn what_is_found_fit_is_what_can_be_read(
        section in prop::collection::vec(prop_oneof![0u8..40, any::<u8>()], 0..120),
        count in 1u32..6,
        codec in 0u8..5,
    ) {
        let codec = Compression::from_bits(codec).unwrap();
        agree(section, codec, count)?;
    }

    #[test]
    fn a_changed_byte_is_found_by_both_or_by_none(
        timestamps in prop::collection::vec(0i64..5_000, 1..5),
        at: prop::sample::Index,
        with: u8,
        codec in 0u8..5,
    ) {
        let codec = Compression::from_bits(codec).unwrap();
        let mut section = batch_of(BatchSettings::default(), &timestamps).payload().to_vec();
        let at = at.index(section.len());
        section[at] = with;
        agree(section, codec, timestamps.len() as u32)?;
    }
}

fn agree(section: Vec<u8>, codec: Compression, count: u32) -> Result<(), TestCaseError> {
    // The header of an uncompressed batch bounds its count already.
    prop_assume!(codec != Compression::None || count as usize <= section.len() / 7);
    let rules = RecordRules {
        timestamps: Some(i64::MIN..=i64::MAX),
        ..rules()
    };
    let batch = around(&section, codec, count);
    let records: Result<Vec<Record>, _> = Records::new(section.into(), count).collect();
    let is_dense = records.as_ref().is_ok_and(|records| {
        let deltas = records.iter().map(|record| record.offset_delta);
        deltas.eq(0..count as i32)
    });
    match batch.validate_produced_records(&rules) {
        Ok(produced) => {
            prop_assert!(is_dense);
            let times = records.unwrap().into_iter();
            let latest = times
                .map(|record| batch.header().timestamp_ms(&record))
                .max();
            prop_assert_eq!(latest.unwrap().max(-1), produced.max_timestamp_ms);
        }
        Err(refusal) => prop_assert!(!is_dense, "{}", refusal),
    }
    Ok(())
}

#[test]
fn the_crc_is_checked_without_a_header() {
    let batch = batch_of(BatchSettings::default(), &[1, 2]);
    let mut bytes = batch.bytes().to_vec();
    assert!(batch::has_right_crc(&bytes));
    bytes[60] ^= 1;
    assert!(!batch::has_right_crc(&bytes));
    for length in [0, 17, 21, 60] {
        assert!(!batch::has_right_crc(&bytes[..length]));
    }
}

#[test]
fn bytes_are_kept_where_nothing_changes() {
    let batch = batch_of(BatchSettings::default(), &[1, 2]);
    let mut bytes = BytesMut::from(&batch.bytes()[..]);
    let (mut patched, _) = BatchMut::split_first(&mut bytes).unwrap();
    patched.set_create_time(2);
    assert_eq!(Bytes::from(bytes), batch.bytes());
}
