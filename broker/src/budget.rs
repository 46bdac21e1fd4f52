//! What all connections together may hold in memory.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One permit is this many bytes: a semaphore counts to 2^29 at least, and a permit a byte would be one atomic too many.
const UNIT_BYTES: usize = 1024;

/// Bytes that may be taken, and come back when what was taken is dropped. Who finds none waits in line.
#[derive(Clone, Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    limit_bytes: usize,
}

/// Bytes taken from a budget.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    pub fn new(limit_bytes: usize) -> Budget {
        Budget {
            permits: Arc::new(Semaphore::new(units(limit_bytes) as usize)),
            limit_bytes,
        }
    }

    /// Waits until `bytes` are free. More than there are in all is as many as there are: what must be done is done alone.
    pub async fn take(&self, bytes: usize) -> Share {
        let wanted = units(bytes.min(self.limit_bytes));
        let permits = self.permits.clone().acquire_many_owned(wanted);
        Share {
            _permit: permits.await.expect("the semaphore is never closed"),
        }
    }

    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    pub fn taken_bytes(&self) -> usize {
        self.limit_bytes.saturating_sub(self.free_bytes())
    }

    pub fn free_bytes(&self) -> usize {
        self.permits.available_permits() * UNIT_BYTES
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_comes_back_when_it_is_dropped() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let some = budget.take(6 * UNIT_BYTES).await;
        assert_eq!(budget.free_bytes(), 4 * UNIT_BYTES);
        let late = budget.clone();
        let waits = tokio::spawn(async move { late.take(5 * UNIT_BYTES).await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(some);
        drop(waits.await);
        assert_eq!(budget.free_bytes(), 10 * UNIT_BYTES);
    }

    #[tokio::test]
    async fn more_than_there_is_takes_all() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let all = budget.take(usize::MAX).await;
        assert_eq!(budget.free_bytes(), 0);
        drop(all);
    }
}
