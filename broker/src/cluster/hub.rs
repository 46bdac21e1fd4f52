//! What other brokers say, and who hears it.

use super::Inner;
use super::leaders::Rumours;
use super::preference::Transfer;
use super::shipping::Shipping;
use crate::metadata::{self, BrokerId};
use crate::peers::{Answer, Handler};
use crate::raft::Failure;
use crate::raft::ports::{GroupId, PeerId};
use bytes::Bytes;
use raft::eraftpb::Message;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Kinds of notes.
pub(super) const LEADERS: u16 = 1;
pub(super) const TRANSFER: u16 = 2;

/// Kinds of questions.
pub(super) const WHO: u16 = 1;
pub(super) const COMMAND: u16 = 2;
pub(super) const JOIN: u16 = 3;
pub(super) const STANDING: u16 = 4;
pub(super) const SHIP: u16 = 5;

/// What a broker says of itself. Later releases may add fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub metadata_replica: PeerId,
    /// Whether that may vote.
    pub is_controller: bool,
}

pub(super) struct Hub(pub Arc<Inner>);

/// What is said between brokers of this release and the next.
pub(super) fn encode<T: Serialize>(what: &T) -> Bytes {
    // Nothing that is said has a key that is no text, or a number that is none.
    serde_json::to_vec(what).unwrap_or_default().into()
}

pub(super) fn decode<T: for<'a> Deserialize<'a>>(from: BrokerId, body: &[u8]) -> Option<T> {
    let decoded = serde_json::from_slice(body);
    decoded
        .inspect_err(
            |error| tracing::warn!(from, %error, "a broker says what cannot be understood"),
        )
        .ok()
}

impl Handler for Hub {
    fn about(&self) -> Bytes {
        encode(&About {
            metadata_replica: self.0.metadata_replica,
            is_controller: self.0.is_controller,
        })
    }

    fn pulse(&self) -> Bytes {
        Bytes::new()
    }

    fn up(&self, broker: BrokerId, about: Bytes) {
        let Some(about) = decode::<About>(broker, &about) else {
            return;
        };
        tracing::info!(broker, "a broker is connected");
        self.0.up().insert(broker, about);
        self.0.tell_routes();
        self.0.tell_leaders_to(broker);
    }

    fn down(&self, broker: BrokerId) {
        if self.0.up().remove(&broker).is_some() && !self.0.stop.is_cancelled() {
            tracing::warn!(broker, "a broker is lost");
            self.0.lost(broker);
            if let Some(shipping) = self.0.shipping.get() {
                shipping.lost(broker);
            }
        }
    }

    fn pulsed(&self, _from: BrokerId, _body: Bytes) {}

    fn raft(&self, from: BrokerId, messages: Vec<(GroupId, Message)>) {
        let Some(engine) = self.0.engine() else {
            return;
        };
        for (group, message) in messages {
            match self.0.shipping.get() {
                Some(shipping) if group != metadata::GROUP && Shipping::concerns(&message) => {
                    shipping.arrived(from, group, message);
                }
                _ => engine.deliver(group, message),
            }
        }
    }

    fn note(&self, from: BrokerId, kind: u16, body: Bytes) {
        match kind {
            LEADERS => {
                if let Some(rumours) = decode::<Rumours>(from, &body) {
                    self.0.leaders.hear(from, rumours);
                }
            }
            TRANSFER => {
                if let Some(transfer) = decode::<Transfer>(from, &body) {
                    self.0.transfer(&transfer);
                }
            }
            // Of a later release.
            _ => tracing::debug!(from, kind, "a note of an unknown kind"),
        }
    }

    fn asked(&self, from: BrokerId, kind: u16, body: Bytes, answer: Answer) {
        let inner = self.0.clone();
        self.0.runtime.spawn(async move {
            match kind {
                WHO => answer.send(encode(&inner.who().await)),
                STANDING => answer.send(encode(&inner.standing().await)),
                COMMAND => {
                    if let Some(metadata) = inner.metadata.get() {
                        let done = match decode::<metadata::Command>(from, &body) {
                            Some(command) => metadata.submit_here(command).await,
                            None => Err(Failure::Refused(metadata::Refusal::Later)),
                        };
                        answer.send(encode(&done));
                    }
                }
                JOIN => {
                    if let Some(replica) = decode::<PeerId>(from, &body) {
                        answer.send(encode(&inner.let_in(from, replica).await));
                    }
                }
                SHIP => {
                    if let Some(shipping) = inner.shipping.get() {
                        answer.send(shipping.asked(from, body).await);
                    }
                }
                _ => tracing::debug!(from, kind, "a question of an unknown kind"),
            }
        });
    }

    fn unreachable(&self, to: BrokerId) {
        tracing::debug!(broker = to, "messages for a broker are dropped");
    }

    fn snapshot_sent(&self, group: GroupId, peer: PeerId, delivered: bool) {
        if let Some(engine) = self.0.engine() {
            engine.snapshot_sent(group, peer, delivered);
        }
    }
}
