//! `meta.properties`: which cluster and which broker a directory belongs to. In Kafka's own form, so that its habits hold.

use crate::config::Properties;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "meta.properties";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub node_id: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("{path}: {reason}")]
    Malformed { path: String, reason: String },
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
}

/// Who the directories say this broker is. When all of them are new, they are formatted with `new_cluster_id`.
pub fn establish(
    directories: &[PathBuf],
    node_id: i32,
    new_cluster_id: impl FnOnce() -> String,
) -> Result<Identity, Error> {
    let mut known: Option<Identity> = None;
    let mut unformatted = Vec::new();
    for directory in directories {
        let Some(found) = read(directory)? else {
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
            _ => known = Some(found),
        }
    }
    if let Some(known) = known {
        return match unformatted.first() {
            None => Ok(known),
            Some(directory) => Err(Error::Unformatted {
                path: directory.display().to_string(),
                cluster_id: known.cluster_id,
            }),
        };
    }
    let identity = Identity {
        cluster_id: new_cluster_id(),
        node_id,
    };
    for directory in &unformatted {
        check_empty(directory)?;
    }
    for directory in unformatted {
        write(directory, &identity)?;
        tracing::info!(directory = %directory.display(), cluster_id = identity.cluster_id, node_id, "formatted");
    }
    Ok(identity)
}

fn read(directory: &Path) -> Result<Option<Identity>, Error> {
    let path = directory.join(FILE);
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Io { path: shown, error }),
    };
    let malformed = |reason: String| Error::Malformed {
        path: shown.clone(),
        reason,
    };
    let properties = Properties::parse(&text).map_err(|error| malformed(error.to_string()))?;
    let get = |name: &str| {
        let value = properties.get(name);
        value.ok_or_else(|| malformed(format!("{name} is missing")))
    };
    match get("version")? {
        "1" => {}
        other => {
            return Err(malformed(format!(
                "version is {other}, this release reads 1"
            )));
        }
    }
    let node_id = get("node.id")?;
    Ok(Some(Identity {
        cluster_id: get("cluster.id")?.to_owned(),
        node_id: node_id
            .parse()
            .map_err(|_| malformed(format!("node.id is {node_id}, which is no number")))?,
    }))
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

/// Whole or not at all.
fn write(directory: &Path, identity: &Identity) -> Result<(), Error> {
    let mut text = String::new();
    let directory_id = crate::api::id_text(&crate::api::new_id());
    let Identity {
        cluster_id,
        node_id,
    } = identity;
    let written = write!(
        text,
        "#\nversion=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n"
    );
    debug_assert!(written.is_ok(), "a string takes any text");
    let (path, temporary) = (directory.join(FILE), directory.join("meta.properties.tmp"));
    let save = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    save().map_err(|error| Error::Io {
        path: path.display().to_string(),
        error,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn new_id() -> String {
        "MkU3OEVBNTcwNTJENDM2Qg".to_owned()
    }

    #[test]
    fn new_directories_are_formatted_and_known_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let directories = [root.path().join("a"), root.path().join("b")];
        let first = establish(&directories, 3, new_id).unwrap();
        assert_eq!(first.cluster_id, new_id());
        let again = establish(&directories, 3, || unreachable!("it has one")).unwrap();
        assert_eq!(first, again);
        let other = establish(&directories, 4, new_id).unwrap_err();
        assert!(
            matches!(other, Error::OtherNode { found: 3, .. }),
            "{other}"
        );
    }

    #[test]
    fn an_empty_directory_beside_formatted_ones_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let directories = [root.path().join("a"), root.path().join("b")];
        establish(&directories[..1], 3, new_id).unwrap();
        let refused = establish(&directories, 3, new_id).unwrap_err();
        assert!(matches!(refused, Error::Unformatted { .. }), "{refused}");
    }

    #[test]
    fn a_directory_with_foreign_files_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("precious"), "x").unwrap();
        let refused = establish(&[root.path().to_owned()], 3, new_id).unwrap_err();
        assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let root = tempfile::tempdir().unwrap();
        for (text, reason) in [
            ("version=1\nnode.id=3\n", "cluster.id is missing"),
            ("version=7\nnode.id=3\ncluster.id=x\n", "version is 7"),
            (
                "version=1\nnode.id=three\ncluster.id=x\n",
                "node.id is three",
            ),
        ] {
            std::fs::write(root.path().join(FILE), text).unwrap();
            let refused = establish(&[root.path().to_owned()], 3, new_id).unwrap_err();
            assert!(refused.to_string().contains(reason), "{refused}");
        }
    }
}
