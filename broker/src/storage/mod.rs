//! The shared log, the column families, and the in-memory twin of both. The only folder that names RocksDB.

pub mod disk;
pub mod entry;
pub mod families;
pub mod ids;
pub mod log;
