//! FindCoordinator: which broker coordinates a group, a transaction or a share group's partition. None does yet.

use super::{Call, Reply, code, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::find_coordinator_response::Coordinator;
use millrace_wire::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, StrBytes,
};

/// From here on a request asks for many keys (KIP-699).
const BATCHED: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
const SHARE_SINCE: i16 = 6;

/// No broker: an id and a port of -1, and no host.
const NOBODY: i32 = -1;

pub async fn handle(
    call: &Call,
    request: FindCoordinatorRequest,
) -> Reply<FindCoordinatorResponse> {
    let mut response = FindCoordinatorResponse::default();
    match call.version {
        BATCHED.. => {
            let keys = request.coordinator_keys.into_iter();
            let find = |key: StrBytes| {
                let error = error(request.key_type, &key, call.version);
                coordinator(key, error)
            };
            response.coordinators = keys.map(find).collect();
        }
        version => {
            let error = error(request.key_type, &request.key, version);
            response.error_code = code(error);
            response.error_message = Some(text(error.message()));
            response.node_id = BrokerId(NOBODY);
            response.port = NOBODY;
        }
    }
    Reply::Answer(response)
}

fn coordinator(key: StrBytes, error: ErrorCode) -> Coordinator {
    let mut coordinator = Coordinator::default();
    coordinator.key = key;
    coordinator.node_id = BrokerId(NOBODY);
    coordinator.port = NOBODY;
    coordinator.error_code = code(error);
    coordinator.error_message = Some(text(error.message()));
    coordinator
}

fn error(key_type: i8, key: &str, version: i16) -> ErrorCode {
    match key_type {
        GROUP | TRANSACTION => ErrorCode::CoordinatorNotAvailable,
        SHARE if version >= SHARE_SINCE && is_share_key(key) => ErrorCode::CoordinatorNotAvailable,
        _ => ErrorCode::InvalidRequest,
    }
}

/// `group:topicId:partition`; the group may hold colons itself.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let (partition, topic, group) = (parts.next(), parts.next(), parts.next());
    let is_partition = partition.is_some_and(|text| text.parse::<i32>().is_ok());
    let is_id = topic.is_some_and(|text| text.len() == 22);
    is_partition && is_id && group.is_some_and(|group| !group.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_share_group_names_group_topic_and_partition() {
        assert!(is_share_key("g:AAAAAAAAAAAAAAAAAAAAAQ:0"));
        assert!(is_share_key("a:b:AAAAAAAAAAAAAAAAAAAAAQ:12"));
        for bad in [
            "",
            "g",
            "g:0",
            "g:topic:0",
            ":AAAAAAAAAAAAAAAAAAAAAQ:0",
            "g:AAAAAAAAAAAAAAAAAAAAAQ:x",
        ] {
            assert!(!is_share_key(bad), "{bad}");
        }
    }

    #[test]
    fn share_groups_are_known_since_version_6() {
        let key = "g:AAAAAAAAAAAAAAAAAAAAAQ:0";
        assert_eq!(error(SHARE, key, 5), ErrorCode::InvalidRequest);
        assert_eq!(error(SHARE, key, 6), ErrorCode::CoordinatorNotAvailable);
        assert_eq!(error(3, key, 6), ErrorCode::InvalidRequest);
    }
}
