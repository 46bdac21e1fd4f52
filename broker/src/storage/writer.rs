//! The log thread of a shard: takes everything that is queued, writes it in one go, syncs once, and tells whose it was.
//!
//! It never waits for more while the disk is idle; groups form while it is busy. When the log has outgrown its limit it waits
//! for the sealer, and with it every producer of this shard: that is the back-pressure of a disk that cannot keep up.

use super::error::Error;
use super::group_log::GroupLog;
use super::log;
use super::shard::Shard;
use crate::raft::ports::{GroupId, LogStore, Write};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one fdatasync covers at most, about. More gains nothing and makes the first one wait.
pub const GROUP_BYTES: usize = 1 << 20;

/// How long one batch waits at most for the sealer when the log is over its limit. Votes and heartbeats' answers wait in the
/// same queue, so it is well below an election time-out.
const MAX_STALL: Duration = Duration::from_millis(200);

/// How often a write that found the disk full is tried again.
const FULL_RETRY: Duration = Duration::from_millis(100);

/// How often the disk's free space is looked at while nothing is written.
const ROOM_INTERVAL: Duration = Duration::from_millis(500);

/// Told, in the order of submission, when a batch is durable or will never be.
pub type Completion = Arc<dyn Fn(u64, Result<(), Error>) + Send + Sync>;

/// A worker's way to the log thread.
#[derive(Clone)]
pub struct Submitter {
    shared: Arc<Shared>,
    completion: Completion,
}

/// Makes submitters, one for each worker.
#[derive(Clone)]
pub struct Submitters(Arc<Shared>);

impl Submitters {
    pub fn submitter(&self, completion: Completion) -> Submitter {
        Submitter {
            shared: self.0.clone(),
            completion,
        }
    }
}

struct Batch {
    token: u64,
    writes: Vec<(GroupId, Write)>,
    completion: Completion,
}

struct Shared {
    shard: Arc<Shard>,
    queue: Mutex<Queue>,
    changed: Condvar,
    has_failed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    /// Bounded by the workers: each has only so many batches in flight.
    batches: VecDeque<Batch>,
    stopping: bool,
}

/// The thread; ends, after all that is queued, when dropped.
pub struct LogThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// `failed` is called, once, when a write or a sync has failed.
    pub fn spawn(
        shard: Arc<Shard>,
        directory: &str,
        failed: impl FnOnce(&Error) + Send + 'static,
    ) -> std::io::Result<LogThread> {
        let shared = Arc::new(Shared {
            shard,
            queue: Mutex::default(),
            changed: Condvar::new(),
            has_failed: AtomicBool::new(false),
        });
        let inner = shared.clone();
        // One of several directories fills up or fails; each line says which.
        let span = tracing::error_span!("directory", path = directory);
        let thread = std::thread::Builder::new()
            .name(format!("log {directory}"))
            .spawn(move || span.in_scope(|| run(&inner, failed)))?;
        Ok(LogThread {
            shared,
            thread: Some(thread),
        })
    }

    /// What workers are given to reach this thread.
    pub fn submitters(&self) -> Submitters {
        Submitters(self.shared.clone())
    }

    /// Whether a write or a sync failed: from then on nothing is written any more.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::Relaxed)
    }

    /// The sealer made room in the log.
    pub fn wake(&self) {
        self.shared.changed.notify_all();
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.shared.queue.lock().expect(LOCK).stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl LogStore for Submitter {
    type Log = GroupLog;

    fn submit(&mut self, token: u64, writes: Vec<(GroupId, Write)>) {
        let batch = Batch {
            token,
            writes,
            completion: self.completion.clone(),
        };
        self.shared
            .queue
            .lock()
            .expect(LOCK)
            .batches
            .push_back(batch);
        self.shared.changed.notify_all();
    }
}

const LOCK: &str = "no holder of this lock panics";

fn run(shared: &Shared, tell: impl FnOnce(&Error)) {
    let mut tell = Some(tell);
    let mut failed: Option<Error> = None;
    while let Some((tokens, writes)) = next_group(shared) {
        let result = match &failed {
            Some(error) => Err(error.clone()),
            None => write(shared, &writes),
        };
        if let (Err(error), None) = (&result, &failed) {
            tracing::error!(%error, "log shard failed, its partitions go offline");
            failed = Some(error.clone());
            shared.has_failed.store(true, Ordering::Relaxed);
            if let Some(tell) = tell.take() {
                tell(error);
            }
        }
        if result.is_ok() {
            shared.shard.remember(&writes);
        }
        // Every time: a fast disk fills up between two looks of a clock, and this costs nothing beside a sync.
        shared.shard.refresh_room();
        for (token, completion) in tokens {
            completion(token, result.clone());
        }
    }
}

type Group = (Vec<(u64, Completion)>, Vec<(GroupId, Write)>);

/// Everything that is queued, up to a group's size; `None` when stopping and nothing is left.
fn next_group(shared: &Shared) -> Option<Group> {
    let mut queue = shared.queue.lock().expect(LOCK);
    while queue.batches.is_empty() {
        if queue.stopping {
            return None;
        }
        let (guard, timeout) = shared
            .changed
            .wait_timeout(queue, ROOM_INTERVAL)
            .expect(LOCK);
        queue = guard;
        if timeout.timed_out() && queue.batches.is_empty() {
            drop(queue);
            shared.shard.refresh_room();
            queue = shared.queue.lock().expect(LOCK);
        }
    }
    let (mut tokens, mut writes, mut bytes) = (Vec::new(), Vec::new(), 0);
    while bytes < GROUP_BYTES
        && let Some(batch) = queue.batches.pop_front()
    {
        bytes += batch
            .writes
            .iter()
            .flat_map(|(_, write)| &write.entries)
            .map(|entry| entry.data.len())
            .sum::<usize>();
        tokens.push((batch.token, batch.completion));
        writes.extend(batch.writes);
    }
    Some((tokens, writes))
}

fn write(shared: &Shared, writes: &[(GroupId, Write)]) -> Result<(), Error> {
    stall(shared);
    loop {
        match shared.shard.append(writes) {
            Ok(()) => {
                let began = Instant::now();
                shared.shard.sync()?;
                shared.shard.sync_took(began.elapsed());
                return Ok(());
            }
            // Nothing was written. Space may come back; until then nobody is told that anything is safe.
            Err(Error::Log(error @ log::Error::Full { .. })) => {
                if shared.queue.lock().expect(LOCK).stopping {
                    return Err(Error::Log(error));
                }
                shared.shard.refresh_room();
                std::thread::sleep(FULL_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

fn stall(shared: &Shared) {
    let limit = shared.shard.options().log_limit_bytes;
    let until = Instant::now() + MAX_STALL;
    while shared.shard.log_bytes() > limit {
        let queue = shared.queue.lock().expect(LOCK);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || queue.stopping {
            return;
        }
        let _ = shared
            .changed
            .wait_timeout(queue, left.min(Duration::from_millis(10)))
            .expect(LOCK);
    }
}
