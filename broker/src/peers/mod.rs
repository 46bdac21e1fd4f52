//! Brokers talk to one another: raft messages, pulses, notes, questions and answers.
//!
//! Each broker *dials* every other broker that it was told of and *sends* on those connections; it *listens* on connections
//! that it accepted. So a link has one direction, and there is no tie to break between two that cross. To each broker
//! there are two links, of which one never waits for the other: [`Lane::Urgent`] and [`Lane::Bulk`].
//!
//! # The wire, version 1
//!
//! Numbers are big-endian; a *part* is a length (`u32`, 32 KiB at most) and so many bytes.
//!
//! ```text
//!  dialer                                                        acceptor
//!    "MLRC", min u16, max u16, part: name of secret, nonce   ->
//!                                   <-   "MLRC", outcome u8, u16, u16, part: nonce
//!    part: hello, proof                                      ->
//!                                   <-   outcome u8, part: hello or reason, proof
//!    frame, frame, frame ...                                 ->  (and never a byte back)
//! ```
//!
//! The first four bytes, the versions and the parts' lengths are the same in all versions; of two ranges the highest
//! common version is used, and with none the acceptor says so (outcome 1, its own range) and hangs up. The name says which secret the
//! dialer uses; an acceptor that does not have it says that (outcome 2), and the dialer tries its other one the next time.
//! A proof is an HMAC-SHA256 by the secret over a label of the role and the hash of *all* that was said before, by either side, so it is good
//! for one connection, one role and one dialogue. Until the dialer has proved itself the acceptor has told its versions, a nonce, and whether it
//! has a secret of that name. Refusals (wrong cluster, wrong broker, id in use) come after the proof, and are proved themselves.
//!
//! A frame is its length (`u32`, of what follows), kind (`u8`), body, and a seal of 16 bytes by a key that is made of the secret
//! and the whole handshake, over the frame and its number on this connection. A frame that was changed, doubled, moved or lost
//! ends the connection. Bodies: `frame.rs`, and `messages.rs` for raft's.
//!
//! **To change it:** a hello has tagged fields, and those that are not known are passed over, as are bytes behind the nonces: a release may
//! add some without a new version. A new kind of frame, or a new form of one, needs a new version, and is sent only where the other
//! side speaks it. A release speaks its own version and that of the release before, so that a cluster is upgraded one broker after another.
//!
//! # What is promised
//!
//! Frames of one lane arrive in order or not at all. Posting never waits: what is queued is bounded, and what does not fit, or has no link, is
//! dropped and counted; raft sends it again. A link that makes no progress for `silence` is dropped, with all that waits for it. No
//! more than one process of a broker is listened to at a time. **Not promised:** secrecy. Whoever can read the network reads the records.
//!
//! Read next: `handshake.rs`, then `accept.rs` and `send.rs` (either end of a link), `peer.rs` (what is known of a
//! broker), `courier.rs` (raft's side).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::eraftpb::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::raft::ports::{GroupId, PeerId};

mod accept;
mod ask;
mod courier;
mod cursor;
mod dial;
mod frame;
mod handshake;
pub mod hello;
mod hub;
pub mod messages;
mod peer;
mod queue;
pub mod reader;
pub mod seal;
mod secrets;
mod send;
mod settings;
mod stats;

#[cfg(test)]
mod tests;

pub use ask::{Answer, AskError};
pub use courier::Courier;
pub use frame::Kind;
pub use secrets::{Secrets, SecretsError};
pub use settings::{Address, Settings};
pub use stats::PeerStats;

use frame::Outgoing;
use hub::Hub;
use peer::{Dialing, Peer, lock};

/// Kafka's node id.
pub type BrokerId = i32;

/// What this release speaks.
const PROTOCOL_VERSIONS: Versions = Versions { min: 1, max: 1 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: u16,
    pub max: u16,
}

impl Versions {
    fn contains(self, version: u16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn highest_common(self, other: Versions) -> Option<u16> {
        let version = self.max.min(other.max);
        (self.contains(version) && other.contains(version)).then_some(version)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A connection for each, so that bulk never delays what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Pulses, the metadata group's messages, notes, questions and answers.
    Urgent,
    /// Partitions' raft messages, and questions that are long.
    Bulk,
}

impl Lane {
    const ALL: [Lane; 2] = [Lane::Urgent, Lane::Bulk];

    fn code(self) -> u8 {
        match self {
            Lane::Urgent => 0,
            Lane::Bulk => 1,
        }
    }

    fn from_code(code: u8) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

/// What the layer above does with what comes in. Called on the runtime's threads, and, where a message cannot be sent, on that of
/// whoever sends it; must not wait. `up` and `down` of a broker alternate; other calls may come before the one and after the other.
pub trait Handler: Send + Sync + 'static {
    /// What this broker says of itself at the start of each connection: 16 KiB at most.
    fn about(&self) -> Bytes;
    /// What this broker says with each pulse: 64 KiB at most.
    fn pulse(&self) -> Bytes;
    /// Both urgent links are live, and lead to the same process. `about` is what it said of itself.
    fn up(&self, broker: BrokerId, about: Bytes);
    /// Its urgent link broke, or was silent for too long.
    fn down(&self, broker: BrokerId);
    fn pulsed(&self, from: BrokerId, body: Bytes);
    /// Who sent them is known; whether those replicas are there is for the handler to check.
    fn raft(&self, from: BrokerId, messages: Vec<(GroupId, Message)>);
    fn note(&self, from: BrokerId, kind: u16, body: Bytes);
    fn asked(&self, from: BrokerId, kind: u16, body: Bytes, answer: Answer);
    /// Raft messages for that broker were dropped. Told once a second at most.
    fn unreachable(&self, to: BrokerId);
    /// What became of a `MsgSnapshot`: handed to the network, or not.
    fn snapshot_sent(&self, group: GroupId, peer: PeerId, delivered: bool);
}

/// The other brokers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    hub: Arc<Hub>,
}

impl Peers {
    /// Within a runtime. Everything ends when `stop` is cancelled.
    pub fn start(
        settings: Settings,
        listeners: Vec<TcpListener>,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Peers {
        let hub = Arc::new(Hub::new(settings, handler, stop, tasks.clone()));
        for listener in listeners {
            tasks.spawn(accept::keep_accepting(hub.clone(), listener));
        }
        Peers { hub }
    }

    /// Which other brokers there are. New ones are dialed, those gone are hung up on; where an address changed the link stays, and
    /// the next dial goes to the new one. This broker's own id is passed over.
    pub fn set_addresses(&self, others: BTreeMap<BrokerId, Vec<Address>>) {
        for peer in self.hub.peers() {
            let is_gone = !others.contains_key(&peer.id);
            if is_gone && let Some(dialing) = lock(&peer.dialing).take() {
                dialing.stop.cancel();
                peer.hang_up();
            }
        }
        for (broker, addresses) in others {
            if broker == self.hub.settings.broker {
                continue;
            }
            match self.hub.introduce(broker) {
                Some(peer) => self.dial(&peer, addresses),
                None => self.hub.complain(|| {
                    tracing::error!(broker, "too many brokers: this one is not dialed");
                }),
            }
        }
    }

    fn dial(&self, peer: &Arc<Peer>, addresses: Vec<Address>) {
        let mut dialing = lock(&peer.dialing);
        if let Some(dialing) = &*dialing {
            dialing.addresses.send_if_modified(|known| {
                let is_new = *known != addresses;
                *known = addresses;
                is_new
            });
            return;
        }
        let (sender, addresses) = watch::channel(addresses);
        let stop = self.hub.stop.child_token();
        for lane in Lane::ALL {
            self.hub.tasks.spawn(dial::keep_dialing(
                self.hub.clone(),
                peer.clone(),
                lane,
                addresses.clone(),
                stop.clone(),
            ));
        }
        *dialing = Some(Dialing {
            addresses: sender,
            stop,
        });
    }

    /// Never waits. False when it cannot be queued.
    pub fn post_note(&self, to: BrokerId, kind: u16, body: Bytes) -> bool {
        let Some(peer) = self.hub.peer(to) else {
            return false;
        };
        let frame = Outgoing::note(kind, &body);
        peer.queue(Lane::Urgent).post(frame, None).is_ok()
    }

    /// No broker is asked twice: whether a question that was lost, or not answered in time, was heard is not known.
    pub async fn ask(
        &self,
        to: BrokerId,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, AskError> {
        self.ask_on(Lane::Urgent, to, kind, body, timeout).await
    }

    /// The same for questions that are long: what is urgent does not wait for them. Answers are urgent all the same, so they are
    /// to be short.
    pub async fn ask_in_bulk(
        &self,
        to: BrokerId,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, AskError> {
        self.ask_on(Lane::Bulk, to, kind, body, timeout).await
    }

    async fn ask_on(
        &self,
        lane: Lane,
        to: BrokerId,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, AskError> {
        let peer = self.hub.peer(to).ok_or(AskError::NotConnected)?;
        let limit = self.hub.settings.max_frame_bytes;
        ask::ask(&peer, lane, kind, &body, limit, timeout).await
    }

    /// Whether there is a live urgent link in each direction, both with the same process.
    pub fn is_up(&self, broker: BrokerId) -> bool {
        self.hub.peer(broker).is_some_and(|peer| peer.is_up())
    }

    pub fn up(&self) -> Vec<BrokerId> {
        let mut peers = self.hub.peers();
        peers.retain(|peer| peer.is_up());
        peers.iter().map(|peer| peer.id).collect()
    }

    /// For one raft worker.
    pub fn transport(&self, lane: Lane) -> Courier {
        Courier::new(self.hub.clone(), lane)
    }

    pub fn stats(&self) -> Vec<PeerStats> {
        let peers = self.hub.peers();
        peers.iter().map(|peer| peer.stats()).collect()
    }
}
