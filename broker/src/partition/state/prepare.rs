//! From a command to an entry, or to an answer that needs none. Nothing here changes the partition.

use super::Partition;
use super::joining::may_grow;
use crate::partition::append;
use crate::partition::command::{Append, Appended, Origin, Output, Refusal, SetLogStart};
use crate::partition::config::TimestampType;
use crate::partition::producer::{Producer, RecentBatch};
use crate::partition::tail::{Pending, Tail};
use crate::partition::tracked::{Tracked, track};
use crate::raft::ports::Prepared;
use crate::storage::entry::{EntryHeader, EntryKind};
use crate::storage::ids::Offset;
use bytes::Bytes;

/// An append whose batches are fit to be appended behind `header.base_offset`.
pub(super) struct Checked {
    pub(super) header: EntryHeader,
    pub(super) batches: Vec<Tracked>,
}

impl Partition {
    pub(super) fn prepare_append(
        &self,
        tail: &Tail,
        append: Append,
    ) -> Result<(Prepared<Output>, Option<Pending>), Refusal> {
        let checked = self.check_append(tail.log_end, &append)?;
        if append.origin == Origin::Client
            && let Some(answer) = self.duplicate(tail, &checked.batches)
        {
            return Ok((answer, None));
        }
        let producers = self.check_producers(tail, &[], &checked.batches, append.origin)?;
        let may_grow = may_grow(&append);
        let (data, output) = self.assign(tail, &checked, append)?;
        let pending = Pending::Batches {
            header: checked.header,
            producers,
            bytes: data.len(),
            may_grow,
        };
        let prepared = Prepared::Entry {
            context: checked.header.encode(),
            data,
            output,
        };
        Ok((prepared, Some(pending)))
    }

    /// Everything about an append at `base_offset` that does not depend on its producers.
    pub(super) fn check_append(
        &self,
        base_offset: Offset,
        append: &Append,
    ) -> Result<Checked, Refusal> {
        let log_append_time_ms = self.log_append_time_ms(append);
        let mut next = base_offset;
        let mut max_timestamp_ms = -1;
        let checked = append::check(append, &self.config)?;
        let mut batches = Vec::with_capacity(checked.len());
        for (position, batch) in &checked {
            let timestamp_ms = log_append_time_ms.unwrap_or(batch.header().max_timestamp_ms);
            let tracked =
                track(batch, next, timestamp_ms).map_err(|error| Refusal::CorruptRecords {
                    position: *position,
                    reason: error.to_string(),
                })?;
            batches.push(tracked);
            max_timestamp_ms = max_timestamp_ms.max(timestamp_ms);
            let records = i64::from(batch.header().record_count);
            next = next
                .0
                .checked_add(records)
                .map(Offset)
                .ok_or(Refusal::OffsetsExhausted {
                    records: records.unsigned_abs(),
                    log_end: next,
                })?;
        }
        let offsets = u32::try_from(next - base_offset).map_err(|_| Refusal::OffsetsExhausted {
            records: (next - base_offset).unsigned_abs(),
            log_end: base_offset,
        })?;
        let header = EntryHeader {
            kind: EntryKind::Batches,
            base_offset,
            offsets,
            max_timestamp_ms,
        };
        Ok(Checked { header, batches })
    }

    fn log_append_time_ms(&self, append: &Append) -> Option<i64> {
        match self.config.message_timestamp_type {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(append.now_ms),
        }
    }

    /// The bytes as they are stored, and the answer. The only reference to the bytes is changed in place.
    pub(super) fn assign(
        &self,
        tail: &Tail,
        checked: &Checked,
        append: Append,
    ) -> Result<(Bytes, Output), Refusal> {
        let header = &checked.header;
        let log_append_time_ms = self.log_append_time_ms(&append);
        let data = append::assign(
            append.batches,
            header.base_offset,
            tail.leader_epoch,
            log_append_time_ms,
        )
        .map_err(|error| Refusal::CorruptBatch { position: 0, error })?;
        let output = Output::Appended(Appended {
            base_offset: header.base_offset,
            last_offset: header.next_offset() + -1,
            log_append_time_ms,
            log_start: self.committed.log_start,
        });
        Ok((data, output))
    }

    /// The answer to an append that repeats an earlier one, whole. One that repeats it in part was never sent by a client
    /// that keeps its order, and fails the check of sequences.
    fn duplicate(&self, tail: &Tail, batches: &[Tracked]) -> Option<Prepared<Output>> {
        let mut originals: Option<(RecentBatch, RecentBatch)> = None;
        for batch in batches {
            let Tracked::Records(batch) = batch else {
                return None;
            };
            let original = tail
                .producer(&self.committed, batch.producer_id)
                .duplicate_of(batch)?;
            originals = Some(match originals {
                None => (original, original),
                Some((first, last)) if original.base_offset == last.last_offset + 1 => {
                    (first, original)
                }
                Some(_) => return None,
            });
        }
        let (first, last) = originals?;
        let output = Output::Appended(Appended {
            base_offset: first.base_offset,
            last_offset: last.last_offset,
            log_append_time_ms: match self.config.message_timestamp_type {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(last.timestamp_ms),
            },
            log_start: self.committed.log_start,
        });
        Some(match tail.index_of(last.last_offset) {
            Some(index) if last.last_offset >= self.committed.high_watermark => {
                Prepared::After { index, output }
            }
            _ => Prepared::Done(output),
        })
    }

    /// The producers of `batches` as they are after them; `pending` are those of the entry that is being made.
    pub(super) fn check_producers(
        &self,
        tail: &Tail,
        pending: &[(i64, Producer)],
        batches: &[Tracked],
        origin: Origin,
    ) -> Result<Vec<(i64, Producer)>, Refusal> {
        let mut producers: Vec<(i64, Producer)> = Vec::new();
        let is_client = origin == Origin::Client;
        for batch in batches {
            match batch {
                Tracked::Plain => {}
                Tracked::Records(batch) => {
                    let producer =
                        self.producer_in(&mut producers, tail, pending, batch.producer_id);
                    producer.check(batch, is_client)?;
                    producer.record(batch);
                }
                Tracked::End(marker) => {
                    let version = match origin {
                        Origin::TransactionMarkers {
                            transaction_version,
                        } => transaction_version,
                        Origin::Client | Origin::Coordinator => 0,
                    };
                    let producer =
                        self.producer_in(&mut producers, tail, pending, marker.producer_id);
                    producer.check_end(marker, version)?;
                    producer.end(marker);
                }
            }
        }
        Ok(producers)
    }

    fn producer_in<'a>(
        &self,
        producers: &'a mut Vec<(i64, Producer)>,
        tail: &Tail,
        pending: &[(i64, Producer)],
        producer_id: i64,
    ) -> &'a mut Producer {
        let at = producers
            .iter()
            .position(|(id, _)| *id == producer_id)
            .unwrap_or_else(|| {
                producers.push((producer_id, self.producer(tail, pending, producer_id)));
                producers.len() - 1
            });
        &mut producers[at].1
    }

    /// The producer with all that is in flight, and all that is pending.
    pub(super) fn producer(
        &self,
        tail: &Tail,
        pending: &[(i64, Producer)],
        producer_id: i64,
    ) -> Producer {
        match pending.iter().find(|(id, _)| *id == producer_id) {
            Some((_, producer)) => producer.clone(),
            None => tail.producer(&self.committed, producer_id),
        }
    }

    pub(super) fn prepare_log_start(
        &self,
        tail: &Tail,
        command: SetLogStart,
    ) -> Result<(Prepared<Output>, Option<Pending>), Refusal> {
        if !self.config.cleanup_policy.is_delete() {
            return Err(Refusal::DeletionNotAllowed);
        }
        let high_watermark = self.committed.high_watermark;
        let offset = command.offset.unwrap_or(high_watermark);
        if offset < Offset(0) || offset > high_watermark {
            return Err(Refusal::OffsetOutOfRange {
                found: offset,
                log_start: self.committed.log_start,
                high_watermark,
            });
        }
        if offset <= self.committed.log_start {
            let output = Output::LogStart(self.committed.log_start);
            return Ok((Prepared::Done(output), None));
        }
        if offset <= tail.log_start
            && let Some((index, log_start)) = tail.in_flight_log_start(offset)
        {
            let output = Output::LogStart(log_start);
            return Ok((Prepared::After { index, output }, None));
        }
        let header = EntryHeader {
            kind: EntryKind::LogStart,
            base_offset: offset,
            offsets: 0,
            max_timestamp_ms: -1,
        };
        let prepared = Prepared::Entry {
            context: header.encode(),
            data: Bytes::new(),
            output: Output::LogStart(offset),
        };
        Ok((prepared, Some(Pending::LogStart(offset))))
    }
}
