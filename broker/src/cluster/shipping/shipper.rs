//! The leader's end: which replicas wait for records, and the way of one of them.

use super::words::{Begin, Chunk, Question, Reply, pack};
use super::{Inner, MAX_SHIPMENTS, Shipping, blocking};
use crate::engine::Handle;
use crate::metadata::BrokerId;
use crate::partition::Role;
use crate::peers::AskError;
use crate::raft::ports::{GroupId, PeerId};
use crate::storage;
use crate::storage::entry::SnapshotHeader;
use crate::storage::ids::Offset;
use crate::storage::import::Import;
use bytes::Bytes;
use raft::eraftpb::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the follower may take to say what it needs, and to take a chunk.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// And to make a run of a parcel, which waits for other work on its disk.
const RUN_PATIENCE: Duration = Duration::from_secs(90);
/// How long a parcel may take to be read.
const READ_PATIENCE: Duration = Duration::from_secs(60);
/// How long a follower may be busy with others, and how often it is asked.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);
const BUSY_INTERVAL: Duration = Duration::from_millis(250);
/// How long what cannot be queued for a broker is tried again.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);
const QUEUE_INTERVAL: Duration = Duration::from_millis(50);
/// Raft tries again with the next heartbeat after it was told of a failure: this is what keeps it from doing so many times a second.
const REST: Duration = Duration::from_secs(1);
/// What is worth a line in the log.
const LARGE_BYTES: u64 = 64 << 20;
const LONG: Duration = Duration::from_secs(5);

/// Whom a snapshot is for.
type Target = (GroupId, PeerId);

/// Bounded by how many replicas follow this broker's: each is here once, with the newest snapshot that raft made for it.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    order: VecDeque<Target>,
    waiting: BTreeMap<Target, Message>,
    under_way: BTreeSet<Target>,
    /// Tasks that take from here.
    workers: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is to be one more who takes from here.
    fn add(&self, target: Target, message: Message) -> bool {
        let mut state = self.lock();
        if state.waiting.insert(target, message).is_none() {
            state.order.push_back(target);
        }
        let is_wanted = state.workers < MAX_SHIPMENTS;
        state.workers += usize::from(is_wanted);
        is_wanted
    }

    /// The next one to whom nothing is on its way. With `None` a worker ends.
    fn next(&self) -> Option<(Target, Message)> {
        let mut state = self.lock();
        let is_free = |target: &Target| !state.under_way.contains(target);
        let at = state.order.iter().position(is_free);
        let target = at.and_then(|at| state.order.remove(at));
        let next = target.and_then(|target| Some((target, state.waiting.remove(&target)?)));
        match &next {
            Some((target, _)) => {
                state.under_way.insert(*target);
            }
            None => state.workers -= 1,
        }
        next
    }

    /// Whether raft has made a newer one meanwhile, and waits for that.
    fn done(&self, target: Target) -> bool {
        let mut state = self.lock();
        state.under_way.remove(&target);
        state.waiting.contains_key(&target)
    }

    fn has_newer(&self, target: Target) -> bool {
        self.lock().waiting.contains_key(&target)
    }

    pub fn under_way(&self) -> usize {
        self.lock().under_way.len()
    }
}

#[derive(Debug, thiserror::Error)]
enum NotShipped {
    #[error("the broker stops")]
    Stopped,
    #[error("this replica leads no more")]
    Deposed,
    #[error("the snapshot has no header")]
    NoHeader,
    #[error("nobody knows which broker the follower is on")]
    NoBroker,
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the follower's broker refuses: {0}")]
    Refused(String),
    #[error("the follower's broker says what cannot be understood")]
    Unknown,
    #[error("the follower's broker takes in others for too long")]
    Busy,
    #[error("the follower wants records from offset {wanted} on, having taken all below {had}")]
    NoProgress { wanted: Offset, had: Offset },
    #[error("the log start has passed offset {0}")]
    Passed(Offset),
    #[error("cannot read the records: {0}")]
    Storage(#[from] storage::Error),
    #[error("reading takes too long")]
    Slow,
}

impl NotShipped {
    /// Whether somebody should look at it: not what is part of a leadership's end, or of a broker's, which is told of elsewhere.
    fn is_trouble(&self) -> bool {
        use AskError::{Lost, NotConnected};
        !matches!(
            self,
            NotShipped::Stopped | NotShipped::Deposed | NotShipped::Ask(NotConnected | Lost)
        )
    }
}

/// One snapshot on its way.
struct Shipment<'a> {
    inner: &'a Inner,
    id: u64,
    group: GroupId,
    from: PeerId,
    to: PeerId,
    header: SnapshotHeader,
    broker: BrokerId,
    sent: u64,
}

impl Shipping {
    /// Takes a partition's snapshot that raft wants sent. Never waits.
    pub fn take(&self, group: GroupId, message: Message) {
        let inner = &self.inner;
        if inner.stop.is_cancelled() {
            return;
        }
        let target = (group, message.to);
        if inner.queue.add(target, message) {
            let inner = inner.clone();
            let tasks = inner.tasks.clone();
            let runtime = inner.runtime.clone();
            tasks.spawn_on(async move { inner.ship_all().await }, &runtime);
        }
    }
}

impl Inner {
    async fn ship_all(self: &Arc<Self>) {
        while let Some((target, message)) = self.queue.next() {
            let began = Instant::now();
            let stopped = self.stop.cancelled();
            let shipped = tokio::select! {
                () = stopped => Err(NotShipped::Stopped),
                shipped = self.ship(target.0, &message) => shipped,
            };
            let has_newer = self.queue.done(target);
            match shipped {
                // What raft waits for is the newer one.
                _ if has_newer => {}
                Ok((broker, bytes)) => {
                    let took = began.elapsed();
                    if bytes >= LARGE_BYTES || took >= LONG {
                        tracing::info!(group = %target.0, broker, bytes, ?took, "a follower has the records that it lacked");
                    }
                    self.ways.post(broker, target.0, message);
                }
                Err(error) => self.give_up(target, &error),
            }
        }
    }

    fn give_up(self: &Arc<Self>, target: Target, error: &NotShipped) {
        let (group, to) = target;
        match error.is_trouble() {
            true => {
                tracing::warn!(%group, replica = to, %error, "cannot send records to a follower")
            }
            false => {
                tracing::debug!(%group, replica = to, %error, "records are not sent to a follower")
            }
        }
        let inner = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = tokio::time::sleep(REST) => {}
            }
            if !inner.queue.has_newer(target)
                && let Some(engine) = inner.engine()
            {
                engine.snapshot_sent(group, to, false);
            }
        });
    }

    /// Returns when the follower has everything that the snapshot names, with its broker and the bytes that were sent.
    async fn ship(&self, group: GroupId, message: &Message) -> Result<(BrokerId, u64), NotShipped> {
        let header = SnapshotHeader::decode(&message.get_snapshot().data);
        let broker = self
            .leading(group, message.from)?
            .broker_of(message.to)
            .ok_or(NotShipped::NoBroker)?;
        let mut shipment = Shipment {
            inner: self,
            id: uuid::Uuid::new_v4().as_u64_pair().0,
            group,
            from: message.from,
            to: message.to,
            header: header.ok_or(NotShipped::NoHeader)?,
            broker,
            sent: 0,
        };
        shipment.run().await?;
        Ok((broker, shipment.sent))
    }

    /// The replica here, as long as it leads.
    fn leading(&self, group: GroupId, peer: PeerId) -> Result<Handle, NotShipped> {
        let handle = self.handle(group).ok_or(NotShipped::Deposed)?;
        let leads = handle.positions().role == Role::Leader && handle.peer() == peer;
        leads.then_some(handle).ok_or(NotShipped::Deposed)
    }
}

impl Shipment<'_> {
    async fn run(&mut self) -> Result<(), NotShipped> {
        let mut had = None;
        let mut reply = self.begin().await?;
        loop {
            let wanted = match reply {
                Reply::Complete => return Ok(()),
                Reply::Needs(offset) => Offset(offset),
                Reply::Refused(why) => return Err(NotShipped::Refused(why)),
                Reply::More | Reply::Busy => return Err(NotShipped::Unknown),
            };
            match had {
                Some(had) if wanted < had => {
                    return Err(NotShipped::NoProgress { wanted, had });
                }
                Some(_) => {}
                None => self.announce(wanted)?,
            }
            if wanted >= self.header.next_offset {
                return Err(NotShipped::Unknown);
            }
            let parcel = self.read(wanted).await?;
            had = Some(parcel.next);
            reply = self.send(&parcel).await?;
        }
    }

    fn announce(&self, from: Offset) -> Result<(), NotShipped> {
        let handle = self.inner.leading(self.group, self.from)?;
        let bytes = handle.bytes_between(from, self.header.next_offset);
        if bytes >= LARGE_BYTES {
            let (group, broker) = (self.group, self.broker);
            tracing::info!(%group, broker, %from, bytes, "a follower is far behind: records are sent to it");
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Reply, NotShipped> {
        let question = Question::Begin(Begin {
            shipment: self.id,
            group: self.group,
            from: self.from,
            to: self.to,
            next_offset: self.header.next_offset.0,
            log_start: self.header.log_start.0,
        });
        let question = question.encode(&[]);
        let deadline = Instant::now() + BUSY_PATIENCE;
        loop {
            let reply = self.ask(question.clone(), ANSWER_PATIENCE).await?;
            if reply != Reply::Busy {
                return Ok(reply);
            }
            if Instant::now() >= deadline {
                return Err(NotShipped::Busy);
            }
            tokio::time::sleep(BUSY_INTERVAL).await;
            self.inner.leading(self.group, self.from)?;
        }
    }

    /// What comes next, as much as a parcel holds.
    async fn read(&self, from: Offset) -> Result<Import, NotShipped> {
        let handle = self.inner.leading(self.group, self.from)?;
        let upto = self.header.next_offset;
        let max_bytes = self.inner.settings.parcel_bytes;
        let read = blocking(READ_PATIENCE, move || handle.export(from, upto, max_bytes)).await;
        let parcel = read.ok_or(NotShipped::Slow)??;
        parcel.ok_or(NotShipped::Passed(from))
    }

    async fn send(&mut self, import: &Import) -> Result<Reply, NotShipped> {
        let parcel = pack(import);
        let chunk_bytes = self.inner.settings.chunk_bytes;
        let mut at = 0;
        loop {
            let data = parcel.slice(at..parcel.len().min(at + chunk_bytes));
            let is_last = at + data.len() == parcel.len();
            let question = Question::Chunk(Chunk {
                shipment: self.id,
                group: self.group,
                base: import.base.0,
                next: import.next.0,
                parcel_bytes: parcel.len() as u64,
                at: at as u64,
            });
            self.inner.pace.wait_for(data.len() as u64).await;
            self.inner.leading(self.group, self.from)?;
            let patience = if is_last {
                RUN_PATIENCE
            } else {
                ANSWER_PATIENCE
            };
            let reply = self.ask(question.encode(&data), patience).await?;
            self.sent += data.len() as u64;
            let sent = &self.inner.counters.sent_bytes;
            sent.fetch_add(data.len() as u64, Ordering::Relaxed);
            if is_last || reply != Reply::More {
                return Ok(reply);
            }
            at += data.len();
        }
    }

    async fn ask(&self, question: Bytes, patience: Duration) -> Result<Reply, NotShipped> {
        let deadline = Instant::now() + QUEUE_PATIENCE;
        let answer = loop {
            let ways = &self.inner.ways;
            match ways.ask(self.broker, question.clone(), patience).await {
                // Nobody has heard it.
                Err(AskError::Busy) if Instant::now() < deadline => {
                    tokio::time::sleep(QUEUE_INTERVAL).await;
                }
                answered => break answered?,
            }
        };
        Reply::decode(&answer).ok_or(NotShipped::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(index: u64) -> Message {
        let mut message = Message::default();
        message.index = index;
        message
    }

    #[test]
    fn a_replica_waits_once_with_the_newest_snapshot_and_is_not_shipped_to_twice_at_a_time() {
        let queue = Queue::default();
        let (a, b) = ((GroupId(1), 2), (GroupId(1), 3));
        assert!(queue.add(a, message(1)), "a first worker");
        assert!(queue.add(a, message(2)), "and a second");
        assert!(!queue.add(b, message(3)), "no more");
        let next = || {
            queue
                .next()
                .map(|(target, message)| (target, message.index))
        };
        assert_eq!(next(), Some((a, 2)));
        queue.add(a, message(4));
        assert_eq!(next(), Some((b, 3)));
        assert_eq!(queue.under_way(), 2);
        assert!(!queue.done(b));
        assert_eq!(next(), None, "a waits for its own end");
        assert!(queue.done(a), "raft waits for the newer one");
        assert_eq!(next(), Some((a, 4)));
        assert!(!queue.done(a));
        assert_eq!(next(), None);
        assert!(queue.add(b, message(5)), "workers that ended are missed");
    }
}
