//! The thread around a [`Worker`]: a queue of events, the passage of time, and handles that never block.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raft::SnapshotStatus;
use raft::eraftpb::{ConfChangeV2, ConfState, Message};

use super::membership::ChangeRefusal;
use super::ports::{Ack, GroupId, LogStore, PeerId, StateMachine, Transport};
pub use super::queue::QueueFull;
use super::queue::{Queue, Reader, Urgency};
use super::reply::{Failure, Reply};
use super::worker::{Delivery, Worker};

/// Events taken from the queue before raft's work is done for all of them at once. More would make batches longer and let
/// the first event wait for the last.
const MAX_EVENTS_PER_RUN: usize = 1024;

/// While the log is busy the thread sleeps until so many commands wait, or for so long. Their work is then done beside the
/// disk's, and in bulk.
const COMPANY: usize = 128;
const NAP: Duration = Duration::from_millis(1);

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
        // Beside the others it is large, and every event takes the room of the largest.
        message: Box<Message>,
    },
    Persisted {
        token: u64,
        result: Result<(), String>,
    },
    Change {
        group: GroupId,
        change: Box<ConfChangeV2>,
        reply: Reply<ConfState, ChangeRefusal>,
    },
    Call(Call<L, S, T>),
    Stop,
}

/// How others reach a worker. Cheap to clone; no method waits.
pub struct Handle<L: LogStore, S: StateMachine, T: Transport> {
    events: Arc<Queue<Event<L, S, T>>>,
}

impl<L: LogStore, S: StateMachine, T: Transport> Clone for Handle<L, S, T> {
    fn clone(&self) -> Self {
        Handle {
            events: self.events.clone(),
        }
    }
}

impl<L: LogStore, S: StateMachine, T: Transport> Handle<L, S, T> {
    /// A full queue answers [`Failure::Overloaded`], a stopped worker [`Failure::Stopped`].
    pub fn command(
        &self,
        group: GroupId,
        command: S::Command,
        ack: Ack,
        reply: Reply<S::Output, S::Refusal>,
    ) {
        let event = Event::Command {
            group,
            command,
            ack,
            reply,
        };
        if let Err(Event::Command { reply, .. }) = self.events.push(event, Urgency::InCompany) {
            reply.answer(Err(Failure::Overloaded));
        }
    }

    pub fn message(&self, group: GroupId, message: Message) -> Result<(), QueueFull> {
        let message = Box::new(message);
        self.push(Event::Message { group, message })
    }

    /// From the log's thread. Never refused: a lost completion would stop all groups for good, and there are at most
    /// `Settings::max_batches_in_flight` of them.
    pub fn persisted<E: std::fmt::Display>(&self, token: u64, result: Result<(), E>) {
        let result = result.map_err(|error| error.to_string());
        self.events
            .push_regardless(Event::Persisted { token, result });
    }

    /// All else: `add`, `remove`, `status`... A [`Reply`] that `call` owns is answered even if the worker stops first.
    pub fn call(
        &self,
        call: impl FnOnce(&mut Worker<L, S, T>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        self.push(Event::Call(Box::new(call)))
    }

    pub fn change_membership(
        &self,
        group: GroupId,
        change: ConfChangeV2,
        reply: Reply<ConfState, ChangeRefusal>,
    ) {
        let event = Event::Change {
            group,
            change: Box::new(change),
            reply,
        };
        if let Err(Event::Change { reply, .. }) = self.events.push(event, Urgency::AtOnce) {
            reply.answer(Err(Failure::Overloaded));
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
        self.events
            .push_regardless(Event::Call(Box::new(move |worker| {
                worker.report_snapshot(group, peer, status);
            })));
    }

    /// Events that wait for the worker.
    pub fn queued(&self) -> usize {
        self.events.len()
    }

    fn push(&self, event: Event<L, S, T>) -> Result<(), QueueFull> {
        self.events
            .push(event, Urgency::AtOnce)
            .map_err(|_| QueueFull)
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
        let queue = Arc::new(Queue::new(settings.max_queued_events));
        let handle = Handle {
            events: queue.clone(),
        };
        let (made_with, reader, tick) = (handle.clone(), Reader(queue), settings.tick);
        let thread = std::thread::Builder::new()
            .name(settings.name.clone())
            .spawn(move || {
                let reader = reader;
                run(make(made_with), &reader, tick, unknown);
            })?;
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
        self.handle.events.push_regardless(Event::Stop);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl<L: LogStore, S: StateMachine, T: Transport> Drop for Runtime<L, S, T> {
    fn drop(&mut self) {
        self.handle.events.push_regardless(Event::Stop);
    }
}

fn run<L: LogStore, S: StateMachine, T: Transport>(
    mut worker: Worker<L, S, T>,
    reader: &Reader<Event<L, S, T>>,
    tick: Duration,
    mut unknown: impl FnMut(GroupId, Message),
) {
    let mut next_tick = Instant::now() + tick;
    let mut has_more = worker.run_ready();
    let mut events = VecDeque::new();
    loop {
        let until_tick = next_tick.saturating_duration_since(Instant::now());
        let (company, patience) = match (has_more, worker.is_log_busy()) {
            (true, _) => (1, Duration::ZERO),
            (false, true) => (COMPANY, until_tick.min(NAP)),
            (false, false) => (1, until_tick),
        };
        reader.take(&mut events, MAX_EVENTS_PER_RUN, company, patience);
        while let Some(event) = events.pop_front() {
            match event {
                Event::Stop => return,
                Event::Command {
                    group,
                    command,
                    ack,
                    reply,
                } => worker.command(group, command, ack, reply),
                Event::Message { group, message } => {
                    if let Delivery::UnknownGroup(message) = worker.message(group, *message) {
                        unknown(group, message);
                    }
                }
                Event::Persisted { token, result } => worker.persisted(token, result),
                Event::Change {
                    group,
                    change,
                    reply,
                } => worker.change_membership(group, &change, reply),
                Event::Call(call) => call(&mut worker),
            }
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
