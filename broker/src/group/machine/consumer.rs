//! ConsumerGroupHeartbeat and ConsumerGroupDescribe.

use super::{Group, Machine, not_found};
use crate::group::classic::{self, ClassicGroup, State};
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
            self.open_to_consumers(now, effects, group)?;
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
        self.downgrade_if_last(now, effects, &id);
        result
    }

    pub fn consumer_leave(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        leave: &Leave,
    ) -> Result<Beat, Refusal> {
        let id = self.consumer_group_id(group)?;
        let result = match self.scene(now, effects, &id) {
            Some((Group::Consumer(group), mut scene)) => group.leave(&mut scene, leave),
            _ => Err(not_found(&id)),
        };
        self.downgrade_if_last(now, effects, &id);
        result
    }

    pub fn describe_consumer(&self, group: &str) -> Result<DescribedConsumerGroup, Refusal> {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(&self.settings)),
            Some(Group::Classic(_)) => Err(not_consumer(group)),
            None => Err(not_found(group)),
        }
    }

    /// What each member of a consumer group holds: reads, or has not given back.
    #[cfg(test)]
    pub fn held_by_members(
        &self,
        group: &str,
    ) -> Result<
        std::collections::BTreeMap<Name, std::collections::BTreeSet<(uuid::Uuid, i32)>>,
        Refusal,
    > {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group
                .members()
                .map(|member| (member.id.clone(), member.at.held().collect()))
                .collect()),
            _ => Err(not_found(group)),
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

    /// Somebody wants to join by the new protocol: makes the group, unless it is one already. A classic group of consumers goes on as
    /// one.
    fn open_to_consumers(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
    ) -> Result<(), Refusal> {
        match self.groups.get(group) {
            Some(Group::Consumer(_)) => return Ok(()),
            Some(Group::Classic(classic)) => {
                if classic.state() == State::Empty && classic.is_unclaimed() {
                    effects.records.push(classic::tombstone(group));
                } else {
                    self.check_upgrade(classic)?;
                    return self.upgrade(now, effects, group);
                }
            }
            None => {}
        }
        let id = Name::from(group);
        let consumers = ConsumerGroup::new(id.clone());
        self.groups.insert(id, Group::Consumer(consumers));
        Ok(())
    }

    fn check_upgrade(&self, classic: &ClassicGroup) -> Result<(), Refusal> {
        let settings = &self.settings.consumer;
        if !settings.migration.may_upgrade() {
            return Err(no_upgrade(&classic.id, "online upgrade is disabled"));
        }
        if !classic.is_of_consumers() {
            let why = "the group does not use the consumer embedded protocol";
            return Err(no_upgrade(&classic.id, why));
        }
        if classic.members().len() > settings.max_size {
            let why = "the group size exceeds the consumer group maximum size";
            return Err(no_upgrade(&classic.id, why));
        }
        Ok(())
    }

    fn upgrade(&mut self, now: Now, effects: &mut Effects, group: &str) -> Result<(), Refusal> {
        let Some((found, mut scene)) = self.scene(now, effects, group) else {
            return Err(not_found(group));
        };
        let Group::Classic(classic) = found else {
            return Ok(());
        };
        // Before anything is changed: what a member has said may not be what consumers say.
        ConsumerGroup::check_upgrade(classic)
            .map_err(|error| no_upgrade(&classic.id, &error.to_string()))?;
        classic.dissolve(&mut scene);
        let upgraded = ConsumerGroup::upgraded(&mut scene, classic);
        let upgraded = upgraded.map_err(|error| no_upgrade(group, &error.to_string()))?;
        *found = Group::Consumer(upgraded);
        Ok(())
    }
}

fn no_upgrade(group: &str, why: &str) -> Refusal {
    let message = format!("Cannot upgrade classic group {group} to consumer group because {why}.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}

fn not_consumer(group: &str) -> Refusal {
    let message = format!("Group {group} is not a consumer group.");
    Refusal::new(ErrorCode::GroupIdNotFound, message)
}
