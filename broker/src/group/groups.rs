//! The coordinators of this broker: one for each partition of `__consumer_offsets` that it leads, read when it comes to lead.

use super::catalog::Catalog;
use super::coordinator::{Alarm, Coordinator, CoordinatorParts};
use super::current::Current;
use super::effects::Effects;
use super::log;
use super::machine::Machine;
use super::placement::partition_of;
use super::settings::Settings;
use crate::config::BrokerConfig;
use crate::engine;
use crate::metadata::{self, Image};
use crate::partition::{Mark, Positions};
use crate::replicas::{HostedTopic, Replicas};
use crate::storage::ids::Offset;
use millrace_wire::ErrorCode;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Where groups are kept.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// How long a request waits for its coordinator to be read before its client is told to come again.
const LOAD_PATIENCE: Duration = Duration::from_millis(500);

/// How often it is looked which partitions are led here, besides when topics change.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a partition rests before it is read again.
const AGAIN: Duration = Duration::from_secs(1);

pub struct Groups {
    replicas: Replicas,
    metadata: metadata::Handle,
    /// The topics as of the image that was last looked at.
    catalog: Mutex<(Arc<Image>, Arc<Catalog>)>,
    current: Mutex<Current>,
    patience: Duration,
    expiry_interval: Duration,
    alarm: Arc<Alarm>,
    slots: Mutex<BTreeMap<i32, Slot>>,
}

/// What a partition's coordinator is to become.
struct Slot {
    term: u64,
    began: Instant,
    state: watch::Receiver<State>,
}

#[derive(Clone)]
enum State {
    Loading,
    Ready(Arc<Coordinator>),
    Failed,
}

impl Slot {
    /// Whether it is of no use for a leader of this term.
    fn is_stale(&self, term: u64) -> bool {
        match &*self.state.borrow() {
            _ if self.term != term => true,
            State::Loading => false,
            // A full disk refuses every append: that is not worth more than a reading a second.
            State::Ready(coordinator) => coordinator.has_failed() && self.has_rested(),
            State::Failed => self.has_rested(),
        }
    }

    fn has_rested(&self) -> bool {
        self.began.elapsed() >= AGAIN
    }

    fn give_up(&self) {
        if let State::Ready(coordinator) = &*self.state.borrow() {
            coordinator.give_up();
        }
    }
}

impl Groups {
    /// Follows what this broker leads until `stop`.
    pub fn start(
        replicas: Replicas,
        metadata: metadata::Handle,
        config: Arc<BrokerConfig>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Groups> {
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(1).max(1));
        let image = metadata.image();
        let catalog = Arc::new(Catalog::of(&image));
        let groups = Arc::new(Groups {
            replicas,
            metadata: metadata.clone(),
            catalog: Mutex::new((image, catalog)),
            patience: ms(config.offsets_commit_timeout_ms.into()),
            expiry_interval: ms(config.offsets_retention_check_interval_ms),
            current: Mutex::new(Current::new(metadata, config)),
            alarm: Arc::default(),
            slots: Mutex::default(),
        });
        tasks.spawn(groups.clone().run(stop));
        groups
    }

    /// The coordinator of a group, if it is here.
    pub async fn of(&self, group: &str) -> Result<Arc<Coordinator>, ErrorCode> {
        let topic = self.topic().ok_or(ErrorCode::NotCoordinator)?;
        let partition = partition_of(group, topic.partitions.len());
        let coordinator = self.at(&topic, partition).await?;
        coordinator.see(&self.catalog());
        Ok(coordinator)
    }

    /// The topics that there are.
    pub fn catalog(&self) -> Arc<Catalog> {
        let image = self.metadata.image();
        let mut known = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        if image.version > known.0.version {
            if !Catalog::is_same(&image, &known.0) {
                known.1 = Arc::new(Catalog::of(&image));
            }
            known.0 = image;
        }
        known.1.clone()
    }

    /// All that are here.
    pub async fn all(&self) -> Result<Vec<Arc<Coordinator>>, ErrorCode> {
        let Some(topic) = self.topic() else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for partition in partitions(&topic) {
            match self.at(&topic, partition).await {
                Ok(coordinator) => all.push(coordinator),
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn topic(&self) -> Option<Arc<HostedTopic>> {
        self.replicas.hosting().topic(OFFSETS_TOPIC).cloned()
    }

    async fn at(
        &self,
        topic: &Arc<HostedTopic>,
        partition: i32,
    ) -> Result<Arc<Coordinator>, ErrorCode> {
        let mut state = self
            .ensure(topic, partition)
            .ok_or(ErrorCode::NotCoordinator)?;
        let loaded = state.wait_for(|state| !matches!(state, State::Loading));
        match tokio::time::timeout(LOAD_PATIENCE, loaded).await {
            Ok(Ok(state)) => match &*state {
                State::Ready(coordinator) if !coordinator.has_failed() => Ok(coordinator.clone()),
                State::Ready(_) | State::Loading | State::Failed => {
                    Err(ErrorCode::CoordinatorNotAvailable)
                }
            },
            Ok(Err(_)) => Err(ErrorCode::CoordinatorNotAvailable),
            Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }

    /// Begins to read the coordinator of a partition, unless that is done or under way. `None` if another broker leads it.
    fn ensure(&self, topic: &Arc<HostedTopic>, partition: i32) -> Option<watch::Receiver<State>> {
        let handle = topic.partition(partition);
        let led = handle.and_then(|handle| {
            let positions = handle.positions();
            let is_led = positions.leads() && !handle.is_offline();
            is_led.then_some((handle, positions))
        });
        let mut slots = self.lock();
        let Some((handle, positions)) = led else {
            if let Some(slot) = slots.remove(&partition) {
                slot.give_up();
            }
            return None;
        };
        if let Some(slot) = slots.get(&partition)
            && !slot.is_stale(positions.term)
        {
            return Some(slot.state.clone());
        }
        let (sender, state) = watch::channel(State::Loading);
        let slot = Slot {
            term: positions.term,
            began: Instant::now(),
            state: state.clone(),
        };
        if let Some(before) = slots.insert(partition, slot) {
            before.give_up();
        }
        let voters = topic.topic.partitions[partition.unsigned_abs() as usize]
            .replicas
            .len();
        let loading = Loading {
            partition,
            handle: handle.clone(),
            positions,
            settings: self.settings(),
            catalog: self.catalog(),
            alarm: self.alarm.clone(),
            patience: self.patience,
            voters: (topic.config.min_insync_replicas as usize).min(voters),
        };
        tokio::spawn(async move {
            let state = match loading.load().await {
                Some(coordinator) => State::Ready(Arc::new(coordinator)),
                None => State::Failed,
            };
            sender.send_replace(state.clone());
            // From now on it is heard when the alarm goes off.
            if let State::Ready(coordinator) = state {
                coordinator.tick();
            }
        });
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are here and have been read.
    pub fn ready(&self) -> Vec<Arc<Coordinator>> {
        let slots = self.lock();
        let ready = slots
            .values()
            .filter_map(|slot| match &*slot.state.borrow() {
                State::Ready(coordinator) if !coordinator.has_failed() => Some(coordinator.clone()),
                _ => None,
            });
        ready.collect()
    }

    async fn run(self: Arc<Groups>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let mut expiry = tokio::time::interval(self.expiry_interval);
        expiry.reset();
        let mut topics = HashMap::new();
        loop {
            let due = self.alarm.due().map(tokio::time::Instant::from_std);
            let alarm = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = alarm => self.tick(),
                () = self.alarm.earlier.notified() => {}
                _ = look.tick() => {
                    self.look();
                    self.set_settings();
                    self.forget_topics(&mut topics).await;
                }
                _ = expiry.tick() => self.for_each(|machine, now, effects| machine.expire(now, effects)).await,
            }
        }
        for coordinator in self.ready() {
            coordinator.give_up();
        }
    }

    /// Everybody does what is due, and says when there is more.
    fn tick(&self) {
        self.alarm.reset();
        for coordinator in self.ready() {
            coordinator.tick();
        }
    }

    /// Reads what this broker has come to lead, and lets go of what it does not lead any more.
    fn look(&self) {
        if let Some(topic) = self.topic() {
            for partition in partitions(&topic) {
                self.ensure(&topic, partition);
            }
        }
    }

    /// What was set on the broker or on groups while they run. One that was being read when it changed hears of it in its next turn.
    fn set_settings(&self) {
        let settings = self.settings();
        for coordinator in self.ready() {
            coordinator.set_settings(&settings);
        }
    }

    fn settings(&self) -> Arc<Settings> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.settings()
    }

    /// Nobody reads on in a topic that was deleted, though one of its name may be made again.
    async fn forget_topics(&self, before: &mut HashMap<Arc<str>, Uuid>) {
        let hosting = self.replicas.hosting();
        let is_there = |name: &Arc<str>, id: &Uuid| {
            let topic = hosting.topic(name);
            topic.is_some_and(|topic| topic.topic.id == *id)
        };
        let gone: Vec<Arc<str>> = before
            .iter()
            .filter(|(name, id)| !is_there(name, id))
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() && before.len() == hosting.topics.len() {
            return;
        }
        *before = hosting
            .topics
            .iter()
            .map(|(name, topic)| (name.clone(), topic.topic.id))
            .collect();
        if !gone.is_empty() {
            self.for_each(|machine, _, effects| machine.forget_topics(effects, &gone))
                .await;
        }
    }

    async fn for_each(&self, step: impl Fn(&mut Machine, super::Now, &mut Effects)) {
        for coordinator in self.ready() {
            if let Err(error) = coordinator.step(&step).await {
                tracing::warn!(%error, "old offsets stay for now");
            }
        }
    }
}

fn partitions(topic: &HostedTopic) -> std::ops::Range<i32> {
    0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

/// What is needed to read a partition.
struct Loading {
    partition: i32,
    handle: engine::Handle,
    positions: Positions,
    settings: Arc<Settings>,
    catalog: Arc<Catalog>,
    alarm: Arc<Alarm>,
    patience: Duration,
    voters: usize,
}

impl Loading {
    async fn load(self) -> Option<Coordinator> {
        let began = Instant::now();
        // A new leader has everything that was ever acknowledged, but may not know yet that it is committed.
        let upto = self.positions.log_end;
        while self.handle.positions().high_watermark < upto {
            let last = Offset(upto.0 - 1);
            let moved = self.handle.view().wait_past(Mark::HighWatermark, last);
            if let Err(error) = moved.await {
                tracing::warn!(partition = self.partition, %error, "not read: {OFFSETS_TOPIC}");
                return None;
            }
        }
        let (settings, handle) = (self.settings.clone(), self.handle.clone());
        let catalog = self.catalog.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut machine = Machine::new(settings, catalog);
            log::load(&mut machine, &handle, upto).map(|records| (machine, records))
        });
        let (mut machine, records) = match work.await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                tracing::error!(partition = self.partition, %error, "cannot read {OFFSETS_TOPIC}");
                return None;
            }
            Err(error) => {
                tracing::error!(partition = self.partition, %error, "reading {OFFSETS_TOPIC} panicked");
                return None;
            }
        };
        if records > 0 {
            tracing::info!(
                partition = self.partition,
                records,
                after = ?began.elapsed(),
                "coordinates the groups of {OFFSETS_TOPIC}"
            );
        }
        // Nobody waits for an answer yet, and sessions that begin write nothing.
        let mut effects = Effects::default();
        machine.resume(self.alarm.now(), &mut effects);
        debug_assert!(effects.is_empty());
        Some(Coordinator::new(CoordinatorParts {
            handle: self.handle,
            term: self.positions.term,
            machine,
            alarm: self.alarm,
            patience: self.patience,
            voters: self.voters,
        }))
    }
}
