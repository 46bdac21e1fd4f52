//! Every setting that is known: one row each, the broker's by area, the topics' and the groups'.
//!
//! A row reads: name, kind, default, valid values, importance, scope, what comes of it, what it means. Names, kinds,
//! defaults and bounds are those of Apache Kafka 4.3.1 (its `KafkaConfig` and `LogConfig`), and of 4.4 where a row says so.

mod broker;
mod group;
mod groups;
mod log;
mod metadata;
mod millrace;
mod network;
mod observability;
mod past;
mod reasons;
mod replication;
mod security;
mod share_groups;
mod tiered;
mod topic;
mod transactions;

pub use groups::assignor_name;

use super::setting::Setting;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The rows of one file.
macro_rules! settings {
    (@default none) => { None };
    (@default $text:literal) => { Some($text) };
    (@factor) => { 1 };
    (@factor $factor:literal) => { $factor };
    ($(
        $name:literal, $kind:ident, $default:tt, $valid:expr, $importance:ident, $scope:ident, $served:expr, $doc:literal
        $(=> [$($synonym:literal $(* $factor:literal)?),*])?;
    )*) => {
        pub(super) const SETTINGS: &[$crate::config::setting::Setting] = &[$(
            $crate::config::setting::Setting {
                name: $name,
                kind: $crate::config::value::Kind::$kind,
                default: settings!(@default $default),
                valid: $valid,
                importance: $crate::config::setting::Importance::$importance,
                scope: $crate::config::setting::Scope::$scope,
                served: $served,
                synonyms: &[$($($crate::config::setting::Synonym {
                    name: $synonym,
                    factor: settings!(@factor $($factor)?),
                }),*)?],
                doc: $doc,
            }
        ),*];
    };
}
use settings;

/// The broker's settings by area, with the heading of the reference.
pub const BROKER: &[(&str, &[Setting])] = &[
    ("The broker", broker::SETTINGS),
    ("Network", network::SETTINGS),
    ("Records", log::SETTINGS),
    ("Storage engine", millrace::SETTINGS),
    ("Observability", observability::SETTINGS),
    ("Replication", replication::SETTINGS),
    ("Consumer groups", groups::SETTINGS),
    ("Transactions", transactions::SETTINGS),
    ("Share groups", share_groups::SETTINGS),
    ("Metadata", metadata::SETTINGS),
    ("Tiered storage", tiered::SETTINGS),
    ("Security", security::SETTINGS),
    ("Of older Kafkas", past::SETTINGS),
];

/// The topics' settings.
pub const TOPIC: &[Setting] = topic::SETTINGS;

/// What can be set on a single group.
pub const GROUP: &[Setting] = group::SETTINGS;

static BROKER_BY_NAME: LazyLock<HashMap<&'static str, &'static Setting>> =
    LazyLock::new(|| broker_settings().map(|row| (row.name, row)).collect());

static TOPIC_BY_NAME: LazyLock<HashMap<&'static str, &'static Setting>> =
    LazyLock::new(|| TOPIC.iter().map(|row| (row.name, row)).collect());

pub fn broker_settings() -> impl Iterator<Item = &'static Setting> {
    BROKER.iter().flat_map(|(_, rows)| rows.iter())
}

pub fn broker_setting(name: &str) -> Option<&'static Setting> {
    BROKER_BY_NAME.get(name).copied()
}

pub fn group_setting(name: &str) -> Option<&'static Setting> {
    GROUP.iter().find(|row| row.name == name)
}

pub fn topic_setting(name: &str) -> Option<&'static Setting> {
    TOPIC_BY_NAME.get(name).copied()
}

/// All names of the broker that stand for one fact, first the one that wins: `log.retention.ms`, `.minutes`, `.hours`.
pub fn broker_synonyms(name: &'static str) -> Vec<&'static str> {
    // Kafka lists the scheduler's interval behind log.flush.interval.ms, but not the other way round.
    if name != "log.flush.scheduler.interval.ms" {
        for row in TOPIC {
            if row.synonyms.iter().any(|synonym| synonym.name == name) {
                return row.synonyms.iter().map(|synonym| synonym.name).collect();
            }
        }
    }
    vec![name]
}
