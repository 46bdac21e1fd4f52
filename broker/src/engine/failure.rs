//! The news that the metadata cannot be kept any more: who runs the broker stops it then, as Kafka's does.

use std::sync::Arc;
use tokio::sync::watch;

/// Clones tell and hear the same. What is told first stays.
#[derive(Clone, Debug, Default)]
pub(super) struct MetadataFailure(watch::Sender<Option<Arc<str>>>);

impl MetadataFailure {
    pub fn tell(&self, why: &str) {
        self.0.send_if_modified(|told| {
            let is_new = told.is_none();
            told.get_or_insert_with(|| why.into());
            is_new
        });
    }

    /// Returns when it was told, possibly long ago.
    pub async fn told(&self) -> Arc<str> {
        let mut news = self.0.subscribe();
        let told = news.wait_for(Option::is_some).await;
        // The sender lives as long as this does.
        told.ok().and_then(|why| why.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_told_first_is_heard_before_and_after() {
        let failure = MetadataFailure::default();
        let heard = failure.clone();
        let early = tokio::spawn(async move { heard.told().await });
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        failure.tell("the log");
        failure.tell("the replica");
        assert_eq!(&*early.await.expect("it ends"), "the log");
        assert_eq!(&*failure.told().await, "the log");
    }
}
