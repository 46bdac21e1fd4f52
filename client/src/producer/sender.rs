//! The task that sends what the queues allow, and one task for each broker that encodes, connects and sends in order.

use super::queue::{Identity, PartitionQueue, Patience, Payload, Readiness, Sending, Settled};
use super::{Acks, Shared, Written};
use crate::client::{Topics, topic_name};
use crate::connection::{Answer, Connection};
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId};
use crate::{Error, TopicPartition};
use bytes::Bytes;
use millrace_wire::batch::Batch;
use millrace_wire::builder::{BatchBuilder, BatchSettings};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tracing::{debug, warn};

/// The last version with names of topics; later ones have ids, which change when a topic is deleted and created again.
const LAST_PRODUCE_VERSION_WITH_NAMES: i16 = 12;

/// How long the sender sleeps when nothing has a time.
const IDLE: Duration = Duration::from_secs(3600);

/// A batch written by ourselves is read back for another epoch. It is as large as the producer made it.
const REWRITE_LIMIT_BYTES: usize = 1 << 30;

/// One request's batches.
struct Job {
    batches: Vec<(TopicPartition, Sending)>,
}

/// What the sender found to do.
#[derive(Default)]
struct Plan {
    jobs: BTreeMap<i32, Job>,
    /// Topics of which a partition has no leader that we know.
    leaderless: BTreeSet<Arc<str>>,
    wants_identity: bool,
    wakes_at: Option<Instant>,
    is_done: bool,
}

struct Sender {
    shared: Arc<Shared>,
    identity: Option<Identity>,
    brokers: HashMap<i32, mpsc::Sender<Job>>,
    /// Requests unanswered, by broker.
    in_flight: Arc<std::sync::Mutex<HashMap<i32, usize>>>,
    refresh_at: Instant,
}

pub(super) async fn run(shared: Arc<Shared>) {
    let mut sender = Sender {
        shared,
        identity: None,
        brokers: HashMap::new(),
        in_flight: Arc::default(),
        refresh_at: Instant::now(),
    };
    loop {
        let plan = sender.plan();
        if plan.is_done {
            return;
        }
        if plan.wants_identity {
            sender.get_identity().await;
            continue;
        }
        for (broker, job) in plan.jobs {
            sender.dispatch(broker, job).await;
        }
        let mut wakes_at = plan.wakes_at;
        if !plan.leaderless.is_empty() {
            wakes_at = Some(
                sender
                    .refresh(plan.leaderless)
                    .min(wakes_at.unwrap_or_else(far)),
            );
        }
        tokio::select! {
            () = sender.shared.work.notified() => {}
            () = sleep_until(wakes_at.unwrap_or_else(far).into()) => {}
        }
    }
}

fn far() -> Instant {
    Instant::now() + IDLE
}

impl Shared {
    fn patience(&self) -> Patience {
        Patience {
            retries: self.config.retries,
            delivery_timeout: self.config.delivery_timeout,
        }
    }

    /// Applies what became of a batch, and wakes those who wait for it.
    fn apply(&self, queues: &mut super::Queues, settled: &Settled) {
        queues.buffered_bytes = queues.buffered_bytes.saturating_sub(settled.freed_bytes);
        if settled.freed_bytes > 0 {
            self.freed.notify_waiters();
        }
    }
}

impl Sender {
    fn plan(&mut self) -> Plan {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let metadata = shared.client.metadata();
        let config = &shared.config;
        let patience = shared.patience();
        let mut plan = Plan::default();
        let mut queues = shared.queues();
        let is_flushing = queues.flushing > 0 || queues.closed;
        let mut ready: Vec<(Instant, TopicPartition)> = Vec::new();
        let mut expired = Settled::default();
        for (partition, queue) in &mut queues.partitions {
            expired.freed_bytes += queue.expire(now, patience).freed_bytes;
            match queue.readiness(now, config.linger, is_flushing) {
                Readiness::Ready { since } => ready.push((since, partition.clone())),
                Readiness::At(at) => wake(&mut plan.wakes_at, at),
                Readiness::Nothing => {}
            }
            if let Some(at) = queue.expires_at(patience) {
                wake(&mut plan.wakes_at, at);
            }
        }
        shared.apply(&mut queues, &expired);
        if queues.closed && queues.partitions.values().all(PartitionQueue::is_empty) {
            plan.is_done = true;
            return plan;
        }
        if config.idempotence && !ready.is_empty() {
            let is_exhausted = self.identity.is_some_and(|identity| {
                queues
                    .partitions
                    .values()
                    .any(|queue| queue.exhausts(identity))
            });
            if is_exhausted {
                self.identity = None;
            }
            if self.identity.is_none() {
                plan.wants_identity = true;
                return plan;
            }
        }
        // The oldest first, so that no partition starves where a request is full.
        ready.sort_by_key(|(since, _)| *since);
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut request_bytes: HashMap<i32, usize> = HashMap::new();
        for (_, partition) in ready {
            let Some(leader) = metadata.leader(&partition.topic, partition.partition) else {
                plan.leaderless.insert(Arc::clone(&partition.topic));
                continue;
            };
            if *in_flight.entry(leader).or_default() >= config.max_in_flight {
                continue;
            }
            let bytes = request_bytes.entry(leader).or_default();
            let Some(queue) = queues.partitions.get_mut(&partition) else {
                continue;
            };
            if *bytes > 0 && *bytes + config.batch_bytes > config.max_request_bytes {
                continue;
            }
            if let Some(sending) = queue.take(self.identity) {
                *bytes += sending.size_bytes;
                let job = plan.jobs.entry(leader).or_insert_with(|| Job {
                    batches: Vec::new(),
                });
                job.batches.push((partition, sending));
            }
        }
        for &leader in plan.jobs.keys() {
            *in_flight.entry(leader).or_default() += 1;
        }
        if !plan.jobs.is_empty() {
            // A partition may have another batch ready.
            shared.work.notify_one();
        }
        plan
    }

    async fn get_identity(&mut self) {
        let mut request = InitProducerIdRequest::default();
        // The default of the structure is an empty string, which is another thing.
        request.transactional_id = None;
        request.transaction_timeout_ms = i32::MAX;
        request.producer_id = ProducerId(-1);
        request.producer_epoch = -1;
        let answer = self.ask_identity(&request).await;
        match answer {
            Ok(identity) => self.identity = Some(identity),
            // The next round asks again, until the records' delivery timeout has passed.
            Err(error) if error.is_retriable() => {
                warn!("cannot get a producer id: {error}; trying again");
                tokio::time::sleep(self.shared.client.config().backoff(0)).await;
            }
            Err(error) => {
                let mut queues = self.shared.queues();
                for queue in queues.partitions.values_mut() {
                    queue.fail_all(&error);
                }
                queues.buffered_bytes = 0;
                queues.fatal = Some(error);
                self.shared.freed.notify_waiters();
            }
        }
    }

    async fn ask_identity(&self, request: &InitProducerIdRequest) -> Result<Identity, Error> {
        let response = self.shared.client.any().await?.send(request).await?;
        Error::check(response.error_code, None)?;
        Ok(Identity {
            producer_id: response.producer_id.0,
            epoch: response.producer_epoch,
        })
    }

    /// Asks for leaders in the background, with a pause in between. Returns when to look again.
    fn refresh(&mut self, topics: BTreeSet<Arc<str>>) -> Instant {
        let now = Instant::now();
        if now < self.refresh_at {
            return self.refresh_at;
        }
        self.refresh_at = now + self.shared.client.config().retry_backoff;
        spawn_refresh(&self.shared, topics);
        self.refresh_at
    }

    async fn dispatch(&mut self, broker: i32, job: Job) {
        let shared = &self.shared;
        let sender = self.brokers.entry(broker).or_insert_with(|| {
            // Never full: no more jobs are made than may be in flight.
            let (sender, jobs) = mpsc::channel(shared.config.max_in_flight);
            let sending = BrokerSender {
                broker,
                shared: Arc::clone(shared),
                in_flight: Arc::clone(&self.in_flight),
            };
            tokio::spawn(sending.run(jobs));
            sender
        });
        let _ = sender.send(job).await;
    }
}

fn wake(wakes_at: &mut Option<Instant>, at: Instant) {
    *wakes_at = Some(wakes_at.map_or(at, |known| known.min(at)));
}

fn spawn_refresh(shared: &Arc<Shared>, topics: BTreeSet<Arc<str>>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let names: Vec<&str> = topics.iter().map(|topic| topic.as_ref()).collect();
        if let Err(error) = shared.client.refresh(Topics::Named(&names), true).await {
            debug!(%error, "cannot refresh metadata");
        }
        shared.work.notify_one();
    });
}

#[derive(Clone)]
struct BrokerSender {
    broker: i32,
    shared: Arc<Shared>,
    in_flight: Arc<std::sync::Mutex<HashMap<i32, usize>>>,
}

/// A batch that was sent, and its bytes for another try.
struct Sent {
    partition: TopicPartition,
    key: u64,
    encoded: Bytes,
}

impl BrokerSender {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let mut sent = Vec::with_capacity(job.batches.len());
            for (partition, sending) in job.batches {
                let key = sending.key;
                match self.encode(sending) {
                    Ok(encoded) => sent.push(Sent {
                        partition,
                        key,
                        encoded,
                    }),
                    Err(error) => {
                        let failed = Sent {
                            partition,
                            key,
                            encoded: Bytes::new(),
                        };
                        self.settle(vec![(failed, Err(error))]);
                    }
                }
            }
            let request = self.request(&sent);
            match self.send(&request).await {
                Ok(None) => self.finish(sent, Ok(None)),
                Ok(Some(answer)) => {
                    let sender = self.clone();
                    tokio::spawn(async move {
                        let response = answer.response().await.map(Some);
                        sender.finish(sent, response);
                    });
                }
                Err(error) => self.finish(sent, Err(error)),
            }
        }
    }

    fn encode(&self, sending: Sending) -> Result<Bytes, Error> {
        let mut settings = BatchSettings {
            compression: self.shared.config.compression,
            ..BatchSettings::default()
        };
        if let Some((identity, sequence)) = sending.identity {
            settings.producer_id = identity.producer_id;
            settings.producer_epoch = identity.epoch;
            settings.base_sequence = sequence;
        }
        let records = match sending.payload {
            Payload::Records(records) => records,
            Payload::Encoded(bytes) => {
                let batch = Batch::decode(bytes.clone()).map_err(unreadable)?;
                let header = batch.header();
                let is_same = header.producer_epoch == settings.producer_epoch
                    && header.producer_id == settings.producer_id
                    && header.base_sequence == settings.base_sequence;
                if is_same {
                    return Ok(bytes);
                }
                let records = batch.records(REWRITE_LIMIT_BYTES).map_err(unreadable)?;
                let records = records.map(|record| {
                    let record = record.map_err(unreadable)?;
                    Ok((batch.header().timestamp_ms(&record), record))
                });
                records.collect::<Result<Vec<_>, Error>>()?
            }
        };
        let mut builder = BatchBuilder::new(settings);
        for (timestamp_ms, record) in records {
            builder.push_record(timestamp_ms, record);
        }
        builder.build().map_err(unreadable)
    }

    fn request(&self, sent: &[Sent]) -> ProduceRequest {
        let config = &self.shared.config;
        let mut topics: BTreeMap<Arc<str>, Vec<PartitionProduceData>> = BTreeMap::new();
        for Sent {
            partition, encoded, ..
        } in sent
        {
            let mut data = PartitionProduceData::default();
            data.index = partition.partition;
            data.records = Some(encoded.clone());
            topics
                .entry(Arc::clone(&partition.topic))
                .or_default()
                .push(data);
        }
        let mut request = ProduceRequest::default();
        request.transactional_id = None;
        request.acks = config.acks.code();
        request.timeout_ms = i32::try_from(config.ack_timeout.as_millis()).unwrap_or(i32::MAX);
        request.topic_data = topics
            .into_iter()
            .map(|(topic, partitions)| {
                let mut data = TopicProduceData::default();
                data.name = topic_name(&topic);
                data.partition_data = partitions;
                data
            })
            .collect();
        request
    }

    /// `None` for what is never answered.
    async fn send(
        &self,
        request: &ProduceRequest,
    ) -> Result<Option<Answer<ProduceRequest>>, Error> {
        let connection: Connection = self.shared.client.broker(self.broker).await?;
        let version = connection.version_of::<ProduceRequest>(LAST_PRODUCE_VERSION_WITH_NAMES)?;
        if self.shared.config.acks == Acks::None {
            connection.send_unanswered(version, request).await?;
            return Ok(None);
        }
        connection.enqueue(version, request).await.map(Some)
    }

    fn finish(&self, sent: Vec<Sent>, response: Result<Option<ProduceResponse>, Error>) {
        {
            let mut in_flight = self
                .in_flight
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(count) = in_flight.get_mut(&self.broker) {
                *count = count.saturating_sub(1);
            }
        }
        let mut results = match &response {
            Ok(Some(response)) => partition_results(response),
            Ok(None) | Err(_) => HashMap::new(),
        };
        let settled = sent.into_iter().map(|sent| {
            let result = match &response {
                Err(error) => Err(error.clone()),
                Ok(None) => Ok(Written {
                    base_offset: -1,
                    log_append_time_ms: None,
                }),
                Ok(Some(_)) => results.remove(&sent.partition).unwrap_or_else(|| {
                    Err(Error::Records(format!(
                        "the broker did not answer for {}",
                        sent.partition
                    )))
                }),
            };
            (sent, result)
        });
        self.settle(settled.collect());
    }

    fn settle(&self, settled: Vec<(Sent, Result<Written, Error>)>) {
        let shared = &self.shared;
        let now = Instant::now();
        let backoff = |attempt| shared.client.config().backoff(attempt);
        let mut stale = BTreeSet::new();
        let mut queues = shared.queues();
        for (sent, result) in settled {
            let Some(queue) = queues.partitions.get_mut(&sent.partition) else {
                continue;
            };
            let settled = queue.settle(
                sent.key,
                result,
                sent.encoded,
                now,
                &backoff,
                shared.patience(),
            );
            if let Some((error, attempts)) = &settled.retry_of {
                // A broker that is away for long is not news each time.
                if attempts.is_power_of_two() {
                    warn!(
                        "Got error produce response on topic-partition {}, retrying (attempt {attempts}). Error: {error}",
                        sent.partition
                    );
                }
                if error.needs_metadata() {
                    stale.insert(Arc::clone(&sent.partition.topic));
                }
            }
            shared.apply(&mut queues, &settled);
        }
        drop(queues);
        if !stale.is_empty() {
            spawn_refresh(shared, stale);
        }
        shared.work.notify_one();
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Records(error.to_string())
}

fn partition_results(
    response: &ProduceResponse,
) -> HashMap<TopicPartition, Result<Written, Error>> {
    let mut results = HashMap::new();
    for topic in &response.responses {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for partition in &topic.partition_responses {
            let message = partition
                .error_message
                .as_ref()
                .map(|message| message.as_str());
            let result = Error::check(partition.error_code, message).map(|()| Written {
                base_offset: partition.base_offset,
                log_append_time_ms: Some(partition.log_append_time_ms).filter(|&ms| ms >= 0),
            });
            results.insert(
                TopicPartition::new(Arc::clone(&name), partition.index),
                result,
            );
        }
    }
    results
}
