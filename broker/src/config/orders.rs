//! What settings say of each other: which is not to be more than which, and what must be there at all.

use super::derived::Reader;
use super::{quorum, table};

/// The first may not exceed the second.
const ORDERS: &[(&str, &str)] = &[
    (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    ),
    (
        "group.consumer.min.session.timeout.ms",
        "group.consumer.session.timeout.ms",
    ),
    (
        "group.consumer.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    (
        "log.cleaner.min.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
    ),
    ("millrace.log.budget.bytes", "millrace.log.limit.bytes"),
    ("millrace.packed.below.bytes", "millrace.run.bytes"),
];

/// The first must be less than the second: members that report no sooner than they are given up are all lost.
const STRICT: &[(&str, &str)] = &[(
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.session.timeout.ms",
)];

pub(super) fn check(reader: &mut Reader<'_>) {
    for (low, high) in ORDERS {
        let (least, most) = (reader.number(low), reader.number(high));
        if least > most {
            let what = format!("{low} ({least}) may not be more than {high} ({most})");
            reader.wrong(blamed(reader, low, high), what);
        }
    }
    for (low, high) in STRICT {
        let (less, more) = (reader.number(low), reader.number(high));
        if less >= more {
            let what = format!("{low} ({less}) must be less than {high} ({more})");
            reader.wrong(blamed(reader, low, high), what);
        }
    }
    for name in [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ] {
        if reader.given(name).is_some() && reader.number(name) == 0 {
            let what = "nothing would be kept; write 1 or more, or -1 for ever".to_owned();
            reader.wrong(name, what);
        }
    }
    let (queued, largest) = ("queued.max.request.bytes", "socket.request.max.bytes");
    if reader.number(queued) > 0 && reader.number(queued) < reader.number(largest) {
        let what = format!(
            "one request may have {} bytes ({largest})",
            reader.number(largest)
        );
        reader.wrong(queued, what);
    }
    quorum::check_silence(reader);
    groups(reader);
}

/// Of the two, the one that somebody wrote.
fn blamed(reader: &Reader<'_>, low: &'static str, high: &'static str) -> &'static str {
    match reader.given(low) {
        Some(_) => low,
        None => high,
    }
}

fn groups(reader: &mut Reader<'_>) {
    const PROTOCOLS: &str = "group.coordinator.rebalance.protocols";
    const ASSIGNORS: &str = "group.consumer.assignors";
    if !reader.items(PROTOCOLS).iter().any(|name| name == "classic") {
        let what = "the classic protocol cannot be left out; write classic,consumer, or classic";
        reader.wrong(PROTOCOLS, what.to_owned());
    }
    let given = reader.items(ASSIGNORS);
    let mut names: Vec<&str> = given
        .iter()
        .map(|name| table::assignor_name(name))
        .collect();
    if names.is_empty() {
        let what = "name at least one; there are uniform and range";
        reader.wrong(ASSIGNORS, what.to_owned());
    }
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        reader.wrong(ASSIGNORS, format!("{} is there twice", twice[0]));
    }
}
