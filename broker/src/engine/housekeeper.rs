//! The background work of one directory, on one thread: sealing when the log is over its budget, retention, log compaction,
//! runs that come from other brokers, forgetting idle producers.
//!
//! It decides nothing that replicas must agree on: a log start goes through the group as a command, and each replica drops
//! what lies below when it has applied it.

use super::LOCK;
use super::catch_up::import_waiting;
use super::hosted::{Hosted, fresh_salt};
use super::pace::{Pace, RETENTION_FLOOR, SEALING_FLOOR};
use super::shared::Shared;
use crate::metadata;
use crate::partition::cleaner::LastOfProducer;
use crate::partition::compaction;
use crate::partition::{Command, Role, SetLogStart};
use crate::raft::ports::{Ack, GroupId};
use crate::storage;
use crate::storage::retention::Retention;
use crate::storage::seal::{Checkpoint, SealReport};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long sealing rests after it failed: a full disk is not worth more than a line a second.
const SEAL_AGAIN: Duration = Duration::from_secs(1);

/// How long a round of retention waits for the log starts that it has proposed.
const LOG_START_PATIENCE: Duration = Duration::from_secs(5);

/// What one step of retention drops at most, about, and of how many partitions: each step is one change of rows. Small, because
/// a file system that gives back much at once keeps the disk from the log's syncs.
const EXPIRE_BYTES: u64 = 16 << 20;
const EXPIRE_GROUPS: usize = 256;
/// How many steps in a row may find everything busy.
const EXPIRE_TRIES: usize = 16;

/// How often the log's size is looked at.
const TICK: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct HousekeepingOptions {
    /// `log.retention.check.interval.ms`
    pub retention_check_interval: Duration,
    /// `log.cleaner.backoff.ms`: how often compacted topics are looked at.
    pub cleaner_backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`
    pub cleaner_buffer_bytes: usize,
    /// Rewritten at once, and held in memory meanwhile.
    pub cleaner_step_bytes: u64,
    /// `producer.id.expiration.check.interval.ms`
    pub producer_expiry_check_interval: Duration,
}

impl Default for HousekeepingOptions {
    fn default() -> Self {
        HousekeepingOptions {
            retention_check_interval: Duration::from_secs(300),
            cleaner_backoff: Duration::from_secs(15),
            cleaner_buffer_bytes: 128 << 20,
            cleaner_step_bytes: 64 << 20,
            producer_expiry_check_interval: Duration::from_secs(600),
        }
    }
}

/// Work that is asked for rather than waited for.
pub(super) enum Request {
    /// Seals everything that is committed, answers when done.
    SealAll(Sender<()>),
    /// Seals one run of a group, answers when that was tried.
    Seal(GroupId, Sender<()>),
    /// One round of retention.
    Retention(Sender<()>),
    /// One round of log compaction.
    Compaction(Sender<()>),
    /// Runs wait to be made of what other brokers sent.
    Import,
    Stop,
}

pub(super) struct Housekeeper {
    requests: Sender<Request>,
    /// Somebody waits: the work under way takes no rests.
    hurry: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeper {
    pub fn spawn(
        host: Arc<Hosted>,
        options: HousekeepingOptions,
        name: &str,
    ) -> std::io::Result<Housekeeper> {
        let (requests, receiver) = channel();
        host.imports.serve(requests.clone());
        let hurry = Arc::new(AtomicBool::new(false));
        let pace = Pace::new(hurry.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&host, &options, &receiver, pace))?;
        Ok(Housekeeper {
            requests,
            hurry,
            thread: Some(thread),
        })
    }

    /// For who waits in a way of his own.
    pub fn requests(&self) -> Sender<Request> {
        self.requests.clone()
    }

    /// Asks for a round of work and waits until it is done.
    pub fn ask(&self, request: impl FnOnce(Sender<()>) -> Request) {
        let (done, wait) = channel();
        let request = request(done);
        if matches!(request, Request::SealAll(_)) {
            self.hurry.store(true, Ordering::Relaxed);
        }
        if self.requests.send(request).is_ok() {
            let _ = wait.recv();
        }
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.hurry.store(true, Ordering::Relaxed);
        let _ = self.requests.send(Request::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(host: &Hosted, options: &HousekeepingOptions, requests: &Receiver<Request>, mut pace: Pace) {
    let start = Instant::now();
    let mut failed_at: Option<Instant> = None;
    let (mut retention_at, mut cleaner_at, mut producers_at) = (start, start, start);
    loop {
        match requests.recv_timeout(TICK) {
            Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Request::SealAll(done)) => {
                if seal_all(host, &mut pace).is_err() {
                    failed_at = Some(Instant::now());
                }
                pace.calm();
                let _ = done.send(());
            }
            Ok(Request::Seal(group, done)) => {
                if seal(host, vec![group], &mut pace).is_err() {
                    failed_at = Some(Instant::now());
                }
                let _ = done.send(());
            }
            Ok(Request::Retention(done)) => {
                retain(host, &mut pace);
                let _ = done.send(());
            }
            Ok(Request::Compaction(done)) => {
                compact(host, options, &mut pace);
                let _ = done.send(());
            }
            Ok(Request::Import) | Err(RecvTimeoutError::Timeout) => {}
        }
        import_waiting(host);
        if failed_at.is_none_or(|at| at.elapsed() >= SEAL_AGAIN) {
            failed_at = seal_while_over_budget(host, &mut pace)
                .err()
                .map(|_| Instant::now());
        }
        if due(&mut retention_at, options.retention_check_interval) {
            retain(host, &mut pace);
        }
        if due(&mut cleaner_at, options.cleaner_backoff) {
            compact(host, options, &mut pace);
        }
        if due(&mut producers_at, options.producer_expiry_check_interval) {
            let now_ms = now_ms();
            let ids = host.shard.group_ids();
            host.visit(ids, move |_, visit| {
                visit.machine.expire_producers(now_ms);
            });
        }
    }
}

fn due(last: &mut Instant, interval: Duration) -> bool {
    let due = last.elapsed() >= interval;
    if due {
        *last = Instant::now();
    }
    due
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Sealing failed, and that was reported.
struct Failed;

/// The runs that wait to be made come in between the steps of all other work, as sealing does.
fn seal_while_over_budget(host: &Hosted, pace: &mut Pace) -> Result<(), Failed> {
    loop {
        import_waiting(host);
        if !host.shard.over_budget() {
            return Ok(());
        }
        let ids = host.shard.oldest_groups();
        if !seal(host, ids, pace)? {
            return Ok(());
        }
    }
}

fn seal_all(host: &Hosted, pace: &mut Pace) -> Result<(), Failed> {
    loop {
        let ids = host.shard.group_ids();
        let before = host.shard.log_bytes();
        if !seal(host, ids, pace)? || host.shard.log_bytes() >= before {
            return Ok(());
        }
    }
}

/// One run of each group. False when there was nothing that could be done just now.
fn seal(host: &Hosted, ids: Vec<GroupId>, pace: &mut Pace) -> Result<bool, Failed> {
    let checkpoints = host.checkpoints(ids);
    let sealed = host
        .shard
        .seal_paced(&checkpoints, &mut |bytes| {
            pace.rest(&host.shard, bytes, SEALING_FLOOR)
        })
        .and_then(|report| host.shard.release().map(|()| report));
    host.log_thread.wake();
    match sealed {
        Ok(SealReport {
            groups,
            runs,
            bytes,
            busy,
            damaged,
        }) => {
            for (group, error) in damaged {
                host.heed(group, &error);
            }
            tracing::debug!(groups, runs, bytes, busy, "sealed");
            Ok(groups > 0)
        }
        Err(error) => {
            host.report_fault("cannot seal", &error);
            Err(Failed)
        }
    }
}

fn retain(host: &Hosted, pace: &mut Pace) {
    move_log_starts(host, now_ms());
    let log_start = |shared: &Shared| shared.view.positions().log_start;
    let partitions = host.partitions();
    let expired = partitions
        .iter()
        .filter(|p| host.shard.has_expired(p.group, log_start(p)));
    let expired: Vec<GroupId> = expired.map(|shared| shared.group).collect();
    for ids in expired.chunks(EXPIRE_GROUPS) {
        expire_all(host, ids.to_vec(), pace);
    }
    if let Err(error) = host.shard.renew_held() {
        host.report_fault("cannot renew a packed family", &error);
    }
}

/// Step by step, until nothing is left or what is left stays busy: the next round finds it.
fn expire_all(host: &Hosted, mut ids: Vec<GroupId>, pace: &mut Pace) {
    let mut in_vain = 0;
    while !ids.is_empty() && in_vain < EXPIRE_TRIES {
        // Checkpoints anew for each step: sealing comes in between.
        let checkpoints = host.checkpoints(ids.clone());
        match host.shard.expire_some(&checkpoints, EXPIRE_BYTES) {
            // Those that were to be cut have nothing but entries on their way to the log.
            Ok(0) => {
                in_vain += 1;
                std::thread::sleep(TICK);
            }
            Ok(bytes) => {
                in_vain = 0;
                pace.rest(&host.shard, bytes, RETENTION_FLOOR);
            }
            Err(error) => {
                host.report_fault("cannot drop expired records", &error);
                return;
            }
        }
        // What goes wrong is reported there, and met again after this round.
        let _ = seal_while_over_budget(host, pace);
        let expired = |checkpoint: &Checkpoint| {
            host.shard
                .has_expired(checkpoint.group, checkpoint.log_start())
        };
        let left = checkpoints.iter().filter(|checkpoint| expired(checkpoint));
        ids = left.map(|checkpoint| checkpoint.group).collect();
        // Otherwise one that stays busy would keep the others waiting.
        let next = 1.min(ids.len());
        ids.rotate_left(next);
    }
}

/// Proposes where logs should start, and returns when that is so, or when it takes too long.
fn move_log_starts(host: &Hosted, now_ms: i64) {
    let (answered, answers) = channel();
    for shared in host.partitions() {
        let config = shared.config.read().expect(LOCK).clone();
        let positions = shared.view.positions();
        if positions.role != Role::Leader || !config.cleanup_policy.is_delete() {
            continue;
        }
        let retention = Retention {
            max_age_ms: config.retention_ms,
            max_bytes: config.retention_bytes,
        };
        let group = shared.group;
        let (start, end) = (positions.log_start, positions.high_watermark);
        if let Ok(Some(offset)) = host
            .shard
            .retained_from(group, retention, now_ms, start, end)
        {
            tracing::info!(%group, %offset, "retention moves the log start");
            let command = Command::SetLogStart(SetLogStart {
                offset: Some(offset),
            });
            let answered = answered.clone();
            shared.command(command, Ack::Committed { voters: 1 }, move |result| {
                if let Err(error) = result {
                    tracing::debug!(%group, %error, "log start was not moved");
                }
                let _ = answered.send(());
            });
        }
    }
    drop(answered);
    let deadline = Instant::now() + LOG_START_PATIENCE;
    // What comes later is dropped in the next round.
    while answers
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .is_ok()
    {}
}

fn compact(host: &Hosted, options: &HousekeepingOptions, pace: &mut Pace) {
    let now_ms = now_ms();
    for shared in host.partitions() {
        let config = shared.config.read().expect(LOCK).clone();
        if !config.cleanup_policy.is_compact() || shared.damage.get().is_some() {
            continue;
        }
        let limits = compaction::Limits {
            now_ms,
            last_stable: shared.view.positions().last_stable,
            buffer_bytes: options.cleaner_buffer_bytes,
            step_bytes: options.cleaner_step_bytes,
            hash_key: [fresh_salt(), fresh_salt()],
        };
        // The log fills meanwhile, and who stops this thread does not wait for the whole of a large partition.
        let mut goes_on = || {
            // What goes wrong is reported there, and met again after this round.
            let _ = seal_while_over_budget(host, pace);
            !pace.is_hurried()
        };
        if !goes_on() {
            return;
        }
        let producers = host.last_of_producers(shared.group);
        let aborted = |from, to| shared.view.aborted_in(from, to);
        match compaction::compact(
            &host.shard,
            shared.group,
            &config,
            &limits,
            &producers,
            &aborted,
            &mut goes_on,
        ) {
            Ok(Some(report)) => {
                let compaction::Report {
                    bytes_before,
                    bytes_after,
                    cleaned_to,
                    is_whole,
                } = report;
                tracing::info!(group = %shared.group, bytes_before, bytes_after, %cleaned_to, is_whole, "compacted");
            }
            // Deleted since the round began.
            Ok(None) | Err(compaction::Error::Storage(storage::Error::UnknownGroup(_))) => {}
            Err(error) => {
                tracing::error!(group = %shared.group, %error, "cannot compact");
                if let compaction::Error::Storage(error) = &error {
                    shared.heed(error);
                }
            }
        }
    }
}

impl Hosted {
    /// The state of each group's machine, as far as their workers answer.
    pub(super) fn checkpoints(&self, ids: Vec<GroupId>) -> Vec<Checkpoint> {
        if ids.is_empty() {
            return Vec::new();
        }
        let (sender, receiver) = channel();
        if let (Some(metadata), true) = (&self.metadata, ids.contains(&metadata::GROUP)) {
            metadata.checkpoint(sender.clone());
        }
        self.visit(ids, move |group, visit| match visit.machine_snapshot() {
            Ok(machine) => {
                let conf_state = visit.conf_state.clone();
                let _ = sender.send(Checkpoint {
                    group,
                    applied: visit.applied,
                    conf_state,
                    machine,
                });
            }
            Err(error) => tracing::error!(%group, %error, "cannot take a checkpoint"),
        });
        // Ends when the workers have dropped the closures.
        receiver.into_iter().collect()
    }

    /// What compaction must keep of each producer that is still known.
    fn last_of_producers(&self, group: GroupId) -> HashMap<i64, LastOfProducer> {
        let (sender, receiver) = channel();
        self.visit(vec![group], move |_, visit| {
            let _ = sender.send(visit.machine.last_of_producers());
        });
        receiver.into_iter().flatten().collect()
    }
}
