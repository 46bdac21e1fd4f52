//! What all brokers agree on: brokers, topics, their configuration, blocks of producer ids, quotas. One raft group of its own.
//!
//! [`Command`] is what may be asked for; the leader checks it against all it has proposed and turns it into a [`change::Change`],
//! a fact that every replica applies to its [`Image`]. Readers hold the image as of some moment and never wait.
//!
//! It knows no Kafka request: what a setting may be is checked by who asks, before it asks.

pub mod change;
mod command;
pub mod features;
mod handle;
mod image;
mod machine;
mod placement;
mod quotas;

pub use command::{Command, NewTopic, Output, Placement, Refusal};
pub use handle::{AskStatus, Done, Error, Forward, Handle, Submit};
pub use image::is_internal;
pub use image::{Broker, Endpoint, Image, Partition, Resource, Topic};
pub use machine::{Fault, Machine, preview};
pub use placement::Refusal as PlacementRefusal;
pub use placement::check_one as check_assignment;
pub use quotas::{EntityQuotas, NameRecord as QuotaNameRecord};
pub use quotas::{QuotaAlteration, QuotaEntity, QuotaName, QuotaValues, Quotas};

use crate::raft::ports::GroupId;

/// The group of the metadata itself. Partitions' groups are numbered from 1.
pub const GROUP: GroupId = GroupId(0);

/// What Kafka calls the topic of its own metadata. Nobody may have a topic of this name.
pub const TOPIC: &str = "__cluster_metadata";

/// A broker's `node.id`. Zero is a normal one.
pub type BrokerId = i32;

/// How many producer ids a broker takes at a time, as Kafka's brokers do.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;
