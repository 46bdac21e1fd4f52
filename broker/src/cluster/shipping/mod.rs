//! A follower that is far behind: what its leader's log no longer holds comes to it over the network.
//!
//! ```text
//! leader: MsgSnapshot of a partition -> kept back
//!           Begin: what is to be there        ->  follower: from where on it lacks records
//!           Chunk, Chunk, ...: a parcel       ->            a run, durable; from where on it lacks records now
//!           ... until it lacks none
//!         MsgSnapshot, as raft made it        ->            installed
//! ```
//!
//! A snapshot of a partition names records, it does not hold them. So it does not leave before they are there, and the follower takes it
//! only if they are: either of both would do. `shipper.rs` is the leader's end, `intake.rs` the follower's, `words.rs` what they say.
//!
//! **Invariants:** what is shipped is committed, so it matters to nobody who leads by the time it arrives; parcels arrive without a gap,
//! and end where an entry ends; what arrived is never shipped again; each step has a time-out, and what fails is raft's to try again.

mod intake;
mod pace;
mod shipper;
mod words;

#[cfg(test)]
mod tests;

use crate::engine::{Engine, Handle};
use crate::metadata::BrokerId;
use crate::peers::AskError;
use crate::raft::ports::GroupId;
use bytes::Bytes;
use intake::Intakes;
use pace::Pace;
use raft::eraftpb::{Message, MessageType};
use shipper::Queue;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Replicas that are shipped to at a time. Others wait; each is there once.
const MAX_SHIPMENTS: usize = 2;
/// Replicas that are taken in at a time. Who ships one more is told to wait.
const MAX_INTAKES: usize = 4;
/// Records in a parcel, which becomes a run: what either end holds of a shipment, but for an entry that is larger.
const PARCEL_BYTES: u64 = 16 << 20;
/// What is said at once, and what of a shipment is on its way.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Of all shipments together.
    pub bytes_per_second: u64,
    pub parcel_bytes: u64,
    pub chunk_bytes: usize,
}

impl Settings {
    pub fn new(bytes_per_second: u64) -> Settings {
        Settings {
            bytes_per_second,
            parcel_bytes: PARCEL_BYTES,
            chunk_bytes: CHUNK_BYTES,
        }
    }
}

pub(super) type Asked<'a> = Pin<Box<dyn Future<Output = Result<Bytes, AskError>> + Send + 'a>>;

/// What shipping needs of the network.
pub(super) trait Ways: Send + Sync {
    fn ask(&self, to: BrokerId, question: Bytes, timeout: Duration) -> Asked<'_>;
    /// Its fate is reported to the engine.
    fn post(&self, to: BrokerId, group: GroupId, message: Message);
}

/// Since the start.
#[derive(Debug, Default)]
struct Counters {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShippingStats {
    /// Bytes of records that went to followers, and that came from leaders, since the start.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Replicas that are shipped to at the moment.
    pub under_way: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Shipping {
    inner: Arc<Inner>,
}

struct Inner {
    ways: Box<dyn Ways>,
    settings: Settings,
    /// Not held: who closes the engine must be the last to have it.
    engine: OnceLock<Weak<Engine>>,
    queue: Queue,
    intakes: Intakes,
    pace: Pace,
    counters: Counters,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shipping {
    /// Within a runtime.
    pub fn new(
        ways: Box<dyn Ways>,
        settings: Settings,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Shipping {
        Shipping {
            inner: Arc::new(Inner {
                ways,
                engine: OnceLock::new(),
                queue: Queue::default(),
                intakes: Intakes::default(),
                pace: Pace::new(settings.bytes_per_second),
                settings,
                counters: Counters::default(),
                runtime: tokio::runtime::Handle::current(),
                stop,
                tasks: tasks.clone(),
            }),
        }
    }

    /// Whose replicas these are.
    pub fn serve(&self, engine: &Arc<Engine>) {
        let _ = self.inner.engine.set(Arc::downgrade(engine));
    }

    /// Whether raft's message must not leave, or be taken, before the records that it names are there.
    pub fn concerns(message: &Message) -> bool {
        message.get_msg_type() == MessageType::MsgSnapshot
    }

    pub fn stats(&self) -> ShippingStats {
        let Inner {
            counters, queue, ..
        } = &*self.inner;
        ShippingStats {
            sent_bytes: counters.sent_bytes.load(Ordering::Relaxed),
            received_bytes: counters.received_bytes.load(Ordering::Relaxed),
            under_way: queue.under_way() as u64,
        }
    }
}

impl Inner {
    fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.get()?.upgrade()
    }

    fn handle(&self, group: GroupId) -> Option<Handle> {
        self.engine()?.partition(group)
    }
}

/// Does what waits for a disk, on a thread that may. `None` when that takes too long, or panics.
async fn blocking<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let done = tokio::time::timeout(timeout, tokio::task::spawn_blocking(work)).await;
    done.ok()?.ok()
}
