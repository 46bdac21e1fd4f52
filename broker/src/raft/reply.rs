//! How a caller hears of what it asked for: exactly once, whatever happens.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::ports::PeerId;

/// Why there is no answer. `R` is the state machine's own refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure<R> {
    /// The state machine refused it; nothing was proposed.
    #[error("{0}")]
    Refused(R),
    /// This replica does not lead. When it stopped leading after it had proposed, the outcome is unknown: the entry may
    /// yet be committed by the next leader. `leader` is 0 when nobody knows it.
    #[error("not the leader (which is peer {leader})")]
    NotLeader { leader: PeerId },
    /// A queue or an allowance is full; nothing was proposed.
    #[error("overloaded")]
    Overloaded,
    /// The leadership is on its way to another replica; nothing was proposed.
    #[error("leadership moves to peer {to}")]
    Transferring { to: PeerId },
    #[error("no such group")]
    UnknownGroup,
    /// The replica, or the whole worker, is offline. The outcome of what it had proposed is unknown.
    #[error("offline: {0}")]
    Faulty(Arc<str>),
    /// The worker, or the group, is gone. The outcome of what it had proposed is unknown.
    #[error("stopped")]
    Stopped,
}

type Answer<T, R> = Box<dyn FnOnce(Result<T, Failure<R>>) + Send>;

/// A promise to answer. Dropped unused, it answers [`Failure::Stopped`].
///
/// The function runs on the worker's thread: it hands the answer over and never waits.
pub struct Reply<T, R>(Option<Answer<T, R>>);

impl<T, R> Reply<T, R> {
    pub fn new(answer: impl FnOnce(Result<T, Failure<R>>) + Send + 'static) -> Self {
        Reply(Some(Box::new(answer)))
    }

    /// For those who do not listen (acks=0).
    pub fn ignored() -> Self {
        Reply(None)
    }

    pub fn answer(mut self, result: Result<T, Failure<R>>) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl<T, R> Drop for Reply<T, R> {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(Failure::Stopped));
        }
    }
}
