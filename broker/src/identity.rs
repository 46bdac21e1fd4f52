//! Which cluster and which broker the directories belong to, by their `meta.properties`.

use millrace_wire::meta_properties::{self, FILE, MetaProperties};
use millrace_wire::uuid::{self, Uuid};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub node_id: i32,
    /// Of the first directory, which holds the metadata; nil where an old release formatted it.
    pub metadata_directory_id: Uuid,
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
            _ => {
                // Where it is not the first directory that is known, the broker does not start.
                let id = known.as_ref().map(|known| known.metadata_directory_id);
                let of_this = || uuid::parse(&found.directory_id).unwrap_or_default();
                known = Some(Identity {
                    metadata_directory_id: id.unwrap_or_else(of_this),
                    cluster_id: found.cluster_id,
                    node_id,
                });
            }
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
    let ids: Vec<Uuid> = unformatted.iter().map(|_| uuid::random()).collect();
    let identity = Identity {
        cluster_id: new_cluster_id(),
        node_id,
        metadata_directory_id: ids.first().copied().unwrap_or_default(),
    };
    for directory in &unformatted {
        check_empty(directory)?;
    }
    for (directory, id) in unformatted.into_iter().zip(ids) {
        let meta = MetaProperties {
            cluster_id: identity.cluster_id.clone(),
            node_id,
            directory_id: uuid::to_text(id),
        };
        meta.write(directory)?;
        tracing::info!(directory = %directory.display(), cluster_id = identity.cluster_id, node_id, "formatted");
    }
    Ok(identity)
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
}
