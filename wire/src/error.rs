//! What can be wrong with a frame, a header or a message.

use crate::ApiKey;
use crate::check::Problem;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("api key {0} is not known: Kafka 4.4 has 0 to 94")]
    UnknownApiKey(i16),
    #[error("{api} has no version {version}: it has {:?}", .api.versions())]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("{message} has no version {version}: it has 0 to {last}")]
    UnknownRecordVersion {
        /// As the schema names it: `OffsetCommitValue`.
        message: &'static str,
        version: i16,
        last: i16,
    },
    #[error("header: {field} {problem}")]
    Header {
        field: &'static str,
        problem: Problem,
    },
    #[error("{message} version {version}: {field} {problem}, at byte {at_byte} of the body")]
    Malformed {
        /// As the schema names it: `MetadataRequest`.
        message: &'static str,
        version: i16,
        field: &'static str,
        at_byte: usize,
        problem: Problem,
    },
    /// The checker let it pass and the decoder did not: a fault of ours, never of the allocator.
    #[error("{message} version {version} cannot be read: {reason}")]
    Unreadable {
        message: &'static str,
        version: i16,
        reason: String,
    },
    /// A field is set that this version lacks, or something is longer than its length can say.
    #[error("{api} version {version} cannot be written: {reason}")]
    Unwritable {
        api: ApiKey,
        version: i16,
        reason: String,
    },
    /// Something is longer than its length can say.
    #[error("{message} version {version} cannot be written: {reason}")]
    UnwritableRecord {
        message: &'static str,
        version: i16,
        reason: String,
    },
}
