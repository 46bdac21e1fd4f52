//! `compression.type`: a topic that asks for a codec gets its batches in it, whatever the producer sent.

use super::refusal::Refused;
use crate::config::CompressionType;
use crate::partition::append::MAX_DECOMPRESSED_BYTES;
use bytes::Bytes;
use millrace_wire::batch::BatchHeader;
use millrace_wire::{Batch, BatchBuilder, BatchSettings, Compression, ErrorCode};

/// The batch in the codec that its topic wants; itself when it is so already. A batch without a header is left to the
/// partition to refuse.
pub fn as_configured(
    batch: Bytes,
    header: Option<BatchHeader>,
    wanted: CompressionType,
) -> Result<Bytes, Refused> {
    let wanted = match wanted {
        CompressionType::Producer => return Ok(batch),
        CompressionType::Uncompressed => Compression::None,
        CompressionType::Gzip(_) => Compression::Gzip,
        CompressionType::Snappy => Compression::Snappy,
        CompressionType::Lz4(_) => Compression::Lz4,
        CompressionType::Zstd(_) => Compression::Zstd,
    };
    match header.map(|header| header.attributes.compression()) {
        Some(Ok(found)) if found != wanted => {}
        _ => return Ok(batch),
    }
    let corrupt = |why: String| Refused::new(ErrorCode::CorruptMessage, why);
    let batch = Batch::decode(batch).map_err(|error| corrupt(error.to_string()))?;
    batch
        .verify_crc()
        .map_err(|error| corrupt(error.to_string()))?;
    rebuild(&batch, wanted).map_err(corrupt)
}

fn rebuild(batch: &Batch, compression: Compression) -> Result<Bytes, String> {
    let header = batch.header();
    let settings = BatchSettings::of(header).map_err(|error| error.to_string())?;
    let mut builder = BatchBuilder::new(BatchSettings {
        compression,
        ..settings
    });
    let records = batch
        .records(MAX_DECOMPRESSED_BYTES)
        .map_err(|error| error.to_string())?;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        builder.push_record(header.timestamp_ms(&record), record);
    }
    builder.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn batch(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(BatchSettings {
            compression,
            producer_id: 7,
            producer_epoch: 1,
            base_sequence: 3,
            ..Default::default()
        });
        for value in ["a", "bb", "ccc"] {
            builder.push(1_000, Some(b"key"), Some(value.as_bytes()));
        }
        builder.build().unwrap()
    }

    #[test]
    fn a_batch_in_another_codec_is_rebuilt_with_the_same_records() {
        let sent = batch(Compression::Gzip);
        let header = BatchHeader::decode(&sent).unwrap();
        let stored = as_configured(sent.clone(), Some(header), CompressionType::Zstd(3)).unwrap();
        let (sent, stored) = (Batch::decode(sent).unwrap(), Batch::decode(stored).unwrap());
        stored.verify_crc().unwrap();
        assert_eq!(
            stored.header().attributes.compression(),
            Ok(Compression::Zstd)
        );
        assert_eq!(stored.header().base_sequence, 3);
        let records = |batch: &Batch| -> Vec<_> {
            batch
                .records(1 << 20)
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(records(&sent), records(&stored));
    }

    #[test]
    fn a_batch_in_the_wanted_codec_passes_as_it_is() {
        let sent = batch(Compression::Lz4);
        let header = Some(BatchHeader::decode(&sent).unwrap());
        for wanted in [CompressionType::Producer, CompressionType::Lz4(9)] {
            assert_eq!(
                as_configured(sent.clone(), header, wanted),
                Ok(sent.clone())
            );
        }
    }

    #[test]
    fn a_corrupt_batch_is_refused_before_it_is_rebuilt() {
        let mut sent = batch(Compression::Gzip).to_vec();
        *sent.last_mut().unwrap() ^= 1;
        let header = Some(BatchHeader::decode(&sent).unwrap());
        let refused = as_configured(sent.into(), header, CompressionType::Snappy).unwrap_err();
        assert_eq!(refused.code, ErrorCode::CorruptMessage);
    }
}
