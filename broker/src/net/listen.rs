//! Accepting connections, as many as may be.

use super::connection;
use super::pace::{Held, Pace};
use crate::api::{Broker, Caller};
use crate::budget::Budget;
use crate::complaints::Complaints;
use crate::metrics::Accepting;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long accepting rests when there is no file descriptor left.
const AGAIN: Duration = Duration::from_millis(100);

/// What holds for all connections of a broker.
#[derive(Debug)]
pub struct Limits {
    /// `max.connections`
    pub max_connections: usize,
    /// `max.connections.per.ip`
    pub max_per_address: usize,
    /// `max.connections.per.ip.overrides`
    pub max_by_address: BTreeMap<String, u32>,
    /// `connections.max.idle.ms`
    pub idle: Duration,
    /// `socket.request.max.bytes`
    pub max_request_bytes: i32,
    /// `socket.listen.backlog.size`
    pub backlog: u32,
    /// `queued.max.request.bytes`
    pub requests: Budget,
    pub open: Open,
    pub pace: Pace,
}

/// The connections that there are.
#[derive(Debug, Default)]
pub struct Open(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
struct Counted {
    limits: Arc<Limits>,
    address: IpAddr,
}

impl Open {
    pub fn count(&self) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }
}

impl Limits {
    fn admit(self: &Arc<Limits>, address: IpAddr) -> Result<Counted, String> {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        if total >= self.max_connections {
            return Err(format!("there are {total} connections (max.connections)"));
        }
        let override_of = self.max_by_address.get(&address.to_string());
        let most = override_of.map_or(self.max_per_address, |most| *most as usize);
        let of_address = open.entry(address).or_default();
        if *of_address >= most {
            let why = format!("it has {of_address} connections (max.connections.per.ip)");
            if *of_address == 0 {
                open.remove(&address);
            }
            return Err(why);
        }
        *of_address += 1;
        Ok(Counted {
            limits: self.clone(),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self
            .limits
            .open
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// A listener that is bound, and may already have clients waiting.
pub struct Listening {
    listener: TcpListener,
    name: Arc<str>,
    pub address: SocketAddr,
}

/// Binds. Port 0 lets the system choose.
pub fn listen(name: &str, address: SocketAddr, backlog: u32) -> io::Result<Listening> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A broker that starts again finds its port in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?;
    Ok(Listening {
        address: listener.local_addr()?,
        listener,
        name: name.into(),
    })
}

impl Listening {
    /// Accepts until `stop`; connections end by it, too, and are counted by `tasks`.
    pub async fn serve(
        self,
        broker: Arc<Broker>,
        limits: Arc<Limits>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let complaints = Arc::new(Complaints::default());
        let counters = broker.metrics.connections.listener(&self.name);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (socket, address) = match accepted {
                Ok((socket, address)) => {
                    // An IPv4 client of a socket for both families is that.
                    let ip = address.ip().to_canonical();
                    (socket, SocketAddr::new(ip, address.port()))
                }
                Err(error) => {
                    complain(
                        &complaints,
                        |more| tracing::error!(listener = &*self.name, %error, more, "cannot accept a connection"),
                    );
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let wait = limits.pace.wait(&broker);
            if !wait.is_zero() {
                counters.delayed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%address, ms = wait.as_millis() as u64, "too many connections a second");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            if let Some(rest) = limits.pace.refuse(&broker, address.ip()) {
                counters.delayed.fetch_add(1, Ordering::Relaxed);
                let ms = rest.as_millis() as u64;
                tracing::debug!(%address, ms, "too many connections a second of one address");
                if let Some(held) = limits.pace.hold() {
                    tasks.spawn(hold(socket, rest, held, stop.clone()));
                }
                continue;
            }
            match limits.admit(address.ip()) {
                Err(why) => {
                    counters.refused.fetch_add(1, Ordering::Relaxed);
                    complain(
                        &complaints,
                        |more| tracing::warn!(%address, why, more, "connection refused"),
                    );
                }
                Ok(counted) => {
                    counters.accepted.fetch_add(1, Ordering::Relaxed);
                    let caller = Arc::new(Caller {
                        listener: self.name.clone(),
                        address,
                        mute: Default::default(),
                        software: Default::default(),
                    });
                    let served = one(
                        socket,
                        broker.clone(),
                        caller,
                        counted,
                        counters.clone(),
                        complaints.clone(),
                        stop.clone(),
                    );
                    tasks.spawn(served);
                }
            }
        }
    }
}

/// Closes a connection after a while, so that its client does not try again at once.
async fn hold(socket: TcpStream, rest: Duration, held: Held, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(rest) => {}
    }
    drop((socket, held));
}

async fn one(
    socket: TcpStream,
    broker: Arc<Broker>,
    caller: Arc<Caller>,
    counted: Counted,
    counters: Arc<Accepting>,
    complaints: Arc<Complaints>,
    stop: CancellationToken,
) {
    let address = caller.address;
    let limits = counted.limits.clone();
    if let Some(why) = connection::serve(socket, broker, caller, limits, stop).await {
        counters.aborted.fetch_add(1, Ordering::Relaxed);
        complain(
            &complaints,
            |more| tracing::warn!(%address, why, more, "connection closed"),
        );
    }
    drop(counted);
}

/// Writes a line when one more may be; `more` is how many like it were left out before.
fn complain(complaints: &Complaints, line: impl FnOnce(u64)) {
    if let Some(more) = complaints.next() {
        line(more);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits(max_connections: usize, max_per_address: usize) -> Arc<Limits> {
        Arc::new(Limits {
            max_connections,
            max_per_address,
            max_by_address: BTreeMap::from([("10.0.0.9".to_owned(), 0)]),
            idle: Duration::from_secs(1),
            max_request_bytes: 1,
            backlog: 1,
            requests: Budget::new(1),
            open: Open::default(),
            pace: Pace::default(),
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let limits = limits(3, 2);
        let first = limits.admit(address(1)).unwrap();
        let _second = limits.admit(address(1)).unwrap();
        assert!(limits.admit(address(1)).err().unwrap().contains("per.ip"));
        let _third = limits.admit(address(2)).unwrap();
        assert!(
            limits
                .admit(address(3))
                .err()
                .unwrap()
                .contains("(max.connections)")
        );
        drop(first);
        assert!(limits.admit(address(9)).is_err(), "its override is none");
        let _again = limits.admit(address(1)).unwrap();
        assert_eq!(limits.open.count(), 3);
    }
}
