//! One fetch request to one broker. Without a session (KIP-227): what is asked for is said in full every time.

use super::ConsumerConfig;
use super::records::{Read, read};
use crate::client::topic_name;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::{BrokerId, FetchRequest};
use crate::{Client, Error, TopicPartition};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The last version with names of topics; later ones have ids.
const LAST_VERSION_WITH_NAMES: i16 = 12;

/// Neither in a session nor wanting one.
const SESSIONLESS_EPOCH: i32 = -1;

#[derive(Clone, Debug)]
pub struct Wanted {
    pub partition: TopicPartition,
    pub offset: i64,
}

pub struct Fetch {
    pub client: Client,
    pub config: ConsumerConfig,
    pub broker: i32,
    pub wanted: Vec<Wanted>,
}

pub struct FetchedPartition {
    pub partition: TopicPartition,
    /// The one asked for.
    pub offset: i64,
    pub result: Result<Read, Error>,
}

impl Fetch {
    pub async fn run(self) -> Result<Vec<FetchedPartition>, Error> {
        let connection = self.client.broker(self.broker).await?;
        let version = connection.version_of::<FetchRequest>(LAST_VERSION_WITH_NAMES)?;
        let response = connection
            .send_version(version, &self.request(version))
            .await?;
        Error::check(response.error_code, None)?;
        let offsets: HashMap<&TopicPartition, i64> = self
            .wanted
            .iter()
            .map(|wanted| (&wanted.partition, wanted.offset))
            .collect();
        let mut fetched = Vec::new();
        for topic in response.responses {
            let name: Arc<str> = Arc::from(topic.topic.as_str());
            for partition in topic.partitions {
                let at = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                let Some(&offset) = offsets.get(&at) else {
                    continue;
                };
                let result = Error::check(partition.error_code, None)
                    .map(|()| read(&at, offset, partition, &self.config));
                fetched.push(FetchedPartition {
                    partition: at,
                    offset,
                    result,
                });
            }
        }
        Ok(fetched)
    }

    fn request(&self, version: i16) -> FetchRequest {
        let config = &self.config;
        let mut topics: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        let mut request = FetchRequest::default();
        request.replica_id = BrokerId(-1);
        request.max_wait_ms = i32::try_from(config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX);
        request.min_bytes = config.fetch_min_bytes;
        request.max_bytes = config.fetch_max_bytes;
        request.isolation_level = config.isolation.code();
        if version >= 7 {
            request.session_epoch = SESSIONLESS_EPOCH;
        }
        for wanted in &self.wanted {
            let mut partition = FetchPartition::default();
            partition.partition = wanted.partition.partition;
            partition.fetch_offset = wanted.offset;
            partition.partition_max_bytes = config.partition_max_bytes;
            let at = *topics.entry(&wanted.partition.topic).or_insert_with(|| {
                let mut topic = FetchTopic::default();
                topic.topic = topic_name(&wanted.partition.topic);
                request.topics.push(topic);
                request.topics.len() - 1
            });
            request.topics[at].partitions.push(partition);
        }
        request
    }
}
