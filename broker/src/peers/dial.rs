//! Dials one broker on one lane for as long as it is one of ours.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Lane;
use super::handshake::{self, HandshakeError};
use super::hello::{Errand, Hello};
use super::hub::Hub;
use super::peer::Peer;
use super::seal::Sealer;
use super::send::{Ended, send};
use super::settings::Address;

/// From one dial to the next, doubled each time.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// A link that lasted so long was a good one: the next dial comes soon.
const LASTED: Duration = Duration::from_secs(1);

struct Connected {
    stream: TcpStream,
    hello: Hello,
    sealer: Sealer,
}

pub(super) async fn keep_dialing(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    lane: Lane,
    mut addresses: watch::Receiver<Vec<Address>>,
    stop: CancellationToken,
) {
    let _turn = peer.turns[lane as usize].lock().await;
    let mut dialer = Dialer {
        hub: &hub,
        peer: &peer,
        lane,
        attempt: 0,
        complained_of: String::new(),
    };
    let mut pause = MIN_PAUSE;
    loop {
        let to = addresses.borrow_and_update().clone();
        let connected = tokio::select! {
            connected = dialer.dial(&to) => connected,
            () = stop.cancelled() => return,
        };
        if let Some(connected) = connected {
            let since = Instant::now();
            let ended = dialer.send(connected, &stop).await;
            if matches!(ended, Ended::Stopped) {
                return;
            }
            tracing::info!(broker = peer.id, ?lane, %ended, "link to broker ended");
            if since.elapsed() >= LASTED {
                pause = MIN_PAUSE;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = stop.cancelled() => return,
            changed = addresses.changed() => match changed {
                Ok(()) => pause = MIN_PAUSE,
                // The broker was forgotten.
                Err(_) => return,
            },
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

struct Dialer<'a> {
    hub: &'a Arc<Hub>,
    peer: &'a Arc<Peer>,
    lane: Lane,
    /// Which of the secrets is tried; the one that served stays.
    attempt: usize,
    complained_of: String,
}

impl Dialer<'_> {
    async fn send(&self, connected: Connected, stop: &CancellationToken) -> Ended {
        send(
            self.hub,
            self.peer,
            self.lane,
            connected.stream,
            connected.hello.instance,
            connected.sealer,
            stop,
        )
        .await
    }

    /// Tries the addresses one after the other.
    async fn dial(&mut self, addresses: &[Address]) -> Option<Connected> {
        for address in addresses {
            match self.try_address(address).await {
                Ok(connected) => {
                    self.complained_of.clear();
                    return Some(connected);
                }
                Err(error) => self.failed(address, &error),
            }
        }
        None
    }

    async fn try_address(&self, address: &Address) -> Result<Connected, HandshakeError> {
        let patience = self.hub.settings.silence;
        let resolved = timeout(patience, lookup_host((address.host.as_str(), address.port)))
            .await
            .map_err(|_| HandshakeError::TimedOut)?
            .map_err(HandshakeError::Io)?;
        let mut last = HandshakeError::Io(io::Error::other("the name has no address"));
        for address in resolved {
            match timeout(patience, TcpStream::connect(address)).await {
                Err(_) => last = HandshakeError::TimedOut,
                Ok(Err(error)) => last = HandshakeError::Io(error),
                Ok(Ok(stream)) => {
                    return timeout(patience, self.introduce(stream))
                        .await
                        .unwrap_or(Err(HandshakeError::TimedOut));
                }
            }
        }
        Err(last)
    }

    async fn introduce(&self, mut stream: TcpStream) -> Result<Connected, HandshakeError> {
        stream.set_nodelay(true)?;
        // A machine that is gone acknowledges nothing; there is always a pulse that it should have.
        #[cfg(target_os = "linux")]
        {
            let patience = self.hub.settings.silence.as_millis();
            let patience = u32::try_from(patience).unwrap_or(u32::MAX);
            rustix::net::sockopt::set_tcp_user_timeout(&stream, patience)
                .map_err(|error| HandshakeError::Io(error.into()))?;
        }
        let errand = Errand {
            wanted: self.peer.id,
            lane: self.lane,
        };
        let secret = self.hub.settings.secrets.at(self.attempt);
        let hello = self.hub.hello(Some(errand));
        let (hello, sealer) = handshake::dial(&mut stream, secret, &hello).await?;
        // It proved that it knows the secret, and so it would have refused. Whoever sends records makes sure.
        let is_the_one = hello.broker == self.peer.id
            && hello.cluster_id == self.hub.settings.cluster_id
            && hello.instance != self.hub.instance;
        match is_the_one {
            true => Ok(Connected {
                stream,
                hello,
                sealer,
            }),
            false => Err(HandshakeError::Refused(format!(
                "broker {} of cluster {} answered",
                hello.broker, hello.cluster_id
            ))),
        }
    }

    /// The same reason is told once.
    fn failed(&mut self, address: &Address, error: &HandshakeError) {
        if let HandshakeError::UnknownSecret = error {
            self.attempt += 1;
        }
        let (broker, lane) = (self.peer.id, self.lane);
        let reason = error.to_string();
        if reason == self.complained_of {
            tracing::debug!(broker, ?lane, %address, error = reason, "cannot reach broker");
            return;
        }
        self.hub.complain(|| {
            tracing::warn!(broker, ?lane, %address, error = reason, "cannot reach broker");
        });
        self.complained_of = reason;
    }
}

/// Half of it to all of it: brokers that lost each other at once do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness the pause is the shortest.
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause / 2 * u32::from(byte[0]) / 255
}
