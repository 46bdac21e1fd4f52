//! Where events wait for a worker's thread: a bounded queue that wakes its reader no more often than is good for anybody.
//!
//! A reader that has nothing to do sleeps. While the log is busy it sleeps through single commands, too: what they want
//! written has to wait anyway, and waking a thread for each costs more than the commands themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's queue is full")]
pub struct QueueFull;

/// Whether an event is worth waking a reader that would rather see several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    AtOnce,
    InCompany,
}

struct State<E> {
    events: VecDeque<E>,
    /// The reader sleeps until there are so many events, or an urgent one; 0 when it is awake.
    wake_at: usize,
    is_closed: bool,
}

pub(super) struct Queue<E> {
    state: Mutex<State<E>>,
    arrived: Condvar,
    max_events: usize,
}

/// The only reader. When it goes, what is queued and what is yet to come is dropped.
pub(super) struct Reader<E>(pub(super) Arc<Queue<E>>);

impl<E> Queue<E> {
    pub(super) fn new(max_events: usize) -> Self {
        Queue {
            state: Mutex::new(State {
                events: VecDeque::new(),
                wake_at: 0,
                is_closed: false,
            }),
            arrived: Condvar::new(),
            max_events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // Nothing in this file panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// The event comes back when the queue is full. One that nobody will read is dropped.
    pub(super) fn push(&self, event: E, urgency: Urgency) -> Result<(), E> {
        self.add(event, urgency, self.max_events)
    }

    pub(super) fn push_regardless(&self, event: E) {
        let _ = self.add(event, Urgency::AtOnce, usize::MAX);
    }

    fn add(&self, event: E, urgency: Urgency, max_events: usize) -> Result<(), E> {
        let mut state = self.lock();
        if state.is_closed {
            // Whoever waits for an answer gets it when the event is dropped, and that must not happen under the lock.
            drop(state);
            drop(event);
            return Ok(());
        }
        if state.events.len() >= max_events {
            return Err(event);
        }
        state.events.push_back(event);
        let is_asleep = state.wake_at > 0;
        let wakes =
            is_asleep && (urgency == Urgency::AtOnce || state.events.len() >= state.wake_at);
        if wakes {
            state.wake_at = 0;
        }
        drop(state);
        if wakes {
            self.arrived.notify_one();
        }
        Ok(())
    }
}

impl<E> Reader<E> {
    /// Moves at most `max` events to `into`, which is empty. When there are none it sleeps until an urgent one comes, or
    /// there are `company` of them, or `patience` has passed.
    pub(super) fn take(
        &self,
        into: &mut VecDeque<E>,
        max: usize,
        company: usize,
        patience: Duration,
    ) {
        let mut state = self.0.lock();
        if state.events.is_empty() && !patience.is_zero() {
            let until = Instant::now() + patience;
            state.wake_at = company.max(1);
            while state.wake_at > 0 {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.0.arrived.wait_timeout(state, left);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
            state.wake_at = 0;
        }
        if state.events.len() <= max {
            std::mem::swap(&mut state.events, into);
        } else {
            into.extend(state.events.drain(..max));
        }
    }
}

impl<E> Drop for Reader<E> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let events = std::mem::take(&mut state.events);
        drop(state);
        drop(events);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    fn queue(max_events: usize) -> (Arc<Queue<u32>>, Reader<u32>) {
        let queue = Arc::new(Queue::new(max_events));
        (queue.clone(), Reader(queue))
    }

    fn take(reader: &Reader<u32>, max: usize) -> Vec<u32> {
        let mut into = VecDeque::new();
        reader.take(&mut into, max, 1, Duration::ZERO);
        into.into()
    }

    #[test]
    fn events_come_in_order_and_no_more_than_asked_for() {
        let (queue, reader) = queue(10);
        (0..5).for_each(|n| queue.push(n, Urgency::InCompany).unwrap());
        assert_eq!(take(&reader, 3), [0, 1, 2]);
        assert_eq!(take(&reader, 3), [3, 4]);
        assert_eq!(take(&reader, 3), [0; 0]);
    }

    #[test]
    fn a_full_queue_gives_the_event_back_but_takes_what_must_not_be_lost() {
        let (queue, reader) = queue(1);
        queue.push(1, Urgency::AtOnce).unwrap();
        assert_eq!(queue.push(2, Urgency::AtOnce), Err(2));
        queue.push_regardless(3);
        assert_eq!(take(&reader, 9), [1, 3]);
    }

    #[test]
    fn a_sleeping_reader_is_woken_by_company_or_by_urgency() {
        let (queue, reader) = queue(10);
        let (sender, woken) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for _ in 0..2 {
                let mut into = VecDeque::new();
                reader.take(&mut into, 10, 3, LONG);
                sender.send(Vec::from(into)).unwrap();
            }
        });
        let asleep = || while queue.lock().wake_at == 0 {};
        asleep();
        queue.push(1, Urgency::InCompany).unwrap();
        queue.push(2, Urgency::InCompany).unwrap();
        assert!(queue.lock().wake_at > 0, "two are not company enough");
        queue.push(3, Urgency::InCompany).unwrap();
        assert_eq!(woken.recv_timeout(LONG).unwrap(), [1, 2, 3]);
        asleep();
        queue.push(4, Urgency::AtOnce).unwrap();
        assert_eq!(woken.recv_timeout(LONG).unwrap(), [4]);
        thread.join().unwrap();
    }

    #[test]
    fn patience_ends() {
        let (queue, reader) = queue(10);
        queue.push(1, Urgency::InCompany).unwrap();
        assert_eq!(take(&reader, 1), [1]);
        let mut into = VecDeque::new();
        reader.take(&mut into, 1, 3, Duration::from_millis(1));
        assert!(into.is_empty());
    }

    #[test]
    fn what_nobody_will_read_is_dropped() {
        let queue = Arc::new(Queue::new(10));
        let reader = Reader(queue.clone());
        let event = Arc::new(());
        queue.push(event.clone(), Urgency::AtOnce).unwrap();
        drop(reader);
        queue.push(event.clone(), Urgency::AtOnce).unwrap();
        queue.push_regardless(event.clone());
        assert_eq!(Arc::strong_count(&event), 1);
    }
}
