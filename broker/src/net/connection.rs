//! One client: its requests in the order of their arrival, its answers in the same.
//!
//! Kafka takes one request of a connection at a time. So do we, but for appends, which may overlap one another: they are
//! handed over in order, and wait for the disk together.

use super::frame::{self, Ended};
use super::listen::Limits;
use crate::api::{self, Begun, Broker, Caller, Outcome, Serving};
use crate::budget::Share;
use millrace_wire::frame::decode_request_header;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, mpsc};
use tokio_util::sync::CancellationToken;

/// Requests of one connection that wait for their answers. More are not read.
const MAX_IN_FLIGHT: usize = 32;

/// How long a client may leave an answer unread while others wait for the memory it holds. Clients do rest: those of Java read
/// only while somebody polls.
const PRESSED_PATIENCE: Duration = Duration::from_secs(5);

/// Whether others may be served beside a request; held until it is answered.
enum Turn {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

struct InFlight {
    serving: Serving,
    /// When it was there before anything had to be waited for.
    outcome: Option<Outcome>,
    _turn: Turn,
    _memory: Share,
}

/// Serves until the client is gone, until something is wrong, or until `stop`; what was begun is answered. Says why it ended
/// when that is worth a line.
pub async fn serve(
    socket: TcpStream,
    broker: Arc<Broker>,
    caller: Arc<Caller>,
    limits: Arc<Limits>,
    stop: CancellationToken,
) -> Option<String> {
    // A delay costs more than a small packet; an error shows at the next read.
    let _ = socket.set_nodelay(true);
    let (reader, writer) = socket.into_split();
    let (queue, queued) = mpsc::channel(MAX_IN_FLIGHT);
    let reads = read_all(reader, broker, caller, limits.clone(), stop, queue);
    let writes = write_all(writer, queued, limits.idle);
    let (reads, writes) = (std::pin::pin!(reads), std::pin::pin!(writes));
    match futures_util::future::select(reads, writes).await {
        futures_util::future::Either::Left((ended, writes)) => {
            // The queue is closed: what is in it is answered yet.
            match writes.await {
                Err(why) => Some(why),
                Ok(()) => worth_a_line(ended),
            }
        }
        futures_util::future::Either::Right((why, _)) => why.err(),
    }
}

fn worth_a_line(ended: Result<(), Ended>) -> Option<String> {
    match ended {
        Ok(()) | Err(Ended::Closed | Ended::Torn | Ended::Idle(_)) => None,
        Err(Ended::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
        Err(why) => Some(why.to_string()),
    }
}

async fn read_all(
    mut reader: OwnedReadHalf,
    broker: Arc<Broker>,
    caller: Arc<Caller>,
    limits: Arc<Limits>,
    stop: CancellationToken,
    queue: mpsc::Sender<InFlight>,
) -> Result<(), Ended> {
    let turns = Arc::new(RwLock::new(()));
    loop {
        let length = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            length = next_length(&mut reader, &limits, &queue) => length?,
        };
        // Whoever sends on while they are throttled is not read; the socket's buffers fill.
        if !unmuted(&broker, &caller, &limits, &stop).await? {
            return Ok(());
        }
        let (mut request, memory) = frame::read_body(&mut reader, length, &limits.requests).await?;
        let header = decode_request_header(&mut request);
        let overlaps = header
            .as_ref()
            .is_ok_and(|header| api::may_overlap(header.api_key));
        let turn = match overlaps {
            true => Turn::Shared {
                _guard: turns.clone().read_owned().await,
            },
            false => Turn::Alone {
                _guard: turns.clone().write_owned().await,
            },
        };
        // The answer to the one before may have said so meanwhile.
        if !unmuted(&broker, &caller, &limits, &stop).await? {
            return Ok(());
        }
        let begun = Begun::default();
        let mut serving: Serving = match header {
            Ok(header) => api::serve(&broker, &caller, header, request, begun.clone()),
            Err(error) => Box::pin(std::future::ready(Outcome::Close(error.to_string()))),
        };
        // The next request that may overlap with this one follows it, so that appends are in the order of their arrival.
        let outcome = poll_fn(|context| match serving.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if overlaps && !begun.is_so() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        let in_flight = InFlight {
            serving,
            outcome,
            _turn: turn,
            _memory: memory,
        };
        if queue.send(in_flight).await.is_err() {
            return Ok(());
        }
    }
}

/// Returns when the connection may be read from; false when `stop` comes before. A client whose turn comes only after it would
/// be idle is ended as one that is.
async fn unmuted(
    broker: &Broker,
    caller: &Caller,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<bool, Ended> {
    let mut patience = limits.idle;
    while let Some(rest) = caller.mute.rest(&broker.quotas) {
        let _muted = broker.metrics.throttles.mute();
        let step = rest.min(patience);
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(step) => patience -= step,
        }
        if patience.is_zero() {
            return Err(Ended::Idle(limits.idle));
        }
    }
    Ok(true)
}

/// A connection is idle only while no request of it waits for its answer.
async fn next_length(
    reader: &mut OwnedReadHalf,
    limits: &Limits,
    queue: &mpsc::Sender<InFlight>,
) -> Result<usize, Ended> {
    loop {
        match frame::read_length(reader, limits.idle, limits.max_request_bytes).await {
            Err(Ended::Idle(_)) if queue.capacity() < MAX_IN_FLIGHT => {}
            length => return length,
        }
    }
}

async fn write_all(
    mut writer: OwnedWriteHalf,
    mut queued: mpsc::Receiver<InFlight>,
    patience: Duration,
) -> Result<(), String> {
    while let Some(in_flight) = queued.recv().await {
        let outcome = match in_flight.outcome {
            Some(outcome) => outcome,
            None => in_flight.serving.await,
        };
        match outcome {
            Outcome::NoAnswer => {}
            Outcome::Close(why) => return Err(why),
            Outcome::Answer { frame, held } => {
                let is_wanted = || held.iter().any(Share::is_wanted);
                match write(&mut writer, &frame, patience, is_wanted).await {
                    Ok(Written::All) => {}
                    // The client is gone.
                    Err(_) => return Ok(()),
                    Ok(Written::Unread) => {
                        return Err(format!("an answer was not read for {patience:?}"));
                    }
                    Ok(Written::Pressed) => {
                        return Err(format!(
                            "an answer was not read for {PRESSED_PATIENCE:?} while others waited for its memory"
                        ));
                    }
                }
                drop(held);
            }
        }
    }
    Ok(())
}

enum Written {
    All,
    Unread,
    Pressed,
}

/// Writes until nothing is taken for `patience`, or, while `is_wanted`, for less.
async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    mut frame: &[u8],
    patience: Duration,
    is_wanted: impl Fn() -> bool,
) -> io::Result<Written> {
    let mut unread = Duration::ZERO;
    while !frame.is_empty() {
        let step = PRESSED_PATIENCE.min(patience);
        match tokio::time::timeout(step, writer.write(frame)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                frame = &frame[written?..];
                unread = Duration::ZERO;
            }
            Err(_) if is_wanted() => return Ok(Written::Pressed),
            Err(_) => {
                unread += step;
                if unread >= patience {
                    return Ok(Written::Unread);
                }
            }
        }
    }
    Ok(Written::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    const PATIENCE: Duration = Duration::from_secs(600);

    async fn unread(held: &Share) -> (Written, Duration) {
        let (_client, mut server) = tokio::io::duplex(10);
        let began = tokio::time::Instant::now();
        let written = write(&mut server, &[0; 100], PATIENCE, || held.is_wanted()).await;
        (written.expect("nothing fails"), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_stay_unread_until_others_wait_for_its_memory() {
        let budget = Budget::new(0);
        let held = budget.take(1).await;
        assert!(matches!(unread(&held).await, (Written::Unread, PATIENCE)));
        let wait = tokio::spawn(async move { budget.take(1).await });
        tokio::task::yield_now().await;
        assert!(matches!(
            unread(&held).await,
            (Written::Pressed, PRESSED_PATIENCE)
        ));
        wait.abort();
    }
}
