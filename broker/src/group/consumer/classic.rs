//! Members that speak the classic protocol in a consumer group, while it goes over from one protocol to the other: what they
//! may read is decided for them too, and they are called by being told to join again.

use super::Partitions;
use super::group::ConsumerGroup;
use super::member::{ClassicSide, Member, Said, State};
use crate::group::catalog::Catalog;
use crate::group::classic::{Claim, Join, Leaving, Left, Sync};
use crate::group::effects::{Joined, Synced};
use crate::group::settings::MigrationPolicy;
use crate::group::timers::Timer;
use crate::group::{Name, Scene};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::consumer_protocol::{Assignment, PROTOCOL_TYPE, Subscription};
use std::collections::BTreeSet;

/// What a member of the classic protocol says that it owns, or was given, by the ids of topics that there are.
pub(super) fn by_id(
    partitions: &millrace_wire::consumer_protocol::Partitions,
    catalog: &Catalog,
) -> Partitions {
    let topics = partitions
        .iter()
        .filter(|(_, partitions)| !partitions.is_empty());
    topics
        .filter_map(|(name, partitions)| Some((catalog.named(name)?.id, partitions.clone())))
        .collect()
}

impl ConsumerGroup {
    pub fn join(&mut self, scene: &mut Scene<'_>, join: Join) {
        let (ticket, member_id) = (join.ticket, join.member_id.clone());
        let answer = self
            .try_join(scene, join)
            .unwrap_or_else(|error| Joined::failed(error, member_id));
        scene.effects.joined(ticket, answer);
    }

    fn try_join(&mut self, scene: &mut Scene<'_>, join: Join) -> Result<Joined, ErrorCode> {
        let inconsistent = ErrorCode::InconsistentGroupProtocol;
        if scene.settings.consumer.migration == MigrationPolicy::Disabled || !self.supports(&join) {
            return Err(inconsistent);
        }
        let (protocol, metadata) = join.protocols.first().ok_or(inconsistent)?;
        let protocol = protocol.clone();
        let subscription = Subscription::decode(metadata.clone()).map_err(|_| inconsistent)?;
        if join.member_id.is_empty() && join.can_return && join.instance_id.is_none() {
            return Ok(Joined::failed(
                ErrorCode::MemberIdRequired,
                join.new_member_id,
            ));
        }
        let id = match join.member_id.is_empty() {
            true => join.new_member_id.clone(),
            false => join.member_id.clone(),
        };
        let holder = join
            .instance_id
            .as_ref()
            .and_then(|instance| self.instances.get(instance));
        let former = match holder.cloned() {
            Some(holder) if holder == id => None,
            Some(_) if !join.member_id.is_empty() => return Err(ErrorCode::FencedInstanceId),
            holder => holder,
        };
        let is_new = !self.members.contains_key(&id) && former.is_none();
        if is_new && self.members.len() >= scene.settings.consumer.max_size {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let owned = by_id(&subscription.owned, scene.catalog);
        let rebalance_timeout_ms = join.rebalance_timeout_ms;
        let said = said(join, subscription);
        let has_other_wishes = match former {
            Some(former) => {
                self.replace(scene, &former, &id);
                self.say(scene, &id, said)
            }
            None if is_new => {
                self.add(scene, &id, said);
                true
            }
            None => self.say(scene, &id, said),
        };
        self.go_on(scene, &id, has_other_wishes, Some(&owned));
        self.heard(scene, &id);
        scene.timers.cancel(&self.rejoining(&id));
        let timeout_ms = u64::try_from(rebalance_timeout_ms).unwrap_or(0);
        scene
            .timers
            .set(self.syncing(&id), scene.now.clock_ms + timeout_ms);
        Ok(Joined {
            error: None,
            generation: self.members.get(&id).map_or(-1, |member| member.at.epoch),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol: Some(protocol),
            // Nobody leads: the coordinator assigns.
            leader: None,
            member_id: id,
            skips_assignment: false,
            members: Vec::new(),
        })
    }

    /// Whether someone with these protocols can be among those who speak the classic one.
    fn supports(&self, join: &Join) -> bool {
        let in_common = |(name, _): &(Name, Bytes)| {
            let mut classic = self
                .members
                .values()
                .filter_map(|member| member.said.classic.as_ref());
            classic.all(|side| side.protocols.iter().any(|(known, _)| known == name))
        };
        *join.protocol_type == *PROTOCOL_TYPE && join.protocols.iter().any(in_common)
    }

    pub fn sync(&mut self, scene: &mut Scene<'_>, sync: &Sync) {
        let synced = self.try_sync(scene, sync).unwrap_or_else(Synced::failed);
        scene.effects.synced(sync.ticket, synced);
    }

    fn try_sync(&mut self, scene: &mut Scene<'_>, sync: &Sync) -> Result<Synced, ErrorCode> {
        let (member, side) = self.claimed(Claim {
            member_id: &sync.member_id,
            instance_id: sync.instance_id.as_deref(),
            generation: sync.generation,
        })?;
        let (protocol, metadata) = side
            .protocols
            .first()
            .ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let differs =
            |said: &Option<Name>, known: &str| said.as_deref().is_some_and(|said| said != known);
        if differs(&sync.protocol_type, PROTOCOL_TYPE) || differs(&sync.protocol, protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        // Who gives partitions back has joined already, and joins again when that is done.
        if member.at.epoch < self.target.epoch && member.at.state != State::Unrevoked {
            self.calls(scene, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let synced = Synced {
            error: None,
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol: Some(protocol.clone()),
            assignment: assignment(member, metadata, scene.catalog),
        };
        let id = member.id.clone();
        scene.timers.cancel(&self.syncing(&id));
        self.heard(scene, &id);
        Ok(synced)
    }

    /// A member is there. It is told to join again when there is something else for it to read.
    pub fn classic_heartbeat(
        &mut self,
        scene: &mut Scene<'_>,
        claim: Claim<'_>,
    ) -> Result<(), ErrorCode> {
        let id = self.claimed(claim)?.0.id.clone();
        self.heard(scene, &id);
        self.advance(scene, false);
        self.decide(scene);
        let (member, _) = self.claimed(claim)?;
        let is_called = match member.at.state {
            _ if member.at.epoch < self.target.epoch => true,
            State::Stable => false,
            State::Unrevoked => true,
            State::Unreleased => self.may_go_on(member),
        };
        if is_called {
            self.calls(scene, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Everything that a member waits for is free.
    fn may_go_on(&self, member: &Member) -> bool {
        let target = self.target_of(&member.id).iter();
        let mut places =
            target.flat_map(|(topic, partitions)| partitions.iter().map(|at| (*topic, *at)));
        places.all(|place| {
            self.holders
                .get(&place)
                .is_none_or(|holder| *holder == member.id)
        })
    }

    pub fn classic_leave(&mut self, scene: &mut Scene<'_>, leaving: Vec<Leaving>) -> Vec<Left> {
        let mut gone = BTreeSet::new();
        let left = leaving.into_iter().map(|one| {
            let found = self.leaver(&one);
            let error = found.as_ref().err().copied();
            gone.extend(found.ok());
            Left {
                member_id: one.member_id,
                instance_id: one.instance_id,
                error,
            }
        });
        let left: Vec<Left> = left.collect();
        let gone: Vec<Name> = gone.into_iter().collect();
        if !gone.is_empty() {
            self.remove(scene, &gone);
        }
        left
    }

    fn leaver(&self, one: &Leaving) -> Result<Name, ErrorCode> {
        let unknown = ErrorCode::UnknownMemberId;
        match &one.instance_id {
            None => match self.members.contains_key(&one.member_id) {
                true => Ok(one.member_id.clone()),
                false => Err(unknown),
            },
            Some(instance) => {
                let holder = self.instances.get(instance).ok_or(unknown)?;
                match one.member_id.is_empty() || one.member_id == *holder {
                    true => Ok(holder.clone()),
                    false => Err(ErrorCode::FencedInstanceId),
                }
            }
        }
    }

    /// A member that was called has not joined, or has joined and not asked for its assignment.
    pub fn classic_timed_out(&mut self, scene: &mut Scene<'_>, id: &Name) {
        let member = self.members.get(id);
        if member.is_some_and(|member| member.said.classic.is_some()) {
            tracing::info!(
                group = &*self.id,
                member = &**id,
                "a member that does not join again is removed"
            );
            self.remove(scene, std::slice::from_ref(id));
        }
    }

    /// The member that a request of the classic protocol speaks for.
    fn claimed(&self, claim: Claim<'_>) -> Result<(&Member, &ClassicSide), ErrorCode> {
        if let Some(instance) = claim.instance_id {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(holder) if **holder != *claim.member_id => {
                    return Err(ErrorCode::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        let member = self
            .members
            .get(claim.member_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        let side = member
            .said
            .classic
            .as_ref()
            .ok_or(ErrorCode::UnknownMemberId)?;
        match claim.generation == member.at.epoch {
            true => Ok((member, side)),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// A member is told to join again, and has as long for it as it said.
    fn calls(&self, scene: &mut Scene<'_>, member: &Member) {
        let timer = self.rejoining(&member.id);
        if !scene.timers.is_set(&timer) {
            let timeout_ms = u64::try_from(member.said.rebalance_timeout_ms).unwrap_or(0);
            scene.timers.set(timer, scene.now.clock_ms + timeout_ms);
        }
    }

    pub(super) fn rejoining(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Rejoining { group, member }
    }

    pub(super) fn syncing(&self, member: &Name) -> Timer {
        let (group, member) = (self.id.clone(), member.clone());
        Timer::Syncing { group, member }
    }
}

fn said(join: Join, subscription: Subscription) -> Said {
    Said {
        instance_id: join.instance_id,
        rack_id: subscription.rack.map(Name::from),
        client: join.client,
        rebalance_timeout_ms: join.rebalance_timeout_ms,
        topics: subscription.topics.into_iter().map(Name::from).collect(),
        pattern: None,
        assignor: None,
        classic: Some(ClassicSide {
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
        }),
    }
}

/// What a member of the classic protocol may read, in its own words.
pub(super) fn assignment(member: &Member, metadata: &Bytes, catalog: &Catalog) -> Bytes {
    let version =
        Subscription::decode(metadata.clone()).map_or(0, |subscription| subscription.version);
    let topics = member.at.assigned.iter().filter_map(|(topic, partitions)| {
        let topic = catalog.with_id(topic)?;
        Some((topic.name.clone(), partitions.keys().copied().collect()))
    });
    let assignment = Assignment {
        partitions: topics.collect(),
        user_data: None,
    };
    // Names of topics are short enough.
    assignment.encode(version).unwrap_or_default()
}
