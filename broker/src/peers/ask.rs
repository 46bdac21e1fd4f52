//! Questions to other brokers, and answers to theirs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::frame::Outgoing;
use super::hub::Hub;
use super::peer::{Peer, lock};
use super::{BrokerId, Lane};

/// Questions to one broker that wait for their answers. One more is refused.
pub(super) const MAX_OPEN_ASKS: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the broker is not connected")]
    NotConnected,
    #[error(
        "too many questions wait for that broker's answers, or too many bytes wait to be sent to it"
    )]
    Busy,
    #[error("the question is longer than a frame may be")]
    TooLong,
    /// It may have been heard.
    #[error("no answer in time")]
    TimedOut,
    /// It may have been heard.
    #[error("the connection broke before the answer came")]
    Lost,
}

struct OpenAsk {
    /// Who was asked: an answer of another process of that broker is none.
    instance: u128,
    answer: oneshot::Sender<Bytes>,
}

/// Those of one broker.
#[derive(Default)]
pub(super) struct Asks {
    open: Mutex<BTreeMap<u64, OpenAsk>>,
    last: AtomicU64,
}

impl std::fmt::Debug for Asks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asks({})", lock(&self.open).len())
    }
}

impl Asks {
    fn begin(&self, instance: u128) -> Option<(u64, oneshot::Receiver<Bytes>)> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, comes) = oneshot::channel();
        let mut open = lock(&self.open);
        if open.len() >= MAX_OPEN_ASKS {
            return None;
        }
        open.insert(id, OpenAsk { instance, answer });
        Some((id, comes))
    }

    pub(super) fn answered(&self, instance: u128, id: u64, answer: Bytes) {
        let mut open = lock(&self.open);
        if open.get(&id).is_some_and(|ask| ask.instance == instance)
            && let Some(ask) = open.remove(&id)
        {
            drop(open);
            // Whoever asked may have left.
            let _ = ask.answer.send(answer);
        }
    }

    /// No answer will come any more.
    pub(super) fn give_up(&self) {
        lock(&self.open).clear();
    }
}

/// Forgets a question whose asker left, or heard the answer.
struct Forgets<'a> {
    asks: &'a Asks,
    id: u64,
}

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        lock(&self.asks.open).remove(&self.id);
    }
}

pub(super) async fn ask(
    peer: &Peer,
    lane: Lane,
    kind: u16,
    question: &Bytes,
    max_frame_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, AskError> {
    let queue = peer.queue(lane);
    let instance = queue.instance().ok_or(AskError::NotConnected)?;
    let (id, comes) = peer.asks.begin(instance).ok_or(AskError::Busy)?;
    let _forgets = Forgets {
        asks: &peer.asks,
        id,
    };
    let frame = Outgoing::ask(id, kind, question);
    if frame.len() > max_frame_bytes {
        return Err(AskError::TooLong);
    }
    if queue.post(frame, Some(instance)).is_err() {
        return Err(match queue.instance() == Some(instance) {
            true => AskError::Busy,
            false => AskError::NotConnected,
        });
    }
    match tokio::time::timeout(timeout, comes).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(AskError::Lost),
        Err(_) => Err(AskError::TimedOut),
    }
}

/// To be given, once, to the process that asked. Dropped, that one waits until its time is over.
#[derive(Debug)]
pub struct Answer {
    pub(super) hub: Weak<Hub>,
    pub(super) to: BrokerId,
    pub(super) instance: u128,
    pub(super) id: u64,
}

impl Answer {
    /// From any thread, and without waiting. An answer that cannot be queued is as good as none.
    pub fn send(self, answer: Bytes) {
        let Some(peer) = self.hub.upgrade().and_then(|hub| hub.peer(self.to)) else {
            return;
        };
        let frame = Outgoing::answer(self.id, &answer);
        let bytes = frame.len();
        let queue = peer.queue(Lane::Urgent);
        if queue.post(frame, Some(self.instance)).is_err() {
            tracing::debug!(
                broker = self.to,
                bytes,
                "answer is not sent: no link, or no room"
            );
        }
    }
}
