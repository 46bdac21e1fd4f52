//! Raft's way to the other brokers: which replica is where, and messages gathered for each broker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use raft::eraftpb::{Message, MessageType};

use super::frame::{Body, OVERHEAD_BYTES, Outgoing};
use super::hub::Hub;
use super::messages;
use super::{BrokerId, Lane};
use crate::raft::ports::{GroupId, PeerId, Transport};

/// So much is sent without waiting for what may yet be added.
const GATHERED_BYTES: usize = 256 << 10;

/// One for each raft worker. It holds the routes of that worker's groups.
#[derive(Debug)]
pub struct Courier {
    hub: Arc<Hub>,
    lane: Lane,
    routes: HashMap<GroupId, Vec<(PeerId, BrokerId)>>,
    gathered: BTreeMap<BrokerId, Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    body: Body,
    messages: u64,
    snapshots: Vec<(GroupId, PeerId)>,
}

impl Courier {
    pub(super) fn new(hub: Arc<Hub>, lane: Lane) -> Courier {
        Courier {
            hub,
            lane,
            routes: HashMap::new(),
            gathered: BTreeMap::new(),
        }
    }

    /// Where the replicas of a group are. Replaces what was known of it.
    pub fn set_route(
        &mut self,
        group: GroupId,
        replicas: impl Iterator<Item = (PeerId, BrokerId)>,
    ) {
        self.routes.insert(group, replicas.collect());
    }

    pub fn forget(&mut self, group: GroupId) {
        self.routes.remove(&group);
    }

    fn route(&self, group: GroupId, peer: PeerId) -> Option<BrokerId> {
        let replicas = self.routes.get(&group)?;
        let (_, broker) = replicas.iter().find(|(id, _)| *id == peer)?;
        Some(*broker)
    }

    fn gather(&mut self, broker: BrokerId, group: GroupId, message: &Message) {
        let gathered = self.gathered.entry(broker).or_default();
        // What might not fit into the same frame begins one of its own.
        let room = self.hub.settings.max_frame_bytes.min(GATHERED_BYTES);
        if gathered.messages > 0 && gathered.body.len() + at_most(message) > room {
            let full = std::mem::take(gathered);
            self.post(broker, full);
        }
        let gathered = self.gathered.entry(broker).or_default();
        messages::put(&mut gathered.body, group, message);
        gathered.messages += 1;
        if message.get_msg_type() == MessageType::MsgSnapshot {
            gathered.snapshots.push((group, message.to));
        }
        if gathered.messages as usize == messages::MAX_MESSAGES {
            let full = std::mem::take(gathered);
            self.post(broker, full);
        }
    }

    fn post(&self, broker: BrokerId, gathered: Gathered) {
        let Gathered {
            body,
            messages,
            snapshots,
        } = gathered;
        let frame = Outgoing::raft(body, messages, snapshots);
        let (bytes, limit) = (frame.len(), self.hub.settings.max_frame_bytes);
        if bytes > limit {
            self.hub.complain(|| {
                tracing::error!(broker, bytes, limit, "raft message is too long to be sent");
            });
        }
        let handler = &*self.hub.handler;
        match self.hub.peer(broker) {
            Some(peer) => peer.post_messages(self.lane, frame, handler),
            None => {
                for (group, peer) in frame.snapshots {
                    handler.snapshot_sent(group, peer, false);
                }
            }
        }
    }
}

impl Transport for Courier {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        for message in messages {
            match self.route(group, message.to) {
                Some(broker) => self.gather(broker, group, &message),
                None if message.get_msg_type() == MessageType::MsgSnapshot => {
                    self.hub.handler.snapshot_sent(group, message.to, false);
                }
                None => {}
            }
        }
    }

    fn flush(&mut self) {
        while let Some((broker, gathered)) = self.gathered.pop_first() {
            if gathered.messages > 0 {
                self.post(broker, gathered);
            }
        }
    }
}

/// The bytes of a message, its numbers taken for long ones.
fn at_most(message: &Message) -> usize {
    const NUMBERS: usize = 256;
    const ENTRY: usize = 32;
    let entries: usize = message
        .entries
        .iter()
        .map(|entry| ENTRY + entry.context.len() + entry.data.len())
        .sum();
    let snapshot = message.get_snapshot().data.len();
    OVERHEAD_BYTES + NUMBERS + message.context.len() + entries + snapshot
}
