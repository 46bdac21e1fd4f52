//! Which member of a consumer group is to read which partition.

mod demand;
mod range;
#[cfg(test)]
mod tests;
mod uniform;

use super::Partitions;
use crate::group::Name;
use crate::group::catalog::Catalog;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What `group.consumer.assignors` and a member's `group.remote.assignor` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Everybody gets as much as everybody else, and keeps what it has.
    Uniform,
    /// Of each topic, everybody gets a run of neighbours: topics with the same number of partitions go together.
    Range,
}

/// A member, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Subscriber<'a> {
    pub id: &'a Name,
    pub instance_id: Option<&'a Name>,
    pub rack: Option<&'a Name>,
    /// What it wants to read; topics that do not exist are passed over.
    pub topics: BTreeSet<Uuid>,
    /// What it was to read before.
    pub had: &'a Partitions,
}

impl Assignor {
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|one| one.name() == name)
    }

    /// What each member is to read, in the order of the members. Every partition of a topic that somebody wants goes to exactly one
    /// of those who want it. The same arguments give the same answer, in whatever order the members come.
    pub fn assign(self, members: &[Subscriber<'_>], catalog: &Catalog) -> Vec<Partitions> {
        match self {
            Assignor::Uniform => uniform::assign(members, catalog),
            Assignor::Range => range::assign(members, catalog),
        }
    }
}
