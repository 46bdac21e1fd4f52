//! Leaderships go back to the replicas that are to have them: the first of each partition, when it is there and in sync.

use super::hub::{TRANSFER, encode};
use super::{Cluster, Inner};
use crate::metadata::{BrokerId, Partition};
use crate::partition::Role;
use crate::raft::ports::{GroupId, PeerId};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// How long a leadership may take on its way, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOKING: Duration = Duration::from_millis(5);

/// How many leaderships this broker gives back at once.
const AT_ONCE: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreferError {
    /// It leads already.
    NotNeeded,
    /// It is not there, or not in sync.
    NotAvailable,
    /// It was asked to, and does not lead yet.
    TimedOut,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Transfer {
    group: GroupId,
    to: PeerId,
}

impl Cluster {
    /// Makes the first replica of a partition its leader.
    pub async fn prefer(&self, partition: &Partition) -> Result<(), PreferError> {
        let (Some(broker), Some(peer)) = (partition.replicas.first(), partition.peers.first())
        else {
            return Err(PreferError::NotAvailable);
        };
        let lead = self.leaders().of(partition.group);
        let lead = lead.filter(|lead| self.is_up(lead.broker));
        let lead = lead.ok_or(PreferError::NotAvailable)?;
        if lead.broker == *broker {
            return Err(PreferError::NotNeeded);
        }
        if !self.is_up(*broker) || !lead.in_sync.contains(broker) {
            return Err(PreferError::NotAvailable);
        }
        let transfer = Transfer {
            group: partition.group,
            to: *peer,
        };
        if lead.broker == self.me() {
            self.inner.transfer(&transfer);
        } else {
            self.peers()
                .post_note(lead.broker, TRANSFER, encode(&transfer));
        }
        let deadline = Instant::now() + PATIENCE;
        let leads = || {
            let lead = self.leaders().of(partition.group);
            lead.is_some_and(|lead| lead.broker == *broker)
        };
        while !leads() {
            if Instant::now() >= deadline {
                return Err(PreferError::TimedOut);
            }
            tokio::time::sleep(LOOKING).await;
        }
        Ok(())
    }

    /// Gives back, every `interval`, what this broker leads and another is to lead.
    pub fn keep_preferences(&self, interval: Duration) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = inner.stop.cancelled() => return,
                    () = tokio::time::sleep(interval) => inner.give_back(),
                }
            }
        });
    }
}

impl Inner {
    pub(super) fn transfer(&self, transfer: &Transfer) {
        if let Some(engine) = self.engine() {
            engine.transfer(transfer.group, transfer.to);
        }
    }

    fn give_back(&self) {
        let Some(engine) = self.engine() else {
            return;
        };
        let mut given = 0;
        for handle in engine.partitions() {
            let members = handle.members();
            let Some((peer, broker)) = members.first() else {
                continue;
            };
            if *broker == self.me || handle.positions().role != Role::Leader {
                continue;
            }
            if self.is_in_sync(handle.group(), *broker) && given < AT_ONCE {
                engine.transfer(handle.group(), *peer);
                given += 1;
            }
        }
        if given > 0 {
            tracing::info!(
                partitions = given,
                "leaderships go to the replicas that are to have them"
            );
        }
    }

    fn is_in_sync(&self, group: GroupId, broker: BrokerId) -> bool {
        let lead = self.leaders.of(group);
        self.up().contains_key(&broker) && lead.is_some_and(|lead| lead.in_sync.contains(&broker))
    }
}
