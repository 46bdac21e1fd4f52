//! What a request may carry for one partition: exactly one batch of message format 2.

use super::rejected::Rejected;
use bytes::Bytes;
use millrace_wire::batch::{Error, has_right_crc};
use millrace_wire::{Batch, BatchHeader, Compression, ErrorCode};

/// Before, a client that can read zstd cannot be presumed (KIP-110).
const ZSTD: i16 = 7;

/// Its header is sound; CRC and records are not looked at yet.
pub fn only_batch(version: i16, records: Bytes) -> Result<Batch, Rejected> {
    let invalid = |why: &str| {
        let why = format!("Produce requests with version {version} {why}");
        Rejected::unseen(ErrorCode::InvalidRecord, why)
    };
    let header = BatchHeader::decode(&records).map_err(|error| match error {
        Error::Truncated { .. } => invalid("must have a whole record batch per partition"),
        Error::OldMagic { .. } => {
            invalid("are only allowed to contain record batches with magic version 2")
        }
        Error::UnknownMagic { .. } => Rejected::corrupt(error).told(),
        Error::BadOffsets { .. } | Error::BadCount { .. } if has_right_crc(whole(&records)) => {
            Rejected::invalid(error)
        }
        Error::BadOffsets { .. }
        | Error::BadCount { .. }
        | Error::BadLength { .. }
        | Error::BadCrc { .. }
        | Error::UnknownCompression { .. }
        | Error::Stray { .. } => Rejected::corrupt(error),
    })?;
    if header.size_bytes < records.len() {
        return Err(invalid(
            "are only allowed to contain exactly one record batch per partition",
        ));
    }
    if version < ZSTD {
        let unsupported = |why| Rejected::unseen(ErrorCode::UnsupportedCompressionType, why);
        match header.attributes.compression() {
            Ok(Compression::Zstd) => {
                return Err(unsupported(format!(
                    "Produce requests with version {version} are not allowed to use ZStandard compression"
                )));
            }
            Ok(_) => {}
            Err(error) => return Err(unsupported(error.to_string())),
        }
    }
    Batch::decode(records).map_err(Rejected::corrupt)
}

/// As much as the first batch says it has.
fn whole(records: &[u8]) -> &[u8] {
    let length = records.get(8..).and_then(|at| at.first_chunk());
    let length = length.map_or(0, |length| i32::from_be_bytes(*length));
    let end = usize::try_from(length).unwrap_or(0).saturating_add(12);
    &records[..end.min(records.len())]
}
