//! Catching up in bulk: the records of another replica's runs become runs of this one.
//!
//! Order: runs, oldest first, each ingested and then durable by its row -> the snapshot, installed as one step with the batch
//! that carries it. A crash between two arrows leaves committed records that the next try need not fetch again, and an
//! uncommitted tail in the log that the snapshot, or the leader's entries, replace.
//!
//! **Invariant:** an imported record is committed, so it may reach beyond where this replica's own log begins, or ends: what
//! lies in a run is not sealed a second time.

use super::entry::SnapshotHeader;
use super::error::Error;
use super::ids::Offset;
use super::keys;
use super::rows::Run;
use super::shard::{LOCK, Shard};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use millrace_wire::batch::BatchHeader;

/// Consecutive entries of another replica's log, sealed or not, all of them committed.
#[derive(Clone, Debug)]
pub struct Import {
    pub base: Offset,
    /// The offset behind the last one; entries that log compaction removed leave gaps.
    pub next: Offset,
    /// Each with its base offset, ascending.
    pub entries: Vec<(Offset, Bytes)>,
}

impl Shard {
    /// From where on records must be imported before a snapshot with `header` is installed. `None` when all are here.
    pub fn import_from(
        &self,
        group: GroupId,
        header: &SnapshotHeader,
    ) -> Result<Option<Offset>, Error> {
        let group = self.group(group)?;
        let sealed_to = group.sealed.lock().expect(LOCK).sealed_to();
        let from = sealed_to.max(header.log_start);
        Ok((from < header.next_offset).then_some(from))
    }

    /// Makes one run of `import`, durable on return. What is here already is left out; false when that is all of it.
    ///
    /// Not to be called while the same group is sealed or compacted: one caller does the upkeep of a group.
    pub fn import_run(&self, id: GroupId, import: Import) -> Result<bool, Error> {
        let group = self.group(id)?;
        let _placing = self.placing.read().expect(LOCK);
        let sealed_to = group.sealed.lock().expect(LOCK).sealed_to();
        if import.next <= sealed_to {
            return Ok(false);
        }
        self.sweep(&group)?;
        let base = import.base.max(sealed_to);
        let mut rows = Vec::with_capacity(import.entries.len());
        let (mut bytes, mut max_timestamp_ms, mut at) = (0, -1, import.base);
        for (entry, data) in import.entries {
            let malformed = |reason: &str| Error::Group {
                group: id,
                reason: format!("entry at offset {entry}, to be imported, {reason}"),
            };
            if entry < at || entry >= import.next {
                return Err(malformed("is out of order"));
            }
            let mut rest = &data[..];
            while !rest.is_empty() {
                let header = BatchHeader::decode(rest).map_err(|_| malformed("is no batch"))?;
                max_timestamp_ms = max_timestamp_ms.max(header.max_timestamp_ms);
                at = Offset(header.next_offset());
                rest = &rest[header.size_bytes..];
            }
            if at > import.next {
                return Err(malformed("reaches beyond its run"));
            }
            if entry >= base {
                bytes += data.len() as u64;
                rows.push((keys::record(id, 0, entry), data));
            } else if at > base {
                return Err(malformed("is here in part"));
            }
        }
        let avoided = group.sealed.lock().expect(LOCK).avoided.clone();
        let run = Run {
            generation: 0,
            base,
            next: import.next,
            bytes,
            max_timestamp_ms,
            packed: self.place(id, bytes, &avoided)?,
        };
        if !rows.is_empty() {
            group.sealed.lock().expect(LOCK).swept = false;
            self.families
                .ingest(keys::family(id, &run), &mut rows.into_iter())?;
        }
        let _rows = self.rows.lock().expect(LOCK);
        let mut sealed = group.sealed.lock().expect(LOCK);
        if sealed.deleted {
            drop(sealed);
            super::shard::finish_deletion(&*self.families, id)?;
            return Err(Error::UnknownGroup(id));
        }
        if sealed.held {
            // Swept before the next one is made.
            return Err(Error::Moving(id));
        }
        self.families
            .put(&[(keys::run(id, &run), Some(run.encode()))])?;
        self.families.flush()?;
        sealed.runs.push(run);
        sealed.swept = true;
        Ok(true)
    }
}
