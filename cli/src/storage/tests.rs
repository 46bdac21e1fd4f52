//! What the tool says and writes.

use super::*;
use expect_test::{Expect, expect};

struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new(settings: &str) -> Node {
        let dir = tempfile::tempdir().expect("a directory");
        let dirs = format!("log.dirs={0}/a,{0}/b\n", dir.path().display());
        std::fs::write(dir.path().join("server.properties"), dirs + settings).expect("written");
        Node { dir }
    }

    /// What the tool says, without what differs from run to run; a line that begins with -t formats.
    #[track_caller]
    fn check(&self, line: &str, expected: Expect) {
        let said = match self.run(line) {
            Ok(said) => said,
            Err((said, failure)) => {
                format!("{said}{}\nexit {}", failure.stderr, failure.exit_code)
            }
        };
        let mut said = said.replace(&self.dir.path().display().to_string(), "DIR");
        for (drawn, name, shown) in [
            (22, "directory.id=", "ID"),
            (0, "metadata.replica=", "DRAWN"),
        ] {
            let Some(from) = said.find(name).map(|at| at + name.len()) else {
                continue;
            };
            let until = match drawn {
                0 => from + said[from..].find([',', '}']).expect("an end"),
                length => from + length,
            };
            said.replace_range(from..until, shown);
        }
        expected.assert_eq(&said);
    }

    fn run(&self, line: &str) -> Result<String, (String, Failure)> {
        let config = self
            .dir
            .path()
            .join("server.properties")
            .display()
            .to_string();
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut out: Vec<u8> = Vec::new();
        let result = parse(&[args, vec!["-c".to_owned(), config]].concat()).and_then(|args| {
            match line.starts_with("-t") {
                true => format(&args, &mut out),
                false => info(&args, &mut out),
            }
        });
        let said = String::from_utf8(out).expect("text");
        match result {
            Ok(()) => Ok(said),
            Err(failure) => Err((said, failure)),
        }
    }

    fn meta(&self, directory: &str) -> MetaProperties {
        let meta = MetaProperties::read(&self.dir.path().join(directory));
        meta.expect("it can be read").expect("it is formatted")
    }
}

const ID: &str = "4L6g3nShT-eMCtK--X86sw";

#[test]
fn directories_are_formatted_once() {
    let node = Node::new("node.id=1\n");
    let format = format!("-t {ID}");
    node.check(
        "",
        expect![[r#"
        Found problems:
          DIR/a does not exist
          DIR/b does not exist


        exit 1"#]],
    );
    node.check(
        &format,
        expect![[r#"
            Formatting metadata directory DIR/a.
            Formatting data directory DIR/b.
        "#]],
    );
    node.check(&format, expect![[r#"
        Log directory DIR/a is already formatted. Use --ignore-formatted to ignore this directory and format the others.
        exit 1"#]]);
    node.check(
        &(format + " -g"),
        expect![[r#"
        All of the log directories are already formatted.
    "#]],
    );
    node.check(
        "",
        expect![[r#"
            Found log directories:
              DIR/a
              DIR/b

            Found metadata: {cluster.id=4L6g3nShT-eMCtK--X86sw, directory.id=ID, millrace.metadata.replica=DRAWN, node.id=1, version=1}

        "#]],
    );
    node.check("-t 5L6g3nShT-eMCtK--X86sw", expect![[r#"
        Invalid cluster.id in: DIR/a/meta.properties. Expected 5L6g3nShT-eMCtK--X86sw, but read 4L6g3nShT-eMCtK--X86sw
        exit 1"#]]);
}

#[test]
fn a_cluster_needs_an_id_and_a_node_a_number() {
    Node::new("node.id=1\n").check("-t xx", expect![[r#"
        Cluster ID string xx does not appear to be a valid UUID: Input string `xx` decoded as 1 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID
        exit 1"#]]);
    Node::new("").check(
        &format!("-t {ID}"),
        expect![[r#"
        the configuration has no node.id: write one, as in node.id=1
        exit 1"#]],
    );
}

/// The settings of a controller of a dynamic quorum.
const DYNAMIC: &str = "node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n\
     listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093,127.0.0.1:9193\n";
const VOTERS: &str = "controller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9193\n";
const LISTED: &str =
    "1@127.0.0.1:9093:N5oIhbO8M9E8XquQBgqrAQ,2@127.0.0.1:9193:P5oIhbO8M9E8XquQBgqrAQ";

fn voters(meta: &MetaProperties) -> Option<String> {
    meta.entries().remove("millrace.initial.controllers")
}

#[test]
fn every_formatting_draws_another_replica_of_the_metadata() {
    let node = Node::new("node.id=1\n");
    let line = format!("-t {ID}");
    node.run(&line).expect("formatted");
    let (a, b) = (node.meta("a").replica(), node.meta("b").replica());
    assert!(a > 1 && b > 1 && a != b);
    std::fs::remove_dir_all(node.dir.path().join("a")).expect("a lost volume");
    node.run(&(line + " -g")).expect("formatted again");
    assert_ne!(node.meta("a").replica(), a);
    assert_eq!(node.meta("b").replica(), b);
}

#[test]
fn a_controller_that_is_to_find_others_says_who_begins() {
    let node = Node::new(DYNAMIC);
    node.check(&format!("-t {ID}"), expect![[r#"
        Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.
        exit 1"#]]);
    // A broker need not say it: it learns.
    let broker = DYNAMIC.replace("broker,controller", "broker");
    let node = Node::new(&broker);
    node.check(
        &format!("-t {ID}"),
        expect![[r#"
        Formatting metadata directory DIR/a.
        Formatting data directory DIR/b.
    "#]],
    );
    assert_eq!(node.meta("a").initial_controllers, None);
    node.check(
        &format!("-t {ID} -g --standalone"),
        expect![[r#"
        You can only use --standalone on a controller.
        exit 1"#]],
    );
    Node::new(&broker).check(&format!("-t {ID} -I {LISTED}"), expect![[r#"
        --initial-controllers 1@127.0.0.1:9093:N5oIhbO8M9E8XquQBgqrAQ,2@127.0.0.1:9193:P5oIhbO8M9E8XquQBgqrAQ: node 1 is this one, and its process.roles has no controller; add the role, or leave it out of the list
        exit 1"#]]);
    Node::new(&broker.replace("node.id=1", "node.id=3")).check(
        &format!("-t {ID} -I {LISTED}"),
        expect![[r#"
            Formatting dynamic metadata directory DIR/a.
            Formatting data directory DIR/b.
        "#]],
    );
}

#[test]
fn initial_controllers_are_written_with_the_directory_they_name() {
    let node = Node::new(DYNAMIC);
    node.check(
        &format!("-t {ID} --initial-controllers {LISTED}"),
        expect![[r#"
            Formatting dynamic metadata voter directory DIR/a.
            Formatting data directory DIR/b.
        "#]],
    );
    for directory in ["a", "b"] {
        assert_eq!(voters(&node.meta(directory)).as_deref(), Some(LISTED));
    }
    assert_eq!(node.meta("a").directory_id, "N5oIhbO8M9E8XquQBgqrAQ");
    assert_ne!(node.meta("b").directory_id, "N5oIhbO8M9E8XquQBgqrAQ");
    node.check("", expect![[r#"
        Found log directories:
          DIR/a
          DIR/b

        Found metadata: {cluster.id=4L6g3nShT-eMCtK--X86sw, directory.id=ID, millrace.initial.controllers=1@127.0.0.1:9093:N5oIhbO8M9E8XquQBgqrAQ,2@127.0.0.1:9193:P5oIhbO8M9E8XquQBgqrAQ, millrace.metadata.replica=DRAWN, node.id=1, version=1}

    "#]]);
    // A controller that joins those who began.
    let later = Node::new(&DYNAMIC.replace("node.id=1", "node.id=3"));
    later.check(
        &format!("-t {ID} -I {LISTED}"),
        expect![[r#"
        Formatting dynamic metadata directory DIR/a.
        Formatting data directory DIR/b.
    "#]],
    );
    assert_eq!(voters(&later.meta("a")).as_deref(), Some(LISTED));
}

#[test]
fn the_metadata_s_directory_is_the_first_of_log_dirs() {
    let node = Node::new(DYNAMIC);
    let path = node.dir.path().join("server.properties");
    let settings = std::fs::read_to_string(&path).expect("read");
    let dir = node.dir.path().display();
    let turned = settings.replace(&format!("{dir}/a,{dir}/b"), &format!("{dir}/b,{dir}/a"));
    std::fs::write(path, turned).expect("written");
    node.check(
        &format!("-t {ID} -I {LISTED}"),
        expect![[r#"
        Formatting data directory DIR/a.
        Formatting dynamic metadata voter directory DIR/b.
    "#]],
    );
    assert_eq!(node.meta("b").directory_id, "N5oIhbO8M9E8XquQBgqrAQ");
}

#[test]
fn a_controller_alone_names_itself() {
    let check = |settings: &str, expected: Option<&str>| {
        let node = Node::new(settings);
        node.run(&format!("-t {ID} --standalone"))
            .expect("formatted");
        let meta = node.meta("a");
        let expected = expected.map(|address| format!("1@{address}:{}", meta.directory_id));
        assert_eq!(voters(&meta), expected);
    };
    check(DYNAMIC, Some("127.0.0.1:9093"));
    let advertised = "advertised.listeners=PLAINTEXT://x:9092,controller://[::1]:19093\n";
    check(&format!("{DYNAMIC}{advertised}"), Some("[::1]:19093"));
    // Without a listener for other controllers nobody is to find it.
    check("node.id=1\n", None);
    let unlisted = DYNAMIC.replace(",CONTROLLER://127.0.0.1:9093", "");
    Node::new(&unlisted).check(&format!("-t {ID} -s"), expect![[r#"
        controller.listener.names must contain at least one value appearing in the 'listeners' configuration when running the KRaft controller role
        exit 1"#]]);
}

#[test]
fn a_controller_may_be_formatted_to_be_let_in_later() {
    let node = Node::new(DYNAMIC);
    node.check(
        &format!("-t {ID} --no-initial-controllers"),
        expect![[r#"
            Formatting metadata directory DIR/a.
            Formatting data directory DIR/b.
        "#]],
    );
    assert_eq!(voters(&node.meta("a")).as_deref(), Some("none"));
}

#[test]
fn voters_of_the_settings_exclude_others() {
    let node = Node::new(&format!("{DYNAMIC}{VOTERS}"));
    node.check(&format!("-t {ID} --standalone"), expect![[r#"
        You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.
        exit 1"#]]);
    node.check(&format!("-t {ID} -I {LISTED}"), expect![[r#"
        You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.
        exit 1"#]]);
    node.check(
        &format!("-t {ID}"),
        expect![[r#"
        Formatting metadata directory DIR/a.
        Formatting data directory DIR/b.
    "#]],
    );
    assert_eq!(node.meta("a").initial_controllers, None);
    let node = Node::new(&format!("{DYNAMIC}{VOTERS}"));
    node.check(
        &format!("-t {ID} -N"),
        expect![[r#"
        Formatting metadata directory DIR/a.
        Formatting data directory DIR/b.
    "#]],
    );
    assert_eq!(node.meta("a").initial_controllers, None);
}

#[test]
fn one_of_the_ways_to_begin_is_chosen() {
    let node = Node::new(DYNAMIC);
    node.check(&format!("-t {ID} --standalone -N"), expect![[r#"
        usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                             [--ignore-formatted]
                             [--release-version RELEASE_VERSION]
                             [--feature FEATURE] [--standalone |
                             --no-initial-controllers |
                             --initial-controllers INITIAL_CONTROLLERS]
        kafka-storage: error: argument --no-initial-controllers/-N: not allowed with argument --standalone/-s
        exit 1"#]]);
    node.check(
        &format!("-t {ID} -I {LISTED} --standalone"),
        expect![[r#"
            usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                                 [--ignore-formatted]
                                 [--release-version RELEASE_VERSION]
                                 [--feature FEATURE] [--standalone |
                                 --no-initial-controllers |
                                 --initial-controllers INITIAL_CONTROLLERS]
            kafka-storage: error: argument --standalone/-s: not allowed with argument --initial-controllers/-I
            exit 1"#]],
    );
    node.check(
        &format!("-t {ID} --initial-controllers=1@127.0.0.1:9093"),
        expect![[r#"
            --initial-controllers 1@127.0.0.1:9093: No colon following port could be found.
            exit 1"#]],
    );
}
