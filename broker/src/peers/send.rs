//! One connection that was dialed, from its welcome to its end: what is queued goes out, and nothing comes in.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Lane;
use super::frame::{Body, Outgoing};
use super::hub::Hub;
use super::peer::{Counters, Peer};
use super::seal::Sealer;

/// What a broker says of itself with each pulse.
const MAX_PULSE_BYTES: usize = 64 << 10;
/// Parts of a write that go to the system at once.
const MAX_SLICES: usize = 64;

/// Why a link that was sent on is no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the other side hung up")]
    HungUp,
    #[error("the other side said something on a link that is for listening")]
    Spoke,
    #[error("the other side took nothing for {0:?}")]
    Stuck(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("hung up")]
    Stopped,
}

/// The link as others see it: while this is, frames are queued for it.
struct Link<'a> {
    hub: &'a Hub,
    peer: &'a Peer,
    lane: Lane,
    /// Taken from the queue, and not known to be written.
    writing: Vec<Outgoing>,
}

impl<'a> Link<'a> {
    fn open(hub: &'a Hub, peer: &'a Peer, lane: Lane, instance: u128) -> Link<'a> {
        peer.queue(lane).connect(instance);
        if lane == Lane::Urgent {
            peer.settle(&*hub.handler);
        }
        Link {
            hub,
            peer,
            lane,
            writing: Vec::new(),
        }
    }

    /// What was taken from the queue is with the system now.
    fn written(&mut self) {
        for frame in self.writing.drain(..) {
            for (group, peer) in frame.snapshots {
                self.hub.handler.snapshot_sent(group, peer, true);
            }
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        let handler = &*self.hub.handler;
        let mut lost = std::mem::take(&mut self.writing);
        lost.extend(self.peer.queue(self.lane).disconnect());
        self.peer.lost(lost, handler);
        if self.lane == Lane::Urgent {
            self.peer.asks.give_up();
            self.peer.settle(handler);
        }
    }
}

/// The returned error says why it ended: it always does.
pub(super) async fn send(
    hub: &Arc<Hub>,
    peer: &Peer,
    lane: Lane,
    stream: TcpStream,
    instance: u128,
    sealer: Sealer,
    stop: &CancellationToken,
) -> Ended {
    let (mut from, mut to) = stream.into_split();
    let mut link = Link::open(hub, peer, lane, instance);
    let mut said = [0; 1];
    tokio::select! {
        () = stop.cancelled() => Ended::Stopped,
        heard = from.read(&mut said) => match heard {
            Ok(0) => Ended::HungUp,
            Ok(_) => Ended::Spoke,
            Err(error) => Ended::Io(error),
        },
        error = pump(&mut link, &mut to, sealer) => error,
    }
}

async fn pump(
    link: &mut Link<'_>,
    to: &mut (impl AsyncWrite + Unpin),
    mut sealer: Sealer,
) -> Ended {
    let (hub, peer, lane) = (link.hub, link.peer, link.lane);
    let settings = &hub.settings;
    let every = match lane {
        Lane::Urgent => settings.pulse_interval,
        // Only so that the other side can tell a link that is idle from one that is dead.
        Lane::Bulk => settings.pulse_interval.max(settings.silence / 4),
    };
    let mut pulses = tokio::time::interval(every.max(Duration::from_millis(1)));
    pulses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        link.writing = tokio::select! {
            biased;
            _ = pulses.tick() => vec![pulse(hub, peer, lane)],
            frames = peer.queue(lane).take() => frames,
        };
        let mut sealed = Body::default();
        for frame in &link.writing {
            frame.write(&mut sealer, &mut sealed);
        }
        let (frames, bytes) = (link.writing.len() as u64, sealed.len() as u64);
        if let Err(ended) = write_all(to, sealed.into_parts(), settings.silence).await {
            return ended;
        }
        Counters::add(&peer.counters.sent_frames, frames);
        Counters::add(&peer.counters.sent_bytes, bytes);
        link.written();
    }
}

fn pulse(hub: &Hub, peer: &Peer, lane: Lane) -> Outgoing {
    let body = match lane {
        Lane::Urgent => hub.bounded(hub.handler.pulse(), MAX_PULSE_BYTES, "pulse"),
        Lane::Bulk => Bytes::new(),
    };
    Outgoing::pulse(peer.clocks(hub.now()), &body)
}

/// As many parts as possible with each call, and no longer without progress than `patience`.
async fn write_all(
    to: &mut (impl AsyncWrite + Unpin),
    parts: Vec<Bytes>,
    patience: Duration,
) -> Result<(), Ended> {
    let mut parts: VecDeque<Bytes> = parts.into();
    while !parts.is_empty() {
        let slices: Vec<IoSlice<'_>> = parts
            .iter()
            .take(MAX_SLICES)
            .map(|part| IoSlice::new(part))
            .collect();
        let mut written = match tokio::time::timeout(patience, to.write_vectored(&slices)).await {
            Err(_) => return Err(Ended::Stuck(patience)),
            Ok(Ok(0)) => return Err(Ended::HungUp),
            Ok(written) => written?,
        };
        while let Some(part) = parts.front_mut() {
            let of_it = written.min(part.len());
            part.advance(of_it);
            written -= of_it;
            if !part.is_empty() {
                break;
            }
            parts.pop_front();
        }
    }
    Ok(())
}
