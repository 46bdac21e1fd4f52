//! Kafka's consumer settings, as far as they mean something without a group.

use crate::Error;
use crate::properties::Properties;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

impl Isolation {
    pub fn parse(text: &str) -> Result<Isolation, Error> {
        match text.trim().to_ascii_lowercase().as_str() {
            "read_uncommitted" => Ok(Isolation::ReadUncommitted),
            "read_committed" => Ok(Isolation::ReadCommitted),
            _ => Err(Error::Invalid(format!(
                "isolation.level={text}: write read_uncommitted or read_committed"
            ))),
        }
    }

    pub(crate) fn code(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// What happens at an offset that the partition does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Earliest,
    Latest,
    None,
}

#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    pub isolation: Isolation,
    pub reset: Reset,
    pub fetch_min_bytes: i32,
    pub fetch_max_bytes: i32,
    pub partition_max_bytes: i32,
    pub fetch_max_wait: Duration,
    pub max_poll_records: usize,
    pub check_crcs: bool,
    pub allow_auto_create: bool,
    pub exclude_internal: bool,
    /// Of records not yet polled; beyond it nothing is fetched.
    pub buffered_bytes: usize,
    /// Of one batch, decompressed.
    pub batch_limit_bytes: usize,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            isolation: Isolation::ReadUncommitted,
            reset: Reset::Latest,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            fetch_max_wait: Duration::from_millis(500),
            max_poll_records: 500,
            check_crcs: true,
            allow_auto_create: true,
            exclude_internal: true,
            buffered_bytes: 4 << 20,
            batch_limit_bytes: 256 << 20,
        }
    }
}

impl ConsumerConfig {
    pub fn apply(&mut self, properties: &Properties) -> Result<(), Error> {
        if let Some(level) = properties.get("isolation.level") {
            self.isolation = Isolation::parse(level)?;
        }
        if let Some(reset) = properties.get("auto.offset.reset") {
            self.reset = match reset.trim().to_ascii_lowercase().as_str() {
                "earliest" => Reset::Earliest,
                "latest" => Reset::Latest,
                "none" => Reset::None,
                _ => {
                    return Err(Error::Invalid(format!(
                        "auto.offset.reset={reset}: write earliest, latest or none"
                    )));
                }
            };
        }
        let bytes = |name: &str, field: &mut i32| -> Result<(), Error> {
            if let Some(bytes) = properties.number::<i32>(name)? {
                *field = bytes.max(0);
            }
            Ok(())
        };
        bytes("fetch.min.bytes", &mut self.fetch_min_bytes)?;
        bytes("fetch.max.bytes", &mut self.fetch_max_bytes)?;
        bytes("max.partition.fetch.bytes", &mut self.partition_max_bytes)?;
        if let Some(ms) = properties.number::<u64>("fetch.max.wait.ms")? {
            self.fetch_max_wait = Duration::from_millis(ms);
        }
        if let Some(records) = properties.number::<usize>("max.poll.records")? {
            self.max_poll_records = records.max(1);
        }
        let flag = |name: &str, field: &mut bool| -> Result<(), Error> {
            if let Some(flag) = properties.boolean(name)? {
                *field = flag;
            }
            Ok(())
        };
        flag("check.crcs", &mut self.check_crcs)?;
        flag("allow.auto.create.topics", &mut self.allow_auto_create)?;
        flag("exclude.internal.topics", &mut self.exclude_internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_names_set_the_fields() {
        let mut config = ConsumerConfig::default();
        let text = "isolation.level=read_committed\nauto.offset.reset=none\nfetch.max.wait.ms=7";
        config.apply(&Properties::parse(text)).expect("settings");
        assert_eq!(config.isolation, Isolation::ReadCommitted);
        assert_eq!(config.reset, Reset::None);
        assert_eq!(config.fetch_max_wait, Duration::from_millis(7));
        assert!(
            config
                .apply(&Properties::parse("isolation.level=x"))
                .is_err()
        );
    }
}
