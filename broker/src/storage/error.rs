//! What can go wrong below the partition.

use super::{families, log, rows};
use crate::raft::ports::GroupId;

/// A fault of one shard, or of one group in it. Which is which decides what goes offline: see [`Error::is_shard_fault`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Log(log::Error),
    #[error(transparent)]
    Families(#[from] families::Error),
    /// A row, or the join of a row and the log, makes no sense: that replica cannot be trusted.
    #[error("group {group}: {reason}")]
    Group { group: GroupId, reason: String },
    #[error("row of key {key:02x?}: {error}")]
    Row { key: Vec<u8>, error: rows::RowError },
    #[error("directory holds format version {found}, this release reads version {supported}")]
    Version { found: u8, supported: u8 },
    #[error("group {0} does not exist in this directory")]
    UnknownGroup(GroupId),
    #[error("group {0} exists already in this directory")]
    GroupExists(GroupId),
    #[error("group {0} is on its way to another directory")]
    Moving(GroupId),
}

impl Error {
    /// Whether what the group had durably is not what it wrote: trying again does not help, the replica cannot be trusted.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Log(log::Error::Corrupt { .. })
            | Error::Families(families::Error::Corrupt { .. })
            | Error::Group { .. }
            | Error::Row { .. } => true,
            Error::Log(_)
            | Error::Families(_)
            | Error::Version { .. }
            | Error::UnknownGroup(_)
            | Error::GroupExists(_)
            | Error::Moving(_) => false,
        }
    }

    /// Whether the whole shard can no longer be trusted, or only the group that was asked for.
    pub fn is_shard_fault(&self) -> bool {
        match self {
            Error::Log(log::Error::Gone { .. }) => false,
            Error::Log(_) | Error::Version { .. } => true,
            // RocksDB that cannot write is the shard's; a damaged block is that of who reads it.
            Error::Families(families::Error::Io { .. }) => true,
            Error::Families(families::Error::Corrupt { .. } | families::Error::Full { .. }) => {
                false
            }
            Error::Group { .. }
            | Error::Row { .. }
            | Error::UnknownGroup(_)
            | Error::GroupExists(_)
            | Error::Moving(_) => false,
        }
    }
}
