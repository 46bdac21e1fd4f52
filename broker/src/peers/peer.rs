//! What is known of one other broker: its links, and what waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ask::Asks;
use super::frame::{Outgoing, Pulse};
use super::hello::Hello;
use super::queue::Queue;
use super::settings::{Address, Settings};
use super::stats::PeerStats;
use super::{BrokerId, Handler, Lane};

/// How often the layer above is told that a broker cannot be reached.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(1);

/// A connection that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Inbound {
    /// No two links have the same.
    pub(super) serial: u64,
    pub(super) instance: u128,
    pub(super) about: Bytes,
    /// Ends it.
    pub(super) stop: CancellationToken,
    /// It has ended: nothing of it reaches the handler any more.
    pub(super) ended: CancellationToken,
}

/// The tasks that dial a broker.
#[derive(Debug)]
pub(super) struct Dialing {
    pub(super) addresses: watch::Sender<Vec<Address>>,
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent_bytes: AtomicU64,
    pub(super) sent_frames: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) received_frames: AtomicU64,
    pub(super) dropped_messages: AtomicU64,
    /// 0: not known.
    round_trip_ns: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// Locks are held for a few instructions each and one at a time, but for `told`, which is held while the handler hears of up
/// and down, so that it hears them in order.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: BrokerId,
    pub(super) queues: [Queue; 2],
    pub(super) asks: Asks,
    pub(super) counters: Counters,
    pub(super) dialing: Mutex<Option<Dialing>>,
    /// Held by whoever dials on a lane: one who was told to stop, and one who begins, may be there at once.
    pub(super) turns: [tokio::sync::Mutex<()>; 2],
    inbound: Mutex<[Option<Inbound>; 2]>,
    /// The urgent inbound link that the handler knows to be up.
    told: Mutex<Option<u64>>,
    newest_pulse: Mutex<Option<(u64, Instant)>>,
    complained: Mutex<Option<Instant>>,
}

/// What stands in the way of a new inbound link.
pub(super) enum Obstacle {
    /// An older link of the same process, or of one that is gone: it is ended first.
    Older(Inbound),
    /// Another process with the same id lives.
    Rival,
}

impl Peer {
    pub(super) fn new(id: BrokerId, settings: &Settings) -> Peer {
        let queue = |limit| Queue::new(limit, settings.max_frame_bytes);
        Peer {
            id,
            queues: settings.queue_bytes.map(queue),
            asks: Asks::default(),
            counters: Counters::default(),
            dialing: Mutex::default(),
            turns: Default::default(),
            inbound: Mutex::default(),
            told: Mutex::default(),
            newest_pulse: Mutex::default(),
            complained: Mutex::default(),
        }
    }

    pub(super) fn queue(&self, lane: Lane) -> &Queue {
        &self.queues[lane as usize]
    }

    pub(super) fn urgent(&self) -> Option<Inbound> {
        lock(&self.inbound)[Lane::Urgent as usize].clone()
    }

    /// Adds a link unless another stands in its way.
    pub(super) fn admit(&self, lane: Lane, new: &Inbound) -> Result<(), Obstacle> {
        let mut links = lock(&self.inbound);
        // An urgent link that is silent ends by itself, so one that is here is alive.
        if let Some(urgent) = &links[Lane::Urgent as usize]
            && urgent.instance != new.instance
        {
            return Err(Obstacle::Rival);
        }
        let stands_in_the_way =
            |link: &Inbound, of: Lane| of == lane || link.instance != new.instance;
        for of in Lane::ALL {
            if let Some(link) = &links[of as usize]
                && stands_in_the_way(link, of)
            {
                return Err(Obstacle::Older(link.clone()));
            }
        }
        links[lane as usize] = Some(new.clone());
        Ok(())
    }

    pub(super) fn dismiss(&self, lane: Lane, serial: u64) {
        let mut links = lock(&self.inbound);
        if links[lane as usize]
            .as_ref()
            .is_some_and(|link| link.serial == serial)
        {
            links[lane as usize] = None;
            // Who has no urgent link is gone: its bulk link, which may be silent for longer, ends with it.
            if let (Lane::Urgent, Some(bulk)) = (lane, &links[Lane::Bulk as usize]) {
                bulk.stop.cancel();
            }
        }
    }

    pub(super) fn hang_up(&self) {
        for link in lock(&self.inbound).iter().flatten() {
            link.stop.cancel();
        }
    }

    pub(super) fn is_up(&self) -> bool {
        let there = self.queue(Lane::Urgent).instance();
        let here = self.urgent().map(|link| link.instance);
        there.is_some() && here == there
    }

    /// Tells the handler what changed, if something did. Called after each change of an urgent link.
    pub(super) fn settle(&self, handler: &dyn Handler) {
        let mut told = lock(&self.told);
        let link = self.urgent();
        if told.is_some() && *told != link.as_ref().map(|link| link.serial) {
            *told = None;
            self.asks.give_up();
            lock(&self.newest_pulse).take();
            self.counters.round_trip_ns.store(0, Ordering::Relaxed);
            tracing::info!(broker = self.id, "broker is down");
            handler.down(self.id);
        }
        if let (None, Some(link)) = (*told, link)
            && self.queue(Lane::Urgent).instance() == Some(link.instance)
        {
            *told = Some(link.serial);
            tracing::info!(broker = self.id, "broker is up");
            handler.up(self.id, link.about);
        }
    }

    /// Queues raft messages, or tells what became of them.
    pub(super) fn post_messages(&self, lane: Lane, frame: Outgoing, handler: &dyn Handler) {
        if let Err(frame) = self.queue(lane).post(frame, None) {
            self.lost(vec![frame], handler);
        }
    }

    /// These were not sent, or nobody knows whether they were.
    pub(super) fn lost(&self, frames: Vec<Outgoing>, handler: &dyn Handler) {
        let messages = frames.iter().map(|frame| frame.messages).sum();
        if messages == 0 {
            return;
        }
        Counters::add(&self.counters.dropped_messages, messages);
        for (group, peer) in frames.iter().flat_map(|frame| &frame.snapshots) {
            handler.snapshot_sent(*group, *peer, false);
        }
        let now = Instant::now();
        let mut complained = lock(&self.complained);
        let is_due = complained.is_none_or(|last| now.duration_since(last) >= COMPLAINT_PERIOD);
        if is_due {
            *complained = Some(now);
            drop(complained);
            handler.unreachable(self.id);
        }
    }

    pub(super) fn clocks(&self, now: u64) -> Pulse {
        let (echo, held) = match *lock(&self.newest_pulse) {
            Some((sent_at, came)) => (sent_at, nanos(came.elapsed())),
            None => (0, 0),
        };
        Pulse {
            sent_at: now,
            echo,
            held,
        }
    }

    pub(super) fn pulsed(&self, pulse: Pulse, now: u64) {
        *lock(&self.newest_pulse) = Some((pulse.sent_at, Instant::now()));
        if pulse.echo != 0 {
            let round_trip = now.saturating_sub(pulse.echo).saturating_sub(pulse.held);
            self.counters
                .round_trip_ns
                .store(round_trip.max(1), Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> PeerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let round_trip_ns = read(&counters.round_trip_ns);
        PeerStats {
            broker: self.id,
            is_up: self.is_up(),
            sent_bytes: read(&counters.sent_bytes),
            sent_frames: read(&counters.sent_frames),
            received_bytes: read(&counters.received_bytes),
            received_frames: read(&counters.received_frames),
            queued_bytes: Lane::ALL.map(|lane| self.queue(lane).bytes()),
            dropped_messages: read(&counters.dropped_messages),
            round_trip: (round_trip_ns != 0).then(|| Duration::from_nanos(round_trip_ns)),
        }
    }
}

impl Inbound {
    pub(super) fn new(serial: u64, hello: &Hello, stop: CancellationToken) -> Inbound {
        Inbound {
            serial,
            instance: hello.instance,
            about: hello.about.clone(),
            stop,
            ended: CancellationToken::new(),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
