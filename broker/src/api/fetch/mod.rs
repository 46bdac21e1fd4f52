//! Fetch: record batches from some partitions, as they are stored.
//!
//! [`session`] knows what a client has asked for before (KIP-227) and tells what an answer may leave out; [`read`] reads
//! partitions; here is what is waited for: an answer goes out when `min_bytes` are there, when a partition has an error or
//! something new to say, or after `max_wait_ms`.

mod read;
mod session;

pub use session::Sessions;

use super::{Call, Reply, code, topics};
use crate::partition::Mark;
use crate::quota::Kind;
use crate::replicas::Hosting;
use futures_util::future::select_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
};
use millrace_wire::messages::metadata_response::MetadataResponseBroker;
use millrace_wire::messages::traits::Encodable as _;
use millrace_wire::messages::{BrokerId, FetchRequest, FetchResponse, TopicName, Uuid};
use read::{Limits, Part, Partition};
use session::{Begun, Wanted};
use std::time::Duration;
use tokio::time::Instant;

/// From here on topics are named by id.
pub const BY_ID: i16 = 13;

/// From here on it is told where brokers are reached.
const WITH_NODES: i16 = 16;

const READ_COMMITTED: i8 = 1;

/// The longest wait, whatever a client asks for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// A partition in a request or a session: by name before [`BY_ID`], by id from there on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub name: TopicName,
    pub id: Uuid,
    pub partition: i32,
}

pub async fn handle(call: &Call, request: FetchRequest) -> Reply<FetchResponse> {
    let begun = match call.broker.sessions.begin(&request) {
        Ok(begun) => begun,
        Err(error) => return Reply::Answer(failed(error)),
    };
    let max_bytes = u64::try_from(request.max_bytes).unwrap_or(0);
    let most_bytes = call.most_bytes(Kind::Fetch).unwrap_or(u64::MAX);
    let limits = Limits {
        max_bytes: max_bytes
            .min(u64::try_from(call.broker.config().fetch_max_bytes).unwrap_or(0))
            .min(most_bytes),
        mark: match request.isolation_level {
            READ_COMMITTED => Mark::LastStable,
            _ => Mark::HighWatermark,
        },
        by_id: call.version >= BY_ID,
    };
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let min_bytes = u64::try_from(request.min_bytes).unwrap_or(0);
    let parts = fetch(call, begun.wanted(), &limits, min_bytes, deadline).await;
    if is_too_much(call, &parts) {
        // Who is over a quota gets nothing: records would be paid for twice, by who sends them and by who waits for them.
        let mut response = FetchResponse::default();
        response.session_id = call.broker.sessions.put_off(begun);
        return Reply::Answer(response);
    }
    Reply::Answer(answer(call, begun, parts))
}

/// Takes the answer of the client's quotas, unless it must not have it.
fn is_too_much(call: &Call, parts: &[Part]) -> bool {
    if !call.is_limited(Kind::Fetch) && !call.is_limited(Kind::Request) {
        return false;
    }
    let has_records = |part: &&Part| part.data.records.as_ref().is_some_and(|r| !r.is_empty());
    let size = |part: &Part| part.data.compute_size(call.version).unwrap_or(0);
    let bytes = parts.iter().filter(has_records).map(size).sum();
    call.take_bytes(Kind::Fetch, bytes);
    call.take_time();
    let is_too_much = call.is_throttled();
    if is_too_much {
        call.give_back(Kind::Fetch, bytes);
    }
    is_too_much
}

/// Reads until there is enough, or until `deadline`.
async fn fetch(
    call: &Call,
    wanted: &[Wanted],
    limits: &Limits,
    min_bytes: u64,
    deadline: Instant,
) -> Vec<Part> {
    loop {
        let hosting = call.broker.replicas.hosting();
        let (partitions, is_useless) = look_up(&hosting, wanted, limits);
        let available: u64 = partitions
            .iter()
            .map(|partition| partition.readable_bytes(limits))
            .sum();
        let is_late = Instant::now() >= deadline || call.broker.stopping.is_cancelled();
        if is_late
            || is_useless
            || wanted.is_empty()
            || available >= min_bytes.min(limits.max_bytes)
            || available > 0 && min_bytes <= 1
        {
            return read::all(call, partitions, limits).await;
        }
        let began = Instant::now();
        tokio::select! {
            () = await_more(&partitions, limits, deadline) => {}
            () = call.broker.stopping.cancelled() => {}
        }
        call.waited(began.elapsed());
    }
}

/// Every partition that is wanted, in the request's order, and whether waiting is of no use.
fn look_up(hosting: &Hosting, wanted: &[Wanted], limits: &Limits) -> (Vec<Partition>, bool) {
    let partitions: Vec<Partition> = wanted
        .iter()
        .map(|wanted| Partition::look_up(hosting, wanted, limits))
        .collect();
    let is_useless = partitions.iter().any(Partition::must_answer)
        || !partitions.iter().any(Partition::is_readable);
    (partitions, is_useless)
}

/// Returns when one of them has more than now, when its leader changes, or at `deadline`.
async fn await_more(partitions: &[Partition], limits: &Limits, deadline: Instant) {
    let waits: Vec<_> = partitions
        .iter()
        .filter_map(|partition| partition.wait_past(limits))
        .map(Box::pin)
        .collect();
    match waits.is_empty() {
        true => tokio::time::sleep_until(deadline).await,
        false => {
            // What ends a wait is looked at by who reads next.
            let _ = tokio::time::timeout_at(deadline, select_all(waits)).await;
        }
    }
}

fn answer(call: &Call, begun: Begun, mut parts: Vec<Part>) -> FetchResponse {
    let by_id = call.version >= BY_ID;
    let is_moved = tell_leaders(call, &mut parts, by_id);
    let (session_id, parts) = call.broker.sessions.end(begun, parts);
    let mut response = FetchResponse::default();
    response.session_id = session_id;
    for Part { key, data, .. } in parts {
        let is_same = |topic: &FetchableTopicResponse| match by_id {
            true => topic.topic_id == key.id,
            false => topic.topic == key.name,
        };
        if !response.responses.last().is_some_and(is_same) {
            let mut topic = FetchableTopicResponse::default();
            match by_id {
                true => topic.topic_id = key.id,
                false => topic.topic = key.name.clone(),
            }
            response.responses.push(topic);
        }
        if let Some(topic) = response.responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    if is_moved && call.version >= WITH_NODES {
        response.node_endpoints = endpoints(call);
    }
    response
}

/// Says who leads what is not led here (KIP-951), as far as that is known.
fn tell_leaders(call: &Call, parts: &mut [Part], by_id: bool) -> bool {
    let mut is_moved = false;
    let hosting = call.broker.replicas.hosting();
    for Part { key, data, .. } in parts {
        if data.error_code != ErrorCode::NotLeaderOrFollower.code() {
            continue;
        }
        let topic = topics::find(&hosting, &key.name, &key.id, by_id);
        let told = topic
            .ok()
            .and_then(|topic| topics::leader_elsewhere(call, topic, key.partition));
        if let Some((leader, epoch)) = told {
            let mut current = LeaderIdAndEpoch::default();
            current.leader_id = BrokerId(leader);
            current.leader_epoch = epoch;
            data.current_leader = current;
            is_moved = true;
        }
    }
    is_moved
}

fn endpoints(call: &Call) -> Vec<NodeEndpoint> {
    let endpoint = |broker: MetadataResponseBroker| {
        let mut endpoint = NodeEndpoint::default();
        endpoint.node_id = broker.node_id;
        endpoint.host = broker.host;
        endpoint.port = broker.port;
        endpoint.rack = broker.rack;
        endpoint
    };
    super::metadata::brokers(call)
        .into_iter()
        .map(endpoint)
        .collect()
}

fn failed(error: ErrorCode) -> FetchResponse {
    let mut response = FetchResponse::default();
    response.error_code = code(error);
    response
}
