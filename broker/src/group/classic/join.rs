//! JoinGroup: a member wants to be in the next generation, or learns of the present one.

use super::state::{Claim, ClassicGroup, State};
use super::{Client, Member};
use crate::group::effects::{Joined, JoinedMember, Ticket};
use crate::group::{Name, Scene};
use bytes::Bytes;
use millrace_wire::ErrorCode;

#[derive(Clone, Debug)]
pub struct Join {
    pub ticket: Ticket,
    /// Empty for who has none yet.
    pub member_id: Name,
    /// The id that it gets in that case.
    pub new_member_id: Name,
    pub instance_id: Option<Name>,
    pub client: Client,
    pub protocol_type: Name,
    pub protocols: Vec<(Name, Bytes)>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// The client can come back with the id that it is given (KIP-394).
    pub can_return: bool,
    /// The client knows that a leader may have nothing to assign (KIP-814).
    pub can_skip_assignment: bool,
}

impl ClassicGroup {
    pub fn join(&mut self, scene: &mut Scene<'_>, join: Join) {
        let (ticket, member_id) = (join.ticket, join.member_id.clone());
        if !self.has_place_for(&member_id, scene.settings.max_size) {
            self.forget(scene, &member_id);
            let error = ErrorCode::GroupMaxSizeReached;
            scene
                .effects
                .joined(ticket, Joined::failed(error, "".into()));
            return;
        }
        let done = match member_id.is_empty() {
            true => self.join_new(scene, join),
            false => self.join_again(scene, join),
        };
        if let Err(error) = done {
            scene
                .effects
                .joined(ticket, Joined::failed(error, member_id));
        }
    }

    fn has_place_for(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                let waiting = self.members.values().filter(|one| one.joining.is_some());
                member.is_some_and(|one| one.joining.is_some()) || waiting.count() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }

    fn join_new(&mut self, scene: &mut Scene<'_>, join: Join) -> Result<(), ErrorCode> {
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let new_id = join.new_member_id.clone();
        match &join.instance_id {
            Some(instance) => match self.instances.get(instance).cloned() {
                Some(old_id) => self.replace(scene, join, &old_id),
                None => self.add(scene, new_id, join),
            },
            None if join.can_return => {
                let due_ms = scene.now.clock_ms + session_ms(join.session_timeout_ms);
                scene.timers.set(self.pending(&new_id), due_ms);
                self.pending_joins.insert(new_id.clone());
                let answer = Joined::failed(ErrorCode::MemberIdRequired, new_id);
                scene.effects.joined(join.ticket, answer);
            }
            None => self.add(scene, new_id, join),
        }
        Ok(())
    }

    fn join_again(&mut self, scene: &mut Scene<'_>, join: Join) -> Result<(), ErrorCode> {
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let id = join.member_id.clone();
        if self.pending_joins.contains(&id) {
            // A static member is never given an id to come back with.
            if join.instance_id.is_some() {
                return Err(ErrorCode::UnknownMemberId);
            }
            self.add(scene, id, join);
            return Ok(());
        }
        let member = self.claimed(Claim {
            member_id: &id,
            instance_id: join.instance_id.as_deref(),
            generation: self.generation,
        })?;
        let says_the_same = member.protocols == join.protocols;
        match self.state {
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => self.update(scene, &id, join),
            // It has missed the answer to its first request.
            State::CompletingRebalance if says_the_same => self.tell_generation(scene, &join),
            // Followers learn what they know already; a leader wants to assign anew.
            State::Stable if says_the_same && !self.is_leader(&id) => {
                self.tell_generation(scene, &join);
            }
            State::CompletingRebalance | State::Stable => self.update(scene, &id, join),
        }
        Ok(())
    }

    fn tell_generation(&mut self, scene: &mut Scene<'_>, join: &Join) {
        let mut answer = self.joined(&join.member_id);
        if self.is_leader(&join.member_id) {
            answer.members = self.joined_members();
        }
        scene.effects.joined(join.ticket, answer);
    }

    /// What a member is told of the generation.
    pub(super) fn joined(&self, member_id: &Name) -> Joined {
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: member_id.clone(),
            skips_assignment: false,
            members: Vec::new(),
        }
    }

    /// What the leader is told of everybody.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let one = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: self.metadata_of(member),
        };
        self.members.values().map(one).collect()
    }

    pub(super) fn add(&mut self, scene: &mut Scene<'_>, id: Name, join: Join) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        if let Some(first) = &mut self.first {
            first.has_grown = true;
        }
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.pending_joins.remove(&id);
        scene.timers.cancel(&self.pending(&id));
        // Its session begins with its generation. Until then it is heard by waiting, but not for ever.
        let due_ms = scene.now.clock_ms + scene.settings.new_member_join_timeout_ms;
        scene.timers.set(self.session(&id), due_ms);
        let member = Member {
            id: id.clone(),
            instance_id: join.instance_id,
            client: join.client,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            is_new: true,
            joining: Some(join.ticket),
            syncing: None,
        };
        self.members.insert(id, member);
        self.rebalance(scene);
    }

    fn update(&mut self, scene: &mut Scene<'_>, id: &Name, join: Join) {
        self.renew(scene, id, join);
        self.rebalance(scene);
    }

    /// A member says again what it can do, and waits.
    pub(super) fn renew(&mut self, scene: &mut Scene<'_>, id: &Name, join: Join) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.session_timeout_ms = join.session_timeout_ms;
        member.protocols = join.protocols;
        member.client = join.client;
        // Who asks twice is answered once: the connection of the first request is gone, or will take it for a repetition.
        if let Some(before) = member.joining.replace(join.ticket) {
            let answer = Joined::failed(ErrorCode::RebalanceInProgress, id.clone());
            scene.effects.joined(before, answer);
        }
    }
}

/// A time-out that a client named; the shell has checked its bounds.
pub(super) fn session_ms(timeout_ms: i32) -> u64 {
    u64::try_from(timeout_ms).unwrap_or(0)
}
