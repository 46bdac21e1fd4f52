//! Giving space back: where the log start should move by age and size, and dropping what lies below it.
//!
//! Deciding and dropping are apart because the move itself is replicated: the leader decides, proposes a log start, and each
//! replica drops when it applies it. Whole runs go, and with them whole files; the tail goes entry by entry.

use super::error::Error;
use super::ids::Offset;
use super::keys;
use super::rows::Run;
use super::seal::{Checkpoint, RowUpdate, SealReport};
use super::shard::{LOCK, Shard};
use crate::raft::ports::GroupId;

/// `retention.ms` and `retention.bytes`; `None` is without limit (-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    pub max_age_ms: Option<i64>,
    pub max_bytes: Option<u64>,
}

impl Shard {
    /// Where the log start belongs, at most at `high_watermark`. `None` when it may stay.
    ///
    /// As in Kafka, a piece goes by age when its newest record is too old, and by size when what is behind it is enough.
    pub fn retained_from(
        &self,
        group: GroupId,
        retention: Retention,
        now_ms: i64,
        log_start: Offset,
        high_watermark: Offset,
    ) -> Result<Option<Offset>, Error> {
        let group = self.group(group)?;
        let runs = group.sealed.lock().expect(LOCK).runs.clone();
        let sealed = runs
            .iter()
            .map(|run| (run.next, run.bytes, run.max_timestamp_ms));
        let mut pieces: Vec<(Offset, u64, i64)> = sealed.collect();
        let sealed_to = pieces.last().map_or(Offset(0), |(next, ..)| *next);
        // Sealed between the two look-ups: counted once.
        pieces.extend(
            group
                .log
                .tail_spans()
                .into_iter()
                .filter(|(next, ..)| *next > sealed_to),
        );
        pieces.retain(|(next, ..)| *next > log_start);
        let mut bytes_left: u64 = pieces.iter().map(|(_, bytes, _)| bytes).sum();
        let mut start = log_start;
        for (next, bytes, max_timestamp_ms) in pieces {
            let too_old = retention
                .max_age_ms
                .is_some_and(|age| max_timestamp_ms >= 0 && now_ms - max_timestamp_ms > age);
            let too_much = retention
                .max_bytes
                .is_some_and(|max| bytes_left - bytes >= max);
            if next > high_watermark || !(too_old || too_much) {
                break;
            }
            bytes_left -= bytes;
            start = next;
        }
        Ok((start > log_start).then_some(start))
    }

    /// Whether runs lie below the group's log start.
    pub fn has_expired(&self, group: GroupId, log_start: Offset) -> bool {
        self.group(group).is_ok_and(|group| {
            group
                .sealed
                .lock()
                .expect(LOCK)
                .runs
                .first()
                .is_some_and(|run| run.next <= log_start)
        })
    }

    /// Drops the runs that lie below the log start of `checkpoint`: rows first, then the files that they spoke of.
    pub fn expire(&self, checkpoint: &Checkpoint) -> Result<u64, Error> {
        let group = self.group(checkpoint.group)?;
        let log_start = checkpoint.log_start();
        let expired = |run: &&Run| run.next <= log_start;
        let removed: Vec<Run> = group
            .sealed
            .lock()
            .expect(LOCK)
            .runs
            .iter()
            .take_while(expired)
            .copied()
            .collect();
        if removed.is_empty() {
            return Ok(0);
        }
        let mut update = RowUpdate::of(group, checkpoint);
        update.removed = removed.clone();
        let mut report = SealReport::default();
        self.write_rows(vec![update], &mut report)?;
        if report.groups == 0 {
            return Ok(0);
        }
        for run in &removed {
            // From the beginning of its generation: a crash may have left files whose rows are gone.
            let from = keys::record(checkpoint.group, run.generation, Offset(0));
            let to = keys::record(checkpoint.group, run.generation, run.next);
            self.families
                .drop_range(keys::family(checkpoint.group, run), &from, &to)?;
        }
        let bytes = removed.iter().map(|run| run.bytes).sum();
        self.counters.expired(bytes);
        Ok(bytes)
    }

    /// Bytes of a group's records, sealed and not.
    pub fn group_bytes(&self, group: GroupId) -> Result<u64, Error> {
        let group = self.group(group)?;
        let sealed: u64 = group
            .sealed
            .lock()
            .expect(LOCK)
            .runs
            .iter()
            .map(|run| run.bytes)
            .sum();
        Ok(sealed
            + group
                .log
                .tail_spans()
                .iter()
                .map(|(_, bytes, _)| bytes)
                .sum::<u64>())
    }
}
