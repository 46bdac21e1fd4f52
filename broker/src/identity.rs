//! Which cluster and which broker the directories belong to, by their `meta.properties`, and who were the first to keep the metadata.
//!
//! **Invariant:** a broker whose settings name other controllers never makes a cluster of its own: its directories are formatted first.

use crate::config::{BrokerConfig, HostPort};
use millrace_wire::meta_properties::{self, FILE, MetaProperties};
use millrace_wire::uuid::{self, Uuid};
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub node_id: i32,
    /// Of the first directory, which holds the metadata; nil where an old release formatted it.
    pub metadata_directory_id: Uuid,
    /// Raft's peer id of the replica of the metadata in the first directory: never 0, and another one after each formatting.
    pub metadata_replica: u64,
    /// The first voters of the metadata, each id once. Empty where this node cannot know them: it learns them from others.
    pub initial_controllers: Vec<InitialController>,
}

/// One of those with whom the metadata began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialController {
    pub id: i32,
    /// Of this node itself it may be empty or a wildcard, and where it is alone, the port 0: nobody else looks for it.
    pub host: String,
    pub port: u16,
    /// Of its directory of the metadata, where `format` was told.
    pub directory_id: Option<Uuid>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error(transparent)]
    MetaProperties(#[from] meta_properties::Error),
    #[error("{path} is of node {found}, and node.id is {node_id}")]
    OtherNode {
        path: String,
        found: i32,
        node_id: i32,
    },
    #[error("{path} is of cluster {found}, and another directory of cluster {cluster_id}")]
    OtherCluster {
        path: String,
        found: String,
        cluster_id: String,
    },
    /// Serving from it would give the partitions that it held a new beginning, without a word.
    #[error(
        "{path} holds no meta.properties, but other directories of log.dirs do: a disk is not mounted, was replaced, or is new. If what it held may be gone, format it: kafka-storage.sh format --ignore-formatted -t {cluster_id} -c <the settings file>"
    )]
    Unformatted { path: String, cluster_id: String },
    #[error(
        "{path} holds files, but no meta.properties: log.dirs must name empty directories, or those of this broker"
    )]
    Foreign { path: String },
    /// Formatted by itself it would be another cluster than the others make.
    #[error(
        "{path} is not formatted, and the settings name other controllers: format it first, with the same cluster id on every broker: kafka-storage.sh format -t <id> -c <file>"
    )]
    NotAlone { path: String },
}

/// Who the directories say this broker is. When all of them are new and it is alone, they are formatted with `new_cluster_id`.
pub fn establish(
    config: &BrokerConfig,
    new_cluster_id: impl FnOnce() -> String,
) -> Result<Identity, Error> {
    let node_id = config.node_id;
    // Of the first directory that is formatted. Where that is not the first of all, the broker does not start.
    let mut known: Option<MetaProperties> = None;
    let mut unformatted = Vec::new();
    for directory in &config.log_dirs {
        let Some(found) = MetaProperties::read(directory)? else {
            unformatted.push(directory);
            continue;
        };
        let path = || directory.join(FILE).display().to_string();
        if found.node_id != node_id {
            return Err(Error::OtherNode {
                path: path(),
                found: found.node_id,
                node_id,
            });
        }
        match &known {
            Some(known) if known.cluster_id != found.cluster_id => {
                return Err(Error::OtherCluster {
                    path: path(),
                    found: found.cluster_id,
                    cluster_id: known.cluster_id.clone(),
                });
            }
            Some(_) => {}
            None => known = Some(found),
        }
    }
    if let Some(known) = known {
        return match unformatted.first() {
            None => Ok(identity(config, known)),
            Some(directory) => Err(Error::Unformatted {
                path: directory.display().to_string(),
                cluster_id: known.cluster_id,
            }),
        };
    }
    for directory in &unformatted {
        check_empty(directory)?;
    }
    if let Some(directory) = unformatted
        .first()
        .filter(|_| config.names_other_controllers())
    {
        return Err(Error::NotAlone {
            path: directory.display().to_string(),
        });
    }
    let cluster_id = new_cluster_id();
    let mut first = None;
    for directory in unformatted {
        let meta = MetaProperties {
            cluster_id: cluster_id.clone(),
            node_id,
            directory_id: uuid::to_text(uuid::random()),
            metadata_replica: Some(meta_properties::draw_replica()),
            initial_controllers: None,
        };
        meta.write(directory)?;
        tracing::info!(directory = %directory.display(), cluster_id, node_id, "formatted");
        first.get_or_insert(meta);
    }
    let first = first.expect("log_dirs is never empty");
    Ok(identity(config, first))
}

/// By the first directory's properties.
fn identity(config: &BrokerConfig, first: MetaProperties) -> Identity {
    Identity {
        metadata_directory_id: uuid::parse(&first.directory_id).unwrap_or_default(),
        metadata_replica: first.replica(),
        initial_controllers: initial_controllers(config, &first),
        cluster_id: first.cluster_id,
        node_id: config.node_id,
    }
}

/// Those of the settings, else those that `format` was told, else this broker alone where nobody else is named.
fn initial_controllers(config: &BrokerConfig, first: &MetaProperties) -> Vec<InitialController> {
    if !config.quorum_voters.is_empty() {
        let voters = config.quorum_voters.iter().map(|voter| InitialController {
            id: voter.id,
            host: voter.host.clone(),
            port: voter.port,
            directory_id: None,
        });
        return voters.collect();
    }
    if let Some(told) = &first.initial_controllers {
        let told = told.iter().map(|voter| InitialController {
            id: voter.id,
            host: voter.host.clone(),
            port: voter.port,
            directory_id: Some(voter.directory_id),
        });
        return told.collect();
    }
    if !config.is_controller || config.names_other_controllers() {
        return Vec::new();
    }
    let at = config.peer_advertised.clone();
    let HostPort { host, port } = at.unwrap_or(HostPort {
        host: String::new(),
        port: 0,
    });
    vec![InitialController {
        id: config.node_id,
        host,
        port,
        directory_id: None,
    }]
}

fn check_empty(directory: &Path) -> Result<(), Error> {
    let path = || directory.display().to_string();
    let io = |error| Error::Io {
        path: path(),
        error,
    };
    std::fs::create_dir_all(directory).map_err(io)?;
    let entries = std::fs::read_dir(directory).map_err(io)?;
    for entry in entries {
        // Of a disk's file system.
        if entry.map_err(io)?.file_name() != "lost+found" {
            return Err(Error::Foreign { path: path() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::config::Sources;
    use std::path::PathBuf;

    fn new_id() -> String {
        "MkU3OEVBNTcwNTJENDM2Qg".to_owned()
    }

    struct Node {
        root: tempfile::TempDir,
    }

    impl Node {
        fn new() -> Node {
            let root = tempfile::tempdir().unwrap();
            Node { root }
        }

        fn directory(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        /// Starts it with two directories and these settings.
        fn start(&self, settings: &[&str]) -> Result<Identity, Error> {
            self.start_on(&["a", "b"], settings)
        }

        fn start_on(&self, names: &[&str], settings: &[&str]) -> Result<Identity, Error> {
            let directories: Vec<String> = names
                .iter()
                .map(|name| self.directory(name).display().to_string())
                .collect();
            let own = [
                "node.id=3".to_owned(),
                format!("log.dirs={}", directories.join(",")),
            ];
            let settings = settings.iter().map(|text| (*text).to_owned());
            let sources = Sources {
                overrides: own.into_iter().chain(settings).collect(),
                ..Sources::default()
            };
            establish(&BrokerConfig::load(&sources).unwrap().config, new_id)
        }

        /// As kafka-storage writes it, with `more`.
        fn format(&self, more: &str) {
            for name in ["a", "b"] {
                let text = format!("version=1\ncluster.id={}\nnode.id=3\n{more}\n", new_id());
                std::fs::create_dir_all(self.directory(name)).unwrap();
                std::fs::write(self.directory(name).join(FILE), text).unwrap();
            }
        }
    }

    fn shown(identity: &Identity) -> Vec<String> {
        let controllers = identity.initial_controllers.iter();
        let shown = controllers.map(|c| format!("{}@{}:{}", c.id, c.host, c.port));
        shown.collect()
    }

    const LISTENERS: &str = "listeners=PLAINTEXT://:9092,CONTROLLER://:9093";
    const NAMES: &str = "controller.listener.names=CONTROLLER";
    const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers=localhost:9093,other:9093";
    const VOTERS: &str = "controller.quorum.voters=3@localhost:9093,4@other:9093";

    #[test]
    fn new_directories_are_formatted_and_known_afterwards() {
        let node = Node::new();
        let first = node.start(&[]).unwrap();
        assert_eq!(first.cluster_id, new_id());
        assert!(first.metadata_replica > 1);
        assert_eq!(first, node.start(&[]).unwrap());
        let other = node.start(&["node.id=4"]).unwrap_err();
        assert!(
            matches!(other, Error::OtherNode { found: 3, .. }),
            "{other}"
        );
    }

    #[test]
    fn a_new_directory_holds_another_replica_of_the_metadata() {
        let node = Node::new();
        let first = node.start(&[]).unwrap();
        for name in ["a", "b"] {
            std::fs::remove_dir_all(node.directory(name)).unwrap();
        }
        let again = node.start(&[]).unwrap();
        assert_ne!(first.metadata_replica, again.metadata_replica);
    }

    #[test]
    fn a_directory_of_an_earlier_release_holds_the_first_replica() {
        let node = Node::new();
        node.format("");
        let identity = node.start(&[]).unwrap();
        assert_eq!(identity.metadata_replica, 1);
        assert_eq!(shown(&identity), ["3@:0"]);
        node.format("millrace.metadata.replica=77");
        assert_eq!(node.start(&[]).unwrap().metadata_replica, 77);
    }

    #[test]
    fn a_broker_that_is_alone_began_the_metadata() {
        let alone = |settings: &[&str], expected: &str| {
            let identity = Node::new().start(settings).unwrap();
            assert_eq!(shown(&identity), [expected], "{settings:?}");
        };
        alone(&[], "3@:0");
        alone(
            &["controller.quorum.voters=3@0.0.0.0:9093"],
            "3@0.0.0.0:9093",
        );
        alone(&[LISTENERS, NAMES], "3@:9093");
        // As in Kafka's own sample of settings.
        let own = "controller.quorum.bootstrap.servers=localhost:9093";
        alone(&[LISTENERS, NAMES, own], "3@:9093");
    }

    #[test]
    fn a_broker_that_is_not_alone_is_formatted_first() {
        let node = Node::new();
        for others in [VOTERS, BOOTSTRAP] {
            let refused = node.start(&[LISTENERS, NAMES, others]).unwrap_err();
            let path = node.directory("a").display().to_string();
            assert_eq!(
                refused.to_string(),
                format!(
                    "{path} is not formatted, and the settings name other controllers: format it first, with the same cluster id on every broker: kafka-storage.sh format -t <id> -c <file>"
                )
            );
            assert!(!node.directory("a").join(FILE).exists());
        }
    }

    #[test]
    fn the_first_controllers_are_those_of_the_settings_then_those_of_format() {
        let node = Node::new();
        let told = "millrace.initial.controllers=3@here:9093:N5oIhbO8M9E8XquQBgqrAQ,5@[::1]:9093:P5oIhbO8M9E8XquQBgqrAQ";
        node.format(told);
        let identity = node.start(&[LISTENERS, NAMES, BOOTSTRAP]).unwrap();
        assert_eq!(shown(&identity), ["3@here:9093", "5@::1:9093"]);
        let id = uuid::parse("P5oIhbO8M9E8XquQBgqrAQ").unwrap();
        assert_eq!(identity.initial_controllers[1].directory_id, Some(id));
        let identity = node.start(&[LISTENERS, NAMES, VOTERS]).unwrap();
        assert_eq!(shown(&identity), ["3@localhost:9093", "4@other:9093"]);
    }

    #[test]
    fn who_is_let_in_later_began_nothing() {
        let node = Node::new();
        let began = |settings: &[&str]| shown(&node.start(settings).unwrap());
        node.format("millrace.initial.controllers=none");
        assert_eq!(began(&[LISTENERS, NAMES, BOOTSTRAP]), [""; 0]);
        assert_eq!(began(&[]), [""; 0]);
        node.format("");
        assert_eq!(began(&[LISTENERS, NAMES, BOOTSTRAP]), [""; 0]);
        let broker = ["process.roles=broker", BOOTSTRAP];
        assert_eq!(began(&broker), [""; 0]);
    }

    #[test]
    fn an_empty_directory_beside_formatted_ones_is_refused() {
        let node = Node::new();
        node.start_on(&["a"], &[]).unwrap();
        let refused = node.start(&[]).unwrap_err();
        assert!(matches!(refused, Error::Unformatted { .. }), "{refused}");
    }

    #[test]
    fn directories_of_two_clusters_are_refused() {
        let node = Node::new();
        node.format("");
        let text = "version=1\ncluster.id=other\nnode.id=3\n";
        std::fs::write(node.directory("b").join(FILE), text).unwrap();
        let refused = node.start(&[]).unwrap_err();
        assert!(matches!(refused, Error::OtherCluster { .. }), "{refused}");
    }

    #[test]
    fn a_directory_with_foreign_files_is_left_alone() {
        let node = Node::new();
        std::fs::create_dir(node.directory("a")).unwrap();
        std::fs::write(node.directory("a").join("precious"), "x").unwrap();
        let refused = node.start(&[]).unwrap_err();
        assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    }
}
