//! One HTTP port: so many connections, none of them for ever, none that sends nothing.

use crate::config::HostPort;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Further ones wait in the system's queue until one of these ends.
const MAX_CONNECTIONS: usize = 64;

/// Within this time a connection sends the head of its next request, and an answer is read.
const PATIENCE: Duration = Duration::from_secs(30);

/// After this time a connection is closed behind its next answer. Who scrapes every minute makes ten scrapes with it.
const LIFETIME: Duration = Duration::from_secs(600);

/// Of a request's head; one that is longer is answered with 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long accepting rests when there is no file descriptor left.
const AGAIN: Duration = Duration::from_millis(100);

pub struct Port {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Port {
    pub async fn bind(at: &HostPort) -> io::Result<Port> {
        let listener = match at.host.as_str() {
            // Every interface, of both families where there are two.
            "" => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, at.port)).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, at.port)).await?
                }
                bound => bound?,
            },
            host => TcpListener::bind((host, at.port)).await?,
        };
        Ok(Port {
            address: listener.local_addr()?,
            listener,
        })
    }

    /// Accepts until `stop`; connections are counted by `tasks`.
    pub async fn serve(self, router: Router, stop: CancellationToken, tasks: TaskTracker) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                let place = place.expect("the semaphore is never closed");
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((socket, _)) => {
                    tasks.spawn(one(socket, router.clone(), place, stop.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, address = %self.address, "cannot accept a connection");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn one(
    socket: TcpStream,
    router: Router,
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut served = pin!(served);
    tokio::select! {
        // How a client ends its connection is its own business.
        _ = served.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(PATIENCE, served).await;
    drop(place);
}
