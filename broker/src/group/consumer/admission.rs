//! Who speaks in a heartbeat: somebody new, a member, or an instance that is back.

use super::group::ConsumerGroup;
use super::{Heartbeat, JOINS, LEAVES_FOR_NOW};
use crate::group::{Name, Refusal, Scene};
use millrace_wire::ErrorCode;

pub(super) enum Speaker {
    New,
    Member,
    /// It takes the place that another member of this id left for it.
    InPlaceOf(Name),
}

impl ConsumerGroup {
    pub(super) fn admit(&self, scene: &Scene<'_>, beat: &Heartbeat) -> Result<Speaker, Refusal> {
        let speaker = match &beat.instance_id {
            None => self.dynamic(beat)?,
            Some(instance) => self.instance(beat, instance)?,
        };
        let max = scene.settings.consumer.max_size;
        if matches!(speaker, Speaker::New) && self.members.len() >= max {
            return Err(Refusal::new(
                ErrorCode::GroupMaxSizeReached,
                format!("The consumer group has reached its maximum capacity of {max} members."),
            ));
        }
        Ok(speaker)
    }

    fn dynamic(&self, beat: &Heartbeat) -> Result<Speaker, Refusal> {
        match self.member(&beat.member_id) {
            Ok(member) => {
                // Who changes the protocol says so by joining, and brings its partitions along.
                if member.said.classic.is_none() {
                    Self::check_epoch(member, beat.epoch, beat.owned.as_ref())?;
                }
                Ok(Speaker::Member)
            }
            Err(_) if beat.epoch == JOINS => Ok(Speaker::New),
            Err(unknown) => Err(unknown),
        }
    }

    fn instance(&self, beat: &Heartbeat, instance: &Name) -> Result<Speaker, Refusal> {
        let holder = self
            .instances
            .get(instance)
            .and_then(|id| self.members.get(id));
        let id = &beat.member_id;
        match holder {
            None if beat.epoch == JOINS => Ok(Speaker::New),
            None => Err(Self::unknown_instance(instance)),
            Some(holder) if holder.id == *id => {
                if holder.said.classic.is_none() {
                    Self::check_epoch(holder, beat.epoch, beat.owned.as_ref())?;
                }
                Ok(Speaker::Member)
            }
            Some(holder) if beat.epoch == JOINS => {
                let has_left = holder.at.epoch == LEAVES_FOR_NOW || holder.said.classic.is_some();
                match has_left {
                    true => Ok(Speaker::InPlaceOf(holder.id.clone())),
                    false => Err(Refusal::new(
                        ErrorCode::UnreleasedInstanceId,
                        format!(
                            "Static member {id} with instance id {instance} cannot join the group because the instance id is owned \
                             by {} member.",
                            holder.id
                        ),
                    )),
                }
            }
            Some(holder) => Err(self.fenced(id, instance, &holder.id)),
        }
    }

    pub(super) fn unknown_instance(instance: &str) -> Refusal {
        let message = format!("Instance id {instance} is unknown.");
        Refusal::new(ErrorCode::UnknownMemberId, message)
    }

    pub(super) fn fenced(&self, id: &str, instance: &str, holder: &str) -> Refusal {
        Refusal::new(
            ErrorCode::FencedInstanceId,
            format!(
                "Static member {id} with instance id {instance} was fenced by member {holder}."
            ),
        )
    }
}
