//! One partition of a fetch: what can be said of it, and its records.

use super::session::Wanted;
use super::{Call, Key};
use crate::api::refusal::Refused;
use crate::api::topics::{self, Led};
use crate::engine::ReadError;
use crate::partition::{Mark, Positions, WaitEnded};
use crate::replicas::Hosting;
use crate::storage::ids::Offset;
use bytes::{Bytes, BytesMut};
use millrace_wire::ErrorCode;
use millrace_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, PartitionData,
};
use millrace_wire::messages::{BrokerId, ProducerId};
use std::future::Future;

/// What of a request holds for all its partitions.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_bytes: u64,
    /// How far the client may read.
    pub mark: Mark,
    pub by_id: bool,
}

/// A partition at the moment it was looked up.
pub struct Partition {
    key: Key,
    offset: Offset,
    max_bytes: u64,
    state: State,
}

enum State {
    Refused(ErrorCode),
    /// The client's log is not this one's from there on (KIP-595).
    Diverges {
        led: Box<Led>,
        epoch: i32,
        end: Offset,
    },
    Readable(Box<Led>),
}

/// One partition of an answer.
pub struct Part {
    pub key: Key,
    pub data: PartitionData,
}

impl Partition {
    pub fn look_up(hosting: &Hosting, wanted: &Wanted, limits: &Limits) -> Partition {
        let key = wanted.key.clone();
        let asked = &wanted.partition;
        let led = topics::find(hosting, &key.name, &key.id, limits.by_id)
            .and_then(|topic| topics::led(topic, key.partition, asked.current_leader_epoch));
        let offset = Offset(asked.fetch_offset);
        let state = match led {
            Err(error) => State::Refused(error),
            Ok(led) => match diverging(&led, asked.last_fetched_epoch, offset) {
                Err(error) => State::Refused(error),
                Ok(Some((epoch, end))) => State::Diverges {
                    led: Box::new(led),
                    epoch,
                    end,
                },
                Ok(None)
                    // What is not committed yet is there, and waited for.
                    if offset < led.positions.log_start || offset > led.positions.log_end =>
                {
                    State::Refused(ErrorCode::OffsetOutOfRange)
                }
                Ok(None) => State::Readable(Box::new(led)),
            },
        };
        Partition {
            key,
            offset,
            max_bytes: u64::try_from(asked.partition_max_bytes).unwrap_or(0),
            state,
        }
    }

    /// Whether there is something to say that more records would not change. As in Kafka, that nothing is known of a
    /// partition can wait until there is something to say of others: clients ask again for topics that were deleted.
    pub fn must_answer(&self) -> bool {
        match &self.state {
            State::Refused(ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition) => false,
            State::Refused(_) | State::Diverges { .. } => true,
            State::Readable(_) => false,
        }
    }

    pub fn is_readable(&self) -> bool {
        matches!(self.state, State::Readable(_))
    }

    /// About how many bytes could be read: exactly as many as there are would take the read itself.
    pub fn readable_bytes(&self, limits: &Limits) -> u64 {
        match &self.state {
            State::Readable(led) if led.positions.at(limits.mark) > self.offset => {
                let upto = led.positions.at(limits.mark);
                let bytes = led.handle.bytes_between(self.offset, upto);
                bytes.clamp(1, self.max_bytes.max(1))
            }
            _ => 0,
        }
    }

    pub fn wait_past(
        &self,
        limits: &Limits,
    ) -> Option<impl Future<Output = Result<Positions, WaitEnded>> + Send + use<>> {
        match &self.state {
            State::Readable(led) => {
                let handle = led.handle.clone();
                let mark = limits.mark;
                let seen = led.positions.at(mark).max(self.offset);
                Some(async move {
                    match handle.wait_past(mark, seen).await {
                        Ok(positions) => Ok(positions),
                        // As many wait as may: this one looks again at its deadline.
                        Err(WaitEnded::TooMany) => std::future::pending().await,
                        Err(ended) => Err(ended),
                    }
                })
            }
            _ => None,
        }
    }
}

/// Where the client's log parts from this one, when it says which epoch its last record has.
fn diverging(
    led: &Led,
    last_fetched_epoch: i32,
    offset: Offset,
) -> Result<Option<(i32, Offset)>, ErrorCode> {
    if last_fetched_epoch < 0 {
        return Ok(None);
    }
    match led.handle.view().end_offset_for(last_fetched_epoch) {
        Some((epoch, end)) if epoch < last_fetched_epoch || end < offset => Ok(Some((epoch, end))),
        Some(_) => Ok(None),
        // No log of ours has such an epoch: the client begins anew.
        None => Err(ErrorCode::OffsetOutOfRange),
    }
}

/// Reads all of them in order, until the request's bytes are used up. The first batch of the first that has one comes even
/// if it is larger (KIP-74).
pub async fn all(call: &Call, partitions: Vec<Partition>, limits: &Limits) -> Vec<Part> {
    let mut left = limits.max_bytes;
    let mut is_first = true;
    let readable: u64 = partitions
        .iter()
        .map(|partition| partition.readable_bytes(limits))
        .sum();
    // At once for all of them: two requests that each hold some and wait for more would wait for ever.
    if readable > 0 {
        let share = call.broker.reads.take(readable.min(left) as usize).await;
        call.hold(share);
    }
    let mut parts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let part = one(partition, limits, left, is_first).await;
        let bytes = part.data.records.as_ref().map_or(0, Bytes::len) as u64;
        is_first &= bytes == 0;
        left = left.saturating_sub(bytes);
        parts.push(part);
    }
    parts
}

async fn one(partition: Partition, limits: &Limits, left: u64, is_first: bool) -> Part {
    let Partition {
        key,
        offset,
        max_bytes,
        state,
    } = partition;
    let mut data = PartitionData::default();
    data.partition_index = key.partition;
    data.records = Some(Bytes::new());
    // Told to those who read committed records only.
    data.aborted_transactions = None;
    match state {
        State::Refused(error) => refuse(&mut data, error),
        State::Diverges { led, epoch, end } => {
            tell_positions(&mut data, &led.positions);
            let mut diverging = EpochEndOffset::default();
            diverging.epoch = epoch;
            diverging.end_offset = end.0;
            data.diverging_epoch = diverging;
        }
        State::Readable(led) => {
            tell_positions(&mut data, &led.positions);
            let upto = led.positions.at(limits.mark);
            let max_bytes = max_bytes.min(left);
            if upto > offset && (max_bytes > 0 || is_first) {
                match read(&led, offset, limits.mark, max_bytes, is_first).await {
                    Ok(records) => {
                        led.topic.counters.fetched(records.len());
                        if limits.mark == Mark::LastStable {
                            data.aborted_transactions = Some(aborted(&led, offset, &records));
                        }
                        data.records = Some(records);
                    }
                    Err(refused) => {
                        if refused.code != ErrorCode::OffsetOutOfRange {
                            tracing::error!(topic = led.topic.topic.name, partition = key.partition, %offset, reason = refused.message, "cannot read");
                        }
                        refuse(&mut data, refused.code);
                    }
                }
            }
        }
    }
    Part { key, data }
}

/// On a thread that may wait for the disk. Empty when the first batch is larger than `max_bytes` and need not come.
async fn read(
    led: &Led,
    offset: Offset,
    mark: Mark,
    max_bytes: u64,
    is_first: bool,
) -> Result<Bytes, Refused> {
    let handle = led.handle.clone();
    let work = tokio::task::spawn_blocking(move || -> Result<_, ReadError> {
        handle.read(offset, mark, max_bytes)
    });
    let read = work
        .await
        .map_err(|error| Refused::new(ErrorCode::UnknownServerError, error.to_string()))??;
    if read.bytes > max_bytes && !is_first {
        return Ok(Bytes::new());
    }
    let mut chunks = read.chunks;
    if chunks.len() == 1 {
        return Ok(chunks.swap_remove(0));
    }
    let mut records = BytesMut::with_capacity(read.bytes as usize);
    for chunk in chunks {
        records.extend_from_slice(&chunk);
    }
    Ok(records.freeze())
}

fn refuse(data: &mut PartitionData, error: ErrorCode) {
    data.error_code = error.code();
    data.high_watermark = -1;
    data.last_stable_offset = -1;
    data.log_start_offset = -1;
    data.records = Some(Bytes::new());
    // As Kafka tells it, which looks no further then.
    if matches!(
        error,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId
    ) {
        data.aborted_transactions = Some(Vec::new());
    }
    if matches!(
        error,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    ) {
        let mut leader = LeaderIdAndEpoch::default();
        leader.leader_id = BrokerId(-1);
        data.current_leader = leader;
    }
}

fn tell_positions(data: &mut PartitionData, positions: &Positions) {
    data.high_watermark = positions.high_watermark.0;
    data.last_stable_offset = positions.last_stable.0;
    data.log_start_offset = positions.log_start.0;
}

/// In the order of their first offsets: clients rely on it.
fn aborted(led: &Led, from: Offset, records: &Bytes) -> Vec<AbortedTransaction> {
    let mut to = from;
    for batch in millrace_wire::batch::split(records.clone()).flatten() {
        to = Offset(batch.header().next_offset());
    }
    let mut found = led.handle.view().aborted_in(from, to);
    found.sort_by_key(|transaction| transaction.first_offset);
    let entry = |transaction: &crate::partition::aborted::AbortedTransaction| {
        let mut entry = AbortedTransaction::default();
        entry.producer_id = ProducerId(transaction.producer_id);
        entry.first_offset = transaction.first_offset.0;
        entry
    };
    found.iter().map(entry).collect()
}
