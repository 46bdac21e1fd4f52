//! Everything a partition holds, as a consumer reads it.

use bytes::Bytes;
use millrace_broker::engine::{Handle, ReadError};
use millrace_broker::partition::Mark;
use millrace_broker::storage::ids::Offset;
use millrace_wire::batch::split;

/// What one read asks for: small, so that many reads meet the borders of runs.
const STEP_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub struct Found {
    pub offset: i64,
    pub key: Option<Bytes>,
    pub value: Bytes,
}

/// All records from the log start to the high watermark; checks each batch's CRC.
pub fn contents(handle: &Handle) -> Result<Vec<Found>, ReadError> {
    let mut found = Vec::new();
    let mut at = handle.positions().log_start;
    loop {
        let read = handle.read(at, Mark::HighWatermark, STEP_BYTES)?;
        if read.chunks.is_empty() {
            return Ok(found);
        }
        for chunk in read.chunks {
            for batch in split(chunk).map(|batch| batch.expect("whole batches come out")) {
                batch.verify_crc().expect("the bytes that went in come out");
                assert!(
                    batch.header().next_offset() > at.0,
                    "the batch at {} comes again at {at}",
                    batch.header().base_offset
                );
                for record in batch.records(1 << 20).expect("records") {
                    let record = record.expect("a whole record");
                    found.push(Found {
                        offset: batch.header().base_offset + i64::from(record.offset_delta),
                        key: record.key,
                        value: record.value.unwrap_or_default(),
                    });
                }
                at = Offset(batch.header().next_offset());
            }
        }
    }
}
