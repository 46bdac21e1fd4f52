//! How fast background work may use the disk, so that appends wait little for it.
//!
//! It runs at twice the speed at which records come in, so it always catches up, and at a floor when little comes in. When it
//! falls behind all the same, because the log has used up a part of the room above its budget, it takes no rests; nor while the
//! disk has no room for new records.

use crate::storage::shard::Shard;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes a second of sealing when little comes in.
pub(super) const SEALING_FLOOR: u64 = 64 << 20;
/// Bytes a second of retention: dropping files is cheap for us, but the file system does it within its journal, and the disk
/// may have to be told of every block. 5 GB at once kept appends waiting for 30 ms.
pub(super) const RETENTION_FLOOR: u64 = 128 << 20;

/// Rests come after so many bytes: what RocksDB hands to the disk at once.
const STEP_BYTES: u64 = 1 << 20;
/// How often the log is looked at: its lock is held while it is synced.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A rest ends this soon when somebody waits.
const NAP: Duration = Duration::from_millis(10);

pub(super) struct Pace {
    hurry: Arc<AtomicBool>,
    looked: Instant,
    log_written: u64,
    bytes_per_second: u64,
    late: bool,
    owed: u64,
}

impl Pace {
    /// Without rests while `hurry` is set.
    pub fn new(hurry: Arc<AtomicBool>) -> Pace {
        Pace {
            hurry,
            looked: Instant::now(),
            log_written: 0,
            bytes_per_second: 0,
            late: false,
            owed: 0,
        }
    }

    /// Whether somebody waits for the thread.
    pub fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// Nobody waits any more.
    pub fn calm(&self) {
        self.hurry.store(false, Ordering::Relaxed);
    }

    /// Rests as is due for so many bytes, at no less than `floor` bytes a second.
    pub fn rest(&mut self, shard: &Shard, bytes: u64, floor: u64) {
        self.owed += bytes;
        if self.owed < STEP_BYTES {
            return;
        }
        self.look(shard);
        let owed = std::mem::take(&mut self.owed);
        if self.late {
            return;
        }
        let start = Instant::now();
        let due = time_for(owed, self.bytes_per_second, floor);
        while let left = due.saturating_sub(start.elapsed())
            && !left.is_zero()
            && !self.hurry.load(Ordering::Relaxed)
        {
            std::thread::sleep(left.min(NAP));
        }
    }

    fn look(&mut self, shard: &Shard) {
        let elapsed = self.looked.elapsed();
        if elapsed < LOOK_INTERVAL {
            return;
        }
        let written = shard.stats().log_bytes;
        let new = u128::from(written - self.log_written) * 1_000_000;
        self.bytes_per_second = (new / elapsed.as_micros().max(1)) as u64;
        self.log_written = written;
        self.looked = Instant::now();
        let options = shard.options();
        self.late = is_late(
            shard.log_bytes(),
            options.log_budget_bytes,
            options.log_limit_bytes,
        ) || !shard.has_room();
    }
}

/// Work takes as long as it takes; this comes on top, so the speed is at most that.
fn time_for(bytes: u64, incoming_bytes_per_second: u64, floor: u64) -> Duration {
    let rate = incoming_bytes_per_second
        .saturating_mul(2)
        .max(floor)
        .max(1);
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

/// Whether a quarter of the room between budget and limit is used up: producers wait at the limit.
fn is_late(log_bytes: u64, budget_bytes: u64, limit_bytes: u64) -> bool {
    log_bytes > budget_bytes + limit_bytes.saturating_sub(budget_bytes) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_work_keeps_to_twice_what_comes_in_and_to_a_floor() {
        let ms = |bytes, incoming| time_for(bytes, incoming, 1_000).as_millis();
        assert_eq!(ms(1_000, 0), 1_000);
        assert_eq!(ms(1_000, 400), 1_000);
        assert_eq!(ms(1_000, 1_000), 500);
        assert_eq!(ms(1_000, u64::MAX), 0);
    }

    #[test]
    fn it_is_late_before_producers_wait() {
        assert!(!is_late(0, 1_000, 1_400));
        assert!(!is_late(1_100, 1_000, 1_400));
        assert!(is_late(1_101, 1_000, 1_400));
        assert!(is_late(1_001, 1_000, 1_000));
    }
}
