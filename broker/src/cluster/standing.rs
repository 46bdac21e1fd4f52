//! How the metadata's group stands, as its leader knows it.

use super::hub::{STANDING, decode, encode};
use super::{Cluster, Inner};
use crate::metadata::BrokerId;
use crate::raft::Role;
use crate::raft::ports::PeerId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the leader may take to say.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the leader of the metadata says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub leader: BrokerId,
    pub term: u64,
    pub commit: u64,
    pub replicas: Vec<Standpoint>,
}

/// One replica of the metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standpoint {
    pub replica: PeerId,
    /// `None` of one that nobody has claimed.
    pub broker: Option<BrokerId>,
    pub is_voter: bool,
    /// The last entry that it is known to have.
    pub matched: u64,
    pub is_up: bool,
}

impl Cluster {
    /// `None` while nobody leads, or who does cannot be asked.
    pub async fn metadata_standing(&self) -> Option<Standing> {
        let metadata = self.inner.metadata.get()?;
        let status = metadata.status().await?;
        if status.role == Role::Leader {
            return self.inner.standing().await;
        }
        let leader = self.inner.broker_of(status.leader)?;
        let answer = self
            .peers()
            .ask(leader, STANDING, encode(&()), PATIENCE)
            .await;
        decode::<Option<Standing>>(leader, &answer.ok()?)?
    }
}

impl Inner {
    pub(super) async fn standing(&self) -> Option<Standing> {
        let status = self.metadata.get()?.status().await?;
        if status.role != Role::Leader {
            return None;
        }
        let replicas = status.progress.iter().map(|one| {
            let broker = self.broker_of(one.peer);
            Standpoint {
                replica: one.peer,
                broker,
                is_voter: one.is_voter,
                matched: one.matched,
                is_up: broker.is_some_and(|id| id == self.me || self.up().contains_key(&id)),
            }
        });
        Some(Standing {
            leader: self.me,
            term: status.term,
            commit: status.commit,
            replicas: replicas.collect(),
        })
    }
}
