//! Produce: appends one record batch to each of some partitions.
//!
//! All appends of a request are handed to the engine before the first wait, so that requests of one connection are appended
//! in their order while several of them wait for the disk.

use super::refusal::Refused;
use super::topics::{self, Led};
use super::{Call, Reply, code, text};
use crate::clock;
use crate::engine::AppendError;
use crate::metadata::is_internal;
use crate::partition::Appended;
use crate::raft::Failure;
use crate::raft::ports::Ack;
use crate::replicas::HostedTopic;
use bytes::Bytes;
use futures_util::future::join_all;
use millrace_wire::batch::{BatchHeader, Error as BatchError, NO_TIMESTAMP};
use millrace_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_wire::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use millrace_wire::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName, Uuid};
use millrace_wire::{Compression, ErrorCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// From here on topics are named by id.
const BY_ID: i16 = 13;
/// Before, a client that can read zstd cannot be presumed (KIP-110).
const ZSTD: i16 = 7;

/// How an append went; one that was handed over answers later.
enum Step {
    Refused(Refused),
    Waits {
        led: Box<Led>,
        answer: oneshot::Receiver<Result<Appended, AppendError>>,
    },
}

pub async fn handle(call: &Call, request: ProduceRequest) -> Reply<ProduceResponse> {
    let acks = request.acks;
    let hosting = call.broker.replicas.hosting();
    let now_ms = clock::now_ms();
    let mut begun = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let TopicProduceData {
            name,
            topic_id,
            partition_data,
            ..
        } = topic;
        let found = topics::find(&hosting, &name, &topic_id, call.version >= BY_ID);
        let steps: Vec<(i32, Step)> = partition_data
            .into_iter()
            .map(|data| (data.index, begin(call, found, data, acks, now_ms)))
            .collect();
        begun.push((name, topic_id, steps));
    }
    if acks == 0 {
        return unacknowledged(begun);
    }
    let deadline = tokio::time::Instant::now() + timeout(request.timeout_ms);
    let mut response = ProduceResponse::default();
    let mut moved = false;
    for (name, topic_id, steps) in begun {
        let answers = steps
            .into_iter()
            .map(|(index, step)| end(index, step, deadline));
        let mut topic = TopicProduceResponse::default();
        topic.partition_responses = join_all(answers).await;
        moved |= topic
            .partition_responses
            .iter()
            .any(|partition| partition.current_leader.leader_id.0 >= 0);
        match call.version {
            BY_ID.. => topic.topic_id = topic_id,
            _ => topic.name = name,
        }
        response.responses.push(topic);
    }
    if moved && call.version >= 10 {
        response.node_endpoints = endpoints(call);
    }
    Reply::Answer(response)
}

/// Nobody waits for an answer. A producer whose records were refused learns of it by the end of its connection.
fn unacknowledged(begun: Vec<(TopicName, Uuid, Vec<(i32, Step)>)>) -> Reply<ProduceResponse> {
    for (name, _, steps) in begun {
        for (partition, step) in steps {
            if let Step::Refused(Refused { code, message }) = step {
                return Reply::Close(format!(
                    "records for {}-{partition} with acks=0 were refused: {code}: {message}",
                    &**name
                ));
            }
        }
    }
    Reply::Nothing
}

fn timeout(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

fn begin(
    call: &Call,
    topic: Result<&Arc<HostedTopic>, ErrorCode>,
    data: PartitionProduceData,
    acks: i16,
    now_ms: i64,
) -> Step {
    match check(call, topic, data, acks) {
        Err(refused) => Step::Refused(refused),
        Ok((led, batch, ack)) => {
            let (sender, answer) = oneshot::channel();
            let (counters, bytes) = (led.topic.counters.clone(), batch.len());
            led.handle.append_then(batch, now_ms, ack, move |result| {
                if let Ok(appended) = &result {
                    let records = appended.last_offset.0 - appended.base_offset.0 + 1;
                    counters.produced(bytes, records.unsigned_abs());
                }
                // Nobody listens with acks=0, or after the client's timeout.
                let _ = sender.send(result);
            });
            Step::Waits {
                led: Box::new(led),
                answer,
            }
        }
    }
}

fn check(
    call: &Call,
    topic: Result<&Arc<HostedTopic>, ErrorCode>,
    data: PartitionProduceData,
    acks: i16,
) -> Result<(Led, Bytes, Ack), Refused> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let topic = topic?;
    let led = topics::led(topic, data.index, -1)?;
    let batch = data.records.unwrap_or_default();
    let header = check_batch(call.version, &batch)?;
    if is_internal(&topic.topic.name) {
        let why = format!("Cannot append to internal topic {}", topic.topic.name);
        return Err(Refused::new(ErrorCode::InvalidTopicException, why));
    }
    if header.is_some_and(|header| header.attributes.is_transactional()) {
        let why = "The partition was not added to a transaction.";
        return Err(Refused::new(ErrorCode::InvalidTxnState, why));
    }
    let replicas = topic.topic.partitions[data.index as usize].replicas.len();
    let ack = match acks {
        0 => Ack::Proposed,
        1 => Ack::Persisted,
        // More than there are replicas would wait for ever.
        _ => Ack::Committed {
            voters: (topic.config.min_insync_replicas as usize).min(replicas),
        },
    };
    let batch = super::recompress::as_configured(batch, header, topic.config.compression_type)?;
    Ok((led, batch, ack))
}

/// Since version 3 a partition gets exactly one batch, in message format 2. What is wrong inside it the partition says;
/// `None` is a batch that it will refuse.
fn check_batch(version: i16, records: &[u8]) -> Result<Option<BatchHeader>, Refused> {
    let invalid = |why: String| Refused::new(ErrorCode::InvalidRecord, why);
    if records.is_empty() {
        return Err(invalid(format!(
            "Produce requests with version {version} must have at least one record batch per partition"
        )));
    }
    let header = match BatchHeader::decode(records) {
        Ok(header) => header,
        Err(BatchError::OldMagic { .. } | BatchError::UnknownMagic { .. }) => {
            return Err(invalid(format!(
                "Produce requests with version {version} are only allowed to contain record batches with magic version 2"
            )));
        }
        Err(_) => return Ok(None),
    };
    if header.size_bytes < records.len() {
        return Err(invalid(format!(
            "Produce requests with version {version} are only allowed to contain exactly one record batch per partition"
        )));
    }
    if version < ZSTD && header.attributes.compression() == Ok(Compression::Zstd) {
        return Err(Refused::new(
            ErrorCode::UnsupportedCompressionType,
            format!(
                "Produce requests with version {version} are not allowed to use ZStandard compression"
            ),
        ));
    }
    Ok(Some(header))
}

async fn end(index: i32, step: Step, deadline: tokio::time::Instant) -> PartitionProduceResponse {
    let refused = match step {
        Step::Refused(refused) => refused,
        Step::Waits { led, answer } => match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(Ok(appended))) => return appended_at(index, &appended),
            Ok(Ok(Err(error))) => {
                let refused = Refused::from(error);
                return match refused.code {
                    ErrorCode::NotLeaderOrFollower => moved(index, refused, &led),
                    _ => failed(index, refused),
                };
            }
            Ok(Err(_)) => AppendError::Failed(Failure::Stopped).into(),
            Err(_) => ErrorCode::RequestTimedOut.into(),
        },
    };
    failed(index, refused)
}

fn appended_at(index: i32, appended: &Appended) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default();
    response.index = index;
    response.base_offset = appended.base_offset.0;
    response.log_append_time_ms = appended.log_append_time_ms.unwrap_or(NO_TIMESTAMP);
    response.log_start_offset = appended.log_start.0;
    response
}

fn failed(index: i32, refused: Refused) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default();
    response.index = index;
    response.error_code = code(refused.code);
    response.base_offset = -1;
    response.log_append_time_ms = NO_TIMESTAMP;
    response.log_start_offset = -1;
    response.error_message = Some(text(refused.message));
    response
}

/// Says who leads now (KIP-951), when that is known.
fn moved(index: i32, refused: Refused, led: &Led) -> PartitionProduceResponse {
    let mut response = failed(index, refused);
    let positions = led.handle.positions();
    let mut leader = LeaderIdAndEpoch::default();
    leader.leader_id = BrokerId(-1);
    leader.leader_epoch = topics::epoch(&positions);
    response.current_leader = leader;
    response
}

fn endpoints(call: &Call) -> Vec<NodeEndpoint> {
    let brokers = super::metadata::brokers(&call.broker.metadata.image(), &call.caller.listener);
    let endpoint = |broker: millrace_wire::messages::metadata_response::MetadataResponseBroker| {
        let mut endpoint = NodeEndpoint::default();
        endpoint.node_id = broker.node_id;
        endpoint.host = broker.host;
        endpoint.port = broker.port;
        endpoint.rack = broker.rack;
        endpoint
    };
    brokers.into_iter().map(endpoint).collect()
}
