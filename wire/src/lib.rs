//! Kafka's bytes: no I/O, no state, nothing of ours below it.
//!
//! - [`batch`]: one record batch (message format v2), its header, how it is cut out of a stream and patched in place;
//! - [`record`]: the records inside an uncompressed batch, and [`control`] the keys and values of control records;
//! - [`compression`]: the four codecs, decompression always under a limit;
//! - [`builder`]: writes batches.
//!
//! **Invariant:** every length is checked against the bytes that remain before it is used, and nothing is allocated by a
//! count that came from outside. Batches pass through the broker byte for byte; only log compaction writes them anew.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod record;
mod varint;

pub use batch::{Batch, BatchHeader};
pub use builder::{BatchBuilder, BatchSettings};
pub use compression::Compression;
pub use record::{Headers, Record};
