//! What is to happen when nobody asks for anything: one queue for all groups of a coordinator.

use super::Name;
use std::collections::{BTreeSet, HashMap};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A member has been silent for its session's time.
    Session { group: Name, member: Name },
    /// A member of a consumer group was asked to give partitions back.
    Revocation { group: Name, member: Name },
    /// A member of the classic protocol in a consumer group was told to join again.
    Rejoining { group: Name, member: Name },
    /// One has joined and not yet asked for its assignment.
    Syncing { group: Name, member: Name },
    /// A client was given an id and has not come back with it.
    Pending { group: Name, member: Name },
    /// A rebalance waits no longer for members to join.
    Join { group: Name },
    /// A rebalance waits no longer for members to ask for their assignment.
    Sync { group: Name },
}

/// At most one time for each timer.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(u64, Timer)>,
    due: HashMap<Timer, u64>,
}

impl Timers {
    /// In place of the time that it had, if any.
    pub fn set(&mut self, timer: Timer, due_ms: u64) {
        if let Some(before) = self.due.insert(timer.clone(), due_ms) {
            if before == due_ms {
                return;
            }
            self.queue.remove(&(before, timer.clone()));
        }
        self.queue.insert((due_ms, timer));
    }

    pub fn is_set(&self, timer: &Timer) -> bool {
        self.due.contains_key(timer)
    }

    pub fn cancel(&mut self, timer: &Timer) {
        if let Some(due) = self.due.remove(timer) {
            self.queue.remove(&(due, timer.clone()));
        }
    }

    /// When there is something to do.
    pub fn next_ms(&self) -> Option<u64> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// The next one that is due, which it then is no more.
    pub fn pop(&mut self, clock_ms: u64) -> Option<Timer> {
        if self.next_ms()? > clock_ms {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.due.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(group: &str) -> Timer {
        Timer::Join {
            group: group.into(),
        }
    }

    #[test]
    fn timers_come_in_the_order_of_their_times_and_once() {
        let mut timers = Timers::default();
        timers.set(join("a"), 30);
        timers.set(join("b"), 10);
        timers.set(join("c"), 20);
        timers.set(join("b"), 25);
        timers.cancel(&join("c"));
        assert_eq!(timers.next_ms(), Some(25));
        assert_eq!(timers.pop(24), None);
        assert_eq!(timers.pop(40), Some(join("b")));
        assert_eq!(timers.pop(40), Some(join("a")));
        assert_eq!(timers.pop(40), None);
        assert_eq!(timers.next_ms(), None);
    }

    #[test]
    fn a_timer_that_went_off_can_be_set_again() {
        let mut timers = Timers::default();
        timers.set(join("a"), 1);
        assert_eq!(timers.pop(1), Some(join("a")));
        timers.set(join("a"), 1);
        assert_eq!(timers.pop(1), Some(join("a")));
    }
}
