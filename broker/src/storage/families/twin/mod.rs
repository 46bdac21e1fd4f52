//! The in-memory twin of the column families, which loses what was not flushed as a crash would.
//!
//! Deterministic: it holds no clock and no randomness; a crash asks its caller what survives. It is stricter than RocksDB in
//! one point: a row that is ingested while it is present is refused in every family.

mod state;
#[cfg(test)]
mod tests;

use super::{Error, Families, Family, PACKED_FAMILIES, RECORD_FAMILIES, RowChange};
use bytes::Bytes;
use state::{Change, Dropped, State, cut, failed, size};
use std::ops::Bound::{Excluded, Included};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle to the families; clones are the same ones. After [`TwinFamilies::crash`] only the handle that it returned works.
#[derive(Clone)]
pub struct TwinFamilies {
    state: Arc<Mutex<State>>,
    boot: u64,
}

impl Default for TwinFamilies {
    fn default() -> Self {
        TwinFamilies::new()
    }
}

impl TwinFamilies {
    pub fn new() -> TwinFamilies {
        TwinFamilies {
            state: Arc::default(),
            boot: 0,
        }
    }

    /// The process or the power goes off and on. Of the changes of small rows since the last flush a prefix survives, and so it is
    /// with what was dropped from each packed family: `below` picks a number below its argument. All earlier handles fail from now
    /// on, injected faults are gone, damage stays.
    pub fn crash(&self, below: &mut dyn FnMut(usize) -> usize) -> TwinFamilies {
        let mut state = lock(&self.state);
        let kept = below(state.unflushed.len() + 1);
        let mut rows = std::mem::take(&mut state.flushed);
        for change in state.unflushed.drain(..).take(kept) {
            change.apply(&mut rows);
        }
        state.flushed = rows.clone();
        state.tables.insert(Family::Rows, rows);
        for family in (0..PACKED_FAMILIES).map(Family::Packed) {
            state.forget_drops(family, below);
        }
        state.dropped.clear();
        state.held.clear();
        state.ops = 0;
        state.fail_after_ops = None;
        state.capacity = None;
        state.boot += 1;
        TwinFamilies {
            state: Arc::clone(&self.state),
            boot: state.boot,
        }
    }

    /// Other families with the same contents, all of it durable, and no faults.
    pub fn fork(&self) -> TwinFamilies {
        let state = lock(&self.state);
        let fork = State {
            tables: state.tables.clone(),
            flushed: state.table(Family::Rows).cloned().unwrap_or_default(),
            damaged: state.damaged.clone(),
            ..State::default()
        };
        TwinFamilies {
            state: Arc::new(Mutex::new(fork)),
            boot: 0,
        }
    }

    /// How many operations changed something since the last crash, failed ones included.
    pub fn ops(&self) -> u64 {
        lock(&self.state).ops
    }

    /// Every operation (reads too) behind the `ops`-th change since the last crash fails, the first one without effect.
    pub fn fail_after_ops(&self, ops: u64) {
        lock(&self.state).fail_after_ops = Some(ops);
    }

    /// More than `bytes` in all families are refused.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.state).capacity = bytes;
    }

    /// Damages a row where it lies: whoever reads it from now on is told. Panics if there is no such row: a test aimed wrong.
    pub fn damage(&self, family: Family, key: &[u8]) {
        let mut state = lock(&self.state);
        let table = state.tables.get(&family);
        assert!(
            table.is_some_and(|table| table.contains_key(key)),
            "the row to damage exists"
        );
        state.damaged.insert((family, key.to_vec()));
    }

    /// As if compaction had met damage in a packed family.
    pub fn hold(&self, family: Family) {
        lock(&self.state).held.insert(family);
    }

    /// Turns a bit of a flushed small row: RocksDB's own checksum was computed over the wrong bytes.
    pub fn flip_bit(&self, key: &[u8]) {
        let mut state = lock(&self.state);
        let State {
            tables, flushed, ..
        } = &mut *state;
        for table in [tables.entry(Family::Rows).or_default(), flushed] {
            let value = table.get_mut(key).expect("the row to damage exists");
            let mut bytes = value.to_vec();
            bytes[0] ^= 4;
            *value = bytes.into();
        }
    }

    fn running(&self, family: Family) -> Result<MutexGuard<'_, State>, Error> {
        let state = lock(&self.state);
        let exists = match family {
            Family::Records(n) => n < RECORD_FAMILIES,
            Family::Packed(n) => n < PACKED_FAMILIES,
            Family::Rows => true,
        };
        if !exists {
            return Err(failed(format!("there is no family {family:?}")));
        }
        if state.boot != self.boot {
            return Err(failed("they were restarted since"));
        }
        if state.fail_after_ops.is_some_and(|n| state.ops > n) {
            return Err(power_cut());
        }
        Ok(state)
    }

    fn change(&self, family: Family) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.running(family)?;
        state.ops += 1;
        match state.fail_after_ops.is_some_and(|n| state.ops > n) {
            true => Err(power_cut()),
            false => Ok(state),
        }
    }
}

impl Families for TwinFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        if family == Family::Rows {
            return Err(failed("rows are put, not ingested"));
        }
        // Before the lock is taken: the rows may be read from these very families.
        let rows: Vec<(Vec<u8>, Bytes)> = rows.collect();
        if let Some(i) = rows.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
            return Err(failed(format!("row {} to ingest does not ascend", i + 1)));
        }
        let mut state = self.change(family)?;
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else {
            return Ok(0);
        };
        let bytes: u64 = rows.iter().map(|(k, v)| size(k, v)).sum();
        state.refuse_present(family, &rows)?;
        state.refuse_full(bytes)?;
        // RocksDB flushes tombstones that an ingested file overlaps with.
        let buried = |dropped: &Dropped| {
            dropped.family == family && dropped.from <= *last && *first < dropped.to
        };
        if state.dropped.iter().any(buried) {
            state.dropped.retain(|dropped| dropped.family != family);
        }
        state.tables.entry(family).or_default().extend(rows);
        Ok(bytes)
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        let mut state = self.change(Family::Rows)?;
        let change = Change::Put(changes.to_vec());
        change.apply(state.tables.entry(Family::Rows).or_default());
        for (key, _) in changes {
            state.damaged.remove(&(Family::Rows, key.clone()));
        }
        state.unflushed.push(change);
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut state = self.change(Family::Rows)?;
        state.refuse_full(0)?;
        state.unflushed.clear();
        state.dropped.clear();
        state.flushed = state.table(Family::Rows).cloned().unwrap_or_default();
        Ok(())
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let state = self.running(family)?;
        let Some(value) = state.table(family).and_then(|table| table.get(key)) else {
            return Ok(None);
        };
        state.refuse_damaged(family, key)?;
        Ok(Some(value.clone()))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        _readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        let state = self.running(family)?;
        if from >= to {
            return Ok(());
        }
        let range = (Included(from), Excluded(to));
        let rows = state.table(family).map(|t| t.range::<[u8], _>(range));
        // Without the lock, as with RocksDB: a visitor may use these families.
        let rows: Vec<(Vec<u8>, Result<Bytes, Error>)> = rows
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let intact = state.refuse_damaged(family, key);
                (key.clone(), intact.map(|()| value.clone()))
            })
            .collect();
        drop(state);
        for (key, value) in rows {
            if !visit(&key, &value?) {
                break;
            }
        }
        Ok(())
    }

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        let state = self.running(family)?;
        if from > at {
            return Ok(None);
        }
        let range = (Included(from), Included(at));
        let table = state.table(family);
        let Some((key, value)) = table.and_then(|t| t.range::<[u8], _>(range).next_back()) else {
            return Ok(None);
        };
        state.refuse_damaged(family, key)?;
        Ok(Some((key.clone(), value.clone())))
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let mut state = self.change(family)?;
        if from >= to {
            return Ok(());
        }
        let rows = cut(state.tables.entry(family).or_default(), from, to);
        state
            .damaged
            .retain(|(f, key)| *f != family || !rows.contains_key(key));
        let (from, to) = (from.to_vec(), to.to_vec());
        match family {
            Family::Records(_) => {}
            Family::Packed(_) => state.dropped.push(Dropped {
                family,
                from,
                to,
                rows,
            }),
            Family::Rows => state.unflushed.push(Change::Drop { from, to }),
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(self.running(Family::Rows)?.bytes())
    }

    fn takes_runs(&self, family: Family) -> bool {
        family != Family::Rows && !lock(&self.state).held.contains(&family)
    }

    fn renew(&self, family: Family) -> Result<(), Error> {
        let mut state = self.change(family)?;
        if !matches!(family, Family::Packed(_)) {
            return Err(failed(format!("family {family:?} is not renewed")));
        }
        state.tables.remove(&family);
        state.dropped.retain(|dropped| dropped.family != family);
        state.damaged.retain(|(f, _)| *f != family);
        state.held.remove(&family);
        Ok(())
    }
}

fn power_cut() -> Error {
    failed("the power is off")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
