//! DescribeGroups: who is in classic groups, and what they read.

use super::groups::{OPERATIONS, named, string};
use super::{Call, Reply, code, text};
use crate::group::Refusal;
use crate::group::machine::Described;
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use millrace_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

/// From here on a group that does not exist is an error; before, it is dead.
const NOT_FOUND: i16 = 6;

/// As Kafka's tools print the state of a group that does not exist.
const DEAD: &str = "Dead";

pub async fn handle(call: &Call, request: DescribeGroupsRequest) -> Reply<DescribeGroupsResponse> {
    let mut response = DescribeGroupsResponse::default();
    for id in request.groups {
        let mut group = match describe(call, &id).await {
            Ok(described) => described_as(described),
            Err(refusal) if refusal.code == ErrorCode::GroupIdNotFound => {
                dead(refusal, call.version)
            }
            Err(refusal) => {
                let mut group = DescribedGroup::default();
                group.error_code = code(refusal.code);
                group
            }
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = OPERATIONS;
        }
        group.group_id = id;
        response.groups.push(group);
    }
    Reply::Answer(response)
}

async fn describe(call: &Call, id: &GroupId) -> Result<Described, Refusal> {
    let group = named(id)?;
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, _, _| machine.describe(group))
        .await?
}

fn dead(refusal: Refusal, version: i16) -> DescribedGroup {
    let mut group = DescribedGroup::default();
    group.group_state = text(DEAD);
    if version >= NOT_FOUND {
        group.error_code = code(refusal.code);
        group.error_message = Some(text(refusal.message));
    }
    group
}

fn described_as(described: Described) -> DescribedGroup {
    let mut group = DescribedGroup::default();
    group.group_state = text(described.state);
    group.protocol_type = string(&described.protocol_type);
    group.protocol_data = string(&described.protocol);
    let members = described.members.into_iter().map(|member| {
        let mut one = DescribedGroupMember::default();
        one.member_id = string(&member.id);
        one.group_instance_id = member.instance_id.as_ref().map(string);
        one.client_id = string(&member.client_id);
        one.client_host = string(&member.client_host);
        one.member_metadata = member.metadata;
        one.member_assignment = member.assignment;
        one
    });
    group.members = members.collect();
    group
}
