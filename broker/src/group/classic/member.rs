//! One member of a classic group.

use crate::group::Name;
use crate::group::effects::Ticket;
use bytes::Bytes;

/// Where a member's requests come from, as it is shown to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub id: Name,
    /// `/127.0.0.1`, as Kafka writes it.
    pub host: Name,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub id: Name,
    pub instance_id: Option<Name>,
    pub client: Client,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The protocols it can do, the one it likes best first, each with what it has to say in it.
    pub protocols: Vec<(Name, Bytes)>,
    pub assignment: Bytes,
    /// It waits for its first generation to begin.
    pub is_new: bool,
    /// Waits for the generation to begin.
    pub joining: Option<Ticket>,
    /// Waits for its assignment.
    pub syncing: Option<Ticket>,
}

impl Member {
    /// Of those named, in the order that it likes them.
    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| **name == *protocol)
    }

    /// What it has to say in a protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let mut protocols = self.protocols.iter();
        protocols
            .find(|(name, _)| **name == *protocol)
            .map(|(_, metadata)| metadata)
    }

    /// Whoever waits for an answer is heard by that alone.
    pub fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }
}
