//! One member of a consumer group: what it has said, and how far it has come on its way to what it is to read.

use super::{Held, Partitions};
use crate::group::Name;
use crate::group::classic::Client;
use bytes::Bytes;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: Name,
    pub said: Said,
    pub at: Position,
}

/// What a member says of itself. Kept until it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub instance_id: Option<Name>,
    pub rack_id: Option<Name>,
    pub client: Client,
    /// How long it may take to give partitions back.
    pub rebalance_timeout_ms: i32,
    pub topics: BTreeSet<Name>,
    /// Topics by a pattern of their names, besides.
    pub pattern: Option<Name>,
    /// The assignor that it wishes for.
    pub assignor: Option<Name>,
    /// Of a member that speaks the classic protocol.
    pub classic: Option<ClassicSide>,
}

/// What the classic protocol says that the new one has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicSide {
    pub session_timeout_ms: i32,
    /// The protocols it can do, each with what it has to say in it.
    pub protocols: Vec<(Name, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub state: State,
    pub epoch: i32,
    /// The epoch before it: its answer may have been lost on the way.
    pub previous_epoch: i32,
    /// What it may read, each with the epoch since when.
    pub assigned: Held,
    /// What it has not yet given back.
    pub revoking: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has what it is to have, as far as it knows.
    Stable,
    /// It has to give partitions back.
    Unrevoked,
    /// It waits for partitions that others have not given back yet.
    Unreleased,
}

impl State {
    /// As it stands in records.
    pub fn code(self) -> i8 {
        match self {
            State::Stable => 0,
            State::Unrevoked => 1,
            State::Unreleased => 2,
        }
    }

    /// States that are not known here were written by something newer.
    pub fn from_code(code: i8) -> Option<State> {
        [State::Stable, State::Unrevoked, State::Unreleased]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

impl Default for Position {
    /// Of who is about to join.
    fn default() -> Position {
        Position {
            state: State::Stable,
            epoch: 0,
            previous_epoch: 0,
            assigned: Held::new(),
            revoking: Held::new(),
        }
    }
}

impl Position {
    /// All that nobody else may have meanwhile.
    pub fn held(&self) -> impl Iterator<Item = (uuid::Uuid, i32)> {
        let both = self.assigned.iter().chain(&self.revoking);
        both.flat_map(|(topic, partitions)| partitions.keys().map(|at| (*topic, *at)))
    }

    /// It has all that it is to have in this epoch.
    pub fn has_reached(&self, epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == epoch
    }

    /// Whether an answer that led here may have been lost: the member still is where it was, and has nothing that it should not have.
    pub fn may_follow(&self, epoch: i32, owned: Option<&Partitions>) -> bool {
        epoch == self.previous_epoch
            && owned.is_some_and(|owned| {
                owned.iter().all(|(topic, partitions)| {
                    let assigned = self.assigned.get(topic);
                    assigned.is_some_and(|assigned| {
                        partitions.iter().all(|at| assigned.contains_key(at))
                    })
                })
            })
    }

    /// Since which epoch the member has this partition, if it has it.
    pub fn since(&self, topic: &uuid::Uuid, partition: i32) -> Option<i32> {
        let of = |held: &Held| held.get(topic)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }

    pub fn holding(&self) -> Partitions {
        let mut holding = Partitions::new();
        for (topic, at) in self.held() {
            holding.entry(topic).or_default().insert(at);
        }
        holding
    }

    /// What it may read.
    pub fn assignment(&self) -> Partitions {
        let topics = self.assigned.iter();
        topics
            .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
            .collect()
    }
}
