//! Topics by a pattern of their names: a regular expression of RE2's kind, which the whole name must match.

use crate::group::catalog::Catalog;
use crate::group::{Name, Refusal};
use millrace_wire::ErrorCode;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// What a compiled pattern may take: a pattern comes from a stranger.
const COMPILED_BYTES: usize = 256 << 10;

/// What a pattern stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    pub topics: BTreeSet<Name>,
    /// Of the catalog that was looked through.
    pub version: u64,
    pub at_ms: i64,
}

/// Whether it is one.
pub fn check(pattern: &str) -> Result<(), Refusal> {
    compile(pattern).map(drop).map_err(|error| {
        let message =
            format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}");
        Refusal::new(ErrorCode::InvalidRegularExpression, message)
    })
}

/// The topics that match; none for what is no pattern.
pub fn matches(pattern: &str, catalog: &Catalog) -> BTreeSet<Name> {
    let Ok(regex) = compile(pattern) else {
        return BTreeSet::new();
    };
    let topics = catalog.topics().filter(|topic| regex.is_match(&topic.name));
    topics.map(|topic| topic.name.clone()).collect()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let pattern = unquoted(pattern);
    let build = |pattern: &str| {
        let built = RegexBuilder::new(pattern)
            .size_limit(COMPILED_BYTES)
            .build();
        built.map_err(|error| error.to_string())
    };
    // By itself first: parentheses that close what was not opened would pass below.
    build(&pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// RE2 takes everything between `\Q` and `\E` for what it says; `Pattern.quote` of Java writes topics so.
fn unquoted(pattern: &str) -> String {
    let mut plain = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        rest = match escape.strip_prefix(r"\Q") {
            Some(quoted) => {
                let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                plain.push_str(&regex::escape(quoted));
                after
            }
            None => {
                let end = escape
                    .char_indices()
                    .nth(2)
                    .map_or(escape.len(), |(at, _)| at);
                let (escape, after) = escape.split_at(end);
                plain.push_str(escape);
                after
            }
        };
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::catalog::Topic;
    use uuid::Uuid;

    fn matched(pattern: &str) -> Vec<String> {
        let names = ["a", "ab", "abc", "b.c", "bxc", "logs-1", "logs-2"];
        let topics = names.into_iter().zip(1..).map(|(name, id)| Topic {
            id: Uuid::from_u128(id),
            name: name.into(),
            racks: Vec::new(),
        });
        let catalog = Catalog::from_iter(topics);
        let matches = matches(pattern, &catalog);
        matches.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_whole_name_must_match() {
        assert_eq!(matched("a"), ["a"]);
        assert_eq!(matched("a|ab"), ["a", "ab"]);
        assert_eq!(matched("a.*"), ["a", "ab", "abc"]);
        assert_eq!(matched("^logs-[0-9]$"), ["logs-1", "logs-2"]);
        assert_eq!(matched(""), [""; 0]);
    }

    #[test]
    fn what_is_quoted_is_taken_for_what_it_says() {
        assert_eq!(matched("b.c"), ["b.c", "bxc"]);
        assert_eq!(matched(r"\Qb.c\E"), ["b.c"]);
        assert_eq!(matched(r"\Qb.\Ec|\Qa"), ["a", "b.c"]);
        assert_eq!(matched(r"b\.c"), ["b.c"]);
        assert_eq!(matched(r"logs\\Q1"), [""; 0]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_name() {
        for bad in ["(", "a)(b", "*", r"\", "[a", "a{99999}{99999}"] {
            let refusal = check(bad).expect_err(bad);
            assert_eq!(refusal.code, ErrorCode::InvalidRegularExpression);
            assert!(refusal.message.contains(bad), "{}", refusal.message);
        }
        assert_eq!(check("a+"), Ok(()));
    }
}
