//! A shard with one writer and no raft: entries go in as a leader of term 1 would write them.

use crate::raft::ports::{GroupId, GroupLog as _, Write};
use crate::storage::Error;
use crate::storage::disk::{TwinDisk, Unsynced};
use crate::storage::entry::{EntryHeader, EntryKind, SnapshotHeader};
use crate::storage::families::Families as _;
use crate::storage::families::twin::TwinFamilies;
use crate::storage::ids::Offset;
use crate::storage::keys;
use crate::storage::log::LogOptions;
use crate::storage::read::Range;
use crate::storage::rows::Run;
use crate::storage::seal::Checkpoint;
use crate::storage::shard::{Shard, ShardOptions};
use bytes::Bytes;
use millrace_wire::batch::BatchHeader;
use millrace_wire::builder::{BatchBuilder, BatchSettings};
use raft::eraftpb::{Entry, HardState};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Rig {
    pub disk: TwinDisk,
    pub families: TwinFamilies,
    pub shard: Arc<Shard>,
    pub log_start: BTreeMap<GroupId, Offset>,
    openings: u64,
}

pub(super) fn options() -> ShardOptions {
    ShardOptions {
        log: LogOptions {
            segment_bytes: 16 << 10,
            spare_segments: 1,
        },
        log_budget_bytes: 48 << 10,
        log_limit_bytes: 96 << 10,
        cache_bytes: 8 << 10,
        run_bytes: 16 << 10,
        packed_below_bytes: 4 << 10,
        min_free_bytes: 0,
    }
}

pub(super) fn group(id: u64) -> GroupId {
    GroupId(id)
}

/// A batch of `records` records whose value says its offset, at timestamp = offset.
pub(super) fn batch(base: Offset, records: i64, bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings {
        base_offset: base.0,
        ..BatchSettings::default()
    });
    for i in 0..records {
        let mut value = format!("{}:", base.0 + i).into_bytes();
        value.resize(value.len().max(bytes), b'.');
        builder.push(base.0 + i, Some(b"key"), Some(&value));
    }
    builder.build().expect("the batch is valid")
}

impl Rig {
    pub fn new() -> Rig {
        Rig::open(TwinDisk::new(), TwinFamilies::new(), 1, BTreeMap::new())
            .expect("a new directory opens")
    }

    fn open(
        disk: TwinDisk,
        families: TwinFamilies,
        openings: u64,
        log_start: BTreeMap<GroupId, Offset>,
    ) -> Result<Rig, Error> {
        let shard = Shard::open(
            Arc::new(disk.clone()),
            Arc::new(families.clone()),
            options(),
            openings,
        )?;
        Ok(Rig {
            disk,
            families,
            shard: Arc::new(shard),
            log_start,
            openings,
        })
    }

    pub fn create(&self, ids: &[u64]) {
        let new: Vec<_> = ids.iter().map(|id| (group(*id), vec![1])).collect();
        self.shard.create(&new).expect("groups can be created");
    }

    /// Appends one entry and syncs; returns its base offset.
    pub fn append(&self, id: u64, records: i64, bytes: usize) -> Result<Offset, Error> {
        self.append_unsynced(id, records, bytes)
            .and_then(|base| self.shard.sync().map(|()| base))
    }

    pub fn append_unsynced(&self, id: u64, records: i64, bytes: usize) -> Result<Offset, Error> {
        let mut log = self.shard.start(group(id))?.log;
        let base = log.log_end();
        let header = EntryHeader {
            kind: EntryKind::Batches,
            base_offset: base,
            offsets: records as u32,
            max_timestamp_ms: base.0 + records - 1,
        };
        let index = log.last_index() + 1;
        let data = batch(base, records, bytes);
        let entry = Entry {
            index,
            term: 1,
            context: header.encode(),
            data,
            ..Entry::default()
        };
        let write = Write {
            entries: vec![entry],
            ..Write::default()
        };
        log.stage(&write);
        let batch = [(group(id), write)];
        self.shard.append(&batch)?;
        self.shard.remember(&batch);
        // A single voter commits what it has; the hard state follows in memory.
        log.note_commit(&HardState {
            term: 1,
            vote: 1,
            commit: index,
            ..HardState::default()
        });
        Ok(base)
    }

    pub fn checkpoint(&self, id: u64) -> Checkpoint {
        let log = self.shard.start(group(id)).expect("the group is there").log;
        let applied = log.last_index();
        let log_start = self.log_start.get(&group(id)).copied().unwrap_or_default();
        let header = SnapshotHeader {
            next_offset: log.log_end(),
            log_start,
        };
        let machine = Bytes::copy_from_slice(&header.encode());
        Checkpoint {
            group: group(id),
            applied,
            conf_state: log.conf_state(),
            machine,
        }
    }

    pub fn seal(&self, ids: &[u64]) -> Result<(), Error> {
        let checkpoints: Vec<_> = ids.iter().map(|id| self.checkpoint(*id)).collect();
        let mut report = self.shard.seal(&checkpoints)?;
        if let Some((_, error)) = report.damaged.pop() {
            return Err(error);
        }
        self.shard.release()
    }

    /// The power goes and comes back; sectors and rows that were not made durable survive by chance.
    pub fn crash(self, seed: u64) -> Result<Rig, Error> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut pick = |below: usize| rng.random_range(0..below);
        let disk = self.disk.crash(Unsynced::Torn(&mut pick));
        let families = self.families.crash(&mut pick);
        Rig::open(disk, families, self.openings + 1, self.log_start)
    }

    pub fn log_end(&self, id: u64) -> Offset {
        self.shard
            .start(group(id))
            .expect("the group is there")
            .log
            .log_end()
    }

    pub fn read(
        &self,
        id: u64,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Result<Vec<BatchHeader>, Error> {
        let read = self.shard.read(
            group(id),
            Range {
                from,
                upto,
                max_bytes,
            },
        )?;
        let mut headers = Vec::new();
        for chunk in &read.chunks {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let header = BatchHeader::decode(rest).expect("only whole batches come out");
                assert_eq!(
                    &rest[..header.size_bytes],
                    &batch(
                        Offset(header.base_offset),
                        i64::from(header.record_count),
                        value_bytes(&header)
                    )[..],
                    "the bytes that come out are those that went in"
                );
                rest = &rest[header.size_bytes..];
                headers.push(header);
            }
        }
        Ok(headers)
    }

    /// No crash has left records in the families that nobody will ever drop.
    pub fn check_every_row_is_named(&self, id: u64) {
        let (runs, _) = self.shard.sealed_runs(group(id)).expect("runs");
        let from = keys::record(group(id), 0, Offset(0));
        let to = keys::record(group(id + 1), 0, Offset(0));
        for family in keys::families(group(id)) {
            let check = &mut |key: &[u8], _: &[u8]| {
                let (_, generation, base) = keys::parse_record(key).expect("a record's key");
                let names =
                    |run: &Run| run.generation == generation && run.base <= base && base < run.next;
                assert!(
                    runs.iter().any(names),
                    "generation {generation}, offset {base} is in no run of {runs:?}"
                );
                true
            };
            self.families
                .scan(family, &from, &to, 0, check)
                .expect("scan");
        }
    }

    /// Reads everything from `from`, in small steps, and checks that offsets are dense.
    pub fn check_dense(&self, id: u64, from: Offset, step_bytes: u64) {
        let end = self.log_end(id);
        let mut at = from;
        while at < end {
            let batches = self
                .read(id, at, end, step_bytes)
                .expect("every offset can be read");
            assert!(
                !batches.is_empty(),
                "group {id}: nothing at {at}, the log ends at {end}"
            );
            for batch in batches {
                let runs = || self.shard.sealed_runs(group(id)).expect("runs").0;
                let holds = batch.base_offset <= at.0 && batch.last_offset() >= at.0;
                assert!(
                    holds,
                    "group {id}: {batch:?} at {at}, step {step_bytes}, runs {:?}",
                    runs()
                );
                at = Offset(batch.next_offset());
            }
        }
        assert_eq!(at, end);
    }
}

/// The padding that a batch of [`batch`] was made with: its record values are all of one size.
fn value_bytes(header: &BatchHeader) -> usize {
    for bytes in [0, 100, 1000, 3000, 5000] {
        let made = batch(
            Offset(header.base_offset),
            i64::from(header.record_count),
            bytes,
        );
        if made.len() == header.size_bytes {
            return bytes;
        }
    }
    panic!("a batch of a size that no test makes: {header:?}")
}
