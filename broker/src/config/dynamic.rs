//! What is set on brokers while they run.

use super::broker::BrokerConfig;
use super::derived::{BY_ADDRESS, connections_by_address};
use super::nearest::nearest;
use super::overrides::{Change, Overrides};
use super::setting::{Scope, Served};
use super::table;
use super::value::{Invalid, Value};

/// What the broker was started with bounds: a setting, its least and its most.
const BOUNDED: &[(&str, &str, &str)] = &[(
    "group.consumer.assignment.interval.ms",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.max.assignment.interval.ms",
)];

/// Refusals of broker settings. All are `INVALID_REQUEST` but for `NotAList`, which is `INVALID_CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DynamicError {
    #[error("Unknown broker config name: {name}{suggestion}")]
    Unknown { name: String, suggestion: String },
    #[error("Cannot update these configs dynamically: [{name}]")]
    ReadOnly { name: &'static str },
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: [{name}]"
    )]
    OfOneBroker { name: &'static str },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        operation: &'static str,
        name: String,
    },
    #[error("{name} must be greater than or equal to {min}")]
    TooSmall {
        name: &'static str,
        min: &'static str,
    },
    #[error("{name} must be less than or equal to {max}")]
    TooLarge {
        name: &'static str,
        max: &'static str,
    },
    #[error("{name} is not served: {reason}")]
    Refused {
        name: &'static str,
        reason: &'static str,
    },
}

/// Whose settings are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// One broker's.
    Broker,
    /// All brokers': the entity without a name.
    Cluster,
}

/// What was set on one broker, or on all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicSettings(Overrides);

impl DynamicSettings {
    /// Settings that were checked when they were stored; what this version does not know is left out and named.
    pub fn from_stored<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        level: Level,
    ) -> (DynamicSettings, Vec<DynamicError>) {
        let mut settings = DynamicSettings::default();
        let mut passed_over = Vec::new();
        for (name, value) in pairs {
            if let Err(error) = settings.change(name, &Change::Set(value.to_owned()), level) {
                passed_over.push(error);
            }
        }
        (settings, passed_over)
    }

    /// All changes or none.
    pub fn alter<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a Change)>,
        level: Level,
    ) -> Result<DynamicSettings, DynamicError> {
        let mut settings = self.clone();
        for (name, change) in changes {
            settings.change(name, change, level)?;
        }
        Ok(settings)
    }

    /// Whether what is set is within the bounds that this broker was started with.
    pub fn check(&self, broker: &BrokerConfig) -> Result<(), DynamicError> {
        for (name, min, max) in BOUNDED.iter().copied() {
            let set = table::broker_setting(name).and_then(|row| self.0.get(row));
            let Some(Value::Number(set)) = set else {
                continue;
            };
            let bound = |of: &str| match broker.effective(of) {
                Some(Value::Number(bound)) => bound,
                other => unreachable!("{of} is a number with a default, not {other:?}"),
            };
            if set < bound(min) {
                return Err(DynamicError::TooSmall { name, min });
            }
            if set > bound(max) {
                return Err(DynamicError::TooLarge { name, max });
            }
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn change(&mut self, name: &str, change: &Change, level: Level) -> Result<(), DynamicError> {
        if *change == Change::Delete {
            self.0.delete(name);
            return Ok(());
        }
        let Some(row) = table::broker_setting(name) else {
            let near = nearest(name, table::broker_settings().map(|row| row.name));
            return Err(DynamicError::Unknown {
                name: name.to_owned(),
                suggestion: match near.is_empty() {
                    true => String::new(),
                    false => format!("; did you mean {}?", near.join(" or ")),
                },
            });
        };
        if !row.scope.is_dynamic() {
            return Err(DynamicError::ReadOnly { name: row.name });
        }
        if row.scope == Scope::PerBroker && level == Level::Cluster {
            return Err(DynamicError::OfOneBroker { name: row.name });
        }
        let changed = match change {
            Change::Delete => None,
            Change::Set(text) => Some(self.0.set(row, text)),
            Change::Append(text) => self.0.change_items(row, text, true),
            Change::Subtract(text) => self.0.change_items(row, text, false),
        };
        changed.ok_or_else(|| DynamicError::NotAList {
            operation: match change {
                Change::Append(_) => "APPEND",
                _ => "SUBTRACT",
            },
            name: name.to_owned(),
        })??;
        if row.name == BY_ADDRESS
            && let Some(value) = self.0.get(row)
        {
            let text = value.to_string();
            connections_by_address(&text).map_err(|reason| Invalid::Value {
                name: row.name,
                value: text,
                reason,
            })?;
        }
        if row.name == "log.retention.ms" && self.0.get(row) == Some(Value::Number(0)) {
            return Err(DynamicError::Invalid(Invalid::Value {
                name: row.name,
                value: "0".to_owned(),
                reason: "Value must be -1, for ever, or at least 1".to_owned(),
            }));
        }
        match row.served {
            Served::Refused(reason) if self.0.get(row) != row.default_value() => {
                Err(DynamicError::Refused {
                    name: row.name,
                    reason,
                })
            }
            _ => Ok(()),
        }
    }
}

impl BrokerConfig {
    /// This configuration with what was set while the cluster runs, on this broker and on all.
    pub fn with_dynamic(
        &self,
        broker: &DynamicSettings,
        cluster: &DynamicSettings,
    ) -> BrokerConfig {
        let mut layers = self.layers.clone();
        layers.dynamic_broker = broker.0.clone();
        layers.dynamic_default = cluster.0.clone();
        self.reassembled(layers)
    }
}
