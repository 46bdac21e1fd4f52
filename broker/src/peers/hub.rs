//! What all links of this broker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hello::{Errand, Hello, MAX_ABOUT_BYTES};
use super::peer::Peer;
use super::settings::Settings;
use super::{BrokerId, Handler};
use crate::complaints::Complaints;

/// Brokers of which anything is remembered. Four times as many as are planned for; one more is refused.
const MAX_BROKERS: usize = 4096;

pub(super) struct Hub {
    pub(super) settings: Settings,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) instance: u128,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    peers: RwLock<BTreeMap<BrokerId, Arc<Peer>>>,
    complaints: Complaints,
    serials: AtomicU64,
    started: Instant,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("broker", &self.settings.broker)
            .finish_non_exhaustive()
    }
}

impl Hub {
    pub(super) fn new(
        settings: Settings,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Hub {
        Hub {
            settings,
            handler,
            instance: uuid::Uuid::new_v4().as_u128(),
            stop,
            tasks,
            peers: RwLock::default(),
            complaints: Complaints::default(),
            serials: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    pub(super) fn peer(&self, broker: BrokerId) -> Option<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(&broker).cloned()
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.values().cloned().collect()
    }

    /// The one of that id, which may be new. `None` if there are too many.
    pub(super) fn introduce(&self, broker: BrokerId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.peer(broker) {
            return Some(peer);
        }
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MAX_BROKERS && !peers.contains_key(&broker) {
            return None;
        }
        let new = || Arc::new(Peer::new(broker, &self.settings));
        Some(peers.entry(broker).or_insert_with(new).clone())
    }

    pub(super) fn hello(&self, errand: Option<Errand>) -> Hello {
        Hello {
            cluster_id: self.settings.cluster_id.clone(),
            broker: self.settings.broker,
            instance: self.instance,
            about: self.bounded(self.handler.about(), MAX_ABOUT_BYTES, "description"),
            errand,
        }
    }

    /// What is too long is not sent: the rest of the hello or of the pulse still is.
    pub(super) fn bounded(&self, bytes: Bytes, limit: usize, what: &str) -> Bytes {
        if bytes.len() <= limit {
            return bytes;
        }
        let bytes = bytes.len();
        self.complain(|| tracing::error!(what, bytes, limit, "too long to be sent to brokers"));
        Bytes::new()
    }

    /// A line that others may cause many of.
    pub(super) fn complain(&self, line: impl FnOnce()) {
        if let Some(suppressed) = self.complaints.next() {
            line();
            if suppressed > 0 {
                tracing::warn!(suppressed, "more lines about brokers were not written");
            }
        }
    }

    pub(super) fn serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Nanoseconds of this broker's clock, from 1.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}
