//! ConsumerGroupHeartbeat and ConsumerGroupDescribe.

use super::{Group, Machine};
use crate::group::classic::State;
use crate::group::consumer::{
    Beat, ConsumerGroup, DescribedConsumerGroup, Heartbeat, JOINS, Leave, pattern,
};
use crate::group::effects::Effects;
use crate::group::{Name, Now, Refusal};
use millrace_wire::ErrorCode;

impl Machine {
    pub fn consumer_heartbeat(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        beat: &Heartbeat,
    ) -> Result<Beat, Refusal> {
        if let Some(wish) = beat.assignor.as_deref() {
            self.check_assignor(wish)?;
        }
        if let Some(pattern) = &beat.pattern {
            pattern::check(pattern)?;
        }
        if beat.epoch == JOINS {
            self.open_to_consumers(effects, group)?;
        }
        let id = self.consumer_group_id(group)?;
        let result = match self.scene(now, effects, &id) {
            Some((Group::Consumer(group), mut scene)) => group.heartbeat(&mut scene, beat),
            _ => Err(not_found(&id)),
        };
        // Nobody came in: the group was not there before either.
        if let Some(Group::Consumer(group)) = self.groups.get(&id)
            && result.is_err()
            && group.is_untouched()
        {
            self.groups.remove(&id);
        }
        result
    }

    pub fn consumer_leave(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        leave: &Leave,
    ) -> Result<Beat, Refusal> {
        match self.scene(now, effects, group) {
            Some((Group::Consumer(group), mut scene)) => group.leave(&mut scene, leave),
            Some((Group::Classic(_), _)) => Err(not_consumer(group)),
            None => Err(not_found(group)),
        }
    }

    pub fn describe_consumer(&self, group: &str) -> Result<DescribedConsumerGroup, Refusal> {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(&self.settings)),
            Some(Group::Classic(_)) => Err(not_consumer(group)),
            None => Err(not_found(group)),
        }
    }

    /// Topics by their ids, as the groups see them.
    pub fn catalog(&self) -> &std::sync::Arc<crate::group::catalog::Catalog> {
        &self.catalog
    }

    fn check_assignor(&self, wish: &str) -> Result<(), Refusal> {
        let known = &self.settings.consumer.assignors;
        if known.iter().any(|one| one.name() == wish) {
            return Ok(());
        }
        let names: Vec<&str> = known.iter().map(|one| one.name()).collect();
        let message = format!(
            "ServerAssignor {wish} is not supported. Supported assignors: {}.",
            names.join(", ")
        );
        Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
    }

    fn consumer_group_id(&self, group: &str) -> Result<Name, Refusal> {
        match self.groups.get_key_value(group) {
            Some((id, Group::Consumer(_))) => Ok(id.clone()),
            Some((_, Group::Classic(_))) => Err(not_consumer(group)),
            None => Err(not_found(group)),
        }
    }

    /// Somebody wants to join by the new protocol: makes the group, unless it is one already.
    fn open_to_consumers(&mut self, effects: &mut Effects, group: &str) -> Result<(), Refusal> {
        match self.groups.get(group) {
            Some(Group::Consumer(_)) => return Ok(()),
            Some(Group::Classic(classic)) => {
                if classic.state() != State::Empty || !classic.is_unclaimed() {
                    return Err(not_consumer(group));
                }
                effects
                    .records
                    .push(crate::group::classic::tombstone(group));
            }
            None => {}
        }
        let id = Name::from(group);
        let consumers = Box::new(ConsumerGroup::new(id.clone()));
        self.groups.insert(id, Group::Consumer(consumers));
        Ok(())
    }
}

fn not_found(group: &str) -> Refusal {
    let message = format!("Group {group} not found.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}

fn not_consumer(group: &str) -> Refusal {
    let message = format!("Group {group} is not a consumer group.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}
