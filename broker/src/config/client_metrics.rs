//! What clients are asked to tell of themselves (KIP-714): the settings of one subscription.

use super::describe::{Entry, Source, SynonymEntry};
use super::overrides::Change;
use super::value::Kind;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

const INTERVAL: &str = "interval.ms";
const METRICS: &str = "metrics";
const MATCH: &str = "match";

const MIN_INTERVAL_MS: i32 = 100;
const MAX_INTERVAL_MS: i32 = 60 * 60 * 1000;
const DEFAULT_INTERVAL_MS: i32 = 5 * 60 * 1000;

/// Memory of one compiled pattern; a larger one is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// By name: name, kind, default, what it is.
const SETTINGS: [(&str, Kind, &str, &str); 3] = [
    (
        INTERVAL,
        Kind::Int,
        "300000",
        "How often clients push, in milliseconds.",
    ),
    (
        MATCH,
        Kind::List,
        "",
        "Which clients: selector=pattern, each of which must match the whole of what the client is. Without any, all clients.",
    ),
    (
        METRICS,
        Kind::List,
        "",
        "Which metrics, by the beginnings of their names; * is all of them.",
    ),
];

/// In Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientMetricsError {
    #[error("Unknown client metrics configuration: {0}")]
    Unknown(String),
    #[error(
        "Invalid value {0} for interval.ms, interval must be between {MIN_INTERVAL_MS} and {MAX_INTERVAL_MS} (1 hour)"
    )]
    Interval(i32),
    #[error("Invalid value {0} for configuration interval.ms: Not a number of type INT")]
    NotANumber(String),
    #[error("Illegal client matching pattern: {0}")]
    Pattern(String),
    #[error("Can't {operation} to key {name} because its type is not LIST.")]
    NotAList {
        operation: &'static str,
        name: String,
    },
}

/// What a client is selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    ClientId,
    ClientInstanceId,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

impl Selector {
    fn of(name: &str) -> Option<Selector> {
        Some(match name {
            "client_id" => Selector::ClientId,
            "client_instance_id" => Selector::ClientInstanceId,
            "client_software_name" => Selector::SoftwareName,
            "client_software_version" => Selector::SoftwareVersion,
            "client_source_address" => Selector::SourceAddress,
            "client_source_port" => Selector::SourcePort,
            _ => return None,
        })
    }
}

/// What was set; each value is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientMetricsSettings(BTreeMap<&'static str, String>);

impl ClientMetricsSettings {
    /// Settings that were checked when they were stored. What this version does not know is left out.
    pub fn from_stored<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> ClientMetricsSettings {
        let mut settings = ClientMetricsSettings::default();
        for (name, value) in pairs {
            let _ = settings.set(name, value);
        }
        settings
    }

    /// All changes or none.
    pub fn alter<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a Change)>,
    ) -> Result<ClientMetricsSettings, ClientMetricsError> {
        let mut settings = self.clone();
        let not_a_list = |operation, name: &str| {
            let name = name.to_owned();
            Err(ClientMetricsError::NotAList { operation, name })
        };
        for (name, change) in changes {
            match change {
                Change::Set(value) => settings.set(name, value)?,
                // Kafka deletes what nobody knows without a word, and changes none of these lists item by item.
                Change::Delete => {
                    settings.0.remove(name);
                }
                Change::Append(_) => return not_a_list("APPEND", name),
                Change::Subtract(_) => return not_a_list("SUBTRACT", name),
            }
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ClientMetricsError> {
        let unknown = || ClientMetricsError::Unknown(name.to_owned());
        let known = SETTINGS.iter().find(|(known, ..)| *known == name);
        let (name, ..) = *known.ok_or_else(unknown)?;
        let value = match name {
            INTERVAL => {
                let value = value.trim();
                let ms: i32 = value
                    .parse()
                    .map_err(|_| ClientMetricsError::NotANumber(value.to_owned()))?;
                if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&ms) {
                    return Err(ClientMetricsError::Interval(ms));
                }
                ms.to_string()
            }
            MATCH => {
                for pattern in items(value) {
                    selector(pattern)
                        .ok_or_else(|| ClientMetricsError::Pattern(pattern.to_owned()))?;
                }
                joined(value)
            }
            _ => joined(value),
        };
        self.0.insert(name, value);
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub fn interval_ms(&self) -> i32 {
        let set = self.0.get(INTERVAL).and_then(|value| value.parse().ok());
        set.unwrap_or(DEFAULT_INTERVAL_MS)
    }

    /// The beginnings of names.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        items(self.0.get(METRICS).map_or("", String::as_str))
    }

    /// Of several patterns for one selector the last counts, as in Kafka.
    pub fn selectors(&self) -> BTreeMap<Selector, Regex> {
        let patterns = items(self.0.get(MATCH).map_or("", String::as_str));
        patterns.filter_map(selector).collect()
    }

    pub fn describe(&self) -> Vec<Entry> {
        let entry = |(name, kind, default, doc): (&'static str, Kind, &str, &'static str)| {
            let set = self.0.get(name);
            let synonym = set.map(|value| SynonymEntry {
                name,
                value: Some(value.clone()),
                source: Source::DynamicClientMetrics,
            });
            Entry {
                name,
                value: Some(set.map_or(default, String::as_str).to_owned()),
                source: match set {
                    Some(_) => Source::DynamicClientMetrics,
                    None => Source::Default,
                },
                is_read_only: false,
                is_sensitive: false,
                kind,
                doc,
                synonyms: synonym.into_iter().collect(),
            }
        };
        SETTINGS.into_iter().map(entry).collect()
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn joined(list: &str) -> String {
    items(list).collect::<Vec<_>>().join(",")
}

/// `client_id=pattern`; the pattern must match the whole.
fn selector(text: &str) -> Option<(Selector, Regex)> {
    let (name, pattern) = text.split_once('=')?;
    let pattern = pattern.trim();
    if pattern.is_empty() || pattern.contains('=') {
        return None;
    }
    let built = RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_BYTES)
        .build();
    // By itself, too: a parenthesis too many would end ours.
    let alone = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
    alone.ok()?;
    Some((Selector::of(name.trim())?, built.ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn set(name: &str, value: &str) -> Result<ClientMetricsSettings, String> {
        let change = Change::Set(value.to_owned());
        ClientMetricsSettings::default()
            .alter([(name, &change)])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_interval_lies_between_a_tenth_of_a_second_and_an_hour() {
        assert_eq!(set(INTERVAL, " 100 ").unwrap().interval_ms(), 100);
        assert_eq!(set(INTERVAL, "3600000").unwrap().interval_ms(), 3_600_000);
        for wrong in ["99", "3600001", "-1", "x", "", "99999999999"] {
            let refused = set(INTERVAL, wrong).unwrap_err();
            assert!(refused.starts_with("Invalid value "), "{refused}");
        }
        assert_eq!(ClientMetricsSettings::default().interval_ms(), 300_000);
    }

    #[test]
    fn patterns_are_of_known_selectors_and_match_the_whole() {
        let both = set(MATCH, "client_id=a.*b, client_source_port = 90..").unwrap();
        let selectors = both.selectors();
        assert!(selectors[&Selector::ClientId].is_match("axxb"));
        assert!(!selectors[&Selector::ClientId].is_match("axxbc"));
        assert!(selectors[&Selector::SourcePort].is_match("9092"));
        for wrong in [
            "client_id",
            "client_id=",
            "no_such=x",
            "client_id=(",
            "client_id=)(",
            "client_id=a=b",
        ] {
            let refused = set(MATCH, wrong).unwrap_err();
            assert_eq!(refused, format!("Illegal client matching pattern: {wrong}"));
        }
        assert!(set(MATCH, "").unwrap().selectors().is_empty());
    }

    #[test]
    fn lists_are_kept_in_one_spelling() {
        let settings = set(METRICS, " a.b , ,c ").unwrap();
        assert_eq!(settings.metrics().collect::<Vec<_>>(), ["a.b", "c"]);
        let stored: Vec<(&str, &str)> = settings.iter().collect();
        assert_eq!(stored, [(METRICS, "a.b,c")]);
        assert_eq!(ClientMetricsSettings::from_stored(stored.clone()), settings);
    }
}
