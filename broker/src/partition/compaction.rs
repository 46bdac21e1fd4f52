//! Log compaction of one partition: which sealed runs, what is left of them, and back into storage.
//!
//! The cleaner decides batch by batch; this drives it over the runs and knows when a round is worth it. What is not sealed is
//! never compacted, as Kafka never compacts its active segment.

use super::aborted::AbortedTransaction;
use super::cleaner::{
    self, AbortedRange, AbortedRanges, Cleaner, LastOfProducer, MapSettings, OffsetMap, Policy,
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

/// What a round holds in memory of rewritten records; more is left to the next one.
const ROUND_BYTES: u64 = 256 << 20;

/// What a round is given from outside: time, positions, memory, chance.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub now_ms: i64,
    pub log_start: Offset,
    /// Nothing at or above it is looked at.
    pub last_stable: Offset,
    pub buffer_bytes: usize,
    /// Fresh for each round.
    pub hash_key: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub cleaned_to: Offset,
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

/// One round. `None` when there is nothing worth doing, or somebody changed the runs meanwhile.
pub fn compact(
    shard: &Shard,
    group: GroupId,
    config: &TopicConfig,
    limits: &Limits,
    producers: &HashMap<i64, LastOfProducer>,
    aborted: &dyn Fn(Offset, Offset) -> Vec<AbortedTransaction>,
) -> Result<Option<Report>, Error> {
    let (runs, cleaned_to) = shard.sealed_runs(group)?;
    let Some(round) = plan(&runs, cleaned_to, config, limits) else {
        return Ok(None);
    };
    let end = round.last().map_or(cleaned_to, |run| run.next);
    let first = round.first().map_or(cleaned_to, |run| run.base);
    let aborted: AbortedRanges = aborted(first, end)
        .into_iter()
        .map(AbortedRange::from)
        .collect();
    let settings = MapSettings {
        memory_bytes: limits.buffer_bytes,
        hash_key: limits.hash_key,
        from: cleaned_to.max(first).0,
        limit_bytes: BATCH_LIMIT_BYTES,
    };
    let mut dirty = Vec::new();
    for run in round.iter().filter(|run| run.next > cleaned_to) {
        dirty.extend(batches(shard, group, run)?);
    }
    let map = OffsetMap::build(
        settings,
        &aborted,
        dirty.into_iter().map(|(_, batch)| Ok::<_, Error>(batch)),
    )?;
    let policy = Policy {
        now_ms: limits.now_ms,
        delete_retention_ms: config.delete_retention_ms,
        // Behind the round the log goes on, so that its end is in no danger.
        round_end: None,
        limit_bytes: BATCH_LIMIT_BYTES,
    };
    let mut cleaner = Cleaner::new(&map, policy, &aborted, producers);
    let mut entries: Vec<(Offset, Bytes, i64)> = Vec::new();
    for run in &round {
        for (base, batch) in batches(shard, group, run)? {
            if let Some(bytes) = cleaner.clean(&batch)?.into_bytes() {
                push(&mut entries, base, bytes, batch.header().max_timestamp_ms);
            }
        }
    }
    let report = Report {
        bytes_before: round.iter().map(|run| run.bytes).sum(),
        bytes_after: entries.iter().map(|(_, bytes, _)| bytes.len() as u64).sum(),
        cleaned_to: Offset(map.end()).min(end),
    };
    let replaced = shard.replace_runs(group, &round, entries, report.cleaned_to)?;
    Ok(replaced.then_some(report))
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
    let mut bytes = 0;
    let fits = |run: &&Run| {
        bytes += run.bytes;
        bytes <= ROUND_BYTES
    };
    let round: Vec<Run> = runs
        .iter()
        .take_while(old_enough)
        .take_while(fits)
        .copied()
        .collect();
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
