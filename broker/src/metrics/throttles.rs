//! Clients that are over their quotas.

use super::histogram::{Histogram, Times};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What requests are throttled for; the place of each is that of its quota's kind.
pub const KINDS: [&str; 4] = ["produce", "fetch", "request", "controller_mutation"];

#[derive(Debug, Default)]
pub struct Throttles {
    times: [Histogram; KINDS.len()],
    /// Connections that are not read from now.
    muted: AtomicU64,
}

impl Throttles {
    /// A request has more than one of `KINDS` allows, and its client is not heard for so long.
    pub fn throttled(&self, kind: usize, ms: u64) {
        if let Some(times) = self.times.get(kind) {
            times.record(Duration::from_millis(ms));
        }
    }

    pub fn times(&self) -> [(&'static str, Times); KINDS.len()] {
        std::array::from_fn(|kind| (KINDS[kind], self.times[kind].read()))
    }

    pub fn muted(&self) -> u64 {
        self.muted.load(Ordering::Relaxed)
    }

    /// One more until it is dropped.
    pub fn mute(&self) -> Muted<'_> {
        self.muted.fetch_add(1, Ordering::Relaxed);
        Muted(self)
    }
}

/// A connection that is not read from.
#[derive(Debug)]
pub struct Muted<'a>(&'a Throttles);

impl Drop for Muted<'_> {
    fn drop(&mut self) {
        self.0.muted.fetch_sub(1, Ordering::Relaxed);
    }
}
