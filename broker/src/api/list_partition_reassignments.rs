//! ListPartitionReassignments: none is ever under way, for replicas cannot be moved from one broker to another yet.

use super::{Call, Reply};
use millrace_wire::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub async fn handle(
    _call: &Call,
    _request: ListPartitionReassignmentsRequest,
) -> Reply<ListPartitionReassignmentsResponse> {
    let mut response = ListPartitionReassignmentsResponse::default();
    response.error_message = None;
    Reply::Answer(response)
}
