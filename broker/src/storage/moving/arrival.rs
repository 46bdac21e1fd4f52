//! The copy of a group while its old directory still owns it: its runs, and a row that says what it is.

use crate::raft::ports::GroupId;
use crate::storage::error::Error;
use crate::storage::families::{Family, RowChange};
use crate::storage::ids::Offset;
use crate::storage::keys;
use crate::storage::rows::{MoveId, Run};
use crate::storage::shard::{Group, LOCK, Shard, finish_deletion};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one step copies, about, and holds in memory. A run is copied whole.
const STEP_BYTES: u64 = 8 << 20;

/// What a shard holds of another directory's group.
pub(in crate::storage) struct Arrival {
    pub move_id: MoveId,
    /// Oldest first, each as in the old directory but for where it lies.
    pub runs: Vec<Run>,
    /// Families in which damage hides what a failed step may have left.
    pub avoided: Vec<Family>,
    /// Whether what a failed step may have left is gone.
    pub swept: bool,
    /// While the rest of its log is written here: keeps that.
    pub group: Option<Arc<Group>>,
}

/// How far a copy has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    pub bytes: u64,
    /// The offset behind its last run.
    pub next: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// All runs are here.
    All,
    /// So many bytes were; there may be more to do.
    Some(u64),
}

impl Shard {
    /// Begins a copy of a group. What may lie here of an earlier one is dropped.
    pub fn arrive(&self, id: GroupId, move_id: MoveId) -> Result<(), Error> {
        let _rows = self.rows.lock().expect(LOCK);
        let is_here = self.groups.read().expect(LOCK).contains_key(&id);
        if is_here || self.damaged().contains_key(&id) || self.arrived(id).is_some() {
            return Err(Error::GroupExists(id));
        }
        for family in keys::families(id) {
            let (from, to) = all_records(id);
            self.families.drop_range(family, &from, &to)?;
        }
        let mut changes = self.run_removals(id)?;
        // An unfinished deletion would be finished by the next opening, and take what arrives with it.
        changes.push((keys::deleting(id), None));
        changes.push((keys::arriving(id), Some(move_id.encode())));
        self.families.put(&changes)?;
        self.families.flush()?;
        let arrival = Arrival {
            move_id,
            runs: Vec::new(),
            avoided: Vec::new(),
            swept: true,
            group: None,
        };
        self.arrivals.lock().expect(LOCK).insert(id, arrival);
        Ok(())
    }

    /// How far the copy of a group has come; `None` when none is here.
    pub fn arrived(&self, id: GroupId) -> Option<Arrived> {
        let arrivals = self.arrivals.lock().expect(LOCK);
        arrivals.get(&id).map(|arrival| Arrived {
            bytes: arrival.runs.iter().map(|run| run.bytes).sum(),
            next: arrival.runs.last().map_or(Offset(0), |run| run.next),
        })
    }

    pub(in crate::storage) fn arriving_groups(&self) -> Vec<Arc<Group>> {
        let arrivals = self.arrivals.lock().expect(LOCK);
        let groups = arrivals
            .values()
            .filter_map(|arrival| arrival.group.clone());
        groups.collect()
    }

    /// One step of making the copy's runs those of the group in `from`: what sealing, retention and log compaction did there
    /// since is done here, too. `pace` is told of each so many bytes before they are written. One caller at a time.
    pub fn copy_runs(
        &self,
        from: &Shard,
        id: GroupId,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Copied, Error> {
        let (theirs, _) = from.sealed_runs(id)?;
        let ours = self.arrival(id, |arrival| arrival.runs.clone())?;
        let gone = without(&ours, &theirs);
        if !gone.is_empty() {
            self.drop_arrived(id, &gone)?;
            return Ok(Copied::Some(0));
        }
        let missing = without(&theirs, &ours);
        if missing.is_empty() {
            return Ok(Copied::All);
        }
        let (mut step, mut bytes) = (Vec::new(), 0);
        for run in missing {
            if bytes >= STEP_BYTES {
                break;
            }
            match from.read_whole(id, &run)? {
                Some(entries) => step.push((run, entries)),
                // Retention or log compaction has just dropped it.
                None => break,
            }
            bytes += run.bytes;
        }
        self.adopt_runs(id, step, pace)?;
        Ok(Copied::Some(bytes))
    }

    /// `None` when the run is not there any more.
    fn read_whole(&self, id: GroupId, run: &Run) -> Result<Option<Vec<(Offset, Bytes)>>, Error> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let scanned = self.scan_run(id, run, &mut |base, data| {
            bytes += data.len() as u64;
            entries.push((base, Bytes::copy_from_slice(data)));
            true
        });
        // Memory lets go of a run before its rows are dropped, so one that is still there was read whole.
        if !self.sealed_runs(id)?.0.contains(run) {
            return Ok(None);
        }
        scanned?;
        match bytes == run.bytes {
            true => Ok(Some(entries)),
            false => Err(Error::Group {
                group: id,
                reason: format!(
                    "the run at offset {} holds {bytes} bytes, its row says {}",
                    run.base, run.bytes
                ),
            }),
        }
    }

    /// Runs into families, then their rows.
    fn adopt_runs(
        &self,
        id: GroupId,
        step: Vec<(Run, Vec<(Offset, Bytes)>)>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let _placing = self.placing.read().expect(LOCK);
        self.sweep_arrival(id)?;
        let avoided = self.arrival(id, |arrival| {
            arrival.swept = false;
            arrival.avoided.clone()
        })?;
        let mut packs: BTreeMap<Family, Vec<(Vec<u8>, Bytes)>> = BTreeMap::new();
        let mut added = Vec::with_capacity(step.len());
        for (run, entries) in step {
            let packed = self.place(id, run.bytes, &avoided)?;
            let run = Run { packed, ..run };
            let key = |base| keys::record(id, run.generation, base);
            let mut rows = entries.into_iter().map(|(base, data)| (key(base), data));
            let family = keys::family(id, &run);
            if packed.is_some() {
                packs.entry(family).or_default().extend(rows);
            } else {
                // A file of its own, so that it can be dropped as a whole.
                let mut rows = rows.by_ref().inspect(|(_, data)| pace(data.len() as u64));
                let bytes = self.families.ingest(family, &mut rows)?;
                self.counters.ingested(bytes);
            }
            added.push(run);
        }
        for (family, mut rows) in packs {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            let mut rows = rows
                .into_iter()
                .inspect(|(_, data)| pace(data.len() as u64));
            let bytes = self.families.ingest(family, &mut rows)?;
            self.counters.ingested(bytes);
        }
        let _rows = self.rows.lock().expect(LOCK);
        let row = |run: &Run| (keys::run(id, run), Some(run.encode()));
        let changes: Vec<RowChange> = added.iter().map(row).collect();
        self.families.put(&changes)?;
        self.families.flush()?;
        self.arrival(id, |arrival| {
            arrival.swept = true;
            arrival.runs.extend(added);
            arrival.runs.sort_by_key(|run| run.base);
        })
    }

    /// Rows first, then files.
    fn drop_arrived(&self, id: GroupId, gone: &[Run]) -> Result<(), Error> {
        let _rows = self.rows.lock().expect(LOCK);
        let changes: Vec<RowChange> = gone.iter().map(|run| (keys::run(id, run), None)).collect();
        self.families.put(&changes)?;
        self.families.flush()?;
        self.arrival(id, |arrival| {
            arrival.runs.retain(|run| !gone.contains(run));
            arrival.swept = false;
        })?;
        self.sweep_arrival(id)
    }

    fn sweep_arrival(&self, id: GroupId) -> Result<(), Error> {
        let runs = self.arrival(id, |arrival| (!arrival.swept).then(|| arrival.runs.clone()))?;
        if let Some(runs) = runs {
            let avoided = self.drop_unnamed(id, &runs)?;
            self.arrival(id, |arrival| {
                arrival.avoided = avoided;
                arrival.swept = true;
            })?;
        }
        Ok(())
    }

    pub(super) fn arrival<T>(
        &self,
        id: GroupId,
        look: impl FnOnce(&mut Arrival) -> T,
    ) -> Result<T, Error> {
        let mut arrivals = self.arrivals.lock().expect(LOCK);
        let arrival = arrivals.get_mut(&id).ok_or(Error::UnknownGroup(id))?;
        Ok(look(arrival))
    }

    /// Drops all there is of a group that another directory owns: a half copy, or what was left behind. A copy only once its
    /// group is known not to leave the other directory.
    pub fn discard(&self, id: GroupId) -> Result<(), Error> {
        let _rows = self.rows.lock().expect(LOCK);
        let mut changes = self.run_removals(id)?;
        changes.extend([
            (keys::group(id), None),
            (keys::leaving(id), None),
            (keys::arriving(id), None),
            (keys::deleting(id), Some(Vec::new())),
        ]);
        self.families.put(&changes)?;
        self.families.flush()?;
        let group = self.groups.write().expect(LOCK).remove(&id);
        if let Some(group) = group {
            group.sealed.lock().expect(LOCK).deleted = true;
        }
        self.arrivals.lock().expect(LOCK).remove(&id);
        finish_deletion(&*self.families, id)
    }

    fn run_removals(&self, id: GroupId) -> Result<Vec<RowChange>, Error> {
        let (from, to) = keys::runs_of(id);
        let mut changes = Vec::new();
        self.families
            .scan(Family::Rows, &from, &to, 0, &mut |key, _| {
                changes.push((key.to_vec(), None));
                true
            })?;
        Ok(changes)
    }
}

fn all_records(id: GroupId) -> (Vec<u8>, Vec<u8>) {
    let record = |id| keys::record(id, 0, Offset(0));
    (record(id), record(GroupId(id.0 + 1)))
}

/// Whether two runs of a group hold the same, wherever they lie.
fn is_same(a: &Run, b: &Run) -> bool {
    let placeless = |run: &Run| Run {
        packed: None,
        ..*run
    };
    placeless(a) == placeless(b)
}

/// The runs that are not among `others`.
pub(super) fn without(runs: &[Run], others: &[Run]) -> Vec<Run> {
    let missing = |run: &&Run| !others.iter().any(|other| is_same(run, other));
    runs.iter().filter(missing).copied().collect()
}
