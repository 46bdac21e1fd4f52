//! Values that are set while the cluster runs, on a topic or on brokers, and how IncrementalAlterConfigs changes them.

use super::setting::Setting;
use super::value::{Invalid, Kind, Value};
use std::collections::BTreeMap;

/// What is asked of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Set(String),
    Delete,
    /// Adds the items that a list does not have yet.
    Append(String),
    /// Takes items out of a list.
    Subtract(String),
}

/// Validated values by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<&'static str, String>);

impl Overrides {
    pub fn get(&self, row: &Setting) -> Option<Value> {
        row.parse(self.0.get(row.name)?).ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn set(&mut self, row: &Setting, text: &str) -> Result<(), Invalid> {
        let value = row.parse(text)?;
        self.0.insert(row.name, value.to_string());
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// `None` if the setting is no list. What is not set yet starts from Kafka's default, as in Kafka.
    pub(super) fn change_items(
        &mut self,
        row: &Setting,
        text: &str,
        adds: bool,
    ) -> Option<Result<(), Invalid>> {
        if row.kind != Kind::List {
            return None;
        }
        let current = match self.get(row).or_else(|| row.default_value()) {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        };
        let named: Vec<String> = match text.trim() {
            "" => Vec::new(),
            text => text.split(',').map(|item| item.trim().to_owned()).collect(),
        };
        let items: Vec<String> = if adds {
            current.into_iter().chain(named).collect()
        } else {
            current
                .into_iter()
                .filter(|item| !named.contains(item))
                .collect()
        };
        Some(self.set(row, &items.join(",")))
    }
}
