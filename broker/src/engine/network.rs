//! What the engine needs of the network: somebody who carries raft's messages to other brokers.

use super::EngineOptions;
use crate::metadata::BrokerId;
use crate::raft::ports::{GroupId, PeerId, Transport};
use raft::eraftpb::Message;
use std::fmt;
use std::sync::Arc;

/// Carries what one raft worker has to say. Knows on which broker each replica of its worker's groups is.
pub trait Courier: Transport + Send {
    /// The replicas of `group`, from now on.
    fn set_route(&mut self, group: GroupId, members: &[(PeerId, BrokerId)]);
    fn forget(&mut self, group: GroupId);
}

pub trait Network: Send + Sync {
    /// For a worker of partitions.
    fn for_partitions(&self) -> Box<dyn Courier>;
    /// For the worker of the metadata, whose messages no partition's load delays.
    fn for_metadata(&self) -> Box<dyn Courier>;
}

/// The courier of a worker.
pub(super) struct Wire(Box<dyn Courier>);

impl Wire {
    pub fn of_partitions(options: &EngineOptions) -> Wire {
        Wire(options.network.0.for_partitions())
    }

    pub fn of_metadata(options: &EngineOptions) -> Wire {
        Wire(options.network.0.for_metadata())
    }

    pub fn set_route(&mut self, group: GroupId, members: &[(PeerId, BrokerId)]) {
        self.0.set_route(group, members);
    }

    pub fn forget(&mut self, group: GroupId) {
        self.0.forget(group);
    }
}

impl Transport for Wire {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        self.0.send(group, messages);
    }

    fn flush(&mut self) {
        self.0.flush();
    }
}

/// As a part of [`EngineOptions`].
#[derive(Clone)]
pub struct SharedNetwork(pub Arc<dyn Network>);

impl fmt::Debug for SharedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// There is one broker: raft has nobody to talk to.
pub struct Nobody;

impl Network for Nobody {
    fn for_partitions(&self) -> Box<dyn Courier> {
        Box::new(Nobody)
    }

    fn for_metadata(&self) -> Box<dyn Courier> {
        Box::new(Nobody)
    }
}

impl Transport for Nobody {
    fn send(&mut self, group: GroupId, messages: Vec<Message>) {
        debug_assert!(
            messages.is_empty(),
            "group {group} has one voter, and messages for others: {messages:?}"
        );
    }
}

impl Courier for Nobody {
    fn set_route(&mut self, _group: GroupId, _members: &[(PeerId, BrokerId)]) {}

    fn forget(&mut self, _group: GroupId) {}
}
