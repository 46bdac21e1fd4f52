//! Log compaction of one partition: which sealed runs, what is left of them, and back into storage.
//!
//! The cleaner decides batch by batch; this drives it over the runs and knows when a round is worth it. What is not sealed is
//! never compacted, as Kafka never compacts its active segment.

use super::aborted::AbortedTransaction;
use super::cleaner::{
    self, AbortedRange, AbortedRanges, Cleaned, Cleaner, LastOfProducer, MapSettings, OffsetMap,
    Policy,
};
use super::config::TopicConfig;
use crate::raft::ports::GroupId;
use crate::storage::ids::Offset;
use crate::storage::rows::Run;
use crate::storage::shard::Shard;
use crate::storage::{self};
use bytes::{Bytes, BytesMut};
use millrace_wire::Batch;
use millrace_wire::batch::split;
use std::collections::HashMap;

/// What one batch may decompress to.
const BATCH_LIMIT_BYTES: usize = 128 << 20;

/// What a round is given from outside: time, positions, memory, chance.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub now_ms: i64,
    /// Nothing at or above it is looked at.
    pub last_stable: Offset,
    pub buffer_bytes: usize,
    /// Of runs that are rewritten at once, or one run.
    pub step_bytes: u64,
    /// Fresh for each round.
    pub hash_key: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// What the next round need not look at again, if this one is whole; records up to here may be gone even if not.
    pub cleaned_to: Offset,
    /// Not when it was told to stop, or somebody changed the runs meanwhile: what was rewritten stays, and a later round
    /// does the rest.
    pub is_whole: bool,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Cleaner(#[from] cleaner::Error),
    #[error("cannot split the entry at offset {base}: {reason}")]
    Entry { base: Offset, reason: String },
}

/// One round, step by step from the log's start. `None` when nothing was worth doing, or could be done.
///
/// A later step removes what an earlier one's record superseded only after that is durable, and the log counts as clean only
/// with the last step: a round that ends anywhere is a round that may begin again. `goes_on` is asked between steps.
pub fn compact(
    shard: &Shard,
    group: GroupId,
    config: &TopicConfig,
    limits: &Limits,
    producers: &HashMap<i64, LastOfProducer>,
    aborted: &dyn Fn(Offset, Offset) -> Vec<AbortedTransaction>,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Report>, Error> {
    let (runs, cleaned_to) = shard.sealed_runs(group)?;
    let Some(mut round) = plan(&runs, cleaned_to, config, limits) else {
        return Ok(None);
    };
    let end = round.last().map_or(cleaned_to, |run| run.next);
    let first = round.first().map_or(cleaned_to, |run| run.base);
    let aborted: AbortedRanges = aborted(first, end)
        .into_iter()
        .map(AbortedRange::from)
        .collect();
    let from = cleaned_to.max(first);
    let settings = MapSettings {
        memory_bytes: limits.buffer_bytes,
        max_keys: (end.0 - from.0).unsigned_abs(),
        hash_key: limits.hash_key,
        from: from.0,
        limit_bytes: BATCH_LIMIT_BYTES,
    };
    let dirty = round.iter().filter(|run| run.next > cleaned_to);
    let dirty = dirty.flat_map(|run| match batches(shard, group, run) {
        Ok(batches) => batches.into_iter().map(|(_, batch)| Ok(batch)).collect(),
        Err(error) => vec![Err(error)],
    });
    let map = OffsetMap::build(settings, &aborted, dirty)?;
    // Where the map ends, nothing changes any more.
    round.retain(|run| run.base.0 < map.end());
    let policy = Policy {
        now_ms: limits.now_ms,
        delete_retention_ms: config.delete_retention_ms,
        // Behind the round the log goes on, so that its end is in no danger.
        round_end: None,
        limit_bytes: BATCH_LIMIT_BYTES,
    };
    let mut cleaner = Cleaner::new(&map, policy, &aborted, producers);
    let mut report = Report {
        bytes_before: 0,
        bytes_after: 0,
        cleaned_to: Offset(map.end()).min(end),
        is_whole: false,
    };
    let mut steps = steps(&round, limits.step_bytes).into_iter().peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        let (entries, is_changed) = cleaned(shard, group, step, &mut cleaner)?;
        let bytes_after = entries
            .iter()
            .map(|(_, bytes, _)| bytes.len() as u64)
            .sum::<u64>();
        if is_changed || is_last {
            let cleaned_to = if is_last {
                report.cleaned_to
            } else {
                cleaned_to
            };
            if !shard.replace_runs(group, step, entries, cleaned_to)? {
                break;
            }
        }
        report.bytes_before += step.iter().map(|run| run.bytes).sum::<u64>();
        report.bytes_after += bytes_after;
        report.is_whole = is_last;
        if !is_last && !goes_on() {
            break;
        }
    }
    Ok((report.bytes_before > 0 || report.is_whole).then_some(report))
}

/// What is left of some runs, and whether anything is other than it was.
fn cleaned(
    shard: &Shard,
    group: GroupId,
    runs: &[Run],
    cleaner: &mut Cleaner<'_>,
) -> Result<(Vec<(Offset, Bytes, i64)>, bool), Error> {
    let mut entries: Vec<(Offset, Bytes, i64)> = Vec::new();
    let mut is_changed = false;
    for run in runs {
        for (base, batch) in batches(shard, group, run)? {
            let cleaned = cleaner.clean(&batch)?;
            is_changed |= !matches!(cleaned, Cleaned::Keep(_));
            if let Some(bytes) = cleaned.into_bytes() {
                push(&mut entries, base, bytes, batch.header().max_timestamp_ms);
            }
        }
    }
    Ok((entries, is_changed))
}

/// Neighbours that are rewritten together.
fn steps(mut runs: &[Run], step_bytes: u64) -> Vec<&[Run]> {
    let mut steps = Vec::new();
    while !runs.is_empty() {
        let mut bytes = 0;
        let fits = |run: &&Run| {
            bytes += run.bytes;
            bytes <= step_bytes
        };
        let (step, rest) = runs.split_at(runs.iter().take_while(fits).count().max(1));
        steps.push(step);
        runs = rest;
    }
    steps
}

/// The runs of a round: all from the log's start to the last that is old enough, when enough of them is new.
fn plan(
    runs: &[Run],
    cleaned_to: Offset,
    config: &TopicConfig,
    limits: &Limits,
) -> Option<Vec<Run>> {
    let old_enough = |run: &&Run| {
        run.next <= limits.last_stable
            && (config.min_compaction_lag_ms == 0
                || limits.now_ms - run.max_timestamp_ms >= config.min_compaction_lag_ms)
    };
    let round: Vec<Run> = runs.iter().take_while(old_enough).copied().collect();
    let dirty: Vec<&Run> = round.iter().filter(|run| run.next > cleaned_to).collect();
    let oldest_ms = dirty.iter().map(|run| run.max_timestamp_ms).min()?;
    let dirty_bytes: u64 = dirty.iter().map(|run| run.bytes).sum();
    let all_bytes: u64 = round.iter().map(|run| run.bytes).sum();
    let overdue = limits.now_ms.saturating_sub(oldest_ms) >= config.max_compaction_lag_ms;
    let ratio = dirty_bytes as f64 / all_bytes.max(1) as f64;
    (overdue || ratio >= config.min_cleanable_dirty_ratio).then_some(round)
}

/// The batches of a run, each with the offset of the entry that holds it.
fn batches(shard: &Shard, group: GroupId, run: &Run) -> Result<Vec<(Offset, Batch)>, Error> {
    let mut found = Vec::new();
    let mut broken = None;
    shard.scan_run(group, run, &mut |base, data| {
        for batch in split(Bytes::copy_from_slice(data)) {
            match batch {
                Ok(batch) => found.push((base, batch)),
                Err(error) => {
                    broken = Some(Error::Entry {
                        base,
                        reason: error.to_string(),
                    });
                    return false;
                }
            }
        }
        true
    })?;
    broken.map_or(Ok(found), Err)
}

/// Batches of one entry stay together.
fn push(
    entries: &mut Vec<(Offset, Bytes, i64)>,
    base: Offset,
    batch: Bytes,
    max_timestamp_ms: i64,
) {
    match entries.last_mut() {
        Some((last, bytes, timestamp)) if *last == base => {
            let mut joined = BytesMut::with_capacity(bytes.len() + batch.len());
            joined.extend_from_slice(bytes);
            joined.extend_from_slice(&batch);
            *bytes = joined.freeze();
            *timestamp = (*timestamp).max(max_timestamp_ms);
        }
        _ => entries.push((base, batch, max_timestamp_ms)),
    }
}

impl From<AbortedTransaction> for AbortedRange {
    fn from(aborted: AbortedTransaction) -> AbortedRange {
        AbortedRange {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset.0,
            last_offset: aborted.last_offset.0,
        }
    }
}
