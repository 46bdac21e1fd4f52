//! Log lines about clients, of which there may be ten thousand: so many a second, and how many more there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const LINES_PER_PERIOD: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Complaints {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl Default for Complaints {
    fn default() -> Complaints {
        Complaints {
            state: Mutex::new(State {
                since: Instant::now(),
                lines: 0,
                suppressed: 0,
            }),
        }
    }
}

impl Complaints {
    /// Whether one more line may be written now, and how many were not since the last one.
    pub fn next(&self) -> Option<u64> {
        self.next_at(Instant::now())
    }

    fn next_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.since) >= PERIOD {
            state.since = now;
            state.lines = 0;
        }
        if state.lines == LINES_PER_PERIOD {
            state.suppressed += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_of_later() {
        let complaints = Complaints::default();
        let now = Instant::now();
        for _ in 0..LINES_PER_PERIOD {
            assert_eq!(complaints.next_at(now), Some(0));
        }
        assert_eq!(complaints.next_at(now), None);
        assert_eq!(complaints.next_at(now), None);
        assert_eq!(complaints.next_at(now + PERIOD), Some(2));
    }
}
