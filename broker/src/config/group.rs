//! A group's settings: what was set on it, within the bounds that the broker sets.

use super::broker::BrokerConfig;
use super::overrides::{Change, Overrides};
use super::setting::Served;
use super::table;
use super::value::{Invalid, Value};

/// Refusals of groups' settings; Kafka's words where Kafka refuses, too. All are `INVALID_CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("Unknown group config name: {name}")]
    Unknown { name: String },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        operation: &'static str,
        name: String,
    },
    #[error("{name} must be in the range {min} to {max} inclusive.")]
    OutOfRange {
        name: &'static str,
        min: i64,
        max: i64,
    },
    #[error("{longer} must be greater than {shorter}")]
    NotLonger {
        longer: &'static str,
        shorter: &'static str,
    },
    #[error("{name} is not served: {reason}")]
    Refused {
        name: &'static str,
        reason: &'static str,
    },
}

/// What the broker bounds: a group's setting, and the broker's that are its least and its most. In the order that Kafka checks them.
const RANGES: [(&str, &str, &str); 3] = [
    (
        HEARTBEAT,
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        SESSION,
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
];

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

/// What was set on a group; each value is valid by itself and in Kafka's spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSettings(Overrides);

impl GroupSettings {
    /// Settings that were checked when they were stored. What this version does not know is left out and named.
    pub fn from_stored<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (GroupSettings, Vec<GroupError>) {
        let mut settings = GroupSettings::default();
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
    ) -> Result<GroupSettings, GroupError> {
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

    /// What is set of a setting that the broker bounds: within the bounds of today, which may have changed since.
    pub fn bounded(&self, name: &str, broker: &BrokerConfig) -> Option<i64> {
        let (_, min, max) = RANGES.into_iter().find(|(of, ..)| *of == name)?;
        let set = self.number(name)?;
        Some(set.min(of_broker(broker, max)).max(of_broker(broker, min)))
    }

    pub(super) fn overrides(&self) -> &Overrides {
        &self.0
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.0.get(table::group_setting(name)?)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), GroupError> {
        let row = table::group_setting(name);
        let (operation, text, adds) = match change {
            // Kafka deletes what nobody knows without a word.
            Change::Delete => {
                self.0.delete(name);
                return Ok(());
            }
            Change::Set(text) => {
                let unknown = || GroupError::Unknown {
                    name: name.to_owned(),
                };
                self.0.set(row.ok_or_else(unknown)?, text)?;
                return self.refuse(name);
            }
            Change::Append(text) => ("APPEND", text, true),
            Change::Subtract(text) => ("SUBTRACT", text, false),
        };
        let changed = row.and_then(|row| self.0.change_items(row, text, adds));
        changed.ok_or_else(|| GroupError::NotAList {
            operation,
            name: name.to_owned(),
        })??;
        self.refuse(name)
    }

    /// A value other than the default of what is not served.
    fn refuse(&self, name: &str) -> Result<(), GroupError> {
        match table::group_setting(name).map(|row| (row, row.served)) {
            Some((row, Served::Refused(reason))) if self.0.get(row) != row.default_value() => {
                Err(GroupError::Refused {
                    name: row.name,
                    reason,
                })
            }
            _ => Ok(()),
        }
    }

    fn check(&self, broker: &BrokerConfig) -> Result<(), GroupError> {
        for (name, min, max) in RANGES {
            let (min, max) = (of_broker(broker, min), of_broker(broker, max));
            if let Some(set) = self.number(name)
                && !(min..=max).contains(&set)
            {
                return Err(GroupError::OutOfRange { name, min, max });
            }
        }
        let (session, heartbeat) = (self.number(SESSION), self.number(HEARTBEAT));
        let is_set = session.is_some() || heartbeat.is_some();
        let session =
            session.unwrap_or_else(|| of_broker(broker, "group.consumer.session.timeout.ms"));
        let heartbeat =
            heartbeat.unwrap_or_else(|| of_broker(broker, "group.consumer.heartbeat.interval.ms"));
        if is_set && session <= heartbeat {
            return Err(GroupError::NotLonger {
                longer: SESSION,
                shorter: HEARTBEAT,
            });
        }
        Ok(())
    }
}

fn of_broker(broker: &BrokerConfig, name: &str) -> i64 {
    match broker.effective(name) {
        Some(Value::Number(number)) => number,
        other => unreachable!("{name} is a number with a default in the table, not {other:?}"),
    }
}
