//! What a request takes of its client's quotas, and for how long the client is not heard afterwards (KIP-219): its answer goes out
//! at once and says so, and its connection is not read from meanwhile, whatever the client makes of it.
//!
//! Where nothing is set, a request costs a few loads of atomics.

use super::refusal::Refused;
use super::{Broker, Call, Serving, observe};
use crate::quota::{Kind, Limiter, Who};
use millrace_wire::ErrorCode;
use millrace_wire::messages as m;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Everybody, until somebody logs in.
const USER: &str = "ANONYMOUS";

/// The quotas of a broker, and the clock by which they are measured.
#[derive(Debug)]
pub struct Quotas {
    pub limiter: Limiter,
    began: Instant,
}

impl Quotas {
    pub fn new(limiter: Limiter) -> Quotas {
        Quotas {
            limiter,
            began: Instant::now(),
        }
    }

    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Until when a connection is not read from.
#[derive(Clone, Debug, Default)]
pub struct Mute(Arc<AtomicU64>);

impl Mute {
    fn until(&self, at_ms: u64) {
        self.0.fetch_max(at_ms, Ordering::AcqRel);
    }

    /// How long yet.
    pub fn rest(&self, quotas: &Quotas) -> Option<Duration> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            until_ms => {
                let rest_ms = until_ms.saturating_sub(quotas.now_ms());
                (rest_ms > 0).then(|| Duration::from_millis(rest_ms))
            }
        }
    }
}

/// The time that threads have spent on a request, not that for which it waited.
#[derive(Debug, Default)]
pub struct Busy(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    before: Duration,
    since: Option<Instant>,
}

impl Busy {
    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures what happens in `work`.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.lock().since = Some(Instant::now());
        let result = work();
        let mut spent = self.lock();
        if let Some(since) = spent.since.take() {
            spent.before += since.elapsed();
        }
        result
    }

    fn so_far(&self) -> Duration {
        let spent = self.lock();
        spent.before + spent.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Measures every poll.
pub fn timed(busy: Arc<Busy>, mut serving: Serving) -> Serving {
    Box::pin(poll_fn(move |context| {
        busy.during(|| serving.as_mut().poll(context))
    }))
}

/// What a request is to be throttled for.
#[derive(Debug, Default)]
pub struct Throttle {
    worst: Mutex<Option<(Kind, u64)>>,
    /// Measured while somebody has a quota of time.
    busy: Option<Arc<Busy>>,
    has_taken_time: AtomicBool,
}

impl Throttle {
    /// Of a request that begins now.
    pub fn new(broker: &Broker) -> Throttle {
        let is_timed = broker.quotas.limiter.has(Kind::Request);
        Throttle {
            worst: Mutex::default(),
            busy: is_timed.then(Arc::default),
            has_taken_time: AtomicBool::new(false),
        }
    }

    pub fn busy(&self) -> Option<Arc<Busy>> {
        self.busy.clone()
    }

    fn worst(&self) -> MutexGuard<'_, Option<(Kind, u64)>> {
        self.worst.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: Kind, ms: u64) {
        let mut worst = self.worst();
        if ms > worst.map_or(0, |(_, ms)| ms) {
            *worst = Some((kind, ms));
        }
    }
}

impl Call {
    fn who(&self) -> Who<'_> {
        Who {
            user: USER,
            client_id: self.client_id.as_deref().unwrap_or_default(),
        }
    }

    /// The request takes so many bytes. It is heard no more from now on, if that is too much.
    pub(super) fn take_bytes(&self, kind: Kind, bytes: usize) {
        let quotas = &self.broker.quotas;
        if !quotas.limiter.has(kind) {
            return;
        }
        let now_ms = quotas.now_ms();
        let ms = quotas.limiter.take(kind, self.who(), bytes as f64, now_ms);
        if ms > 0 {
            self.throttle.note(kind, ms);
            self.caller.mute.until(now_ms.saturating_add(ms));
        }
    }

    pub(super) fn give_back(&self, kind: Kind, bytes: usize) {
        let quotas = &self.broker.quotas;
        let now_ms = quotas.now_ms();
        quotas
            .limiter
            .give_back(kind, self.who(), bytes as f64, now_ms);
    }

    /// The bytes beyond which any answer would be too much.
    pub(super) fn most_bytes(&self, kind: Kind) -> Option<u64> {
        let most = self.broker.quotas.limiter.most(kind, self.who())?;
        Some(most as u64)
    }

    /// The request takes the time that it has needed, if that is measured, and the first time that it is asked.
    pub(super) fn take_time(&self) {
        let Some(busy) = &self.throttle.busy else {
            return;
        };
        if self.throttle.has_taken_time.swap(true, Ordering::Relaxed) {
            return;
        }
        let quotas = &self.broker.quotas;
        let percent = busy.so_far().as_secs_f64() * 100.0;
        let now_ms = quotas.now_ms();
        let ms = quotas
            .limiter
            .take(Kind::Request, self.who(), percent, now_ms);
        self.throttle.note(Kind::Request, ms);
    }

    /// Whether the request, as far as it has got, is to be throttled.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttle.worst().is_some()
    }

    /// Makes or deletes so many partitions. From `strict_since` on an answer can say that it must not be.
    pub(super) fn mutate(&self, partitions: usize, strict_since: i16) -> Result<(), Refused> {
        let quotas = &self.broker.quotas;
        let (who, amount, now_ms) = (self.who(), partitions as f64, quotas.now_ms());
        if self.version < strict_since {
            let ms = quotas.limiter.mutate_anyway(who, amount, now_ms);
            self.throttle.note(Kind::ControllerMutation, ms);
            return Ok(());
        }
        quotas.limiter.mutate(who, amount, now_ms).map_err(|ms| {
            self.throttle.note(Kind::ControllerMutation, ms);
            ErrorCode::ThrottlingQuotaExceeded.into()
        })
    }

    /// Whether anybody has such a quota.
    pub(super) fn is_limited(&self, kind: Kind) -> bool {
        self.broker.quotas.limiter.has(kind)
    }
}

/// The request is answered: takes its time, tells its client, and does not hear it for so long.
pub fn finish(call: &Call, response: &mut impl Throttled) {
    call.take_time();
    let ms = mute(call);
    if ms > 0 {
        response.set_throttle_time_ms(i32::try_from(ms).unwrap_or(i32::MAX));
    }
}

/// The same for a request without an answer. As in Kafka its time is not counted.
pub fn mute(call: &Call) -> u64 {
    let Some((kind, ms)) = *call.throttle.worst() else {
        return 0;
    };
    let broker = &call.broker;
    let until_ms = broker.quotas.now_ms().saturating_add(ms);
    call.caller.mute.until(until_ms);
    broker.metrics.throttles.throttled(kind as usize, ms);
    tracing::debug!(
        quota = kind.name(),
        ms,
        client_id = observe::brief(call.client_id.as_ref()),
        address = %call.caller.address,
        "client throttled"
    );
    ms
}

/// Keeps up with what is set until `stop`.
pub async fn follow(broker: Arc<Broker>, stop: CancellationToken) {
    let mut images = broker.metadata.watch();
    loop {
        let quotas = images.borrow_and_update().quotas.clone();
        broker.quotas.limiter.follow(&quotas);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = images.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// An answer that says for how long its client is not heard, in those versions that can.
pub trait Throttled {
    fn set_throttle_time_ms(&mut self, ms: i32);
}

/// It has no place for it.
impl Throttled for m::DescribeQuorumResponse {
    fn set_throttle_time_ms(&mut self, _: i32) {}
}

macro_rules! throttled {
    ($($response:ident,)*) => {
        $(impl Throttled for m::$response {
            fn set_throttle_time_ms(&mut self, ms: i32) {
                self.throttle_time_ms = ms;
            }
        })*

        #[cfg(test)]
        mod tests {
            use millrace_wire::messages as m;
            use super::*;

            /// Older versions leave it out; none refuses it.
            #[test]
            fn every_version_of_every_answer_can_be_throttled() {
                use m::traits::{Encodable as _, Message as _};
                $({
                    let mut response = m::$response::default();
                    response.set_throttle_time_ms(5);
                    let versions = m::$response::VERSIONS;
                    for version in versions.min..=versions.max {
                        let mut bytes = bytes::BytesMut::new();
                        let encoded = response.encode(&mut bytes, version);
                        assert!(encoded.is_ok(), "{} {version}: {encoded:?}", stringify!($response));
                    }
                })*
            }

            #[test]
            fn metrics_know_the_kinds_by_their_place() {
                for (place, name) in crate::metrics::THROTTLE_KINDS.into_iter().enumerate() {
                    assert_eq!(Kind::ALL[place].name(), name);
                }
            }

            #[test]
            fn a_mute_only_grows() {
                let quotas = Quotas::new(Limiter::new(
                    crate::quota::Windows::new(11, 1),
                    crate::quota::Windows::new(11, 1),
                ));
                let mute = Mute::default();
                assert_eq!(mute.rest(&quotas), None);
                mute.until(1_000_000);
                mute.until(10);
                assert!(mute.rest(&quotas).is_some_and(|rest| rest.as_secs() > 900));
            }

            #[test]
            fn time_is_counted_while_it_passes() {
                let busy = Busy::default();
                let inside = busy.during(|| {
                    std::thread::sleep(Duration::from_millis(2));
                    busy.so_far()
                });
                assert!(inside >= Duration::from_millis(2));
                let after = busy.so_far();
                assert!(after >= inside);
                assert_eq!(busy.so_far(), after, "it rests");
            }
        }
    };
}

throttled! {
    AlterClientQuotasResponse,
    AlterConfigsResponse,
    AlterPartitionReassignmentsResponse,
    AlterReplicaLogDirsResponse,
    ApiVersionsResponse,
    ConsumerGroupDescribeResponse,
    ConsumerGroupHeartbeatResponse,
    CreatePartitionsResponse,
    CreateTopicsResponse,
    DeleteGroupsResponse,
    DeleteRecordsResponse,
    DeleteTopicsResponse,
    DescribeClientQuotasResponse,
    DescribeClusterResponse,
    DescribeConfigsResponse,
    DescribeGroupsResponse,
    DescribeLogDirsResponse,
    DescribeProducersResponse,
    DescribeTopicPartitionsResponse,
    ElectLeadersResponse,
    FetchResponse,
    FindCoordinatorResponse,
    GetTelemetrySubscriptionsResponse,
    HeartbeatResponse,
    IncrementalAlterConfigsResponse,
    InitProducerIdResponse,
    JoinGroupResponse,
    LeaveGroupResponse,
    ListConfigResourcesResponse,
    ListGroupsResponse,
    ListOffsetsResponse,
    ListPartitionReassignmentsResponse,
    MetadataResponse,
    OffsetCommitResponse,
    OffsetDeleteResponse,
    OffsetFetchResponse,
    OffsetForLeaderEpochResponse,
    ProduceResponse,
    PushTelemetryResponse,
    SyncGroupResponse,
    UnregisterBrokerResponse,
    UpdateFeaturesResponse,
}
