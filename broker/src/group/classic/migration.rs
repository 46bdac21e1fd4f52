//! The end of a classic group that goes on by the new protocol, and the beginning of one that comes from there.

use super::{ClassicGroup, Member, State};
use crate::group::effects::{Joined, Synced};
use crate::group::{Name, Scene};
use millrace_wire::ErrorCode;
use millrace_wire::consumer_protocol::PROTOCOL_TYPE;

impl ClassicGroup {
    /// Lets go of everybody who waits, and of everything that was to happen.
    pub fn dissolve(&mut self, scene: &mut Scene<'_>) {
        let error = ErrorCode::RebalanceInProgress;
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in ids {
            scene.timers.cancel(&self.session(&id));
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            if let Some(ticket) = member.joining.take() {
                scene.effects.joined(ticket, Joined::failed(error, id));
            }
            if let Some(ticket) = member.syncing.take() {
                scene.effects.synced(ticket, Synced::failed(error));
            }
        }
        for id in &self.pending_joins {
            scene.timers.cancel(&self.pending(id));
        }
        scene.timers.cancel(&self.join_timer());
        scene.timers.cancel(&self.sync_timer());
        scene.effects.records.push(super::tombstone(&self.id));
    }

    /// A group of consumers that has these members, and begins its next generation.
    pub fn begun_with(
        scene: &mut Scene<'_>,
        id: Name,
        generation: i32,
        members: Vec<Member>,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, scene.now.wall_ms);
        group.generation = generation;
        group.protocol_type = Some(PROTOCOL_TYPE.into());
        group.leader = members.first().map(|member| member.id.clone());
        for member in members {
            if let Some(instance) = &member.instance_id {
                group.instances.insert(instance.clone(), member.id.clone());
            }
            group.members.insert(member.id.clone(), member);
        }
        group.protocol = group.choose_protocol();
        group.enter(State::Stable, scene.now.wall_ms);
        let record = group.record(&group.assignments(), scene.now.wall_ms);
        scene.effects.records.push(record);
        let ids: Vec<Name> = group.members.keys().cloned().collect();
        for id in &ids {
            group.heard(scene, id);
        }
        group.rebalance(scene);
        group
    }
}
