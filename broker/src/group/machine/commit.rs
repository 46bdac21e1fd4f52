//! OffsetCommit, OffsetFetch, OffsetDelete.

use super::{Group, Machine};
use crate::group::classic::{Claim, ClassicGroup};
use crate::group::consumer::Committer;
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
    /// Of the request.
    pub version: i16,
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

/// From here on a member of a group that does not exist is told so.
const NO_GROUP: i16 = 9;

impl Machine {
    /// What became of each partition, in their order; an error for all where the group refuses.
    pub fn commit(
        &mut self,
        now: Now,
        effects: &mut Effects,
        group: &str,
        commit: Commit<'_>,
    ) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
        let id = match self.groups.get_key_value(group) {
            Some((id, _)) => id.clone(),
            // Somebody who is in no group keeps offsets under its name.
            None if commit.claim.generation < 0 => {
                let id = Name::from(group);
                let group = ClassicGroup::new(id.clone(), -1);
                self.groups.insert(id.clone(), Group::Classic(group));
                id
            }
            None if commit.version >= NO_GROUP => return Err(ErrorCode::GroupIdNotFound),
            None => return Err(ErrorCode::IllegalGeneration),
        };
        let catalog = self.catalog.clone();
        let committer = match self.scene(now, effects, &id) {
            None => return Err(ErrorCode::UnknownServerError),
            Some((Group::Classic(group), mut scene)) => {
                group.check_commit(&mut scene, commit.claim, false)?;
                Committer::Anything
            }
            Some((Group::Consumer(group), _)) => {
                group.check_commit(commit.claim, commit.version)?
            }
        };
        let refused: Vec<Option<ErrorCode>> = commit
            .partitions
            .iter()
            .map(|one| {
                let topic = catalog
                    .named(&one.topic)
                    .map_or(one.topic_id, |topic| topic.id);
                committer.check(&topic, one.partition).err()
            })
            .collect();
        let expire_ms =
            (commit.retention_ms >= 0).then(|| now.wall_ms.saturating_add(commit.retention_ms));
        let mut results = Vec::with_capacity(commit.partitions.len());
        for (one, refused) in commit.partitions.into_iter().zip(refused) {
            if refused.is_some() {
                results.push(refused);
                continue;
            }
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

    /// What a group has committed; `None` if nothing. To a member that says who it is, only if it still is one.
    pub fn fetch(
        &self,
        group: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<Option<&Topics>, ErrorCode> {
        if let Some(Group::Consumer(group)) = self.groups.get(group) {
            group.check_fetch(member_id, epoch)?;
        }
        Ok(self.offsets.of(group))
    }

    /// Takes offsets out; what became of each, in their order.
    pub fn delete_offsets(
        &mut self,
        effects: &mut Effects,
        group: &str,
        partitions: &[(Name, i32)],
    ) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
        let found = self.groups.get_key_value(group);
        let (id, group) = found.ok_or(ErrorCode::GroupIdNotFound)?;
        let is_of_consumers = group.is_of_consumers();
        if group.members() > 0 && !is_of_consumers {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let topics = group.subscribed_topics();
        let is_read = |topic: &Name| match &topics {
            Some(topics) => topics.contains(topic),
            None => is_of_consumers,
        };
        let id = id.clone();
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
