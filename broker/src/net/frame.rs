//! Requests as they come off a socket: a length of four bytes and as many bytes. Memory is taken as bytes arrive, not as
//! they are announced.

use crate::budget::{Budget, Share};
use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// As much of a frame is read before memory is asked for: most requests are whole by then, and who sends half of one holds
/// nothing that others wait for.
const FIRST_BYTES: usize = 4 * 1024;

/// As much of a frame must have come before memory for all of it is taken. Until then it is twice what has come.
const PROVEN_BYTES: usize = 64 * 1024;

/// A frame that has begun goes on within this time, or its connection ends: half a frame holds memory that others wait for.
pub const STALL: Duration = Duration::from_secs(30);

/// The same while others do wait for that memory.
pub const PRESSED_STALL: Duration = Duration::from_secs(1);

/// Why there is no further frame.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Between two frames: as it should be.
    #[error("the client closed the connection")]
    Closed,
    #[error("nothing was sent for {0:?}")]
    Idle(Duration),
    #[error("the connection was closed in the middle of a request")]
    Torn,
    #[error("a request stopped in the middle for {STALL:?}")]
    Stalled,
    #[error(
        "a request stopped in the middle for {PRESSED_STALL:?} while others waited for its memory"
    )]
    Pressed,
    #[error("a request of {length} bytes, {}", explain(*.length, *.limit))]
    Length { length: i32, limit: i32 },
    #[error("read: {0}")]
    Io(#[from] io::Error),
}

fn explain(length: i32, limit: i32) -> String {
    match length.to_be_bytes() {
        [0x16, 0x03, ..] => {
            "which is the beginning of TLS: this listener speaks plaintext".to_owned()
        }
        [b'G', b'E', b'T', b' ']
        | [b'P', b'O', b'S', b'T']
        | [b'H', b'E', b'A', b'D']
        | [b'P', b'U', b'T', b' '] => {
            "which is the beginning of HTTP: this listener speaks Kafka's protocol".to_owned()
        }
        _ if length < 0 => "which is less than none".to_owned(),
        _ => format!("the most is {limit} (socket.request.max.bytes)"),
    }
}

/// Waits for the length of the next frame.
pub async fn read_length(
    socket: &mut (impl AsyncRead + Unpin),
    idle: Duration,
    limit: i32,
) -> Result<usize, Ended> {
    let mut length = [0; 4];
    let first = timeout(idle, socket.read(&mut length)).await;
    let mut have = first.map_err(|_| Ended::Idle(idle))??;
    if have == 0 {
        return Err(Ended::Closed);
    }
    while have < length.len() {
        have += some(timeout(STALL, socket.read(&mut length[have..])).await)?;
    }
    let length = i32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(bytes) if length <= limit => Ok(bytes),
        _ => Err(Ended::Length { length, limit }),
    }
}

/// Reads a frame of so many bytes.
pub async fn read_body(
    socket: &mut (impl AsyncRead + Unpin),
    bytes: usize,
    budget: &Budget,
) -> Result<(Bytes, Share), Ended> {
    let mut have = bytes.min(FIRST_BYTES);
    let mut frame = BytesMut::with_capacity(have);
    fill(socket, &mut frame, have, None).await?;
    let mut share = budget.take(have).await;
    while have < bytes {
        have = match have < PROVEN_BYTES {
            true => bytes.min(2 * have),
            false => bytes,
        };
        // First given back, then taken: nobody waits for more while he holds some.
        drop(share);
        share = budget.take(have).await;
        frame.reserve(have - frame.len());
        fill(socket, &mut frame, have, Some(&share)).await?;
    }
    Ok((frame.freeze(), share))
}

/// Reads until the frame has so many bytes; `holding` is what it takes from others meanwhile.
async fn fill(
    socket: &mut (impl AsyncRead + Unpin),
    frame: &mut BytesMut,
    bytes: usize,
    holding: Option<&Share>,
) -> Result<(), Ended> {
    let mut silent = Duration::ZERO;
    while frame.len() < bytes {
        let mut rest = (&mut *socket).take((bytes - frame.len()) as u64);
        match (timeout(PRESSED_STALL, rest.read_buf(frame)).await, holding) {
            (Ok(read), _) => {
                some(Ok(read))?;
                silent = Duration::ZERO;
            }
            (Err(_), Some(share)) if share.is_wanted() => return Err(Ended::Pressed),
            (Err(_), _) => {
                silent += PRESSED_STALL;
                if silent >= STALL {
                    return Err(Ended::Stalled);
                }
            }
        }
    }
    Ok(())
}

fn some(read: Result<io::Result<usize>, tokio::time::error::Elapsed>) -> Result<usize, Ended> {
    match read {
        Err(_) => Err(Ended::Stalled),
        Ok(Ok(0)) => Err(Ended::Torn),
        Ok(read) => Ok(read?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);
    const LIMIT: i32 = 1 << 20;

    async fn read(mut bytes: &[u8]) -> Result<Bytes, Ended> {
        let budget = Budget::new(1 << 20);
        let length = read_length(&mut bytes, IDLE, LIMIT).await?;
        Ok(read_body(&mut bytes, length, &budget).await?.0)
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = (body.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        for length in [
            0,
            1,
            FIRST_BYTES,
            FIRST_BYTES + 1,
            PROVEN_BYTES + 1,
            300_000,
        ] {
            let body: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(read(&frame(&body)).await.unwrap(), body);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_told_from_a_torn_frame() {
        assert!(matches!(read(&[]).await, Err(Ended::Closed)));
        assert!(matches!(read(&[0, 0]).await, Err(Ended::Torn)));
        assert!(matches!(read(&frame(b"abc")[..6]).await, Err(Ended::Torn)));
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_explained() {
        let why = async |bytes: &[u8]| read(bytes).await.unwrap_err().to_string();
        assert!(why(b"GET / HTTP/1.1\r\n").await.contains("HTTP"));
        assert!(why(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.contains("TLS"));
        assert!(why(&[0xff; 4]).await.contains("less than none"));
        assert!(
            why(&i32::MAX.to_be_bytes())
                .await
                .contains("socket.request.max.bytes")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_and_silence_ends_and_gives_its_memory_back() {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let budget = Budget::new(1 << 20);
        let sent = frame(&vec![7; 2 * PROVEN_BYTES]);
        tokio::io::AsyncWriteExt::write_all(&mut client, &sent[..PROVEN_BYTES + 9])
            .await
            .unwrap();
        let length = read_length(&mut server, IDLE, LIMIT).await.unwrap();
        let ended = read_body(&mut server, length, &budget).await.map(|_| ());
        assert!(matches!(ended, Err(Ended::Stalled)));
        assert_eq!(budget.taken_bytes(), 0);
        let ended = read_length(&mut server, IDLE, LIMIT).await;
        assert!(matches!(ended, Err(Ended::Idle(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_makes_room_for_others_soon() {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        // Of this size there is room for one.
        let budget = Budget::new(8 * PROVEN_BYTES);
        let sent = frame(&vec![7; 40_000]);
        tokio::io::AsyncWriteExt::write_all(&mut client, &sent[..39_000])
            .await
            .unwrap();
        let length = read_length(&mut server, IDLE, LIMIT).await.unwrap();
        let half = read_body(&mut server, length, &budget);
        let others = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut others = Vec::new();
            for _ in 0..3 {
                others.push(budget.take(40_000).await);
            }
        };
        let began = tokio::time::Instant::now();
        let (ended, ()) = tokio::join!(half, others);
        assert!(matches!(ended.map(|_| ()), Err(Ended::Pressed)));
        assert!(began.elapsed() <= 2 * PRESSED_STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_of_a_frame_holds_no_more_than_twice_what_came() {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let budget = Budget::new(64 << 20);
        let mut sent = (100_i32 << 20).to_be_bytes().to_vec();
        sent.resize(4 + 10_000, 0);
        tokio::io::AsyncWriteExt::write_all(&mut client, &sent)
            .await
            .unwrap();
        let length = read_length(&mut server, IDLE, i32::MAX).await.unwrap();
        let read = read_body(&mut server, length, &budget);
        tokio::pin!(read);
        assert!(timeout(STALL / 2, &mut read).await.is_err());
        assert!(
            budget.taken_bytes() <= 2 * 10_000,
            "{}",
            budget.taken_bytes()
        );
    }
}
