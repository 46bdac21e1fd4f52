//! From one generation to the next.

use super::state::{ClassicGroup, FirstRebalance, State};
use crate::group::effects::Synced;
use crate::group::{Name, Scene};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use std::collections::HashMap;

impl ClassicGroup {
    /// Something has changed: begins a rebalance, or looks whether the one that is under way can end.
    pub(super) fn rebalance(&mut self, scene: &mut Scene<'_>) {
        match self.state {
            State::PreparingRebalance => self.end_join_if_complete(scene),
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare(scene),
        }
    }

    fn prepare(&mut self, scene: &mut Scene<'_>) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(scene, ErrorCode::RebalanceInProgress);
        }
        scene.timers.cancel(&self.sync_timer());
        self.pending_syncs.clear();
        let was_empty = self.state == State::Empty;
        self.enter(State::PreparingRebalance, scene.now.wall_ms);
        if !was_empty {
            let due_ms = scene.now.clock_ms + self.rebalance_timeout_ms();
            scene.timers.set(self.join_timer(), due_ms);
            return self.end_join_if_complete(scene);
        }
        // Members that start together should not each begin a generation of their own.
        let delay_ms = scene.settings.initial_rebalance_delay_ms;
        self.first = Some(FirstRebalance {
            remaining_ms: self.rebalance_timeout_ms().saturating_sub(delay_ms),
            has_grown: false,
        });
        scene
            .timers
            .set(self.join_timer(), scene.now.clock_ms + delay_ms);
    }

    fn end_join_if_complete(&mut self, scene: &mut Scene<'_>) {
        let is_complete = self.pending_joins.is_empty()
            && self.members.values().all(|member| member.joining.is_some());
        // The first rebalance waits for its time, whoever has come.
        if is_complete && self.first.is_none() {
            self.end_join(scene);
        }
    }

    /// The time for members to join is over.
    pub fn join_timed_out(&mut self, scene: &mut Scene<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if let Some(first) = &mut self.first
            && first.has_grown
            && first.remaining_ms > 0
        {
            let delay_ms = scene
                .settings
                .initial_rebalance_delay_ms
                .min(first.remaining_ms);
            first.remaining_ms -= delay_ms;
            first.has_grown = false;
            scene
                .timers
                .set(self.join_timer(), scene.now.clock_ms + delay_ms);
            return;
        }
        self.end_join(scene);
    }

    /// Begins the generation with those who are there. Static members stay though they did not come.
    fn end_join(&mut self, scene: &mut Scene<'_>) {
        self.first = None;
        scene.timers.cancel(&self.join_timer());
        let absent: Vec<Name> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in absent {
            self.forget(scene, &id);
        }
        if !self.members.is_empty() && !self.elect() {
            // None but static members, and none of them has come yet.
            let due_ms = scene.now.clock_ms + self.rebalance_timeout_ms();
            scene.timers.set(self.join_timer(), due_ms);
            return;
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(State::Empty, scene.now.wall_ms);
            let record = self.record(&HashMap::new(), scene.now.wall_ms);
            scene.effects.records.push(record);
            return;
        }
        self.protocol = self.choose_protocol();
        self.enter(State::CompletingRebalance, scene.now.wall_ms);
        self.tell_all(scene);
        let due_ms = scene.now.clock_ms + self.rebalance_timeout_ms();
        scene.timers.set(self.sync_timer(), due_ms);
    }

    /// A leader who has not come is followed by one who has. False if nobody has.
    fn elect(&mut self) -> bool {
        let has_come = |id: &Name| {
            let member = self.members.get(id);
            member.is_some_and(|member| member.joining.is_some())
        };
        if self.leader.as_ref().is_some_and(has_come) {
            return true;
        }
        let next = self
            .members
            .values()
            .find(|member| member.joining.is_some());
        match next.map(|member| member.id.clone()) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// Of those that all can do, the one that most like best; among equals the first by the alphabet.
    pub(super) fn choose_protocol(&self) -> Option<Name> {
        let mut votes: HashMap<&Name, usize> = HashMap::new();
        for member in self.members.values() {
            let in_common = |name: &&Name| self.members.values().all(|other| other.supports(name));
            let mut protocols = member.protocols.iter().map(|(name, _)| name);
            if let Some(best) = protocols.find(in_common) {
                *votes.entry(best).or_default() += 1;
            }
        }
        let most = votes
            .into_iter()
            .max_by(|(a, votes), (b, others)| votes.cmp(others).then_with(|| b.cmp(a)));
        most.map(|(name, _)| name.clone())
    }

    fn tell_all(&mut self, scene: &mut Scene<'_>) {
        let members = self.joined_members();
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in ids {
            let mut answer = self.joined(&id);
            if self.is_leader(&id) {
                answer.members = members.clone();
            }
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.is_new = false;
            if let Some(ticket) = member.joining.take() {
                scene.effects.joined(ticket, answer);
                self.heard(scene, &id);
            }
            self.pending_syncs.insert(id);
        }
    }

    pub(super) fn refuse_syncs(&mut self, scene: &mut Scene<'_>, error: ErrorCode) {
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(ticket) = member.syncing.take() {
                waiting.push((member.id.clone(), ticket));
            }
        }
        for (id, ticket) in waiting {
            scene.effects.synced(ticket, Synced::failed(error));
            // It was heard by waiting until now.
            self.heard(scene, &id);
        }
    }

    /// The time for members to ask for their assignment is over: who has not is taken for gone.
    pub fn sync_timed_out(&mut self, scene: &mut Scene<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable)
            || self.pending_syncs.is_empty()
        {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.forget(scene, &id);
        }
        self.prepare(scene);
    }
}
