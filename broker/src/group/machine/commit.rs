//! OffsetCommit, OffsetFetch, OffsetDelete.

use super::Machine;
use crate::group::classic::{Claim, ClassicGroup, State};
use crate::group::effects::Effects;
use crate::group::offsets::{Committed, Topics, tombstone};
use crate::group::{Name, Now};
use millrace_wire::ErrorCode;
use millrace_wire::messages::StrBytes;
use uuid::Uuid;

/// What a client commits.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    pub claim: Claim<'a>,
    /// How long to keep it, of clients that say so; -1 is as long as the broker does.
    pub retention_ms: i64,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Clone, Debug)]
pub struct CommitPartition {
    pub topic: Name,
    pub topic_id: Uuid,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<StrBytes>,
}

impl Machine {
    /// What became of each partition, in their order; an error for all where the group refuses.
    pub fn commit(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        commit: Commit<'_>,
    ) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
        let id = match self.groups.get(group) {
            Some(group) => group.id.clone(),
            // Somebody who is in no group keeps offsets under its name.
            None if commit.claim.generation < 0 => {
                let id = Name::from(group);
                let group = ClassicGroup::new(id.clone(), -1);
                self.groups.insert(id.clone(), group);
                id
            }
            None => return Err(ErrorCode::IllegalGeneration),
        };
        let (group, mut scene) = self
            .scene(now, effects, &id)
            .ok_or(ErrorCode::UnknownServerError)?;
        group.check_commit(&mut scene, commit.claim, false)?;
        let expire_ms =
            (commit.retention_ms >= 0).then(|| now.wall_ms.saturating_add(commit.retention_ms));
        let mut results = Vec::with_capacity(commit.partitions.len());
        for one in commit.partitions {
            let metadata = one.metadata.unwrap_or_default();
            if metadata.len() > self.settings.max_offset_metadata_bytes {
                results.push(Some(ErrorCode::OffsetMetadataTooLarge));
                continue;
            }
            let committed = Committed {
                offset: one.offset,
                leader_epoch: one.leader_epoch,
                metadata,
                commit_ms: now.wall_ms,
                expire_ms,
                topic_id: one.topic_id,
            };
            let record = committed.record(&id, &one.topic, one.partition);
            effects.records.push(record);
            self.offsets.set(&id, one.topic, one.partition, committed);
            results.push(None);
        }
        Ok(results)
    }

    /// What a group has committed; `None` if nothing. Of a member that says so, only if it still is one (KIP-848).
    pub fn fetch(&self, group: &str) -> Option<&Topics> {
        self.offsets.of(group)
    }

    /// Takes offsets out; what became of each, in their order.
    pub fn delete_offsets(
        &mut self,
        effects: &mut Effects,
        group: &str,
        partitions: &[(Name, i32)],
    ) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
        let group = self.groups.get(group).ok_or(ErrorCode::GroupIdNotFound)?;
        let is_of_consumers = group.is_of_consumers();
        if group.state() != State::Empty && !is_of_consumers {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let topics = group.subscribed_topics();
        let is_read = |topic: &Name| match &topics {
            Some(topics) => topics.contains(topic),
            None => is_of_consumers,
        };
        let id = group.id.clone();
        let mut results = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            if is_read(topic) {
                results.push(Some(ErrorCode::GroupSubscribedToTopic));
                continue;
            }
            if self.offsets.remove(&id, topic, *partition).is_some() {
                effects.records.push(tombstone(&id, topic, *partition));
            }
            results.push(None);
        }
        Ok(results)
    }
}
