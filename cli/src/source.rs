//! Where a tool's records come from: all partitions, or those that a group gives to this member.

use millrace_client::consumer::{
    Consumer, ConsumerConfig, ConsumerRecord, Following, GroupConfig, GroupConsumer,
};
use millrace_client::{Client, Error, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

pub enum Source {
    Alone(Box<Consumer>),
    Member(Box<GroupConsumer>),
}

impl Source {
    pub fn alone(consumer: Consumer) -> Source {
        Source::Alone(Box::new(consumer))
    }

    pub fn member(
        client: Client,
        config: ConsumerConfig,
        group: GroupConfig,
        following: Following,
    ) -> Source {
        let member = GroupConsumer::new(client, config, group, following);
        Source::Member(Box::new(member))
    }

    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        match self {
            Source::Alone(consumer) => consumer.poll(wait).await,
            Source::Member(member) => member.poll(wait).await,
        }
    }

    /// Whether it is known what is read.
    pub fn has_partitions(&self) -> bool {
        match self {
            Source::Alone(consumer) => consumer.positions().next().is_some(),
            Source::Member(member) => member.is_member(),
        }
    }

    /// What was polled and is not wanted is not committed.
    pub fn return_unread(&mut self, records: &[ConsumerRecord]) {
        let Source::Member(member) = self else { return };
        let mut first: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        for record in records {
            let at = TopicPartition::new(Arc::clone(&record.topic), record.partition);
            first.entry(at).or_insert(record.offset);
        }
        for (at, offset) in first {
            member.seek(&at, offset);
        }
    }

    pub async fn close(self) {
        if let Source::Member(member) = self
            && let Err(error) = member.close().await
        {
            warn!("cannot leave the group in order: {error}");
        }
    }
}
