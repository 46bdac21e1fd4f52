//! Where a broker's settings come from: the command line, the environment and a file, in this order of priority.

use super::layers::{Given, Origin};
use super::nearest::nearest;
use super::properties::{self, Properties};
use super::setting::{Served, Setting, Valid};
use super::value::{Invalid, Kind};
use super::{Errors, Problem, Warning, table};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const PREFIX: &str = "MILLRACE_";

/// Variables with the prefix that are no settings: `MILLRACE_LOG` chooses what is logged, the others are of the tests.
const NOT_SETTINGS: &[&str] = &["MILLRACE_LOG", "MILLRACE_TEST_FULL", "MILLRACE_WRITE_DOCS"];

/// What a broker is started with.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `name=value`, as behind `--override`; of duplicates the last wins.
    pub overrides: Vec<String>,
    /// All variables of the environment; those without the prefix are passed over.
    pub environment: Vec<(String, String)>,
    pub file: Option<SettingsFile>,
}

#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// For messages.
    pub path: String,
    pub properties: Properties,
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("read settings file {path}: {error}")]
    Read { path: String, error: std::io::Error },
    #[error("{path}: {error}")]
    Parse {
        path: String,
        error: properties::Error,
    },
}

impl SettingsFile {
    pub fn read(path: &Path) -> Result<SettingsFile, FileError> {
        let shown = path.display().to_string();
        let bytes = std::fs::File::open(path)
            .and_then(properties::read_bounded)
            .map_err(|error| FileError::Read {
                path: shown.clone(),
                error,
            })?;
        match Properties::parse_bytes(&bytes) {
            Ok(properties) => Ok(SettingsFile {
                path: shown,
                properties,
            }),
            Err(error) => Err(FileError::Parse { path: shown, error }),
        }
    }
}

/// Values by name, with everything that is wrong and everything that is without effect.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub given: BTreeMap<&'static str, Given>,
    pub errors: Errors,
    pub warnings: Vec<Warning>,
}

impl Gathered {
    pub fn from(sources: &Sources) -> Gathered {
        let mut gathered = Gathered::default();
        if let Some(file) = &sources.file {
            for entry in file.properties.iter() {
                let origin = Origin::File {
                    path: file.path.clone(),
                    line: entry.line,
                };
                gathered.named(&entry.name, &entry.value, origin);
            }
        }
        gathered.environment(&sources.environment);
        for text in &sources.overrides {
            match text.split_once('=') {
                Some((name, value)) => gathered.named(name.trim(), value, Origin::Override),
                None => gathered.errors.push(Problem {
                    origin: Some(Origin::Override),
                    setting: text.clone(),
                    what: "write it as name=value".to_owned(),
                }),
            }
        }
        gathered.warn();
        gathered
    }

    fn environment(&mut self, variables: &[(String, String)]) {
        let rows: HashMap<String, &'static Setting> = table::broker_settings()
            .map(|row| (row.variable(), row))
            .collect();
        let mut variables: Vec<&(String, String)> = variables.iter().collect();
        variables.sort();
        for (variable, value) in variables {
            if !variable.starts_with(PREFIX)
                || NOT_SETTINGS.contains(&variable.as_str())
                || is_service_link(variable, value)
            {
                continue;
            }
            let origin = Origin::Environment(variable.clone());
            match rows.get(variable) {
                Some(row) => self.known(row, value, origin),
                None => {
                    let near = nearest(variable, rows.keys().map(String::as_str));
                    self.errors.push(Problem {
                        origin: None,
                        setting: format!("environment variable {variable}"),
                        what: unknown(&near),
                    });
                }
            }
        }
    }

    fn named(&mut self, name: &str, value: &str, origin: Origin) {
        if let Some(row) = table::broker_setting(name) {
            return self.known(row, value, origin);
        }
        let what = if let Some(row) = of_one_listener(name) {
            match row.served {
                Served::Refused(reason) => reason.to_owned(),
                Served::Served | Served::Accepted(_) => format!(
                    "settings of a single listener are not served; write {} for all of them",
                    row.name
                ),
            }
        } else if name.starts_with("rsm.config.") || name.starts_with("rlmm.config.") {
            "tiered storage is not served; leave it out".to_owned()
        } else {
            unknown(&nearest(name, table::broker_settings().map(|row| row.name)))
        };
        self.errors.push(Problem {
            origin: Some(origin),
            setting: name.to_owned(),
            what,
        });
    }

    fn known(&mut self, row: &'static Setting, text: &str, origin: Origin) {
        // An empty value where Kafka's default is null asks for nothing; but an empty list of directories is a mistake.
        if text.trim().is_empty() && row.default.is_none() && row.kind != Kind::List {
            return;
        }
        let problem = |what: String| {
            let shown = if row.is_sensitive() { "[hidden]" } else { text };
            Problem {
                origin: Some(origin.clone()),
                setting: format!("{}={shown}", row.name),
                what,
            }
        };
        let value = match row.parse(text) {
            Ok(value) => value,
            Err(invalid) => {
                let reason = match invalid {
                    Invalid::Value { reason, .. } => reason,
                    Invalid::EmptyItem { .. } => "Values must not be empty".to_owned(),
                };
                let what = format!("{reason}; {}", right(row));
                return self.errors.push(problem(what));
            }
        };
        if let Served::Refused(reason) = row.served
            && Some(&value) != row.default_value().as_ref()
        {
            return self.errors.push(problem(reason.to_owned()));
        }
        self.given.insert(row.name, Given { value, origin });
    }

    fn warn(&mut self) {
        for (name, given) in &self.given {
            let row = table::broker_setting(name);
            if let Some(Served::Accepted(reason)) = row.map(|row| row.served) {
                self.warnings.push(Warning {
                    origin: given.origin.clone(),
                    name,
                    reason,
                });
            }
        }
    }
}

/// What would be right.
fn right(row: &Setting) -> String {
    let kind = match row.kind {
        Kind::Boolean => "true or false",
        Kind::Int | Kind::Short | Kind::Long => "a whole number",
        Kind::Double => "a number",
        Kind::List => "a list with commas",
        Kind::String | Kind::Class | Kind::Password => "text",
    };
    let bounds = match (row.valid, row.kind) {
        (Valid::AtLeast(_) | Valid::Between(..) | Valid::BetweenOr(..) | Valid::Within(..), _) => {
            format!(" in {}", row.valid)
        }
        (Valid::Any, Kind::Int) => format!(" in [{},...,{}]", i32::MIN, i32::MAX),
        (Valid::Any, Kind::Short) => format!(" in [{},...,{}]", i16::MIN, i16::MAX),
        _ => String::new(),
    };
    match row.default {
        Some(default) if !default.is_empty() => {
            format!("write {kind}{bounds}, as in {default}")
        }
        _ => format!("write {kind}{bounds}"),
    }
}

fn unknown(near: &[&str]) -> String {
    if near.is_empty() {
        return "no such setting; docs/reference/settings.md lists all".to_owned();
    }
    format!("no such setting; did you mean {}?", near.join(" or "))
}

/// `listener.name.internal.ssl.keystore.location`: the setting behind the listener's name.
fn of_one_listener(name: &str) -> Option<&'static Setting> {
    let (_, mut rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    loop {
        if let Some(row) = table::broker_setting(rest) {
            return Some(row);
        }
        // The name of a SASL mechanism may stand between.
        rest = rest.split_once('.')?.1;
    }
}

/// What Kubernetes adds for each service: `MILLRACE_SERVICE_HOST`, `MILLRACE_PORT=tcp://...`, `MILLRACE_PORT_9092_TCP`.
fn is_service_link(variable: &str, value: &str) -> bool {
    let protocols = ["_TCP", "_UDP", "_SCTP"];
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || (variable.ends_with("_PORT") && value.contains("://"))
        || (variable.contains("_PORT_") && protocols.iter().any(|p| variable.contains(p)))
}
