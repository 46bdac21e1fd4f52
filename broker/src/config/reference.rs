//! `docs/reference/settings.md`, written from the tables.

use super::setting::{Importance, Scope, Served, Setting};
use super::table;
use std::fmt::Write as _;

const HEAD: &str = "\
# Settings

Written from the tables in `broker/src/config/table/`; to change this page, change them and run
`MILLRACE_WRITE_DOCS=1 cargo test -p millrace-broker --lib config::tests::reference`.

A broker takes its settings from, first the one that wins: `--override name=value`, an environment variable, the
settings file, the default. The variable of `num.partitions` is `MILLRACE_NUM_PARTITIONS`, that of
`millrace.cache.bytes` is `MILLRACE_CACHE_BYTES`. A name that is not here is refused.

What comes of a setting: **served**; *accepted*, which is taken with a warning and has no effect; or *refused*, where any
value but the default keeps the broker from starting (or the topic from being changed), because a guarantee it asks for
would be missing.

*Dynamic* settings can be changed with `kafka-configs` while brokers run: *per broker*, or *cluster-wide* for all at once,
too.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (area, rows) in table::BROKER {
        section(&mut page, area, rows, false);
    }
    section(&mut page, "Topics", table::TOPIC, true);
    section(&mut page, "Single groups", table::GROUP, true);
    page
}

fn section(page: &mut String, area: &str, rows: &[Setting], has_broker_s: bool) {
    let behind = if has_broker_s {
        " Broker's |"
    } else {
        " Dynamic |"
    };
    let rule = "|---|---|---|---|---|---|---|";
    write!(
        page,
        "\n## {area}\n\n| Name | Meaning | Type | Default | Valid | Importance |{behind} What comes of it |\n{rule}---|\n"
    )
    .expect("a string takes any text");
    for row in rows {
        let behind = if has_broker_s {
            let names: Vec<String> = row
                .synonyms
                .iter()
                .map(|s| format!("`{}`", s.name))
                .collect();
            names.join(", ")
        } else {
            dynamic(row.scope).to_owned()
        };
        let (name, doc) = (row.name, row.doc);
        let kind = row.kind.name().to_lowercase();
        let default = match row.default {
            None => "none".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let valid = row.valid.to_string();
        let importance = importance(row.importance);
        let served = served(row.served);
        writeln!(
            page,
            "| `{name}` | {doc} | {kind} | {default} | {valid} | {importance} | {behind} | {served} |"
        )
        .expect("a string takes any text");
    }
}

fn dynamic(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadOnly | Scope::Internal | Scope::Topic | Scope::Group => "no",
        Scope::PerBroker => "per broker",
        Scope::ClusterWide => "cluster-wide",
        Scope::DynamicOnly => "only",
    }
}

fn importance(importance: Importance) -> &'static str {
    match importance {
        Importance::High => "high",
        Importance::Medium => "medium",
        Importance::Low => "low",
    }
}

fn served(served: Served) -> String {
    match served {
        Served::Served => "**served**".to_owned(),
        Served::Accepted(reason) => format!("*accepted*: {reason}"),
        Served::Refused(reason) => format!("*refused*: {reason}"),
    }
}
