//! Whatever the bytes are, reading them as record batches neither panics nor exceeds the limit, and what is read can be
//! written again.

use crate::golden;
use bytes::{Bytes, BytesMut};
use millrace_wire::batch::{BatchMut, HEADER_BYTES, RecordRules, split};
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::{Batch, BatchBuilder, BatchSettings, Compression};

const LIMIT_BYTES: usize = 1 << 20;

pub fn run(input: &[u8]) -> bool {
    let as_it_is = read(Bytes::copy_from_slice(input));
    read(in_a_header(input)) || as_it_is
}

/// What Kafka's own classes wrote, and the same as records behind a header of ours.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for batch in golden::batches() {
        let (codec, count) = (batch[22], batch[60]);
        seeds.push([&[codec, count], &batch[HEADER_BYTES..]].concat());
        seeds.push(batch);
    }
    seeds
}

/// The input behind a header that passes, so that the fuzzer need not guess lengths. Its first byte chooses the codec.
fn in_a_header(input: &[u8]) -> Bytes {
    let (&[choice, count], records) = input.split_first_chunk().unwrap_or((&[0, 0], &[]));
    let mut bytes = BytesMut::zeroed(HEADER_BYTES);
    bytes.extend_from_slice(records);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[22] = choice;
    bytes[60] = count;
    bytes.freeze()
}

/// Whether there was a batch of whole records.
fn read(bytes: Bytes) -> bool {
    let mut was_read = false;
    for batch in split(bytes.clone()).flatten() {
        let _ = batch.verify_crc();
        let _ = batch.validate_produced();
        validate(&batch);
        was_read |= write_again(&batch);
    }
    let mut bytes = BytesMut::from(&bytes[..]);
    if let Ok((mut batch, _)) = BatchMut::split_first(&mut bytes) {
        let _ = batch.set_base_offset(77);
        batch.set_leader_epoch(3);
        batch.set_log_append_time(1_000);
        let patched = *batch.header();
        let read =
            Batch::decode(bytes.split_to(patched.size_bytes).freeze()).expect("still a batch");
        read.verify_crc().expect("patching keeps the CRC right");
        assert_eq!(read.header(), &patched);
    }
    was_read
}

/// What is found fit can be stored in any codec, and is the same in it.
fn validate(batch: &Batch) {
    let rules = RecordRules {
        needs_keys: false,
        timestamps: None,
        limit_bytes: LIMIT_BYTES,
    };
    let Ok(produced) = batch.validate_produced_records(&rules) else {
        return;
    };
    let mut read = batch.records(LIMIT_BYTES).expect("they were read before");
    assert!(read.all(|record| record.is_ok()));
    for compression in [Compression::None, Compression::Lz4] {
        let other = batch.recompressed(compression.into(), produced, usize::MAX);
        let other = Batch::decode(other.expect("there is room")).expect("a batch");
        assert_eq!(other.validate_produced_records(&rules), Ok(produced));
    }
}

fn write_again(batch: &Batch) -> bool {
    let (Ok(settings), Ok(records)) = (
        BatchSettings::of(batch.header()),
        batch.records(LIMIT_BYTES),
    ) else {
        return false;
    };
    let mut read = Vec::new();
    for record in records {
        let Ok(record) = record else {
            return false;
        };
        let _ = record.key.as_deref().map(ControlType::decode_key);
        let _ = record.value.as_deref().map(EndMarker::decode);
        assert_eq!(record.headers.iter().count(), record.headers.len());
        read.push((batch.header().timestamp_ms(&record), record));
    }
    let mut builder = BatchBuilder::new(settings);
    for (timestamp_ms, record) in &read {
        builder.push_record(*timestamp_ms, record.clone());
    }
    // Records that do not ascend, or exceed the batch's offsets, are refused.
    let Ok(bytes) = builder.build() else {
        return true;
    };
    let written = Batch::decode(bytes).expect("a batch was built");
    written.verify_crc().expect("its CRC is right");
    let again: Vec<_> = written
        .records(usize::MAX)
        .expect("its records are there")
        .map(|record| record.expect("its records are whole"))
        .map(|record| (written.header().timestamp_ms(&record), record))
        .collect();
    assert_eq!(again.len(), read.len());
    for ((ours, theirs), (written_ms, read_ms)) in again
        .iter()
        .zip(&read)
        .map(|((a_ms, a), (b_ms, b))| ((a, b), (a_ms, b_ms)))
    {
        assert_eq!(written_ms, read_ms);
        assert_eq!((&ours.key, &ours.value), (&theirs.key, &theirs.value));
        assert_eq!(
            (&ours.headers, ours.offset_delta),
            (&theirs.headers, theirs.offset_delta)
        );
    }
    true
}
