//! LeaveGroup: members go, or are sent away by a tool.

use super::groups::{code, name, named, optional, string};
use super::{Call, Reply};
use crate::group::classic::{Leaving, Left};
use millrace_wire::ErrorCode;
use millrace_wire::messages::leave_group_response::MemberResponse;
use millrace_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

/// From here on several may leave at once (KIP-345).
const BATCHED: i16 = 3;

pub async fn handle(call: &Call, request: LeaveGroupRequest) -> Reply<LeaveGroupResponse> {
    let mut response = LeaveGroupResponse::default();
    match leave(call, &request).await {
        Err(error) => response.error_code = error.code(),
        Ok(left) if call.version < BATCHED => {
            response.error_code = code(left.first().and_then(|one| one.error));
        }
        Ok(left) => {
            let members = left.into_iter().map(|one| {
                let mut member = MemberResponse::default();
                member.member_id = string(&one.member_id);
                member.group_instance_id = one.instance_id.as_ref().map(string);
                member.error_code = code(one.error);
                member
            });
            response.members = members.collect();
        }
    }
    Reply::Answer(response)
}

async fn leave(call: &Call, request: &LeaveGroupRequest) -> Result<Vec<Left>, ErrorCode> {
    let group = named(&request.group_id)?;
    let leaving: Vec<Leaving> = match call.version {
        BATCHED.. => {
            let members = request.members.iter().map(|member| Leaving {
                member_id: name(&member.member_id),
                instance_id: optional(member.group_instance_id.as_ref()),
            });
            members.collect()
        }
        _ => vec![Leaving {
            member_id: name(&request.member_id),
            instance_id: None,
        }],
    };
    let unknown = |leaving: Vec<Leaving>| {
        let left = leaving.into_iter().map(|one| Left {
            member_id: one.member_id,
            instance_id: one.instance_id,
            error: Some(ErrorCode::UnknownMemberId),
        });
        left.collect()
    };
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, now, effects| {
            match machine.leave(now, effects, group, leaving.clone()) {
                // In a group that does not exist nobody is known.
                Err(ErrorCode::UnknownMemberId) => Ok(unknown(leaving)),
                left => left,
            }
        })
        .await?
}
