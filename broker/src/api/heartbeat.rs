//! Heartbeat: a member of a classic group is there, and learns whether it has to join again.

use super::groups::named;
use super::{Call, Reply, code};
use crate::group::classic::Claim;
use millrace_wire::ErrorCode;
use millrace_wire::messages::{HeartbeatRequest, HeartbeatResponse};

pub async fn handle(call: &Call, request: HeartbeatRequest) -> Reply<HeartbeatResponse> {
    let mut response = HeartbeatResponse::default();
    if let Err(error) = heartbeat(call, &request).await {
        response.error_code = code(error);
    }
    Reply::Answer(response)
}

async fn heartbeat(call: &Call, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    let group = named(&request.group_id)?;
    let claim = Claim {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    match call.broker.groups.of(group).await {
        Ok(coordinator) => {
            coordinator
                .step(|machine, now, effects| machine.heartbeat(now, effects, group, claim))
                .await?
        }
        // What a member has to say is not lost: its session has not begun yet.
        Err(ErrorCode::CoordinatorLoadInProgress) => Ok(()),
        Err(error) => Err(error),
    }
}
