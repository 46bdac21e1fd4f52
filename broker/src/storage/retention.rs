//! Giving space back: where the log start should move by age and size, and dropping what lies below it.
//!
//! Deciding and dropping are apart because the move itself is replicated: the leader decides, proposes a log start, and each
//! replica drops when it applies it. Whole runs go, and with them whole files; the tail goes entry by entry.

use super::error::Error;
use super::families::Family;
use super::ids::Offset;
use super::keys;
use super::rows::Run;
use super::seal::{Checkpoint, RowUpdate, SealReport};
use super::shard::{LOCK, Shard};
use crate::raft::ports::GroupId;
use std::collections::BTreeMap;

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
        self.expire_some(std::slice::from_ref(checkpoint), u64::MAX)
    }

    /// The same of several groups, oldest runs first, until about `max_bytes` are dropped; returns how many were. One change of
    /// rows covers them all, and one change of a family's files all of a group's: each is a sync beside those of the log.
    pub fn expire_some(&self, checkpoints: &[Checkpoint], max_bytes: u64) -> Result<u64, Error> {
        let mut bytes = 0;
        let mut updates = Vec::new();
        let mut expired = Vec::new();
        for checkpoint in checkpoints {
            // Deleted meanwhile.
            let Ok(group) = self.group(checkpoint.group) else {
                continue;
            };
            let log_start = checkpoint.log_start();
            let mut removed = Vec::new();
            for run in &group.sealed.lock().expect(LOCK).runs {
                if run.next > log_start || bytes >= max_bytes {
                    break;
                }
                bytes += run.bytes;
                removed.push(*run);
            }
            if !removed.is_empty() {
                let mut update = RowUpdate::of(group.clone(), checkpoint);
                update.removed = removed.clone();
                updates.push(update);
                expired.push((group, removed));
            }
        }
        self.write_rows(updates, &mut SealReport::default())?;
        let mut bytes = 0;
        let mut failed = None;
        for (group, removed) in expired {
            let sealed = group.sealed.lock().expect(LOCK);
            // It moved past its checkpoint, or was deleted: nothing was written for it.
            if sealed.deleted || removed.iter().any(|run| sealed.runs.contains(run)) {
                continue;
            }
            drop(sealed);
            bytes += removed.iter().map(|run| run.bytes).sum::<u64>();
            if let Err(error) = self.drop_runs(group.log.id(), &removed) {
                failed.get_or_insert(error);
            }
        }
        self.counters.expired(bytes);
        match failed {
            Some(error) => Err(error),
            None => Ok(bytes),
        }
    }

    /// Drops the files of runs that no row speaks of any more, and all older ones.
    fn drop_runs(&self, id: GroupId, removed: &[Run]) -> Result<(), Error> {
        let mut ends: BTreeMap<(Family, u32), Offset> = BTreeMap::new();
        for run in removed {
            let end = ends
                .entry((keys::family(id, run), run.generation))
                .or_insert(run.next);
            *end = run.next.max(*end);
        }
        for ((family, generation), end) in ends {
            // From the beginning of its generation: a crash may have left files whose rows are gone.
            let from = keys::record(id, generation, Offset(0));
            let to = keys::record(id, generation, end);
            self.families.drop_range(family, &from, &to)?;
        }
        Ok(())
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
