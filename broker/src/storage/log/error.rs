//! What can go wrong with the log, and what it means for its owner.

/// `offset` is a position in `file`, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk failed. If it was a write or a sync, the log is poisoned from now on.
    #[error("cannot {action} {file}: {reason}")]
    Io {
        action: &'static str,
        file: String,
        reason: String,
    },
    /// No room for the segment that the records need. Nothing was written, the log goes on: try again when there is room.
    #[error("the disk is full: no room for a log segment of {needed_bytes} bytes")]
    Full { needed_bytes: u64 },
    /// Bytes that were durable are not what was written.
    #[error("{file} is damaged at {offset}: {reason}")]
    Corrupt {
        file: String,
        offset: u64,
        reason: String,
    },
    /// An intact record of a later version of this program.
    #[error("{file} holds at {offset} a record of unknown kind {kind}: written by a newer version")]
    UnknownKind { file: String, offset: u64, kind: u8 },
    /// An intact segment of a later version of this program.
    #[error(
        "{file} has format version {version}, this program knows only {}",
        super::format::VERSION
    )]
    UnknownVersion { file: String, version: u32 },
    #[error(
        "a record of {record_bytes} bytes does not fit a log segment, which holds {limit_bytes}"
    )]
    TooLarge { record_bytes: u64, limit_bytes: u64 },
    /// A write or a sync failed before: what is on disk is unknown until the log is opened again.
    #[error("the log failed before and takes no more writes")]
    Poisoned,
    /// The segment was released meanwhile: look the entry up again.
    #[error("log segment {segment} was released")]
    Gone { segment: u64 },
    /// Whoever the log was replayed to does not accept a record.
    #[error("the record of {file} at {offset} does not follow from those before it: {reason}")]
    Refused {
        file: String,
        offset: u64,
        reason: String,
    },
    #[error(
        "segment_bytes is {segment_bytes}: it must be a multiple of 4096 from 8192 to 4294963200"
    )]
    SegmentBytes { segment_bytes: u64 },
}

impl Error {
    pub(super) fn io(action: &'static str, file: &str, error: &std::io::Error) -> Error {
        Error::Io {
            action,
            file: file.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(super) fn corrupt(file: &str, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt {
            file: file.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}
