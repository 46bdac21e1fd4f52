//! One partition of `__consumer_offsets` that is led here: the rules, with a log, a clock, and clients that wait.

use super::Now;
use super::catalog::Catalog;
use super::effects::{Answer, Effects, Ticket};
use super::log;
use super::machine::Machine;
use super::settings::Settings;
use crate::clock;
use crate::engine::{self, AppendError};
use crate::raft::Failure;
use crate::raft::ports::Ack;
use millrace_wire::ErrorCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// What an append has come to; `None` while nobody knows.
type Outcome = Option<Result<(), ErrorCode>>;

/// Time without anything due.
const NEVER: u64 = u64::MAX;

/// What all coordinators of a broker share.
#[derive(Debug)]
pub struct Alarm {
    began: Instant,
    /// When somebody next has something to do.
    due_ms: AtomicU64,
    /// It has become earlier.
    pub earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm {
            began: Instant::now(),
            due_ms: AtomicU64::new(NEVER),
            earlier: Notify::new(),
        }
    }
}

impl Alarm {
    pub fn now(&self) -> Now {
        Now {
            clock_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER),
            wall_ms: clock::now_ms(),
        }
    }

    /// When the next thing is due, if anything is.
    pub fn due(&self) -> Option<Instant> {
        match self.due_ms.load(Ordering::Acquire) {
            NEVER => None,
            ms => Some(self.began + Duration::from_millis(ms)),
        }
    }

    pub fn reset(&self) {
        self.due_ms.store(NEVER, Ordering::Release);
    }

    pub fn set(&self, due_ms: Option<u64>) {
        let due_ms = due_ms.unwrap_or(NEVER);
        if self.due_ms.fetch_min(due_ms, Ordering::AcqRel) > due_ms {
            self.earlier.notify_one();
        }
    }
}

pub struct Coordinator {
    handle: engine::Handle,
    /// In which this broker led when the machine was read.
    pub term: u64,
    alarm: Arc<Alarm>,
    /// How long an append may take before its client is told that nobody knows.
    patience: Duration,
    /// `min.insync.replicas`
    voters: usize,
    /// An append has failed: the machine knows more than the log.
    has_failed: Arc<AtomicBool>,
    inner: Mutex<Inner>,
}

struct Inner {
    machine: Machine,
    waiting: HashMap<Ticket, oneshot::Sender<(Answer, Barrier)>>,
    next_ticket: u64,
    barrier: Barrier,
}

/// The last append before an answer; none if everything is committed.
#[derive(Clone, Default)]
struct Barrier(Option<watch::Receiver<Outcome>>);

pub struct CoordinatorParts {
    pub handle: engine::Handle,
    pub term: u64,
    pub machine: Machine,
    pub alarm: Arc<Alarm>,
    pub patience: Duration,
    pub voters: usize,
}

impl Coordinator {
    pub fn new(parts: CoordinatorParts) -> Coordinator {
        Coordinator {
            handle: parts.handle,
            term: parts.term,
            alarm: parts.alarm,
            patience: parts.patience,
            voters: parts.voters,
            has_failed: Arc::default(),
            inner: Mutex::new(Inner {
                machine: parts.machine,
                waiting: HashMap::new(),
                next_ticket: 0,
                barrier: Barrier::default(),
            }),
        }
    }

    /// Whether its machine must be read again.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Takes a step, and returns what it says when that is committed.
    pub async fn step<T>(
        &self,
        step: impl FnOnce(&mut Machine, Now, &mut Effects) -> T,
    ) -> Result<T, ErrorCode> {
        let (result, barrier) =
            self.take(|inner, now, effects| step(&mut inner.machine, now, effects));
        self.pass(barrier).await?;
        Ok(result)
    }

    /// Takes a step that answers somebody, sooner or later: now or in a later step.
    pub async fn ask(
        &self,
        step: impl FnOnce(&mut Machine, Now, &mut Effects, Ticket),
    ) -> Result<Answer, ErrorCode> {
        let (answer, _) = self.take(|inner, now, effects| {
            let ticket = Ticket(inner.next_ticket);
            inner.next_ticket += 1;
            let (sender, answer) = oneshot::channel();
            inner.waiting.insert(ticket, sender);
            step(&mut inner.machine, now, effects, ticket);
            answer
        });
        // A coordinator that is given up drops who waits.
        let gone = ErrorCode::NotCoordinator;
        let (answer, barrier) = answer.await.map_err(|_| gone)?;
        self.pass(barrier).await?;
        Ok(answer)
    }

    /// Topics may have changed.
    pub fn see(&self, catalog: &Arc<Catalog>) {
        self.lock().machine.set_catalog(catalog);
    }

    /// Does what is due, and says when there is more.
    pub fn tick(&self) {
        let ((), _) = self.take(|inner, now, effects| inner.machine.tick(now, effects));
    }

    /// Its rules go by these from now on.
    pub fn set_settings(&self, settings: &Arc<Settings>) {
        self.lock().machine.set_settings(settings);
    }

    /// What the machine is now, committed or about to be: for metrics.
    pub fn look<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&self.lock().machine)
    }

    /// Lets go of everybody who waits: this broker does not coordinate them any more.
    pub fn give_up(&self) {
        self.has_failed.store(true, Ordering::Release);
        self.lock().waiting.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps are taken and their records handed to the log one after the other.
    fn take<T>(&self, step: impl FnOnce(&mut Inner, Now, &mut Effects) -> T) -> (T, Barrier) {
        let mut inner = self.lock();
        let now = self.alarm.now();
        let mut effects = Effects::default();
        let result = step(&mut inner, now, &mut effects);
        if !effects.records.is_empty() {
            self.append(&mut inner, &effects, now);
        }
        let barrier = inner.barrier.clone();
        for (ticket, answer) in effects.answers {
            if let Some(waiting) = inner.waiting.remove(&ticket) {
                // A client that has gone does not listen.
                let _ = waiting.send((answer, barrier.clone()));
            }
        }
        self.alarm.set(inner.machine.next_ms());
        (result, barrier)
    }

    fn append(&self, inner: &mut Inner, effects: &Effects, now: Now) {
        let appends = match log::appends(&effects.records, now) {
            Ok(appends) => appends,
            Err(error) => {
                tracing::error!(%error, "a group's records cannot be written");
                self.has_failed.store(true, Ordering::Release);
                let (_, failed) = watch::channel(Some(Err(ErrorCode::UnknownServerError)));
                inner.barrier = Barrier(Some(failed));
                return;
            }
        };
        let ack = Ack::Committed {
            voters: self.voters,
        };
        for append in appends {
            let (outcome, barrier) = watch::channel(None);
            let has_failed = self.has_failed.clone();
            self.handle
                .append_as_coordinator(append, now.wall_ms, ack, move |result| {
                    let result = result.map(drop).map_err(|error| {
                        has_failed.store(true, Ordering::Release);
                        tracing::warn!(%error, "a group's records were not appended");
                        code(&error)
                    });
                    outcome.send_replace(Some(result));
                });
            inner.barrier = Barrier(Some(barrier));
        }
    }

    /// Waits until everything before an answer is committed.
    async fn pass(&self, barrier: Barrier) -> Result<(), ErrorCode> {
        if let Some(mut outcome) = barrier.0 {
            let done = outcome.wait_for(Option::is_some);
            match tokio::time::timeout(self.patience, done).await {
                Ok(Ok(outcome)) => (*outcome).unwrap_or(Ok(()))?,
                // The engine has dropped the append's callback: it is stopping.
                Ok(Err(_)) => return Err(ErrorCode::NotCoordinator),
                Err(_) => return Err(ErrorCode::CoordinatorNotAvailable),
            }
        }
        // What came before may have failed though the last append went well.
        match self.has_failed() {
            true => Err(ErrorCode::NotCoordinator),
            false => Ok(()),
        }
    }
}

/// As Kafka tells clients of groups why their records were not appended.
fn code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Failed(Failure::NotLeader { .. } | Failure::Stopped) => {
            ErrorCode::NotCoordinator
        }
        AppendError::Failed(Failure::Faulty(_)) | AppendError::DiskFull { .. } => {
            ErrorCode::NotCoordinator
        }
        AppendError::Failed(Failure::Refused(_)) | AppendError::TooLarge { .. } => {
            ErrorCode::UnknownServerError
        }
        AppendError::Failed(_) => ErrorCode::CoordinatorNotAvailable,
    }
}
