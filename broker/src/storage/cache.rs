//! The bounded cache of the newest persisted entries of all groups of a shard: what readers at the tail want.
//!
//! First in, first out: readers of the tail come soon or not at all. Entries that are not yet persisted stay in memory
//! whatever the budget says; raft's bound on uncommitted bytes holds for those.

use super::group_log::{GroupLog, WeakGroupLog};
use raft::eraftpb::Entry;
use std::collections::VecDeque;
use std::sync::Mutex;

/// What one cached entry costs beyond its data, about.
const OVERHEAD_BYTES: usize = 160;

pub struct TailCache {
    budget_bytes: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    used_bytes: usize,
    entries: VecDeque<Cached>,
}

/// Entries of one group that were persisted together.
struct Cached {
    log: WeakGroupLog,
    last_index: u64,
    bytes: usize,
}

impl TailCache {
    pub fn new(budget_bytes: usize) -> TailCache {
        TailCache {
            budget_bytes,
            queue: Mutex::default(),
        }
    }

    /// Counts entries that have just been persisted, and lets the oldest go while there are too many.
    pub(super) fn admit<'a>(&self, written: impl Iterator<Item = (&'a GroupLog, &'a [Entry])>) {
        let mut victims = Vec::new();
        {
            let mut queue = self
                .queue
                .lock()
                .expect("no code in this file panics while it holds the lock");
            for (log, entries) in written {
                let Some(last) = entries.last() else {
                    continue;
                };
                let sizes = entries
                    .iter()
                    .map(|entry| entry.data.len() + OVERHEAD_BYTES);
                let bytes = sizes.sum();
                queue.used_bytes += bytes;
                queue.entries.push_back(Cached {
                    log: log.downgrade(),
                    last_index: last.index,
                    bytes,
                });
            }
            while queue.used_bytes > self.budget_bytes {
                let Some(oldest) = queue.entries.pop_front() else {
                    break;
                };
                queue.used_bytes -= oldest.bytes;
                victims.push(oldest);
            }
        }
        // The queue's lock is released first: a group's lock is never waited for under it.
        for victim in victims {
            if let Some(log) = victim.log.upgrade() {
                log.evict(victim.last_index);
            }
        }
    }

    pub fn used_bytes(&self) -> usize {
        self.queue
            .lock()
            .expect("no code in this file panics while it holds the lock")
            .used_bytes
    }
}
