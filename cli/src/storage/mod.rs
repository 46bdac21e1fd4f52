//! `kafka-storage`: the directories that a broker keeps its data in are given an identity before their first use.

use crate::Output;
use crate::args::{Args, Spec, flag, value};
use crate::failure::Failure;
use millrace_client::properties::Properties;
use millrace_client::uuid;
use millrace_client::wire::meta_properties::{Error as MetaError, MetaProperties};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: kafka-storage [-h] {info,format,random-uuid} ...

The Kafka storage tool.

positional arguments:
  {info,format,random-uuid}
    info                 Get information about  the  Kafka  log directories
                         on this node.
    format               Format the Kafka log directories on this node.
    random-uuid          Print a random UUID.

optional arguments:
  -h, --help             show this help message and exit";

const SPEC: Spec = Spec {
    about: "The Kafka storage tool.",
    options: &[
        value("config", "CONFIG", "The Kafka configuration file to use."),
        value("cluster-id", "CLUSTER_ID", "The cluster ID to use."),
        flag(
            "ignore-formatted",
            "When this option is passed, the format command will skip over already formatted directories rather than failing.",
        ),
        flag(
            "standalone",
            "Used to initialize a controller as a single-node dynamic quorum. Accepted: a node is one by itself here.",
        ),
        flag(
            "no-initial-controllers",
            "Accepted: initial controllers are not written into directories here.",
        ),
        value(
            "release-version",
            "RELEASE_VERSION",
            "Accepted: directories do not carry a release here.",
        ),
        value(
            "feature",
            "FEATURE",
            "Accepted: directories do not carry features here.",
        ),
    ],
};

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let Some((command, rest)) = args.split_first() else {
        return Err(Failure::plain(format!(
            "{}\nkafka-storage: error: too few arguments",
            usage_line()
        )));
    };
    match command.as_str() {
        "-h" | "--help" => Err(Failure {
            exit_code: 0,
            ..Failure::on_stdout(USAGE)
        }),
        "random-uuid" => Ok(writeln!(out, "{}", uuid::to_text(uuid::random()))?),
        "info" => info(&parse(rest)?, out),
        "format" => format(&parse(rest)?, out),
        other => Err(Failure::plain(format!(
            "{}\nkafka-storage: error: invalid choice: '{other}' (choose from 'info', 'format', 'random-uuid')",
            usage_line()
        ))),
    }
}

fn usage_line() -> &'static str {
    USAGE.lines().next().unwrap_or_default()
}

/// With the short forms that every tutorial uses.
fn parse(args: &[String]) -> Result<Args, Failure> {
    let long = args.iter().map(|arg| match arg.as_str() {
        "-c" => "--config".to_owned(),
        "-t" => "--cluster-id".to_owned(),
        "-g" => "--ignore-formatted".to_owned(),
        "-s" => "--standalone".to_owned(),
        "-N" => "--no-initial-controllers".to_owned(),
        "-r" => "--release-version".to_owned(),
        "-f" => "--feature".to_owned(),
        other => other.to_owned(),
    });
    SPEC.parse(&long.collect::<Vec<_>>())
}

fn config(args: &Args) -> Result<(Properties, Vec<PathBuf>), Failure> {
    let path = args
        .value("config")?
        .ok_or_else(|| Failure::plain("kafka-storage: error: argument --config/-c is required"))?;
    let properties = Properties::read(Path::new(path))?;
    let directories = log_dirs(&properties);
    Ok((properties, directories))
}

/// In order, each once. Kafka's rule: `log.dirs`, else `log.dir`, else `/tmp/kafka-logs`; and the metadata's own.
fn log_dirs(properties: &Properties) -> Vec<PathBuf> {
    let dirs = properties
        .get("log.dirs")
        .or(properties.get("log.dir"))
        .unwrap_or("/tmp/kafka-logs");
    let metadata = properties.get("metadata.log.dir");
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs
        .split(',')
        .chain(metadata)
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
    {
        let dir = PathBuf::from(dir);
        if !found.contains(&dir) {
            found.push(dir);
        }
    }
    found.sort();
    found
}

fn info(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (_, directories) = config(args)?;
    let mut formatted = Vec::new();
    let mut problems = Vec::new();
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    for directory in &directories {
        let shown = directory.display();
        match MetaProperties::read(directory) {
            _ if !directory.exists() => problems.push(format!("{shown} does not exist")),
            _ if !directory.is_dir() => problems.push(format!("{shown} is not a directory")),
            Ok(None) => problems.push(format!("{shown} is not formatted.")),
            Err(error) => problems.push(error_loading(error)),
            Ok(Some(found)) => {
                formatted.push(shown.to_string());
                if metadata.is_empty() {
                    metadata = found.entries();
                } else if metadata.get("cluster.id") != Some(&found.cluster_id) {
                    problems.push(format!("Metadata for {shown}/meta.properties was {:?}, but other directories featured {metadata:?}", found.entries()));
                }
            }
        }
    }
    section(
        out,
        ["Found log directory:", "Found log directories:"],
        &formatted,
    )?;
    if !metadata.is_empty() {
        let shown: Vec<String> = metadata
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        writeln!(out, "Found metadata: {{{}}}\n", shown.join(", "))?;
    }
    section(out, ["Found problem:", "Found problems:"], &problems)?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::silent(1))
}

/// Nothing without lines.
fn section(out: &mut Output, [one, many]: [&str; 2], lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", if lines.len() == 1 { one } else { many })?;
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    Ok(writeln!(out)?)
}

fn format(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (properties, directories) = config(args)?;
    let cluster_id = args.value("cluster-id")?.ok_or_else(|| {
        Failure::plain("kafka-storage: error: argument --cluster-id/-t is required")
    })?;
    uuid::parse(cluster_id).map_err(|error| {
        Failure::plain(format!(
            "Cluster ID string {cluster_id} does not appear to be a valid UUID: {error}"
        ))
    })?;
    let node_id = node_id(&properties)?;
    let mut to_format = Vec::new();
    for directory in &directories {
        let shown = directory.display();
        let found = MetaProperties::read(directory);
        match found.map_err(|error| Failure::plain(error_loading(error)))? {
            None => to_format.push(directory),
            Some(found) if found.cluster_id != cluster_id => {
                return Err(Failure::plain(format!(
                    "Invalid cluster.id in: {shown}/meta.properties. Expected {cluster_id}, but read {}",
                    found.cluster_id
                )));
            }
            Some(found) if found.node_id != node_id => {
                return Err(Failure::plain(format!(
                    "Stored node id {} doesn't match previous node id {node_id} in {shown}/meta.properties",
                    found.node_id
                )));
            }
            Some(_) if args.has("ignore-formatted") => {}
            Some(_) => {
                return Err(Failure::plain(format!(
                    "Log directory {shown} is already formatted. Use --ignore-formatted to ignore this directory and format the others."
                )));
            }
        }
    }
    if to_format.is_empty() {
        writeln!(out, "All of the log directories are already formatted.")?;
    }
    for directory in to_format {
        writeln!(out, "Formatting data directory {}.", directory.display())?;
        let meta = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id,
            directory_id: uuid::to_text(uuid::random()),
        };
        meta.write(directory)
            .map_err(|error| Failure::plain(format!("cannot format {error}")))?;
    }
    Ok(())
}

/// In Kafka's words.
fn error_loading(error: MetaError) -> String {
    match error {
        MetaError::Io { path, error } => format!("Error loading {path}: {error}"),
        MetaError::Malformed { path, reason } => format!("Error loading {path}: {reason}"),
    }
}

/// `broker.id` is its name in files of the ZooKeeper days.
fn node_id(properties: &Properties) -> Result<i32, Failure> {
    let node = properties.number::<i32>("node.id")?;
    let id = match node {
        Some(id) => Some(id),
        None => properties.number::<i32>("broker.id")?,
    };
    match id {
        Some(id) if id >= 0 => Ok(id),
        Some(id) => Err(Failure::plain(format!(
            "node.id={id}: it must be at least 0"
        ))),
        None => Err(Failure::plain(
            "the configuration has no node.id: write one, as in node.id=1",
        )),
    }
}

#[cfg(test)]
mod tests {
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

        /// What the tool says, without what differs from run to run.
        fn check(&self, line: &str, expected: Expect) {
            let config = self
                .dir
                .path()
                .join("server.properties")
                .display()
                .to_string();
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let args = parse(&[args, vec!["-c".to_owned(), config]].concat()).expect("options");
            let mut out: Vec<u8> = Vec::new();
            let result = match line.starts_with("-t") {
                true => format(&args, &mut out),
                false => info(&args, &mut out),
            };
            let mut said = String::from_utf8(out).expect("text");
            if let Err(failure) = result {
                said += &format!("{}\nexit {}", failure.stderr, failure.exit_code);
            }
            let mut said = said.replace(&self.dir.path().display().to_string(), "DIR");
            if let Some(at) = said.find("directory.id=") {
                said.replace_range(at + 13..at + 35, "ID");
            }
            expected.assert_eq(&said);
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
            Formatting data directory DIR/a.
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
        node.check("", expect![[r#"
            Found log directories:
              DIR/a
              DIR/b

            Found metadata: {cluster.id=4L6g3nShT-eMCtK--X86sw, directory.id=ID, node.id=1, version=1}

        "#]]);
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
}
