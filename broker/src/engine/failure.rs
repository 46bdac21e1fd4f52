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
