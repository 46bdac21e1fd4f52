//! UnregisterBroker: the cluster forgets a broker that is no more.

use super::broker::deadline;
use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::metadata::Command;
use millrace_wire::ErrorCode;
use millrace_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

pub async fn handle(
    call: &Call,
    request: UnregisterBrokerRequest,
) -> Reply<UnregisterBrokerResponse> {
    let mut response = UnregisterBrokerResponse::default();
    response.error_message = None;
    match unregister(call, request.broker_id.0).await {
        Ok(()) => tracing::info!(broker = request.broker_id.0, "broker unregistered"),
        Err(refused) => {
            response.error_code = code(refused.code);
            response.error_message = Some(text(refused.message));
        }
    }
    Reply::Answer(response)
}

async fn unregister(call: &Call, id: i32) -> Result<(), Refused> {
    // Kafka takes a living broker's registration away, and leaves it running without one. Nobody gains by that.
    if call.broker.replicas.cluster().is_up(id) {
        let why = format!("Broker ID {id} is alive: stop it first");
        return Err(Refused::new(ErrorCode::InvalidRequest, why));
    }
    let command = Command::UnregisterBroker(id);
    call.broker.change(command, deadline(0)).await?;
    Ok(())
}
