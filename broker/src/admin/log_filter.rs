//! What is logged, changed while the broker runs.

use std::str::FromStr as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Holds the filter of the process's log.
#[derive(Clone)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "nothing was sent; write a level or a filter, as in info, or info,millrace_broker::net=debug"
    )]
    Empty,
    #[error(
        "{0:?} is no level; there are error, warn, info, debug, trace and off, and target=level as in millrace_broker::net=debug"
    )]
    NoLevel(String),
    #[error(
        "{directive:?} is no filter: {error}; write target=level, as in millrace_broker::net=debug"
    )]
    Malformed { directive: String, error: String },
    #[error("the log has ended")]
    Gone,
}

impl LogFilter {
    /// The layer belongs below the one that writes.
    pub fn new(filter: EnvFilter) -> (reload::Layer<EnvFilter, Registry>, LogFilter) {
        let (layer, handle) = reload::Layer::new(filter);
        (layer, LogFilter { handle })
    }

    pub fn in_effect(&self) -> String {
        let text = self.handle.with_current(ToString::to_string);
        text.unwrap_or_else(|_| LevelFilter::OFF.to_string())
    }

    pub fn set(&self, text: &str) -> Result<(), Refused> {
        let filter = parse(text)?;
        self.handle.reload(filter).map_err(|_| Refused::Gone)
    }
}

/// Stricter than the syntax: a word alone would be a target of which everything is logged, and nothing else, which nobody
/// means who writes `inof`.
fn parse(text: &str) -> Result<EnvFilter, Refused> {
    let directives: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    if directives.is_empty() {
        return Err(Refused::Empty);
    }
    for directive in &directives {
        let level = directive
            .rsplit_once('=')
            .map_or(*directive, |(_, level)| level);
        if LevelFilter::from_str(level).is_err() {
            return Err(Refused::NoLevel(level.to_owned()));
        }
    }
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|error| Refused::Malformed {
            directive: directives.join(","),
            error: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_and_targets_are_taken() {
        assert_eq!(parse("debug").unwrap().to_string(), "debug");
        assert_eq!(parse(" OFF\n").unwrap().to_string(), "off");
        let both = parse("info, millrace_broker::net=trace")
            .unwrap()
            .to_string();
        assert!(
            both.contains("millrace_broker::net=trace") && both.contains("info"),
            "{both}"
        );
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_would_be_right() {
        assert_eq!(parse(" , ").unwrap_err(), Refused::Empty);
        let why = |text: &str| parse(text).unwrap_err().to_string();
        assert!(why("inof").contains("\"inof\" is no level"));
        assert!(why("info,millrace_broker=debgu").contains("\"debgu\" is no level"));
        assert!(why("millrace_broker").contains("target=level"));
        assert!(why("a[b=debug").contains("target=level"));
    }
}
