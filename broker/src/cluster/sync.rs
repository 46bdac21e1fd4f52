//! Which replicas are in sync: those that had all of their leader's log not longer than `replica.lag.time.max.ms` ago, on brokers that are
//! there. It is what clients and tools see as the ISR, and what `min.insync.replicas` asks for before an append; what was acknowledged does
//! not rest on it.

use super::leaders::Lead;
use super::members;
use super::{Cluster, Inner};
use crate::metadata::{BrokerId, Command, Partition};
use crate::partition::Role;
use crate::raft::Status;
use crate::raft::ports::{GroupId, PeerId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// One partition that this broker leads.
struct Followed {
    term: u64,
    /// The end of the leader's log when it was last looked at.
    last_index: u64,
    /// When each replica was last known to have it all.
    caught_up: HashMap<PeerId, Instant>,
}

impl Followed {
    fn look(&mut self, status: &Status, now: Instant) {
        // Who has no vote yet cannot lead.
        for one in status.progress.iter().filter(|one| one.is_voter) {
            let is_first = !self.caught_up.contains_key(&one.peer);
            // It need not have what came since the last look.
            if is_first || one.matched >= self.last_index || one.peer == status.peer {
                self.caught_up.insert(one.peer, now);
            }
        }
        self.last_index = status.last_index;
    }

    fn is_in_sync(&self, peer: PeerId, now: Instant, lag: Duration) -> bool {
        let since = self.caught_up.get(&peer);
        since.is_some_and(|since| now.duration_since(*since) <= lag)
    }
}

impl Cluster {
    pub(super) fn watch_followers(&self) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            let mut followed = HashMap::new();
            loop {
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
                inner.look_at_followers(&mut followed).await;
            }
        });
    }
}

impl Inner {
    /// The partitions whose replicas are to be others.
    fn reassigned(&self) -> HashMap<GroupId, (Uuid, u32, Partition)> {
        let Some(metadata) = self.metadata.get() else {
            return HashMap::new();
        };
        let image = metadata.image();
        let partitions = image.topics.values().flat_map(|topic| {
            let partitions = (0..).zip(&topic.partitions);
            partitions.map(|(index, partition)| (topic.id, index, partition))
        });
        partitions
            .filter(|(_, _, partition)| partition.is_reassigned())
            .map(|(id, index, partition)| (partition.group, (id, index, partition.clone())))
            .collect()
    }

    /// Who leads the metadata is told; asked once too often, nothing happens.
    fn end_reassignment(&self, id: Uuid, partition: u32, peers: Vec<PeerId>) {
        let Some(metadata) = self.metadata.get().cloned() else {
            return;
        };
        self.tasks.spawn(async move {
            let command = Command::EndReassignment {
                id,
                partition,
                peers,
            };
            if let Err(error) = metadata.submit(command).await {
                tracing::warn!(topic = %id, partition, %error, "the end of a reassignment could not be told");
            }
        });
    }

    async fn look_at_followers(&self, followed: &mut HashMap<GroupId, Followed>) {
        let Some(engine) = self.engine() else {
            return;
        };
        let reassigned = self.reassigned();
        let (sender, mut standings) = mpsc::unbounded_channel();
        let mut members = HashMap::new();
        for handle in engine.partitions() {
            if handle.positions().role != Role::Leader || handle.members().len() < 2 {
                continue;
            }
            members.insert(handle.group(), handle.members());
            let sender = sender.clone();
            // Its worker has too much to do: then the next time.
            let _ = handle.ask_status(move |group, status| {
                let _ = sender.send((group, status));
            });
        }
        drop(sender);
        followed.retain(|group, _| members.contains_key(group));
        let now = Instant::now();
        let mut found = Vec::new();
        while let Some((group, status)) = standings.recv().await {
            if status.role != crate::raft::Role::Leader {
                continue;
            }
            let first = Followed {
                term: status.term,
                last_index: 0,
                caught_up: HashMap::new(),
            };
            let known = followed.entry(group).or_insert(first);
            if known.term != status.term {
                known.term = status.term;
                known.caught_up.clear();
            }
            known.look(&status, now);
            let members = &members[&group];
            let reassigned = reassigned.get(&group);
            let wanted = members.iter().filter(|(_, broker)| {
                reassigned.is_none_or(|(_, _, partition)| !partition.removing.contains(broker))
            });
            let wanted: Vec<PeerId> = wanted.map(|(peer, _)| *peer).collect();
            if let Some(change) = members::mend(&status, &wanted) {
                tracing::info!(%group, ?change, "the replicas of a partition change");
                engine.change_members(group, change);
            } else if let Some((topic, index, partition)) = reassigned
                && members::is_whole(&status, &partition.settled().peers)
            {
                self.end_reassignment(*topic, *index, partition.settled().peers);
            }
            let in_sync = members.iter().filter(|(peer, broker)| {
                let is_up = *broker == self.me || self.up().contains_key(broker);
                is_up && known.is_in_sync(*peer, now, self.lag)
            });
            let in_sync: Arc<[BrokerId]> = in_sync.map(|(_, broker)| *broker).collect();
            // A leader that is not current tells when it is.
            if self
                .leaders
                .of(group)
                .is_some_and(|lead| lead.term == status.term)
            {
                let lead = Lead {
                    term: status.term,
                    broker: self.me,
                    in_sync,
                };
                found.push((group, lead));
            }
        }
        self.note_in_sync(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Progress;
    use raft::eraftpb::ConfState;

    fn status(last_index: u64, matched: u64) -> Status {
        let progress = |peer: PeerId, matched: u64| Progress {
            peer,
            is_voter: true,
            matched,
            is_active: true,
            awaits_snapshot: false,
        };
        Status {
            peer: 1,
            role: crate::raft::Role::Leader,
            term: 2,
            leader: 1,
            commit: matched,
            applied: matched,
            persisted: last_index,
            last_index,
            membership: ConfState::default(),
            progress: vec![progress(1, last_index), progress(2, matched)],
        }
    }

    #[test]
    fn who_does_not_keep_up_falls_out_of_sync_after_the_lag_and_comes_back() {
        let mut followed = Followed {
            term: 2,
            last_index: 0,
            caught_up: HashMap::new(),
        };
        let lag = Duration::from_secs(10);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        followed.look(&status(5, 0), at(0));
        assert!(followed.is_in_sync(2, at(0), lag), "it has just begun");
        followed.look(&status(9, 4), at(8));
        assert!(followed.is_in_sync(2, at(8), lag));
        followed.look(&status(12, 8), at(12));
        assert!(!followed.is_in_sync(2, at(12), lag), "it has never had all");
        assert!(followed.is_in_sync(1, at(12), lag));
        followed.look(&status(20, 12), at(13));
        assert!(followed.is_in_sync(2, at(13), lag), "it had all there was");
    }
}
