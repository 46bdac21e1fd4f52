//! Puts numbers to the names of the table, at one moment.

use super::process::Process;
use super::{Admin, Readiness};
use crate::api::{Broker, SERVED};
use crate::engine::Directory;
use crate::metrics::table::{self, Metric};
use crate::metrics::{Accepting, Times, Traffic};
use crate::net::Limits;
use crate::partition::Role;
use crate::replicas::{HostedTopic, Hosting};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

#[derive(Debug)]
pub struct Family {
    pub metric: &'static Metric,
    pub series: Vec<Series>,
}

#[derive(Debug)]
pub struct Series {
    /// Values, in the order of the metric's labels.
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Whole(u64),
    Real(f64),
    Times(Box<Times>),
}

impl Family {
    pub fn new(
        metric: &'static Metric,
        series: impl IntoIterator<Item = (Vec<String>, Value)>,
    ) -> Family {
        let series = series
            .into_iter()
            .map(|(labels, value)| Series { labels, value });
        Family {
            metric,
            series: series.collect(),
        }
    }

    fn one(metric: &'static Metric, value: u64) -> Family {
        Family::new(metric, [(Vec::new(), Value::Whole(value))])
    }

    /// No series when the system does not say.
    fn maybe(metric: &'static Metric, value: Option<Value>) -> Family {
        Family::new(metric, value.map(|value| (Vec::new(), value)))
    }
}

/// In the table's order. While the broker starts there is less.
pub fn all(admin: &Admin) -> Vec<Family> {
    let is_ready = admin.readiness() == Readiness::Serving;
    let version = vec![env!("CARGO_PKG_VERSION").to_owned()];
    let mut families = vec![
        Family::new(&table::BUILD_INFO, [(version, Value::Whole(1))]),
        Family::one(&table::READY, is_ready.into()),
    ];
    if let Some((broker, limits)) = admin.serving.get()
        && let Some(broker) = broker.upgrade()
    {
        requests(&mut families, admin);
        connections(&mut families, admin, limits);
        memory(&mut families, &broker, limits);
        topics(&mut families, &broker);
        traffic(&mut families, &admin.metrics.topics.read());
        super::groups::groups(&mut families, &broker);
        super::clients::clients(&mut families, &broker);
        directories(&mut families, &broker);
    }
    process(&mut families, admin);
    families
}

fn requests(families: &mut Vec<Family>, admin: &Admin) {
    let requests = &admin.metrics.requests;
    let served: Vec<_> = SERVED
        .iter()
        .filter_map(|api| Some((api.name(), requests.read(*api)?)))
        .collect();
    let by_api = |metric, value: fn(&crate::metrics::Served) -> Value| {
        let series = served
            .iter()
            .map(|(api, served)| (vec![(*api).to_owned()], value(served)));
        Family::new(metric, series)
    };
    let errors = requests.errors().into_iter().map(|((api, error), count)| {
        (
            vec![api.name().to_owned(), error.to_owned()],
            Value::Whole(count),
        )
    });
    families.extend([
        by_api(&table::REQUESTS, |served| {
            Value::Whole(served.times.count())
        }),
        Family::new(&table::REQUEST_ERRORS, errors),
        by_api(&table::REQUEST_DURATION, |served| {
            Value::Times(Box::new(served.times))
        }),
        Family::one(&table::REQUESTS_IN_FLIGHT, requests.in_flight()),
        by_api(&table::REQUEST_BYTES, |served| {
            Value::Whole(served.request_bytes)
        }),
        by_api(&table::RESPONSE_BYTES, |served| {
            Value::Whole(served.response_bytes)
        }),
    ]);
}

fn connections(families: &mut Vec<Family>, admin: &Admin, limits: &Limits) {
    let listeners = admin.metrics.connections.all();
    let by_listener = |metric, count: fn(&Accepting) -> &AtomicU64| {
        let series = listeners.iter().map(|(name, accepting)| {
            let count = count(accepting).load(Ordering::Relaxed);
            (vec![name.to_string()], Value::Whole(count))
        });
        Family::new(metric, series)
    };
    families.extend([
        Family::one(&table::CONNECTIONS, limits.open.count() as u64),
        by_listener(&table::CONNECTIONS_ACCEPTED, |accepting| {
            &accepting.accepted
        }),
        by_listener(&table::CONNECTIONS_REFUSED, |accepting| &accepting.refused),
        by_listener(&table::CONNECTIONS_ABORTED, |accepting| &accepting.aborted),
        by_listener(&table::CONNECTIONS_DELAYED, |accepting| &accepting.delayed),
    ]);
    let throttles = &admin.metrics.throttles;
    let times = throttles.times().map(|(quota, times)| {
        let label = vec![quota.to_owned()];
        (label, Value::Times(Box::new(times)))
    });
    families.extend([
        Family::one(&table::CONNECTIONS_MUTED, throttles.muted()),
        Family::new(&table::THROTTLE_DURATION, times),
    ]);
}

fn memory(families: &mut Vec<Family>, broker: &Broker, limits: &Limits) {
    families.extend([
        Family::one(&table::REQUEST_MEMORY, limits.requests.taken_bytes() as u64),
        Family::one(
            &table::REQUEST_MEMORY_LIMIT,
            limits.requests.limit_bytes() as u64,
        ),
        Family::one(&table::READ_MEMORY, broker.reads.taken_bytes() as u64),
        Family::one(&table::READ_MEMORY_LIMIT, broker.reads.limit_bytes() as u64),
        Family::one(&table::FETCH_SESSIONS, broker.sessions.count() as u64),
    ]);
}

/// What this broker's replicas are.
#[derive(Default)]
struct States {
    leader: u64,
    follower: u64,
    leaderless: u64,
    offline: u64,
}

impl States {
    fn add(&mut self, topic: &HostedTopic, broker: i32) {
        for (partition, handle) in topic.topic.partitions.iter().zip(&topic.partitions) {
            match handle {
                None if !partition.replicas.contains(&broker) => {}
                None => self.offline += 1,
                Some(handle) if handle.is_offline() => self.offline += 1,
                Some(handle) => match handle.positions().role {
                    Role::Leader => self.leader += 1,
                    Role::Follower { .. } => self.follower += 1,
                    Role::Leaderless => self.leaderless += 1,
                },
            }
        }
    }
}

fn topics(families: &mut Vec<Family>, broker: &Broker) {
    let hosting: Arc<Hosting> = broker.replicas.hosting();
    let mut states = States::default();
    let mut by_label: BTreeMap<&str, u64> = BTreeMap::new();
    for topic in hosting.topics.values() {
        states.add(topic, broker.id());
        let hosted = topic.partitions.iter().flatten().count() as u64;
        *by_label.entry(&topic.counters.label).or_default() += hosted;
    }
    let by_state = [
        ("leader", states.leader),
        ("follower", states.follower),
        ("leaderless", states.leaderless),
        ("offline", states.offline),
    ];
    let series = |(label, count): (&str, u64)| (vec![label.to_owned()], Value::Whole(count));
    families.extend([
        Family::one(&table::TOPICS, broker.metadata.image().topics.len() as u64),
        Family::new(&table::PARTITIONS, by_state.map(series)),
        Family::new(&table::TOPIC_PARTITIONS, by_label.into_iter().map(series)),
    ]);
}

fn traffic(families: &mut Vec<Family>, topics: &[Traffic]) {
    let by_topic = |metric, count: fn(&Traffic) -> u64| {
        let series = topics
            .iter()
            .map(|topic| (vec![topic.label.to_string()], Value::Whole(count(topic))));
        Family::new(metric, series)
    };
    families.extend([
        by_topic(&table::TOPIC_PRODUCED_BYTES, |topic| topic.produced_bytes),
        by_topic(&table::TOPIC_PRODUCED_BATCHES, |topic| {
            topic.produced_batches
        }),
        by_topic(&table::TOPIC_PRODUCED_RECORDS, |topic| {
            topic.produced_records
        }),
        by_topic(&table::TOPIC_FETCHED_BYTES, |topic| topic.fetched_bytes),
    ]);
}

fn directories(families: &mut Vec<Family>, broker: &Broker) {
    let engine = broker.replicas.engine();
    let (open, moves) = (engine.directories(), engine.moves());
    let shipping = broker.replicas.cluster().shipping_stats();
    let online = broker.started_with.log_dirs.iter().map(|path| {
        let path = path.display().to_string();
        let is_online = open
            .iter()
            .any(|directory| directory.path == path && !directory.has_failed);
        (vec![path], Value::Whole(is_online.into()))
    });
    let each = |metric, value: fn(&Directory) -> Option<Value>| {
        let series = open
            .iter()
            .filter_map(|directory| Some((vec![directory.path.clone()], value(directory)?)));
        Family::new(metric, series)
    };
    let arriving = open.iter().map(|directory| {
        let here = moves.iter().filter(|one| one.to == directory.path);
        (
            vec![directory.path.clone()],
            Value::Whole(here.count() as u64),
        )
    });
    families.extend([
        Family::new(&table::DIRECTORY_ONLINE, online),
        each(&table::DIRECTORY_FREE, |directory| {
            directory.free_bytes.map(Value::Whole)
        }),
        each(&table::DIRECTORY_ACCEPTS, |directory| {
            Some(Value::Whole(directory.has_room.into()))
        }),
        each(&table::LOG_SIZE, |directory| {
            Some(Value::Whole(directory.log_bytes))
        }),
        each(&table::FAMILY_SIZE, |directory| {
            directory.family_bytes.map(Value::Whole)
        }),
        each(&table::LOG_WRITTEN, |directory| {
            Some(Value::Whole(directory.stats.log_bytes))
        }),
        each(&table::LOG_SYNC_DURATION, |directory| {
            Some(Value::Times(Box::new(directory.stats.sync_times)))
        }),
        each(&table::SEALED_BYTES, |directory| {
            Some(Value::Whole(directory.stats.sealed_bytes))
        }),
        each(&table::SEALED_RUNS, |directory| {
            Some(Value::Whole(directory.stats.sealed_runs))
        }),
        each(&table::FAMILY_WRITTEN, |directory| {
            Some(Value::Whole(directory.stats.family_bytes))
        }),
        each(&table::EXPIRED_BYTES, |directory| {
            Some(Value::Whole(directory.stats.expired_bytes))
        }),
        Family::new(&table::MOVES, arriving),
        Family::one(&table::MOVED_BYTES, engine.moved_bytes()),
        Family::one(&table::CATCH_UPS, shipping.under_way),
        Family::one(&table::CATCH_UP_SENT, shipping.sent_bytes),
        Family::one(&table::CATCH_UP_RECEIVED, shipping.received_bytes),
        each(&table::RAFT_QUEUE, |directory| {
            Some(Value::Whole(directory.queued_events as u64))
        }),
    ]);
}

fn process(families: &mut Vec<Family>, admin: &Admin) {
    let process = Process::now();
    let started = admin.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    families.extend([
        Family::maybe(
            &table::PROCESS_START,
            Some(Value::Real(started.as_secs_f64())),
        ),
        Family::maybe(&table::PROCESS_CPU, process.cpu_seconds.map(Value::Real)),
        Family::maybe(
            &table::PROCESS_RESIDENT,
            process.resident_bytes.map(Value::Whole),
        ),
        Family::maybe(&table::PROCESS_OPEN_FDS, process.open_fds.map(Value::Whole)),
        Family::maybe(&table::PROCESS_MAX_FDS, process.max_fds.map(Value::Whole)),
    ]);
}
