//! A consumer that shares its topics with the other members of a group: Kafka's classic protocol, with the `range` assignor.
//!
//! - `join`: JoinGroup, the leader's assignment (`range`), SyncGroup, and where the group had got to; a task of its own, so
//!   that a poll may end before it does;
//! - `heartbeat`: the task that reports between two rebalances, and tells the next poll of one through [`Standing`];
//! - `link`: the connection that both use.
//!
//! **Invariant:** what is committed was returned by a poll before the last one, or was passed over by
//! [`GroupConsumer::seek`]. Before partitions are given up, and at the end, positions are committed if they are by themselves.

mod config;
mod heartbeat;
mod join;
mod link;
mod range;

pub use config::GroupConfig;

use super::{Consumer, ConsumerConfig, ConsumerRecord, Following, Reset, Start};
use crate::admin::CommittedOffset;
use crate::admin::group_offsets::{Committer, commit_offsets};
use crate::client::Topics;
use crate::{Client, Error, TopicPartition};
use join::{Joined, Joining, partition_counts};
use link::Link;
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, warn};

/// How long a poll may not look at what the heartbeats have learned.
const ATTENTION: Duration = Duration::from_millis(500);

/// Who the member is, in one generation of its group.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    generation: i32,
    member_id: String,
    instance_id: Option<String>,
}

/// What the heartbeats' task and the consumer tell each other.
#[derive(Debug)]
pub(super) struct Standing {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    polled_at: Instant,
    must_rejoin: bool,
    /// The coordinator does not know the member any more: what it had may be another's.
    is_lost: bool,
    failure: Option<Error>,
}

impl Standing {
    fn new() -> Standing {
        Standing {
            inner: Mutex::new(Inner {
                polled_at: Instant::now(),
                must_rejoin: false,
                is_lost: false,
                failure: None,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polled_at(&self) -> Instant {
        self.inner().polled_at
    }

    fn must_rejoin(&self) {
        self.inner().must_rejoin = true;
    }

    fn lose(&self) {
        let mut inner = self.inner();
        inner.must_rejoin = true;
        inner.is_lost = true;
    }

    fn fail(&self, error: Error) {
        self.inner().failure = Some(error);
    }
}

#[derive(Debug)]
pub struct GroupConsumer {
    client: Client,
    consumer: Consumer,
    config: GroupConfig,
    reset: Reset,
    following: Following,
    allows_creation: bool,
    excludes_internal: bool,
    link: Arc<Link>,
    standing: Arc<Standing>,
    /// While it is a member.
    identity: Option<Identity>,
    /// Of the member before, for the next generation.
    member_id: String,
    topics: BTreeSet<String>,
    counts: Option<BTreeMap<String, i32>>,
    looked_at: Option<Instant>,
    /// At most one: the attempt to join. Both sets end their tasks when they are dropped.
    joining: JoinSet<Result<Joined, Error>>,
    /// At most one.
    heartbeats: JoinSet<()>,
    committed_at: Instant,
    /// What was committed last, so that it is not committed again.
    committed: BTreeMap<TopicPartition, i64>,
    reason: &'static str,
}

impl GroupConsumer {
    pub fn new(
        client: Client,
        consumer: ConsumerConfig,
        config: GroupConfig,
        following: Following,
    ) -> GroupConsumer {
        let link = Link::new(
            client.clone(),
            config.group.clone(),
            config.max_poll_interval,
        );
        GroupConsumer {
            reset: consumer.reset,
            allows_creation: consumer.allow_auto_create,
            excludes_internal: consumer.exclude_internal,
            consumer: Consumer::new(client.clone(), consumer),
            client,
            config,
            following,
            link: Arc::new(link),
            standing: Arc::new(Standing::new()),
            identity: None,
            member_id: String::new(),
            topics: BTreeSet::new(),
            counts: None,
            looked_at: None,
            joining: JoinSet::new(),
            heartbeats: JoinSet::new(),
            committed_at: Instant::now(),
            committed: BTreeMap::new(),
            reason: "need to join the group",
        }
    }

    /// Whether it is in the group now, with or without partitions.
    pub fn is_member(&self) -> bool {
        self.identity.is_some()
    }

    /// The partitions that are this member's now.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.consumer.positions().map(|(at, _)| at)
    }

    /// Goes on elsewhere in a partition of its own.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        self.consumer.seek(partition, offset);
    }

    /// Records of this member's partitions; joins the group first, and again when it changes. None when `wait` passed without
    /// any, or half a second: the others must not wait that long for this member. What earlier polls returned counts as done.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        let until = Instant::now() + wait;
        let failure = {
            let mut inner = self.standing.inner();
            inner.polled_at = Instant::now();
            inner.failure.clone()
        };
        if let Some(error) = failure {
            self.give_up_partitions();
            return Err(error);
        }
        match timeout_at(until, self.look_at_topics()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) if error.is_retriable() => {
                warn!("{error}; trying again");
                let pause = self.client.config().retry_backoff_max;
                sleep_until(until.min(Instant::now() + pause)).await;
            }
            Ok(Err(error)) => return Err(error),
        }
        self.commit_if_due().await?;
        if self.standing.inner().must_rejoin {
            self.leave_generation().await;
        }
        if self.identity.is_none() && !self.join(until).await? {
            return Ok(Vec::new());
        }
        if self.consumer.positions().next().is_none() {
            // Nothing to fetch: the next heartbeat may change that.
            sleep_until(until.min(Instant::now() + ATTENTION)).await;
            return Ok(Vec::new());
        }
        let left = until.saturating_duration_since(Instant::now());
        self.consumer.poll(left.min(ATTENTION)).await
    }

    /// Commits what polls have returned.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let Some(identity) = self.identity.clone() else {
            return Ok(());
        };
        let positions = self.consumer.consumed();
        let news: BTreeMap<TopicPartition, CommittedOffset> = positions
            .iter()
            .filter(|(at, offset)| self.committed.get(*at) != Some(*offset))
            .map(|(at, &offset)| (at.clone(), CommittedOffset::at(offset)))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let committer = Committer {
            generation: identity.generation,
            member_id: identity.member_id,
            instance_id: identity.instance_id,
        };
        let link = Arc::clone(&self.link);
        let done = link
            .within(async {
                let connection = link.connection().await?;
                commit_offsets(&connection, link.group(), &committer, &news).await
            })
            .await;
        let results = match done {
            Ok(results) => results,
            Err(error) => {
                link.heed(&error).await;
                return Err(error);
            }
        };
        for (at, result) in results {
            if let Err(error) = result {
                match error.code() {
                    Some(ErrorCode::RebalanceInProgress) => self.standing.must_rejoin(),
                    Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                        self.standing.lose();
                    }
                    Some(ErrorCode::FencedInstanceId) => self.standing.fail(error.clone()),
                    _ => {}
                }
                return Err(error);
            }
            if let Some(&offset) = positions.get(&at) {
                self.committed.insert(at, offset);
            }
        }
        Ok(())
    }

    /// Commits, if that happens by itself, and leaves the group. It takes no longer than one request may.
    pub async fn close(mut self) -> Result<(), Error> {
        let after = self.client.config().request_timeout;
        let closing = async {
            let committed = match self.config.auto_commit {
                Some(_) if !self.standing.inner().is_lost => self.commit_at_last().await,
                _ => Ok(()),
            };
            self.heartbeats.shutdown().await;
            if self.joining.is_empty() {
                if let Some(identity) = self.identity.take() {
                    heartbeat::leave(&self.link, &identity, "the consumer is being closed").await?;
                }
            } else {
                // What it asked last may be unanswered for long; its session's end tells the others.
                self.joining.shutdown().await;
            }
            committed
        };
        timeout(after, closing).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                what: "leaving the group".to_owned(),
                after,
            })
        })
    }

    /// Again while the coordinator cannot be reached, as long as its caller waits.
    async fn commit_at_last(&mut self) -> Result<(), Error> {
        for attempt in 0.. {
            match self.commit().await {
                Err(error)
                    if error.is_retriable()
                        && error.code() != Some(ErrorCode::RebalanceInProgress) =>
                {
                    sleep(self.client.config().backoff(attempt)).await;
                }
                done => return done,
            }
        }
        Ok(())
    }

    async fn commit_if_due(&mut self) -> Result<(), Error> {
        let Some(interval) = self.config.auto_commit else {
            return Ok(());
        };
        if self.identity.is_none() || self.committed_at.elapsed() < interval {
            return Ok(());
        }
        self.committed_at = Instant::now();
        self.commit_by_itself().await;
        Ok(())
    }

    /// What cannot be committed now is committed later, or consumed again: at least once.
    async fn commit_by_itself(&mut self) {
        if let Err(error) = self.commit().await {
            warn!(group = self.link.group(), "cannot commit: {error}");
        }
    }

    /// The eager protocol: all partitions are given up before the group is joined again.
    async fn leave_generation(&mut self) {
        let is_lost = self.standing.inner().is_lost;
        if self.config.auto_commit.is_some() && !is_lost {
            self.commit_by_itself().await;
        }
        self.heartbeats.abort_all();
        if let Some(identity) = self.identity.take() {
            self.member_id = match is_lost {
                true => String::new(),
                false => identity.member_id,
            };
            self.reason = match is_lost {
                true => "the member was removed from the group",
                false => "group is already rebalancing",
            };
        }
        self.give_up_partitions();
    }

    fn give_up_partitions(&mut self) {
        self.consumer.assign([]);
        self.committed.clear();
    }

    /// Whether it is a member now.
    async fn join(&mut self, until: Instant) -> Result<bool, Error> {
        if self.topics.is_empty() && self.looked_at.is_none() {
            return Ok(false);
        }
        if self.joining.is_empty() {
            self.heartbeats.shutdown().await;
            let joining = Joining {
                client: self.client.clone(),
                link: Arc::clone(&self.link),
                config: self.config.clone(),
                topics: self.topics.clone(),
                member_id: std::mem::take(&mut self.member_id),
                reason: self.reason,
            };
            self.joining.spawn(joining.run());
        }
        let joined = match timeout_at(until, self.joining.join_next()).await {
            Err(_) | Ok(None) => return Ok(false),
            Ok(Some(Ok(joined))) => joined?,
            Ok(Some(Err(error))) => {
                return Err(Error::Invalid(format!("joining the group ended: {error}")));
            }
        };
        self.take(joined)?;
        Ok(true)
    }

    fn take(&mut self, joined: Joined) -> Result<(), Error> {
        debug!(
            group = self.link.group(),
            generation = joined.identity.generation,
            partitions = joined.assignment.len(),
            "joined the group"
        );
        let mut starts = Vec::new();
        self.committed.clear();
        for (at, committed) in joined.assignment {
            let start = match (committed, self.reset) {
                (Some(committed), _) => {
                    self.committed.insert(at.clone(), committed.offset);
                    Start::Offset(committed.offset)
                }
                (None, Reset::Earliest) => Start::Earliest,
                (None, Reset::Latest) => Start::Latest,
                (None, Reset::None) => {
                    return Err(Error::Invalid(format!(
                        "the group has no offset of {at}, and auto.offset.reset=none"
                    )));
                }
            };
            starts.push((at, start));
        }
        self.consumer.assign(starts);
        self.counts = joined.counts;
        self.committed_at = Instant::now();
        self.standing = Arc::new(Standing::new());
        let reporting = heartbeat::run(
            Arc::clone(&self.link),
            self.config.clone(),
            joined.identity.clone(),
            Arc::clone(&self.standing),
        );
        self.heartbeats.spawn(reporting);
        self.identity = Some(joined.identity);
        Ok(())
    }

    /// Which topics are subscribed to, and for the leader how many partitions those of all members have: when that changes,
    /// the group is joined again.
    async fn look_at_topics(&mut self) -> Result<(), Error> {
        let max_age = self.client.config().metadata_max_age;
        if self.looked_at.is_some_and(|at| at.elapsed() < max_age) {
            return Ok(());
        }
        let mut is_whole = true;
        let topics: BTreeSet<String> = match &self.following {
            Following::Nothing => BTreeSet::new(),
            Following::Named(names) => {
                let asked: Vec<&str> = names.iter().map(String::as_str).collect();
                self.client
                    .refresh(Topics::Named(&asked), self.allows_creation)
                    .await?;
                for name in &asked {
                    match self.client.last_topic_error(name) {
                        Some(error) if !error.is_retriable() => return Err(error),
                        Some(_) => is_whole = false,
                        None => {}
                    }
                }
                names.iter().cloned().collect()
            }
            Following::Matching(matches) => {
                let metadata = self.client.refresh(Topics::All, false).await?;
                let shown = metadata
                    .topics
                    .values()
                    .filter(|topic| !topic.is_internal || !self.excludes_internal);
                let names = shown.map(|topic| topic.name.clone());
                names.filter(|name| matches(name)).collect()
            }
        };
        let mut has_changed = self.identity.is_some() && topics != self.topics;
        if let Some(counts) = &self.counts {
            let wanted: Vec<&str> = counts
                .keys()
                .map(String::as_str)
                .chain(topics.iter().map(String::as_str))
                .collect();
            has_changed |= partition_counts(&self.client, &wanted).await? != *counts;
        }
        self.topics = topics;
        if has_changed {
            self.standing.must_rejoin();
        }
        // A topic that is being made is looked for again soon.
        let soon = self.client.config().retry_backoff_max;
        self.looked_at = match is_whole {
            true => Some(Instant::now()),
            false => (Instant::now() + soon).checked_sub(max_age),
        };
        Ok(())
    }
}
