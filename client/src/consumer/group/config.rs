//! Kafka's settings of a member.

use crate::Error;
use crate::properties::Properties;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub group: String,
    /// Of a static member (KIP-345): it keeps its partitions over a restart.
    pub instance_id: Option<String>,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// The longest time between two polls, and the time that the others wait for this member when they rebalance.
    pub max_poll_interval: Duration,
    /// How often positions are committed by themselves; `None` for never.
    pub auto_commit: Option<Duration>,
}

impl GroupConfig {
    pub fn new(group: impl Into<String>) -> GroupConfig {
        GroupConfig {
            group: group.into(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            auto_commit: Some(Duration::from_secs(5)),
        }
    }

    pub fn apply(&mut self, properties: &Properties) -> Result<(), Error> {
        if let Some(protocol) = properties.get("group.protocol")
            && !protocol.trim().eq_ignore_ascii_case("classic")
        {
            return Err(Error::Invalid(format!(
                "group.protocol={protocol} is not served yet: only classic is"
            )));
        }
        if let Some(id) = properties.get("group.instance.id") {
            self.instance_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        }
        let set = |name: &str, field: &mut Duration| -> Result<(), Error> {
            if let Some(ms) = properties.number::<u64>(name)? {
                *field = Duration::from_millis(ms);
            }
            Ok(())
        };
        set("session.timeout.ms", &mut self.session_timeout)?;
        set("heartbeat.interval.ms", &mut self.heartbeat_interval)?;
        set("max.poll.interval.ms", &mut self.max_poll_interval)?;
        let mut interval = Duration::from_secs(5);
        set("auto.commit.interval.ms", &mut interval)?;
        if properties.boolean("enable.auto.commit")?.unwrap_or(true) {
            self.auto_commit = self.auto_commit.map(|_| interval);
        } else {
            self.auto_commit = None;
        }
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.session_timeout {
            return Err(Error::Invalid(format!(
                "heartbeat.interval.ms={} must be above 0 and below session.timeout.ms={}",
                self.heartbeat_interval.as_millis(),
                self.session_timeout.as_millis()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_names_set_the_fields() {
        let mut config = GroupConfig::new("g");
        let text = "session.timeout.ms=6000\ngroup.instance.id=i\nenable.auto.commit=false";
        config.apply(&Properties::parse(text)).expect("settings");
        assert_eq!(config.session_timeout, Duration::from_secs(6));
        assert_eq!(config.instance_id.as_deref(), Some("i"));
        assert_eq!(config.auto_commit, None);
        for refused in ["heartbeat.interval.ms=45000", "group.protocol=consumer"] {
            let properties = Properties::parse(refused);
            assert!(
                GroupConfig::new("g").apply(&properties).is_err(),
                "{refused}"
            );
        }
    }
}
