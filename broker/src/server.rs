//! The wiring of a broker: settings, directories, metadata, sockets, and their orderly end.

use crate::admin::{self, Admin, LogFilter, Ports};
use crate::api::{self, Broker, BrokerParts};
use crate::budget::Budget;
use crate::cluster::{self, Cluster, Controller};
use crate::config::{BrokerConfig, Listener, Protocol};
use crate::engine::{self, Engine, EngineOptions, SharedNetwork};
use crate::group::Groups;
use crate::identity::{self, Identity};
use crate::metadata::{self, Command, Endpoint};
use crate::metrics::Metrics;
use crate::net::{self, Limits, Listening};
use crate::peers::{self, Address};
use crate::replicas::Replicas;
use millrace_wire::uuid;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Of the requests of all clients together, and of the records on their way to them, unless `queued.max.request.bytes` says
/// otherwise.
const MEMORY_BYTES: usize = 64 << 20;

/// How long an end waits for requests that were begun; long polls are cut short by it.
const GRACE: Duration = Duration::from_secs(5);

/// How long clients are kept waiting for the partitions to be led. One that cannot be is not worth more.
const SETTLING: Duration = Duration::from_secs(2);

/// How long a new broker waits for its metadata to have a leader, which is itself.
const METADATA_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("listener {listener}: {error}")]
    Listen {
        listener: String,
        error: std::io::Error,
    },
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error("the directory of the metadata, {path}, is offline: nothing can be served without it")]
    NoMetadata { path: String },
    #[error("cannot register with the metadata: {0}")]
    Register(metadata::Error),
    #[error("{path}: {reason}")]
    Secret { path: String, reason: String },
    #[error(transparent)]
    Founding(#[from] cluster::FoundingError),
    #[error("the metadata has no leader after {METADATA_PATIENCE:?}")]
    NoLeader,
}

/// A broker that serves.
pub struct Server {
    pub broker: Arc<Broker>,
    pub limits: Arc<Limits>,
    /// Where each listener is reached here, by name.
    pub addresses: Vec<(String, SocketAddr)>,
    /// `/metrics` and the probes, and what takes orders.
    pub admin: admin::Served,
    pages: Arc<Admin>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Returns when clients are served.
    pub async fn start(config: BrokerConfig) -> Result<Server, Error> {
        Server::start_with(config, None).await
    }

    /// The same with a log whose level may be changed while the broker runs.
    pub async fn start_with(
        config: BrokerConfig,
        filter: Option<LogFilter>,
    ) -> Result<Server, Error> {
        let began = Instant::now();
        let config = Arc::new(config);
        // First, so that two brokers on one port do not both open their directories.
        let listening = bind_all(&config).await?;
        let peer_listener = bind_for_peers(&config).await?;
        let metrics = Arc::new(Metrics::new(config.metrics_max_topics));
        let pages = Arc::new(Admin::new(metrics.clone()));
        let admin = Ports::bind(&config).await?.serve(&pages, filter);
        pages.starting("opening the directories");
        let new_cluster_id = || uuid::to_text(uuid::random());
        let identity = identity::establish(&config, new_cluster_id)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (cluster, peer_endpoint) =
            join_peers(&config, &identity, peer_listener, &stop, &tasks).await?;
        let engine = open_engine(&config, &identity, &cluster).await?;
        let no_metadata = || Error::NoMetadata {
            path: config.log_dirs[0].display().to_string(),
        };
        let metadata = engine.metadata().ok_or_else(no_metadata)?;
        pages.starting("joining the cluster");
        cluster.join(engine.clone(), &metadata).await?;
        pages.starting("registering with the metadata");
        let broker = metadata::Broker {
            id: config.node_id,
            endpoints: endpoints(&config, &listening).await,
            rack: config.broker_rack.clone(),
            peer: peer_endpoint,
            metadata_replica: identity.metadata_replica,
        };
        settle(&metadata, Command::BeginFeatures).await?;
        settle(&metadata, Command::RegisterBroker(broker)).await?;
        cluster.follow(&metadata);
        if config.auto_leader_rebalance_enable {
            let seconds = config.leader_imbalance_check_interval_seconds;
            cluster.keep_preferences(Duration::from_secs(seconds.unsigned_abs()));
        }
        pages.starting("starting the replicas");
        let replicas = Replicas::start(
            engine,
            metadata.clone(),
            cluster,
            config.clone(),
            metrics.clone(),
            stop.clone(),
            &tasks,
        )
        .await;
        replicas
            .settled(tokio::time::Instant::now() + SETTLING)
            .await;
        let groups = Groups::start(
            replicas.clone(),
            metadata.clone(),
            config.clone(),
            stop.clone(),
            &tasks,
        );
        let limits = Arc::new(limits(&config));
        let broker = Arc::new(Broker::new(BrokerParts {
            config,
            cluster_id: identity.cluster_id,
            metadata_directory_id: identity.metadata_directory_id,
            metadata,
            replicas,
            groups,
            metrics,
            reads: Budget::new(MEMORY_BYTES),
            stopping: stop.clone(),
        }));
        tasks.spawn(api::follow_quotas(broker.clone(), stop.clone()));
        let mut addresses = Vec::new();
        for (listener, bound) in listening {
            tracing::info!(listener = listener.name, address = %bound.address, "listening");
            addresses.push((listener.name, bound.address));
            tasks.spawn(bound.serve(broker.clone(), limits.clone(), stop.clone(), tasks.clone()));
        }
        pages.serving(&broker, &limits);
        tracing::info!(
            node_id = broker.id(),
            cluster_id = broker.cluster_id,
            topics = broker.metadata.image().topics.len(),
            after = ?began.elapsed(),
            "serving"
        );
        Ok(Server {
            broker,
            limits,
            addresses,
            admin,
            pages,
            stop,
            tasks,
        })
    }

    /// Returns when the broker cannot go on and should be stopped; the error says why.
    pub async fn failed(&self) -> Error {
        let engine = self.broker.replicas.engine();
        engine.metadata_failed().await.into()
    }

    /// Takes no more requests, answers those that were begun, and closes the directories.
    pub async fn stop(self) {
        // Probes hear of it before clients do.
        self.pages.stopping();
        // Before clients are sent away: those who come to lead are ready for them.
        self.broker.replicas.cluster().leave().await;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!("requests that still wait are left without an answer");
        }
        self.admin.stop().await;
        let engine = self.broker.replicas.engine().clone();
        drop((self.broker, self.limits, self.pages));
        close(engine).await;
    }
}

/// Returns when the directories are closed, so that another process may open them.
async fn close(engine: Arc<Engine>) {
    let mut engine = engine;
    let deadline = Instant::now() + GRACE;
    let engine = loop {
        match Arc::try_unwrap(engine) {
            Ok(engine) => break engine,
            Err(_) if Instant::now() >= deadline => {
                tracing::warn!(
                    "the directories are still in use; the end of the process closes them"
                );
                return;
            }
            Err(shared) => engine = shared,
        }
        // Who still answers a request holds it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    if tokio::task::spawn_blocking(move || drop(engine))
        .await
        .is_err()
    {
        tracing::error!("closing the directories panicked");
    }
}

async fn open_engine(
    config: &Arc<BrokerConfig>,
    identity: &Identity,
    cluster: &Cluster,
) -> Result<Arc<Engine>, Error> {
    let mut options = engine_options(config);
    options.metadata_peer = identity.metadata_replica;
    options.founds_metadata = false;
    options.network = SharedNetwork(cluster.network());
    let open = move || Engine::open_dormant(&options);
    let opened = tokio::task::spawn_blocking(open).await;
    let engine = opened.map_err(|error| engine::Error::Io {
        path: config.log_dirs[0].display().to_string(),
        reason: error.to_string(),
    })??;
    Ok(Arc::new(engine))
}

fn engine_options(config: &BrokerConfig) -> EngineOptions {
    let mut options = EngineOptions::new(config.log_dirs.clone());
    options.metadata_directory = config.log_dirs.first().cloned();
    options.workers = config.raft_workers;
    options.tick = Duration::from_millis(config.raft_tick_ms);
    options.shard.log_budget_bytes = config.log_budget_bytes;
    options.shard.log_limit_bytes = config.log_limit_bytes;
    options.shard.min_free_bytes = config.min_free_bytes;
    options.shard.cache_bytes = config.cache_bytes;
    options.shard.run_bytes = config.run_bytes;
    options.shard.packed_below_bytes = config.packed_below_bytes;
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let keep = &mut options.housekeeping;
    keep.retention_check_interval = ms(config.log_retention_check_interval_ms);
    keep.cleaner_backoff = ms(config.log_cleaner_backoff_ms);
    keep.cleaner_buffer_bytes =
        usize::try_from(config.log_cleaner_dedupe_buffer_size).unwrap_or(usize::MAX);
    keep.producer_expiry_check_interval =
        ms(config.producer_id_expiration_check_interval_ms.into());
    options
}

fn limits(config: &BrokerConfig) -> Limits {
    let count = |limit: i32| usize::try_from(limit).unwrap_or(0);
    Limits {
        max_connections: count(config.max_connections),
        max_per_address: count(config.max_connections_per_ip),
        max_by_address: config.max_connections_by_address.clone(),
        idle: Duration::from_millis(
            u64::try_from(config.connections_max_idle_ms).unwrap_or(u64::MAX / 4),
        ),
        max_request_bytes: config.socket_request_max_bytes,
        backlog: u32::try_from(config.socket_listen_backlog_size).unwrap_or(1024),
        requests: Budget::new(
            usize::try_from(config.queued_max_request_bytes).unwrap_or(MEMORY_BYTES),
        ),
        open: Default::default(),
        pace: Default::default(),
    }
}

async fn bind_all(config: &BrokerConfig) -> Result<Vec<(Listener, Listening)>, Error> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let failed = |error| Error::Listen {
            listener: listener.to_string(),
            error,
        };
        let listening = bind(config, listener).await.map_err(failed)?;
        bound.push((listener.clone(), listening));
    }
    Ok(bound)
}

async fn bind(config: &BrokerConfig, listener: &Listener) -> std::io::Result<Listening> {
    let backlog = u32::try_from(config.socket_listen_backlog_size).unwrap_or(1024);
    let port = listener.port;
    if listener.host.is_empty() {
        // Every interface, of both families where there are two.
        let both = net::listen(
            &listener.name,
            (Ipv6Addr::UNSPECIFIED, port).into(),
            backlog,
        );
        return both.or_else(|_| {
            net::listen(
                &listener.name,
                (Ipv4Addr::UNSPECIFIED, port).into(),
                backlog,
            )
        });
    }
    let mut last = None;
    for address in tokio::net::lookup_host((listener.host.as_str(), port)).await? {
        match net::listen(&listener.name, address, backlog) {
            Ok(listening) => return Ok(listening),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("the host has no address")))
}

/// Where other brokers reach this one: where the settings say, or, if they name no listener for that, at a port of the system's choice.
/// One that is alone needs none.
async fn bind_for_peers(config: &BrokerConfig) -> Result<Option<(Listener, TcpListener)>, Error> {
    let listener = match config.peer_listeners.first() {
        Some(listener) => listener.clone(),
        None if config.names_other_controllers() => {
            let clients = config.listeners.iter();
            let mut clients = clients.filter(|one| one.name == config.inter_broker_listener);
            let host = clients
                .next()
                .map_or_else(String::new, |one| one.host.clone());
            Listener {
                name: "CONTROLLER".to_owned(),
                protocol: Protocol::Plaintext,
                host,
                port: 0,
            }
        }
        None => return Ok(None),
    };
    let failed = |error| Error::Listen {
        listener: listener.to_string(),
        error,
    };
    let bound = match listener.host.as_str() {
        "" => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, listener.port)).await {
            Ok(bound) => Ok(bound),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, listener.port)).await,
        },
        host => TcpListener::bind((host, listener.port)).await,
    };
    let bound = bound.map_err(failed)?;
    Ok(Some((listener, bound)))
}

/// Begins to talk to the other brokers. With it comes where they reach this one.
async fn join_peers(
    config: &BrokerConfig,
    identity: &Identity,
    listener: Option<(Listener, TcpListener)>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(Cluster, Option<Endpoint>), Error> {
    let controllers = identity.initial_controllers.iter().map(|one| Controller {
        id: one.id,
        address: Address {
            host: one.host.clone(),
            port: one.port,
        },
    });
    let controllers: Vec<Controller> = controllers.collect();
    let is_alone = controllers.iter().all(|one| one.id == config.node_id);
    let secrets = secrets(config, identity, is_alone)?;
    let mut peers = peers::Settings::new(config.node_id, identity.cluster_id.clone(), secrets);
    peers.pulse_interval = Duration::from_millis(config.peer_pulse_ms);
    peers.silence = Duration::from_millis(config.peer_silence_ms);
    let settings = cluster::Settings {
        peers,
        metadata_replica: identity.metadata_replica,
        controllers,
        is_controller: config.is_controller,
        lag: Duration::from_millis(u64::try_from(config.replica_lag_time_max_ms).unwrap_or(0)),
        catch_up_bytes_per_second: config.catch_up_bytes_per_second,
    };
    let mut endpoint = None;
    let mut listeners = Vec::new();
    if let Some((listener, bound)) = listener {
        let address = bound.local_addr().map_err(|error| Error::Listen {
            listener: listener.to_string(),
            error,
        })?;
        tracing::info!(listener = listener.name, %address, "listening for brokers");
        let advertised = config.peer_advertised.as_ref();
        let host = advertised.map_or(&listener.host, |one| &one.host);
        endpoint = Some(Endpoint {
            listener: listener.name.clone(),
            protocol: "PLAINTEXT".to_owned(),
            host: match host.as_str() {
                "" | "0.0.0.0" | "::" => own_name().await,
                host => host.to_owned(),
            },
            port: match advertised.map_or(0, |one| one.port) {
                0 => address.port(),
                port => port,
            },
        });
        listeners.push(bound);
    }
    let cluster = Cluster::start(settings, listeners, stop.clone(), tasks);
    Ok((cluster, endpoint))
}

/// What brokers know each other by. Without a secret in the settings it is what everybody knows who knows the cluster's id.
fn secrets(
    config: &BrokerConfig,
    identity: &Identity,
    is_alone: bool,
) -> Result<peers::Secrets, Error> {
    let mut secrets = Vec::new();
    for path in &config.peer_secret_files {
        let read = std::fs::read(path).map_err(|error| Error::Secret {
            path: path.display().to_string(),
            reason: error.to_string(),
        });
        secrets.push(read?.trim_ascii().to_vec());
    }
    if secrets.is_empty() {
        if !is_alone {
            tracing::warn!(
                "millrace.peer.secret.files is not set: whoever reaches this broker's listener for brokers, and knows the cluster's id, is taken for a broker"
            );
        }
        secrets.push(format!("millrace cluster {}", identity.cluster_id).into_bytes());
    }
    peers::Secrets::new(secrets).map_err(|error| Error::Secret {
        path: "millrace.peer.secret.files".to_owned(),
        reason: error.to_string(),
    })
}

/// Where clients reach this broker.
async fn endpoints(config: &BrokerConfig, listening: &[(Listener, Listening)]) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for advertised in &config.advertised_listeners {
        let bound = listening
            .iter()
            .find(|(listener, _)| listener.name == advertised.name);
        let port = match (advertised.port, bound) {
            (0, Some((_, bound))) => bound.address.port(),
            (port, _) => port,
        };
        endpoints.push(Endpoint {
            listener: advertised.name.clone(),
            protocol: "PLAINTEXT".to_owned(),
            host: match advertised.host.as_str() {
                "" => own_name().await,
                host => host.to_owned(),
            },
            port,
        });
    }
    endpoints
}

/// The metadata may have to elect its leader first.
async fn settle(metadata: &metadata::Handle, command: Command) -> Result<(), Error> {
    let deadline = Instant::now() + METADATA_PATIENCE;
    loop {
        match metadata.submit(command.clone()).await {
            Ok(_) => return Ok(()),
            Err(
                crate::raft::Failure::NotLeader { .. }
                | crate::raft::Failure::Refused(metadata::Refusal::NotLeader { .. }),
            ) => {
                if Instant::now() >= deadline {
                    return Err(Error::NoLeader);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(Error::Register(error)),
        }
    }
}

/// This machine's name, when it leads back here; clients on the same machine can do with `localhost`.
async fn own_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let resolves = match tokio::net::lookup_host((name.as_str(), 0)).await {
        Ok(mut addresses) => addresses.next().is_some(),
        Err(_) => false,
    };
    match resolves {
        true => name,
        false => "localhost".to_owned(),
    }
}
