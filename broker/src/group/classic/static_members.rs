//! Static members (KIP-345): an instance that comes back takes the place that it had, and nobody rebalances for it.

use super::state::{ClassicGroup, State};
use super::{Join, Member};
use crate::group::effects::{Joined, Synced};
use crate::group::{Name, Scene};
use millrace_wire::ErrorCode;

impl ClassicGroup {
    /// The instance that was `old_id` is back and gets a new id; whoever still speaks with the old one is fenced.
    pub(super) fn replace(&mut self, scene: &mut Scene<'_>, join: Join, old_id: &Name) {
        let new_id = join.new_member_id.clone();
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        self.fence(scene, &mut member);
        scene.timers.cancel(&self.session(old_id));
        if self.pending_syncs.remove(old_id) {
            self.pending_syncs.insert(new_id.clone());
        }
        let was_leader = self.is_leader(old_id);
        if was_leader {
            self.leader = Some(new_id.clone());
        }
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), new_id.clone());
        }
        member.id = new_id.clone();
        self.members.insert(new_id.clone(), member);
        let (ticket, can_skip) = (join.ticket, join.can_skip_assignment);
        self.renew(scene, &new_id, join);
        self.heard(scene, &new_id);
        match self.state {
            // What it says in the protocol is not compared: consumers say there what they own, and one that is back owns
            // nothing.
            State::Stable if self.choose_protocol() == self.protocol => {
                if let Some(member) = self.members.get_mut(&new_id) {
                    member.joining = None;
                }
                let assignments = self.assignments();
                let record = self.record(&assignments, scene.now.wall_ms);
                scene.effects.records.push(record);
                let answer = self.back(&new_id, old_id, was_leader, can_skip);
                scene.effects.joined(ticket, answer);
            }
            State::Stable | State::CompletingRebalance | State::PreparingRebalance => {
                self.rebalance(scene);
            }
            // A group with members is not empty.
            State::Empty => {}
        }
    }

    fn fence(&mut self, scene: &mut Scene<'_>, member: &mut Member) {
        let error = ErrorCode::FencedInstanceId;
        if let Some(ticket) = member.joining.take() {
            let answer = Joined::failed(error, member.id.clone());
            scene.effects.joined(ticket, answer);
        }
        if let Some(ticket) = member.syncing.take() {
            scene.effects.synced(ticket, Synced::failed(error));
        }
    }

    /// To an instance that is back in a settled generation. A leader that cannot skip the assignment is told of another
    /// leader, itself under its former id, so that it assigns nothing.
    fn back(&self, id: &Name, old_id: &Name, was_leader: bool, can_skip: bool) -> Joined {
        let mut answer = self.joined(id);
        match (was_leader, can_skip) {
            (true, true) => {
                answer.members = self.joined_members();
                answer.skips_assignment = true;
            }
            (true, false) => answer.leader = Some(old_id.clone()),
            (false, _) => {}
        }
        answer
    }
}
