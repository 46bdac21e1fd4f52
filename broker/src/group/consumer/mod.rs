//! A consumer group (KIP-848): the coordinator decides which member reads what, and leads each member there step by step.
//!
//! Everything is said in heartbeats ([`heartbeat`]). What members say changes the group's epoch; for each epoch an [`assignor`]
//! decides on a target ([`target`]); and each member goes towards it by itself ([`reconcile`]): it gives back what it is not to
//! have, and is given what nobody else holds. A member that is silent, or takes too long to give something back, is taken out
//! ([`leave`]). Members may speak the classic protocol ([`classic`]) while a group goes over to the new one, or back ([`migration`]).

mod admission;
pub mod assignor;
mod classic;
mod commit;
mod describe;
mod group;
mod heartbeat;
mod leave;
mod member;
mod migration;
pub mod pattern;
mod reconcile;
mod record;
mod target;

pub use commit::Committer;
pub use describe::{DescribedConsumer, DescribedConsumerGroup};
pub use group::{ConsumerGroup, GroupState};
pub use heartbeat::{Beat, Heartbeat};
pub use leave::Leave;

use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Partitions by the ids of their topics; no topic is there without a partition.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// The same, with the epoch in which each was given.
pub type Held = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// Said by who joins.
pub const JOINS: i32 = 0;

/// Said by who leaves.
pub const LEAVES: i32 = -1;

/// Said by an instance that will be back.
pub const LEAVES_FOR_NOW: i32 = -2;
