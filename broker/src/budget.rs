//! What all connections together may hold in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One permit is this many bytes: a semaphore counts to 2^29 at least, and a permit a byte would be one atomic too many.
const UNIT_BYTES: usize = 1024;

/// Up to which size, and how many eighths of the budget: who wants little does not wait behind those who want much.
const CLASSES: [(usize, usize); 4] = [(4 << 10, 1), (64 << 10, 2), (2 << 20, 2), (usize::MAX, 3)];

/// Bytes that may be taken, and come back when what was taken is dropped. Who finds none waits in line, with those who want
/// about as much.
#[derive(Clone, Debug)]
pub struct Budget {
    classes: Arc<[Class; CLASSES.len()]>,
    limit_bytes: usize,
}

#[derive(Debug)]
struct Class {
    permits: Arc<Semaphore>,
    units: u32,
    waiting: Arc<AtomicUsize>,
}

/// Bytes taken from a budget.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
    waiting: Arc<AtomicUsize>,
}

impl Share {
    /// Whether others wait for what is held here.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// One that waits; no longer when it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Budget {
    pub fn new(limit_bytes: usize) -> Budget {
        Budget {
            classes: Arc::new(CLASSES.map(|(_, eighths)| Class::new(limit_bytes / 8 * eighths))),
            limit_bytes,
        }
    }

    /// Waits until `bytes` are free. More than there are in all is as many as there are: what must be done is done alone.
    pub async fn take(&self, bytes: usize) -> Share {
        let of_size = CLASSES.iter().position(|(up_to, _)| bytes <= *up_to);
        let class = &self.classes[of_size.unwrap_or(CLASSES.len() - 1)];
        let wanted = units(bytes).min(class.units);
        let permit = match class.permits.clone().try_acquire_many_owned(wanted) {
            Ok(permit) => permit,
            Err(_) => {
                class.waiting.fetch_add(1, Ordering::Relaxed);
                let _waiting = Waiting(&class.waiting);
                let permits = class.permits.clone().acquire_many_owned(wanted);
                permits.await.expect("the semaphore is never closed")
            }
        };
        Share {
            _permit: permit,
            waiting: class.waiting.clone(),
        }
    }

    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    pub fn taken_bytes(&self) -> usize {
        let taken = self
            .classes
            .iter()
            .map(|class| class.units as usize - class.permits.available_permits());
        taken.sum::<usize>() * UNIT_BYTES
    }
}

impl Class {
    fn new(bytes: usize) -> Class {
        // One at least: else nothing of this size would ever be done.
        let units = units(bytes).max(1);
        Class {
            permits: Arc::new(Semaphore::new(units as usize)),
            units,
            waiting: Arc::default(),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1024;

    /// The smallest have eight units of it.
    fn budget() -> Budget {
        Budget::new(64 * UNIT_BYTES)
    }

    #[tokio::test]
    async fn what_is_taken_comes_back_when_it_is_dropped() {
        let budget = budget();
        let mut some = Vec::new();
        for _ in 0..8 {
            some.push(budget.take(SMALL).await);
        }
        assert_eq!(budget.taken_bytes(), 8 * UNIT_BYTES);
        assert!(!some[0].is_wanted());
        let late = budget.clone();
        let waits = tokio::spawn(async move { late.take(SMALL).await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        assert!(some[0].is_wanted());
        some.pop();
        let last = waits.await.expect("it does not panic");
        assert!(!last.is_wanted());
        drop((some, last));
        assert_eq!(budget.taken_bytes(), 0);
    }

    #[tokio::test]
    async fn who_no_longer_waits_is_not_counted() {
        let budget = budget();
        let all = budget.take(usize::MAX).await;
        let wait = tokio::time::timeout(std::time::Duration::ZERO, budget.take(usize::MAX));
        assert!(wait.await.is_err());
        assert!(!all.is_wanted());
    }

    #[tokio::test]
    async fn who_wants_little_does_not_wait_behind_those_who_want_much() {
        let budget = budget();
        let much = budget.take(usize::MAX).await;
        let little = budget.take(SMALL).await;
        assert_eq!(budget.taken_bytes(), (24 + 1) * UNIT_BYTES);
        drop((much, little));
    }

    #[tokio::test]
    async fn a_budget_of_nothing_still_lets_one_through() {
        let budget = Budget::new(0);
        for bytes in [0, 1, SMALL, 1 << 20, usize::MAX] {
            drop(budget.take(bytes).await);
        }
        assert_eq!(budget.taken_bytes(), 0);
    }
}
