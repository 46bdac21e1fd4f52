//! LeaveGroup, and members that are gone without a word.

use super::state::{Claim, ClassicGroup, State};
use crate::group::effects::{Joined, Synced};
use crate::group::{Name, Scene};
use millrace_wire::ErrorCode;

/// Who is to leave: a member by its id, or an instance by its name.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Empty where only the instance is known.
    pub member_id: Name,
    pub instance_id: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub member_id: Name,
    pub instance_id: Option<Name>,
    pub error: Option<ErrorCode>,
}

impl ClassicGroup {
    pub fn leave(&mut self, scene: &mut Scene<'_>, leaving: Vec<Leaving>) -> Vec<Left> {
        let mut left = Vec::with_capacity(leaving.len());
        for one in leaving {
            let error = self.leave_one(scene, &one).err();
            left.push(Left {
                member_id: one.member_id,
                instance_id: one.instance_id,
                error,
            });
        }
        left
    }

    fn leave_one(&mut self, scene: &mut Scene<'_>, one: &Leaving) -> Result<(), ErrorCode> {
        let id = match &one.instance_id {
            Some(instance) if one.member_id.is_empty() => {
                let id = self.instances.get(instance);
                id.cloned().ok_or(ErrorCode::UnknownMemberId)?
            }
            _ if self.pending_joins.contains(&one.member_id) => {
                self.forget_pending(scene, &one.member_id);
                return Ok(());
            }
            _ => {
                let claim = Claim {
                    member_id: &one.member_id,
                    instance_id: one.instance_id.as_deref(),
                    generation: self.generation,
                };
                self.claimed(claim)?.id.clone()
            }
        };
        self.remove(scene, &id);
        Ok(())
    }

    /// A member has been silent for its session's time.
    pub fn session_timed_out(&mut self, scene: &mut Scene<'_>, id: &Name) {
        // Who waits for an answer is not silent, until it has waited too long for its first generation.
        let is_gone = |member: &super::Member| member.is_new || !member.waits();
        if self.members.get(id).is_some_and(is_gone) {
            tracing::info!(
                group = &*self.id,
                member = &**id,
                "a silent member is removed"
            );
            self.remove(scene, id);
        }
    }

    /// A client never came back with the id that it was given.
    pub fn pending_timed_out(&mut self, scene: &mut Scene<'_>, id: &Name) {
        if self.pending_joins.contains(id) {
            self.forget_pending(scene, id);
        }
    }

    fn forget_pending(&mut self, scene: &mut Scene<'_>, id: &Name) {
        self.pending_joins.remove(id);
        scene.timers.cancel(&self.pending(id));
        if self.state == State::PreparingRebalance {
            self.rebalance(scene);
        }
    }

    fn remove(&mut self, scene: &mut Scene<'_>, id: &Name) {
        self.forget(scene, id);
        if self.state != State::Empty {
            self.rebalance(scene);
        }
    }

    /// Takes a member out, without a thought for the others.
    pub(super) fn forget(&mut self, scene: &mut Scene<'_>, id: &Name) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        let error = ErrorCode::UnknownMemberId;
        if let Some(ticket) = member.joining.take() {
            scene
                .effects
                .joined(ticket, Joined::failed(error, id.clone()));
        }
        if let Some(ticket) = member.syncing.take() {
            scene.effects.synced(ticket, Synced::failed(error));
        }
        scene.timers.cancel(&self.session(id));
        self.pending_syncs.remove(id);
        if let Some(instance) = &member.instance_id {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }
}
