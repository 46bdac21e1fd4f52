//! What a partition must know of its topic's configuration. Names, units and defaults are Kafka's (4.x).

use crate::config;

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's timestamps are kept.
    #[default]
    CreateTime,
    /// The leader's clock at the time of the append replaces them.
    LogAppendTime,
}

/// `cleanup.policy`: what may remove records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CleanupPolicy {
    #[default]
    Delete,
    Compact,
    CompactAndDelete,
}

impl CleanupPolicy {
    /// Retention and DeleteRecords may move the log start.
    pub fn is_delete(self) -> bool {
        matches!(
            self,
            CleanupPolicy::Delete | CleanupPolicy::CompactAndDelete
        )
    }

    /// Every record needs a key, and only the newest of a key is kept.
    pub fn is_compact(self) -> bool {
        matches!(
            self,
            CleanupPolicy::Compact | CleanupPolicy::CompactAndDelete
        )
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `max.message.bytes`: the largest batch, as it is stored.
    pub max_message_bytes: u32,
    pub message_timestamp_type: TimestampType,
    /// `retention.ms`; `None` is Kafka's -1, for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` is Kafka's -1, without a limit.
    pub retention_bytes: Option<u64>,
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`: how much of the log must be new for a round of compaction.
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone outlives the compaction that saw it first.
    pub delete_retention_ms: i64,
    /// `producer.id.expiration.ms`: how long an idle producer's sequence numbers are remembered.
    pub producer_id_expiration_ms: i64,
}

impl Default for TopicConfig {
    fn default() -> TopicConfig {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        TopicConfig {
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            retention_ms: Some(7 * 24 * HOUR_MS),
            retention_bytes: None,
            cleanup_policy: CleanupPolicy::Delete,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * HOUR_MS,
            producer_id_expiration_ms: 24 * HOUR_MS,
        }
    }
}

impl TopicConfig {
    /// What a partition of a topic goes by. Records are checked, and compressed anew where that is asked for, before they are
    /// appended: what that goes by stays with the topic.
    pub fn of(topic: &config::TopicConfig, producer_id_expiration_ms: i64) -> TopicConfig {
        // Neither policy: nothing is ever removed, which is to delete what exceeds no bound.
        let keeps_all = !topic.cleanup_policy.deletes && !topic.cleanup_policy.compacts;
        TopicConfig {
            max_message_bytes: topic.max_message_bytes,
            message_timestamp_type: match topic.message_timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            retention_ms: topic.retention_ms.filter(|_| !keeps_all),
            retention_bytes: topic.retention_bytes.filter(|_| !keeps_all),
            cleanup_policy: match (topic.cleanup_policy.deletes, topic.cleanup_policy.compacts) {
                (true, true) => CleanupPolicy::CompactAndDelete,
                (false, true) => CleanupPolicy::Compact,
                (true, false) | (false, false) => CleanupPolicy::Delete,
            },
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: topic.min_compaction_lag_ms,
            max_compaction_lag_ms: topic.max_compaction_lag_ms,
            delete_retention_ms: topic.delete_retention_ms,
            producer_id_expiration_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Sources, TopicSettings};

    fn broker() -> BrokerConfig {
        let sources = Sources {
            overrides: vec!["node.id=1".to_owned()],
            ..Sources::default()
        };
        BrokerConfig::load(&sources)
            .expect("an id is enough")
            .config
    }

    #[test]
    fn a_topic_that_sets_nothing_has_the_defaults() {
        let broker = broker();
        let expiration_ms = broker.producer_id_expiration_ms.into();
        let config = TopicConfig::of(&broker.topic_defaults(), expiration_ms);
        assert_eq!(config, TopicConfig::default());
    }

    #[test]
    fn a_topic_without_a_policy_keeps_everything() {
        let broker = broker();
        let own = [("cleanup.policy", ""), ("retention.bytes", "5")];
        let own = TopicSettings::new(own, &broker).expect("an empty policy is allowed");
        let config = TopicConfig::of(&config::TopicConfig::new(&own, &broker), 1);
        assert_eq!((config.retention_ms, config.retention_bytes), (None, None));
    }
}
