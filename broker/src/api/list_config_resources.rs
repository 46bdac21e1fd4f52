//! ListConfigResources: what there is that may have settings of its own (KIP-1142).

use super::alter::resource;
use super::metadata::brokers;
use super::{Call, Reply, code, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::list_config_resources_response::ConfigResource;
use millrace_wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

/// In the order of the answer, which is Kafka's.
const KINDS: [i8; 5] = [
    resource::GROUP,
    resource::CLIENT_METRICS,
    resource::BROKER_LOGGER,
    resource::BROKER,
    resource::TOPIC,
];

pub async fn handle(
    call: &Call,
    request: ListConfigResourcesRequest,
) -> Reply<ListConfigResourcesResponse> {
    let mut response = ListConfigResourcesResponse::default();
    match wanted(call.version, &request.resource_types) {
        Ok(kinds) => {
            let of_kind = |kind| {
                let names = names(call, kind).into_iter();
                names.map(move |name| {
                    let mut listed = ConfigResource::default();
                    listed.resource_name = text(name);
                    listed.resource_type = kind;
                    listed
                })
            };
            response.config_resources = kinds.into_iter().flat_map(of_kind).collect();
        }
        Err(error) => response.error_code = code(error),
    }
    Reply::Answer(response)
}

/// Version 0 was ListClientMetricsResources: it asks for nothing else, and cannot say so.
fn wanted(version: i16, asked: &[i8]) -> Result<Vec<i8>, ErrorCode> {
    let served = |kind: &i8| match version {
        0 => *kind == resource::CLIENT_METRICS,
        _ => KINDS.contains(kind),
    };
    if !asked.iter().all(served) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let is_wanted = |kind: &i8| served(kind) && (asked.is_empty() || asked.contains(kind));
    Ok(KINDS.into_iter().filter(is_wanted).collect())
}

fn names(call: &Call, kind: i8) -> Vec<String> {
    let image = call.broker.metadata.image();
    match kind {
        resource::TOPIC => image.topics.keys().cloned().collect(),
        resource::BROKER | resource::BROKER_LOGGER => {
            let reachable = brokers(call).into_iter();
            reachable
                .map(|broker| broker.node_id.0.to_string())
                .collect()
        }
        // Those that something is set on, as in Kafka.
        resource::GROUP => {
            let groups = image.group_configs();
            groups.map(|(group, _)| group.to_owned()).collect()
        }
        resource::CLIENT_METRICS => {
            let subscriptions = image.client_metrics();
            subscriptions.map(|(name, _)| name.to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_0_knows_clients_metrics_only() {
        assert_eq!(wanted(0, &[]), Ok(vec![resource::CLIENT_METRICS]));
        assert_eq!(
            wanted(0, &[resource::TOPIC]),
            Err(ErrorCode::UnsupportedVersion)
        );
    }

    #[test]
    fn nothing_asked_for_is_everything() {
        assert_eq!(wanted(1, &[]), Ok(KINDS.to_vec()));
        let asked = [resource::TOPIC, resource::GROUP, resource::TOPIC];
        assert_eq!(
            wanted(1, &asked),
            Ok(vec![resource::GROUP, resource::TOPIC])
        );
        for unknown in [0, 1, 3, 64, -1] {
            let asked = [resource::TOPIC, unknown];
            assert_eq!(wanted(1, &asked), Err(ErrorCode::UnsupportedVersion));
        }
    }
}
