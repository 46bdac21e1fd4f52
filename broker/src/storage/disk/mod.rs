//! The port to a directory of flat files, the shared log's only view of a disk. `os` is the real one, `twin` the one that
//! models torn and unsynced writes.

mod os;
mod twin;

pub use os::OsDisk;
pub use twin::{TwinDisk, Unsynced};

use std::io;
use std::sync::Arc;

/// A directory without sub-directories. Every change of a name is durable when the call returns.
pub trait Disk: Send + Sync {
    /// The names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// A new file of `len` preallocated bytes that read as zeros. Fails if the name exists.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames over an existing name, if any.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Bytes that may still be written before the disk is full, for everyone on it.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file. A write is readable at once and durable after the next `sync`; before that a crash may keep all, part
/// (any of its 512-byte sectors) or none of it.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks a preallocated file"
)]
pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `buffer`; reading past the end is `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// fdatasync.
    fn sync(&self) -> io::Result<()>;
    /// Cuts (or, with zeros, extends) the file; durable on return.
    fn set_len(&self, len: u64) -> io::Result<()>;
}
