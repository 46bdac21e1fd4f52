//! Consuming: [`Consumer`] has partitions that were assigned by hand, or all partitions of topics, and commits nothing;
//! [`GroupConsumer`] shares them with the other members of a group.
//!
//! - [`ConsumerConfig`]: settings, under the names that Kafka's consumer has for them;
//! - `fetch`: one fetch request to one broker and its answer;
//! - `records`: from an answer's batches to records, transactions filtered; pure.
//!
//! At most one fetch is unanswered per broker, and none is sent while more than [`ConsumerConfig::buffered_bytes`] wait to be
//! polled: that is what bounds memory.

mod config;
mod fetch;
mod group;
mod records;

pub use config::{ConsumerConfig, Isolation, Reset};
pub use group::{GroupConfig, GroupConsumer};
pub use records::ConsumerRecord;

use crate::client::Topics;
use crate::{Client, Error, TopicPartition};
use fetch::{Fetch, FetchedPartition, Wanted};
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

/// Where to start in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    Offset(i64),
}

/// Which topics' partitions to follow, new ones included.
pub enum Following {
    Nothing,
    Named(Vec<String>),
    Matching(Box<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Following::Nothing => f.write_str("Nothing"),
            Following::Named(topics) => f.debug_tuple("Named").field(topics).finish(),
            Following::Matching(_) => f.write_str("Matching(..)"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Position {
    start: Start,
    /// `None` until the start was looked up.
    next_offset: Option<i64>,
    is_fetching: bool,
    /// Not asked for before this.
    pause_until: Option<Instant>,
}

/// What a fetch task sends back.
struct Fetched {
    broker: i32,
    asked: Vec<TopicPartition>,
    result: Result<Vec<FetchedPartition>, Error>,
}

#[derive(Debug)]
pub struct Consumer {
    client: Client,
    config: ConsumerConfig,
    following: Following,
    /// Where partitions of followed topics start that were there from the beginning.
    start: Start,
    positions: BTreeMap<TopicPartition, Position>,
    busy: BTreeSet<i32>,
    buffer: VecDeque<ConsumerRecord>,
    buffered_bytes: usize,
    refreshed_at: Option<Instant>,
    must_refresh: bool,
    sender: mpsc::Sender<Fetched>,
    fetched: mpsc::Receiver<Fetched>,
}

/// Brokers that can have an answer under way; more wait for room.
const MAX_ANSWERS: usize = 1024;

impl Consumer {
    pub fn new(client: Client, config: ConsumerConfig) -> Consumer {
        let (sender, fetched) = mpsc::channel(MAX_ANSWERS);
        Consumer {
            client,
            config,
            following: Following::Nothing,
            start: Start::Latest,
            positions: BTreeMap::new(),
            busy: BTreeSet::new(),
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            refreshed_at: None,
            must_refresh: true,
            sender,
            fetched,
        }
    }

    /// Consumes exactly these partitions.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        self.following = Following::Nothing;
        self.positions.clear();
        self.buffer.clear();
        self.buffered_bytes = 0;
        for (partition, start) in partitions {
            self.positions.insert(partition, Position::new(start));
        }
        self.must_refresh = true;
    }

    /// Consumes all partitions of topics, from `start`; partitions that appear later are read from their beginning.
    pub fn follow(&mut self, following: Following, start: Start) {
        self.following = following;
        self.start = start;
        self.positions.clear();
        self.refreshed_at = None;
        self.must_refresh = true;
    }

    /// The partitions that are consumed, each with the offset that is fetched next.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Option<i64>)> {
        self.positions
            .iter()
            .map(|(partition, position)| (partition, position.next_offset))
    }

    /// Where each partition goes on after what polls have returned; partitions that have not begun are left out.
    fn consumed(&self) -> BTreeMap<TopicPartition, i64> {
        let known = self.positions.iter();
        let mut consumed: BTreeMap<TopicPartition, i64> = known
            .filter_map(|(at, position)| Some((at.clone(), position.next_offset?)))
            .collect();
        // What waits to be polled was fetched, and not returned; of each partition the first is what counts.
        for record in self.buffer.iter().rev() {
            let at = TopicPartition::new(Arc::clone(&record.topic), record.partition);
            consumed.insert(at, record.offset);
        }
        consumed
    }

    /// Records, at most `max_poll_records`; none when `wait` passed without any. Errors that time may heal are retried here;
    /// those that are returned will come again.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        let until = Instant::now() + wait;
        loop {
            while let Ok(fetched) = self.fetched.try_recv() {
                self.take(fetched)?;
            }
            self.prepare(until).await?;
            self.send_fetches();
            if !self.buffer.is_empty() {
                return Ok(self.drain());
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
            let soon = Instant::now() + self.client.config().retry_backoff;
            // With nothing under way there is nothing to be woken by.
            let until = if self.busy.is_empty() {
                until.min(soon)
            } else {
                until
            };
            if let Ok(Some(fetched)) = timeout_at(until, self.fetched.recv()).await {
                self.take(fetched)?;
            }
        }
    }

    fn drain(&mut self) -> Vec<ConsumerRecord> {
        let count = self.buffer.len().min(self.config.max_poll_records);
        let records: Vec<ConsumerRecord> = self.buffer.drain(..count).collect();
        let bytes: usize = records.iter().map(ConsumerRecord::size_bytes).sum();
        self.buffered_bytes = self.buffered_bytes.saturating_sub(bytes);
        records
    }

    /// Metadata and starting offsets, as far as they are missing.
    async fn prepare(&mut self, until: Instant) -> Result<(), Error> {
        let max_age = self.client.config().metadata_max_age;
        let is_old = self.refreshed_at.is_none_or(|at| at.elapsed() > max_age);
        if self.must_refresh || is_old {
            match timeout_at(until, self.refresh()).await {
                Err(_) => return Ok(()),
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.is_retriable() => {
                    warn!("{error}; trying again");
                    sleep(self.client.config().retry_backoff).await;
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
            }
        }
        if self
            .positions
            .values()
            .any(|position| position.next_offset.is_none())
        {
            match timeout_at(until, self.look_up_starts()).await {
                Err(_) => {}
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.is_retriable() => {
                    debug!(%error, "cannot look up offsets");
                    self.must_refresh = true;
                    sleep(self.client.config().retry_backoff).await;
                }
                Ok(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        let named: Vec<String> = match &self.following {
            Following::Named(topics) => topics.clone(),
            Following::Matching(_) => Vec::new(),
            Following::Nothing => {
                let topics: BTreeSet<&Arc<str>> =
                    self.positions.keys().map(|at| &at.topic).collect();
                topics.into_iter().map(|topic| topic.to_string()).collect()
            }
        };
        let names: Vec<&str> = named.iter().map(String::as_str).collect();
        let topics = match &self.following {
            Following::Matching(_) => Topics::All,
            Following::Nothing | Following::Named(_) => Topics::Named(&names),
        };
        let is_first = self.refreshed_at.is_none();
        let metadata = self
            .client
            .refresh(topics, self.config.allow_auto_create)
            .await?;
        let mut missing = false;
        for name in &names {
            if let Some(error) = self.client.last_topic_error(name) {
                if !error.is_retriable() {
                    return Err(error);
                }
                missing = true;
                if is_first {
                    let code = error
                        .code()
                        .map_or_else(|| error.to_string(), |code| code.to_string());
                    warn!(
                        "The metadata response from the cluster reported a recoverable issue: {{{name}={code}}}"
                    );
                }
            }
        }
        // A topic that was missing at first has been made since: all of it is new.
        let start = if is_first && !missing {
            self.start
        } else {
            Start::Earliest
        };
        let followed: Vec<&str> = match &self.following {
            Following::Nothing => Vec::new(),
            Following::Named(_) => names,
            Following::Matching(matches) => {
                let topics = metadata.topics.values();
                let shown =
                    topics.filter(|topic| !topic.is_internal || !self.config.exclude_internal);
                shown
                    .map(|topic| topic.name.as_str())
                    .filter(|name| matches(name))
                    .collect()
            }
        };
        for name in followed {
            let Some(topic) = metadata.topics.get(name) else {
                continue;
            };
            let name: Arc<str> = Arc::from(name);
            for partition in &topic.partitions {
                let partition = TopicPartition::new(Arc::clone(&name), partition.id);
                self.positions
                    .entry(partition)
                    .or_insert_with(|| Position::new(start));
            }
        }
        self.refreshed_at = Some(Instant::now());
        self.must_refresh = false;
        if missing {
            self.must_refresh = true;
            sleep(self.client.config().retry_backoff).await;
        }
        Ok(())
    }

    /// Asks leaders where partitions begin and end whose start is not an offset.
    async fn look_up_starts(&mut self) -> Result<(), Error> {
        let mut earliest = Vec::new();
        let mut latest = Vec::new();
        for (partition, position) in &mut self.positions {
            match (position.next_offset, position.start) {
                (Some(_), _) => {}
                (None, Start::Offset(offset)) => position.next_offset = Some(offset),
                (None, Start::Earliest) => earliest.push(partition.clone()),
                (None, Start::Latest) => latest.push(partition.clone()),
            }
        }
        for (partitions, timestamp) in [
            (earliest, crate::admin::OffsetSpec::Earliest),
            (latest, crate::admin::OffsetSpec::Latest),
        ] {
            if partitions.is_empty() {
                continue;
            }
            let asked = partitions
                .iter()
                .map(|partition| (partition.clone(), timestamp));
            let asked: Vec<_> = asked.collect();
            let isolation = self.config.isolation;
            for (partition, found) in self.client.list_offsets_once(&asked, isolation).await? {
                let offset = found?.offset;
                if let Some(position) = self.positions.get_mut(&partition) {
                    position.next_offset = Some(offset.max(0));
                }
            }
        }
        Ok(())
    }

    /// To every broker that leads a partition of ours and has nothing to answer.
    fn send_fetches(&mut self) {
        if self.buffered_bytes >= self.config.buffered_bytes {
            return;
        }
        let metadata = self.client.metadata();
        let now = Instant::now();
        let mut wanted: BTreeMap<i32, Vec<Wanted>> = BTreeMap::new();
        for (partition, position) in &self.positions {
            let Some(offset) = position.next_offset else {
                continue;
            };
            if position.is_fetching || position.pause_until.is_some_and(|until| until > now) {
                continue;
            }
            match metadata.leader(&partition.topic, partition.partition) {
                Some(leader) => wanted.entry(leader).or_default().push(Wanted {
                    partition: partition.clone(),
                    offset,
                }),
                None => self.must_refresh = true,
            }
        }
        for (broker, mut wanted) in wanted {
            if !self.busy.insert(broker) {
                continue;
            }
            // A broker fills its answer in the order asked: what comes first must not always be the same.
            let rotation = rand::random_range(0..wanted.len());
            wanted.rotate_left(rotation);
            let asked: Vec<TopicPartition> =
                wanted.iter().map(|want| want.partition.clone()).collect();
            for partition in &asked {
                if let Some(position) = self.positions.get_mut(partition) {
                    position.is_fetching = true;
                }
            }
            let fetch = Fetch {
                client: self.client.clone(),
                config: self.config.clone(),
                broker,
                wanted,
            };
            let sender = self.sender.clone();
            tokio::spawn(async move {
                let result = fetch.run().await;
                let fetched = Fetched {
                    broker,
                    asked,
                    result,
                };
                // A consumer that is gone wants nothing.
                let _ = sender.send(fetched).await;
            });
        }
    }

    fn take(&mut self, fetched: Fetched) -> Result<(), Error> {
        self.busy.remove(&fetched.broker);
        let pause_until = Instant::now() + self.client.config().retry_backoff;
        for partition in &fetched.asked {
            if let Some(position) = self.positions.get_mut(partition) {
                position.is_fetching = false;
            }
        }
        let partitions = match fetched.result {
            Ok(partitions) => partitions,
            Err(error) if error.is_retriable() => {
                debug!(broker = fetched.broker, %error, "a fetch failed");
                self.must_refresh = true;
                for partition in &fetched.asked {
                    if let Some(position) = self.positions.get_mut(partition) {
                        position.pause_until = Some(pause_until);
                    }
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut failure = None;
        for fetched in partitions {
            let Some(position) = self.positions.get_mut(&fetched.partition) else {
                continue;
            };
            match fetched.result {
                // An answer to a position that was left since is not ours.
                Ok(read) if position.next_offset == Some(fetched.offset) => {
                    position.next_offset = Some(read.next_offset);
                    for record in read.records {
                        self.buffered_bytes += record.size_bytes();
                        self.buffer.push_back(record);
                    }
                    failure = failure.or(read.fault);
                }
                Ok(_) => {}
                Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
                    match self.config.reset {
                        Reset::Earliest => position.start = Start::Earliest,
                        Reset::Latest => position.start = Start::Latest,
                        Reset::None => return Err(error),
                    }
                    warn!(
                        "Fetch position {} is out of range for partition {}, resetting offset",
                        fetched.offset, fetched.partition
                    );
                    position.next_offset = None;
                }
                Err(error) if error.is_retriable() => {
                    self.must_refresh |= error.needs_metadata();
                    position.pause_until = Some(pause_until);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Passes over the record that could not be read at a partition's position.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(position) = self.positions.get_mut(partition) {
            position.next_offset = Some(offset);
            self.buffer.retain(|record| {
                record.topic != partition.topic || record.partition != partition.partition
            });
            self.buffered_bytes = self.buffer.iter().map(ConsumerRecord::size_bytes).sum();
        }
    }
}

impl Position {
    fn new(start: Start) -> Position {
        Position {
            start,
            next_offset: None,
            is_fetching: false,
            pause_until: None,
        }
    }
}
