//! Whether the disk takes new records.

use super::Shard;
use std::sync::atomic::Ordering;

impl Shard {
    /// Whether the disk has room for new records. Deletion, reads, votes and markers go on without.
    pub fn has_room(&self) -> bool {
        self.room.load(Ordering::Relaxed)
    }

    /// Asks the disk again. Called by the log thread after each write and now and then.
    ///
    /// Once records were refused they are taken again only with a sixteenth more room, so that the answer does not flap.
    pub fn refresh_room(&self) {
        let min_free_bytes = self.options.min_free_bytes;
        let needed = match self.has_room() {
            true => min_free_bytes,
            false => min_free_bytes.saturating_add(min_free_bytes / 16),
        };
        let room = match self.disk.free_bytes() {
            Ok(free) => free >= needed,
            Err(error) => {
                tracing::warn!(%error, "cannot read the disk's free space");
                false
            }
        };
        if self.room.swap(room, Ordering::Relaxed) != room {
            if room {
                tracing::info!(min_free_bytes, "disk has room again, records are accepted");
            } else {
                tracing::warn!(
                    min_free_bytes,
                    "disk is nearly full, new records are refused"
                );
            }
        }
    }

    /// Of the directory's disk; `None` when the disk does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        self.disk.free_bytes().ok()
    }
}
