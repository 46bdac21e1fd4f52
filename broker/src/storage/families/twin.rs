//! The in-memory twin of the column families, which loses what was not flushed.
//!
//! Deterministic: no clock, no randomness of its own. Ingested rows are durable on return; of the small rows a crash keeps
//! the flushed ones and any prefix of the later changes, as a background flush might.

use super::{Error, Families, Family, RowChange};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

type Rows = BTreeMap<(Family, Vec<u8>), Bytes>;

/// Clones are the same families.
#[derive(Clone, Default)]
pub struct TwinFamilies {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: Rows,
    /// As of the last flush, with ingested rows.
    durable: Rows,
    /// Changes of small rows since the last flush.
    unflushed: Vec<Change>,
    damaged: BTreeSet<(Family, Vec<u8>)>,
    ops: u64,
    fail_after: Option<u64>,
    crashed: bool,
}

#[derive(Clone)]
enum Change {
    Put(Vec<RowChange>),
    Drop(Vec<u8>, Vec<u8>),
}

impl TwinFamilies {
    pub fn new() -> TwinFamilies {
        TwinFamilies::default()
    }

    /// The power goes off and on. This handle fails from now on, the one returned is what is left: of the changes that were
    /// not flushed as many as `pick` says, a number below its argument.
    pub fn crash(&self, pick: &mut dyn FnMut(usize) -> usize) -> TwinFamilies {
        let mut state = self.lock();
        state.crashed = true;
        let kept = pick(state.unflushed.len() + 1);
        let mut durable = std::mem::take(&mut state.durable);
        for change in &state.unflushed[..kept] {
            apply(&mut durable, change);
        }
        let damaged = state.damaged.clone();
        let state = State {
            rows: durable.clone(),
            durable,
            damaged,
            ..State::default()
        };
        TwinFamilies {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How many operations changed something, failed ones included.
    pub fn ops(&self) -> u64 {
        self.lock().ops
    }

    /// Everything behind the `ops`-th change fails.
    pub fn fail_after_ops(&self, ops: u64) {
        self.lock().fail_after = Some(ops);
    }

    /// Turns a bit of a row's value, for now and after a crash.
    pub fn damage_value(&self, family: Family, key: &[u8]) {
        let mut state = self.lock();
        let flip = |rows: &mut Rows| {
            let value = rows
                .get_mut(&(family, key.to_vec()))
                .expect("the test damages a row that is there");
            let mut bytes = value.to_vec();
            bytes[0] ^= 4;
            *value = bytes.into();
        };
        let State { rows, durable, .. } = &mut *state;
        flip(rows);
        flip(durable);
    }

    /// Reads of this row find a bad block.
    pub fn damage_block(&self, family: Family, key: &[u8]) {
        self.lock().damaged.insert((family, key.to_vec()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn change(&self) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.read()?;
        state.ops += 1;
        if state.fail_after.is_some_and(|after| state.ops > after) {
            return Err(failed());
        }
        Ok(state)
    }

    fn read(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.crashed || state.fail_after.is_some_and(|after| state.ops > after) {
            return Err(failed());
        }
        Ok(state)
    }
}

fn failed() -> Error {
    Error::Io {
        path: "twin".to_owned(),
        reason: "injected failure".to_owned(),
    }
}

fn apply(rows: &mut Rows, change: &Change) {
    match change {
        Change::Put(changes) => {
            for (key, value) in changes {
                let key = (Family::Rows, key.clone());
                match value {
                    Some(value) => rows.insert(key, Bytes::copy_from_slice(value)),
                    None => rows.remove(&key),
                };
            }
        }
        Change::Drop(from, to) => drop_from(rows, Family::Rows, from, to),
    }
}

fn drop_from(rows: &mut Rows, family: Family, from: &[u8], to: &[u8]) {
    rows.retain(|(f, key), _| *f != family || &key[..] < from || &key[..] >= to);
}

impl State {
    fn check(&self, family: Family, key: &[u8]) -> Result<(), Error> {
        if self.damaged.contains(&(family, key.to_vec())) {
            let reason = format!("injected damage in {family:?} at {key:02x?}");
            return Err(Error::Corrupt {
                path: "twin".to_owned(),
                reason,
            });
        }
        Ok(())
    }
}

impl Families for TwinFamilies {
    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        let rows: Vec<_> = rows.collect();
        let mut state = self.change()?;
        let mut bytes = 0;
        let ascending = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let present = rows
            .iter()
            .any(|(key, _)| state.rows.contains_key(&(family, key.clone())));
        if !ascending || present || family == Family::Rows {
            let reason = format!("rows for {family:?} are not ascending, or one is there already");
            return Err(Error::Io {
                path: "twin".to_owned(),
                reason,
            });
        }
        for (key, value) in rows {
            bytes += (key.len() + value.len()) as u64;
            state.rows.insert((family, key.clone()), value.clone());
            state.durable.insert((family, key), value);
        }
        Ok(bytes)
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        let mut state = self.change()?;
        let change = Change::Put(changes.to_vec());
        apply(&mut state.rows, &change);
        state.unflushed.push(change);
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut state = self.change()?;
        let State {
            durable, unflushed, ..
        } = &mut *state;
        for change in unflushed.drain(..) {
            apply(durable, &change);
        }
        Ok(())
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let state = self.read()?;
        state.check(family, key)?;
        Ok(state.rows.get(&(family, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        _readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let state = self.read()?;
        let found: Vec<_> = state
            .rows
            .range((family, from.to_vec())..(family, to.to_vec()))
            .map(|((_, key), value)| (key.clone(), value.clone(), state.check(family, key)))
            .collect();
        drop(state);
        for (key, value, checked) in found {
            checked?;
            if !visit(&key, &value) {
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
        if from > at {
            return Ok(None);
        }
        let state = self.read()?;
        let mut range = state
            .rows
            .range((family, from.to_vec())..=(family, at.to_vec()));
        let Some(((_, key), value)) = range.next_back() else {
            return Ok(None);
        };
        state.check(family, key)?;
        Ok(Some((key.clone(), value.clone())))
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let mut state = self.change()?;
        drop_from(&mut state.rows, family, from, to);
        if family == Family::Rows {
            state
                .unflushed
                .push(Change::Drop(from.to_vec(), to.to_vec()));
        } else {
            drop_from(&mut state.durable, family, from, to);
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        let state = self.read()?;
        Ok(state
            .durable
            .iter()
            .map(|((_, key), value)| (key.len() + value.len()) as u64)
            .sum())
    }
}
