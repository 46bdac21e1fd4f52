//! The way into the log, and the snapshot that takes a log's place.

use super::{Group, LOCK, Shard};
use crate::raft::ports::{GroupId, Write};
use crate::storage::entry::SnapshotHeader;
use crate::storage::error::Error;
use crate::storage::keys;
use crate::storage::log::{Position, RecordRef, SharedLog};
use crate::storage::rows::GroupRow;
use raft::eraftpb::{HardState, Snapshot};
use std::sync::Arc;
use std::time::Duration;

impl Shard {
    /// Writes a batch; it is durable after the next [`Shard::sync`]. Entries were staged before, in the same order.
    pub fn append(&self, batch: &[(GroupId, Write)]) -> Result<(), Error> {
        let mut log = self.log.lock().expect(LOCK);
        let groups = self.find(batch);
        let mut gathered: Vec<(&Group, &Write)> = Vec::with_capacity(batch.len());
        for ((id, write), group) in batch.iter().zip(&groups) {
            // Deleted while this was on its way; others are in the same batch.
            let Some(group) = group else {
                continue;
            };
            if let Some(snapshot) = &write.snapshot {
                // What the group wrote before belongs before the place where its log starts anew.
                self.append_writes(&mut log, &std::mem::take(&mut gathered))?;
                self.install(*id, snapshot, write.hard_state.as_ref(), log.position())?;
            }
            gathered.push((group, write));
        }
        self.append_writes(&mut log, &gathered)
    }

    /// The group of each write, if it is still here.
    fn find(&self, batch: &[(GroupId, Write)]) -> Vec<Option<Arc<Group>>> {
        let groups = self.groups.read().expect(LOCK);
        batch
            .iter()
            .map(|(id, _)| groups.get(id).cloned())
            .collect()
    }

    pub(in crate::storage) fn append_writes(
        &self,
        log: &mut SharedLog,
        writes: &[(&Group, &Write)],
    ) -> Result<(), Error> {
        let mut records = Vec::with_capacity(writes.len());
        for (group, write) in writes {
            let group = group.log.id();
            let state = write.hard_state.iter();
            records.extend(state.map(|state| RecordRef::HardState { group, state }));
            let entries = write.entries.iter();
            records.extend(entries.map(|entry| RecordRef::Entry { group, entry }));
        }
        let located = log.append_borrowed(&records)?;
        self.counters
            .appended(located.iter().map(|located| u64::from(located.len)).sum());
        // Still under the log's lock: whoever holds it sees every written entry with its place.
        let mut located = &located[..];
        for (group, write) in writes {
            let has_state = write.hard_state.is_some();
            let (own, rest) = located.split_at(usize::from(has_state) + write.entries.len());
            group.log.set_located(has_state, &write.entries, own);
            located = rest;
        }
        Ok(())
    }

    /// Everything appended before is durable on return.
    pub fn sync(&self) -> Result<(), Error> {
        self.log.lock().expect(LOCK).sync()?;
        self.counters.synced();
        Ok(())
    }

    /// How long [`Shard::sync`] took, by the clock of who called it.
    pub fn sync_took(&self, took: Duration) {
        self.counters.sync_took(took);
    }

    /// Counts a synced batch's entries into the cache of the tail.
    pub fn remember(&self, batch: &[(GroupId, Write)]) {
        let groups = self.find(batch);
        let written = batch.iter().zip(&groups);
        self.cache
            .admit(written.filter_map(|((_, write), group)| {
                Some((&group.as_ref()?.log, &write.entries[..]))
            }));
    }

    /// One durable step: the group is as the snapshot says, its log is empty behind it. Its runs are there already.
    fn install(
        &self,
        id: GroupId,
        snapshot: &Snapshot,
        hard_state: Option<&HardState>,
        position: Position,
    ) -> Result<(), Error> {
        let group = self.group(id)?;
        let _rows = self.rows.lock().expect(LOCK);
        let mut sealed = group.sealed.lock().expect(LOCK);
        let metadata = snapshot.get_metadata();
        let mut hard_state = hard_state
            .cloned()
            .unwrap_or_else(|| group.log.hard_state());
        // Entries behind the snapshot that are committed, too, are yet to be written.
        hard_state.commit = metadata.index;
        let SnapshotHeader { next_offset, .. } = SnapshotHeader::decode(&snapshot.data)
            .ok_or_else(|| Error::Group {
                group: id,
                reason: "snapshot has no header".to_owned(),
            })?;
        let row = GroupRow {
            hard_state,
            hard_state_from: position,
            truncated_index: metadata.index,
            truncated_term: metadata.term,
            next_offset,
            entries_from: position,
            conf_state: metadata.get_conf_state().clone(),
            applied: metadata.index,
            machine: snapshot.data.clone(),
            ..sealed.row.clone()
        };
        self.families
            .put(&[(keys::group(id), Some(row.encode()))])?;
        self.families.flush()?;
        sealed.row = row;
        Ok(())
    }
}
