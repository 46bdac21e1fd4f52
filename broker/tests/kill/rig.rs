//! A shard on a real directory with one writer and no raft: entries go in as a leader of term 1 would write them.

use super::ports::{Fuse, FusedDisk, FusedFamilies};
use bytes::Bytes;
use millrace_broker::raft::ports::{GroupId, GroupLog as _, Write};
use millrace_broker::storage::Error;
use millrace_broker::storage::disk::OsDisk;
use millrace_broker::storage::entry::{EntryHeader, EntryKind, SnapshotHeader};
use millrace_broker::storage::families::rocks::RocksFamilies;
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log::LogOptions;
use millrace_broker::storage::read::Range;
use millrace_broker::storage::seal::Checkpoint;
use millrace_broker::storage::shard::{Shard, ShardOptions};
use millrace_wire::batch::split;
use millrace_wire::{BatchBuilder, BatchSettings};
use raft::eraftpb::{Entry, HardState};
use std::path::Path;
use std::sync::Arc;

pub const RECORDS: i64 = 2;

pub struct Rig {
    pub shard: Shard,
}

fn options() -> ShardOptions {
    ShardOptions {
        log: LogOptions {
            segment_bytes: 16 << 10,
            spare_segments: 1,
        },
        log_budget_bytes: 48 << 10,
        log_limit_bytes: 96 << 10,
        cache_bytes: 4 << 10,
        run_bytes: 12 << 10,
        packed_below_bytes: 4 << 10,
        min_free_bytes: 0,
    }
}

/// Values say their offsets.
fn batch(base: Offset, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings {
        base_offset: base.0,
        ..BatchSettings::default()
    });
    for offset in base.0..base.0 + RECORDS {
        let mut value = format!("{offset}:").into_bytes();
        value.resize(value_bytes, b'a' + (offset % 26) as u8);
        builder.push(offset, Some(b"key"), Some(&value));
    }
    builder.build().expect("a valid batch")
}

impl Rig {
    pub fn open(dir: &Path, fuse: &Fuse, salt: u64) -> Result<Rig, Error> {
        let disk = OsDisk::open(dir.join("log")).expect("a folder");
        let families = RocksFamilies::open(dir.join("families"))?;
        let shard = Shard::open(
            Arc::new(FusedDisk(disk, fuse.clone())),
            Arc::new(FusedFamilies(families, fuse.clone())),
            options(),
            salt,
        )?;
        Ok(Rig { shard })
    }

    pub fn create(&self, id: u64) -> Result<(), Error> {
        self.shard.create(&[(GroupId(id), vec![1])])
    }

    /// Appends one entry to each of these groups in one batch, each with values of so many bytes; durable on return.
    pub fn append(&self, groups: &[(u64, usize)]) -> Result<Vec<(u64, Offset)>, Error> {
        let mut writes = Vec::new();
        let mut made = Vec::new();
        for (id, value_bytes) in groups {
            let mut log = self.shard.start(GroupId(*id))?.log;
            let base = log.log_end();
            let header = EntryHeader {
                kind: EntryKind::Batches,
                base_offset: base,
                offsets: RECORDS as u32,
                max_timestamp_ms: base.0 + RECORDS - 1,
            };
            let entry = Entry {
                index: log.last_index() + 1,
                term: 1,
                context: header.encode(),
                data: batch(base, *value_bytes),
                ..Entry::default()
            };
            made.push((*id, base, entry.index));
            let write = Write {
                entries: vec![entry],
                ..Write::default()
            };
            log.stage(&write);
            writes.push((GroupId(*id), write));
        }
        self.shard.append(&writes)?;
        self.shard.sync()?;
        self.shard.remember(&writes);
        for (id, _, commit) in &made {
            // A single voter commits what it has; the hard state follows in memory.
            self.shard.start(GroupId(*id))?.log.note_commit(&HardState {
                term: 1,
                vote: 1,
                commit: *commit,
                ..HardState::default()
            });
        }
        Ok(made.into_iter().map(|(id, base, _)| (id, base)).collect())
    }

    pub fn checkpoint(&self, id: u64, log_start: Offset) -> Result<Checkpoint, Error> {
        let log = self.shard.start(GroupId(id))?.log;
        let header = SnapshotHeader {
            next_offset: log.log_end(),
            log_start,
        };
        Ok(Checkpoint {
            group: GroupId(id),
            applied: log.last_index(),
            conf_state: log.conf_state(),
            machine: Bytes::copy_from_slice(&header.encode()),
        })
    }

    /// `groups` with their log starts.
    pub fn seal(&self, groups: &[(u64, Offset)]) -> Result<(), Error> {
        let checkpoints: Result<Vec<_>, Error> = groups
            .iter()
            .map(|(id, start)| self.checkpoint(*id, *start))
            .collect();
        let report = self.shard.seal(&checkpoints?)?;
        assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        self.shard.release()
    }

    /// Rewrites all sealed runs of a group, of which every other entry is kept.
    pub fn halve(&self, id: u64) -> Result<(), Error> {
        let (runs, _) = self.shard.sealed_runs(GroupId(id))?;
        let mut kept = Vec::new();
        for run in &runs {
            self.shard.scan_run(GroupId(id), run, &mut |base, data| {
                if is_kept(base) {
                    kept.push((base, Bytes::copy_from_slice(data), base.0));
                }
                true
            })?;
        }
        let upto = runs.last().expect("something is sealed").next;
        let replaced = self.shard.replace_runs(GroupId(id), &runs, kept, upto)?;
        assert!(replaced, "nobody else changes the runs");
        Ok(())
    }

    pub fn log_end(&self, id: u64) -> Result<Offset, Error> {
        Ok(self.shard.start(GroupId(id))?.log.log_end())
    }

    /// The offsets of all records from `from` on, each of which is what was written there.
    pub fn offsets(&self, id: u64, from: Offset) -> Result<Vec<i64>, Error> {
        let upto = self.log_end(id)?;
        let mut found = Vec::new();
        let mut at = from;
        while at < upto {
            let range = Range {
                from: at,
                upto,
                max_bytes: 3_000,
            };
            let read = self.shard.read(GroupId(id), range)?;
            if read.chunks.is_empty() {
                // Whether something is missing, the caller knows.
                break;
            }
            for batch in read.chunks.into_iter().flat_map(split) {
                let batch = batch.expect("whole batches come out");
                batch.verify_crc().expect("the bytes that went in come out");
                let base = batch.header().base_offset;
                for record in batch.records(1 << 20).expect("records") {
                    let record = record.expect("a whole record");
                    let offset = base + i64::from(record.offset_delta);
                    let value = record.value.unwrap_or_default();
                    assert!(
                        value.starts_with(format!("{offset}:").as_bytes()),
                        "group {id}: another record at {offset}"
                    );
                    found.push(offset);
                }
                at = Offset(batch.header().next_offset());
            }
        }
        Ok(found)
    }
}

/// By [`Rig::halve`].
pub fn is_kept(base: Offset) -> bool {
    base.0 % (2 * RECORDS) == 0
}
