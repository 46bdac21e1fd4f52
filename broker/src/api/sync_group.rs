//! SyncGroup: the leader of a classic group hands in the assignment, everybody gets their own.

use super::groups::{code, name, named, optional, string};
use super::{Call, Reply};
use crate::group::classic::Sync;
use crate::group::effects::{Answer, Synced};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::messages::{SyncGroupRequest, SyncGroupResponse};

/// From here on a member says what it takes to be agreed (KIP-559).
const AGREED: i16 = 5;

pub async fn handle(call: &Call, request: SyncGroupRequest) -> Reply<SyncGroupResponse> {
    let synced = match sync(call, request).await {
        Ok(synced) => synced,
        Err(error) => Synced::failed(error),
    };
    let mut response = SyncGroupResponse::default();
    response.error_code = code(synced.error);
    response.protocol_type = synced.protocol_type.as_ref().map(string);
    response.protocol_name = synced.protocol.as_ref().map(string);
    response.assignment = synced.assignment;
    Reply::Answer(response)
}

async fn sync(call: &Call, request: SyncGroupRequest) -> Result<Synced, ErrorCode> {
    let group = named(&request.group_id)?;
    if call.version >= AGREED
        && (request.protocol_type.is_none() || request.protocol_name.is_none())
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let coordinator = call.broker.groups.of(group).await?;
    let asked = std::time::Instant::now();
    let answer = coordinator.ask(|machine, now, effects, ticket| {
        let assignments = request.assignments.iter().map(|one| {
            (
                name(&one.member_id),
                Bytes::copy_from_slice(&one.assignment),
            )
        });
        let sync = Sync {
            ticket,
            member_id: name(&request.member_id),
            instance_id: optional(request.group_instance_id.as_ref()),
            generation: request.generation_id,
            protocol_type: optional(request.protocol_type.as_ref()),
            protocol: optional(request.protocol_name.as_ref()),
            assignments: assignments.collect(),
        };
        machine.sync(now, effects, group, sync);
    });
    let answer = answer.await;
    call.waited(asked.elapsed());
    match answer? {
        Answer::Sync(synced) => Ok(synced),
        Answer::Join(_) => Err(ErrorCode::UnknownServerError),
    }
}
