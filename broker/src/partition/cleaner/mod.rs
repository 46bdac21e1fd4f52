//! Log compaction, the part that decides: batches in, batches out, no I/O and no clock. As Kafka's log cleaner does it.
//!
//! A round first builds an [`OffsetMap`] of the part of the log that is not yet clean, then passes the *whole* log up to
//! [`OffsetMap::end`] or further, in order and from its start, through one [`Cleaner`].
//!
//! **Invariants:** offsets never change, and a batch that lost nothing leaves byte for byte. Neither map nor cleaner is shown
//! anything at or beyond the last stable offset.

mod offset_map;
#[cfg(test)]
mod tests;
mod transactions;

pub use offset_map::{MapSettings, OffsetMap};
pub use transactions::{AbortedRange, AbortedRanges};

use bytes::Bytes;
use millrace_wire::batch::RecordsError;
use millrace_wire::{
    Batch, BatchBuilder, BatchHeader, BatchSettings, Compression, Record, builder, control,
};
use std::collections::HashMap;
use transactions::OpenTransactions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub now_ms: i64,
    /// How long a tombstone or a marker stays once a pass has seen that only it is left (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// The round's last batch ends before this offset; it is kept, if only empty, so that the log's end is not lost.
    pub round_end: Option<i64>,
    /// Of one batch, decompressed.
    pub limit_bytes: usize,
}

/// What a producer that is still known wrote last. That batch stays, if only empty: it holds the producer's epoch and its
/// last sequence, without which its next append would look out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastOfProducer {
    /// The last offset of its last batch of data.
    Data { last_offset: i64 },
    /// It has no data, only markers, the last one of this epoch.
    Marker { producer_epoch: i16 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleaned {
    /// The batch as it came.
    Keep(Bytes),
    /// It lost records, or its delete horizon was set.
    Rewritten(Bytes),
    /// It lost all records, and is there for its header only.
    Emptied(Bytes),
    Dropped,
}

impl Cleaned {
    /// What the clean log holds of the batch.
    pub fn into_bytes(self) -> Option<Bytes> {
        match self {
            Cleaned::Keep(bytes) | Cleaned::Rewritten(bytes) | Cleaned::Emptied(bytes) => {
                Some(bytes)
            }
            Cleaned::Dropped => None,
        }
    }
}

/// A stored batch cannot be read or written: the round ends, and the old log stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("cannot read the batch at offset {base_offset}: {error}")]
    Records {
        base_offset: i64,
        error: RecordsError,
    },
    #[error("cannot read the control batch at offset {base_offset}: {error}")]
    Control {
        base_offset: i64,
        error: control::Error,
    },
    #[error(
        "the batch at offset {base_offset} has a record at delta {offset_delta}, its last is {last_offset_delta}"
    )]
    OffsetOutside {
        base_offset: i64,
        offset_delta: i32,
        last_offset_delta: i32,
    },
    #[error("cannot write the batch at offset {base_offset} anew: {error}")]
    Build {
        base_offset: i64,
        error: builder::Error,
    },
}

/// One pass over the log.
#[derive(Debug)]
pub struct Cleaner<'a> {
    map: &'a OffsetMap,
    policy: Policy,
    aborted: &'a AbortedRanges,
    last_of_producers: &'a HashMap<i64, LastOfProducer>,
    open: OpenTransactions,
}

/// What a look through a batch's records found.
#[derive(Default)]
struct Survey {
    kept: u32,
    lost: u32,
    keeps_tombstones: bool,
}

impl<'a> Cleaner<'a> {
    pub fn new(
        map: &'a OffsetMap,
        policy: Policy,
        aborted: &'a AbortedRanges,
        last_of_producers: &'a HashMap<i64, LastOfProducer>,
    ) -> Cleaner<'a> {
        Cleaner {
            map,
            policy,
            aborted,
            last_of_producers,
            open: OpenTransactions::default(),
        }
    }

    /// What is left of the next batch.
    pub fn clean(&mut self, batch: &Batch) -> Result<Cleaned, Error> {
        let header = batch.header();
        let is_control = header.attributes.is_control();
        let is_over = if is_control {
            self.open.see_control(batch, self.policy.limit_bytes)?
        } else {
            self.open.see_data(header);
            self.aborted.contain(header)
        };
        // Consumers are told of an aborted transaction for as long as the partition remembers it, and leave out what its
        // producer wrote from then on until they meet its marker. Kafka forgets both together.
        let may_go = || self.is_past_horizon(header) && !self.aborted.end_with(header);
        let discards = is_over && (!is_control || may_go());
        let survey = if discards {
            Survey::default()
        } else {
            self.survey(batch)?
        };
        if survey.kept == 0 {
            return self.without_records(batch);
        }
        let starts_horizon = !header.attributes.has_delete_horizon()
            && (survey.keeps_tombstones || (is_control && is_over));
        if survey.lost == 0 && !starts_horizon {
            return Ok(Cleaned::Keep(batch.bytes().clone()));
        }
        self.rewrite(batch, starts_horizon).map(Cleaned::Rewritten)
    }

    fn survey(&self, batch: &Batch) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for record in self.records(batch)? {
            let record = record?;
            if self.retains(batch.header(), &record)? {
                survey.kept += 1;
                survey.keeps_tombstones |=
                    record.value.is_none() && !batch.header().attributes.is_control();
            } else {
                survey.lost += 1;
            }
        }
        Ok(survey)
    }

    fn retains(&self, header: &BatchHeader, record: &Record) -> Result<bool, Error> {
        let offset = offset_of(header, record)?;
        if header.attributes.is_control() || offset >= self.map.end() {
            return Ok(true);
        }
        // Nothing could ever supersede a record without a key.
        let Some(key) = &record.key else {
            return Ok(false);
        };
        let is_latest = self.map.last_offset(key).is_none_or(|last| offset >= last);
        Ok(is_latest && (record.value.is_some() || !self.is_past_horizon(header)))
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        let horizon_ms = header.delete_horizon_ms();
        horizon_ms.is_some_and(|horizon_ms| horizon_ms <= self.policy.now_ms)
    }

    fn without_records(&self, batch: &Batch) -> Result<Cleaned, Error> {
        let header = batch.header();
        let is_round_end = self.policy.round_end == Some(header.next_offset());
        if !is_round_end && !self.is_last_of_producer(header) {
            return Ok(Cleaned::Dropped);
        }
        if header.record_count == 0 {
            return Ok(Cleaned::Keep(batch.bytes().clone()));
        }
        let settings = BatchSettings {
            compression: Compression::None,
            delete_horizon_ms: None,
            max_timestamp_ms: Some(header.max_timestamp_ms),
            ..settings_of(header)?
        };
        build(header, BatchBuilder::new(settings)).map(Cleaned::Emptied)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.has_producer_id() {
            return false;
        }
        match self.last_of_producers.get(&header.producer_id) {
            Some(&LastOfProducer::Data { last_offset }) => header.last_offset() == last_offset,
            Some(&LastOfProducer::Marker { producer_epoch }) => {
                header.attributes.is_control() && header.producer_epoch == producer_epoch
            }
            None => false,
        }
    }

    /// Reads the records a second time rather than holding them: decompressed they are many times the batch.
    fn rewrite(&self, batch: &Batch, starts_horizon: bool) -> Result<Bytes, Error> {
        let header = batch.header();
        let mut settings = settings_of(header)?;
        if starts_horizon {
            let policy = &self.policy;
            settings.delete_horizon_ms =
                Some(policy.now_ms.saturating_add(policy.delete_retention_ms));
        }
        let mut builder = BatchBuilder::new(settings);
        for record in self.records(batch)? {
            let record = record?;
            if self.retains(header, &record)? {
                builder.push_record(header.timestamp_ms(&record), record);
            }
        }
        build(header, builder)
    }

    fn records(
        &self,
        batch: &Batch,
    ) -> Result<impl Iterator<Item = Result<Record, Error>> + use<>, Error> {
        let base_offset = batch.header().base_offset;
        let fail = move |error| Error::Records { base_offset, error };
        let records = batch.records(self.policy.limit_bytes).map_err(fail)?;
        Ok(records.map(move |record| record.map_err(|error| fail(error.into()))))
    }
}

/// The record's offset, which lies inside its batch.
fn offset_of(header: &BatchHeader, record: &Record) -> Result<i64, Error> {
    let (offset_delta, last_offset_delta) = (record.offset_delta, header.last_offset_delta);
    if !(0..=last_offset_delta).contains(&offset_delta) {
        return Err(Error::OffsetOutside {
            base_offset: header.base_offset,
            offset_delta,
            last_offset_delta,
        });
    }
    Ok(header.base_offset + i64::from(offset_delta))
}

fn settings_of(header: &BatchHeader) -> Result<BatchSettings, Error> {
    BatchSettings::of(header).map_err(|error| Error::Records {
        base_offset: header.base_offset,
        error: error.into(),
    })
}

fn build(header: &BatchHeader, builder: BatchBuilder) -> Result<Bytes, Error> {
    builder.build().map_err(|error| Error::Build {
        base_offset: header.base_offset,
        error,
    })
}
