//! Connections that other brokers dialed: who they are, and what they say.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ask::Answer;
use super::cursor::Malformed;
use super::frame::{self, Kind, OVERHEAD_BYTES};
use super::handshake::{self, HandshakeError};
use super::hello::{Errand, Hello};
use super::hub::Hub;
use super::messages;
use super::peer::{Counters, Inbound, Obstacle, Peer};
use super::reader::{Incoming, ReadError, Reader};
use super::seal::Sealer;
use super::{BrokerId, Lane};

/// Connections of whom it is not known who they are. One more is closed at once; who knows the secret dials again.
const MAX_UNPROVEN: usize = 512;
/// After a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is told to who has proved that it knows the secret.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this is cluster {ours}, and broker {broker} is one of cluster {theirs}")]
    WrongCluster {
        ours: String,
        theirs: String,
        broker: BrokerId,
    },
    #[error("this is broker {ours}, and broker {wanted} is looked for")]
    WrongBroker { ours: BrokerId, wanted: BrokerId },
    #[error("broker id {0} is in use by another process, which is connected")]
    InUse(BrokerId),
    #[error("broker id {0} is this broker's own")]
    Own(BrokerId),
    #[error("the hello names neither a broker nor a lane")]
    NoErrand,
    #[error("too many brokers are known here")]
    TooMany,
}

#[derive(Debug, thiserror::Error)]
enum Dropped {
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("this broker stops")]
    Stopped,
}

pub(super) async fn keep_accepting(hub: Arc<Hub>, listener: TcpListener) {
    let unproven = Arc::new(Semaphore::new(MAX_UNPROVEN));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.stop.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                hub.complain(|| tracing::warn!(%error, "cannot accept a broker's connection"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = unproven.clone().try_acquire_owned() else {
            hub.complain(|| tracing::warn!(%from, "too many connections of unknown brokers"));
            continue;
        };
        let of = hub.clone();
        hub.tasks.spawn(async move {
            let welcomed = welcome(&of, stream).await;
            drop(permit);
            match welcomed {
                Ok((link, reader)) => listen(link, reader).await,
                Err(Dropped::Stopped) => {}
                Err(error) => {
                    of.complain(|| tracing::warn!(%from, %error, "broker's connection is dropped"));
                }
            }
        });
    }
}

/// A link that others see. Dropped, it has ended.
struct Link {
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    lane: Lane,
    inbound: Inbound,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.peer.dismiss(self.lane, self.inbound.serial);
        self.inbound.ended.cancel();
        if self.lane == Lane::Urgent {
            self.peer.settle(&*self.hub.handler);
        }
    }
}

type Frames = Reader<TcpStream>;

async fn welcome(hub: &Arc<Hub>, mut stream: TcpStream) -> Result<(Link, Frames), Dropped> {
    tokio::select! {
        welcomed = timeout(hub.settings.silence, introduce(hub, &mut stream)) => {
            let (link, sealer) = welcomed.unwrap_or(Err(HandshakeError::TimedOut.into()))?;
            let reader = Reader::new(stream, sealer, hub.settings.max_frame_bytes);
            Ok((link, reader))
        }
        () = hub.stop.cancelled() => Err(Dropped::Stopped),
    }
}

async fn introduce(hub: &Arc<Hub>, stream: &mut TcpStream) -> Result<(Link, Sealer), Dropped> {
    stream.set_nodelay(true)?;
    let claim = handshake::accept(stream, &hub.settings.secrets).await?;
    match admit(hub, &claim.hello).await {
        Ok(link) => {
            let sealer = claim.welcome(stream, &hub.hello(None)).await?;
            if link.lane == Lane::Urgent {
                link.peer.settle(&*hub.handler);
            }
            Ok((link, sealer))
        }
        Err(refusal) => {
            claim.refuse(stream, &refusal.to_string()).await?;
            Err(refusal.into())
        }
    }
}

async fn admit(hub: &Arc<Hub>, hello: &Hello) -> Result<Link, Refusal> {
    let ours = &hub.settings;
    let Some(Errand { wanted, lane }) = hello.errand else {
        return Err(Refusal::NoErrand);
    };
    if hello.cluster_id != ours.cluster_id {
        return Err(Refusal::WrongCluster {
            ours: ours.cluster_id.clone(),
            theirs: hello.cluster_id.clone(),
            broker: hello.broker,
        });
    }
    if wanted != ours.broker {
        return Err(Refusal::WrongBroker {
            ours: ours.broker,
            wanted,
        });
    }
    if hello.broker == ours.broker {
        return Err(Refusal::Own(hello.broker));
    }
    let peer = hub.introduce(hello.broker).ok_or(Refusal::TooMany)?;
    let stop = CancellationToken::new();
    let inbound = Inbound::new(hub.serial(), hello, stop);
    loop {
        match peer.admit(lane, &inbound) {
            Ok(()) => {
                return Ok(Link {
                    hub: hub.clone(),
                    peer,
                    lane,
                    inbound,
                });
            }
            Err(Obstacle::Rival) => return Err(Refusal::InUse(hello.broker)),
            // Ended before the new one begins, so that frames of both do not mix.
            Err(Obstacle::Older(older)) => {
                older.stop.cancel();
                older.ended.cancelled().await;
            }
        }
    }
}

async fn listen(link: Link, mut reader: Frames) {
    let (broker, lane) = (link.peer.id, link.lane);
    let silence = link.hub.settings.silence;
    tokio::select! {
        ended = hear(&link, &mut reader) => match ended {
            Ok(()) => tracing::info!(broker, ?lane, "broker hung up"),
            Err(error) => link.hub.complain(|| {
                tracing::warn!(broker, ?lane, ?silence, %error, "link from broker ended");
            }),
        },
        () = link.inbound.stop.cancelled() => {}
        () = link.hub.stop.cancelled() => {}
    }
}

async fn hear(link: &Link, reader: &mut Frames) -> Result<(), ReadError> {
    while let Some(frame) = reader.next(link.hub.settings.silence).await? {
        let counters = &link.peer.counters;
        Counters::add(&counters.received_frames, 1);
        Counters::add(
            &counters.received_bytes,
            (frame.body.len() + OVERHEAD_BYTES) as u64,
        );
        take(link, &frame)?;
    }
    Ok(())
}

fn take(link: &Link, frame: &Incoming) -> Result<(), Malformed> {
    let (handler, from) = (&link.hub.handler, link.peer.id);
    let body = &frame.body;
    match frame.kind {
        Kind::Pulse => {
            let (pulse, body) = frame::read_pulse(body)?;
            if link.lane == Lane::Urgent {
                link.peer.pulsed(pulse, link.hub.now());
                handler.pulsed(from, body);
            }
        }
        Kind::Raft => handler.raft(from, messages::decode(body)?),
        Kind::Note => {
            let (kind, body) = frame::read_note(body)?;
            handler.note(from, kind, body);
        }
        Kind::Ask => {
            let (id, kind, body) = frame::read_ask(body)?;
            let answer = Answer {
                hub: Arc::downgrade(&link.hub),
                to: from,
                instance: link.inbound.instance,
                id,
            };
            handler.asked(from, kind, body, answer);
        }
        Kind::Answer => {
            let (id, body) = frame::read_answer(body)?;
            let asks = &link.peer.asks;
            asks.answered(link.inbound.instance, id, body);
        }
    }
    Ok(())
}
