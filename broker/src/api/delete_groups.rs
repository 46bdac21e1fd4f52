//! DeleteGroups: groups that nobody is in go, with their offsets.

use super::groups::named;
use super::{Call, Reply, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::delete_groups_response::DeletableGroupResult;
use millrace_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

/// From here on an error has words.
const WITH_MESSAGE: i16 = 3;

pub async fn handle(call: &Call, request: DeleteGroupsRequest) -> Reply<DeleteGroupsResponse> {
    let mut response = DeleteGroupsResponse::default();
    for id in request.groups_names {
        let mut result = DeletableGroupResult::default();
        if let Err(error) = delete(call, &id).await {
            result.error_code = error.code();
            if call.version >= WITH_MESSAGE {
                result.error_message = Some(text(error.message()));
            }
        }
        result.group_id = id;
        response.results.push(result);
    }
    Reply::Answer(response)
}

async fn delete(call: &Call, id: &GroupId) -> Result<(), ErrorCode> {
    let group = named(id)?;
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, _, effects| machine.delete(effects, group))
        .await?
}
