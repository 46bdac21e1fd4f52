//! The thread around a [`Worker`]: a queue of events, the passage of time, and handles that never block.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raft::SnapshotStatus;
use raft::eraftpb::{ConfChangeV2, ConfState, Message};

use super::membership::ChangeRefusal;
use super::ports::{Ack, GroupId, LogStore, PeerId, StateMachine, Transport};
use super::reply::{Failure, Reply};
use super::worker::{Delivery, Worker};

/// Events taken from the queue before raft's work is done for all of them at once. More would make batches longer and let
/// the first event wait for the last.
const MAX_EVENTS_PER_RUN: usize = 1024;

#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Of the thread.
    pub name: String,
    /// Events waiting. When so many wait, commands are answered as overloaded, and messages from peers are dropped, which raft
    /// expects of a network. Completions of the log are taken nevertheless.
    pub max_queued_events: usize,
    pub tick: Duration,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        RuntimeSettings {
            name: "raft".to_owned(),
            max_queued_events: 16 * 1024,
            tick: Duration::from_millis(100),
        }
    }
}

type Call<L, S, T> = Box<dyn FnOnce(&mut Worker<L, S, T>) + Send>;

enum Event<L: LogStore, S: StateMachine, T: Transport> {
    Command {
        group: GroupId,
        command: S::Command,
        ack: Ack,
        reply: Reply<S::Output, S::Refusal>,
    },
    Message {
        group: GroupId,
        message: Message,
    },
    Persisted {
        token: u64,
        result: Result<(), String>,
    },
    Call(Call<L, S, T>),
    Stop,
}

/// How others reach a worker. Cheap to clone; no method waits.
pub struct Handle<L: LogStore, S: StateMachine, T: Transport> {
    events: Sender<Event<L, S, T>>,
    queued: Arc<AtomicUsize>,
    max_queued: usize,
}

impl<L: LogStore, S: StateMachine, T: Transport> Clone for Handle<L, S, T> {
    fn clone(&self) -> Self {
        Handle {
            events: self.events.clone(),
            queued: self.queued.clone(),
            max_queued: self.max_queued,
        }
    }
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's queue is full")]
pub struct QueueFull;

impl<L: LogStore, S: StateMachine, T: Transport> Handle<L, S, T> {
    /// A full queue answers [`Failure::Overloaded`], a stopped worker [`Failure::Stopped`].
    pub fn command(
        &self,
        group: GroupId,
        command: S::Command,
        ack: Ack,
        reply: Reply<S::Output, S::Refusal>,
    ) {
        match self.reserve() {
            Err(QueueFull) => reply.answer(Err(Failure::Overloaded)),
            Ok(()) => self.queue(Event::Command {
                group,
                command,
                ack,
                reply,
            }),
        }
    }

    pub fn message(&self, group: GroupId, message: Message) -> Result<(), QueueFull> {
        self.reserve()?;
        self.queue(Event::Message { group, message });
        Ok(())
    }

    /// From the log's thread. Never refused: a lost completion would stop all groups for good, and there are at most
    /// `Settings::max_batches_in_flight` of them.
    pub fn persisted<E: std::fmt::Display>(&self, token: u64, result: Result<(), E>) {
        let result = result.map_err(|error| error.to_string());
        self.queue_regardless(Event::Persisted { token, result });
    }

    /// All else: `add`, `remove`, `status`... A [`Reply`] that `call` owns is answered even if the worker stops first.
    pub fn call(
        &self,
        call: impl FnOnce(&mut Worker<L, S, T>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        self.reserve()?;
        self.queue(Event::Call(Box::new(call)));
        Ok(())
    }

    pub fn change_membership(
        &self,
        group: GroupId,
        change: ConfChangeV2,
        reply: Reply<ConfState, ChangeRefusal>,
    ) {
        match self.reserve() {
            Err(QueueFull) => reply.answer(Err(Failure::Overloaded)),
            Ok(()) => self.queue(Event::Call(Box::new(move |worker| {
                worker.change_membership(group, &change, reply);
            }))),
        }
    }

    pub fn transfer_leader(&self, group: GroupId, to: PeerId) -> Result<(), QueueFull> {
        self.call(move |worker| worker.transfer_leader(group, to))
    }

    pub fn report_unreachable(&self, group: GroupId, peer: PeerId) -> Result<(), QueueFull> {
        self.call(move |worker| worker.report_unreachable(group, peer))
    }

    /// Never refused: without it raft sends `peer` nothing any more. There is at most one for each snapshot sent.
    pub fn report_snapshot(&self, group: GroupId, peer: PeerId, status: SnapshotStatus) {
        self.queue_regardless(Event::Call(Box::new(move |worker| {
            worker.report_snapshot(group, peer, status);
        })));
    }

    /// Events that wait for the worker.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    fn reserve(&self) -> Result<(), QueueFull> {
        let max = self.max_queued;
        self.queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                (queued < max).then_some(queued + 1)
            })
            .map(|_| ())
            .map_err(|_| QueueFull)
    }

    fn queue_regardless(&self, event: Event<L, S, T>) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queue(event);
    }

    fn queue(&self, event: Event<L, S, T>) {
        // A worker that has stopped drops the event, and its reply answers on drop.
        let _ = self.events.send(event);
    }
}

/// One worker on one thread. Dropped, it stops.
pub struct Runtime<L: LogStore, S: StateMachine, T: Transport> {
    handle: Handle<L, S, T>,
    thread: Option<JoinHandle<()>>,
}

impl<L, S, T> Runtime<L, S, T>
where
    L: LogStore + 'static,
    S: StateMachine + 'static,
    T: Transport + 'static,
    S::Command: Send,
    S::Output: Send,
    S::Refusal: Send,
{
    /// `make` runs on the new thread, so that nothing of the worker needs to be sent there; the handle it is given is for the
    /// log store to report to. `unknown` gets the messages for groups that are not here.
    pub fn spawn(
        settings: &RuntimeSettings,
        make: impl FnOnce(Handle<L, S, T>) -> Worker<L, S, T> + Send + 'static,
        unknown: impl FnMut(GroupId, Message) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (events, queue) = mpsc::channel();
        let handle = Handle {
            events,
            queued: Arc::new(AtomicUsize::new(0)),
            max_queued: settings.max_queued_events,
        };
        let (made_with, queued, tick) = (handle.clone(), handle.queued.clone(), settings.tick);
        let thread = std::thread::Builder::new()
            .name(settings.name.clone())
            .spawn(move || run(make(made_with), &queue, &queued, tick, unknown))?;
        Ok(Runtime {
            handle,
            thread: Some(thread),
        })
    }

    pub fn handle(&self) -> Handle<L, S, T> {
        self.handle.clone()
    }

    /// Lets the worker finish what it is at; whoever still waits for an answer hears [`Failure::Stopped`]. An error is the
    /// worker's panic.
    pub fn stop(mut self) -> std::thread::Result<()> {
        self.handle.queue_regardless(Event::Stop);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl<L: LogStore, S: StateMachine, T: Transport> Drop for Runtime<L, S, T> {
    fn drop(&mut self) {
        self.handle.queue_regardless(Event::Stop);
    }
}

fn run<L: LogStore, S: StateMachine, T: Transport>(
    mut worker: Worker<L, S, T>,
    queue: &Receiver<Event<L, S, T>>,
    queued: &AtomicUsize,
    tick: Duration,
    mut unknown: impl FnMut(GroupId, Message),
) {
    let mut next_tick = Instant::now() + tick;
    let mut has_more = worker.run_ready();
    loop {
        let patience = match has_more {
            true => Duration::ZERO,
            false => next_tick.saturating_duration_since(Instant::now()),
        };
        let mut event = match queue.recv_timeout(patience) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            // Never while the store holds a handle, and a worker without one is of no use to anybody.
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut taken = 0;
        while let Some(next) = event {
            queued.fetch_sub(1, Ordering::Relaxed);
            match next {
                Event::Stop => return,
                Event::Command {
                    group,
                    command,
                    ack,
                    reply,
                } => worker.command(group, command, ack, reply),
                Event::Message { group, message } => {
                    if let Delivery::UnknownGroup(message) = worker.message(group, message) {
                        unknown(group, message);
                    }
                }
                Event::Persisted { token, result } => worker.persisted(token, result),
                Event::Call(call) => call(&mut worker),
            }
            taken += 1;
            event = match taken < MAX_EVENTS_PER_RUN {
                true => queue.try_recv().ok(),
                false => None,
            };
        }
        // After the events: what peers sent while this thread was held up counts before the time that passed. Ticks missed
        // meanwhile are not made up for, or a pause would end in an election.
        let now = Instant::now();
        if now >= next_tick {
            worker.tick();
            next_tick = now + tick;
        }
        has_more = worker.run_ready();
    }
}
