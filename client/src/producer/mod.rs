//! Producing: records are gathered into batches per partition, compressed, sent to leaders, and retried in order.
//!
//! - [`ProducerConfig`]: settings, under the names that Kafka's producer has for them;
//! - [`partitioner`]: which partition a record goes to;
//! - `queue`: a partition's batches, pure: what may be sent now, and what an answer means for it;
//! - `sender`: the task that sends what the queues allow.
//!
//! **Invariant:** per partition, records arrive in the order in which they were sent here, and with idempotence once each,
//! whatever is retried (KIP-98, KIP-360).

mod config;
pub mod partitioner;
mod queue;
mod sender;

pub use config::{Acks, ProducerConfig};

use crate::client::Topics;
use crate::{Client, Error, Metadata, TopicPartition};
use bytes::Bytes;
use millrace_wire::record::{Headers, Record};
use partitioner::Sticky;
use queue::{PartitionQueue, Pushed};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::warn;

#[derive(Clone, Debug, Default)]
pub struct ProducerRecord {
    pub topic: Arc<str>,
    /// Chosen by the key, or evenly, when it is `None`.
    pub partition: Option<i32>,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

impl ProducerRecord {
    pub fn new(topic: impl Into<Arc<str>>, value: impl Into<Bytes>) -> ProducerRecord {
        ProducerRecord {
            topic: topic.into(),
            value: Some(value.into()),
            ..ProducerRecord::default()
        }
    }

    pub fn with_key(mut self, key: impl Into<Bytes>) -> ProducerRecord {
        self.key = Some(key.into());
        self
    }
}

/// Where a record was written. The offset is -1 when the broker does not say (`acks=0`, or a duplicate of an old batch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    pub partition: TopicPartition,
    pub offset: i64,
    /// The broker's time, when the topic has it.
    pub log_append_time_ms: Option<i64>,
}

/// What became of a batch, for all who sent a record of it.
#[derive(Debug)]
struct Outcome {
    partition: TopicPartition,
    result: OnceLock<(Instant, Result<Written, Error>)>,
    settled: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    base_offset: i64,
    log_append_time_ms: Option<i64>,
}

impl Outcome {
    fn new(partition: TopicPartition) -> Outcome {
        Outcome {
            partition,
            result: OnceLock::new(),
            settled: Notify::new(),
        }
    }

    fn settle(&self, result: Result<Written, Error>) {
        let _ = self.result.set((Instant::now(), result));
        self.settled.notify_waiters();
    }

    async fn wait(&self) -> &(Instant, Result<Written, Error>) {
        loop {
            let settled = self.settled.notified();
            if let Some(result) = self.result.get() {
                return result;
            }
            settled.await;
        }
    }
}

/// A record on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    outcome: Arc<Outcome>,
    index: u32,
}

impl Delivery {
    pub fn topic(&self) -> &str {
        &self.outcome.partition.topic
    }

    pub async fn wait(&self) -> Result<RecordMetadata, Error> {
        self.wait_timed().await.1
    }

    /// Also when it was known.
    pub async fn wait_timed(&self) -> (Instant, Result<RecordMetadata, Error>) {
        let (at, result) = self.outcome.wait().await;
        let metadata = result.clone().map(|written| RecordMetadata {
            partition: self.outcome.partition.clone(),
            offset: match written.base_offset {
                base @ 0.. => base + i64::from(self.index),
                unknown => unknown,
            },
            log_append_time_ms: written.log_append_time_ms,
        });
        (*at, metadata)
    }
}

/// Sends records. Dropping it stops its task and fails what was not sent; [`Producer::close`] waits instead.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    config: ProducerConfig,
    queues: Mutex<Queues>,
    /// There may be something to send.
    work: Notify,
    /// Memory was freed, or a batch was settled.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    partitions: HashMap<TopicPartition, PartitionQueue>,
    topics: HashMap<Arc<str>, KnownTopic>,
    buffered_bytes: usize,
    /// Everything goes out now, whatever linger says.
    flushing: usize,
    /// What no later record can undo.
    fatal: Option<Error>,
    closed: bool,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Producer {
    /// Starts the task that sends; needs a tokio runtime.
    pub fn new(client: Client, config: ProducerConfig) -> Result<Producer, Error> {
        config.validate()?;
        let shared = Arc::new(Shared {
            client,
            config,
            queues: Mutex::default(),
            work: Notify::new(),
            freed: Notify::new(),
        });
        let sender = tokio::spawn(sender::run(Arc::clone(&shared)));
        Ok(Producer { shared, sender })
    }

    pub fn config(&self) -> &ProducerConfig {
        &self.shared.config
    }

    /// Queues a record, waiting for its topic's metadata and for memory if need be, at most `max.block.ms`.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, Error> {
        let config = &self.shared.config;
        let size_bytes = queue::record_bytes(&record);
        if size_bytes > config.max_request_bytes {
            return Err(Error::of(
                millrace_wire::ErrorCode::MessageTooLarge,
                Some(&format!(
                    "The message is {size_bytes} bytes when serialized which is larger than {}, which is the value of the max.request.size configuration.",
                    config.max_request_bytes
                )),
            ));
        }
        let give_up = tokio::time::Instant::now() + config.max_block;
        let partitions = self
            .partitions_of(&record.topic, record.partition, give_up)
            .await?;
        loop {
            let freed = self.shared.freed.notified();
            if let Some(delivery) = self.try_push(&record, &partitions, size_bytes)? {
                return Ok(delivery);
            }
            let waited = tokio::time::timeout_at(give_up, freed).await;
            waited.map_err(|_| Error::TimedOut {
                what: "allocating memory for a record".to_owned(),
                after: config.max_block,
            })?;
        }
    }

    /// `None` when there is no memory.
    fn try_push(
        &self,
        record: &ProducerRecord,
        partitions: &Partitions,
        size_bytes: usize,
    ) -> Result<Option<Delivery>, Error> {
        let config = &self.shared.config;
        let mut queues = self.shared.queues();
        if let Some(fatal) = &queues.fatal {
            return Err(fatal.clone());
        }
        if queues.closed {
            return Err(Error::Closed);
        }
        if queues.buffered_bytes > 0 && queues.buffered_bytes + size_bytes > config.buffer_bytes {
            return Ok(None);
        }
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::of_key(key, partitions.count),
            (None, None) => {
                let topic = queues.topics.entry(Arc::clone(&record.topic)).or_default();
                let sticky = &mut topic.sticky;
                sticky.next(
                    &partitions.led,
                    partitions.count,
                    size_bytes,
                    config.batch_bytes,
                )
            }
        };
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(now_ms);
        let entry = Record {
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
            ..Record::default()
        };
        queues.buffered_bytes += size_bytes;
        let partition = TopicPartition::new(Arc::clone(&record.topic), partition);
        let queue = match queues.partitions.get_mut(&partition) {
            Some(queue) => queue,
            None => {
                let queue = PartitionQueue::new(partition.clone());
                queues.partitions.entry(partition).or_insert(queue)
            }
        };
        let Pushed {
            outcome,
            index,
            wake,
        } = queue.push(
            timestamp_ms,
            entry,
            size_bytes,
            config.batch_bytes,
            Instant::now(),
        );
        drop(queues);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(Some(Delivery { outcome, index }))
    }

    async fn partitions_of(
        &self,
        topic: &Arc<str>,
        partition: Option<i32>,
        give_up: tokio::time::Instant,
    ) -> Result<Arc<Partitions>, Error> {
        let client = &self.shared.client;
        let mut attempt = 0;
        loop {
            let metadata = client.metadata();
            if let Some(known) = metadata.topics.get(&**topic)
                && !known.partitions.is_empty()
                && partition.is_none_or(|wanted| metadata.partition(topic, wanted).is_some())
            {
                return Ok(self.shared.queues().partitions_of(&metadata, topic));
            }
            let wait = async {
                if attempt > 0 {
                    tokio::time::sleep(client.config().backoff(attempt)).await;
                }
                client.refresh(Topics::Named(&[topic]), true).await
            };
            let refreshed = tokio::time::timeout_at(give_up, wait).await;
            let error = match refreshed {
                Err(_) => {
                    return Err(Error::TimedOut {
                        what: format!("Topic {topic} not present in metadata"),
                        after: self.shared.config.max_block,
                    });
                }
                Ok(Ok(_)) => client.last_topic_error(topic),
                Ok(Err(error)) => Some(error),
            };
            if let Some(error) = error {
                if !error.is_retriable() {
                    return Err(error);
                }
                if attempt == 0 {
                    let code = error
                        .code()
                        .map_or_else(|| error.to_string(), |code| code.to_string());
                    warn!(
                        "The metadata response from the cluster reported a recoverable issue: {{{topic}={code}}}"
                    );
                }
            }
            attempt += 1;
        }
    }

    /// Waits until everything that was sent before is settled.
    pub async fn flush(&self) {
        let outcomes: Vec<Arc<Outcome>> = {
            let mut queues = self.shared.queues();
            queues.flushing += 1;
            queues
                .partitions
                .values()
                .flat_map(PartitionQueue::outcomes)
                .collect()
        };
        self.shared.work.notify_one();
        for outcome in outcomes {
            outcome.wait().await;
        }
        self.shared.queues().flushing -= 1;
    }

    /// Flushes and stops. What it could not deliver was told to whoever sent it.
    pub async fn close(mut self) {
        self.flush().await;
        self.shared.queues().closed = true;
        self.shared.work.notify_one();
        let _ = (&mut self.sender).await;
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender.abort();
        let mut queues = self.shared.queues();
        queues.closed = true;
        for queue in queues.partitions.values_mut() {
            queue.fail_all(&Error::Closed);
        }
    }
}

#[derive(Debug, Default)]
struct KnownTopic {
    sticky: Sticky,
    /// Of the metadata beside it: made anew only when that changed, since it is asked for with every record.
    partitions: Option<(Arc<Metadata>, Arc<Partitions>)>,
}

/// What the partitioner needs of a topic.
#[derive(Debug)]
struct Partitions {
    count: i32,
    /// Those with a leader.
    led: Vec<i32>,
}

impl Queues {
    fn partitions_of(&mut self, metadata: &Arc<Metadata>, topic: &Arc<str>) -> Arc<Partitions> {
        let known = self.topics.entry(Arc::clone(topic)).or_default();
        if let Some((of, partitions)) = &known.partitions
            && Arc::ptr_eq(of, metadata)
        {
            return Arc::clone(partitions);
        }
        let all = metadata
            .topics
            .get(&**topic)
            .map_or(&[][..], |topic| &topic.partitions);
        let led = all.iter().filter(|partition| partition.leader.is_some());
        let partitions = Arc::new(Partitions {
            count: i32::try_from(all.len()).unwrap_or(i32::MAX),
            led: led.map(|partition| partition.id).collect(),
        });
        known.partitions = Some((Arc::clone(metadata), Arc::clone(&partitions)));
        partitions
    }
}

pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
