//! How the broker is seen and steered from outside, over HTTP.
//!
//! Two ports: one that may be open to the monitoring (`/metrics`, `/healthz`, `/readyz`, `/version`: [`probes`]), and one that
//! takes orders and is on loopback unless told otherwise ([`control`]). Both open before the directories do, so that a broker
//! that recovers says so. [`http`] serves a port, [`gather`] collects what a scrape shows, [`exposition`] writes it.
//!
//! **Invariant:** nothing here keeps the broker alive: a scrape holds it while it lasts, and is waited for at the end.

mod clients;
mod control;
mod exposition;
mod gather;
mod groups;
mod http;
mod log_filter;
mod probes;
mod process;

pub use log_filter::{LogFilter, Refused};

use crate::api::Broker;
use crate::config::{BrokerConfig, HostPort};
use crate::metrics::Metrics;
use crate::net::Limits;
use http::Port;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long the end waits for a scrape.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("{setting}={address}: {error}; choose another port, or leave it empty to have none")]
pub struct Error {
    setting: &'static str,
    address: HostPort,
    error: std::io::Error,
}

/// Whether clients are served, as `/readyz` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// What it is at.
    Starting(&'static str),
    Serving,
    Stopping,
}

/// What the pages are made of.
pub struct Admin {
    readiness: Mutex<Readiness>,
    metrics: Arc<Metrics>,
    serving: OnceLock<(Weak<Broker>, Arc<Limits>)>,
    /// One scrape at a time: each asks every directory.
    scrapes: Arc<Semaphore>,
    started: SystemTime,
}

impl Admin {
    pub fn new(metrics: Arc<Metrics>) -> Admin {
        Admin {
            readiness: Mutex::new(Readiness::Starting("reading the settings")),
            metrics,
            serving: OnceLock::new(),
            scrapes: Arc::new(Semaphore::new(1)),
            started: SystemTime::now(),
        }
    }

    pub fn readiness(&self) -> Readiness {
        *self.lock()
    }

    pub fn starting(&self, at: &'static str) {
        *self.lock() = Readiness::Starting(at);
    }

    /// From now on clients are served.
    pub fn serving(&self, broker: &Arc<Broker>, limits: &Arc<Limits>) {
        // Said once: the second would be a second broker.
        let _ = self.serving.set((Arc::downgrade(broker), limits.clone()));
        *self.lock() = Readiness::Serving;
    }

    pub fn stopping(&self) {
        *self.lock() = Readiness::Stopping;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readiness> {
        self.readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// May wait for the disk.
    fn page(&self) -> Result<String, std::fmt::Error> {
        exposition::write(gather::all(self))
    }
}

/// The ports, bound.
pub struct Ports {
    metrics: Option<Port>,
    control: Option<Port>,
}

/// The ports, served. Dropped, they close.
pub struct Served {
    pub metrics_address: Option<SocketAddr>,
    pub control_address: Option<SocketAddr>,
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Ports {
    pub async fn bind(config: &BrokerConfig) -> Result<Ports, Error> {
        Ok(Ports {
            metrics: bind("millrace.metrics.listener", &config.metrics_listener).await?,
            control: bind("millrace.control.listener", &config.control_listener).await?,
        })
    }

    /// Without a `filter` the log level cannot be changed.
    pub fn serve(self, admin: &Arc<Admin>, filter: Option<LogFilter>) -> Served {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serve = |port: Option<Port>, name: &str, router: axum::Router| {
            let port = port?;
            let address = port.address;
            tracing::info!(listener = name, %address, "listening");
            tasks.spawn(port.serve(router, stop.clone(), tasks.clone()));
            Some(address)
        };
        Served {
            metrics_address: serve(self.metrics, "metrics", probes::router(admin.clone())),
            control_address: serve(self.control, "control", control::router(filter)),
            stop: stop.drop_guard(),
            tasks,
        }
    }
}

impl Served {
    /// Answers what was asked, and closes.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!(
                "a metrics or control request that still waits is left without an answer"
            );
        }
    }
}

async fn bind(setting: &'static str, at: &Option<HostPort>) -> Result<Option<Port>, Error> {
    match at {
        None => Ok(None),
        Some(at) => match Port::bind(at).await {
            Ok(port) => Ok(Some(port)),
            Err(error) => Err(Error {
                setting,
                address: at.clone(),
                error,
            }),
        },
    }
}
