//! The in-memory twin of the column families, which loses what was not flushed as a crash would.
//!
//! Deterministic: it holds no clock and no randomness; a crash asks its caller what survives. It is stricter than RocksDB in
//! one point: a row that is ingested while it is present is refused in every family.

use super::{Error, Families, Family, PACKED_FAMILIES, RECORD_FAMILIES, RowChange};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Table = BTreeMap<Vec<u8>, Bytes>;

/// A handle to the families; clones are the same ones. After [`TwinFamilies::crash`] only the handle that it returned works.
#[derive(Clone)]
pub struct TwinFamilies {
    state: Arc<Mutex<State>>,
    boot: u64,
}

#[derive(Default)]
struct State {
    boot: u64,
    /// What readers see, by family. The ingested ones are durable but for `dropped`.
    tables: BTreeMap<Family, Table>,
    /// The rows as of the last flush, and what was done to them since, oldest first.
    flushed: Table,
    unflushed: Vec<Change>,
    /// What was dropped from the packed families since the last flush, oldest first.
    dropped: Vec<Dropped>,
    damaged: BTreeSet<(Family, Vec<u8>)>,
    /// Packed families that new runs should not go to, until a crash or until they are renewed.
    held: BTreeSet<Family>,
    ops: u64,
    fail_after_ops: Option<u64>,
    capacity: Option<u64>,
}

enum Change {
    Put(Vec<RowChange>),
    Drop { from: Vec<u8>, to: Vec<u8> },
}

struct Dropped {
    family: Family,
    from: Vec<u8>,
    to: Vec<u8>,
    rows: Table,
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

impl State {
    fn table(&self, family: Family) -> Option<&Table> {
        self.tables.get(&family)
    }

    fn bytes(&self) -> u64 {
        let tables = self.tables.values();
        tables.flatten().map(|(k, v)| size(k, v)).sum()
    }

    /// Files of record families are disjoint, so there not even the gaps between a file's rows may be filled.
    fn refuse_present(&self, family: Family, rows: &[(Vec<u8>, Bytes)]) -> Result<(), Error> {
        let (Some(table), Some(first), Some(last)) =
            (self.table(family), rows.first(), rows.last())
        else {
            return Ok(());
        };
        let present = match family {
            Family::Records(_) => {
                let range = (Included(&*first.0), Included(&*last.0));
                table.range::<[u8], _>(range).next().is_some()
            }
            _ => rows.iter().any(|(key, _)| table.contains_key(key)),
        };
        match present {
            true => Err(failed(format!("{family:?} has rows in the ingested range"))),
            false => Ok(()),
        }
    }

    fn refuse_full(&self, more: u64) -> Result<(), Error> {
        let full = self
            .capacity
            .is_some_and(|all| self.bytes().saturating_add(more) > all);
        match full {
            true => Err(failed("no space left")),
            false => Ok(()),
        }
    }

    fn refuse_damaged(&self, family: Family, key: &[u8]) -> Result<(), Error> {
        match self.damaged.contains(&(family, key.to_vec())) {
            true => Err(Error::Corrupt {
                path: "the twin".into(),
                reason: format!("checksum mismatch in {family:?} at row {key:02x?}"),
            }),
            false => Ok(()),
        }
    }

    /// Brings back what all but a prefix of the unflushed drops of `family` took.
    fn forget_drops(&mut self, family: Family, below: &mut dyn FnMut(usize) -> usize) {
        let drops = self.dropped.iter().filter(|d| d.family == family);
        let kept = below(drops.clone().count() + 1);
        let table = self.tables.entry(family).or_default();
        for dropped in drops.skip(kept) {
            for (key, value) in &dropped.rows {
                table.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

impl Change {
    fn apply(&self, rows: &mut Table) {
        match self {
            Change::Drop { from, to } => drop(cut(rows, from, to)),
            Change::Put(changes) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => rows.insert(key.clone(), Bytes::copy_from_slice(value)),
                        None => rows.remove(key),
                    };
                }
            }
        }
    }
}

/// Takes the rows with `from <= key < to` out of `table`.
fn cut(table: &mut Table, from: &[u8], to: &[u8]) -> Table {
    let mut taken = table.split_off(from);
    let mut behind = taken.split_off(to);
    table.append(&mut behind);
    taken
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn failed(reason: impl Into<String>) -> Error {
    Error::Io {
        path: "the twin".into(),
        reason: reason.into(),
    }
}

fn power_cut() -> Error {
    failed("the power is off")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RECORDS: Family = Family::Records(0);
    const PACKED: Family = Family::Packed(0);

    fn put(twin: &TwinFamilies, key: u8) -> Result<(), Error> {
        twin.put(&[(vec![key], Some(vec![key]))])
    }

    fn ingest(twin: &TwinFamilies, family: Family, keys: &[u8]) -> Result<u64, Error> {
        let row = |key: &u8| (vec![*key], Bytes::from(vec![*key; 10]));
        twin.ingest(family, &mut keys.iter().map(row))
    }

    fn keys(twin: &TwinFamilies, family: Family) -> Result<Vec<u8>, Error> {
        let mut keys = Vec::new();
        twin.scan(family, &[], &[255], 0, &mut |key, _| {
            keys.push(key[0]);
            true
        })?;
        Ok(keys)
    }

    #[test]
    fn a_crash_keeps_a_prefix_of_the_unflushed_rows() {
        for kept in 0..=4 {
            let twin = TwinFamilies::new();
            put(&twin, 1).unwrap();
            twin.flush().unwrap();
            put(&twin, 2).unwrap();
            twin.drop_range(Family::Rows, &[1], &[2]).unwrap();
            put(&twin, 3).unwrap();
            twin.put(&[(vec![4], Some(vec![])), (vec![2], None)])
                .unwrap();
            let after = twin.crash(&mut |choices| kept.min(choices - 1));
            let expected: [&[u8]; 5] = [&[1], &[1, 2], &[2], &[2, 3], &[3, 4]];
            assert_eq!(keys(&after, Family::Rows).unwrap(), expected[kept]);
            // What a crash left is durable.
            let after = after.crash(&mut |_| 0);
            assert_eq!(keys(&after, Family::Rows).unwrap(), expected[kept]);
        }
    }

    #[test]
    fn a_crash_brings_back_packed_ranges_whose_drop_was_not_flushed() {
        let twin = TwinFamilies::new();
        ingest(&twin, PACKED, &[1, 2, 3, 4, 5]).unwrap();
        ingest(&twin, RECORDS, &[1, 2, 3]).unwrap();
        twin.drop_range(PACKED, &[1], &[2]).unwrap();
        twin.flush().unwrap();
        twin.drop_range(PACKED, &[2], &[3]).unwrap();
        twin.drop_range(PACKED, &[3], &[4]).unwrap();
        twin.drop_range(RECORDS, &[2], &[9]).unwrap();
        assert_eq!(keys(&twin, PACKED).unwrap(), [4, 5]);
        let mut picks = [0, 1, 0].into_iter();
        let after = twin.crash(&mut |_| picks.next().unwrap());
        assert_eq!(keys(&after, PACKED).unwrap(), [3, 4, 5]);
        assert_eq!(keys(&after, RECORDS).unwrap(), [1]);
        // A run that fills a dropped range takes the drop to disk.
        after.drop_range(PACKED, &[3], &[5]).unwrap();
        ingest(&after, PACKED, &[3]).unwrap();
        let after = after.crash(&mut |_| 0);
        assert_eq!(keys(&after, PACKED).unwrap(), [3, 5]);
    }

    #[test]
    fn handles_from_before_a_crash_fail() {
        let twin = TwinFamilies::new();
        let clone = twin.clone();
        put(&clone, 1).unwrap();
        assert_eq!(keys(&twin, Family::Rows).unwrap(), [1]);
        let after = twin.crash(&mut |_| 0);
        for old in [&twin, &clone] {
            put(old, 2).unwrap_err();
            keys(old, Family::Rows).unwrap_err();
            old.disk_bytes().unwrap_err();
        }
        put(&after, 3).unwrap();
    }

    #[test]
    fn everything_fails_behind_the_last_change_that_was_granted() {
        let twin = TwinFamilies::new();
        ingest(&twin, RECORDS, &[1]).unwrap();
        put(&twin, 1).unwrap();
        assert_eq!(twin.ops(), 2);
        twin.fail_after_ops(3);
        twin.flush().unwrap();
        keys(&twin, RECORDS).unwrap();
        ingest(&twin, RECORDS, &[2]).unwrap_err();
        keys(&twin, RECORDS).unwrap_err();
        twin.flush().unwrap_err();
        let after = twin.crash(&mut |_| 0);
        assert_eq!(keys(&after, RECORDS).unwrap(), [1]);
        assert_eq!(keys(&after, Family::Rows).unwrap(), [1]);
        ingest(&after, RECORDS, &[2]).unwrap();
    }

    #[test]
    fn a_full_disk_takes_no_run_and_no_flush() {
        let twin = TwinFamilies::new();
        ingest(&twin, RECORDS, &[1]).unwrap();
        twin.set_capacity(Some(twin.disk_bytes().unwrap()));
        ingest(&twin, RECORDS, &[2]).unwrap_err();
        put(&twin, 1).unwrap();
        twin.flush().unwrap_err();
        twin.drop_range(RECORDS, &[1], &[2]).unwrap();
        twin.flush().unwrap();
        let after = twin.crash(&mut |_| 0);
        assert_eq!(keys(&after, Family::Rows).unwrap(), [1]);
    }

    #[test]
    fn a_damaged_row_is_told_until_it_is_dropped() {
        let twin = TwinFamilies::new();
        ingest(&twin, RECORDS, &[1, 2, 3]).unwrap();
        twin.damage(RECORDS, &[2]);
        let twin = twin.crash(&mut |_| 0);
        let told = |result: Result<(), Error>| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        };
        told(keys(&twin, RECORDS).map(drop));
        told(twin.get(RECORDS, &[2]).map(drop));
        told(twin.last_at_or_before(RECORDS, &[1], &[2]).map(drop));
        assert!(twin.get(RECORDS, &[3]).unwrap().is_some());
        twin.drop_range(RECORDS, &[2], &[3]).unwrap();
        ingest(&twin, RECORDS, &[2]).unwrap();
        assert_eq!(keys(&twin, RECORDS).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let twin = TwinFamilies::new();
        put(&twin, 1).unwrap();
        let fork = twin.fork();
        put(&twin, 2).unwrap();
        assert_eq!(keys(&fork, Family::Rows).unwrap(), [1]);
        let fork = fork.crash(&mut |_| 0);
        assert_eq!(keys(&fork, Family::Rows).unwrap(), [1]);
        assert_eq!(keys(&twin, Family::Rows).unwrap(), [1, 2]);
    }
}
