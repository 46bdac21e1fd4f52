//! ListGroups, DescribeGroups, DeleteGroups.

use super::Machine;
use crate::group::Name;
use crate::group::classic::{State, tombstone};
use crate::group::effects::Effects;
use bytes::Bytes;
use millrace_wire::ErrorCode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: Name,
    pub protocol_type: Name,
    pub state: &'static str,
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub state: &'static str,
    pub protocol_type: Name,
    /// Empty unless the group is stable.
    pub protocol: Name,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: Name,
    pub instance_id: Option<Name>,
    pub client_id: Name,
    pub client_host: Name,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl Machine {
    pub fn list(&self) -> Vec<Listed> {
        let listed = self.groups.values().map(|group| Listed {
            id: group.id.clone(),
            protocol_type: group.protocol_type().cloned().unwrap_or_default(),
            state: group.state().name(),
            kind: "classic",
        });
        listed.collect()
    }

    /// `None` if there is no such group.
    pub fn describe(&self, group: &str) -> Option<Described> {
        let group = self.groups.get(group)?;
        // What members say and do is told once it is settled.
        let is_stable = group.state() == State::Stable;
        let members = group.members().map(|member| DescribedMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client.id.clone(),
            client_host: member.client.host.clone(),
            metadata: match is_stable {
                true => group.metadata_of(member),
                false => Bytes::new(),
            },
            assignment: match is_stable {
                true => member.assignment.clone(),
                false => Bytes::new(),
            },
        });
        let protocol = group.protocol().filter(|_| is_stable);
        Some(Described {
            state: group.state().name(),
            protocol_type: group.protocol_type().cloned().unwrap_or_default(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: members.collect(),
        })
    }

    /// A group that nobody is in, with its offsets.
    pub fn delete(&mut self, effects: &mut Effects, group: &str) -> Result<(), ErrorCode> {
        let group = self.groups.get(group).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state() != State::Empty || !group.is_unclaimed() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let id = group.id.clone();
        self.offsets
            .remove_if(&id, &mut effects.records, |_, _, _| true);
        effects.records.push(tombstone(&id));
        self.groups.remove(&id);
        Ok(())
    }
}
