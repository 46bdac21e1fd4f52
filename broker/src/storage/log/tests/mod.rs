#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod limits;
mod round_trip;

use super::*;
use crate::storage::disk::{Disk, TwinDisk, Unsynced};
use bytes::Bytes;
use raft::eraftpb::EntryType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::convert::Infallible;
use std::sync::Arc;

/// Small, so that a test rolls often. The same salt seed throughout: correctness must not hang on its randomness.
const SEGMENT_BYTES: u64 = 16 * 1024;
const SALT_SEED: u64 = 0;

type Replayed = Vec<(Located, Record)>;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        spare_segments: 2,
    }
}

fn open_with(disk: Arc<dyn Disk>, options: LogOptions) -> Result<(SharedLog, Replayed), Error> {
    let mut replayed = Vec::new();
    let log = SharedLog::open(disk, options, SALT_SEED, &mut |located, record| {
        replayed.push((located, record));
        Ok::<(), Infallible>(())
    })?;
    Ok((log, replayed))
}

fn open(disk: &TwinDisk) -> Result<(SharedLog, Replayed), Error> {
    open_with(Arc::new(disk.clone()), options())
}

fn records(replayed: &Replayed) -> Vec<Record> {
    replayed.iter().map(|(_, record)| record.clone()).collect()
}

/// A small record between entries.
fn vote(group: GroupId) -> Record {
    let state = HardState {
        term: 3,
        vote: 1,
        commit: 2,
        ..HardState::default()
    };
    Record::HardState { group, state }
}

/// An entry told from all others by its index.
fn entry(index: u64, data_len: usize) -> Record {
    let entry = Entry {
        index,
        term: 7,
        context: Bytes::from_static(b"context"),
        data: Bytes::from(vec![index as u8; data_len]),
        ..Entry::default()
    };
    let group = GroupId(1);
    Record::Entry { group, entry }
}

/// Any record; `serial` tells it from all others.
fn random_record(rng: &mut SmallRng, serial: u64) -> Record {
    let group = GroupId(rng.random_range(1..5));
    match rng.random_range(0..10) {
        0..3 => {
            let state = HardState {
                term: rng.random(),
                vote: rng.random(),
                commit: serial,
                ..HardState::default()
            };
            Record::HardState { group, state }
        }
        _ => {
            let entry = Entry {
                entry_type: match rng.random_range(0..5) {
                    0 => EntryType::EntryConfChange,
                    1 => EntryType::EntryConfChangeV2,
                    _ => EntryType::EntryNormal,
                },
                index: serial,
                term: rng.random(),
                context: random_bytes(rng, 40),
                data: random_bytes(rng, 3000),
                ..Entry::default()
            };
            Record::Entry { group, entry }
        }
    }
}

fn random_bytes(rng: &mut SmallRng, below: usize) -> Bytes {
    let mut bytes = vec![0; rng.random_range(0..below)];
    rng.fill(&mut bytes[..]);
    Bytes::from(bytes)
}

fn names(disk: &TwinDisk) -> Vec<String> {
    disk.list().unwrap()
}
