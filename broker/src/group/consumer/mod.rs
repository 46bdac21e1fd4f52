//! A consumer group (KIP-848): the coordinator decides which member reads what, and leads each member there step by step.

pub mod assignor;

use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Partitions by the ids of their topics; no topic is there without a partition.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;
