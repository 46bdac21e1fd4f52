//! Requests as they come off a socket: a length of four bytes and as many bytes. Memory is taken as bytes arrive, not as
//! they are announced.

use crate::budget::{Budget, Share};
use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// As much of a frame must have come before memory for all of it is taken.
const FIRST_BYTES: usize = 64 * 1024;

/// A frame that has begun goes on within this time, or its connection ends: half a frame holds memory that others wait for.
pub const STALL: Duration = Duration::from_secs(30);

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
    let first_bytes = bytes.min(FIRST_BYTES);
    let mut share = budget.take(first_bytes).await;
    let mut frame = BytesMut::with_capacity(first_bytes);
    fill(socket, &mut frame, first_bytes).await?;
    if bytes > first_bytes {
        // First given back, then taken: nobody waits for more while he holds some.
        drop(share);
        share = budget.take(bytes).await;
        frame.reserve(bytes - first_bytes);
        fill(socket, &mut frame, bytes).await?;
    }
    Ok((frame.freeze(), share))
}

async fn fill(
    socket: &mut (impl AsyncRead + Unpin),
    frame: &mut BytesMut,
    bytes: usize,
) -> Result<(), Ended> {
    while frame.len() < bytes {
        let mut rest = socket.take((bytes - frame.len()) as u64);
        some(timeout(STALL, rest.read_buf(frame)).await)?;
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
        for length in [0, 1, 100, FIRST_BYTES, FIRST_BYTES + 1, 3 * FIRST_BYTES] {
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
        let sent = frame(&vec![7; 2 * FIRST_BYTES]);
        tokio::io::AsyncWriteExt::write_all(&mut client, &sent[..FIRST_BYTES + 9])
            .await
            .unwrap();
        let length = read_length(&mut server, IDLE, LIMIT).await.unwrap();
        let ended = read_body(&mut server, length, &budget).await.map(|_| ());
        assert!(matches!(ended, Err(Ended::Stalled)));
        assert_eq!(budget.free_bytes(), 1 << 20);
        let ended = read_length(&mut server, IDLE, LIMIT).await;
        assert!(matches!(ended, Err(Ended::Idle(_))));
    }
}
