//! Consumer groups as a shell sees them: against a broker, Apache Kafka's or ours, when `MILLRACE_TEST_BOOTSTRAP=host:port` is
//! set.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn spawn(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_millrace-tools"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Shell {
    server: String,
}

impl Shell {
    /// Standard output and error of a tool that ends well.
    fn run(&self, line: &str, input: &str) -> (String, String) {
        let mut args: Vec<&str> = line.split_whitespace().collect();
        args.extend(["--bootstrap-server", &self.server]);
        let mut child = spawn(&args);
        let mut stdin = child.stdin.take().expect("a pipe");
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("its end");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{line}: {out}{err}");
        (out, err)
    }

    fn groups(&self, line: &str) -> String {
        self.run(&format!("kafka-consumer-groups {line}"), "").0
    }

    fn wait_for(&self, line: &str, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let shown = self.groups(line);
            if is_there(&shown) {
                return shown;
            }
            assert!(Instant::now() < give_up, "{what} is not there: {shown}");
        }
    }
}

fn unique(prefix: &str) -> String {
    let output = spawn(&["kafka-storage", "random-uuid"]).wait_with_output();
    let id = text(&output.expect("its end").stdout);
    format!("{prefix}{}", id.trim().replace('_', "-"))
}

#[test]
fn a_group_s_settings_are_set_shown_and_deleted() {
    let Ok(server) = std::env::var("MILLRACE_TEST_BOOTSTRAP") else {
        eprintln!("MILLRACE_TEST_BOOTSTRAP is not set: no broker to test against");
        return;
    };
    let shell = Shell { server };
    let group = unique("g");
    let configs = |line: &str| shell.run(&format!("kafka-configs {line}"), "").0;
    let of_group = format!("--describe --entity-type groups --entity-name {group}");
    let unknown = format!("The group '{group}' doesn't exist and doesn't have dynamic config.\n");
    assert_eq!(configs(&of_group), unknown);
    let set = "--add-config consumer.session.timeout.ms=50000";
    assert_eq!(
        configs(&format!("--alter --group {group} {set}")),
        format!("Completed updating config for group {group}.\n")
    );
    let shown = format!(
        "Dynamic configs for group {group} are:\n  consumer.session.timeout.ms=50000 sensitive=false \
         synonyms={{DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000, DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000}}\n"
    );
    // A broker may learn of it a moment after the controller has answered.
    let give_up = Instant::now() + Duration::from_secs(30);
    while configs(&of_group) != shown {
        assert!(Instant::now() < give_up, "{}", configs(&of_group));
    }
    let all = configs(&format!("{of_group} --all"));
    assert!(
        all.starts_with(&format!("All configs for group {group} are:\n")),
        "{all}"
    );
    assert!(
        all.contains("\n  consumer.heartbeat.interval.ms=5000 "),
        "{all}"
    );
    assert!(configs("--describe --entity-type groups").contains(&shown));
    configs(&format!(
        "--alter --group {group} --delete-config consumer.session.timeout.ms"
    ));
    while configs(&of_group) != unknown {
        assert!(Instant::now() < give_up, "{}", configs(&of_group));
    }
}

/// Without blanks at the ends of lines.
fn trimmed(table: &str) -> String {
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn a_group_commits_is_described_reset_and_deleted() {
    let Ok(server) = std::env::var("MILLRACE_TEST_BOOTSTRAP") else {
        eprintln!("MILLRACE_TEST_BOOTSTRAP is not set: no broker to test against");
        return;
    };
    let shell = Shell { server };
    let (topic, group) = (unique("t"), unique("g"));
    shell.run(
        &format!("kafka-topics --create --topic {topic} --partitions 1 --replication-factor 1"),
        "",
    );
    let produce = format!("kafka-console-producer --topic {topic}");
    shell.run(&produce, "a\nb\nc\nd\n");
    let consume = format!(
        "kafka-console-consumer --topic {topic} --group {group} --from-beginning --timeout-ms 20000 --max-messages"
    );
    assert_eq!(shell.run(&format!("{consume} 3"), "").0, "a\nb\nc\n");
    let offset_and_lag = |shown: &str| {
        let row = shown.lines().nth(2).unwrap_or_default();
        let cells: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
        cells
            .get(3..6)
            .map(|cells| cells.join(" "))
            .unwrap_or_default()
    };
    // Only what was shown is committed, although more was fetched.
    let describe = format!("--describe --group {group}");
    assert_eq!(offset_and_lag(&shell.groups(&describe)), "3 4 1");
    assert_eq!(shell.run(&format!("{consume} 1"), "").0, "d\n");
    assert_eq!(offset_and_lag(&shell.groups(&describe)), "4 4 0");
    let listed = shell.groups("--list --state empty");
    assert!(listed.contains(&group), "{listed}");

    let reset = format!("--reset-offsets --group {group} --topic {topic}:0");
    let planned = shell.groups(&format!("{reset} --shift-by -2 --dry-run"));
    assert!(trimmed(&planned).ends_with("          2"), "{planned}");
    assert_eq!(offset_and_lag(&shell.groups(&describe)), "4 4 0");
    let exported = shell.groups(&format!("{reset} --to-earliest --export --execute"));
    let long_name = format!("\"{topic}\",0,0\n\n");
    let short_name = format!("{topic},0,0\n\n");
    assert!(
        exported == long_name || exported == short_name,
        "{exported}"
    );
    assert_eq!(offset_and_lag(&shell.groups(&describe)), "0 4 4");

    let member = spawn(&[
        "kafka-console-consumer",
        "--topic",
        &topic,
        "--group",
        &group,
        "--bootstrap-server",
        &shell.server,
    ]);
    let members = format!("--describe --group {group} --members --verbose");
    let assignment = format!("{topic}:0");
    let shown = shell.wait_for(&members, "the member", |shown| shown.contains(&assignment));
    assert!(shown.contains("console-consumer-"), "{shown}");
    let state = shell.groups(&format!("--describe --group {group} --state"));
    assert!(
        state.contains(" range ") && state.contains(" Stable "),
        "{state}"
    );
    let refused = shell.groups(&format!("{reset} --to-latest --execute"));
    assert!(
        refused.starts_with(&format!(
            "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is Stable.\n"
        )),
        "{refused}"
    );
    let kept = shell.groups(&format!("--delete --group {group}"));
    assert!(
        kept.contains("GroupNotEmptyException: The group is not empty."),
        "{kept}"
    );
    let subscribed = shell.groups(&format!("--delete-offsets --group {group} --topic {topic}"));
    assert!(
        subscribed.contains("Error: Encountered some partition-level error"),
        "{subscribed}"
    );
    let interrupted = Command::new("kill")
        .args(["-INT", &member.id().to_string()])
        .status();
    assert!(interrupted.expect("kill").success());
    let read = member.wait_with_output().expect("its end");
    assert_eq!(text(&read.stdout), "a\nb\nc\nd\n", "{}", text(&read.stderr));

    // It has committed and left: nobody waits for its session's end.
    assert_eq!(offset_and_lag(&shell.groups(&describe)), "4 4 0");
    assert_eq!(
        shell.groups(&format!("--delete --group {group}")),
        format!("Deletion of requested consumer groups ('{group}') was successful.\n")
    );
    let gone = shell.groups(&describe);
    assert!(
        gone.starts_with("\nError: Executing consumer group command failed due to org.apache.kafka.common.errors.GroupIdNotFoundException"),
        "{gone}"
    );
    shell.run(&format!("kafka-topics --delete --topic {topic}"), "");
}
