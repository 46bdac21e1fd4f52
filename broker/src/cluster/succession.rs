//! A partition whose leader is lost gets another one at once, not after an election time-out; and a broker that ends hands over first.

use super::{Cluster, Inner};
use crate::engine::{Engine, Handle};
use crate::metadata::{self, BrokerId, GROUP};
use crate::partition::Role;
use crate::raft;
use crate::raft::ports::PeerId;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Replicas stand for election in turns. Every other one is that of the replica that is to lead: it may be that others were not ready for
/// its first try.
const TURN: Duration = Duration::from_millis(50);

/// After so many turns it is left to raft's time-outs.
const TURNS: usize = 60;

/// How long a broker that ends waits for others to take over, and how often it asks them.
const HANDOVER_PATIENCE: Duration = Duration::from_secs(5);
const HANDOVER_INTERVAL: Duration = Duration::from_millis(20);

impl Cluster {
    /// Stands for election where this broker's replica is the one to lead, until somebody leads: groups that are new have no leader
    /// whose loss would be noticed.
    pub fn begin(&self, new: Vec<Handle>) {
        if !new.is_empty() {
            self.inner.tasks.spawn(stand(self.inner.clone(), new));
        }
    }

    /// Hands all that this broker leads to others, as far as there are any.
    pub async fn leave(&self) {
        let (Some(engine), Some(metadata)) = (self.inner.engine(), self.inner.metadata.get())
        else {
            return;
        };
        let deadline = Instant::now() + HANDOVER_PATIENCE;
        for turn in 0.. {
            let led = self.inner.hand_over_partitions(&engine, turn);
            let leads_metadata = self.inner.hand_over_metadata(&engine, metadata, turn).await;
            if led == 0 && !leads_metadata {
                return;
            }
            if Instant::now() >= deadline {
                tracing::warn!(
                    partitions = led,
                    metadata = leads_metadata,
                    "ends while it still leads"
                );
                return;
            }
            tokio::time::sleep(HANDOVER_INTERVAL).await;
        }
    }
}

impl Inner {
    /// A broker is gone: its leaderships are free, and what it led elects others.
    pub(super) fn lost(self: &Arc<Self>, broker: BrokerId) {
        let Some(engine) = self.engine() else {
            return;
        };
        let followers = self.followers_of(broker);
        for (handle, leader) in &followers {
            engine.leader_lost(handle.group(), *leader);
        }
        let handles: Vec<Handle> = followers.into_iter().map(|(handle, _)| handle).collect();
        if !handles.is_empty() {
            tracing::info!(
                broker,
                partitions = handles.len(),
                "partitions need another leader"
            );
            self.tasks.spawn(stand(self.clone(), handles));
        }
        let members = self.metadata_members();
        let lost: Vec<PeerId> = members
            .iter()
            .filter_map(|(peer, of)| (*of == broker).then_some(*peer))
            .collect();
        for peer in lost {
            engine.leader_lost(GROUP, peer);
        }
        self.tasks.spawn(stand_for_metadata(self.clone()));
    }

    fn is_led(&self, handle: &Handle) -> bool {
        match handle.positions().role {
            Role::Leader => true,
            Role::Leaderless => false,
            Role::Follower { leader } => {
                let broker = handle.broker_of(leader);
                broker.is_some_and(|broker| self.up().contains_key(&broker))
            }
        }
    }

    /// How many partitions are led here that others could lead.
    fn hand_over_partitions(&self, engine: &Engine, turn: usize) -> usize {
        let mut led = 0;
        for handle in engine.partitions() {
            if handle.positions().role != Role::Leader {
                continue;
            }
            let in_sync = self.leaders.of(handle.group()).map(|lead| lead.in_sync);
            let members = handle.members();
            let others: Vec<PeerId> = members
                .iter()
                .filter(|(_, broker)| {
                    let is_in_sync = in_sync.as_ref().is_none_or(|ids| ids.contains(broker));
                    is_in_sync && self.up().contains_key(broker)
                })
                .map(|(peer, _)| *peer)
                .collect();
            if others.is_empty() {
                continue;
            }
            led += 1;
            // Each gets some turns to catch up.
            if turn.is_multiple_of(10) {
                engine.transfer(handle.group(), others[(turn / 10) % others.len()]);
            }
        }
        led
    }

    /// Whether the metadata is led here, and could be elsewhere.
    async fn hand_over_metadata(
        &self,
        engine: &Engine,
        metadata: &metadata::Handle,
        turn: usize,
    ) -> bool {
        let status = match metadata.status().await {
            Some(status) if status.role == raft::Role::Leader => status,
            _ => return false,
        };
        let heirs = status
            .progress
            .iter()
            .filter(|one| one.is_voter && one.peer != status.peer && self.is_there(one.peer));
        let mut heirs: Vec<_> = heirs.collect();
        heirs.sort_by_key(|one| std::cmp::Reverse(one.matched));
        if heirs.is_empty() {
            return false;
        }
        if turn.is_multiple_of(10) {
            engine.transfer(GROUP, heirs[(turn / 10) % heirs.len()].peer);
        }
        true
    }

    fn is_there(&self, metadata_replica: PeerId) -> bool {
        let up = self.up();
        up.values()
            .any(|about| about.metadata_replica == metadata_replica)
    }
}

/// Which of those that are there is to stand for election in this turn.
fn is_turn(turn: usize, there: &[PeerId], own: PeerId) -> bool {
    let others = there.len().saturating_sub(1).max(1);
    let rank = match turn % 2 {
        0 => 0,
        _ => (1 + turn / 2 % others).min(there.len().saturating_sub(1)),
    };
    there.get(rank) == Some(&own)
}

async fn stand(inner: Arc<Inner>, mut handles: Vec<Handle>) {
    let Some(engine) = inner.engine() else {
        return;
    };
    for turn in 0..TURNS {
        handles.retain(|handle| !inner.is_led(handle));
        if handles.is_empty() || inner.stop.is_cancelled() {
            return;
        }
        for handle in &handles {
            let members = handle.members();
            let is_up = |broker: BrokerId| broker == inner.me || inner.up().contains_key(&broker);
            let there: Vec<PeerId> = members
                .iter()
                .filter(|(_, broker)| is_up(*broker))
                .map(|(peer, _)| *peer)
                .collect();
            if is_turn(turn, &there, handle.peer()) {
                engine.campaign(handle.group());
            }
        }
        tokio::time::sleep(TURN).await;
    }
}

async fn stand_for_metadata(inner: Arc<Inner>) {
    let (Some(engine), Some(metadata)) = (inner.engine(), inner.metadata.get()) else {
        return;
    };
    for turn in 0..TURNS {
        let Some(status) = metadata.status().await else {
            return;
        };
        if inner.stop.is_cancelled() {
            return;
        }
        let is_led = status.leader == status.peer || inner.is_there(status.leader);
        if is_led || !status.membership.voters.contains(&status.peer) {
            return;
        }
        let voters = status.membership.voters.iter().copied();
        let there = voters.filter(|peer| *peer == status.peer || inner.is_there(*peer));
        let mut there: Vec<PeerId> = there.collect();
        there.sort_unstable();
        if is_turn(turn, &there, status.peer) {
            engine.campaign(GROUP);
        }
        tokio::time::sleep(TURN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_are_there_stand_one_after_the_other() {
        let turns = |there: &[PeerId]| {
            let who = |turn| {
                there
                    .iter()
                    .copied()
                    .filter(move |own| is_turn(turn, there, *own))
            };
            (0..6).flat_map(who).collect::<Vec<PeerId>>()
        };
        assert_eq!(turns(&[7, 3, 5]), [7, 3, 7, 5, 7, 3]);
        assert_eq!(turns(&[7, 3]), [7, 3, 7, 3, 7, 3]);
        assert_eq!(turns(&[7]), [7; 6]);
        assert!(!is_turn(0, &[7], 5) && !is_turn(0, &[], 5));
    }
}
