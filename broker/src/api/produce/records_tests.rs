#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::{BrokerConfig, Sources, TopicSettings};
use millrace_wire::{BatchBuilder, BatchSettings};
use std::io::Write as _;

const NOW_MS: i64 = 1_700_000_000_000;

fn wanted(settings: &[(&'static str, &'static str)]) -> Wanted {
    let sources = Sources {
        overrides: vec!["node.id=1".to_owned()],
        ..Sources::default()
    };
    let broker = BrokerConfig::load(&sources).unwrap().config;
    let own = TopicSettings::new(settings.iter().copied(), &broker).unwrap();
    Wanted::of(&TopicConfig::new(&own, &broker), NOW_MS)
}

fn compressed(compression: Compression) -> BatchSettings {
    BatchSettings {
        compression,
        ..BatchSettings::default()
    }
}

fn batch_of(settings: BatchSettings, values: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::new(settings);
    for (value, timestamp_ms) in values.iter().zip(NOW_MS..) {
        builder.push(timestamp_ms, Some(b"key"), Some(value));
    }
    Batch::decode(builder.build().unwrap()).unwrap()
}

/// The batch with other bytes for its records, under a right checksum if it `is_sound`.
fn with_payload(batch: &Batch, payload: &[u8], is_sound: bool) -> Batch {
    let mut bytes = BytesMut::from(&batch.bytes()[..batch::HEADER_BYTES]);
    bytes.extend_from_slice(payload);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    if is_sound {
        // Changing the time and back makes the checksum right.
        let max_timestamp_ms = batch.header().max_timestamp_ms;
        let (mut patched, _) = BatchMut::split_first(&mut bytes).unwrap();
        patched.set_create_time(max_timestamp_ms - 1);
        patched.set_create_time(max_timestamp_ms);
    }
    Batch::decode(bytes.freeze()).unwrap()
}

async fn run(batch: Batch, wanted: Wanted) -> Result<Bytes, Rejected> {
    fit(&Inspection::default(), batch, wanted).await
}

async fn code(batch: Batch, wanted: Wanted) -> ErrorCode {
    run(batch, wanted).await.unwrap_err().code
}

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[tokio::test]
async fn small_and_large_batches_pass_as_they_are() {
    let large = vec![7; 400_000];
    for codec in CODECS {
        for value in [&b"small"[..], &large] {
            let batch = batch_of(compressed(codec), &[value, b"b"]);
            let fit = run(batch.clone(), wanted(&[])).await;
            assert_eq!(fit.as_ref(), Ok(batch.bytes()), "{codec:?}");
            let is_the_same = fit.unwrap().as_ptr() == batch.bytes().as_ptr();
            assert!(is_the_same, "{codec:?} was copied");
        }
    }
}

#[tokio::test]
async fn the_largest_timestamp_is_that_of_the_records() {
    for codec in CODECS {
        let right = batch_of(compressed(codec), &[b"a", b"b"]);
        let mut wrong = BytesMut::from(&right.bytes()[..]);
        let (mut batch, _) = BatchMut::split_first(&mut wrong).unwrap();
        batch.set_create_time(NOW_MS + 9);
        let wrong = Batch::decode(wrong.freeze()).unwrap();
        let fit = run(wrong.clone(), wanted(&[])).await.unwrap();
        assert_eq!(fit, right.bytes(), "{codec:?}");
        let of_broker = wanted(&[("message.timestamp.type", "LogAppendTime")]);
        let fit = run(wrong.clone(), of_broker).await.unwrap();
        assert_eq!(fit, wrong.bytes(), "the broker's will replace it");
        let mut damaged = BytesMut::from(&wrong.bytes()[..]);
        damaged[20] ^= 1;
        let damaged = Batch::decode(damaged.freeze()).unwrap();
        let refused = code(damaged, wanted(&[])).await;
        assert_eq!(refused, ErrorCode::CorruptMessage, "not made right");
    }
}

#[tokio::test]
async fn garbage_is_invalid_if_it_was_sent_and_corrupt_if_it_became_so() {
    for codec in CODECS.into_iter().skip(1) {
        let batch = batch_of(compressed(codec), &[b"a"]);
        for size in [40, 100_000] {
            let garbage = vec![0xa5; size];
            let sent = with_payload(&batch, &garbage, true);
            let code_of_sent = code(sent, wanted(&[])).await;
            assert_eq!(code_of_sent, ErrorCode::InvalidRecord, "{codec:?}");
            let became = with_payload(&batch, &garbage, false);
            let code_of_damaged = code(became, wanted(&[])).await;
            assert_eq!(code_of_damaged, ErrorCode::CorruptMessage, "{codec:?}");
        }
    }
}

#[tokio::test]
async fn what_exceeds_the_limit_when_decompressed_is_too_large() {
    let chunk = vec![0; 1 << 20];
    let mut zeros = compression::Encoder::new(Compression::Gzip.into(), 0, Vec::new()).unwrap();
    // A record that claims almost two gigabytes, and zeros for 80 MiB.
    zeros
        .write_all(&[
            0xf0, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0xc0, 0xff, 0xff, 0xff, 0x0f,
        ])
        .unwrap();
    for _ in 0..80 {
        zeros.write_all(&chunk).unwrap();
    }
    let zeros = zeros.finish().unwrap();
    assert!(zeros.len() < 100_000, "{}", zeros.len());
    let bomb = with_payload(
        &batch_of(compressed(Compression::Gzip), &[b"a"]),
        &zeros,
        true,
    );
    let refused = run(bomb, wanted(&[])).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::MessageTooLarge, "{refused:?}");
}

#[tokio::test]
async fn records_are_stored_in_the_topics_codec_at_its_level() {
    // Words in an order that does not repeat: what a match finder has to search for.
    let mut state = 1_u32;
    let text: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", (state >> 16) % 700 * 7919).into_bytes()
    })
    .take(60_000)
    .flatten()
    .collect();
    let value = &text[..200_000];
    let size = async |setting: (&'static str, &'static str),
                      level: (&'static str, &'static str)| {
        let sent = batch_of(BatchSettings::default(), &[value]);
        let stored = run(sent, wanted(&[setting, level])).await.unwrap();
        let stored = Batch::decode(stored).unwrap();
        stored.verify_crc().unwrap();
        let codec = stored.header().attributes.compression().unwrap();
        assert_eq!(codec.name(), setting.1);
        let mut records = stored.records(1 << 20).unwrap();
        assert_eq!(records.next().unwrap().unwrap().value.unwrap(), value);
        stored.bytes().len()
    };
    for (codec, name, low, high) in [
        ("gzip", "compression.gzip.level", "1", "9"),
        ("lz4", "compression.lz4.level", "1", "12"),
        ("zstd", "compression.zstd.level", "-20", "15"),
    ] {
        let setting = ("compression.type", codec);
        let low = size(setting, (name, low)).await;
        let high = size(setting, (name, high)).await;
        assert!(high < low, "{codec}: {high} bytes and {low}");
    }
    let sent = batch_of(compressed(Compression::Zstd), &[value]);
    let plain = wanted(&[("compression.type", "uncompressed")]);
    let stored = Batch::decode(run(sent.clone(), plain).await.unwrap()).unwrap();
    assert_eq!(
        stored.bytes(),
        batch_of(BatchSettings::default(), &[value]).bytes()
    );
    let narrow = wanted(&[
        ("compression.type", "uncompressed"),
        ("max.message.bytes", "150000"),
    ]);
    assert!(sent.bytes().len() < 150_000);
    assert_eq!(code(sent, narrow).await, ErrorCode::MessageTooLarge);
}

#[tokio::test]
async fn a_batch_that_is_in_the_codec_already_is_not_compressed_again() {
    let sent = batch_of(compressed(Compression::Gzip), &[b"a"]);
    let wanted = wanted(&[
        ("compression.type", "gzip"),
        ("compression.gzip.level", "9"),
    ]);
    assert_eq!(run(sent.clone(), wanted).await.as_ref(), Ok(sent.bytes()));
}

#[tokio::test]
async fn many_large_batches_wait_for_one_another_and_all_pass() {
    let inspection = Inspection {
        turns: Arc::new(Semaphore::new(2)),
        memory: Budget::new(1 << 20),
    };
    let large = vec![7; 400_000];
    let batches = (0..20).map(|n| {
        let codec = CODECS[1 + n % 4];
        let batch = batch_of(compressed(codec), &[&large]);
        fit(&inspection, batch, wanted(&[]))
    });
    let fits = futures_util::future::join_all(batches).await;
    assert!(fits.iter().all(Result::is_ok), "{fits:?}");
    assert_eq!(inspection.memory.taken_bytes(), 0);
}
