//! A lean client: builds batches, keeps a bounded number in flight, takes the time.

use crate::report::{Latencies, cpu_seconds};
use bytes::{Bytes, BytesMut};
use millrace_broker::engine::{Engine, EngineOptions, Handle};
use millrace_broker::partition::{Mark, Role, TopicConfig};
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::stats::Stats;
use millrace_wire::{BatchBuilder, BatchSettings};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What producers keep unacknowledged: several groups' worth, and at least a few appends.
const WINDOW_BYTES: usize = 8 << 20;
const MIN_WINDOW: usize = 4;

/// Answers taken at once when the window is full.
const MAX_BUNCH: usize = 64;

#[derive(Clone, Copy)]
pub struct Shape {
    pub partitions: u64,
    pub batch_bytes: usize,
    pub budget_bytes: u64,
}

pub struct Bench {
    shape: Shape,
    dir: PathBuf,
    engine: Option<Engine>,
    handles: Vec<Handle>,
    batch: Bytes,
}

/// How long appends took, taken in bunches: to be woken for each would cost more than an append.
#[derive(Default)]
struct Answers {
    given: Mutex<Given>,
    enough: Condvar,
}

#[derive(Default)]
struct Given {
    took: Vec<Duration>,
    /// Who waits wants so many; 0 when nobody does.
    wanted: usize,
}

impl Answers {
    fn give(&self, took: Duration) {
        let mut given = self.given.lock().expect(LOCK);
        given.took.push(took);
        if given.took.len() == given.wanted {
            self.enough.notify_one();
        }
    }

    /// Waits for so many, and takes what there is then: how many.
    fn take(&self, wanted: usize, into: &mut Vec<Duration>) -> usize {
        let mut given = self.given.lock().expect(LOCK);
        given.wanted = wanted;
        while given.took.len() < wanted {
            given = self.enough.wait(given).expect(LOCK);
        }
        given.wanted = 0;
        let taken = given.took.len();
        into.append(&mut given.took);
        taken
    }
}

const LOCK: &str = "no holder of this lock panics";

pub struct Run {
    pub bytes: u64,
    pub seconds: f64,
    pub log_bytes: u64,
    pub family_bytes: u64,
    pub syncs: u64,
    /// Of the whole process, client included.
    pub cpu_seconds: f64,
    latencies: Latencies,
}

impl Run {
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }

    pub fn cpu_seconds_per_gb(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9)
    }

    pub fn group_bytes(&self) -> u64 {
        self.log_bytes / self.syncs.max(1)
    }

    pub fn percentile_ms(&self, p: f64) -> f64 {
        self.latencies.percentile_ms(p)
    }
}

fn options(dir: &Path, shape: Shape) -> EngineOptions {
    let mut options = EngineOptions::new(vec![dir.to_path_buf()]);
    options.shard.log_budget_bytes = shape.budget_bytes;
    options.shard.log_limit_bytes = shape.budget_bytes / 2 * 3;
    options
}

impl Bench {
    pub fn new(dir: &Path, shape: Shape) -> Bench {
        let dir = dir.join("engine");
        let _ = std::fs::remove_dir_all(&dir);
        let engine = Engine::open(&options(&dir, shape), &|_| TopicConfig::default())
            .expect("the engine opens");
        let new: Vec<_> = (1..=shape.partitions)
            .map(|id| (GroupId(id), TopicConfig::default()))
            .collect();
        let handles = engine.create(&new).expect("partitions can be made");
        let mut builder = BatchBuilder::new(BatchSettings::default());
        let value = vec![b'v'; shape.batch_bytes - 61 - 20];
        builder.push(now_ms(), None, Some(&value));
        let batch = builder.build().expect("a valid batch");
        let bench = Bench {
            shape,
            dir,
            engine: Some(engine),
            handles,
            batch,
        };
        bench.wait_for_leaders();
        bench
    }

    fn engine(&self) -> &Engine {
        self.engine
            .as_ref()
            .expect("it is closed only to be opened again")
    }

    fn wait_for_leaders(&self) {
        for handle in &self.handles {
            while handle.positions().role != Role::Leader {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn stats(&self) -> Stats {
        self.engine().stats()[0]
    }

    pub fn run(&self, time: Duration, rate: Option<u32>) -> Run {
        let start = Instant::now();
        self.run_while(rate, |_| start.elapsed() < time)
    }

    pub fn run_until(&self, rate: u32, done: impl Fn() -> bool) -> Run {
        self.run_while(Some(rate), |_| !done())
    }

    pub fn run_bytes(&self, bytes: u64) -> Run {
        self.run_while(None, |sent| sent < bytes)
    }

    /// One append to each partition.
    pub fn append_once(&self) {
        let bytes = self.shape.partitions * self.batch.len() as u64;
        self.run_bytes(bytes);
    }

    fn run_while(&self, rate: Option<u32>, mut go_on: impl FnMut(u64) -> bool) -> Run {
        let (before, cpu) = (self.stats(), cpu_seconds());
        let window = (WINDOW_BYTES / self.batch.len()).max(MIN_WINDOW);
        let answers = Arc::new(Answers::default());
        let mut latencies = Latencies::default();
        let (mut sent, mut in_flight, mut n) = (0, 0usize, 0u32);
        let start = Instant::now();
        while go_on(sent) {
            let mut due = Instant::now();
            match rate {
                Some(rate) => {
                    due = start + Duration::from_secs_f64(f64::from(n) / f64::from(rate));
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                None => {
                    if in_flight >= window {
                        let bunch = (window / 8).clamp(1, MAX_BUNCH);
                        in_flight -= answers.take(bunch, &mut latencies.0);
                    }
                }
            }
            let handle = &self.handles[n as usize % self.handles.len()];
            // As a socket would: fresh bytes for each request.
            let bytes = BytesMut::from(&self.batch[..]).freeze();
            let answers = answers.clone();
            handle.append_then(
                bytes,
                now_ms(),
                Ack::Committed { voters: 1 },
                move |result| {
                    result.expect("the append is acknowledged");
                    answers.give(due.elapsed());
                },
            );
            sent += self.batch.len() as u64;
            in_flight += 1;
            n += 1;
        }
        while latencies.0.len() < n as usize {
            answers.take(n as usize - latencies.0.len(), &mut latencies.0);
        }
        let after = self.stats();
        Run {
            bytes: sent,
            seconds: start.elapsed().as_secs_f64(),
            log_bytes: after.log_bytes - before.log_bytes,
            family_bytes: after.family_bytes - before.family_bytes,
            syncs: after.log_syncs - before.log_syncs,
            cpu_seconds: cpu_seconds() - cpu,
            latencies,
        }
    }

    /// `retention.bytes` of each partition from now on.
    pub fn keep_bytes(&self, bytes: u64) {
        for handle in &self.handles {
            let config = TopicConfig {
                retention_bytes: Some(bytes),
                ..(*handle.config()).clone()
            };
            self.engine().set_config(handle.group(), config);
        }
    }

    pub fn retain(&self) {
        self.engine().run_retention();
    }

    pub fn seal_all(&self) {
        self.engine().seal_all();
    }

    pub fn disk_bytes(&self) -> (u64, u64) {
        self.engine().disk_bytes().expect("sizes can be read")
    }

    /// Bytes a second of reading everything, partition by partition.
    pub fn read_all(&self) -> f64 {
        let start = Instant::now();
        let mut bytes = 0;
        for handle in &self.handles {
            let mut at = handle.positions().log_start;
            let end = handle.positions().high_watermark;
            while at < end {
                let read = handle.read(at, Mark::HighWatermark, 1 << 20).expect("read");
                bytes += read.bytes;
                let batches = read.bytes / self.batch.len() as u64;
                // Each batch holds one record.
                at = at + batches as i64;
            }
        }
        bytes as f64 / start.elapsed().as_secs_f64()
    }

    /// Closes and opens again; seconds until every partition leads.
    pub fn reopen(&mut self) -> f64 {
        self.handles.clear();
        self.engine = None;
        let start = Instant::now();
        let engine = Engine::open(&options(&self.dir, self.shape), &|_| TopicConfig::default())
            .expect("the engine opens");
        self.handles = engine.partitions();
        self.engine = Some(engine);
        self.wait_for_leaders();
        start.elapsed().as_secs_f64()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.handles.clear();
        self.engine = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
