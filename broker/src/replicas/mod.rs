//! Keeps this broker's replicas in step with the metadata: makes those that it is to hold, deletes those of deleted topics,
//! and hands each its topic's settings.
//!
//! [`Replicas`] is where requests find a partition. It follows the image by a moment; who has changed the metadata and wants to
//! see the effect waits with [`Replicas::caught_up`].

mod effective;
mod follow;
mod topic;

pub use effective::Effective;
pub use topic::{HostedTopic, Hosting};

use crate::cluster::Cluster;
use crate::config::BrokerConfig;
use crate::engine::{self, Engine};
use crate::metadata;
use crate::metrics::Metrics;
use crate::partition::Role;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a step that failed rests: a full disk is not worth more than a line a second.
const AGAIN: Duration = Duration::from_secs(1);

/// How often a broker that starts looks whether it leads already.
const SETTLING: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub struct Replicas {
    hosting: watch::Receiver<Arc<Hosting>>,
    engine: Arc<Engine>,
    cluster: Cluster,
}

impl Replicas {
    /// Takes the first step before it returns, and follows until `stop`.
    pub async fn start(
        engine: Arc<Engine>,
        metadata: metadata::Handle,
        cluster: Cluster,
        config: Arc<BrokerConfig>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Replicas {
        let mut images = metadata.watch();
        let mut follower = follow::Follower::new(
            engine.clone(),
            metadata.clone(),
            cluster.clone(),
            config,
            metrics,
        );
        let image = images.borrow_and_update().clone();
        let (sender, hosting) = watch::channel(Arc::new(Hosting::default()));
        follower = step(follower, image, &sender).await;
        tasks.spawn(async move {
            loop {
                let is_complete = sender.borrow().is_complete;
                let changed = async {
                    match is_complete {
                        true => images.changed().await.is_ok(),
                        false => {
                            tokio::time::sleep(AGAIN).await;
                            true
                        }
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    go_on = changed => if !go_on { return },
                }
                let image = images.borrow_and_update().clone();
                follower = step(follower, image, &sender).await;
            }
        });
        Replicas {
            hosting,
            engine,
            cluster,
        }
    }

    /// The topics as of now.
    pub fn hosting(&self) -> Arc<Hosting> {
        self.hosting.borrow().clone()
    }

    /// Returns when this broker serves all that it leads, or at `deadline`: clients that come sooner would be sent away.
    pub async fn settled(&self, deadline: tokio::time::Instant) {
        loop {
            let hosting = self.hosting();
            let handles = hosting.topics.values().flat_map(|topic| &topic.partitions);
            let is_under_way = |handle: &engine::Handle| {
                let positions = handle.positions();
                let follows = matches!(positions.role, Role::Follower { .. });
                !positions.leads() && !follows && !handle.is_offline()
            };
            if !handles.flatten().any(is_under_way) || tokio::time::Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(SETTLING).await;
        }
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns when everything up to `version` of the image is so here. Its deadline is the caller's.
    pub async fn caught_up(&self, version: u64) {
        let mut hosting = self.hosting.clone();
        // An error is the end of this process.
        let _ = hosting
            .wait_for(|hosting| hosting.version >= version && hosting.is_complete)
            .await;
    }
}

/// One step, on a thread that may wait.
async fn step(
    mut follower: follow::Follower,
    image: Arc<metadata::Image>,
    to: &watch::Sender<Arc<Hosting>>,
) -> follow::Follower {
    let work = tokio::task::spawn_blocking(move || {
        let hosting = follower.step(&image);
        (follower, hosting)
    });
    let (follower, hosting) = work
        .await
        .expect("a step does not panic, and is not aborted");
    to.send_replace(Arc::new(hosting));
    follower
}
