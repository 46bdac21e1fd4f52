//! Log compaction's place in storage: reading sealed runs, and putting rewritten ones in their stead.
//!
//! What to keep is decided above; here a new generation of runs is ingested beside the old one, and one durable change flips
//! from old to new. Readers of the old one finish on it: its files live until the last iterator on them ends.

use super::error::Error;
use super::families::RowChange;
use super::ids::Offset;
use super::keys;
use super::rows::{GroupRow, Run};
use super::shard::{LOCK, Shard};
use crate::raft::ports::GroupId;
use bytes::Bytes;

impl Shard {
    /// A group's sealed runs, oldest first, and up to where they are compacted.
    pub fn sealed_runs(&self, group: GroupId) -> Result<(Vec<Run>, Offset), Error> {
        let group = self.group(group)?;
        let sealed = group.sealed.lock().expect(LOCK);
        Ok((sealed.runs.clone(), sealed.row.cleaned_to))
    }

    /// Visits the entries of one run, in order, until `visit` says false.
    pub fn scan_run(
        &self,
        group: GroupId,
        run: &Run,
        visit: &mut dyn FnMut(Offset, &[u8]) -> bool,
    ) -> Result<(), Error> {
        let (from, to) = keys::records_of(group, run);
        self.families.scan(
            keys::family(group, run),
            &from,
            &to,
            1 << 20,
            &mut |key, value| keys::parse_record(key).is_none_or(|(_, _, base)| visit(base, value)),
        )?;
        Ok(())
    }

    /// Ingests `entries`, the compacted contents of `old`, and flips to them. Offsets stay; the new runs cover the same range.
    ///
    /// Returns false when the group changed meanwhile (retention dropped a run, or the group is gone, or about to go); nothing is changed then.
    pub fn replace_runs(
        &self,
        id: GroupId,
        old: &[Run],
        entries: Vec<(Offset, Bytes, i64)>,
        cleaned_to: Offset,
    ) -> Result<bool, Error> {
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Ok(false);
        };
        let group = self.group(id)?;
        let (generation, runs) = {
            let sealed = group.sealed.lock().expect(LOCK);
            (sealed.row.generation + 1, sealed.runs.clone())
        };
        let _placing = self.placing.read().expect(LOCK);
        let avoided = self.drop_unnamed(id, &runs)?;
        let mut added = Vec::new();
        let mut chunks = split(entries, self.options.run_bytes)
            .into_iter()
            .peekable();
        let mut base = first.base;
        while let Some(chunk) = chunks.next() {
            // Runs meet without a gap although records are missing, so that every offset lies in a run.
            let next = chunks
                .peek()
                .and_then(|chunk| chunk.first())
                .map_or(last.next, |(base, ..)| *base);
            let bytes = chunk.iter().map(|(_, data, _)| data.len() as u64).sum();
            let max_timestamp_ms = chunk
                .iter()
                .map(|(.., timestamp)| *timestamp)
                .max()
                .unwrap_or(-1);
            let packed = self.place(id, bytes, &avoided)?;
            let run = Run {
                generation,
                base,
                next,
                bytes,
                max_timestamp_ms,
                packed,
            };
            let rows = chunk
                .into_iter()
                .map(|(base, data, _)| (keys::record(id, generation, base), data));
            let written = self
                .families
                .ingest(keys::family(id, &run), &mut rows.into_iter())?;
            self.counters.ingested(written);
            added.push(run);
            base = next;
        }
        if added.is_empty() {
            added.push(Run {
                generation,
                base,
                next: last.next,
                bytes: 0,
                max_timestamp_ms: -1,
                packed: None,
            });
        }
        let _rows = self.rows.lock().expect(LOCK);
        let mut sealed = group.sealed.lock().expect(LOCK);
        if sealed.deleted || sealed.held || !old.iter().all(|run| sealed.runs.contains(run)) {
            let (deleted, runs) = (sealed.deleted, sealed.runs.clone());
            drop(sealed);
            self.drop_unnamed(id, if deleted { &[] } else { &runs })?;
            return Ok(false);
        }
        let row = GroupRow {
            generation,
            cleaned_to,
            ..sealed.row.clone()
        };
        let mut changes: Vec<RowChange> = vec![(keys::group(id), Some(row.encode()))];
        changes.extend(old.iter().map(|run| (keys::run(id, run), None)));
        changes.extend(
            added
                .iter()
                .map(|run| (keys::run(id, run), Some(run.encode()))),
        );
        self.families.put(&changes)?;
        self.families.flush()?;
        sealed.row = row;
        sealed.runs.retain(|run| !old.contains(run));
        sealed.runs.extend(added);
        sealed.runs.sort_by_key(|run| run.base);
        drop(sealed);
        for run in old {
            let (from, to) = keys::records_of(id, run);
            self.families
                .drop_range(keys::family(id, run), &from, &to)?;
        }
        Ok(true)
    }
}

fn split(entries: Vec<(Offset, Bytes, i64)>, run_bytes: u64) -> Vec<Vec<(Offset, Bytes, i64)>> {
    let mut chunks: Vec<Vec<(Offset, Bytes, i64)>> = Vec::new();
    let mut size = u64::MAX;
    for entry in entries {
        let bytes = entry.1.len() as u64;
        if size.saturating_add(bytes) > run_bytes {
            chunks.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(entry);
        }
    }
    chunks
}
