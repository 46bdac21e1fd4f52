//! ListGroups: the groups that this broker coordinates.

use super::groups::string;
use super::{Call, Reply, code, text};
use crate::group::machine::Listed;
use millrace_wire::ErrorCode;
use millrace_wire::messages::list_groups_response::ListedGroup;
use millrace_wire::messages::{GroupId, ListGroupsRequest, ListGroupsResponse, StrBytes};

pub async fn handle(call: &Call, request: ListGroupsRequest) -> Reply<ListGroupsResponse> {
    let mut response = ListGroupsResponse::default();
    match list(call).await {
        Ok(listed) => {
            let wanted = listed.into_iter().filter(|one| is_wanted(&request, one));
            response.groups = wanted.map(entry).collect();
        }
        Err(error) => response.error_code = code(error),
    }
    Reply::Answer(response)
}

async fn list(call: &Call) -> Result<Vec<Listed>, ErrorCode> {
    let mut listed = Vec::new();
    for coordinator in call.broker.groups.all().await? {
        listed.extend(coordinator.step(|machine, _, _| machine.list()).await?);
    }
    Ok(listed)
}

/// Names of states and kinds are taken in any case; no name at all wants everything.
fn is_wanted(request: &ListGroupsRequest, one: &Listed) -> bool {
    let is_among = |wanted: &[StrBytes], name: &str| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    is_among(&request.states_filter, one.state) && is_among(&request.types_filter, one.kind)
}

fn entry(one: Listed) -> ListedGroup {
    let mut entry = ListedGroup::default();
    entry.group_id = GroupId(string(&one.id));
    entry.protocol_type = string(&one.protocol_type);
    entry.group_state = text(one.state);
    entry.group_type = text(one.kind);
    entry
}
