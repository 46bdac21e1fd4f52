//! A member's next step on its way from what it has to what it is to have.
//!
//! **Architecture invariant:** a partition goes to a member only when nobody else holds it, and who has to give one back holds it until
//! they say that they do not own it any more.

use super::member::{Position, State};
use super::{Held, Partitions};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Where a member stands, and where it is to go.
pub struct Way<'a> {
    pub at: &'a Position,
    pub target_epoch: i32,
    pub target: &'a Partitions,
    /// What the member says it owns; `None` if it does not say.
    pub owned: Option<&'a Partitions>,
    /// The topics that it wants to read now: the target may be older.
    pub wants: &'a BTreeSet<Uuid>,
    /// Whether what it wants has just changed.
    pub has_other_wishes: bool,
    /// Whether nobody else holds a partition.
    pub is_free: &'a dyn Fn(&Uuid, i32) -> bool,
}

impl Way<'_> {
    /// `None` while there is nothing to do.
    pub fn next(&self) -> Option<Position> {
        match self.at.state {
            State::Stable if self.at.epoch != self.target_epoch => Some(self.go_on()),
            State::Stable => self.shed(),
            State::Unrevoked if self.owns_any(&self.at.revoking) => self.shed(),
            State::Unrevoked => Some(self.go_on()),
            State::Unreleased => Some(self.go_on()).filter(|next| !next.says_the_same(self.at)),
        }
    }

    /// A member that does not say what it owns owns everything.
    fn owns_any(&self, held: &Held) -> bool {
        let Some(owned) = self.owned else {
            return !held.is_empty();
        };
        held.iter().any(|(topic, partitions)| {
            let owned = owned.get(topic);
            owned.is_some_and(|owned| partitions.keys().any(|at| owned.contains(at)))
        })
    }

    fn moved(&self, state: State, epoch: i32, assigned: Held, revoking: Held) -> Position {
        Position {
            state,
            epoch,
            previous_epoch: self.at.epoch,
            assigned,
            revoking,
        }
    }

    /// Towards the target: first gives back, then takes what is free.
    fn go_on(&self) -> Position {
        let mut kept = Held::new();
        let mut revoking = Held::new();
        for (topic, partitions) in &self.at.assigned {
            let target = self
                .target
                .get(topic)
                .filter(|_| self.wants.contains(topic));
            for (at, since) in partitions {
                let stays = target.is_some_and(|target| target.contains(at));
                let held = if stays { &mut kept } else { &mut revoking };
                held.entry(*topic).or_default().insert(*at, *since);
            }
        }
        if self.owns_any(&revoking) {
            return self.moved(State::Unrevoked, self.at.epoch, kept, revoking);
        }
        let mut is_complete = true;
        for (topic, partitions) in self.target {
            if !self.wants.contains(topic) {
                continue;
            }
            for at in partitions {
                if kept.get(topic).is_some_and(|kept| kept.contains_key(at)) {
                    continue;
                }
                if (self.is_free)(topic, *at) {
                    let kept = kept.entry(*topic).or_default();
                    kept.insert(*at, self.target_epoch);
                } else {
                    is_complete = false;
                }
            }
        }
        let state = match is_complete {
            true => State::Stable,
            false => State::Unreleased,
        };
        self.moved(state, self.target_epoch, kept, Held::new())
    }

    /// The target is not new, but the member does not want some topics any more.
    fn shed(&self) -> Option<Position> {
        if !self.has_other_wishes {
            return None;
        }
        let (kept, unwanted): (Held, Held) = self
            .at
            .assigned
            .clone()
            .into_iter()
            .partition(|(topic, _)| self.wants.contains(topic));
        if unwanted.is_empty() {
            return None;
        }
        let mut revoking = self.at.revoking.clone();
        for (topic, partitions) in unwanted {
            revoking.entry(topic).or_default().extend(partitions);
        }
        Some(match self.owns_any(&revoking) {
            true => self.moved(State::Unrevoked, self.at.epoch, kept, revoking),
            false => self.moved(self.at.state, self.at.epoch, kept, Held::new()),
        })
    }
}

impl Position {
    /// A step that leads nowhere is not worth a record.
    fn says_the_same(&self, other: &Position) -> bool {
        (self.state, self.epoch, &self.assigned, &self.revoking)
            == (other.state, other.epoch, &other.assigned, &other.revoking)
    }
}
