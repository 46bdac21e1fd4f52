//! Produce: appends one record batch to each of some partitions.
//!
//! All appends of a request are handed to the engine before [`Call::has_begun`] is said, so that requests of one connection
//! are appended in their order while several of them wait for the disk.

mod records;
mod rejected;
mod sent;

pub use records::Inspection;

use super::topics::{self, Led};
use super::{Call, Reply};
use crate::clock;
use crate::engine::AppendError;
use crate::metadata::is_internal;
use crate::partition::Appended;
use crate::quota::Kind;
use crate::raft::Failure;
use crate::raft::ports::Ack;
use crate::replicas::HostedTopic;
use bytes::Bytes;
use futures_util::future::join_all;
use millrace_wire::batch::NO_TIMESTAMP;
use millrace_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_wire::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use millrace_wire::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName, Uuid};
use millrace_wire::{Batch, ErrorCode};
use records::Wanted;
use rejected::Rejected;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// From here on topics are named by id.
const BY_ID: i16 = 13;
/// How an append went; one that was handed over answers later.
enum Step {
    Rejected {
        rejected: Rejected,
        log_start: Option<i64>,
    },
    Waits {
        led: Box<Led>,
        answer: oneshot::Receiver<Result<Appended, AppendError>>,
        /// Until when the client waits for other replicas.
        deadline: Option<Instant>,
    },
}

pub async fn handle(call: &Call, request: ProduceRequest) -> Reply<ProduceResponse> {
    // Before anything is waited for: the next request of the connection may be read before this one is answered.
    call.take_bytes(Kind::Produce, call.bytes);
    let acks = request.acks;
    let hosting = call.broker.replicas.hosting();
    let now_ms = clock::now_ms();
    // As in Kafka, none at all is a time that is over at once.
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut begun = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let TopicProduceData {
            name,
            topic_id,
            partition_data,
            ..
        } = topic;
        let found = topics::find(&hosting, &name, &topic_id, call.version >= BY_ID);
        let mut steps = Vec::with_capacity(partition_data.len());
        for data in partition_data {
            let index = data.index;
            let asked = Asked {
                acks,
                now_ms,
                timeout,
            };
            steps.push((index, begin(call, found, data, asked).await));
        }
        begun.push((name, topic_id, steps));
    }
    call.has_begun();
    if acks == 0 {
        return unacknowledged(begun);
    }
    let mut response = ProduceResponse::default();
    let mut moved = false;
    for (name, topic_id, steps) in begun {
        let answers = steps.into_iter().map(|(index, step)| end(index, step));
        let mut topic = TopicProduceResponse::default();
        topic.partition_responses = join_all(answers).await;
        let found = topics::find(&hosting, &name, &topic_id, call.version >= BY_ID);
        for partition in &mut topic.partition_responses {
            // Says who leads now (KIP-951), when that is known.
            if partition.error_code == ErrorCode::NotLeaderOrFollower.code()
                && let Some((leader, epoch)) = found
                    .ok()
                    .and_then(|topic| topics::leader_elsewhere(call, topic, partition.index))
            {
                let mut current = LeaderIdAndEpoch::default();
                current.leader_id = BrokerId(leader);
                current.leader_epoch = epoch;
                partition.current_leader = current;
            }
        }
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
            if let Step::Rejected { rejected, .. } = step {
                let Rejected { code, why, .. } = rejected;
                return Reply::Close(format!(
                    "records for {}-{partition} with acks=0 were refused: {code}: {why}",
                    &**name
                ));
            }
        }
    }
    Reply::Nothing
}

/// What holds for every partition of a request.
#[derive(Clone, Copy)]
struct Asked {
    acks: i16,
    now_ms: i64,
    timeout: Duration,
}

async fn begin(
    call: &Call,
    topic: Result<&Arc<HostedTopic>, ErrorCode>,
    data: PartitionProduceData,
    asked: Asked,
) -> Step {
    let (led, batch, ack) = match check(call, topic, data, asked.acks) {
        Ok(checked) => checked,
        Err(rejected) => {
            return Step::Rejected {
                rejected,
                log_start: None,
            };
        }
    };
    let wanted = Wanted::of(&led.topic.config, asked.now_ms);
    let fit = match batch {
        Ok(batch) => records::fit(&call.broker.inspection, batch, wanted).await,
        Err(rejected) => Err(rejected),
    };
    match fit {
        Err(rejected) => Step::Rejected {
            rejected,
            log_start: Some(led.handle.positions().log_start.0),
        },
        Ok(batch) => append(led, batch, ack, asked),
    }
}

/// Hands a batch to the engine.
fn append(led: Led, batch: Bytes, ack: Ack, asked: Asked) -> Step {
    let (sender, answer) = oneshot::channel();
    let (counters, bytes) = (led.topic.counters.clone(), batch.len());
    led.handle
        .append_then(batch, asked.now_ms, ack, move |result| {
            if let Ok(appended) = &result {
                let records = appended.last_offset.0 - appended.base_offset.0 + 1;
                counters.produced(bytes, records.unsigned_abs());
            }
            // Nobody listens with acks=0, or after the client's timeout.
            let _ = sender.send(result);
        });
    // The timeout bounds the wait for others, not for the disk here: that Kafka's producers wait for, too.
    let deadline = match ack {
        Ack::Committed { voters } if voters > 1 => Some(Instant::now() + asked.timeout),
        Ack::Committed { .. } | Ack::Persisted | Ack::Proposed => None,
    };
    Step::Waits {
        led: Box::new(led),
        answer,
        deadline,
    }
}

type Checked = (Led, Result<Batch, Rejected>, Ack);

/// Everything but the records. What is wrong with the batch comes after what is wrong with its place.
fn check(
    call: &Call,
    topic: Result<&Arc<HostedTopic>, ErrorCode>,
    data: PartitionProduceData,
    acks: i16,
) -> Result<Checked, Rejected> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let topic = topic?;
    let led = topics::led(topic, data.index, -1)?;
    let batch = sent::only_batch(call.version, data.records.unwrap_or_default());
    if is_internal(&topic.topic.name) {
        let why = format!("Cannot append to internal topic {}", topic.topic.name);
        return Err(Rejected::unseen(ErrorCode::InvalidTopicException, why));
    }
    let is_transactional = |batch: &Batch| batch.header().attributes.is_transactional();
    if batch.as_ref().is_ok_and(is_transactional) {
        let why = "The partition was not added to a transaction.";
        return Err(Rejected::unseen(ErrorCode::InvalidTxnState, why).told());
    }
    let partition = &topic.topic.partitions[data.index as usize];
    let replicas = partition.replicas.len();
    let wanted = (topic.config.min_insync_replicas as usize).min(replicas);
    if acks == -1 && wanted > 1 {
        let told = call.broker.replicas.cluster().leaders().of(partition.group);
        let in_sync = told.map_or(1, |lead| lead.in_sync.len());
        if in_sync < wanted {
            let why = format!(
                "The size of the current ISR {in_sync} is insufficient to satisfy the min.isr requirement of {wanted} for partition {}-{}",
                topic.topic.name, data.index
            );
            return Err(Rejected::unseen(ErrorCode::NotEnoughReplicas, why));
        }
    }
    let ack = match acks {
        0 => Ack::Proposed,
        1 => Ack::Persisted,
        // More than there are replicas would wait for ever.
        _ => Ack::Committed { voters: wanted },
    };
    Ok((led, batch, ack))
}

async fn end(index: i32, step: Step) -> PartitionProduceResponse {
    let (led, answer, deadline) = match step {
        Step::Rejected {
            rejected,
            log_start,
        } => return rejected.answer(index, log_start),
        Step::Waits {
            led,
            answer,
            deadline,
        } => (led, answer, deadline),
    };
    let answer = match deadline {
        None => Ok(answer.await),
        Some(deadline) => tokio::time::timeout_at(deadline, answer).await,
    };
    let rejected = match answer {
        Ok(Ok(Ok(appended))) => return appended_at(index, &appended),
        Ok(Ok(Err(error))) => Rejected::from(error),
        Ok(Err(_)) => AppendError::Failed(Failure::Stopped).into(),
        Err(_) => ErrorCode::RequestTimedOut.into(),
    };
    let positions = led.handle.positions();
    rejected.answer(index, Some(positions.log_start.0))
}

fn appended_at(index: i32, appended: &Appended) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse::default();
    response.index = index;
    response.base_offset = appended.base_offset.0;
    response.log_append_time_ms = appended.log_append_time_ms.unwrap_or(NO_TIMESTAMP);
    response.log_start_offset = appended.log_start.0;
    response
}

fn endpoints(call: &Call) -> Vec<NodeEndpoint> {
    let brokers = super::metadata::brokers(call);
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
