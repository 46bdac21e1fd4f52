//! A settled generation in the log, and back.

use super::state::{ClassicGroup, State};
use super::{Client, Member};
use crate::group::{Name, Scene};
use bytes::Bytes;
use millrace_wire::group_records::group_metadata_value::MemberMetadata;
use millrace_wire::group_records::{GroupMetadataKey, GroupMetadataValue, GroupRecord};
use millrace_wire::messages::StrBytes;
use std::collections::HashMap;

fn text(name: &str) -> StrBytes {
    StrBytes::from_string(name.to_owned())
}

fn name(text: &StrBytes) -> Name {
    Name::from(&**text)
}

/// What takes a group out of the log.
pub fn tombstone(group: &str) -> GroupRecord {
    GroupRecord::GroupMetadata(GroupMetadataKey::default().with_group(text(group)), None)
}

impl ClassicGroup {
    pub(super) fn record(&self, assignments: &HashMap<Name, Bytes>, wall_ms: i64) -> GroupRecord {
        let member = |member: &Member| {
            MemberMetadata::default()
                .with_member_id(text(&member.id))
                .with_group_instance_id(member.instance_id.as_deref().map(text))
                .with_client_id(text(&member.client.id))
                .with_client_host(text(&member.client.host))
                .with_rebalance_timeout(member.rebalance_timeout_ms)
                .with_session_timeout(member.session_timeout_ms)
                .with_subscription(self.metadata_of(member))
                .with_assignment(assignments.get(&member.id).cloned().unwrap_or_default())
        };
        let value = GroupMetadataValue::default()
            .with_protocol_type(text(self.protocol_type.as_deref().unwrap_or_default()))
            .with_generation(self.generation)
            .with_protocol(self.protocol.as_deref().map(text))
            .with_leader(self.leader.as_deref().map(text))
            .with_current_state_timestamp(wall_ms)
            .with_members(self.members.values().map(member).collect());
        let key = GroupMetadataKey::default().with_group(text(&self.id));
        GroupRecord::GroupMetadata(key, Some(value))
    }

    /// What every member does, as it was handed in.
    pub(super) fn assignments(&self) -> HashMap<Name, Bytes> {
        let members = self.members.values();
        members
            .map(|member| (member.id.clone(), member.assignment.clone()))
            .collect()
    }

    /// A group as its record says it was.
    pub fn replayed(id: Name, value: &GroupMetadataValue) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, value.current_state_timestamp);
        group.generation = value.generation;
        group.protocol_type = Some(name(&value.protocol_type)).filter(|kind| !kind.is_empty());
        group.protocol = value.protocol.as_ref().map(name);
        group.leader = value.leader.as_ref().map(name);
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in &value.members {
            let id = name(&member.member_id);
            let instance_id = member.group_instance_id.as_ref().map(name);
            if let Some(instance) = &instance_id {
                group.instances.insert(instance.clone(), id.clone());
            }
            // The oldest records know one time-out only.
            let rebalance_timeout_ms = match member.rebalance_timeout {
                ..0 => member.session_timeout,
                known => known,
            };
            let member = Member {
                id: id.clone(),
                instance_id,
                client: Client {
                    id: name(&member.client_id),
                    host: name(&member.client_host),
                },
                rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout,
                protocols: vec![(protocol.clone(), member.subscription.clone())],
                assignment: member.assignment.clone(),
                is_new: false,
                joining: None,
                syncing: None,
            };
            group.members.insert(id, member);
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group
    }

    /// After all records were read: everybody's session begins.
    pub fn resume(&mut self, scene: &mut Scene<'_>) {
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in &ids {
            self.heard(scene, id);
        }
        if ids.len() > scene.settings.max_size {
            self.rebalance(scene);
        }
    }
}
