//! Offsets by timestamp (ListOffsets): first which batch, by headers alone, then which record in it. Timestamps need not
//! ascend: an offset is found by the first record that is late enough, not by the earliest such time.

use crate::storage::ids::Offset;
use millrace_wire::Batch;
use millrace_wire::batch::{NO_TIMESTAMP, RecordsError};

/// A batch, or an entry of several, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub base_offset: Offset,
    /// The largest of its records', or -1.
    pub max_timestamp_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub leader_epoch: i32,
}

/// The first of `spans`, which ascend by offset, that has a record at or after `timestamp_ms`. If none of its records is also
/// at or above the log start, go on behind it.
pub fn first_reaching(spans: impl IntoIterator<Item = Span>, timestamp_ms: i64) -> Option<Span> {
    spans
        .into_iter()
        .find(|span| span.max_timestamp_ms >= timestamp_ms)
}

/// The first of those `spans` with the largest timestamp (ListOffsets -3); `None` if no record has one.
pub fn latest(spans: impl IntoIterator<Item = Span>) -> Option<Span> {
    spans
        .into_iter()
        .filter(|span| span.max_timestamp_ms > NO_TIMESTAMP)
        .reduce(|latest, span| {
            if span.max_timestamp_ms > latest.max_timestamp_ms {
                span
            } else {
                latest
            }
        })
}

/// The first record of `batch` at or after `timestamp_ms` and at or above `from`. Its records are decompressed into at most
/// `limit_bytes`.
pub fn first_record_reaching(
    batch: &Batch,
    timestamp_ms: i64,
    from: Offset,
    limit_bytes: usize,
) -> Result<Option<Found>, RecordsError> {
    let header = batch.header();
    if header.max_timestamp_ms < timestamp_ms {
        return Ok(None);
    }
    for record in batch.records(limit_bytes)? {
        let record = record?;
        let found = Found {
            offset: Offset(header.base_offset) + i64::from(record.offset_delta),
            timestamp_ms: header.timestamp_ms(&record),
            leader_epoch: header.leader_epoch,
        };
        if found.timestamp_ms >= timestamp_ms && found.offset >= from {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first record of `batch` that has its largest timestamp.
pub fn latest_record(batch: &Batch, limit_bytes: usize) -> Result<Option<Found>, RecordsError> {
    first_record_reaching(
        batch,
        batch.header().max_timestamp_ms,
        Offset(0),
        limit_bytes,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use millrace_wire::{BatchBuilder, BatchSettings, Compression};

    fn spans(timestamps: &[i64]) -> Vec<Span> {
        (0..)
            .zip(timestamps)
            .map(|(offset, timestamp)| Span {
                base_offset: Offset(offset * 10),
                max_timestamp_ms: *timestamp,
            })
            .collect()
    }

    fn batch(timestamps: &[i64], settings: BatchSettings) -> Batch {
        let mut builder = BatchBuilder::new(settings);
        for timestamp in timestamps {
            builder.push(*timestamp, None, Some(b"value"));
        }
        Batch::decode(builder.build().unwrap()).unwrap()
    }

    #[test]
    fn the_first_batch_that_is_late_enough_is_found_even_when_times_descend() {
        let spans = spans(&[5, 3, 9, 7, 9]);
        let base = |timestamp| first_reaching(spans.clone(), timestamp).map(|s| s.base_offset.0);
        assert_eq!(base(0), Some(0));
        assert_eq!(base(6), Some(20));
        assert_eq!(base(10), None);
    }

    #[test]
    fn of_equally_late_batches_the_first_is_the_latest() {
        assert_eq!(latest(spans(&[5, 9, 9, 7])), Some(spans(&[5, 9])[1]));
        assert_eq!(latest(spans(&[-1, -1])), None);
        assert_eq!(latest(Vec::new()), None);
    }

    #[test]
    fn the_first_record_that_is_late_enough_and_in_the_log_is_found() {
        let batch = batch(
            &[100, 90, 120, 120],
            BatchSettings {
                base_offset: 40,
                leader_epoch: 3,
                compression: Compression::Zstd,
                ..BatchSettings::default()
            },
        );
        let offset = |timestamp, from| {
            first_record_reaching(&batch, timestamp, Offset(from), 1 << 20)
                .unwrap()
                .map(|found| found.offset.0)
        };
        assert_eq!(offset(0, 0), Some(40));
        assert_eq!(offset(95, 41), Some(42));
        assert_eq!(offset(101, 0), Some(42));
        assert_eq!(offset(120, 43), Some(43));
        assert_eq!(offset(120, 44), None);
        assert_eq!(offset(121, 0), None);
        assert_eq!(
            latest_record(&batch, 1 << 20).unwrap(),
            Some(Found {
                offset: Offset(42),
                timestamp_ms: 120,
                leader_epoch: 3
            })
        );
    }

    #[test]
    fn with_log_append_time_every_record_has_the_batchs() {
        let batch = batch(
            &[100, 90],
            BatchSettings {
                log_append_time_ms: Some(500),
                ..BatchSettings::default()
            },
        );
        let found = latest_record(&batch, 1 << 20).unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp_ms), (Offset(0), 500));
    }
}
