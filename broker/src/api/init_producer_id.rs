//! InitProducerId: an id of its own for each idempotent producer (KIP-98). Ids come from blocks that the metadata hands out.

use super::broker::Broker;
use super::refusal::Refused;
use super::{Call, Reply, code};
use crate::metadata::{Command, Output, PRODUCER_ID_BLOCK};
use millrace_wire::ErrorCode;
use millrace_wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use std::ops::Range;
use tokio::sync::Mutex;

const NO_PRODUCER_ID: i64 = -1;
const NO_EPOCH: i16 = -1;

/// What is left of this broker's block.
///
/// The lock is held while the next block is on its way: who comes then wants an id from that very block, and would only
/// take another one.
#[derive(Debug)]
pub struct ProducerIds(Mutex<Range<i64>>);

impl Default for ProducerIds {
    fn default() -> ProducerIds {
        ProducerIds(Mutex::new(0..0))
    }
}

impl ProducerIds {
    /// One that nobody had and nobody else gets.
    async fn next(&self, broker: &Broker) -> Result<i64, Refused> {
        let mut block = self.0.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        let first = match broker.metadata.submit(Command::AllocateProducerIds).await? {
            Output::ProducerIds(first) => first,
            Output::Done | Output::Topic(_) => return Err(ErrorCode::UnknownServerError.into()),
        };
        *block = first + 1..first + PRODUCER_ID_BLOCK;
        Ok(first)
    }
}

pub async fn handle(call: &Call, request: InitProducerIdRequest) -> Reply<InitProducerIdResponse> {
    let mut response = InitProducerIdResponse::default();
    let id = match check(&request, call.broker.config().transaction_max_timeout_ms) {
        Ok(()) => call.broker.producer_ids.next(&call.broker).await,
        Err(error) => Err(error.into()),
    };
    match id {
        Ok(id) => {
            response.producer_id = ProducerId(id);
            response.producer_epoch = 0;
        }
        Err(refused) => {
            tracing::debug!(code = %refused.code, message = refused.message, "no producer id is given");
            response.error_code = code(refused.code);
            response.producer_id = ProducerId(NO_PRODUCER_ID);
            response.producer_epoch = NO_EPOCH;
        }
    }
    Reply::Answer(response)
}

/// Whether an idempotent producer asks. One that wants its epoch to be raised gets a new id, as from Kafka: nothing is known
/// of a producer without a transactional id.
fn check(request: &InitProducerIdRequest, max_timeout_ms: i32) -> Result<(), ErrorCode> {
    let knows_id = request.producer_id.0 != NO_PRODUCER_ID;
    let knows_epoch = request.producer_epoch != NO_EPOCH;
    if knows_id != knows_epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    match &request.transactional_id {
        None => Ok(()),
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(_) if !(1..=max_timeout_ms).contains(&request.transaction_timeout_ms) => {
            Err(ErrorCode::InvalidTransactionTimeout)
        }
        // No broker coordinates transactions yet: who does not ask for a coordinator first hears of it here.
        Some(_) => Err(ErrorCode::UnsupportedVersion),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::text;
    use millrace_wire::messages::TransactionalId;

    fn request(id: i64, epoch: i16) -> InitProducerIdRequest {
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
    }

    #[test]
    fn a_producer_knows_both_its_id_and_its_epoch_or_neither() {
        assert_eq!(check(&request(-1, -1), 1), Ok(()));
        assert_eq!(check(&request(5, 3), 1), Ok(()));
        assert_eq!(check(&request(5, -1), 1), Err(ErrorCode::InvalidRequest));
        assert_eq!(check(&request(-1, 3), 1), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn a_transactional_producer_finds_no_coordinator() {
        let named = |id: &'static str, timeout_ms| {
            let named = request(-1, -1)
                .with_transactional_id(Some(TransactionalId(text(id))))
                .with_transaction_timeout_ms(timeout_ms);
            check(&named, 900)
        };
        assert_eq!(named("t", 900), Err(ErrorCode::UnsupportedVersion));
        assert_eq!(named("", 900), Err(ErrorCode::InvalidRequest));
        assert_eq!(named("t", 901), Err(ErrorCode::InvalidTransactionTimeout));
        assert_eq!(named("t", 0), Err(ErrorCode::InvalidTransactionTimeout));
    }
}
