//! What others hold of the metadata: the image to read, changes to wait for, commands to give.

use super::command::{Command, Output, Refusal};
use super::image::Image;
use crate::raft::{Failure, Reply, Status};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

pub type Error = Failure<Refusal>;

/// Hands a command to the group's worker; it must not wait.
pub type Submit = Arc<dyn Fn(Command, Reply<Output, Refusal>) + Send + Sync>;

/// Asks the group's worker how it stands; it must not wait. What is dropped unanswered was too much for the worker, or it has stopped.
pub type AskStatus = Arc<dyn Fn(oneshot::Sender<Option<Status>>) + Send + Sync>;

#[derive(Clone)]
pub struct Handle {
    image: watch::Receiver<Arc<Image>>,
    submit: Submit,
    ask_status: AskStatus,
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
        }
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

    /// Answers when the change is committed and this broker's image shows it.
    pub async fn submit(&self, command: Command) -> Result<Output, Error> {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply::new(move |result| {
            let _ = sender.send(result);
        });
        (self.submit)(command, reply);
        receiver.await.unwrap_or(Err(Failure::Stopped))
    }
}
