//! How fast connections may come (KIP-612): all of them together, and those of one address.

use crate::api::Broker;
use crate::quota::{Rate, Windows};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that are kept open without being served, so that their clients do not try again at once. Further ones are closed at once.
const MAX_HELD: usize = 1_000;

#[derive(Debug, Default)]
pub struct Pace {
    all: Mutex<Rate>,
    held: Arc<AtomicUsize>,
}

/// A place among those that are kept open.
#[derive(Debug)]
pub struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pace {
    /// How long a connection that has come is to wait, and with it all that come after it (`max.connection.creation.rate`).
    pub fn wait(&self, broker: &Broker) -> Duration {
        let config = broker.config();
        let limit = config.max_connection_creation_rate;
        if limit == i32::MAX {
            return Duration::ZERO;
        }
        let windows = Windows::new(config.quota_window_num, config.quota_window_size_seconds);
        // Kafka's 0 is a wait without end; this is as long as there is a window to wait for.
        let limit = f64::from(limit).max(f64::MIN_POSITIVE);
        Duration::from_millis(self.wait_ms(windows, limit, broker.quotas.now_ms()))
    }

    fn wait_ms(&self, windows: Windows, limit: f64, now_ms: u64) -> u64 {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.record(windows, 1.0, now_ms);
        let excess_ms = all.excess_ms(windows, limit, now_ms);
        excess_ms.min(windows.length_ms)
    }

    /// For how long a connection of `ip` is kept without being served, before it is closed; none is a connection as any other.
    pub fn refuse(&self, broker: &Broker, ip: IpAddr) -> Option<Duration> {
        let quotas = &broker.quotas;
        let ms = quotas.limiter.connect(ip, quotas.now_ms());
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    pub fn hold(&self) -> Option<Held> {
        let held = self.held.fetch_add(1, Ordering::AcqRel);
        let place = Held(self.held.clone());
        (held < MAX_HELD).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_too_many_wait_for_one_window_at_most() {
        let pace = Pace::default();
        let windows = Windows::new(11, 1);
        for _ in 0..20 {
            assert_eq!(pace.wait_ms(windows, 2.0, 0), 0);
        }
        assert_eq!(pace.wait_ms(windows, 2.0, 0), 500);
        for _ in 0..20 {
            assert!((500..=1_000).contains(&pace.wait_ms(windows, 2.0, 0)));
        }
    }

    #[test]
    fn so_many_are_kept_open_and_no_more() {
        let pace = Pace::default();
        let mut held: Vec<_> = (0..MAX_HELD).filter_map(|_| pace.hold()).collect();
        assert_eq!(held.len(), MAX_HELD);
        assert!(pace.hold().is_none());
        assert!(pace.hold().is_none(), "who found no place took none");
        held.pop();
        assert!(pace.hold().is_some());
    }
}
