//! Kafka's bytes: no state, no I/O but that of [`meta_properties`], nothing of ours below it.
//!
//! - [`batch`]: one record batch (message format v2), its header, how it is cut out of a stream and patched in place;
//! - [`record`]: the records inside an uncompressed batch, and [`control`] the keys and values of control records;
//! - [`compression`]: the four codecs, decompression always under a limit;
//! - [`builder`]: writes batches;
//! - [`frame`]: frames and their headers; [`ApiKey`] and [`ErrorCode`];
//! - [`messages`]: every request and answer, read with [`decode_request`] and written with [`encode_response`]. What Kafka's
//!   schemas say is in `schema/kafka-4.4.txt` (from `tools/kafka-schema.py`), and `build.rs` makes code of it;
//! - [`group_records`]: what is kept in `__consumer_offsets`, made of `schema/group-records-4.4.txt`;
//! - [`consumer_protocol`]: what members of a classic group of consumers tell one another;
//! - [`check`]: verifies a message's bytes against Kafka's schema before they are decoded;
//! - [`properties`]: Java's format for files of settings; [`meta_properties`]: whose a directory is, and
//!   [`dynamic_voter`] the controllers named in it; [`uuid`]: ids as text.
//!
//! **Invariant:** every length is checked against the bytes that remain before it is used, and nothing is allocated by a
//! count that came from outside. Batches pass through the broker byte for byte; only log compaction and a topic's own codec
//! write them anew.

mod api_key;
pub mod batch;
pub mod builder;
pub mod check;
mod codec;
pub mod compression;
pub mod consumer_protocol;
pub mod control;
pub mod dynamic_voter;
mod error;
mod error_code;
pub mod frame;
pub mod group_records;
pub mod messages;
pub mod meta_properties;
mod own;
pub mod properties;
pub mod record;
pub mod uuid;
mod varint;
mod walk;

pub use api_key::ApiKey;
pub use batch::{Batch, BatchHeader};
pub use builder::{BatchBuilder, BatchSettings};
pub use codec::{decode_request, decode_response, encode_request, encode_response};
pub use compression::Compression;
pub use error::Error;
pub use error_code::ErrorCode;
pub use record::{Headers, Record};
