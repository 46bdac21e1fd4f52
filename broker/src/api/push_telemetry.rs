//! PushTelemetry: a client's own metrics, which go to this broker's `/metrics` (KIP-714).

use super::{Call, Reply, code};
use crate::telemetry::{Client, Push, Refusal, Subscription};
use bytes::Bytes;
use millrace_wire::ErrorCode;
use millrace_wire::compression::{self, Compression};
use millrace_wire::messages::{PushTelemetryRequest, PushTelemetryResponse, Uuid};
use std::time::Instant;

/// What a push may come to when it is decompressed. With [`AT_ONCE`] this bounds the memory for all of them.
const MAX_DECOMPRESSED_BYTES: usize = 4 << 20;

/// So many pushes are decoded at once; the others wait for their turn.
pub const AT_ONCE: usize = 2;

/// As much of what a client says of itself as is looked at.
const MAX_CHARACTERS: usize = 200;

pub async fn handle(call: &Call, request: PushTelemetryRequest) -> Reply<PushTelemetryResponse> {
    let mut response = PushTelemetryResponse::default();
    if let Err(error) = push(call, request).await {
        response.error_code = code(error);
    }
    Reply::Answer(response)
}

async fn push(call: &Call, request: PushTelemetryRequest) -> Result<(), ErrorCode> {
    // Kafka reserves these two.
    let id = request.client_instance_id;
    if id.is_nil() || id == Uuid::from_u128(1) {
        return Err(ErrorCode::InvalidRequest);
    }
    let client = client(call, id);
    let codec = u8::try_from(request.compression_type).ok();
    let codec = codec.and_then(Compression::from_bits);
    let max_bytes = call.broker.started_with.telemetry_max_bytes;
    let push = Push {
        subscription_id: request.subscription_id,
        is_terminating: request.terminating,
        is_compression_known: codec.is_some(),
        bytes: request.metrics.len(),
        max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
    };
    let image = call.broker.metadata.image();
    let accepted = call
        .broker
        .telemetry
        .push(Instant::now(), &image, &client, &push);
    let subscription = accepted.map_err(refused)?;
    match codec {
        Some(codec) if !request.metrics.is_empty() => {
            keep(call, client, subscription, codec, request.metrics).await
        }
        _ => Ok(()),
    }
}

async fn keep(
    call: &Call,
    client: Client,
    subscription: Subscription,
    codec: Compression,
    metrics: Bytes,
) -> Result<(), ErrorCode> {
    let turn = call.broker.telemetry_turns.acquire().await;
    let broker = call.broker.clone();
    let work = tokio::task::spawn_blocking(move || {
        let payload = compression::decompress(codec, &metrics, MAX_DECOMPRESSED_BYTES)
            .map_err(|error| error.to_string())?;
        let kept = broker.telemetry.keep(&client, &subscription, &payload);
        kept.map_err(|error| error.to_string())
    });
    let kept = work.await;
    drop(turn);
    match kept {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(error, address = %call.caller.address, "a client's metrics cannot be read");
            Err(ErrorCode::InvalidRecord)
        }
        Err(error) => {
            tracing::error!(%error, "reading a client's metrics panicked");
            Err(ErrorCode::UnknownServerError)
        }
    }
}

/// The client as subscriptions see it.
pub fn client(call: &Call, instance: Uuid) -> Client {
    let short = |text: &str| text.chars().take(MAX_CHARACTERS).collect();
    let software = call.caller.software.get();
    let (name, version) = software.map_or(("unknown", "unknown"), |(name, version)| {
        (name.as_str(), version.as_str())
    });
    Client {
        client_id: short(call.client_id.as_deref().unwrap_or_default()),
        instance,
        software_name: short(name),
        software_version: short(version),
        source_address: call.caller.address.ip().to_canonical().to_string(),
        source_port: call.caller.address.port(),
    }
}

pub fn refused(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::TooSoon => ErrorCode::ThrottlingQuotaExceeded,
        Refusal::Terminated => ErrorCode::InvalidRequest,
        Refusal::UnknownSubscription => ErrorCode::UnknownSubscriptionId,
        Refusal::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
        Refusal::TooLarge => ErrorCode::TelemetryTooLarge,
    }
}
