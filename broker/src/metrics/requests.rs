//! Requests by api, and clients' connections by listener.

use super::histogram::{Histogram, Times};
use millrace_wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a request ended that got no answer because its connection was closed, beside Kafka's error codes.
pub const CLOSED: &str = "CONNECTION_CLOSED";

#[derive(Debug)]
pub struct Requests {
    /// By key.
    apis: Box<[Api]>,
    /// Bounded by what the protocol knows. Only who fails comes by here.
    errors: Mutex<BTreeMap<(ApiKey, &'static str), u64>>,
    in_flight: AtomicU64,
}

#[derive(Debug, Default)]
struct Api {
    times: Histogram,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

/// One api's requests at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    pub times: Times,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            apis: ApiKey::ALL.iter().map(|_| Api::default()).collect(),
            errors: Mutex::default(),
            in_flight: AtomicU64::new(0),
        }
    }
}

impl Requests {
    pub fn began(&self, api: ApiKey, request_bytes: usize) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if let Some(counters) = self.api(api) {
            counters
                .request_bytes
                .fetch_add(request_bytes as u64, Ordering::Relaxed);
        }
    }

    /// It is answered, or nobody wants to know any more.
    pub fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn answered(&self, api: ApiKey, took: Duration, response_bytes: usize) {
        if let Some(counters) = self.api(api) {
            counters.times.record(took);
            counters
                .response_bytes
                .fetch_add(response_bytes as u64, Ordering::Relaxed);
        }
    }

    /// One error field of an answer.
    pub fn failed(&self, api: ApiKey, code: i16) {
        self.count(api, ErrorCode::from(code).name());
    }

    pub fn closed(&self, api: ApiKey) {
        self.count(api, CLOSED);
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn read(&self, api: ApiKey) -> Option<Served> {
        let counters = self.api(api)?;
        Some(Served {
            times: counters.times.read(),
            request_bytes: counters.request_bytes.load(Ordering::Relaxed),
            response_bytes: counters.response_bytes.load(Ordering::Relaxed),
        })
    }

    pub fn errors(&self) -> BTreeMap<(ApiKey, &'static str), u64> {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn api(&self, api: ApiKey) -> Option<&Api> {
        self.apis.get(usize::try_from(i16::from(api)).ok()?)
    }

    fn count(&self, api: ApiKey, error: &'static str) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry((api, error)).or_default() += 1;
    }
}

#[derive(Debug, Default)]
pub struct Connections {
    listeners: Mutex<BTreeMap<Arc<str>, Arc<Accepting>>>,
}

/// One listener's connections.
#[derive(Debug, Default)]
pub struct Accepting {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
    /// Too many a second.
    pub delayed: AtomicU64,
    /// Closed by the broker with a line in its log.
    pub aborted: AtomicU64,
}

impl Connections {
    pub fn listener(&self, name: &Arc<str>) -> Arc<Accepting> {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.entry(name.clone()).or_default().clone()
    }

    pub fn all(&self) -> BTreeMap<Arc<str>, Arc<Accepting>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_one_api_is_counted_for_it_alone() {
        let requests = Requests::default();
        requests.began(ApiKey::Fetch, 100);
        requests.answered(ApiKey::Fetch, Duration::from_millis(3), 7);
        requests.failed(ApiKey::Fetch, ErrorCode::OffsetOutOfRange.code());
        requests.failed(ApiKey::Fetch, ErrorCode::OffsetOutOfRange.code());
        requests.closed(ApiKey::Produce);
        requests.ended();
        let fetch = requests
            .read(ApiKey::Fetch)
            .expect("every api has its counters");
        assert_eq!(
            (
                fetch.times.count(),
                fetch.request_bytes,
                fetch.response_bytes
            ),
            (1, 100, 7)
        );
        let produce = requests
            .read(ApiKey::Produce)
            .expect("every api has its counters");
        assert_eq!((produce.times.count(), produce.request_bytes), (0, 0));
        let errors: Vec<_> = requests.errors().into_iter().collect();
        assert_eq!(
            errors,
            [
                ((ApiKey::Produce, CLOSED), 1),
                ((ApiKey::Fetch, "OFFSET_OUT_OF_RANGE"), 2)
            ]
        );
        assert_eq!(requests.in_flight(), 0);
    }
}
