//! ListGroups, DescribeGroups, DeleteGroups.

use super::{Group, Machine, not_found};
use crate::group::classic::State;
use crate::group::effects::Effects;
use crate::group::{Name, Refusal};
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
        let listed = self.groups.iter().map(|(id, group)| match group {
            Group::Classic(group) => Listed {
                id: id.clone(),
                protocol_type: group.protocol_type().cloned().unwrap_or_default(),
                state: group.state().name(),
                kind: "classic",
            },
            Group::Consumer(group) => Listed {
                id: id.clone(),
                protocol_type: "consumer".into(),
                state: group.state().name(),
                kind: "consumer",
            },
        });
        listed.collect()
    }

    pub fn describe(&self, group: &str) -> Result<Described, Refusal> {
        let group = match self.groups.get(group) {
            Some(Group::Classic(group)) => group,
            Some(Group::Consumer(_)) => {
                let message = format!("Group {group} is not a classic group.");
                return Err(Refusal::new(ErrorCode::GroupIdNotFound, message));
            }
            None => return Err(not_found(group)),
        };
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
        Ok(Described {
            state: group.state().name(),
            protocol_type: group.protocol_type().cloned().unwrap_or_default(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: members.collect(),
        })
    }

    /// A group that nobody is in, with its offsets.
    pub fn delete(&mut self, effects: &mut Effects, group: &str) -> Result<(), ErrorCode> {
        let found = self.groups.get_key_value(group);
        let (id, group) = found.ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let id = id.clone();
        self.offsets
            .remove_if(&id, &mut effects.records, |_, _, _| true);
        effects.records.extend(group.tombstones(&id));
        self.groups.remove(&id);
        Ok(())
    }
}
