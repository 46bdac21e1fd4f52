//! Clients' own metrics (KIP-714): who is asked to push what, whether a push is accepted, and what the pushes said.
//!
//! Subscriptions are settings of the cluster (`client-metrics`); what is pushed here is shown here, and nowhere else. A [`State`] is told
//! the time and decides as Kafka's manager does; [`Telemetry`] is the handle that requests and `/metrics` share.

pub mod otlp;
pub mod series;

use crate::config::{ClientMetricsSettings, Selector};
use crate::metadata::Image;
use otlp::{Malformed, Sample};
use regex::Regex;
use series::{Series, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// As in Kafka. When there are more, the one that was silent longest is forgotten.
const MAX_INSTANCES: usize = 16_384;

/// Who is silent for three intervals, and so long, is forgotten with all that it pushed.
const MIN_EXPIRY: Duration = Duration::from_secs(60);

/// How often it is looked who is to be forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// When nobody asks for anything, clients ask again after so long.
const DEFAULT_INTERVAL_MS: i32 = 5 * 60 * 1000;

const ALL: &str = "*";

/// What a client is known by.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub client_id: String,
    pub instance: Uuid,
    pub software_name: String,
    pub software_version: String,
    pub source_address: String,
    pub source_port: u16,
}

impl Client {
    fn is_matched(&self, selectors: &BTreeMap<Selector, Regex>) -> bool {
        selectors.iter().all(|(selector, pattern)| match selector {
            Selector::ClientId => pattern.is_match(&self.client_id),
            Selector::ClientInstanceId => {
                pattern.is_match(&millrace_wire::uuid::to_text(self.instance))
            }
            Selector::SoftwareName => pattern.is_match(&self.software_name),
            Selector::SoftwareVersion => pattern.is_match(&self.software_version),
            Selector::SourceAddress => pattern.is_match(&self.source_address),
            Selector::SourcePort => pattern.is_match(&self.source_port.to_string()),
        })
    }
}

/// What a client is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: i32,
    pub interval_ms: i32,
    /// The beginnings of names.
    pub metrics: Arc<[String]>,
}

impl Subscription {
    fn asks_for(&self, metric: &str) -> bool {
        let mut prefixes = self.metrics.iter();
        prefixes.any(|prefix| prefix == ALL || metric.starts_with(prefix.as_str()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request comes before the push interval is over")]
    TooSoon,
    #[error("the client has said that it ends")]
    Terminated,
    #[error("the subscription has changed")]
    UnknownSubscription,
    #[error("no codec has this number")]
    UnsupportedCompression,
    #[error("more than telemetry.max.bytes")]
    TooLarge,
}

/// A push, before its metrics are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    pub subscription_id: i32,
    pub is_terminating: bool,
    pub is_compression_known: bool,
    pub bytes: usize,
    pub max_bytes: usize,
}

#[derive(Debug)]
struct Instance {
    /// Of the subscriptions that it was given.
    generation: u64,
    subscription: Subscription,
    got_at: Option<Instant>,
    pushed_at: Option<Instant>,
    heard_at: Instant,
    last_error: Option<Refusal>,
    is_terminating: bool,
}

impl Instance {
    fn interval(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.subscription.interval_ms).unwrap_or(0))
    }

    fn is_expired(&self, now: Instant) -> bool {
        let expiry = (3 * self.interval()).max(MIN_EXPIRY);
        now.saturating_duration_since(self.heard_at) > expiry
    }
}

#[derive(Debug)]
struct Compiled {
    settings: ClientMetricsSettings,
    selectors: BTreeMap<Selector, Regex>,
}

#[derive(Debug)]
pub struct State {
    /// Of the image that the subscriptions are from.
    version: Option<u64>,
    generation: u64,
    subscriptions: BTreeMap<String, Compiled>,
    instances: HashMap<Uuid, Instance>,
    store: Store,
    next_sweep: Option<Instant>,
}

impl State {
    fn new() -> State {
        State {
            version: None,
            generation: 0,
            subscriptions: BTreeMap::new(),
            instances: HashMap::new(),
            store: Store::default(),
            next_sweep: None,
        }
    }

    /// Goes by what is set now.
    fn follow(&mut self, image: &Image) {
        // Who asked a moment earlier may come a moment later, with an older image.
        if self.version >= Some(image.version) {
            return;
        }
        self.version = Some(image.version);
        let all = image.client_metrics().map(|(name, stored)| {
            let pairs = stored.iter().map(|(name, value)| (&**name, &**value));
            (name.to_owned(), ClientMetricsSettings::from_stored(pairs))
        });
        let all: BTreeMap<String, ClientMetricsSettings> = all.collect();
        let now = self.subscriptions.iter();
        let is_same = now.map(|(name, one)| (name, &one.settings)).eq(all.iter());
        if is_same {
            return;
        }
        self.generation += 1;
        let compile = |(name, settings): (String, ClientMetricsSettings)| {
            let selectors = settings.selectors();
            (
                name,
                Compiled {
                    settings,
                    selectors,
                },
            )
        };
        self.subscriptions = all.into_iter().map(compile).collect();
    }

    fn subscription(&self, client: &Client) -> Subscription {
        let mut interval_ms = DEFAULT_INTERVAL_MS;
        let mut metrics = BTreeSet::new();
        for one in self.subscriptions.values() {
            if client.is_matched(&one.selectors) {
                interval_ms = interval_ms.min(one.settings.interval_ms());
                metrics.extend(one.settings.metrics().map(str::to_owned));
            }
        }
        if metrics.contains(ALL) {
            metrics = BTreeSet::from([ALL.to_owned()]);
        }
        let metrics: Arc<[String]> = metrics.into_iter().collect();
        let mut sum = crc32c::crc32c(metrics.join(",").as_bytes());
        sum = crc32c::crc32c_append(sum, &interval_ms.to_be_bytes());
        sum = crc32c::crc32c_append(sum, client.instance.as_bytes());
        Subscription {
            id: sum.cast_signed(),
            interval_ms,
            metrics,
        }
    }

    /// The client's own place, made when it is new and anew when what it is asked for may have changed.
    fn instance(&mut self, now: Instant, client: &Client) -> &mut Instance {
        self.sweep(now);
        let known = self.instances.get(&client.instance);
        if known.is_none_or(|known| known.generation != self.generation) {
            if known.is_none() && self.instances.len() >= MAX_INSTANCES {
                self.forget_one();
            }
            let instance = Instance {
                generation: self.generation,
                subscription: self.subscription(client),
                got_at: None,
                pushed_at: None,
                heard_at: now,
                last_error: None,
                is_terminating: false,
            };
            self.instances.insert(client.instance, instance);
        }
        let instance = self.instances.get_mut(&client.instance);
        let instance = instance.expect("it was there, or was put there");
        instance.heard_at = now;
        instance
    }

    fn forget_one(&mut self) {
        let silent = self.instances.iter().min_by_key(|(_, one)| one.heard_at);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.instances.remove(&id);
            self.store.forget(&id);
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|next| now < next) {
            return;
        }
        self.next_sweep = Some(now + SWEEP);
        let store = &mut self.store;
        self.instances.retain(|id, instance| {
            let is_expired = instance.is_expired(now);
            if is_expired {
                store.forget(id);
            }
            !is_expired
        });
    }

    fn ask(&mut self, now: Instant, client: &Client) -> Result<Subscription, Refusal> {
        let instance = self.instance(now, client);
        let last = instance.got_at.max(instance.pushed_at);
        let is_due =
            last.is_none_or(|last| now.saturating_duration_since(last) >= instance.interval());
        if is_due {
            instance.got_at = Some(now);
        } else if !matches!(
            instance.last_error,
            Some(Refusal::UnknownSubscription | Refusal::UnsupportedCompression)
        ) {
            return Err(Refusal::TooSoon);
        }
        instance.last_error = None;
        Ok(instance.subscription.clone())
    }

    fn push(
        &mut self,
        now: Instant,
        client: &Client,
        push: &Push,
    ) -> Result<Subscription, Refusal> {
        let instance = self.instance(now, client);
        let accepted = instance.accept(now, push);
        instance.last_error = accepted.err();
        accepted?;
        Ok(instance.subscription.clone())
    }
}

impl Instance {
    fn accept(&mut self, now: Instant, push: &Push) -> Result<(), Refusal> {
        if self.is_terminating {
            return Err(Refusal::Terminated);
        }
        // The first after the subscription was asked for may come at any time: clients spread themselves.
        let is_first = self.got_at > self.pushed_at;
        let is_due = self
            .pushed_at
            .is_none_or(|last| now.saturating_duration_since(last) >= self.interval());
        if is_first || is_due {
            self.pushed_at = Some(now);
        } else if !push.is_terminating {
            return Err(Refusal::TooSoon);
        }
        if push.subscription_id != self.subscription.id {
            return Err(Refusal::UnknownSubscription);
        }
        if !push.is_compression_known {
            return Err(Refusal::UnsupportedCompression);
        }
        if push.bytes > push.max_bytes {
            return Err(Refusal::TooLarge);
        }
        self.is_terminating = push.is_terminating;
        Ok(())
    }
}

/// What requests and `/metrics` share.
#[derive(Debug)]
pub struct Telemetry(Mutex<State>);

/// For `/metrics`.
#[derive(Debug)]
pub struct Shown {
    pub instances: usize,
    pub series: Vec<Series>,
    pub dropped: u64,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry(Mutex::new(State::new()))
    }
}

impl Telemetry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `client` is to push.
    pub fn ask(
        &self,
        now: Instant,
        image: &Image,
        client: &Client,
    ) -> Result<Subscription, Refusal> {
        let mut state = self.state();
        state.follow(image);
        state.ask(now, client)
    }

    /// Whether a push is accepted. Its metrics are looked at afterwards, and [`Telemetry::keep`] keeps them.
    pub fn push(
        &self,
        now: Instant,
        image: &Image,
        client: &Client,
        push: &Push,
    ) -> Result<Subscription, Refusal> {
        let mut state = self.state();
        state.follow(image);
        state.push(now, client, push)
    }

    /// All of a payload or, when it is malformed, nothing. What was not asked for is left out.
    pub fn keep(
        &self,
        client: &Client,
        subscription: &Subscription,
        payload: &[u8],
    ) -> Result<(), Malformed> {
        otlp::walk(payload, &mut |_| ())?;
        let mut state = self.state();
        // Forgotten meanwhile, nobody would forget what it pushed.
        if !state.instances.contains_key(&client.instance) {
            return Ok(());
        }
        let store = &mut state.store;
        otlp::walk(payload, &mut |sample: Sample<'_>| {
            if subscription.asks_for(&sample.metric) {
                store.put(client.instance, &client.client_id, sample);
            }
        })
    }

    pub fn shown(&self, now: Instant) -> Shown {
        let mut state = self.state();
        state.sweep(now);
        Shown {
            instances: state.instances.len(),
            series: state.store.all(),
            dropped: state.store.dropped,
        }
    }
}

#[cfg(test)]
mod tests;
