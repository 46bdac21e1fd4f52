//! A group goes over from one protocol to the other while its members are in it (KIP-848): a classic group becomes a consumer
//! group when the first member joins by the new protocol, and a classic one again when the last such member has gone.

use super::classic::{assignment, by_id};
use super::group::ConsumerGroup;
use super::member::{ClassicSide, Member, Position, Said, State};
use super::{Held, Partitions};
use crate::group::Scene;
use crate::group::classic::{self, ClassicGroup};
use crate::group::settings::Settings;
use bytes::Bytes;
use millrace_wire::consumer_protocol::{self, Assignment, Subscription};
use millrace_wire::group_records::GroupRecord;

impl ConsumerGroup {
    /// Whether everything that members have said and were given can be read.
    pub fn check_upgrade(group: &ClassicGroup) -> Result<(), consumer_protocol::Error> {
        for member in group.members() {
            Subscription::decode(said_by(group, member))?;
            Assignment::decode(member.assignment.clone())?;
        }
        Ok(())
    }

    /// What a classic group goes on as: its members read what they read, and its generation is the epoch.
    pub fn upgraded(
        scene: &mut Scene<'_>,
        group: &ClassicGroup,
    ) -> Result<ConsumerGroup, consumer_protocol::Error> {
        let mut upgraded = ConsumerGroup::new(group.id.clone());
        upgraded.epoch = group.generation().max(0);
        upgraded.target.epoch = upgraded.epoch;
        for member in group.members() {
            let subscription = Subscription::decode(said_by(group, member))?;
            let given = Assignment::decode(member.assignment.clone())?;
            let assigned = upgraded.held(by_id(&given.partitions, scene.catalog));
            let target = assigned.iter();
            let target = target.map(|(topic, held)| (*topic, held.keys().copied().collect()));
            upgraded
                .target
                .members
                .insert(member.id.clone(), target.collect());
            upgraded.instances.extend(
                member
                    .instance_id
                    .iter()
                    .map(|instance| (instance.clone(), member.id.clone())),
            );
            upgraded.members.insert(
                member.id.clone(),
                Member {
                    id: member.id.clone(),
                    said: said(member, subscription),
                    at: Position::default(),
                },
            );
            let at = Position {
                state: State::Stable,
                epoch: upgraded.epoch,
                previous_epoch: upgraded.epoch,
                assigned,
                revoking: Held::new(),
            };
            upgraded.place(&member.id, at);
        }
        upgraded.metadata_hash = upgraded.hash(scene.catalog);
        upgraded.seen_catalog = scene.catalog.version;
        upgraded.write(&mut scene.effects.records);
        let ids: Vec<_> = upgraded.members.keys().cloned().collect();
        for id in &ids {
            upgraded.heard(scene, id);
        }
        tracing::info!(
            group = &*upgraded.id,
            "a classic group goes on as a consumer group"
        );
        Ok(upgraded)
    }

    /// What nobody holds yet: a careless assignor may have given a partition away twice.
    fn held(&self, given: Partitions) -> Held {
        let mut held = Held::new();
        for (topic, partitions) in given {
            for at in partitions {
                if !self.holders.contains_key(&(topic, at)) {
                    held.entry(topic).or_default().insert(at, self.epoch);
                }
            }
        }
        held
    }

    /// The whole group as records.
    fn write(&self, records: &mut Vec<GroupRecord>) {
        records.extend(self.members.values().map(|member| member.record(&self.id)));
        records.push(self.record());
        let targets = self.target.members.iter();
        records.extend(targets.map(|(id, target)| self.target_record(id, target)));
        records.push(self.target_epoch_record());
        let members = self.members.values();
        records.extend(members.map(|member| self.position_record(&member.id, &member.at)));
    }

    /// Whether nobody speaks the new protocol any more, and the group may go on as a classic one.
    pub fn may_be_classic(&self, settings: &Settings) -> bool {
        let mut members = self.members.values();
        !self.members.is_empty()
            && self.members.len() <= settings.max_size
            && settings.consumer.migration.may_downgrade()
            && members.all(|member| member.said.classic.is_some())
    }

    /// What it goes on as. Its members are told to join the next generation.
    pub fn downgraded(&self, scene: &mut Scene<'_>) -> ClassicGroup {
        scene.effects.records.extend(self.tombstones());
        let members = self.members.values().filter_map(|member| {
            self.expects_nothing(scene, &member.id);
            let side = member.said.classic.as_ref()?;
            let (_, metadata) = side.protocols.first()?;
            Some(classic::Member {
                id: member.id.clone(),
                instance_id: member.said.instance_id.clone(),
                client: member.said.client.clone(),
                rebalance_timeout_ms: member.said.rebalance_timeout_ms,
                session_timeout_ms: side.session_timeout_ms,
                protocols: side.protocols.clone(),
                assignment: assignment(member, metadata, scene.catalog),
                is_new: false,
                joining: None,
                syncing: None,
            })
        });
        let members: Vec<classic::Member> = members.collect();
        tracing::info!(
            group = &*self.id,
            "a consumer group goes on as a classic group"
        );
        ClassicGroup::begun_with(scene, self.id.clone(), self.epoch, members)
    }
}

/// In the chosen protocol, or in the one that it likes best while none is chosen.
fn said_by(group: &ClassicGroup, member: &classic::Member) -> Bytes {
    let first = || {
        member
            .protocols
            .first()
            .map(|(_, metadata)| metadata.clone())
    };
    let metadata = Some(group.metadata_of(member)).filter(|metadata| !metadata.is_empty());
    metadata.or_else(first).unwrap_or_default()
}

fn said(member: &classic::Member, subscription: Subscription) -> Said {
    Said {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack.map(Into::into),
        client: member.client.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        topics: subscription.topics.into_iter().map(Into::into).collect(),
        pattern: None,
        assignor: None,
        classic: Some(ClassicSide {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}
