//! Commands for the metadata go to the broker whose replica leads it.

use super::hub::{COMMAND, decode, encode};
use super::{Cluster, Inner};
use crate::metadata::{self, Command, Done};
use crate::raft::Failure;
use crate::raft::ports::PeerId;
use std::sync::Arc;
use std::time::Duration;

/// How long a leader may take to commit a change.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cluster {
    pub(super) fn forward(&self, metadata: &metadata::Handle) {
        // Not held: it has the handle itself.
        let inner = Arc::downgrade(&self.inner);
        metadata.forward_with(Box::new(move |leader, command| {
            let inner = inner.upgrade();
            Box::pin(async move {
                match inner {
                    Some(inner) => inner.hand_over(leader, command).await,
                    None => Err(Failure::Stopped),
                }
            })
        }));
    }
}

impl Inner {
    async fn hand_over(&self, leader: PeerId, command: Command) -> Result<Done, metadata::Error> {
        let unknown = || Failure::NotLeader { leader: 0 };
        let broker = self.broker_of(leader).ok_or_else(unknown)?;
        let peers = self.peers();
        let body = encode(&command);
        let answer = peers.ask(broker, COMMAND, body, PATIENCE).await;
        let answer = answer.map_err(|error| {
            tracing::debug!(broker, %error, "a command does not reach who leads the metadata");
            Failure::Stopped
        })?;
        decode::<Result<Done, metadata::Error>>(broker, &answer).unwrap_or(Err(Failure::Stopped))
    }
}
