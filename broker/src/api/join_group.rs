//! JoinGroup: a consumer wants to be in a classic group, and waits for its next generation.

use super::groups::{client, code, name, named, optional, string};
use super::{Call, Reply};
use crate::group::classic::Join;
use crate::group::effects::{Answer, Joined};
use crate::group::new_member_id;
use millrace_wire::ErrorCode;
use millrace_wire::messages::join_group_response::JoinGroupResponseMember;
use millrace_wire::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes};

/// From here on a client comes back with the id that it was given (KIP-394).
const RETURNS: i16 = 4;

/// From here on a rebalance has a time-out of its own.
const REBALANCE_TIMEOUT: i16 = 1;

/// From here on the protocol's name may be absent.
const NULL_PROTOCOL: i16 = 7;

/// From here on a leader may be told that it has nothing to assign (KIP-814).
const SKIPS: i16 = 9;

pub async fn handle(call: &Call, request: JoinGroupRequest) -> Reply<JoinGroupResponse> {
    let member_id = name(&request.member_id);
    let joined = match join(call, request).await {
        Ok(joined) => joined,
        Err(error) => Joined::failed(error, member_id),
    };
    Reply::Answer(response(joined, call.version))
}

async fn join(call: &Call, request: JoinGroupRequest) -> Result<Joined, ErrorCode> {
    let group = named(&request.group_id)?;
    let coordinator = call.broker.groups.of(group).await?;
    let client = client(call);
    let instance_id = optional(request.group_instance_id.as_ref());
    let new_member_id = new_member_id(&client.id, instance_id.as_deref());
    let asked = std::time::Instant::now();
    let answer = coordinator.ask(|machine, now, effects, ticket| {
        let protocols = request.protocols.iter();
        let join = Join {
            ticket,
            member_id: name(&request.member_id),
            new_member_id,
            instance_id,
            client,
            protocol_type: name(&request.protocol_type),
            // They share the memory of the frame, and are kept for long: copies keep only what is theirs.
            protocols: protocols
                .map(|protocol| {
                    let metadata = bytes::Bytes::copy_from_slice(&protocol.metadata);
                    (name(&protocol.name), metadata)
                })
                .collect(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: match call.version {
                REBALANCE_TIMEOUT.. => request.rebalance_timeout_ms,
                _ => request.session_timeout_ms,
            },
            can_return: call.version >= RETURNS,
            can_skip_assignment: call.version >= SKIPS,
        };
        machine.join(now, effects, group, join);
    });
    let answer = answer.await;
    call.waited(asked.elapsed());
    match answer? {
        Answer::Join(joined) => Ok(joined),
        Answer::Sync(_) => Err(ErrorCode::UnknownServerError),
    }
}

fn response(joined: Joined, version: i16) -> JoinGroupResponse {
    let mut response = JoinGroupResponse::default();
    response.error_code = code(joined.error);
    response.generation_id = joined.generation;
    response.protocol_type = joined.protocol_type.as_ref().map(string);
    response.protocol_name = match (joined.protocol.as_ref(), version) {
        (None, ..NULL_PROTOCOL) => Some(StrBytes::default()),
        (protocol, _) => protocol.map(string),
    };
    response.leader = joined.leader.as_ref().map(string).unwrap_or_default();
    response.skip_assignment = joined.skips_assignment;
    response.member_id = string(&joined.member_id);
    let members = joined.members.into_iter().map(|member| {
        let mut one = JoinGroupResponseMember::default();
        one.member_id = string(&member.member_id);
        one.group_instance_id = member.instance_id.as_ref().map(string);
        one.metadata = member.metadata;
        one
    });
    response.members = members.collect();
    response
}
