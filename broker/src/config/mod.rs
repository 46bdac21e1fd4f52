//! The broker's and the topics' configuration: names, kinds, defaults and rules are Kafka's.
//!
//! `table/` is the one place for what is known of each setting; `docs/reference/settings.md` is written from it. What a
//! broker is started with comes in by [`BrokerConfig::load`], what is set while it runs by [`TopicSettings`],
//! [`GroupSettings`] and [`DynamicSettings`]; `describe.rs` lists all as DescribeConfigs does. Nothing here does I/O but
//! [`SettingsFile::read`].
//!
//! **Invariant:** a name that is not known is refused, a known one without effect is named in a warning, and one whose
//! guarantee would be missing is refused. Nothing is ignored without a word.

mod broker;
mod client_metrics;
mod derived;
mod describe;
mod dynamic;
mod group;
mod layers;
mod listeners;
mod nearest;
mod orders;
mod overrides;
mod quorum;
pub mod reference;
pub mod setting;
mod sources;
pub mod table;
#[cfg(test)]
mod tests;
mod topic;
pub mod topic_name;
mod value;

pub use broker::{BrokerConfig, Loaded};
pub use client_metrics::{ClientMetricsError, ClientMetricsSettings, Selector};
pub use describe::{Entry, Source, SynonymEntry};
pub use dynamic::{DynamicError, DynamicSettings, Level};
pub use group::{GroupError, GroupSettings};
pub use layers::Origin;
pub use listeners::{HostPort, Listener, Protocol};
pub use millrace_wire::properties::{self, Properties};
pub use overrides::Change;
pub use quorum::QuorumVoter;
pub use setting::{Importance, Scope, Served, Setting};
pub use sources::{FileError, SettingsFile, Sources};
pub use topic::{
    CleanupPolicy, CompressionType, TimestampType, TopicConfig, TopicError, TopicSettings,
};
pub use value::{Invalid, Kind, Value};

use std::fmt;

/// One thing that is wrong with what a broker was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None` where something is missing.
    pub origin: Option<Origin>,
    /// The name, with its value where there is one.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Problem {
    fn is_about(&self, name: &str) -> bool {
        self.setting.split('=').next() == Some(name)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}: {}", self.setting, self.what)
    }
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// A setting that was given in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub origin: Origin,
    pub name: &'static str,
    pub reason: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning {
            origin,
            name,
            reason,
        } = self;
        write!(f, "{origin}: {name} has no effect: {reason}")
    }
}
