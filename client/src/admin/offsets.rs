//! Offsets by time, and raising a partition's start.

use super::millis;
use super::topics::retriable;
use crate::client::{Client, Topics, topic_name};
use crate::consumer::Isolation;
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::{BrokerId, DeleteRecordsRequest, ListOffsetsRequest};
use crate::{Error, TopicPartition};
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    Latest,
    Earliest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    EarliestPendingUpload,
    /// The first record that is not older.
    Timestamp(i64),
}

impl OffsetSpec {
    fn code(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::EarliestLocal => -4,
            OffsetSpec::LatestTiered => -5,
            OffsetSpec::EarliestPendingUpload => -6,
            OffsetSpec::Timestamp(ms) => ms,
        }
    }

    /// The first version of ListOffsets that knows it.
    fn first_version(self) -> i16 {
        match self {
            OffsetSpec::Latest | OffsetSpec::Earliest | OffsetSpec::Timestamp(_) => 0,
            OffsetSpec::MaxTimestamp => 7,
            OffsetSpec::EarliestLocal => 8,
            OffsetSpec::LatestTiered => 9,
            OffsetSpec::EarliestPendingUpload => 11,
        }
    }
}

/// Both are -1 when there is no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
}

type Found<T> = BTreeMap<TopicPartition, Result<T, Error>>;

impl Client {
    /// Asks each partition's leader, again where leaders moved, until `api_timeout`.
    pub async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Found<FoundOffset>, Error> {
        let mut found = Found::new();
        let mut remaining = partitions.to_vec();
        self.refresh_topics_of(&remaining, |(partition, _)| partition)
            .await?;
        self.retry("listOffsets", async || {
            let answers = self.list_offsets_once(&remaining, isolation).await?;
            settle(
                &mut found,
                answers,
                &mut remaining,
                |(partition, _)| partition,
                self,
            )
            .await
        })
        .await?;
        Ok(found)
    }

    /// Asks each leader that is known, once.
    pub(crate) async fn list_offsets_once(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Found<FoundOffset>, Error> {
        let mut found = Found::new();
        for (leader, asked) in self.by_leader(partitions, |(partition, _)| partition, &mut found) {
            let needed = asked
                .iter()
                .map(|(_, spec)| spec.first_version())
                .max()
                .unwrap_or(0);
            let answer = self.ask_offsets(leader, &asked, isolation, needed).await;
            for (partition, _) in &asked {
                let result = match &answer {
                    Ok(answers) => answers.get(partition).cloned().unwrap_or_else(|| {
                        Err(Error::Records(format!(
                            "the broker did not answer for {partition}"
                        )))
                    }),
                    Err(error) => Err(error.clone()),
                };
                found.insert(partition.clone(), result);
            }
        }
        Ok(found)
    }

    async fn ask_offsets(
        &self,
        leader: i32,
        asked: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
        needed_version: i16,
    ) -> Result<Found<FoundOffset>, Error> {
        let connection = self.broker(leader).await?;
        let version = connection.version_of::<ListOffsetsRequest>(i16::MAX)?;
        if version < needed_version {
            return Err(Error::of(ErrorCode::UnsupportedVersion, None));
        }
        let mut topics: BTreeMap<Arc<str>, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (partition, spec) in asked {
            let mut wanted = ListOffsetsPartition::default();
            wanted.partition_index = partition.partition;
            wanted.current_leader_epoch = -1;
            wanted.timestamp = spec.code();
            topics
                .entry(Arc::clone(&partition.topic))
                .or_default()
                .push(wanted);
        }
        let mut request = ListOffsetsRequest::default();
        request.replica_id = BrokerId(-1);
        // Below version 2 there is no isolation, and everything is uncommitted.
        if version >= 2 {
            request.isolation_level = isolation.code();
        }
        if version >= 10 {
            request.timeout_ms = millis(self.config().request_timeout);
        }
        for (name, partitions) in topics {
            let mut topic = ListOffsetsTopic::default();
            topic.name = topic_name(&name);
            topic.partitions = partitions;
            request.topics.push(topic);
        }
        let response = connection.send_version(version, &request).await?;
        let mut found = Found::new();
        for topic in &response.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            for partition in &topic.partitions {
                let at = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                let result = Error::check(partition.error_code, None).map(|()| FoundOffset {
                    offset: partition.offset,
                    timestamp_ms: partition.timestamp,
                });
                found.insert(at, result);
            }
        }
        Ok(found)
    }

    /// Raises partitions' starts to the offsets given (-1 for their ends); the new starts.
    pub async fn delete_records(
        &self,
        partitions: &[(TopicPartition, i64)],
    ) -> Result<Found<i64>, Error> {
        let mut found = Found::new();
        let mut remaining = partitions.to_vec();
        self.refresh_topics_of(&remaining, |(partition, _)| partition)
            .await?;
        self.retry("deleteRecords", async || {
            let mut answers = Found::new();
            for (leader, asked) in
                self.by_leader(&remaining, |(partition, _)| partition, &mut answers)
            {
                let answer = self.ask_to_delete(leader, &asked).await;
                for (partition, _) in &asked {
                    let result = match &answer {
                        Ok(deleted) => deleted.get(partition).cloned().unwrap_or_else(|| {
                            Err(Error::Records(format!(
                                "the broker did not answer for {partition}"
                            )))
                        }),
                        Err(error) => Err(error.clone()),
                    };
                    answers.insert(partition.clone(), result);
                }
            }
            settle(
                &mut found,
                answers,
                &mut remaining,
                |(partition, _)| partition,
                self,
            )
            .await
        })
        .await?;
        Ok(found)
    }

    async fn ask_to_delete(
        &self,
        leader: i32,
        asked: &[(TopicPartition, i64)],
    ) -> Result<Found<i64>, Error> {
        let mut topics: BTreeMap<Arc<str>, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for (partition, offset) in asked {
            let mut wanted = DeleteRecordsPartition::default();
            wanted.partition_index = partition.partition;
            wanted.offset = *offset;
            topics
                .entry(Arc::clone(&partition.topic))
                .or_default()
                .push(wanted);
        }
        let mut request = DeleteRecordsRequest::default();
        request.timeout_ms = millis(self.config().request_timeout);
        for (name, partitions) in topics {
            let mut topic = DeleteRecordsTopic::default();
            topic.name = topic_name(&name);
            topic.partitions = partitions;
            request.topics.push(topic);
        }
        let response = self.broker(leader).await?.send(&request).await?;
        let mut found = Found::new();
        for topic in &response.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            for partition in &topic.partitions {
                let at = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                let result =
                    Error::check(partition.error_code, None).map(|()| partition.low_watermark);
                found.insert(at, result);
            }
        }
        Ok(found)
    }

    async fn refresh_topics_of<T>(
        &self,
        items: &[T],
        partition: impl Fn(&T) -> &TopicPartition,
    ) -> Result<(), Error> {
        let topics: BTreeSet<&str> = items.iter().map(|item| &*partition(item).topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        self.retry("metadata", async || {
            self.refresh(Topics::Named(&topics), false).await
        })
        .await?;
        Ok(())
    }

    /// Groups what is asked by leader; what has none fails at once, in `failed`.
    fn by_leader<T: Clone, V>(
        &self,
        items: &[T],
        partition: impl Fn(&T) -> &TopicPartition,
        failed: &mut Found<V>,
    ) -> BTreeMap<i32, Vec<T>> {
        let metadata = self.metadata();
        let mut by_leader: BTreeMap<i32, Vec<T>> = BTreeMap::new();
        for item in items {
            let at = partition(item);
            match metadata.partition(&at.topic, at.partition) {
                None => {
                    let unknown = Error::of(ErrorCode::UnknownTopicOrPartition, None);
                    let error = self.last_topic_error(&at.topic).unwrap_or(unknown);
                    failed.insert(at.clone(), Err(error));
                }
                Some(known) => match known.leader {
                    Some(leader) => by_leader.entry(leader).or_default().push(item.clone()),
                    None => {
                        let error = Error::of(ErrorCode::LeaderNotAvailable, None);
                        failed.insert(at.clone(), Err(error));
                    }
                },
            }
        }
        by_leader
    }
}

/// Keeps what is final and leaves what may be asked again; `Err` with one of the reasons while anything is left.
async fn settle<T, V>(
    found: &mut Found<V>,
    answers: Found<V>,
    remaining: &mut Vec<T>,
    partition: impl Fn(&T) -> &TopicPartition,
    client: &Client,
) -> Result<(), Error> {
    let mut reason = None;
    for (at, answer) in answers {
        match answer {
            Err(error)
                if error.is_retriable()
                    && error.code() != Some(ErrorCode::UnknownTopicOrPartition) =>
            {
                reason = Some((Arc::clone(&at.topic), error));
            }
            settled => {
                remaining.retain(|item| *partition(item) != at);
                found.insert(at, settled);
            }
        }
    }
    match reason {
        None => Ok(()),
        Some((topic, error)) => {
            if error.needs_metadata() {
                // Its failure would be seen by the next try.
                let _ = client.refresh(Topics::Named(&[&topic]), false).await;
            }
            retriable(error.code().map_or(0, i16::from), None)?.ok();
            Err(error)
        }
    }
}
