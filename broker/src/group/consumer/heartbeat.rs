//! ConsumerGroupHeartbeat: a member says that it is there, what it wants and what it owns, and learns what it may read.

use super::admission::Speaker;
use super::group::ConsumerGroup;
use super::member::{Member, Position, Said, State};
use super::reconcile::Way;
use super::{JOINS, Partitions};
use crate::group::classic::Client;
use crate::group::{Name, Refusal, Scene};
use std::collections::BTreeSet;

/// A member that waits for partitions which others give back is asked to come again soon: nobody can call it.
const WAITING_HEARTBEAT_MS: u32 = 500;

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub member_id: Name,
    pub epoch: i32,
    pub client: Client,
    pub instance_id: Option<Name>,
    pub rack_id: Option<Name>,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<BTreeSet<Name>>,
    /// An empty one takes back the one before.
    pub pattern: Option<Name>,
    pub assignor: Option<Name>,
    pub owned: Option<Partitions>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    pub member_id: Name,
    pub epoch: i32,
    pub heartbeat_interval_ms: u32,
    /// If there is news, or the member wants to know.
    pub assignment: Option<Partitions>,
}

impl Heartbeat {
    /// A member that says everything again has missed something.
    fn is_full(&self) -> bool {
        let says_topics = self.topics.is_some() || self.pattern.is_some();
        self.rebalance_timeout_ms.is_some() && says_topics && self.owned.is_some()
    }

    fn said_by_new(&self) -> Said {
        Said {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client: self.client.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms.unwrap_or(-1),
            topics: self.topics.clone().unwrap_or_default(),
            pattern: self.pattern(),
            assignor: self.assignor.clone(),
            classic: None,
        }
    }

    fn pattern(&self) -> Option<Name> {
        self.pattern.clone().filter(|pattern| !pattern.is_empty())
    }

    /// What a member says now, if that is anything new.
    fn said_after(&self, before: &Said) -> Option<Said> {
        let differs = |said: &Option<Name>, before: &Option<Name>| said.is_some() && said != before;
        let is_new = self.client != before.client
            || before.classic.is_some()
            || differs(&self.instance_id, &before.instance_id)
            || differs(&self.rack_id, &before.rack_id)
            || differs(&self.assignor, &before.assignor)
            || (self.pattern.is_some() && self.pattern() != before.pattern)
            || self
                .topics
                .as_ref()
                .is_some_and(|topics| *topics != before.topics)
            || self
                .rebalance_timeout_ms
                .is_some_and(|ms| ms != before.rebalance_timeout_ms);
        is_new.then(|| Said {
            instance_id: self.instance_id.clone().or(before.instance_id.clone()),
            rack_id: self.rack_id.clone().or(before.rack_id.clone()),
            client: self.client.clone(),
            rebalance_timeout_ms: self
                .rebalance_timeout_ms
                .unwrap_or(before.rebalance_timeout_ms),
            topics: self.topics.clone().unwrap_or_else(|| before.topics.clone()),
            pattern: match self.pattern {
                Some(_) => self.pattern(),
                None => before.pattern.clone(),
            },
            assignor: self.assignor.clone().or(before.assignor.clone()),
            classic: None,
        })
    }
}

impl ConsumerGroup {
    pub fn heartbeat(&mut self, scene: &mut Scene<'_>, beat: &Heartbeat) -> Result<Beat, Refusal> {
        let speaker = self.admit(scene, beat)?;
        let id = &beat.member_id;
        let has_other_wishes = match speaker {
            Speaker::New => {
                self.add(scene, id, beat.said_by_new());
                true
            }
            Speaker::Member => self.hear(scene, id, beat),
            Speaker::InPlaceOf(former) => {
                self.replace(scene, &former, id);
                self.hear(scene, id, beat)
            }
        };
        let has_news = self.go_on(scene, id, has_other_wishes, beat.owned.as_ref());
        self.heard(scene, id);
        let member = self.member(id)?;
        let tells = beat.epoch == JOINS || beat.is_full() || has_news;
        Ok(Beat {
            member_id: id.clone(),
            epoch: member.at.epoch,
            heartbeat_interval_ms: self.interval_ms(scene, member),
            assignment: tells.then(|| member.at.assignment()),
        })
    }

    /// A member of the new protocol says something that may be new. Whether it wants to read other things than before.
    fn hear(&mut self, scene: &mut Scene<'_>, id: &Name, beat: &Heartbeat) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let Some(said) = beat.said_after(&member.said) else {
            return false;
        };
        scene.timers.cancel(&self.rejoining(id));
        scene.timers.cancel(&self.syncing(id));
        self.say(scene, id, said)
    }

    /// A member is known by this from now on. Whether it wants to read other things than before.
    pub(super) fn say(&mut self, scene: &mut Scene<'_>, id: &Name, said: Said) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let has_other_wishes = said.topics != member.said.topics
            || said.pattern != member.said.pattern
            || said.assignor != member.said.assignor
            || said.rack_id != member.said.rack_id;
        if let Some(instance) = &said.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        member.said = said;
        let record = member.record(&self.id);
        scene.effects.records.push(record);
        has_other_wishes
    }

    pub(super) fn add(&mut self, scene: &mut Scene<'_>, id: &Name, said: Said) {
        if let Some(instance) = &said.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        let member = Member {
            id: id.clone(),
            said,
            at: Position::default(),
        };
        scene.effects.records.push(member.record(&self.id));
        self.members.insert(id.clone(), member);
    }

    /// An instance is back under another id: it is to read what it was to read, and has it as soon as it asks.
    pub(super) fn replace(&mut self, scene: &mut Scene<'_>, former: &Name, id: &Name) {
        self.expects_nothing(scene, former);
        let target = self.target.members.remove(former);
        let Some(member) = self.forget(former) else {
            return;
        };
        self.bury(scene, former, target.is_some());
        self.add(scene, id, member.said);
        if let Some(target) = target {
            scene.effects.records.push(self.target_record(id, &target));
            self.target.members.insert(id.clone(), target);
        }
        let record = self.position_record(id, &Position::default());
        scene.effects.records.push(record);
    }

    /// Everything that follows from what a member said: the group's epoch, the target, and the member's own step. Whether the member
    /// may read something else now.
    pub(super) fn go_on(
        &mut self,
        scene: &mut Scene<'_>,
        id: &Name,
        has_other_wishes: bool,
        owned: Option<&Partitions>,
    ) -> bool {
        self.advance(scene, has_other_wishes);
        self.decide(scene);
        let Some(member) = self.members.get(id) else {
            return false;
        };
        // Most heartbeats end here.
        if member.at.has_reached(self.target.epoch) && !has_other_wishes {
            return false;
        }
        let wants = self.wishes(member, scene.catalog);
        let is_free = |topic: &uuid::Uuid, at: i32| {
            let holder = self.holders.get(&(*topic, at));
            holder.is_none_or(|holder| holder == id)
        };
        let way = Way {
            at: &member.at,
            target_epoch: self.target.epoch,
            target: self.target_of(id),
            owned,
            wants: &wants,
            has_other_wishes,
            is_free: &is_free,
        };
        let Some(next) = way.next() else {
            return false;
        };
        let reads_other = {
            let had = member
                .at
                .assigned
                .iter()
                .map(|(topic, held)| (topic, held.keys()));
            let has = next
                .assigned
                .iter()
                .map(|(topic, held)| (topic, held.keys()));
            !had.map(|(topic, held)| (topic, held.collect::<Vec<_>>()))
                .eq(has.map(|(topic, held)| (topic, held.collect::<Vec<_>>())))
        };
        match next.state {
            State::Unrevoked => self.awaits_revocation(scene, member),
            State::Stable | State::Unreleased => scene.timers.cancel(&self.revocation(id)),
        }
        let record = self.position_record(id, &next);
        scene.effects.records.push(record);
        self.place(id, next);
        reads_other
    }

    /// The member has as long as it said to give back what it is to give back.
    pub(super) fn awaits_revocation(&self, scene: &mut Scene<'_>, member: &Member) {
        let timeout_ms = u64::try_from(member.said.rebalance_timeout_ms).unwrap_or(0);
        let due_ms = scene.now.clock_ms + timeout_ms;
        scene.timers.set(self.revocation(&member.id), due_ms);
    }

    /// Its session begins anew.
    pub(super) fn heard(&self, scene: &mut Scene<'_>, id: &Name) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let session_ms = match &member.said.classic {
            Some(classic) => u64::try_from(classic.session_timeout_ms).unwrap_or(0),
            None => scene.settings.pace(&self.id).session_timeout_ms.into(),
        };
        let due_ms = scene.now.clock_ms + session_ms;
        scene.timers.set(self.session(id), due_ms);
    }

    /// When a member should speak again.
    fn interval_ms(&self, scene: &Scene<'_>, member: &Member) -> u32 {
        let interval_ms = scene.settings.pace(&self.id).heartbeat_interval_ms;
        match member.at.state {
            _ if self.epoch > self.target.epoch => {
                interval_ms.min(self.decides_in_ms(scene).saturating_add(1))
            }
            State::Unreleased => interval_ms.min(WAITING_HEARTBEAT_MS),
            State::Stable | State::Unrevoked => interval_ms,
        }
    }
}
