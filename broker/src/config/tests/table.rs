//! The tables agree with themselves.

use crate::config::broker::FIELDS;
use crate::config::setting::{Scope, Served};
use crate::config::{BrokerConfig, Sources, table};
use std::collections::BTreeSet;

pub(super) fn load(overrides: &[&str]) -> BrokerConfig {
    let mut all = vec!["node.id=1".to_owned()];
    all.extend(overrides.iter().map(|text| (*text).to_owned()));
    let sources = Sources {
        overrides: all,
        ..Sources::default()
    };
    match BrokerConfig::load(&sources) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn names_and_variables_are_unique() {
    let mut names = BTreeSet::new();
    let mut variables = BTreeSet::new();
    for row in table::broker_settings() {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert!(variables.insert(row.variable()), "{}", row.variable());
        assert_ne!(row.scope, Scope::Topic, "{}", row.name);
    }
    let mut names = BTreeSet::new();
    for row in table::TOPIC {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert_eq!(row.scope, Scope::Topic, "{}", row.name);
    }
}

#[test]
fn every_default_is_valid_and_spelled_as_it_is_shown() {
    for row in table::broker_settings().chain(table::TOPIC) {
        let Some(text) = row.default else { continue };
        match row.parse(text) {
            Ok(value) => assert_eq!(value.to_string(), text, "{}", row.name),
            // Kafka's own default of broker.id and the like lie in bounds, too.
            Err(invalid) => panic!("{invalid}"),
        }
    }
}
