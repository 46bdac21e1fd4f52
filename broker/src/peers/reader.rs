//! Frames out of a stream of bytes. A frame is believed once its seal is checked; its length, which comes first, is bounded,
//! and memory for it is taken as its bytes arrive.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::cursor::Malformed;
use super::frame::{HEAD_BYTES, Kind, OVERHEAD_BYTES};
use super::seal::{SEAL_BYTES, Sealer};

/// Frames up to a quarter of it are read many at once; longer ones into memory of their own.
const BUFFER_BYTES: usize = 64 << 10;
const SHORT_BYTES: usize = BUFFER_BYTES / 4;
/// A long frame gets so much memory at first, and twice as much whenever that is full.
const FIRST_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the connection ended within a frame")]
    Torn,
    #[error("a frame of {0} bytes: it must have {min} or more", min = OVERHEAD_BYTES - 4)]
    TooShort(usize),
    #[error("a frame of {bytes} bytes: {limit} are the most")]
    TooLong { bytes: usize, limit: usize },
    #[error("a frame whose seal does not fit: it was changed, sent twice, or others are missing")]
    Seal,
    #[error("a frame of kind {0}, which does not exist")]
    Kind(u8),
    #[error("a frame that is malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// A frame that is what the other side sent.
#[derive(Debug)]
pub struct Incoming {
    pub kind: Kind,
    /// In memory of its own.
    pub body: Bytes,
}

pub struct Reader<R> {
    source: R,
    sealer: Sealer,
    max_frame_bytes: usize,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(source: R, sealer: Sealer, max_frame_bytes: usize) -> Reader<R> {
        Reader {
            source,
            sealer,
            max_frame_bytes,
            buffer: BytesMut::with_capacity(BUFFER_BYTES),
        }
    }

    /// The next frame, or `None` at the end of the stream. Waits as long as bytes come in, and for each no longer than `patience`.
    /// Nothing of a frame is lost if this is dropped while it waits.
    pub async fn next(&mut self, patience: Duration) -> Result<Option<Incoming>, ReadError> {
        loop {
            let wanted = match self.frame_bytes()? {
                Some(bytes) if self.buffer.len() >= bytes => return self.take(bytes).map(Some),
                Some(bytes) => bytes,
                None => HEAD_BYTES,
            };
            let Ok(read) = timeout(patience, self.read(wanted)).await else {
                return Err(ReadError::Silent(patience));
            };
            if read? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(ReadError::Torn),
                };
            }
        }
    }

    /// The length of the first frame in the buffer, all of it, if that has come in.
    fn frame_bytes(&self) -> Result<Option<usize>, ReadError> {
        let Some(length) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let bytes = (u32::from_be_bytes(*length) as usize).saturating_add(4);
        if bytes < OVERHEAD_BYTES {
            return Err(ReadError::TooShort(bytes - 4));
        }
        match bytes > self.max_frame_bytes {
            true => Err(ReadError::TooLong {
                bytes,
                limit: self.max_frame_bytes,
            }),
            false => Ok(Some(bytes)),
        }
    }

    async fn read(&mut self, wanted: usize) -> Result<usize, ReadError> {
        let held = self.buffer.len();
        let spare = self.buffer.capacity() - held;
        if wanted <= SHORT_BYTES {
            if spare < SHORT_BYTES {
                self.buffer.reserve(BUFFER_BYTES - held);
            }
            return Ok(self.source.read_buf(&mut self.buffer).await?);
        }
        if spare == 0 {
            self.buffer
                .reserve(held.max(FIRST_BYTES).min(wanted - held));
        }
        // Nothing behind the long frame is read: its memory is its own.
        let mut room = (&mut self.buffer).limit(wanted - held);
        Ok(self.source.read_buf(&mut room).await?)
    }

    fn take(&mut self, bytes: usize) -> Result<Incoming, ReadError> {
        let frame = &self.buffer[..bytes];
        let (sealed, seal) = frame.split_at(bytes - SEAL_BYTES);
        if !self.sealer.is_sealed([sealed], seal) {
            return Err(ReadError::Seal);
        }
        let code = frame[HEAD_BYTES - 1];
        let kind = Kind::from_code(code).ok_or(ReadError::Kind(code))?;
        let body = match bytes > SHORT_BYTES && self.buffer.len() == bytes {
            true => {
                let frame =
                    std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BUFFER_BYTES));
                frame.freeze().slice(HEAD_BYTES..bytes - SEAL_BYTES)
            }
            false => {
                let body = Bytes::copy_from_slice(&frame[HEAD_BYTES..bytes - SEAL_BYTES]);
                self.buffer.advance(bytes);
                body
            }
        };
        Ok(Incoming { kind, body })
    }
}
