//! How a cluster begins, how brokers join it, and who votes in it.
//!
//! One broker decides who the first voters of the metadata are: the first of those that the settings, or `format`, name. It asks all of
//! them, and only when each says that it knows of no cluster it writes down who they are, by the numbers that their directories got when they were
//! formatted. The others begin with an empty replica, and learn everything from whoever leads. So a volume that was wiped and formatted anew is
//! somebody new, who is let in and gets no vote before it knows what the others know; and brokers that are started together, in any order, make one
//! cluster or none.

use super::hub::{JOIN, WHO, decode, encode};
use super::{Cluster, Inner};
use crate::engine::{self, Engine};
use crate::metadata::{self, BrokerId};
use crate::raft::ports::PeerId;
use crate::raft::{ChangeRefusal, Failure, Progress, Reply, Role, Status};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a broker may take to answer, and how long is waited before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(100);

/// How often a broker that waits for others says so.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How often who leads the metadata looks whether the right ones vote.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// More voters make changes slower, and bear the loss of no broker more than five do in most clusters.
const MAX_VOTERS: usize = 5;

/// For so long a voter may be away before another broker votes in its place.
const VOTER_PATIENCE: Duration = Duration::from_secs(60);

/// How far behind the leader a replica may be that is to vote.
const CLOSE_ENTRIES: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("stopped before the cluster was there")]
    Stopped,
}

/// What a broker says of its replica of the metadata.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Who {
    metadata_replica: PeerId,
    /// Whether it knows of no cluster; `None` when it cannot say yet.
    is_empty: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LetIn {
    Member,
    /// Somebody else leads, or nobody.
    NotLeader,
    Failed(String),
}

fn is_member(status: &Status) -> bool {
    let ConfState {
        voters,
        learners,
        voters_outgoing,
        learners_next,
        ..
    } = &status.membership;
    let all = [voters, learners, voters_outgoing, learners_next];
    all.into_iter().flatten().any(|peer| *peer == status.peer)
}

impl Cluster {
    pub(super) async fn found(
        &self,
        engine: &Arc<Engine>,
        metadata: &metadata::Handle,
    ) -> Result<(), Error> {
        if !engine.has_metadata() {
            let first = self.inner.controllers.iter().map(|one| one.id).min();
            let voters = match first == Some(self.inner.me) {
                true => self.first_voters().await?,
                false => Vec::new(),
            };
            tracing::info!(?voters, "the replica of the metadata is made");
            let engine = engine.clone();
            let found = tokio::task::spawn_blocking(move || engine.found_metadata(&voters));
            found.await.map_err(|_| Error::Stopped)??;
        }
        self.become_member(metadata).await
    }

    /// All that are to be, when none of them knows of a cluster; nobody, when there is one already.
    async fn first_voters(&self) -> Result<Vec<PeerId>, Error> {
        let mut voters = BTreeMap::from([(self.inner.me, self.inner.metadata_replica)]);
        let mut reported = Instant::now();
        loop {
            let mut missing = Vec::new();
            for controller in &self.inner.controllers {
                if controller.id == self.inner.me {
                    continue;
                }
                match self.ask_who(controller.id).await {
                    Some(Who {
                        is_empty: Some(false),
                        ..
                    }) => return Ok(Vec::new()),
                    Some(Who {
                        is_empty: Some(true),
                        metadata_replica,
                    }) => {
                        voters.insert(controller.id, metadata_replica);
                    }
                    _ => missing.push(controller.id),
                }
            }
            if missing.is_empty() {
                return Ok(voters.into_values().collect());
            }
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                tracing::warn!(
                    ?missing,
                    "a new cluster begins when all of its first controllers are there"
                );
            }
            self.rest().await?;
        }
    }

    async fn ask_who(&self, broker: BrokerId) -> Option<Who> {
        let answer = self.peers().ask(broker, WHO, encode(&()), PATIENCE).await;
        decode(broker, &answer.ok()?)
    }

    /// Returns when this broker's replica belongs to the metadata's group, and knows who leads it.
    async fn become_member(&self, metadata: &metadata::Handle) -> Result<(), Error> {
        let mut reported = Instant::now();
        loop {
            if let Some(status) = metadata.status().await {
                let is_led = status.leader != 0;
                if is_member(&status) && is_led {
                    return Ok(());
                }
                if !is_member(&status) {
                    self.ask_to_be_let_in().await;
                }
            }
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                tracing::warn!(up = ?self.up(), "waiting for the metadata to have a leader, and to let this broker in");
            }
            self.rest().await?;
        }
    }

    async fn ask_to_be_let_in(&self) {
        for broker in self.peers().up() {
            let body = encode(&self.inner.metadata_replica);
            let answer = self.peers().ask(broker, JOIN, body, PATIENCE).await;
            match answer.ok().and_then(|answer| decode(broker, &answer)) {
                Some(LetIn::Member) => return,
                Some(LetIn::Failed(reason)) => {
                    tracing::warn!(broker, reason, "this broker is not let in yet");
                }
                Some(LetIn::NotLeader) | None => {}
            }
        }
    }

    async fn rest(&self) -> Result<(), Error> {
        tokio::select! {
            () = self.inner.stop.cancelled() => Err(Error::Stopped),
            () = tokio::time::sleep(AGAIN) => Ok(()),
        }
    }

    /// Sees to it, while this broker's replica leads, that as many vote as should.
    pub(super) fn keep_members(&self) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            let mut away: BTreeMap<PeerId, Instant> = BTreeMap::new();
            loop {
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(KEEP_INTERVAL) => {}
                }
                inner.keep_members(&mut away).await;
            }
        });
    }
}

impl Inner {
    pub(super) async fn who(&self) -> Who {
        let is_empty = match (self.engine(), self.metadata.get()) {
            (Some(engine), Some(_)) if !engine.has_metadata() => Some(true),
            (Some(_), Some(metadata)) => metadata
                .status()
                .await
                .map(|status| status.last_index == 0 && status.membership.voters.is_empty()),
            _ => None,
        };
        Who {
            metadata_replica: self.metadata_replica,
            is_empty,
        }
    }

    /// Makes a broker's replica a learner of the metadata; one that the broker had before is none any more.
    pub(super) async fn let_in(&self, broker: BrokerId, replica: PeerId) -> LetIn {
        let Some(metadata) = self.metadata.get() else {
            return LetIn::NotLeader;
        };
        let status = match metadata.status().await {
            Some(status) if status.role == Role::Leader => status,
            _ => return LetIn::NotLeader,
        };
        let members = members_of(&status.membership);
        if members.contains(&replica) {
            return LetIn::Member;
        }
        let image = metadata.image();
        let before = image
            .brokers
            .get(&broker)
            .map(|known| known.metadata_replica);
        let mut changes = vec![change(ConfChangeType::AddLearnerNode, replica)];
        if let Some(before) = before.filter(|before| members.contains(before)) {
            tracing::warn!(
                broker,
                before,
                replica,
                "a broker comes with a new directory: its old replica of the metadata is given up"
            );
            changes.push(change(ConfChangeType::RemoveNode, before));
        }
        match self.change_members(changes).await {
            Ok(_) => LetIn::Member,
            Err(Failure::NotLeader { .. }) => LetIn::NotLeader,
            Err(error) => LetIn::Failed(error.to_string()),
        }
    }

    async fn change_members(
        &self,
        changes: Vec<ConfChangeSingle>,
    ) -> Result<ConfState, Failure<ChangeRefusal>> {
        let engine = self.engine().ok_or(Failure::Stopped)?;
        let mut change = ConfChangeV2::default();
        change.set_changes(changes.into());
        let (sender, receiver) = oneshot::channel();
        let reply = Reply::new(move |result| {
            let _ = sender.send(result);
        });
        engine.change_metadata_members(change, reply);
        let changed = tokio::time::timeout(PATIENCE, receiver).await;
        changed
            .unwrap_or(Ok(Err(Failure::Stopped)))
            .unwrap_or(Err(Failure::Stopped))
    }

    async fn keep_members(&self, away: &mut BTreeMap<PeerId, Instant>) {
        let Some(metadata) = self.metadata.get() else {
            return;
        };
        let status = match metadata.status().await {
            Some(status) if status.role == Role::Leader => status,
            _ => return away.clear(),
        };
        let now = Instant::now();
        let is_there = |one: &Progress| one.peer == status.peer || self.is_connected(one.peer);
        for one in &status.progress {
            match is_there(one) {
                true => {
                    away.remove(&one.peer);
                }
                false => {
                    away.entry(one.peer).or_insert(now);
                }
            }
        }
        let is_lost = |peer: &PeerId| {
            let since = away.get(peer);
            since.is_some_and(|since| now.duration_since(*since) >= VOTER_PATIENCE)
        };
        let lost: Vec<PeerId> = status
            .membership
            .voters
            .iter()
            .copied()
            .filter(is_lost)
            .collect();
        let ready = status.progress.iter().filter(|one| {
            !one.is_voter
                && is_there(one)
                && self.may_vote(one.peer)
                && one.matched + CLOSE_ENTRIES >= status.last_index
        });
        let ready: Vec<PeerId> = ready.map(|one| one.peer).collect();
        let changes = better_voters(&status.membership.voters, &lost, &ready);
        if changes.is_empty() {
            return;
        }
        tracing::info!(?changes, "who votes on the metadata changes");
        if let Err(error) = self.change_members(changes).await {
            tracing::warn!(%error, "who votes on the metadata could not be changed");
        }
    }

    fn is_connected(&self, replica: PeerId) -> bool {
        self.up()
            .values()
            .any(|about| about.metadata_replica == replica)
    }

    fn may_vote(&self, replica: PeerId) -> bool {
        let up = self.up();
        let mut those = up
            .values()
            .filter(|about| about.metadata_replica == replica);
        those.any(|about| about.is_controller)
    }
}

/// An odd number of voters, as many as there can be; those that are lost give way to those that are ready.
fn better_voters(voters: &[PeerId], lost: &[PeerId], ready: &[PeerId]) -> Vec<ConfChangeSingle> {
    let replaced = lost.len().min(ready.len());
    let mut changes = Vec::new();
    for (old, new) in lost.iter().zip(ready) {
        changes.push(change(ConfChangeType::RemoveNode, *old));
        changes.push(change(ConfChangeType::AddNode, *new));
    }
    let left = &ready[replaced..];
    let more = match voters.len() % 2 {
        0 => 1,
        _ => 2,
    };
    if left.len() >= more && voters.len() + more <= MAX_VOTERS {
        let new = left[..more].iter();
        changes.extend(new.map(|peer| change(ConfChangeType::AddNode, *peer)));
    }
    changes
}

fn members_of(membership: &ConfState) -> BTreeSet<PeerId> {
    let all = [
        &membership.voters,
        &membership.learners,
        &membership.voters_outgoing,
        &membership.learners_next,
    ];
    all.into_iter().flatten().copied().collect()
}

fn change(kind: ConfChangeType, peer: PeerId) -> ConfChangeSingle {
    let mut change = ConfChangeSingle::default();
    change.set_change_type(kind);
    change.node_id = peer;
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(changes: &[ConfChangeSingle]) -> Vec<(bool, PeerId)> {
        let adds = |one: &ConfChangeSingle| one.get_change_type() == ConfChangeType::AddNode;
        changes.iter().map(|one| (adds(one), one.node_id)).collect()
    }

    #[test]
    fn voters_are_odd_and_at_most_five() {
        assert_eq!(kinds(&better_voters(&[1], &[], &[2])), []);
        assert_eq!(
            kinds(&better_voters(&[1], &[], &[2, 3])),
            [(true, 2), (true, 3)]
        );
        assert_eq!(kinds(&better_voters(&[1, 2], &[], &[3])), [(true, 3)]);
        assert_eq!(
            kinds(&better_voters(&[1, 2, 3], &[], &[4, 5, 6])),
            [(true, 4), (true, 5)]
        );
        assert_eq!(kinds(&better_voters(&[1, 2, 3, 4, 5], &[], &[6, 7])), []);
    }

    #[test]
    fn a_lost_voter_gives_way_to_one_that_is_ready() {
        assert_eq!(kinds(&better_voters(&[1, 2, 3], &[2], &[])), []);
        assert_eq!(
            kinds(&better_voters(&[1, 2, 3], &[2], &[9])),
            [(false, 2), (true, 9)]
        );
    }
}
