//! `kafka-storage`: the directories that a broker keeps its data in are given an identity before their first use.
//!
//! `quorum.rs` has what the options and the settings say of the first controllers.

mod quorum;
#[cfg(test)]
mod tests;

use crate::Output;
use crate::args::{Args, Spec, flag, value};
use crate::failure::Failure;
use millrace_client::properties::Properties;
use millrace_client::uuid;
use millrace_client::wire::meta_properties::{self, Error as MetaError, MetaProperties};
use quorum::Quorum;
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
            "Used to initialize a controller as a single-node dynamic quorum. When setting this flag, the controller.quorum.voters config must not be set, and controller.quorum.bootstrap.servers is set instead.",
        ),
        flag(
            "no-initial-controllers",
            "Used to initialize a server without specifying a dynamic quorum, which it joins later. When setting this flag, the controller.quorum.voters config should not be set, and controller.quorum.bootstrap.servers is set instead.",
        ),
        value(
            "initial-controllers",
            "INITIAL_CONTROLLERS",
            "Used to initialize a server with the specified dynamic quorum. The argument is a comma-separated list of id@hostname:port:directory. The same values must be used to format all nodes. When setting this flag, the controller.quorum.voters config must not be set, and controller.quorum.bootstrap.servers is set instead.",
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
        "-I" => "--initial-controllers".to_owned(),
        other => other.to_owned(),
    });
    let long: Vec<String> = long.collect();
    let args = SPEC.parse(&long)?;
    quorum::check_exclusive(&long)?;
    Ok(args)
}

fn config(args: &Args) -> Result<(Properties, Directories), Failure> {
    let path = args
        .value("config")?
        .ok_or_else(|| Failure::plain("kafka-storage: error: argument --config/-c is required"))?;
    let properties = Properties::read(Path::new(path))?;
    let directories = log_dirs(&properties)?;
    Ok((properties, directories))
}

struct Directories {
    /// In the order of their names, each once; not empty.
    all: Vec<PathBuf>,
    /// The first of `log.dirs`, wherever Kafka would keep the metadata.
    of_metadata: PathBuf,
}

/// Kafka's rule: `log.dirs`, else `log.dir`, else `/tmp/kafka-logs`; and the metadata's own.
fn log_dirs(properties: &Properties) -> Result<Directories, Failure> {
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
    let of_metadata = found
        .first()
        .cloned()
        .ok_or_else(|| Failure::plain("log.dirs is empty: name at least one directory"))?;
    found.sort();
    Ok(Directories {
        all: found,
        of_metadata,
    })
}

fn info(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (_, directories) = config(args)?;
    let mut formatted = Vec::new();
    let mut problems = Vec::new();
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    for directory in &directories.all {
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
    let quorum = Quorum::of(args, &properties, node_id)?;
    let mut to_format = Vec::new();
    for directory in &directories.all {
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
        let is_of_metadata = *directory == directories.of_metadata;
        let kind = match is_of_metadata {
            true => quorum.directory,
            false => "data directory",
        };
        writeln!(out, "Formatting {kind} {}.", directory.display())?;
        let known_id = quorum.directory_id.filter(|_| is_of_metadata);
        let meta = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id,
            directory_id: uuid::to_text(known_id.unwrap_or_else(uuid::random)),
            // In each of them, although only the first of log.dirs holds metadata: their order may be changed one day.
            metadata_replica: Some(meta_properties::draw_replica()),
            initial_controllers: quorum.initial_controllers.clone(),
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
