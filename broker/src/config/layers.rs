//! The values of a broker in layers, as Kafka stacks them: what was set while it runs for this broker, the same for all
//! brokers, what it was started with, and the defaults.

use super::describe::Source;
use super::overrides::Overrides;
use super::setting::Setting;
use super::table;
use super::value::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Where a value that a broker was started with comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--override name=value`
    Override,
    /// The variable's name.
    Environment(String),
    File {
        path: String,
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Override => f.write_str("--override"),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub value: Value,
    pub origin: Origin,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layers {
    pub given: BTreeMap<&'static str, Given>,
    pub dynamic_broker: Overrides,
    pub dynamic_default: Overrides,
}

impl Layers {
    pub fn effective(&self, row: &Setting) -> Option<Value> {
        let mut sources = Source::OF_BROKERS.iter();
        sources.find_map(|source| self.at(*source, row))
    }

    /// The value that one layer holds.
    pub fn at(&self, source: Source, row: &Setting) -> Option<Value> {
        match source {
            Source::DynamicBroker => self.dynamic_broker.get(row),
            Source::DynamicDefaultBroker => self.dynamic_default.get(row),
            Source::StaticBroker => self.given.get(row.name).map(|given| given.value.clone()),
            Source::Default => row.default_value(),
            Source::DynamicTopic | Source::DynamicClientMetrics | Source::DynamicGroup => None,
        }
    }

    /// What a topic or a group has that does not say otherwise.
    pub fn behind(&self, row: &Setting) -> Option<Value> {
        for synonym in row.synonyms {
            let Some(behind) = table::broker_setting(synonym.name) else {
                continue;
            };
            match self.effective(behind) {
                Some(Value::Number(number)) if synonym.factor != 1 => {
                    let scaled = number.saturating_mul(synonym.factor);
                    // Kafka takes any negative time for "for ever".
                    return Some(Value::Number(scaled.max(-1)));
                }
                Some(value) => return Some(value),
                None => {}
            }
        }
        row.default_value()
    }
}
