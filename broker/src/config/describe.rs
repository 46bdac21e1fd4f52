//! Settings as DescribeConfigs lists them: sources and synonyms in Kafka's order and with Kafka's omissions.

use super::broker::BrokerConfig;
use super::group::GroupSettings;
use super::overrides::Overrides;
use super::setting::{Scope, Setting};
use super::table;
use super::topic::TopicSettings;
use super::value::{Kind, Value};

/// Where a value comes from. The order is that of Kafka's synonyms, the first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    DynamicClientMetrics,
    DynamicGroup,
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

impl Source {
    pub(super) const OF_BROKERS: [Source; 4] = [
        Source::DynamicBroker,
        Source::DynamicDefaultBroker,
        Source::StaticBroker,
        Source::Default,
    ];

    /// The number on the wire.
    pub fn id(self) -> i8 {
        match self {
            Source::DynamicTopic => 1,
            Source::DynamicBroker => 2,
            Source::DynamicDefaultBroker => 3,
            Source::StaticBroker => 4,
            Source::Default => 5,
            Source::DynamicClientMetrics => 7,
            Source::DynamicGroup => 8,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Source::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Source::StaticBroker => "STATIC_BROKER_CONFIG",
            Source::Default => "DEFAULT_CONFIG",
            Source::DynamicClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Source::DynamicGroup => "DYNAMIC_GROUP_CONFIG",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    /// `None` is null: not set, or hidden.
    pub value: Option<String>,
    pub source: Source,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub kind: Kind,
    pub doc: &'static str,
    /// All values that were set, the one in effect first.
    pub synonyms: Vec<SynonymEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymEntry {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: Source,
}

impl BrokerConfig {
    /// A broker's settings, by name.
    pub fn describe(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = table::broker_settings()
            .filter(|row| row.scope.is_listed() || self.is_set(row))
            .map(|row| {
                let synonyms = self.synonyms(row.name);
                entry(row, self.effective(row.name), synonyms)
            })
            .collect();
        entries.sort_by_key(|entry| entry.name);
        entries
    }

    /// What was set for all brokers at once: the entity without a name.
    pub fn describe_cluster_defaults(&self) -> Vec<Entry> {
        let of_all = |row: &&Setting| {
            let value = self.layers.at(Source::DynamicDefaultBroker, row);
            value.is_some()
        };
        let mut entries: Vec<Entry> = table::broker_settings()
            .filter(of_all)
            .map(|row| {
                let value = self.layers.at(Source::DynamicDefaultBroker, row);
                let mut synonyms = self.synonyms(row.name);
                synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
                entry(row, value, synonyms)
            })
            .collect();
        entries.sort_by_key(|entry| entry.name);
        entries
    }

    /// A topic's settings, by name.
    pub fn describe_topic(&self, topic: &TopicSettings) -> Vec<Entry> {
        let own = topic.overrides();
        self.describe_own(table::TOPIC, own, Source::DynamicTopic, |row| {
            match row.synonyms.first() {
                Some(first) => self.synonyms(first.name),
                None => Vec::new(),
            }
        })
    }

    /// A group's settings, by name, whether there is such a group or not.
    pub fn describe_group(&self, group: &GroupSettings) -> Vec<Entry> {
        let own = group.overrides();
        self.describe_own(table::GROUP, own, Source::DynamicGroup, |row| {
            let default = |row: &Setting| SynonymEntry {
                name: row.name,
                value: shown(row, row.default_value().as_ref()),
                source: Source::Default,
            };
            match row.synonyms.first() {
                Some(first) => self.synonyms(first.name),
                // Only here Kafka tells a default that no broker's setting stands behind.
                None => vec![default(row)],
            }
        })
    }

    /// What is set on a topic or a group, or lies behind it.
    fn describe_own(
        &self,
        rows: &'static [Setting],
        own: &Overrides,
        source: Source,
        behind: impl Fn(&Setting) -> Vec<SynonymEntry>,
    ) -> Vec<Entry> {
        let describe = |row: &'static Setting| {
            let set = own.get(row);
            let value = set.clone().or_else(|| self.layers.behind(row))?;
            let mut synonyms = behind(row);
            if let Some(set) = &set {
                let set = SynonymEntry {
                    name: row.name,
                    value: shown(row, Some(set)),
                    source,
                };
                synonyms.insert(0, set);
            }
            Some(entry(row, Some(value), synonyms))
        };
        let mut entries: Vec<Entry> = rows.iter().filter_map(describe).collect();
        entries.sort_by_key(|entry| entry.name);
        entries
    }

    fn is_set(&self, row: &Setting) -> bool {
        let mut sources = Source::OF_BROKERS.iter();
        sources.any(|source| *source != Source::Default && self.layers.at(*source, row).is_some())
    }

    fn synonyms(&self, name: &'static str) -> Vec<SynonymEntry> {
        let names = table::broker_synonyms(name);
        let mut found = Vec::new();
        for source in Source::OF_BROKERS {
            for name in &names {
                let Some(row) = table::broker_setting(name) else {
                    continue;
                };
                if let Some(value) = self.layers.at(source, row) {
                    found.push(SynonymEntry {
                        name: row.name,
                        value: shown(row, Some(&value)),
                        source,
                    });
                }
            }
        }
        // Kafka leaves out what stands before the first value of the name itself, even if that is all there is.
        let first = found.iter().position(|synonym| synonym.name == name);
        found.drain(..first.unwrap_or(found.len()));
        found
    }
}

fn entry(row: &'static Setting, value: Option<Value>, synonyms: Vec<SynonymEntry>) -> Entry {
    let source = synonyms.first().map(|synonym| synonym.source);
    Entry {
        name: row.name,
        value: shown(row, value.as_ref()),
        source: source.unwrap_or(Source::Default),
        is_read_only: !matches!(row.scope, Scope::Topic | Scope::Group) && !row.scope.is_dynamic(),
        is_sensitive: row.is_sensitive(),
        kind: row.kind,
        doc: row.doc,
        synonyms,
    }
}

fn shown(row: &Setting, value: Option<&Value>) -> Option<String> {
    match value {
        Some(value) if !row.is_sensitive() => Some(value.to_string()),
        _ => None,
    }
}
