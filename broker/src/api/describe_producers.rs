//! DescribeProducers: whom a partition remembers, and which transactions are open there (KIP-664).

use super::refusal::Refused;
use super::topics;
use super::{Call, Reply, code, text};
use crate::config::topic_name;
use crate::partition::producer::Producer;
use crate::replicas::HostedTopic;
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use millrace_wire::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use std::sync::Arc;

const NO_TRANSACTION: i64 = -1;

pub async fn handle(
    call: &Call,
    request: DescribeProducersRequest,
) -> Reply<DescribeProducersResponse> {
    let hosting = call.broker.replicas.hosting();
    let mut response = DescribeProducersResponse::default();
    for topic in request.topics {
        let found = topic_name::check(&topic.name)
            .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))
            .and_then(|()| {
                let found = topics::find(&hosting, &topic.name, &Default::default(), false);
                found.map_err(Refused::from)
            });
        let mut answer = TopicResponse::default();
        for index in topic.partition_indexes {
            let active = active(&found, index).await;
            answer.partitions.push(partition(index, active));
        }
        answer.name = topic.name;
        response.topics.push(answer);
    }
    Reply::Answer(response)
}

async fn active(
    topic: &Result<&Arc<HostedTopic>, Refused>,
    index: i32,
) -> Result<Vec<(i64, Producer)>, Refused> {
    let topic = topic.clone()?;
    // Kafka has no words for a partition that is not there.
    let led = topics::led(topic, index, -1).map_err(|code| match code {
        ErrorCode::UnknownTopicOrPartition => Refused::new(code, ""),
        code => code.into(),
    })?;
    Ok(led.handle.producers().await?)
}

fn partition(index: i32, active: Result<Vec<(i64, Producer)>, Refused>) -> PartitionResponse {
    let mut response = PartitionResponse::default();
    response.partition_index = index;
    response.error_message = None;
    match active {
        Ok(active) => {
            let states = active.iter().map(|(id, producer)| state(*id, producer));
            response.active_producers = states.collect();
        }
        Err(refused) => {
            response.error_code = code(refused.code);
            response.error_message = Some(text(refused.message)).filter(|words| !words.is_empty());
        }
    }
    response
}

fn state(id: i64, producer: &Producer) -> ProducerState {
    let mut state = ProducerState::default();
    state.producer_id = ProducerId(id);
    state.producer_epoch = producer.epoch().into();
    state.last_sequence = producer.last_sequence();
    state.last_timestamp = producer.last_timestamp_ms();
    state.coordinator_epoch = producer.coordinator_epoch();
    let start = producer.transaction_start();
    state.current_txn_start_offset = start.map_or(NO_TRANSACTION, |offset| offset.0);
    state
}
