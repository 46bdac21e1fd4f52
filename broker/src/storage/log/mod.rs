//! The shared log of one directory: the raft log of many groups and the fresh part of the Kafka log at once.
//!
//! One thread owns the [`SharedLog`]: it appends blocks of records and syncs them. Everyone else reads entries by their
//! [`Located`] place through a [`LogReader`]. The log knows which bytes are valid and in which order they came; it does not
//! know which entries a group still needs: its owner replays, keeps the places, and releases whole segments.
//!
//! - `format.rs`: the bytes of segments, blocks and records; pure.
//! - `blocks.rs`: reading one block after another, from a file or from memory.
//! - `segment.rs`: the files, their names, and the spare ones.
//! - `recovery.rs`: what of a directory is valid after a crash.
//! - `writer.rs`: append, sync, roll, release.
//! - `reader.rs`: entries by place;
//! - `inspect.rs`: a segment for tools, which change nothing and read on behind damage.
//!
//! **Invariants.**
//! - Nothing is durable before [`SharedLog::sync`] returned; after that, nothing of it is lost or reordered, or opening fails.
//! - A segment is written front to back, once. Nothing is ever written behind a tear, in no segment: each opening starts a new one.
//! - A segment's header is synced before its first block is written, and its predecessor's blocks before its header.
//! - A segment's number is used for one file, ever: bytes left in a recycled file name another number and another salt.
//! - After a failed write or sync nothing is written any more: what is on disk then is for the next opening to find out.

mod blocks;
mod error;
mod format;
pub mod inspect;
mod reader;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use blocks::replay_bytes;
pub use error::Error;
pub use format::decode_record;
pub use reader::LogReader;
pub use writer::SharedLog;

use crate::raft::ports::GroupId;
use raft::eraftpb::{Entry, HardState};

#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The size of each file: a multiple of 4 KiB, at least 8 KiB. It bounds the largest record.
    pub segment_bytes: u64,
    /// How many released files are kept for later segments; the others are removed. At least one is kept ready if there is
    /// room for it, so that rolling does not depend on free space.
    pub spare_segments: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            segment_bytes: 64 << 20,
            spare_segments: 2,
        }
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub segment: u64,
    pub offset: u32,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Located {
    pub position: Position,
    pub len: u32,
}

/// What the log holds. The meaning of a sequence of records is their owner's: in the log they are only in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// One raft entry; an index that is not above the group's last replaces that index and all above it.
    /// (`sync_log`, which raft 0.7 ignores, is not kept.)
    Entry {
        group: GroupId,
        entry: Entry,
    },
    HardState {
        group: GroupId,
        state: HardState,
    },
}

/// A record that is somebody else's: what is written need not be copied for it.
#[derive(Clone, Copy, Debug)]
pub enum RecordRef<'a> {
    Entry {
        group: GroupId,
        entry: &'a Entry,
    },
    HardState {
        group: GroupId,
        state: &'a HardState,
    },
}

impl Record {
    pub fn group(&self) -> GroupId {
        match self {
            Record::Entry { group, .. } | Record::HardState { group, .. } => *group,
        }
    }

    pub fn borrow(&self) -> RecordRef<'_> {
        match self {
            Record::Entry { group, entry } => RecordRef::Entry {
                group: *group,
                entry,
            },
            Record::HardState { group, state } => RecordRef::HardState {
                group: *group,
                state,
            },
        }
    }
}
