//! DescribeCluster: the cluster's id, its controller, and its brokers as this listener's clients reach them.

use super::metadata::{CLUSTER_OPERATIONS, brokers};
use super::{Call, Reply, code, text};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_cluster_response::DescribeClusterBroker;
use millrace_wire::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

/// KIP-919: whose endpoints are asked for. This is a listener of brokers.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(
    call: &Call,
    request: DescribeClusterRequest,
) -> Reply<DescribeClusterResponse> {
    let mut response = DescribeClusterResponse::default();
    response.endpoint_type = BROKERS;
    response.error_message = None;
    if let Err((error, why)) = check(request.endpoint_type) {
        response.error_code = code(error);
        response.error_message = Some(text(why));
        response.controller_id = BrokerId(-1);
        return Reply::Answer(response);
    }
    response.cluster_id = text(&*call.broker.cluster_id);
    response.controller_id = BrokerId(call.broker.id());
    let known = brokers(call);
    let described = known.into_iter().map(|broker| {
        let mut described = DescribeClusterBroker::default();
        described.broker_id = broker.node_id;
        described.host = broker.host;
        described.port = broker.port;
        described.rack = broker.rack;
        described
    });
    response.brokers = described.collect();
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    Reply::Answer(response)
}

fn check(endpoint_type: i8) -> Result<(), (ErrorCode, String)> {
    match endpoint_type {
        BROKERS => Ok(()),
        CONTROLLERS => Err((
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned(),
        )),
        other => Err((
            ErrorCode::UnsupportedEndpointType,
            format!("Unsupported endpoint type {other}"),
        )),
    }
}
