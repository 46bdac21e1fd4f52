//! The way from the log into the families.
//!
//! Order, each arrow safe to crash on: committed, persisted run -> file synced and ingested -> run row, truncation, commit
//! index and state written as one change and flushed -> `first_index` moves in memory -> segment recycled.
//!
//! What a crash leaves between the first two arrows is a file that no row speaks of; it is swept before that partition is
//! sealed again. The commit index becomes durable together with the truncation, so raft never starts with a commit below
//! `first_index - 1`.

use super::entry::SnapshotHeader;
use super::error::Error;
use super::families::{Family, RowChange};
use super::group_log::{CutPoint, Sealable};
use super::ids::Offset;
use super::keys;
use super::log::Position;
use super::rows::{GroupRow, Run};
use super::shard::{Group, LOCK, Shard, finish_deletion};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use raft::eraftpb::ConfState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bytes of one packed file, about; what one call holds in memory.
const PACK_BYTES: u64 = 32 << 20;

/// The state of a group's machine at one moment, taken by the worker that owns it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub group: GroupId,
    pub applied: u64,
    /// The membership as of `applied`.
    pub conf_state: ConfState,
    /// The machine's snapshot; begins with a [`SnapshotHeader`].
    pub machine: Bytes,
}

impl Checkpoint {
    pub fn log_start(&self) -> Offset {
        SnapshotHeader::decode(&self.machine).map_or(Offset(0), |header| header.log_start)
    }
}

/// What one call of [`Shard::seal`] did.
#[derive(Clone, Debug, Default)]
pub struct SealReport {
    pub groups: u64,
    pub runs: u64,
    pub bytes: u64,
    /// Groups that could not be cut just now: their newest entries are on their way to the log.
    pub busy: u64,
    /// Groups whose records could not be moved, and why; they stay in the log.
    pub damaged: Vec<(GroupId, Error)>,
}

/// One group's change of its rows.
pub(super) struct RowUpdate<'a> {
    pub group: Arc<Group>,
    pub checkpoint: &'a Checkpoint,
    /// The log is cut behind this entry; the group's truncated index where it stays.
    pub through_index: u64,
    pub added: Vec<Run>,
    pub removed: Vec<Run>,
}

impl Shard {
    /// The groups that keep the oldest segment of the log from being recycled.
    pub fn oldest_groups(&self) -> Vec<GroupId> {
        let oldest = self.log.lock().expect(LOCK).oldest_segment();
        let holds =
            |group: &Arc<Group>| group.oldest_needed().is_some_and(|at| at.segment <= oldest);
        self.all_groups()
            .iter()
            .filter(|group| holds(group))
            .map(|group| group.log.id())
            .collect()
    }

    pub fn over_budget(&self) -> bool {
        self.log_bytes() > self.options.log_budget_bytes
    }

    /// Moves what is committed, up to one run of each group, out of the log.
    ///
    /// A group whose records cannot be moved because they are damaged is named in the report, and holds up no other.
    pub fn seal(&self, checkpoints: &[Checkpoint]) -> Result<SealReport, Error> {
        self.seal_paced(checkpoints, &mut |_| ())
    }

    /// The same; `pace` is told of each so many bytes before they are written, and may take its time.
    pub fn seal_paced(
        &self,
        checkpoints: &[Checkpoint],
        pace: &mut dyn FnMut(u64),
    ) -> Result<SealReport, Error> {
        let _placing = self.placing.read().expect(LOCK);
        let mut report = SealReport::default();
        let mut pack = Pack::default();
        let mut cuts = Vec::new();
        for checkpoint in checkpoints {
            let Ok(group) = self.group(checkpoint.group) else {
                continue;
            };
            self.sweep(&group)?;
            let found = group.log.sealable(
                checkpoint.applied,
                checkpoint.log_start(),
                self.options.run_bytes,
            );
            let mut update = RowUpdate::of(group.clone(), checkpoint);
            let Some(mut found) = found else {
                // Nothing to move, but its hard state may be what holds the segment.
                cuts.push(update);
                continue;
            };
            let mut sealed = group.sealed.lock().expect(LOCK);
            // What was imported is in a run already.
            let sealed_to = sealed.sealed_to();
            found.pieces.pieces.retain(|(base, _)| *base >= sealed_to);
            update.through_index = found.through_index;
            if found.pieces.pieces.is_empty() {
                cuts.push(update);
                continue;
            }
            let bytes = found.bytes;
            let place = self.place(checkpoint.group, bytes, &sealed.avoided);
            sealed.swept = false;
            drop(sealed);
            let (run, rows) = match place.and_then(|packed| read_run(&group, found, packed)) {
                Ok(read) => read,
                Err(error) if error.is_damage() => {
                    report.damaged.push((checkpoint.group, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            report.bytes += bytes;
            update.added.push(run);
            if run.packed.is_some() {
                pack.add(keys::family(checkpoint.group, &run), rows, update);
                if pack.bytes >= PACK_BYTES {
                    self.write_pack(std::mem::take(&mut pack), &mut report, pace)?;
                }
            } else {
                let family = keys::record_family(checkpoint.group);
                let bytes = self.families.ingest(family, &mut paced(rows, pace))?;
                self.counters.ingested(bytes);
                // One big run at a time: the next one's memory is this one's.
                self.write_rows(vec![update], &mut report)?;
            }
        }
        self.write_pack(pack, &mut report, pace)?;
        self.write_rows(cuts, &mut report)?;
        self.counters.sealed(report.runs, report.bytes);
        Ok(report)
    }

    /// Recycles the segments that no group needs any more.
    pub fn release(&self) -> Result<(), Error> {
        // Under the log's lock every written entry is known with its place, so none is overlooked.
        let mut log = self.log.lock().expect(LOCK);
        let mut groups = self.all_groups();
        groups.extend(self.arriving_groups());
        let needed = groups
            .iter()
            .filter_map(|group| group.oldest_needed())
            .map(|at| at.segment)
            .min();
        let active = log.active_segment();
        Ok(log.release_below(needed.unwrap_or(active).min(active))?)
    }

    fn write_pack(
        &self,
        pack: Pack,
        report: &mut SealReport,
        pace: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        for (family, mut rows) in pack.rows {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            let bytes = self.families.ingest(family, &mut paced(rows, pace))?;
            self.counters.ingested(bytes);
        }
        self.write_rows(pack.updates, report)
    }

    /// The one durable step: all rows of these groups at once. Then memory follows.
    pub(super) fn write_rows(
        &self,
        updates: Vec<RowUpdate<'_>>,
        report: &mut SealReport,
    ) -> Result<(), Error> {
        if updates.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(updates.len() * 2);
        let mut ready = Vec::with_capacity(updates.len());
        {
            let log = self.log.lock().expect(LOCK);
            let position = log.position();
            for update in updates {
                match update.group.log.cut_point(update.through_index) {
                    Some(cut) => ready.push((update.row(&cut, position), cut, update)),
                    None => report.busy += 1,
                }
            }
        }
        let _rows = self.rows.lock().expect(LOCK);
        let (ready, stale): (Vec<_>, Vec<_>) = ready
            .into_iter()
            .partition(|(row, _, update)| update.collect(row, &mut changes));
        self.families.put(&changes)?;
        self.families.flush()?;
        for (row, cut, update) in ready {
            report.groups += 1;
            report.runs += update.added.len() as u64;
            update.group.log.cut_through(cut.through, &cut.hard_state);
            update.adopt(row);
        }
        for (_, _, update) in stale {
            // Deleted meanwhile: what was just ingested must not outlive it.
            if update.group.sealed.lock().expect(LOCK).deleted {
                finish_deletion(&*self.families, update.group.log.id())?;
            }
        }
        Ok(())
    }
}

type Row = (Vec<u8>, Bytes);

fn paced(rows: Vec<Row>, pace: &mut dyn FnMut(u64)) -> impl Iterator<Item = Row> {
    rows.into_iter()
        .inspect(move |(_, data)| pace(data.len() as u64))
}

/// Small runs on their way into a shared file.
#[derive(Default)]
struct Pack<'a> {
    rows: BTreeMap<Family, Vec<(Vec<u8>, Bytes)>>,
    updates: Vec<RowUpdate<'a>>,
    bytes: u64,
}

impl<'a> Pack<'a> {
    fn add(&mut self, family: Family, rows: Vec<(Vec<u8>, Bytes)>, update: RowUpdate<'a>) {
        self.bytes += rows.iter().map(|(_, data)| data.len() as u64).sum::<u64>();
        self.rows.entry(family).or_default().extend(rows);
        self.updates.push(update);
    }
}

impl<'a> RowUpdate<'a> {
    /// A change that so far only brings the group's state up to date.
    pub fn of(group: Arc<Group>, checkpoint: &'a Checkpoint) -> RowUpdate<'a> {
        RowUpdate {
            group,
            checkpoint,
            through_index: 0,
            added: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn row(&self, cut: &CutPoint, position: Position) -> GroupRow {
        let mut hard_state = cut.hard_state.clone();
        // What was applied is in the row or durable in the log; what is committed beyond may not be here yet.
        hard_state.commit = self.checkpoint.applied;
        GroupRow {
            hard_state,
            hard_state_from: position,
            truncated_index: cut.through,
            truncated_term: cut.term,
            next_offset: cut.next_offset,
            entries_from: cut.kept_at.unwrap_or(position),
            conf_state: self.checkpoint.conf_state.clone(),
            applied: self.checkpoint.applied,
            machine: self.checkpoint.machine.clone(),
            // The rest is as it was: filled in under the lock of the group's rows.
            generation: 0,
            cleaned_to: Offset(0),
        }
    }

    /// False when the group was deleted, another directory takes it over, or it has moved past this state: a snapshot was installed, or is staged and will be.
    fn collect(&self, row: &GroupRow, changes: &mut Vec<RowChange>) -> bool {
        let sealed = self.group.sealed.lock().expect(LOCK);
        if sealed.deleted
            || sealed.held
            || row.truncated_index > row.applied
            // Taken of a replica that was deleted since, and made anew.
            || row.applied > self.group.log.last_index()
            || sealed.row.applied > row.applied
            || sealed.row.truncated_index > row.truncated_index
        {
            return false;
        }
        let id = self.group.log.id();
        let row = GroupRow {
            generation: sealed.row.generation,
            cleaned_to: sealed.row.cleaned_to,
            ..row.clone()
        };
        changes.push((keys::group(id), Some(row.encode())));
        changes.extend(self.removed.iter().map(|run| (keys::run(id, run), None)));
        changes.extend(
            self.added
                .iter()
                .map(|run| (keys::run(id, run), Some(run.encode()))),
        );
        true
    }

    /// Memory follows the rows.
    fn adopt(self, row: GroupRow) {
        let mut sealed = self.group.sealed.lock().expect(LOCK);
        sealed.row = GroupRow {
            generation: sealed.row.generation,
            cleaned_to: sealed.row.cleaned_to,
            ..row
        };
        // What another one ingested and could not adopt is still to be swept.
        sealed.swept |= !self.added.is_empty();
        sealed.runs.retain(|run| !self.removed.contains(run));
        sealed.runs.extend(self.added);
        sealed.runs.sort_by_key(|run| run.base);
    }
}

fn read_run(
    group: &Group,
    found: Sealable,
    packed: Option<u8>,
) -> Result<(Run, Vec<(Vec<u8>, Bytes)>), Error> {
    let id = group.log.id();
    let pieces = found.pieces;
    let base = pieces.pieces.first().map_or(pieces.next, |(base, _)| *base);
    let mut rows = Vec::with_capacity(pieces.pieces.len());
    let mut bytes = 0;
    for (base, piece) in pieces.pieces {
        let data = group.log.read(piece)?;
        bytes += data.len() as u64;
        rows.push((keys::record(id, 0, base), data));
    }
    let run = Run {
        generation: 0,
        base,
        next: pieces.next,
        bytes,
        max_timestamp_ms: pieces.max_timestamp_ms,
        packed,
    };
    Ok((run, rows))
}
