//! The options of `kafka-reassign-partitions`, and which of them go with which action.

use crate::args::{Args, Spec, flag, value};
use crate::connect;
use crate::failure::Failure;

pub const SPEC: Spec = Spec {
    about: "This tool helps to move topic partitions between replicas.",
    options: &[
        value(
            "bootstrap-server",
            "String: Server(s) to use for bootstrapping",
            "the server(s) to use for bootstrapping.",
        ),
        value(
            "bootstrap-controller",
            "String: bootstrap controller to connect to",
            connect::CONTROLLERS,
        ),
        value(
            "command-config",
            "String: Admin client property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag(
            "generate",
            "Generate a candidate partition reassignment configuration. Note that this only generates a candidate assignment, it does not execute it.",
        ),
        flag(
            "execute",
            "Kick off the reassignment as specified by the --reassignment-json-file option.",
        ),
        flag(
            "verify",
            "Verify if the reassignment completed as specified by the --reassignment-json-file option. If there is a throttle engaged for the replicas specified, and the rebalance has completed, the throttle will be removed",
        ),
        flag("cancel", "Cancel an active reassignment."),
        flag("list", "List all active partition reassignments."),
        value(
            "reassignment-json-file",
            "String: manual assignment json file path",
            "The JSON file with the partition reassignment configuration. The format to use is -\n{\"partitions\":\n  [{\"topic\": \"foo\",\n    \"partition\": 1,\n    \"replicas\": [1,2,3],\n    \"log_dirs\": [\"dir1\",\"dir2\",\"dir3\"]}],\n \"version\":1\n}\nNote that \"log_dirs\" is optional. When it is specified, its length must equal the length of the replicas list. The value in this list can be either \"any\" or the absolute path of the log directory on the broker.",
        ),
        value(
            "topics-to-move-json-file",
            "String: topics to reassign json file path",
            "Generate a reassignment configuration to move the partitions of the specified topics to the list of brokers specified by the --broker-list option. The format to use is -\n{\"topics\":\n  [{\"topic\": \"foo\"},{\"topic\": \"foo1\"}],\n \"version\":1\n}",
        ),
        value(
            "broker-list",
            "String: brokerlist",
            "The list of brokers to which the partitions need to be reassigned in the form \"0,1,2\". This is required if --topics-to-move-json-file is used to generate reassignment configuration",
        ),
        flag(
            "disable-rack-aware",
            "Disable rack aware replica assignment",
        ),
        flag(
            "disallow-replication-factor-change",
            "Denies the ability to change a partition's replication factor as part of this reassignment through adding validation against it.",
        ),
        flag(
            "additional",
            "Execute this reassignment in addition to any other ongoing ones. This option can also be used to change the throttle of an ongoing reassignment.",
        ),
        flag(
            "preserve-throttles",
            "Do not modify broker or topic throttles.",
        ),
        value(
            "throttle",
            "Long: throttle",
            "The movement of partitions between brokers will be throttled to this value (bytes/sec). This option can be included with --execute when a reassignment is started, and it can be altered by resubmitting the current reassignment along with the --additional flag. The throttle rate should be at least 1 KB/s. (default: -1)",
        ),
        value(
            "replica-alter-log-dirs-throttle",
            "Long: replicaAlterLogDirsThrottle",
            "The movement of replicas between log directories on the same broker will be throttled to this value (bytes/sec). (default: -1)",
        ),
        value(
            "timeout",
            "Long: timeout",
            "The maximum time in ms to wait for log directory replica assignment to begin. (default: 10000)",
        ),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Generate,
    Execute,
    Verify,
    Cancel,
    List,
}

/// What an action needs, and what else it may have beside it.
const ACTIONS: [(&str, Action, &[&str], &[&str]); 5] = [
    (
        "generate",
        Action::Generate,
        &["topics-to-move-json-file", "broker-list"],
        &["disable-rack-aware"],
    ),
    (
        "execute",
        Action::Execute,
        &["reassignment-json-file"],
        &[
            "additional",
            "replica-alter-log-dirs-throttle",
            "throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    ),
    (
        "verify",
        Action::Verify,
        &["reassignment-json-file"],
        &["preserve-throttles"],
    ),
    (
        "cancel",
        Action::Cancel,
        &["reassignment-json-file"],
        &["preserve-throttles", "timeout"],
    ),
    ("list", Action::List, &[], &[]),
];

const ALWAYS: [&str; 5] = [
    "bootstrap-server",
    "bootstrap-controller",
    "command-config",
    "help",
    "version",
];

pub fn check(args: &Args) -> Result<Action, Failure> {
    let given: Vec<_> = ACTIONS.iter().filter(|(name, ..)| args.has(name)).collect();
    let [(name, action, needs, may_have)] = given[..] else {
        let names: Vec<String> = ACTIONS
            .iter()
            .map(|(name, ..)| format!("--{name}"))
            .collect();
        let names = names.join(", ");
        return Err(args.usage(format!("Command must include exactly one action: {names}")));
    };
    let controller = args.has("bootstrap-controller");
    if !args.has("bootstrap-server") && !controller {
        return Err(
            args.usage("Please specify either --bootstrap-server or --bootstrap-controller")
        );
    }
    if args.has("bootstrap-server") && controller {
        return Err(
            args.usage("Please don't specify both --bootstrap-server and --bootstrap-controller")
        );
    }
    args.require(needs)?;
    let allowed = |option: &&str| {
        needs.contains(option)
            || may_have.contains(option)
            || ALWAYS.contains(option)
            || option == name
    };
    let options = SPEC.options.iter().map(|option| option.name);
    match options
        .filter(|option| args.has(option))
        .find(|option| !allowed(option))
    {
        Some(other) => Err(args.usage(format!(
            "Option \"[{other}]\" can't be used with action \"[{name}]\""
        ))),
        None => Ok(*action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_own_options() {
        let check = |line: &str| {
            let line = format!("--bootstrap-server h:1 {line}");
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let checked = SPEC.parse(&args).and_then(|args| check(&args));
            checked.map_err(|f| f.stderr.lines().next().unwrap_or_default().to_owned())
        };
        assert_eq!(check("--list"), Ok(Action::List));
        assert_eq!(
            check("--execute --reassignment-json-file f --throttle 5000"),
            Ok(Action::Execute)
        );
        let refused = |line: &str, words: &str| assert_eq!(check(line), Err(words.to_owned()));
        refused(
            "--list --verify",
            "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
        );
        refused(
            "--execute",
            "Missing required argument \"[reassignment-json-file]\"",
        );
        refused(
            "--list --throttle 5",
            "Option \"[throttle]\" can't be used with action \"[list]\"",
        );
    }
}
