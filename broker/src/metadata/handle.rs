//! What others hold of the metadata: the image to read, changes to wait for, commands to give.

use super::command::{Command, Output, Refusal};
use super::image::Image;
use crate::raft::ports::PeerId;
use crate::raft::{Failure, Reply, Status};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

pub type Error = Failure<Refusal>;

/// How long a command looks for a leader, and how often.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);

/// Hands a command to the group's worker; it must not wait.
pub type Submit = Arc<dyn Fn(Command, Reply<Output, Refusal>) + Send + Sync>;

/// Asks the group's worker how it stands; it must not wait. What is dropped unanswered was too much for the worker, or it has stopped.
pub type AskStatus = Arc<dyn Fn(oneshot::Sender<Option<Status>>) + Send + Sync>;

/// Hands a command to the broker whose replica leads. [`Failure::Stopped`] is no answer: nobody knows what became of it.
pub type Forward = Box<
    dyn Fn(PeerId, Command) -> Pin<Box<dyn Future<Output = Result<Done, Error>> + Send>>
        + Send
        + Sync,
>;

/// What a leader answers to a command that was handed to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub output: Output,
    /// Of an image that shows the change.
    pub version: u64,
}

#[derive(Clone)]
pub struct Handle {
    image: watch::Receiver<Arc<Image>>,
    submit: Submit,
    ask_status: AskStatus,
    /// Set where there are other brokers.
    forward: Arc<OnceLock<Forward>>,
}

impl Handle {
    pub fn new(
        image: watch::Receiver<Arc<Image>>,
        submit: Submit,
        ask_status: AskStatus,
    ) -> Handle {
        Handle {
            image,
            submit,
            ask_status,
            forward: Arc::default(),
        }
    }

    /// From now on commands reach a leader on another broker, too. All clones share it; the first one stays.
    pub fn forward_with(&self, forward: Forward) {
        let _ = self.forward.set(forward);
    }

    /// How the group's replica here stands; `None` when it cannot say.
    pub async fn status(&self) -> Option<Status> {
        let (sender, receiver) = oneshot::channel();
        (self.ask_status)(sender);
        receiver.await.ok().flatten()
    }

    /// As of now, as far as this broker has heard.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// For who wants to hear of every change.
    pub fn watch(&self) -> watch::Receiver<Arc<Image>> {
        self.image.clone()
    }

    /// Answers when the change is committed and this broker's image shows it, whoever leads. While nobody does it waits, for a
    /// while; a command whose leader is lost is given to the next one.
    pub async fn submit(&self, command: Command) -> Result<Output, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = match self.submit_here(command.clone()).await {
                Ok(done) => return Ok(done.output),
                Err(Failure::NotLeader { leader }) => leader,
                Err(Failure::UnknownGroup | Failure::Refused(Refusal::NotLeader { .. })) => 0,
                Err(error) => return Err(error),
            };
            let Some(forward) = self.forward.get() else {
                return Err(Failure::NotLeader { leader });
            };
            if leader != 0 {
                match forward(leader, command.clone()).await {
                    Ok(done) => {
                        self.seen(done.version, deadline).await;
                        return Ok(done.output);
                    }
                    Err(
                        Failure::NotLeader { .. }
                        | Failure::Transferring { .. }
                        | Failure::UnknownGroup
                        | Failure::Stopped
                        | Failure::Faulty(_)
                        | Failure::Refused(Refusal::NotLeader { .. }),
                    ) => {}
                    Err(error) => return Err(error),
                }
            }
            if Instant::now() >= deadline {
                return Err(Failure::NotLeader { leader: 0 });
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The same when this broker's replica leads; else it is refused.
    pub async fn submit_here(&self, command: Command) -> Result<Done, Error> {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply::new(move |result| {
            let _ = sender.send(result);
        });
        (self.submit)(command, reply);
        let output = receiver.await.unwrap_or(Err(Failure::Stopped))?;
        let version = self.image().version;
        Ok(Done { output, version })
    }

    /// Returns when this broker's image is as new as that, or at `deadline`.
    async fn seen(&self, version: u64, deadline: Instant) {
        let mut images = self.image.clone();
        let seen = images.wait_for(|image| image.version >= version);
        let _ = tokio::time::timeout_at(deadline, seen).await;
    }
}
