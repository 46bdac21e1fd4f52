//! Members that leave, and members that are gone without a word.

use super::group::ConsumerGroup;
use super::member::State;
use super::{Beat, Held, LEAVES_FOR_NOW};
use crate::group::{Name, Refusal, Scene};

/// A heartbeat with which a member leaves.
#[derive(Clone, Debug)]
pub struct Leave {
    pub member_id: Name,
    pub instance_id: Option<Name>,
    pub epoch: i32,
}

impl ConsumerGroup {
    pub fn leave(&mut self, scene: &mut Scene<'_>, leave: &Leave) -> Result<Beat, Refusal> {
        let id = &leave.member_id;
        match &leave.instance_id {
            None => {
                self.member(id)?;
                self.remove(scene, std::slice::from_ref(id));
            }
            Some(instance) => {
                let Some(holder) = self.instances.get(instance) else {
                    return Err(Self::unknown_instance(instance));
                };
                if holder != id {
                    return Err(self.fenced(id, instance, holder));
                }
                match leave.epoch {
                    LEAVES_FOR_NOW => self.leave_for_now(scene, id),
                    _ => self.remove(scene, std::slice::from_ref(id)),
                }
            }
        }
        Ok(Beat {
            member_id: id.clone(),
            epoch: leave.epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// An instance will be back: nobody gets what it reads until its session is over.
    fn leave_for_now(&mut self, scene: &mut Scene<'_>, id: &Name) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let mut at = member.at.clone();
        at.previous_epoch = at.epoch;
        at.epoch = LEAVES_FOR_NOW;
        at.revoking = Held::new();
        scene.timers.cancel(&self.revocation(id));
        let record = self.position_record(id, &at);
        scene.effects.records.push(record);
        self.place(id, at);
    }

    /// A member has been silent for its session's time.
    pub fn session_timed_out(&mut self, scene: &mut Scene<'_>, id: &Name) {
        if self.members.contains_key(id) {
            tracing::info!(
                group = &*self.id,
                member = &**id,
                "a silent member is removed"
            );
            self.remove(scene, std::slice::from_ref(id));
        }
    }

    /// A member has not given back in time what it was to give back.
    pub fn revocation_timed_out(&mut self, scene: &mut Scene<'_>, id: &Name) {
        let member = self.members.get(id);
        if member.is_some_and(|member| member.at.state == State::Unrevoked) {
            tracing::info!(
                group = &*self.id,
                member = &**id,
                "a member that does not give partitions back is removed"
            );
            self.remove(scene, std::slice::from_ref(id));
        }
    }

    /// Takes members out. What they held is free at once; who is to have it is decided when somebody speaks.
    pub(super) fn remove(&mut self, scene: &mut Scene<'_>, ids: &[Name]) {
        for id in ids {
            self.expects_nothing(scene, id);
            let has_target = self.target.members.contains_key(id);
            if self.forget(id).is_some() {
                self.bury(scene, id, has_target);
            }
        }
        // Those who stay are in their epoch still when it goes on as a generation.
        if !self.may_be_classic(scene.settings) {
            self.advance(scene, true);
        }
    }

    /// Takes a member out of the log.
    pub(super) fn bury(&self, scene: &mut Scene<'_>, id: &Name, has_target: bool) {
        let records = &mut scene.effects.records;
        records.push(self.position_tombstone(id));
        if has_target {
            records.push(self.target_tombstone(id));
        }
        records.push(self.member_tombstone(id));
    }
}
