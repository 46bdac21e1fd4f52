//! What is counted of each request, and told of a slow one, around its handling.

use super::errors::Errors;
use super::{Broker, Call, Caller, Outcome, Serving};
use millrace_wire::ApiKey;
use millrace_wire::frame::RequestHeader;
use millrace_wire::messages::StrBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// As much of a client's id as a line shows.
const CLIENT_ID_CHARACTERS: usize = 100;

/// A client's id as lines show it.
pub fn brief(client_id: Option<&StrBytes>) -> String {
    let client_id = client_id.map_or("", |client_id| client_id);
    client_id.chars().take(CLIENT_ID_CHARACTERS).collect()
}

/// A request that is being served. Dropped, it is served no more.
pub struct Observed {
    broker: Arc<Broker>,
    caller: Arc<Caller>,
    api: ApiKey,
    client_id: Option<StrBytes>,
    began: Instant,
    waited_us: Arc<AtomicU64>,
}

impl Observed {
    pub fn new(
        broker: &Arc<Broker>,
        caller: &Arc<Caller>,
        api: ApiKey,
        header: &RequestHeader,
        bytes: usize,
    ) -> Observed {
        broker.metrics.requests.began(api, bytes);
        Observed {
            broker: broker.clone(),
            caller: caller.clone(),
            api,
            client_id: header.client_id.clone(),
            began: Instant::now(),
            waited_us: Arc::default(),
        }
    }

    /// Where [`Call::waited`] adds to.
    pub fn waited_us(&self) -> Arc<AtomicU64> {
        self.waited_us.clone()
    }

    fn end(&self, outcome: &Outcome) {
        let waited = Duration::from_micros(self.waited_us.load(Ordering::Relaxed));
        let took = self.began.elapsed().saturating_sub(waited);
        let requests = &self.broker.metrics.requests;
        match outcome {
            Outcome::Answer { frame, .. } => requests.answered(self.api, took, frame.len()),
            Outcome::NoAnswer => requests.answered(self.api, took, 0),
            Outcome::Close(_) => {
                requests.answered(self.api, took, 0);
                requests.closed(self.api);
            }
        }
        if self.is_slow(took) {
            self.complain(took);
        }
    }

    fn is_slow(&self, took: Duration) -> bool {
        match self.broker.started_with.slow_request_ms {
            0 => false,
            ms => took >= Duration::from_millis(ms),
        }
    }

    fn complain(&self, took: Duration) {
        let Some(more) = self.broker.complaints.next() else {
            return;
        };
        tracing::warn!(
            api = self.api.name(),
            client_id = brief(self.client_id.as_ref()),
            address = %self.caller.address,
            ms = took.as_millis() as u64,
            more,
            "slow request"
        );
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.broker.metrics.requests.ended();
    }
}

/// The same, watched to its end. Its first poll polls `serving`, so what is in order stays so.
pub fn watch(observed: Observed, serving: Serving) -> Serving {
    Box::pin(async move {
        let outcome = serving.await;
        observed.end(&outcome);
        outcome
    })
}

/// Counts the errors of an answer.
pub fn errors(call: &Call, api: ApiKey, response: &impl Errors) {
    response.each(&mut |code| {
        if code != 0 {
            call.broker.metrics.requests.failed(api, code);
        }
    });
}
