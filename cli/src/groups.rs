//! `kafka-groups`: groups of all kinds.

use crate::args::{Args, Spec, flag, value};
use crate::failure::Failure;
use crate::{Output, connect};
use millrace_client::admin::{GroupFilter, ListedGroup};

const SPEC: Spec = Spec {
    about: "This tool helps to list groups of all types.",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The Kafka server to connect to.",
        ),
        value(
            "command-config",
            "String: command config property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag("list", "List the groups."),
        value(
            "group-type",
            "String: type",
            "Filter the groups based on group type. Valid types are: 'classic', 'consumer', 'share' and 'streams'.",
        ),
        value(
            "protocol",
            "String: protocol",
            "Filter the groups based on protocol type.",
        ),
        flag(
            "consumer",
            "Filter the groups to show all kinds of consumer groups, including classic and simple consumer groups. This matches group type 'consumer', and group type 'classic' where the protocol type is 'consumer' or empty.",
        ),
        flag("share", "Filter the groups to show share groups."),
        flag("streams", "Filter the groups to show streams groups."),
    ],
};

const TYPES: [&str; 4] = ["classic", "consumer", "share", "streams"];

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    let wanted = Wanted::of(&args)?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    let groups = client.list_groups(&GroupFilter::default()).await?;
    let groups: Vec<&ListedGroup> = groups
        .iter()
        .filter(|group| wanted.matches(group))
        .collect();
    let width = groups.iter().map(|group| group.name.len()).max();
    let width = width.unwrap_or(0).max(20);
    let row = |name: &str, kind: &str, protocol: &str| {
        format!("{name:<width$} {kind:<20} {protocol:<20}")
    };
    writeln!(out, "{}", row("GROUP", "TYPE", "PROTOCOL"))?;
    for group in groups {
        let kind = group.kind.as_deref().unwrap_or_default();
        // The blank at the end is Kafka's.
        writeln!(
            out,
            "{} ",
            row(&group.name, &title(kind), &group.protocol_type)
        )?;
    }
    Ok(())
}

/// `Classic`, whatever a broker's letters.
fn title(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    let mut letters = lower.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    kind: Option<String>,
    protocol: Option<String>,
    of_consumers: bool,
}

impl Wanted {
    fn of(args: &Args) -> Result<Wanted, Failure> {
        args.require(&["bootstrap-server"])?;
        if !args.has("list") {
            return Err(args.usage("Command must include exactly one action: --list."));
        }
        args.forbid("consumer", &["group-type", "protocol", "share", "streams"])?;
        args.forbid("share", &["group-type", "protocol", "streams"])?;
        args.forbid("streams", &["group-type", "protocol"])?;
        let kind = args.value("group-type")?.map(str::to_ascii_lowercase);
        if kind.as_deref().is_some_and(|kind| !TYPES.contains(&kind)) {
            return Err(Failure::plain("--group-type must be a valid group type."));
        }
        let short = ["share", "streams"].into_iter().find(|kind| args.has(kind));
        Ok(Wanted {
            kind: kind.or(short.map(str::to_owned)),
            protocol: args.value("protocol")?.map(str::to_owned),
            of_consumers: args.has("consumer"),
        })
    }

    fn matches(&self, group: &ListedGroup) -> bool {
        let kind = group.kind.as_deref().unwrap_or("classic");
        let of = |wanted: &str| kind.eq_ignore_ascii_case(wanted);
        let protocol = group.protocol_type.as_str();
        let is_consumers = of("consumer") || of("classic") && matches!(protocol, "consumer" | "");
        self.kind.as_deref().is_none_or(of)
            && self.protocol.as_deref().is_none_or(|p| p == protocol)
            && (!self.of_consumers || is_consumers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> Result<Wanted, String> {
        let line = format!("--bootstrap-server h:1 {line}");
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let wanted = SPEC.parse(&args).and_then(|args| Wanted::of(&args));
        wanted.map_err(|f| f.stderr.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn groups_are_filtered_by_type_and_protocol() {
        let group = |kind: &str, protocol: &str| ListedGroup {
            name: "g".to_owned(),
            kind: Some(kind.to_owned()),
            protocol_type: protocol.to_owned(),
            state: None,
        };
        let check = |line: &str, kind: &str, protocol: &str| {
            wanted(line)
                .expect("options")
                .matches(&group(kind, protocol))
        };
        assert!(check("--list", "Classic", "connect"));
        assert!(check("--list --consumer", "Classic", ""));
        assert!(!check("--list --consumer", "Classic", "connect"));
        assert!(check(
            "--list --group-type consumer",
            "Consumer",
            "consumer"
        ));
        assert!(!check(
            "--list --group-type consumer",
            "Classic",
            "consumer"
        ));
        assert!(!check("--list --protocol connect", "Classic", "consumer"));
        assert!(!check("--list --share", "Classic", "consumer"));
        let refused = |line: &str, words: &str| assert_eq!(wanted(line), Err(words.to_owned()));
        refused("", "Command must include exactly one action: --list.");
        refused(
            "--list --group-type foo",
            "--group-type must be a valid group type.",
        );
    }
}
