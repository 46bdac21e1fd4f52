//! The shared log, the column families, and the in-memory twin of both. The only folder that names RocksDB.
//!
//! [`shard`] is one directory: a [`log`] that all its groups share, [`families`] above it, and per group a [`group_log`]
//! that `raft` reads. [`seal`] moves committed runs from log to family, [`read`] finds records in either, [`retention`] and
//! [`compact`] give space back, [`export`] and [`import`] are the way of records to another replica, [`moving`] that of a replica to another directory,
//! [`inspect`] looks on. [`writer`] gives a shard its threads; the simulation goes without.
//!
//! **Invariant:** nothing here decides what an offset means to a client; batches pass through as bytes.

pub mod cache;
pub mod compact;
pub mod disk;
pub mod entry;
pub mod error;
pub mod export;
pub mod families;
pub mod group_log;
pub mod ids;
pub mod import;
pub mod inspect;
pub mod keys;
pub mod log;
pub mod moving;
mod placement;
pub mod read;
pub mod retention;
pub mod rows;
pub mod seal;
pub mod shard;
pub mod stats;
mod varint;
pub mod writer;

pub use error::Error;
pub use group_log::GroupLog;

#[cfg(test)]
mod tests;
