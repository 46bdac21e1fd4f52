//! How fast a broker ships, all shipments together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub(super) struct Pace {
    bytes_per_second: u64,
    /// When the next bytes may leave.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub fn new(bytes_per_second: u64) -> Pace {
        Pace {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Mutex::new(None),
        }
    }

    /// Returns when so many bytes may leave.
    pub async fn wait_for(&self, bytes: u64) {
        tokio::time::sleep_until(self.book(bytes, Instant::now())).await;
    }

    /// When they may, and nothing else before they have had their time.
    fn book(&self, bytes: u64, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free_at.map_or(now, |free| free.max(now));
        *free_at = Some(at + takes);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_one_after_another_and_an_idle_time_is_not_made_up_for() {
        let pace = Pace::new(1_000);
        let now = Instant::now();
        let ms = |at: Instant| (at - now).as_millis();
        assert_eq!(ms(pace.book(500, now)), 0);
        assert_eq!(ms(pace.book(100, now)), 500);
        assert_eq!(ms(pace.book(100, now)), 600);
        let later = now + Duration::from_secs(10);
        assert_eq!(ms(pace.book(2_000, later)), 10_000);
        assert_eq!(ms(pace.book(1, later)), 12_000);
    }
}
