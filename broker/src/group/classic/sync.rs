//! SyncGroup and Heartbeat: the leader hands in the assignment, everybody learns their own, and says that they are there.

use super::join::session_ms;
use super::state::{Claim, ClassicGroup, State};
use crate::group::effects::{Synced, Ticket};
use crate::group::{Name, Scene};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use std::collections::HashMap;

#[derive(Clone, Debug)]
pub struct Sync {
    pub ticket: Ticket,
    pub member_id: Name,
    pub instance_id: Option<Name>,
    pub generation: i32,
    /// What the member takes to be agreed, if it says so (KIP-559).
    pub protocol_type: Option<Name>,
    pub protocol: Option<Name>,
    /// From the leader: by member.
    pub assignments: HashMap<Name, Bytes>,
}

impl ClassicGroup {
    pub fn sync(&mut self, scene: &mut Scene<'_>, sync: Sync) {
        if let Err(error) = self.try_sync(scene, &sync) {
            scene.effects.synced(sync.ticket, Synced::failed(error));
        }
    }

    fn try_sync(&mut self, scene: &mut Scene<'_>, sync: &Sync) -> Result<(), ErrorCode> {
        self.claimed_now(Claim {
            member_id: &sync.member_id,
            instance_id: sync.instance_id.as_deref(),
            generation: sync.generation,
        })?;
        let differs = |said: &Option<Name>, agreed: &Option<Name>| said.is_some() && said != agreed;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => return Err(ErrorCode::RebalanceInProgress),
            State::Stable => {
                self.pending_syncs.remove(&sync.member_id);
                self.tell_assignment(scene, &sync.member_id, sync.ticket);
            }
            State::CompletingRebalance => {
                self.pending_syncs.remove(&sync.member_id);
                let Some(member) = self.members.get_mut(&sync.member_id) else {
                    return Err(ErrorCode::UnknownMemberId);
                };
                if let Some(before) = member.syncing.replace(sync.ticket) {
                    let error = ErrorCode::RebalanceInProgress;
                    scene.effects.synced(before, Synced::failed(error));
                }
                if self.is_leader(&sync.member_id) {
                    self.settle(scene, &sync.assignments);
                }
            }
        }
        if self.pending_syncs.is_empty() {
            scene.timers.cancel(&self.sync_timer());
        }
        Ok(())
    }

    /// The generation has its assignment.
    fn settle(&mut self, scene: &mut Scene<'_>, assignments: &HashMap<Name, Bytes>) {
        let record = self.record(assignments, scene.now.wall_ms);
        scene.effects.records.push(record);
        self.enter(State::Stable, scene.now.wall_ms);
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            // A member that the leader has forgotten has nothing to do.
            member.assignment = assignments.get(&member.id).cloned().unwrap_or_default();
            if let Some(ticket) = member.syncing.take() {
                waiting.push((member.id.clone(), ticket));
            }
        }
        for (id, ticket) in waiting {
            self.tell_assignment(scene, &id, ticket);
        }
    }

    fn tell_assignment(&mut self, scene: &mut Scene<'_>, id: &Name, ticket: Ticket) {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        let answer = Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        };
        scene.effects.synced(ticket, answer);
        self.heard(scene, id);
    }

    /// Its session begins anew.
    pub(super) fn heard(&self, scene: &mut Scene<'_>, id: &Name) {
        if let Some(member) = self.members.get(id) {
            let due_ms = scene.now.clock_ms + session_ms(member.session_timeout_ms);
            scene.timers.set(self.session(id), due_ms);
        }
    }

    /// A member is there. It is told when it has to join again.
    pub fn heartbeat(&mut self, scene: &mut Scene<'_>, claim: Claim<'_>) -> Result<(), ErrorCode> {
        let id = self.claimed_now(claim)?.id.clone();
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => {
                self.heard(scene, &id);
                Err(ErrorCode::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                self.heard(scene, &id);
                Ok(())
            }
        }
    }
}
