//! The options of `kafka-consumer-groups`, and which of them go together.

use crate::args::{Args, Opt, Spec, Takes, flag, value};
use crate::failure::Failure;
use millrace_client::admin::GroupState;

pub const SPEC: Spec = Spec {
    about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "The server(s) to connect to. REQUIRED for all options except for --validate-regex.",
        ),
        value(
            "command-config",
            "String: command config property file",
            "Property file containing configs to be passed to Admin Client and Consumer.",
        ),
        value(
            "timeout",
            "Long: timeout (ms)",
            "How long each thing asked of the cluster may take, its retries included, in milliseconds. (default: 30000)",
        ),
        flag("list", "List all consumer groups."),
        flag(
            "describe",
            "Describe consumer group and list offset lag (number of messages not yet processed) related to given group.",
        ),
        flag(
            "delete",
            "Pass in groups to delete topic partition offsets and ownership information over the entire consumer group. For instance --group g1 --group g2",
        ),
        flag(
            "delete-offsets",
            "Delete offsets of consumer group. Supports one consumer group at the time, and multiple topics.",
        ),
        flag(
            "reset-offsets",
            "Reset offsets of consumer groups, whose members must be inactive. --dry-run (the default) shows which offsets would be set, --execute sets them, --export shows them as CSV. Choose one of --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset, and with --all-topics or --topic of what; --from-file says that itself.",
        ),
        value(
            "validate-regex",
            "String: regex",
            "Validate that the syntax of the provided regular expression is valid according to the RE2 format.",
        ),
        value(
            "group",
            "String: consumer group",
            "The consumer group we wish to act on. May be given again.",
        ),
        flag("all-groups", "Apply to all consumer groups."),
        value(
            "topic",
            "String: topic",
            "The topic whose offsets are to be deleted or reset, and after a ':' its partitions: topic1:0,1,2. May be given again.",
        ),
        flag(
            "all-topics",
            "Consider all topics assigned to a group in the `reset-offsets` process.",
        ),
        flag(
            "members",
            "Describe members of the group. May be used with '--describe' only.",
        ),
        flag(
            "offsets",
            "Describe the group and list all topic partitions in the group along with their offset lag. The default of '--describe', with which alone it may be used.",
        ),
        Opt {
            name: "state",
            takes: Takes::MaybeValue("String"),
            about: "With '--describe', the state of the group. With '--list', the states of all groups, or the groups in specific states: --list --state stable,empty",
        },
        Opt {
            name: "type",
            takes: Takes::MaybeValue("String"),
            about: "With '--list', the types of all groups, or the groups of specific types: --list --type classic,consumer",
        },
        flag(
            "verbose",
            "Provide additional information, if any, when describing the group.",
        ),
        flag(
            "dry-run",
            "Only show which offsets --reset-offsets would set.",
        ),
        flag("execute", "Set the offsets of --reset-offsets."),
        flag("export", "Show the offsets of --reset-offsets as CSV."),
        flag("to-earliest", "Reset offsets to earliest offset."),
        flag("to-latest", "Reset offsets to latest offset."),
        flag("to-current", "Reset offsets to current offset."),
        value(
            "to-offset",
            "Long: offset",
            "Reset offsets to a specific offset.",
        ),
        value(
            "to-datetime",
            "String: datetime",
            "Reset offsets to offset from datetime. Format: 'YYYY-MM-DDThh:mm:ss.sss'",
        ),
        value(
            "by-duration",
            "String: duration",
            "Reset offsets to offset by duration from current timestamp. Format: 'PnDTnHnMnS'",
        ),
        value(
            "shift-by",
            "Long: number-of-offsets",
            "Reset offsets shifting current offset by 'n', where 'n' can be positive or negative.",
        ),
        value(
            "from-file",
            "String: path to CSV file",
            "Reset offsets to values defined in CSV file.",
        ),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    List,
    Describe,
    Delete,
    DeleteOffsets,
    Reset,
    ValidateRegex,
}

const ACTIONS: [(&str, Action); 6] = [
    ("list", Action::List),
    ("describe", Action::Describe),
    ("delete", Action::Delete),
    ("reset-offsets", Action::Reset),
    ("delete-offsets", Action::DeleteOffsets),
    ("validate-regex", Action::ValidateRegex),
];

pub const SCENARIOS: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "shift-by",
    "from-file",
];

/// Options that mean something beside others only.
const AVAILABLE_WITH: [(&str, &[&str]); 5] = [
    ("members", &["describe"]),
    ("offsets", &["describe"]),
    ("verbose", &["describe"]),
    ("state", &["describe", "list"]),
    ("type", &["list"]),
];

const NOTHING_IS_DONE: &str = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.";

pub fn check(args: &Args) -> Result<Action, Failure> {
    for (option, with) in AVAILABLE_WITH {
        if args.has(option) && !with.iter().any(|other| args.has(other)) {
            return Err(Failure::plain(format!(
                "Option(s) [{option}] are unavailable given other options on the command line"
            )));
        }
    }
    let has_groups = args.has("group") || args.has("all-groups");
    if args.has("describe") {
        if !has_groups {
            return Err(
                args.usage("Option [describe] takes one of these options: [all-groups], [group]")
            );
        }
        let parts = ["members", "offsets", "state"];
        if parts.iter().filter(|part| args.has(part)).count() > 1 {
            return Err(args.usage(
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ));
        }
        if args.value("state")?.is_some() {
            return Err(args.usage("Option [describe] does not take a value for [state]"));
        }
    }
    if args.has("delete") {
        if !has_groups {
            return Err(
                args.usage("Option [delete] takes one of these options: [all-groups], [group]")
            );
        }
        if args.has("topic") {
            return Err(args.usage(
                "The consumer does not support topic-specific offset deletion from a consumer group.",
            ));
        }
    }
    if args.has("delete-offsets") && !(args.has("group") && args.has("topic")) {
        return Err(
            args.usage("Option [delete-offsets] takes the following options: [group], [topic]")
        );
    }
    if args.has("reset-offsets") {
        check_reset(args, has_groups)?;
    }
    args.forbid("group", &["all-groups", "list"])?;
    args.forbid("topic", &["list", "describe"])?;
    let mut actions = ACTIONS.iter().filter(|(name, _)| args.has(name));
    let action = match (actions.next(), actions.next()) {
        (Some(&(_, action)), None) => action,
        (None, _) | (Some(_), Some(_)) => {
            return Err(args.usage(
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex.",
            ));
        }
    };
    if action != Action::ValidateRegex {
        args.require(&["bootstrap-server"])?;
    }
    Ok(action)
}

fn check_reset(args: &Args, has_groups: bool) -> Result<(), Failure> {
    if args.has("dry-run") && args.has("execute") {
        return Err(
            args.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
        );
    }
    if !args.has("dry-run") && !args.has("execute") {
        eprintln!("{NOTHING_IS_DONE}");
    }
    if !has_groups {
        return Err(
            args.usage("Option [reset-offsets] takes one of these options: [group], [all-groups]")
        );
    }
    for scenario in SCENARIOS {
        let others: Vec<&str> = SCENARIOS
            .into_iter()
            .filter(|&other| other != scenario)
            .collect();
        args.forbid(scenario, &others)?;
    }
    if !["all-topics", "topic", "from-file"]
        .iter()
        .any(|scope| args.has(scope))
    {
        return Err(args.usage("One of the reset scopes should be defined: --all-topics, --topic."));
    }
    if !SCENARIOS.iter().any(|scenario| args.has(scenario)) {
        let names = SCENARIOS.map(|name| format!("[{name}]"));
        return Err(args.usage(format!(
            "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
            names.join(", ")
        )));
    }
    Ok(())
}

/// The states of `--list --state a,b`; none without a value.
pub fn states(text: Option<&str>) -> Result<Vec<GroupState>, String> {
    const VALID: [GroupState; 7] = [
        GroupState::PreparingRebalance,
        GroupState::Reconciling,
        GroupState::Dead,
        GroupState::Empty,
        GroupState::CompletingRebalance,
        GroupState::Stable,
        GroupState::Assigning,
    ];
    let text = text.unwrap_or_default();
    let named = text.split(',').filter(|_| !text.is_empty());
    let states: Vec<GroupState> = named.map(|name| GroupState::parse(name.trim())).collect();
    if states.iter().all(|state| VALID.contains(state)) {
        return Ok(states);
    }
    Err(format!(
        "Invalid state list '{text}'. Valid states are: {}",
        VALID.map(GroupState::name).join(", ")
    ))
}

/// The types of `--list --type a,b`; none without a value.
pub fn types(text: Option<&str>) -> Result<Vec<String>, String> {
    let text = text.unwrap_or_default();
    let named = text.split(',').filter(|_| !text.is_empty());
    let types: Vec<String> = named.map(|name| name.trim().to_lowercase()).collect();
    if types
        .iter()
        .all(|kind| matches!(kind.as_str(), "classic" | "consumer"))
    {
        return Ok(types);
    }
    Err(format!(
        "Invalid types list '{text}'. Valid types are: Consumer, Classic"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<Action, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let first_line = |failure: Failure| {
            let line = failure.stderr.lines().next().unwrap_or_default();
            line.to_owned()
        };
        check(&SPEC.parse(&args).map_err(first_line)?).map_err(first_line)
    }

    #[test]
    fn an_action_is_chosen() {
        let check = |line: &str, action| {
            assert_eq!(
                checked(&format!("--bootstrap-server h:1 {line}")),
                Ok(action),
                "{line}"
            );
        };
        check("--list --state --type", Action::List);
        check(
            "--describe --all-groups --members --verbose",
            Action::Describe,
        );
        check("--delete --group a --group b", Action::Delete);
        check(
            "--delete-offsets --group a --topic t",
            Action::DeleteOffsets,
        );
        check(
            "--reset-offsets --group a --topic t --shift-by -1 --dry-run",
            Action::Reset,
        );
        assert_eq!(checked("--validate-regex a.*"), Ok(Action::ValidateRegex));
    }

    #[test]
    fn what_does_not_go_together_is_refused_in_kafkas_words() {
        let check = |line: &str, expected: &str| {
            assert_eq!(checked(line), Err(expected.to_owned()), "{line}");
        };
        check("--list", "Missing required argument \"[bootstrap-server]\"");
        check(
            "--list --members",
            "Option(s) [members] are unavailable given other options on the command line",
        );
        check(
            "--describe --group g --state stable",
            "Option [describe] does not take a value for [state]",
        );
        check(
            "--reset-offsets --group g --topic t --to-earliest --to-latest --dry-run",
            "Option \"[to-earliest]\" can't be used with option \"[to-latest]\"",
        );
        check(
            "--reset-offsets --group g --to-latest --dry-run",
            "One of the reset scopes should be defined: --all-topics, --topic.",
        );
        check(
            "--delete --group g --topic t",
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        );
    }

    #[test]
    fn filters_are_lists_of_names_that_exist() {
        assert_eq!(states(None), Ok(Vec::new()));
        assert_eq!(
            states(Some("stable, EMPTY")),
            Ok(vec![GroupState::Stable, GroupState::Empty])
        );
        assert!(states(Some("stable,foo")).is_err());
        assert_eq!(types(Some("Classic")), Ok(vec!["classic".to_owned()]));
        assert!(types(Some("share")).is_err());
    }
}
