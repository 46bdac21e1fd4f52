//! The engines behind one trait.

use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::disk::OsDisk;
use millrace_broker::storage::log::{LogOptions, Record, SharedLog};
use raft::eraftpb::Entry;
use raft_engine::env::DefaultFileSystem;
use raft_engine::{Config, LogBatch, MessageExt, ReadableSize};
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

pub trait Engine {
    /// Durable on return.
    fn append(&mut self, batch: Vec<(u64, Entry)>);
}

/// The limit: no checksums, no index, no recovery.
pub struct PlainFile {
    file: File,
    end: u64,
    buffer: Vec<u8>,
}

impl PlainFile {
    pub fn growing(path: &Path) -> PlainFile {
        let file = File::create_new(path.join("plain")).expect("the file can be made");
        PlainFile {
            file,
            end: 0,
            buffer: Vec::new(),
        }
    }

    pub fn overwritten(path: &Path, bytes: u64) -> PlainFile {
        let mut plain = PlainFile::growing(path);
        let chunk = vec![1; 1 << 20];
        for _ in 0..=bytes >> 20 {
            plain
                .file
                .write_all(&chunk)
                .expect("the file can be filled");
        }
        plain.file.sync_all().expect("the file can be synced");
        plain
    }
}

impl Engine for PlainFile {
    fn append(&mut self, batch: Vec<(u64, Entry)>) {
        self.buffer.clear();
        for (_, entry) in &batch {
            self.buffer.extend_from_slice(&entry.data);
        }
        let written = self.file.write_all_at(&self.buffer, self.end);
        written.expect("the file can be written");
        self.end += self.buffer.len() as u64;
        self.file.sync_data().expect("the file can be synced");
    }
}

pub struct MillraceLog(SharedLog);

impl MillraceLog {
    pub fn fresh(path: &Path) -> MillraceLog {
        MillraceLog::open(path, 2)
    }

    /// With as many files, written before, as the run will need.
    pub fn recycled(path: &Path, bytes: u64) -> MillraceLog {
        let segments = (bytes * 11 / 10 / LogOptions::default().segment_bytes) as usize + 2;
        let mut log = MillraceLog::open(path, segments);
        let entry = Entry {
            data: vec![1; 1 << 20].into(),
            ..Entry::default()
        };
        while log.0.active_segment() <= segments as u64 {
            log.append(vec![(1, entry.clone())]);
        }
        let active = log.0.active_segment();
        log.0
            .release_below(active)
            .expect("segments can be released");
        log
    }

    fn open(path: &Path, spare_segments: usize) -> MillraceLog {
        let disk = Arc::new(OsDisk::open(path).expect("the directory can be opened"));
        let options = LogOptions {
            spare_segments,
            ..LogOptions::default()
        };
        let log = SharedLog::open(disk, options, 1, &mut |_, _| Ok::<(), Infallible>(()));
        MillraceLog(log.expect("the log can be opened"))
    }
}

impl Engine for MillraceLog {
    fn append(&mut self, batch: Vec<(u64, Entry)>) {
        let records: Vec<Record> = batch
            .into_iter()
            .map(|(group, entry)| Record::Entry {
                group: GroupId(group),
                entry,
            })
            .collect();
        self.0.append(&records).expect("the log can be written");
        self.0.sync().expect("the log can be synced");
    }
}

pub struct RaftEngine(raft_engine::Engine<DefaultFileSystem>);

struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

impl RaftEngine {
    pub fn fresh(path: &Path) -> RaftEngine {
        RaftEngine::open(path, Config::default())
    }

    /// With files that it filled with zeros when it was opened.
    pub fn prefilled(path: &Path, bytes: u64) -> RaftEngine {
        let config = Config {
            purge_threshold: ReadableSize(bytes.max(1 << 30) * 2),
            prefill_for_recycle: true,
            prefill_limit: Some(ReadableSize(bytes * 3 / 2)),
            ..Config::default()
        };
        RaftEngine::open(path, config)
    }

    fn open(path: &Path, config: Config) -> RaftEngine {
        let config = Config {
            dir: path.join("raft-engine").to_string_lossy().into_owned(),
            // Batches come compressed from their producers, or shall not be.
            batch_compression_threshold: ReadableSize(0),
            target_file_size: ReadableSize(LogOptions::default().segment_bytes),
            ..config
        };
        let engine = raft_engine::Engine::open(config);
        RaftEngine(engine.expect("the engine can be opened"))
    }
}

impl Engine for RaftEngine {
    fn append(&mut self, batch: Vec<(u64, Entry)>) {
        let mut log = LogBatch::default();
        for (group, entry) in batch {
            let added = log.add_entries::<Entries>(group, std::slice::from_ref(&entry));
            added.expect("the entry fits the batch");
        }
        let written = self.0.write(&mut log, true);
        written.expect("the engine can be written");
    }
}
