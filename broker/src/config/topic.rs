//! A topic's settings: what was set on it, and what is in effect with the broker's defaults behind.

use super::broker::BrokerConfig;
use super::layers::Layers;
use super::overrides::{Change, Overrides};
use super::setting::Served;
use super::table;
use super::value::{Invalid, Value};

/// Refusals of topic settings; Kafka's words where Kafka refuses, too. All are `INVALID_CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("Unknown topic config name: {name}")]
    Unknown { name: String },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        operation: &'static str,
        name: String,
    },
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    CompactionLag { min: i64, max: i64 },
    #[error("{reason}")]
    Refused {
        name: &'static str,
        reason: &'static str,
    },
}

/// What was set on a topic; each value is valid and in Kafka's spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings(Overrides);

impl TopicSettings {
    /// All settings at once, as CreateTopics and AlterConfigs give them.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        broker: &BrokerConfig,
    ) -> Result<TopicSettings, TopicError> {
        let mut settings = TopicSettings::default();
        for (name, value) in pairs {
            settings.change(name, &Change::Set(value.to_owned()))?;
        }
        settings.check(broker)?;
        Ok(settings)
    }

    /// Settings that were checked when they were stored. A name or value this version does not know is left out and
    /// named: it must not keep a topic from being served.
    pub fn from_stored<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (TopicSettings, Vec<TopicError>) {
        let mut settings = TopicSettings::default();
        let mut passed_over = Vec::new();
        for (name, value) in pairs {
            if let Err(error) = settings.change(name, &Change::Set(value.to_owned())) {
                passed_over.push(error);
            }
        }
        (settings, passed_over)
    }

    /// All changes or none.
    pub fn alter<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a Change)>,
        broker: &BrokerConfig,
    ) -> Result<TopicSettings, TopicError> {
        let mut settings = self.clone();
        for (name, change) in changes {
            settings.change(name, change)?;
        }
        settings.check(broker)?;
        Ok(settings)
    }

    /// Names and values, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn overrides(&self) -> &Overrides {
        &self.0
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), TopicError> {
        let row = table::topic_setting(name);
        let unknown = || TopicError::Unknown {
            name: name.to_owned(),
        };
        let (operation, text, adds) = match change {
            // Kafka deletes what nobody knows without a word.
            Change::Delete => {
                self.0.delete(name);
                return Ok(());
            }
            Change::Set(text) => {
                self.0.set(row.ok_or_else(unknown)?, text)?;
                return self.refuse(name);
            }
            Change::Append(text) => ("APPEND", text, true),
            Change::Subtract(text) => ("SUBTRACT", text, false),
        };
        let changed = row.and_then(|row| self.0.change_items(row, text, adds));
        changed.ok_or_else(|| TopicError::NotAList {
            operation,
            name: name.to_owned(),
        })??;
        self.refuse(name)
    }

    /// A value other than the default of what is not served.
    fn refuse(&self, name: &str) -> Result<(), TopicError> {
        let Some(row) = table::topic_setting(name) else {
            return Ok(());
        };
        match row.served {
            Served::Refused(reason) if self.0.get(row) != row.default_value() => {
                Err(TopicError::Refused {
                    name: row.name,
                    reason,
                })
            }
            _ => Ok(()),
        }
    }

    fn check(&self, broker: &BrokerConfig) -> Result<(), TopicError> {
        let config = TopicConfig::new(self, broker);
        let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
        if min > max {
            return Err(TopicError::CompactionLag { min, max });
        }
        Ok(())
    }
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// `compression.type`, and the level where the broker compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent it.
    Producer,
    Uncompressed,
    /// `None` leaves the level to gzip.
    Gzip(Option<u8>),
    Snappy,
    Lz4(u8),
    Zstd(i32),
}

/// `cleanup.policy`; neither keeps records for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub deletes: bool,
    pub compacts: bool,
}

/// What is in effect for a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: CompressionType,
    pub delete_retention_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: u32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: u32,
    /// `None` is Kafka's -1: without a limit.
    pub retention_bytes: Option<u64>,
    /// `None` is Kafka's -1: for ever.
    pub retention_ms: Option<i64>,
}

impl TopicConfig {
    pub fn new(topic: &TopicSettings, broker: &BrokerConfig) -> TopicConfig {
        TopicConfig::of(topic.overrides(), &broker.layers)
    }

    fn of(own: &Overrides, layers: &Layers) -> TopicConfig {
        let value = |name: &str| {
            let row =
                table::topic_setting(name).expect("the table has all names that are read here");
            let value = own.get(row).or_else(|| layers.behind(row));
            value.expect("topic settings that are read here have a default")
        };
        let number = |name: &str| match value(name) {
            Value::Number(number) => number,
            other => unreachable!("{name} is a number in the table, not {other}"),
        };
        let text = |name: &str| value(name).to_string();
        let policy = text("cleanup.policy");
        let mut policies = policy.split(',');
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                deletes: policies.clone().any(|policy| policy == "delete"),
                compacts: policies.any(|policy| policy == "compact"),
            },
            compression_type: match text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => {
                    CompressionType::Gzip(u8::try_from(number("compression.gzip.level")).ok())
                }
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4(clamp(number("compression.lz4.level")) as u8),
                "zstd" => CompressionType::Zstd(number("compression.zstd.level") as i32),
                _ => CompressionType::Producer,
            },
            delete_retention_ms: number("delete.retention.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            max_message_bytes: clamp(number("max.message.bytes")),
            message_timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            message_timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: match value("min.cleanable.dirty.ratio") {
                Value::Double(ratio) => ratio,
                other => unreachable!("the ratio is a double in the table, not {other}"),
            },
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            min_insync_replicas: clamp(number("min.insync.replicas")),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            retention_ms: Some(number("retention.ms")).filter(|ms| *ms >= 0),
        }
    }
}

/// Bounds that the table checked already.
fn clamp(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
