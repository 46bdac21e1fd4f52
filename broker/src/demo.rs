//! `millrace demo`: the engine for newcomers. Many partitions are written to at once, everything is read back and compared, and
//! once more after the directory was closed and opened again.

use bytes::Bytes;
use millrace_broker::engine::{AppendError, Engine, EngineOptions, Error, Handle, ReadError};
use millrace_broker::partition::{Appended, Mark, Role, TopicConfig};
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::log::LogOptions;
use millrace_wire::batch::split;
use millrace_wire::{BatchBuilder, BatchHeader, BatchSettings};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Small enough that sealing shows after a second or two.
const LOG_BUDGET_BYTES: u64 = 32 << 20;

/// Batches of one partition without an answer, and bytes of all of them together: what is beyond waits its turn.
const IN_FLIGHT_PER_PARTITION: usize = 4;
const IN_FLIGHT_BYTES: usize = 32 << 20;

const RECORD_BYTES: usize = 1024;

const READ_BYTES: u64 = 1 << 20;

/// How long a partition may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Options {
    /// Where to write; new or empty, and kept. By default a temporary folder, which is removed at the end
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many partitions
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    partitions: u64,
    /// The size of each record batch, about
    #[arg(long, default_value_t = 16384, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    batch_bytes: u32,
    /// How long to write
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("cannot use {path}: {reason}")]
    Directory { path: String, reason: String },
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("append to partition {partition}: {error}")]
    Append {
        partition: GroupId,
        error: AppendError,
    },
    #[error("read partition {partition} at offset {at}: {error}")]
    Read {
        partition: GroupId,
        at: Offset,
        error: ReadError,
    },
    #[error("partition {partition}: {reason}")]
    Wrong { partition: GroupId, reason: String },
}

/// A batch that was acknowledged: where it must be, and the checksum of its contents.
struct Written {
    base_offset: i64,
    crc: u32,
}

pub fn run(options: &Options) -> Result<(), Failed> {
    let stop = stop_on_signals().map_err(Failed::Signals)?;
    let directory = Directory::new(options.dir.as_deref())?;
    let path = directory.path();
    println!("Directory: {}", path.display());

    let (engine, handles) = start(path, options)?;
    println!(
        "Writing to {} partitions for {} s, batches of {} bytes; each is acknowledged when it is synced to disk (fdatasync).\n",
        handles.len(),
        options.seconds,
        options.batch_bytes
    );
    let mut load = Load::new(handles, options);
    load.run(&engine, Duration::from_secs(options.seconds), &stop)?;
    let Load {
        handles,
        written,
        acknowledged,
        log_peak_bytes,
        ..
    } = load;
    println!("\n{acknowledged} batches were acknowledged.");
    if interrupted(&stop) {
        drop((engine, handles));
        println!("Interrupted: the directory is closed, what was acknowledged is in it.");
        return Ok(());
    }
    if !read_back(&handles, &written, &stop)? {
        return Ok(());
    }
    let sealed = engine.disk_bytes()?.1;

    let closing = Instant::now();
    drop((engine, handles));
    println!("Closed in {:.0?}.", closing.elapsed());
    let opening = Instant::now();
    let engine = Engine::open(&engine_options(path), &|_| TopicConfig::default())?;
    let handles = engine.partitions();
    wait_for(&handles, &written)?;
    println!(
        "Opened again in {:.0?}: every partition leads and has its last record.",
        opening.elapsed()
    );
    if !read_back(&handles, &written, &stop)? {
        return Ok(());
    }
    drop((engine, handles));
    conclude(acknowledged, written.len(), sealed, log_peak_bytes);
    if let Directory::Given(path) = directory {
        println!("The directory is kept: {}", path.display());
    }
    Ok(())
}

fn conclude(acknowledged: u64, partitions: usize, sealed: u64, log_peak_bytes: u64) {
    println!(
        "
What this showed: {partitions} partitions, each a raft group, shared one log. {acknowledged} batches were acknowledged, none before
it was synced. While they came in, {} MB moved from the log into RocksDB column families: the log held at most
{} MB. Every batch was found at the offset it was promised, without a gap and with the checksum it was sent with, before and
after the directory was closed and opened again.",
        sealed >> 20,
        log_peak_bytes >> 20
    );
}

/// Where the engine's files go.
enum Directory {
    Given(PathBuf),
    /// Removed when dropped.
    Temporary(tempfile::TempDir),
}

impl Directory {
    fn new(given: Option<&Path>) -> Result<Directory, Failed> {
        let Some(path) = given else {
            let made = tempfile::Builder::new().prefix("millrace-demo-").tempdir();
            return made
                .map(Directory::Temporary)
                .map_err(|error| unusable(&std::env::temp_dir(), error));
        };
        std::fs::create_dir_all(path).map_err(|error| unusable(path, error))?;
        let mut entries = std::fs::read_dir(path).map_err(|error| unusable(path, error))?;
        match entries.next() {
            None => Ok(Directory::Given(path.to_owned())),
            Some(_) => Err(unusable(
                path,
                "it is not empty, and the demonstration begins with an empty one",
            )),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Directory::Given(path) => path,
            Directory::Temporary(made) => made.path(),
        }
    }
}

fn unusable(path: &Path, reason: impl Display) -> Failed {
    Failed::Directory {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// Set by SIGINT and SIGTERM; a second one ends the process at once.
fn stop_on_signals() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

fn interrupted(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

fn engine_options(path: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(vec![path.to_owned()]);
    options.shard.log = LogOptions {
        segment_bytes: 8 << 20,
        spare_segments: 2,
    };
    options.shard.log_budget_bytes = LOG_BUDGET_BYTES;
    options.shard.log_limit_bytes = 2 * LOG_BUDGET_BYTES;
    options.shard.min_free_bytes = 256 << 20;
    options
}

fn start(path: &Path, options: &Options) -> Result<(Engine, Vec<Handle>), Failed> {
    let opening = Instant::now();
    let engine = Engine::open(&engine_options(path), &|_| TopicConfig::default())?;
    println!("Opened in {:.0?}.", opening.elapsed());
    let creating = Instant::now();
    let new: Vec<_> = (1..=options.partitions)
        .map(|id| (GroupId(id), TopicConfig::default()))
        .collect();
    let handles = engine.create(&new)?;
    wait_for(&handles, &[])?;
    println!(
        "Created {} partitions in {:.0?}.",
        handles.len(),
        creating.elapsed()
    );
    Ok((engine, handles))
}

/// Until each leads and has all that was written to it.
fn wait_for(handles: &[Handle], written: &[Vec<Written>]) -> Result<(), Failed> {
    let deadline = Instant::now() + PATIENCE;
    for (at, handle) in handles.iter().enumerate() {
        let last = written.get(at).and_then(|batches| batches.last());
        let ready = || {
            let positions = handle.positions();
            let has_all = last.is_none_or(|last| positions.high_watermark.0 > last.base_offset);
            positions.role == Role::Leader && has_all
        };
        while !ready() {
            if Instant::now() > deadline {
                let reason = format!("not ready after {PATIENCE:?}: {:?}", handle.positions());
                let partition = handle.group();
                return Err(Failed::Wrong { partition, reason });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// What came back from one append.
struct Answer {
    partition: usize,
    crc: u32,
    bytes: usize,
    latency: Duration,
    result: Result<Appended, AppendError>,
}

/// Keeps a bounded number of appends in flight, and counts.
struct Load {
    handles: Vec<Handle>,
    written: Vec<Vec<Written>>,
    acknowledged: u64,
    log_peak_bytes: u64,
    batch_bytes: usize,
    window: usize,
    in_flight: usize,
    sent: u64,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl Load {
    fn new(handles: Vec<Handle>, options: &Options) -> Load {
        let (sender, answers) = channel();
        let batch_bytes = options.batch_bytes as usize;
        let window = (handles.len() * IN_FLIGHT_PER_PARTITION).min(IN_FLIGHT_BYTES / batch_bytes);
        Load {
            written: handles.iter().map(|_| Vec::new()).collect(),
            handles,
            acknowledged: 0,
            log_peak_bytes: 0,
            batch_bytes,
            window: window.max(1),
            in_flight: 0,
            sent: 0,
            sender,
            answers,
        }
    }

    fn run(&mut self, engine: &Engine, time: Duration, stop: &AtomicBool) -> Result<(), Failed> {
        let start = Instant::now();
        let mut second = Second::new();
        let mut seconds = 0;
        while start.elapsed() < time && !interrupted(stop) {
            while self.in_flight < self.window {
                self.send();
            }
            self.hear(&mut second)?;
            if second.start.elapsed() >= Duration::from_secs(1) {
                seconds += 1;
                let log_bytes = second.report(seconds, engine)?;
                self.log_peak_bytes = self.log_peak_bytes.max(log_bytes);
                second = Second::new();
            }
        }
        while self.in_flight > 0 {
            self.hear(&mut second)?;
        }
        Ok(())
    }

    fn send(&mut self) {
        let partition = (self.sent % self.handles.len() as u64) as usize;
        let batch = batch(self.sent, self.batch_bytes);
        let crc = BatchHeader::decode(&batch).map_or(0, |header| header.crc);
        let (sender, bytes, sent_at) = (self.sender.clone(), batch.len(), Instant::now());
        let ack = Ack::Committed { voters: 1 };
        self.handles[partition].append_then(batch, now_ms(), ack, move |result| {
            let _ = sender.send(Answer {
                partition,
                crc,
                bytes,
                latency: sent_at.elapsed(),
                result,
            });
        });
        self.sent += 1;
        self.in_flight += 1;
    }

    fn hear(&mut self, second: &mut Second) -> Result<(), Failed> {
        let answer = match self.answers.recv_timeout(Duration::from_millis(100)) {
            Ok(answer) => answer,
            // Nothing yet: the caller looks at the clock and at the signals.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        self.in_flight -= 1;
        let partition = self.handles[answer.partition].group();
        let appended = answer
            .result
            .map_err(|error| Failed::Append { partition, error })?;
        self.acknowledged += 1;
        self.written[answer.partition].push(Written {
            base_offset: appended.base_offset.0,
            crc: answer.crc,
        });
        second.bytes += answer.bytes;
        second.latencies.push(answer.latency);
        Ok(())
    }
}

struct Second {
    start: Instant,
    bytes: usize,
    latencies: Vec<Duration>,
}

impl Second {
    fn new() -> Second {
        Second {
            start: Instant::now(),
            bytes: 0,
            latencies: Vec::new(),
        }
    }

    /// Prints one line; returns the size of the log.
    fn report(&mut self, seconds: u64, engine: &Engine) -> Result<u64, Failed> {
        let elapsed = self.start.elapsed().as_secs_f64();
        self.latencies.sort_unstable();
        let at = |share: f64| {
            let at = (self.latencies.len() as f64 * share) as usize;
            self.latencies
                .get(at.min(self.latencies.len().saturating_sub(1)))
                .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let (log, families) = engine.disk_bytes()?;
        println!(
            "{seconds:>4} s  {:>7.1} MB/s  {:>7.0} appends/s  p50 {:>6.1} ms  p99 {:>6.1} ms  log {:>4} MB  families {:>5} MB",
            self.bytes as f64 / 1e6 / elapsed,
            self.latencies.len() as f64 / elapsed,
            at(0.5),
            at(0.99),
            log >> 20,
            families >> 20,
        );
        Ok(log)
    }
}

/// Batch number `n`: no two are alike.
fn batch(n: u64, batch_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    let now_ms = now_ms();
    let mut left = batch_bytes;
    while left > 0 {
        let record_bytes = left.min(RECORD_BYTES);
        let mut value = format!("batch {n}, {left} bytes to go ").into_bytes();
        value.resize(record_bytes, b'.');
        builder.push(now_ms, Some(&n.to_be_bytes()), Some(&value));
        left -= record_bytes;
    }
    builder.build().expect("its size was checked as an option")
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Reads all partitions from the first offset to the last and compares. False when interrupted.
fn read_back(
    handles: &[Handle],
    written: &[Vec<Written>],
    stop: &AtomicBool,
) -> Result<bool, Failed> {
    let start = Instant::now();
    let mut bytes = 0;
    for (handle, written) in handles.iter().zip(written) {
        if interrupted(stop) {
            println!("Interrupted while reading back.");
            return Ok(false);
        }
        bytes += read_partition(handle, written)?;
    }
    println!(
        "Read everything back at {:.0} MB/s: all offsets are dense, all checksums are those that were sent.",
        bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
    );
    Ok(true)
}

fn read_partition(handle: &Handle, written: &[Written]) -> Result<usize, Failed> {
    let partition = handle.group();
    let wrong = |reason: String| Failed::Wrong { partition, reason };
    let mut written = written.iter();
    let (mut at, mut bytes) = (Offset(0), 0);
    loop {
        let read = handle
            .read(at, Mark::HighWatermark, READ_BYTES)
            .map_err(|error| Failed::Read {
                partition,
                at,
                error,
            })?;
        if read.chunks.is_empty() {
            break;
        }
        for batch in read.chunks.into_iter().flat_map(split) {
            let batch = batch.map_err(|error| wrong(format!("at offset {at}: {error}")))?;
            batch
                .verify_crc()
                .map_err(|error| wrong(format!("at offset {at}: {error}")))?;
            let header = batch.header();
            let expected = written.next().map(|w| (w.base_offset, w.crc));
            let found = (header.base_offset, header.crc);
            if expected != Some(found) || header.base_offset != at.0 {
                return Err(wrong(format!(
                    "offset and checksum {found:?} at offset {at}, not {expected:?}"
                )));
            }
            at = Offset(header.next_offset());
            bytes += header.size_bytes;
        }
    }
    match written.next() {
        None => Ok(bytes),
        Some(missing) => Err(wrong(format!(
            "the log ends at {at}, offset {} was acknowledged",
            missing.base_offset
        ))),
    }
}
