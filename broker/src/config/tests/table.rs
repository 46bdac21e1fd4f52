//! The tables agree with themselves.

use super::broker;
use crate::config::broker::FIELDS;
use crate::config::setting::{Scope, Served, Setting};
use crate::config::table;
use std::collections::BTreeSet;

/// Served settings that several of make one field.
const DERIVED: &[&str] = &[
    "advertised.listeners",
    "broker.id",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "max.connections.per.ip.overrides",
    "millrace.control.listener",
    "millrace.metrics.listener",
    "millrace.peer.secret.files",
    "node.id",
    "process.roles",
    "security.inter.broker.protocol",
];

fn all() -> impl Iterator<Item = &'static Setting> {
    table::broker_settings()
        .chain(table::TOPIC)
        .chain(table::GROUP)
}

fn is_served(row: &&'static Setting) -> bool {
    row.served == Served::Served
}

#[test]
fn names_and_variables_are_unique() {
    let mut names = BTreeSet::new();
    let mut variables = BTreeSet::new();
    for row in table::broker_settings() {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert!(variables.insert(row.variable()), "{}", row.variable());
        let is_own = matches!(row.scope, Scope::Topic | Scope::Group);
        assert!(!is_own, "{}", row.name);
    }
    let mut names = BTreeSet::new();
    for row in table::TOPIC {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert_eq!(row.scope, Scope::Topic, "{}", row.name);
    }
    let mut names = BTreeSet::new();
    for row in table::GROUP {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert_eq!(row.scope, Scope::Group, "{}", row.name);
    }
}

#[test]
fn every_default_is_valid_and_spelled_as_it_is_shown() {
    for row in all() {
        let Some(text) = row.default else { continue };
        match row.parse(text) {
            Ok(value) => assert_eq!(value.to_string(), text, "{}", row.name),
            Err(invalid) => panic!("{invalid}"),
        }
    }
}

#[test]
fn what_is_served_is_read_and_what_is_read_is_served() {
    let behind_topics = |name: &str| {
        let mut rows = table::TOPIC.iter().filter(is_served);
        rows.any(|row| row.synonyms.iter().any(|synonym| synonym.name == name))
    };
    for row in table::broker_settings().filter(is_served) {
        let places = [
            FIELDS.contains(&row.name),
            DERIVED.contains(&row.name),
            behind_topics(row.name),
        ];
        let count = places.iter().filter(|place| **place).count();
        assert_eq!(count, 1, "{} is read in {count} places", row.name);
    }
    for name in FIELDS.iter().chain(DERIVED) {
        let row = table::broker_setting(name).expect("a field's name is in the table");
        assert_eq!(row.served, Served::Served, "{name}");
    }
}

#[test]
fn a_topic_s_default_and_the_broker_s_behind_it_agree() {
    let broker = broker(&[]);
    for row in table::TOPIC {
        let mut names = BTreeSet::new();
        for synonym in row.synonyms {
            let behind = table::broker_setting(synonym.name).expect("a synonym is in the table");
            assert!(names.insert(synonym.name), "{}", row.name);
            assert_eq!(
                behind.served, row.served,
                "{} and {}",
                row.name, synonym.name
            );
        }
        let shown = broker.layers.behind(row);
        assert_eq!(shown, row.default_value(), "{}", row.name);
    }
}

#[test]
fn every_bound_of_a_field_fits_the_field() {
    for row in table::broker_settings().filter(is_served) {
        for text in [
            "-9223372036854775808",
            "-1",
            "0",
            "9223372036854775807",
            "2147483647",
        ] {
            let setting = format!("{}={text}", row.name);
            // Refused or taken, but never a panic.
            let _ = super::try_load("", &[], &["node.id=1", &setting]);
        }
    }
}

#[test]
fn a_row_says_what_a_reader_needs() {
    for row in all() {
        assert!(
            row.doc.ends_with('.') || row.doc.ends_with(')'),
            "{}: {}",
            row.name,
            row.doc
        );
        assert!(
            !row.doc.contains('|'),
            "{} breaks the reference's table",
            row.name
        );
        if let Served::Accepted(reason) | Served::Refused(reason) = row.served {
            assert!(reason.len() > 10, "{}", row.name);
            assert!(
                !reason.contains('|'),
                "{} breaks the reference's table",
                row.name
            );
        }
    }
}
