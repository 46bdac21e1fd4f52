//! The program as a shell sees it. Against a broker, Apache Kafka's or ours, when `MILLRACE_TEST_BOOTSTRAP=host:port` is set.

use expect_test::{Expect, expect};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn tools(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace-tools"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A tool that is refused does not read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("its end")
}

fn check(args: &[&str], exit_code: i32, stdout: Expect) {
    let output = tools(args, "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{args:?}: {stderr}");
    stdout.assert_eq(&String::from_utf8_lossy(&output.stdout));
}

fn first_line_of_stderr(args: &[&str]) -> String {
    let output = tools(args, "");
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn mistakes_end_with_exit_code_1_and_a_line_that_names_them() {
    let check = |line: &str, expected: &str| {
        let args: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(first_line_of_stderr(&args), expected, "{line}");
    };
    check(
        "kafka-nothing",
        "\"kafka-nothing\" is none of the tools. They are:",
    );
    check("kafka-topics --foo", "foo is not a recognized option");
    check(
        "kafka-topics --bootstrap-server h:1 --create",
        "Missing required argument \"[topic]\"",
    );
    check(
        "kafka-topics --bootstrap-server nowhere --list",
        "\"nowhere\" is no address: write host:port, as in localhost:9092",
    );
    check(
        "kafka-console-producer --bootstrap-server h:1",
        "Missing required argument \"[topic]\"",
    );
    check(
        "kafka-console-consumer --bootstrap-server h:1",
        "Exactly one of the following arguments is required: [topic], [include]",
    );
    check(
        "kafka-configs --bootstrap-server h:1 --describe",
        "At least one entity type must be specified",
    );
    check(
        "kafka-configs --bootstrap-server h:1 --describe --entity-type groups --entity-default",
        "--entity-default must not be specified with --describe of groups",
    );
    check(
        "kafka-delete-records --bootstrap-server h:1",
        "Missing required argument \"[offset-json-file]\"",
    );
    check(
        "kafka-log-dirs --bootstrap-server h:1",
        "Missing required argument \"[describe]\"",
    );
    check(
        "kafka-server-start",
        "USAGE: kafka-server-start.sh [-daemon] server.properties [--override property=value]*",
    );
    check(
        "zookeeper-server-start",
        "USAGE: zookeeper-server-start.sh [-daemon] zookeeper.properties",
    );
}

#[test]
fn a_random_uuid_is_one_line_that_no_shell_takes_for_an_option() {
    let output = tools(&["kafka-storage", "random-uuid"], "");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.len(), 23);
    assert!(text.ends_with('\n') && !text.starts_with('-'));
}

#[test]
fn a_link_chooses_the_tool() {
    let dir = tempfile::tempdir().expect("a directory");
    let link = dir.path().join("kafka-storage.sh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_millrace-tools"), &link).expect("a link");
    let output = Command::new(link)
        .arg("random-uuid")
        .output()
        .expect("the program");
    assert_eq!(output.stdout.len(), 23);
}

#[test]
fn a_version_is_said() {
    check(
        &["kafka-topics", "--version"],
        0,
        expect![[r#"
        0.1.0
    "#]],
    );
}

fn broker() -> Option<String> {
    let bootstrap = std::env::var("MILLRACE_TEST_BOOTSTRAP").ok();
    if bootstrap.is_none() {
        eprintln!("MILLRACE_TEST_BOOTSTRAP is not set: no broker to test against");
    }
    bootstrap
}

fn topic() -> String {
    let output = tools(&["kafka-storage", "random-uuid"], "");
    format!(
        "t{}",
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .replace('_', "-")
    )
}

#[test]
fn a_topic_lives_as_the_quickstart_has_it() {
    let Some(server) = broker() else { return };
    let topic = topic();
    let run = |args: &[&str], input: &str| {
        let args = [args, &["--bootstrap-server", &server]].concat();
        let output = tools(&args, input);
        let code = output.status.code().unwrap_or(-1);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&topic, "TOPIC");
        (code, text(output.stdout), text(output.stderr))
    };
    let created = run(
        &[
            "kafka-topics",
            "--create",
            "--topic",
            &topic,
            "--partitions",
            "1",
            "--replication-factor",
            "1",
        ],
        "",
    );
    assert_eq!(
        (created.0, created.1.as_str()),
        (0, "Created topic TOPIC.\n"),
        "{}",
        created.2
    );
    let again = run(&["kafka-topics", "--create", "--topic", &topic], "");
    assert_eq!(
        again.1,
        "Error while executing topic command : Topic 'TOPIC' already exists.\n"
    );
    assert_eq!(again.0, 1);
    let described = run(&["kafka-topics", "--describe", "--topic", &topic], "").1;
    assert!(
        described.starts_with("Topic: TOPIC\tTopicId: "),
        "{described}"
    );
    assert!(
        described.contains("\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: "),
        "{described}"
    );
    assert!(
        described.contains("\n\tTopic: TOPIC\tPartition: 0\tLeader: "),
        "{described}"
    );
    let produced = run(
        &[
            "kafka-console-producer",
            "--topic",
            &topic,
            "--reader-property",
            "parse.key=true",
        ],
        "a\t1\nb\t2\nc\t3\n",
    );
    assert_eq!((produced.0, produced.1.as_str()), (0, ""), "{}", produced.2);
    let consumed = run(
        &[
            "kafka-console-consumer",
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "3",
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "print.offset=true",
        ],
        "",
    );
    assert_eq!(
        consumed.1,
        "Offset:0\ta\t1\nOffset:1\tb\t2\nOffset:2\tc\t3\n"
    );
    assert_eq!(consumed.2, "Processed a total of 3 messages\n");
    let offsets = run(&["kafka-get-offsets", "--topic", &topic], "");
    assert_eq!(offsets.1, "TOPIC:0:3\n");
    let waited = run(
        &[
            "kafka-console-consumer",
            "--topic",
            &topic,
            "--partition",
            "0",
            "--offset",
            "2",
            "--timeout-ms",
            "1500",
        ],
        "",
    );
    assert_eq!((waited.0, waited.1.as_str()), (0, "3\n"));
    let altered = run(
        &[
            "kafka-configs",
            "--alter",
            "--topic",
            &topic,
            "--add-config",
            "retention.ms=1000,cleanup.policy=[compact,delete]",
        ],
        "",
    );
    assert_eq!(altered.1, "Completed updating config for topic TOPIC.\n");
    // A broker may learn of it a moment after the controller has answered.
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let configs = run(&["kafka-configs", "--describe", "--topic", &topic], "").1;
        if configs.contains("\n  retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000") {
            break;
        }
        assert!(Instant::now() < give_up, "{configs}");
    }
    let deleted = run(&["kafka-topics", "--delete", "--topic", &topic], "");
    assert_eq!((deleted.0, deleted.1.as_str()), (0, ""), "{}", deleted.2);
    let gone = run(&["kafka-topics", "--describe", "--topic", &topic], "");
    assert_eq!(
        gone.1,
        "Error while executing topic command : Topic 'TOPIC' does not exist as expected\n"
    );
}
