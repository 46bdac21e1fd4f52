//! GetTelemetrySubscriptions: which of its own metrics a client is to push, and how often (KIP-714).

use super::push_telemetry::{client, refused};
use super::{Call, Reply, code, text};
use millrace_wire::messages::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use millrace_wire::uuid;
use std::time::Instant;

/// By Kafka's numbers, what it likes best first: zstd, lz4, gzip, snappy.
const ACCEPTED: [i8; 4] = [4, 3, 1, 2];

pub async fn handle(
    call: &Call,
    request: GetTelemetrySubscriptionsRequest,
) -> Reply<GetTelemetrySubscriptionsResponse> {
    let mut response = GetTelemetrySubscriptionsResponse::default();
    let broker = &call.broker;
    let instance = match request.client_instance_id {
        id if id.is_nil() => uuid::random(),
        id => id,
    };
    let client = client(call, instance);
    let image = broker.metadata.image();
    match broker.telemetry.ask(Instant::now(), &image, &client) {
        Ok(subscription) => {
            response.client_instance_id = instance;
            response.subscription_id = subscription.id;
            response.accepted_compression_types = ACCEPTED.to_vec();
            response.push_interval_ms = subscription.interval_ms;
            response.telemetry_max_bytes = broker.started_with.telemetry_max_bytes;
            response.delta_temporality = true;
            let metrics = subscription.metrics.iter();
            response.requested_metrics = metrics.map(|prefix| text(&**prefix)).collect();
        }
        Err(refusal) => response.error_code = code(refused(refusal)),
    }
    Reply::Answer(response)
}
