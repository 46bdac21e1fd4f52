//! What waits to be sent to one broker on one lane. Posting never waits: what there is no room for, or no link, comes back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::frame::Outgoing;

/// What one write takes, but for a frame that is longer.
const WRITE_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    limit_bytes: usize,
    max_frame_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Which process of the broker the link leads to, while there is one.
    instance: Option<u128>,
    frames: VecDeque<Outgoing>,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(limit_bytes: usize, max_frame_bytes: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            filled: Notify::new(),
            limit_bytes,
            max_frame_bytes,
        }
    }

    /// `only` for a certain process of the broker.
    pub(super) fn post(&self, frame: Outgoing, only: Option<u128>) -> Result<(), Outgoing> {
        let bytes = frame.len();
        let mut state = self.lock();
        let leads_there = match only {
            Some(_) => state.instance == only,
            None => state.instance.is_some(),
        };
        // A frame alone may be longer than all that may wait.
        let has_room = state.frames.is_empty() || state.bytes + bytes <= self.limit_bytes;
        if !leads_there || !has_room || bytes > self.max_frame_bytes {
            return Err(frame);
        }
        state.bytes += bytes;
        state.frames.push_back(frame);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    pub(super) fn connect(&self, instance: u128) {
        self.lock().instance = Some(instance);
    }

    /// What waited is not going to be sent.
    pub(super) fn disconnect(&self) -> Vec<Outgoing> {
        let mut state = self.lock();
        state.instance = None;
        state.bytes = 0;
        std::mem::take(&mut state.frames).into()
    }

    pub(super) fn instance(&self) -> Option<u128> {
        self.lock().instance
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits for something to send. Takes nothing if it is dropped while it waits.
    pub(super) async fn take(&self) -> Vec<Outgoing> {
        loop {
            let frames = self.take_now();
            if !frames.is_empty() {
                return frames;
            }
            self.filled.notified().await;
        }
    }

    fn take_now(&self) -> Vec<Outgoing> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = state.frames.front() {
            bytes += frame.len();
            if bytes > WRITE_BYTES && !taken.is_empty() {
                break;
            }
            state.bytes -= frame.len();
            taken.extend(state.frames.pop_front());
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn note(bytes: usize) -> Outgoing {
        Outgoing::note(1, &Bytes::from(vec![0; bytes]))
    }

    #[test]
    fn nothing_is_queued_without_a_link_or_for_another_process_or_beyond_the_limits() {
        let queue = Queue::new(1_000, 5_000);
        assert!(queue.post(note(1), None).is_err());
        queue.connect(7);
        assert!(queue.post(note(1), Some(8)).is_err());
        assert!(
            queue.post(note(5_001), None).is_err(),
            "longer than a frame"
        );
        assert!(queue.post(note(2_000), Some(7)).is_ok(), "alone");
        assert!(queue.post(note(1), None).is_err(), "full");
        assert_eq!(queue.take_now().len(), 1);
        assert_eq!(queue.bytes(), 0);
        assert!(queue.post(note(900), None).is_ok());
        assert!(queue.post(note(900), None).is_err());
        assert_eq!(queue.disconnect().len(), 1);
        assert_eq!((queue.bytes(), queue.instance()), (0, None));
    }

    #[test]
    fn a_write_takes_what_fits_and_at_least_one_frame() {
        let queue = Queue::new(4 << 20, 4 << 20);
        queue.connect(1);
        for bytes in [WRITE_BYTES * 2, 100, 100, WRITE_BYTES - 1_000, 1_000] {
            queue.post(note(bytes), None).expect("there is room");
        }
        let taken: Vec<usize> = (0..3).map(|_| queue.take_now().len()).collect();
        assert_eq!(taken, [1, 3, 1]);
    }
}
