//! What groups have committed: read, set and forgotten from outside, as no member of theirs.

use super::groups::{group_id, unanswered};
use crate::client::{Client, topic_name};
use crate::connection::Connection;
use crate::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::wire::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, StrBytes,
};
use crate::{Error, TopicPartition};
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The last versions with names of topics; later ones have ids.
const LAST_FETCH_WITH_NAMES: i16 = 9;
const LAST_COMMIT_WITH_NAMES: i16 = 9;

/// The generation of whoever is no member.
const NO_GENERATION: i32 = -1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: String,
}

impl CommittedOffset {
    pub fn at(offset: i64) -> CommittedOffset {
        CommittedOffset {
            offset,
            leader_epoch: None,
            metadata: String::new(),
        }
    }
}

/// Who commits: a member, or somebody from outside.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

impl Default for Committer {
    fn default() -> Committer {
        Committer {
            generation: NO_GENERATION,
            member_id: String::new(),
            instance_id: None,
        }
    }
}

type PerPartition = BTreeMap<TopicPartition, Result<(), Error>>;

impl Client {
    /// The group's offsets, of all its partitions when `None` are given. Partitions without one are left out.
    pub async fn list_group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        self.at_coordinator("listConsumerGroupOffsets", group, async |connection, _| {
            fetch_offsets(&connection, group, partitions, false).await
        })
        .await
    }

    /// Sets offsets of a group without members; one result for each partition.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<PerPartition, Error> {
        if offsets.is_empty() {
            return Ok(PerPartition::new());
        }
        self.at_coordinator("alterConsumerGroupOffsets", group, async |connection, _| {
            commit_offsets(&connection, group, &Committer::default(), offsets).await
        })
        .await
    }

    /// Forgets offsets of topics to which no member is subscribed; one result for each partition.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<PerPartition, Error> {
        let mut request = OffsetDeleteRequest::default();
        request.group_id = group_id(group);
        for (name, ids) in by_topic(partitions) {
            let mut topic = OffsetDeleteRequestTopic::default();
            topic.name = topic_name(name);
            for id in ids {
                let mut partition = OffsetDeleteRequestPartition::default();
                partition.partition_index = id;
                topic.partitions.push(partition);
            }
            request.topics.push(topic);
        }
        self.at_coordinator(
            "deleteConsumerGroupOffsets",
            group,
            async |connection, _| {
                let response = connection.send(&request).await?;
                Error::check(response.error_code, None)?;
                let mut results = PerPartition::new();
                for topic in &response.topics {
                    let name: Arc<str> = Arc::from(topic.name.as_str());
                    for partition in &topic.partitions {
                        let at = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                        results.insert(at, Error::check(partition.error_code, None));
                    }
                }
                match partitions.iter().all(|at| results.contains_key(at)) {
                    true => Ok(results),
                    false => Err(unanswered(group)),
                }
            },
        )
        .await
    }
}

fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<&'a str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for at in partitions {
        topics.entry(&at.topic).or_default().push(at.partition);
    }
    topics
}

/// `requires_stable` waits for transactions that have offsets in the air: `UNSTABLE_OFFSET_COMMIT` meanwhile.
pub(crate) async fn fetch_offsets(
    connection: &Connection,
    group: &str,
    partitions: Option<&[TopicPartition]>,
    requires_stable: bool,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
    let version = connection.version_of::<OffsetFetchRequest>(LAST_FETCH_WITH_NAMES)?;
    let request = fetch_request(group, partitions, requires_stable, version)?;
    let response = connection.send_version(version, &request).await?;
    // From version 8 on the answer is per group; the fields are the same.
    let mut answers = Vec::new();
    if version >= 8 {
        let answered = response.groups.into_iter().next();
        let answered = answered.ok_or_else(|| unanswered(group))?;
        Error::check(answered.error_code, None)?;
        for topic in answered.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            answers.extend(topic.partitions.into_iter().map(|partition| {
                (
                    TopicPartition::new(Arc::clone(&name), partition.partition_index),
                    partition.committed_offset,
                    partition.committed_leader_epoch,
                    partition.metadata,
                    partition.error_code,
                )
            }));
        }
    } else {
        Error::check(response.error_code, None)?;
        for topic in response.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            answers.extend(topic.partitions.into_iter().map(|partition| {
                (
                    TopicPartition::new(Arc::clone(&name), partition.partition_index),
                    partition.committed_offset,
                    partition.committed_leader_epoch,
                    partition.metadata,
                    partition.error_code,
                )
            }));
        }
    }
    let mut offsets = BTreeMap::new();
    for (at, offset, leader_epoch, metadata, error_code) in answers {
        Error::check(error_code, None)?;
        if offset < 0 {
            continue;
        }
        let committed = CommittedOffset {
            offset,
            leader_epoch: Some(leader_epoch).filter(|&epoch| epoch >= 0),
            metadata: metadata.map(|text| text.to_string()).unwrap_or_default(),
        };
        offsets.insert(at, committed);
    }
    Ok(offsets)
}

fn fetch_request(
    group: &str,
    partitions: Option<&[TopicPartition]>,
    requires_stable: bool,
    version: i16,
) -> Result<OffsetFetchRequest, Error> {
    let mut request = OffsetFetchRequest::default();
    let topics = partitions.map(by_topic);
    if version >= 7 {
        request.require_stable = requires_stable;
    }
    if version >= 8 {
        let mut asked = OffsetFetchRequestGroup::default();
        asked.group_id = group_id(group);
        asked.topics = topics.map(|topics| {
            let topics = topics.into_iter().map(|(name, ids)| {
                let mut topic = OffsetFetchRequestTopics::default();
                topic.name = topic_name(name);
                topic.partition_indexes = ids;
                topic
            });
            topics.collect()
        });
        request.groups = vec![asked];
        return Ok(request);
    }
    if topics.is_none() && version < 2 {
        return Err(Error::of(ErrorCode::UnsupportedVersion, None));
    }
    request.group_id = group_id(group);
    request.topics = topics.map(|topics| {
        let topics = topics.into_iter().map(|(name, ids)| {
            let mut topic = OffsetFetchRequestTopic::default();
            topic.name = topic_name(name);
            topic.partition_indexes = ids;
            topic
        });
        topics.collect()
    });
    Ok(request)
}

/// `Err` also when one of the partitions says that the coordinator cannot be asked now.
pub(crate) async fn commit_offsets(
    connection: &Connection,
    group: &str,
    committer: &Committer,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<PerPartition, Error> {
    let version = connection.version_of::<OffsetCommitRequest>(LAST_COMMIT_WITH_NAMES)?;
    let mut request = OffsetCommitRequest::default();
    request.group_id = group_id(group);
    request.generation_id_or_member_epoch = committer.generation;
    request.member_id = StrBytes::from_string(committer.member_id.clone());
    if version >= 7 {
        let instance_id = committer.instance_id.clone();
        request.group_instance_id = instance_id.map(StrBytes::from_string);
    }
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (at, committed) in offsets {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = at.partition;
        partition.committed_offset = committed.offset;
        if version >= 6 {
            partition.committed_leader_epoch = committed.leader_epoch.unwrap_or(-1);
        }
        partition.committed_metadata = Some(StrBytes::from_string(committed.metadata.clone()));
        topics.entry(&at.topic).or_default().push(partition);
    }
    for (name, partitions) in topics {
        let mut topic = OffsetCommitRequestTopic::default();
        topic.name = topic_name(name);
        topic.partitions = partitions;
        request.topics.push(topic);
    }
    let response = connection.send_version(version, &request).await?;
    let mut results = PerPartition::new();
    for topic in &response.topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for partition in &topic.partitions {
            let at = TopicPartition::new(Arc::clone(&name), partition.partition_index);
            let result = Error::check(partition.error_code, None);
            if let Err(error) = &result
                && is_about_the_coordinator(error)
            {
                return Err(error.clone());
            }
            results.insert(at, result);
        }
    }
    match offsets.keys().all(|at| results.contains_key(at)) {
        true => Ok(results),
        false => Err(unanswered(group)),
    }
}

pub(crate) fn is_about_the_coordinator(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_offsets_cannot_be_asked_for_in_the_first_version() {
        let refused = fetch_request("g", None, false, 1).expect_err("refused");
        assert_eq!(refused.code(), Some(ErrorCode::UnsupportedVersion));
        assert!(
            fetch_request("g", None, false, 2)
                .expect("asked")
                .topics
                .is_none()
        );
        let batched = fetch_request("g", None, true, 9).expect("asked");
        assert!(batched.require_stable && batched.groups[0].topics.is_none());
    }

    #[test]
    fn partitions_are_asked_for_by_topic() {
        let partitions = [
            TopicPartition::new("a", 1),
            TopicPartition::new("b", 0),
            TopicPartition::new("a", 2),
        ];
        let request = fetch_request("g", Some(&partitions), false, 9).expect("asked");
        let topics = request.groups[0].topics.as_ref().expect("topics");
        let asked: Vec<(&str, &[i32])> = topics
            .iter()
            .map(|topic| (topic.name.as_str(), topic.partition_indexes.as_slice()))
            .collect();
        assert_eq!(asked, [("a", &[1, 2][..]), ("b", &[0][..])]);
    }
}
