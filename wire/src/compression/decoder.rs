//! Decompression a buffer at a time: what is read and forgotten need not lie in memory at once.

use super::{Compression, Error, snappy};
use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, Read};
use zstd::zstd_safe;

/// Gzip's window and the tables of its decoder.
const GZIP_BYTES: usize = 64 << 10;
/// Zstd's tables, and the blocks at both ends of its window.
const ZSTD_BYTES: usize = 512 << 10;
/// Where a frame does not begin as frames do, its window may be as large as that of the highest common level.
const ZSTD_WINDOW_BYTES: usize = 8 << 20;
const ZSTD_WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=27;

/// Why a codec gave up; [`Decoder`] adds which codec and how many bytes.
pub(super) enum Fault {
    TooLarge,
    Malformed(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Malformed(error.to_string())
    }
}

impl From<snap::Error> for Fault {
    fn from(error: snap::Error) -> Fault {
        Fault::Malformed(error.to_string())
    }
}

impl Fault {
    pub(super) fn of(
        self,
        codec: Compression,
        compressed_bytes: usize,
        limit_bytes: usize,
    ) -> Error {
        let codec = codec.name();
        match self {
            Fault::TooLarge => Error::TooLarge {
                codec,
                compressed_bytes,
                limit_bytes,
            },
            Fault::Malformed(reason) => Error::Malformed {
                codec,
                compressed_bytes,
                reason,
            },
        }
    }
}

/// Gives at most `limit_bytes` in all; more is an error.
pub struct Decoder<'a> {
    codec: Compression,
    compressed_bytes: usize,
    limit_bytes: usize,
    given_bytes: usize,
    stream: Stream<'a>,
}

enum Stream<'a> {
    Plain(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(Box<snappy::Reader<'a>>),
    Lz4(Box<FrameDecoder<Source<'a>>>),
    Zstd(Box<zstd::Decoder<'static, &'a [u8]>>),
}

/// What a [`Decoder`] of these bytes will hold in memory, at the most.
pub fn decoder_memory_bytes(codec: Compression, bytes: &[u8]) -> usize {
    match codec {
        Compression::None => 0,
        Compression::Gzip => GZIP_BYTES,
        Compression::Snappy => snappy::Reader::memory_bytes(bytes),
        // A compressed block, two decompressed ones, and the bytes that they refer back to.
        Compression::Lz4 => 3 * lz4_block_bytes(bytes) + (64 << 10),
        Compression::Zstd => zstd_window_bytes(bytes).saturating_add(ZSTD_BYTES),
    }
}

/// From the frame's descriptor, which follows four bytes of magic and one of flags.
fn lz4_block_bytes(bytes: &[u8]) -> usize {
    match bytes.get(5).map(|descriptor| descriptor >> 4 & 7) {
        Some(size @ 4..=7) => 1 << (2 * size + 8),
        // The old format of frames has none; its blocks have this size.
        _ => 8 << 20,
    }
}

/// RFC 8878, 3.1.1.1: how far back the first frame refers.
fn zstd_window_bytes(bytes: &[u8]) -> usize {
    const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
    const SINGLE_SEGMENT: u8 = 1 << 5;
    let content = zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let content = content.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let window = match bytes.strip_prefix(&MAGIC) {
        Some([flags, ..]) if flags & SINGLE_SEGMENT != 0 => None,
        Some([_, window, ..]) => {
            let base = 1_usize << (10 + (window >> 3));
            Some(base + base / 8 * usize::from(window & 7))
        }
        _ => Some(ZSTD_WINDOW_BYTES),
    };
    match (window, content) {
        (Some(window), Some(content)) => window.min(content),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => ZSTD_WINDOW_BYTES,
    }
}

impl<'a> Decoder<'a> {
    pub fn new(
        codec: Compression,
        bytes: &'a [u8],
        limit_bytes: usize,
    ) -> Result<Decoder<'a>, Error> {
        let mut decoder = Decoder {
            codec,
            compressed_bytes: bytes.len(),
            limit_bytes,
            given_bytes: 0,
            stream: Stream::Plain(bytes),
        };
        decoder.stream = match codec {
            Compression::None => Stream::Plain(bytes),
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(bytes))),
            Compression::Snappy => Stream::Snappy(Box::new(snappy::Reader::new(bytes))),
            Compression::Lz4 => Stream::Lz4(Box::new(FrameDecoder::new(Source {
                bytes,
                starved: false,
            }))),
            Compression::Zstd => {
                zstd_stream(bytes, limit_bytes).map_err(|why| decoder.error(why))?
            }
        };
        Ok(decoder)
    }

    /// Puts what comes next into the front of `out`; 0 is the end, where `out` is not empty.
    pub fn fill(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let left = self.limit_bytes - self.given_bytes;
        let given = self
            .stream
            .read(out, left)
            .and_then(|given| match given <= left {
                true => Ok(given),
                false => Err(Fault::TooLarge),
            })
            .map_err(|fault| self.error(fault))?;
        self.given_bytes += given;
        Ok(given)
    }

    /// All that is left.
    pub(super) fn read_all(mut self) -> Result<Vec<u8>, Error> {
        const STEP: usize = 16 << 10;
        let mut out = Vec::new();
        let mut end = 0;
        loop {
            if out.len() - end < STEP {
                out.resize((out.len() * 2).max(STEP), 0);
            }
            match self.fill(&mut out[end..])? {
                0 => break,
                given => end += given,
            }
        }
        out.truncate(end);
        Ok(out)
    }

    fn error(&self, fault: Fault) -> Error {
        fault.of(self.codec, self.compressed_bytes, self.limit_bytes)
    }
}

impl Stream<'_> {
    fn read(&mut self, out: &mut [u8], left: usize) -> Result<usize, Fault> {
        Ok(match self {
            Stream::Plain(bytes) => bytes.read(out)?,
            Stream::Gzip(stream) => stream.read(out)?,
            Stream::Snappy(stream) => stream.read(out, left)?,
            Stream::Lz4(stream) => lz4_read(stream, out)?,
            Stream::Zstd(stream) => stream.read(out)?,
        })
    }
}

/// One frame and nothing after it, as Java's clients read it.
fn lz4_read(stream: &mut FrameDecoder<Source<'_>>, out: &mut [u8]) -> Result<usize, Fault> {
    let given = stream.read(out)?;
    if given == 0 && !out.is_empty() {
        let source = stream.get_ref();
        // The decoder takes a missing end mark for the end of the frame, but only then does it ask for bytes beyond the last.
        if source.starved {
            return Err(Fault::Malformed("the frame has no end".into()));
        }
        if !source.bytes.is_empty() {
            let stray = source.bytes.len();
            return Err(Fault::Malformed(format!("{stray} bytes follow the frame")));
        }
    }
    Ok(given)
}

/// Remembers whether it was asked for more than there was.
struct Source<'a> {
    bytes: &'a [u8],
    starved: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(out)?;
        self.starved |= read == 0 && !out.is_empty();
        Ok(read)
    }
}

/// The window that the first frame claims is allocated and no larger one: up to 128 MiB, which the highest level uses.
fn zstd_stream(bytes: &[u8], limit_bytes: usize) -> Result<Stream<'_>, Fault> {
    if let Ok(Some(size)) = zstd_safe::get_frame_content_size(bytes)
        && size > limit_bytes as u64
    {
        return Err(Fault::TooLarge);
    }
    let mut decoder = zstd::Decoder::with_buffer(bytes)?;
    let log = zstd_window_bytes(bytes).next_power_of_two().ilog2();
    decoder.window_log_max(log.clamp(*ZSTD_WINDOW_LOGS.start(), *ZSTD_WINDOW_LOGS.end()))?;
    Ok(Stream::Zstd(Box::new(decoder)))
}

/// In one call rather than as a stream where all of it is wanted: a stream has a window beside its output.
pub(super) fn zstd_decompress(bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, Fault> {
    /// What zstd says when the output does not fit: the only error after which a larger buffer can help.
    const NO_ROOM: &str = "Destination buffer is too small";
    const FIRST_GUESS: usize = 64 << 10;
    let mut capacity = match zstd_safe::get_frame_content_size(bytes) {
        Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
        // What a stream wrote does not say its size.
        Ok(None) => bytes
            .len()
            .saturating_mul(4)
            .clamp(FIRST_GUESS.min(limit_bytes), limit_bytes),
        Err(error) => return Err(Fault::Malformed(error.to_string())),
    };
    if capacity > limit_bytes {
        return Err(Fault::TooLarge);
    }
    let mut context = zstd_safe::DCtx::try_create()
        .ok_or_else(|| Fault::Malformed("no memory for a decompression context".into()))?;
    loop {
        let mut out = Vec::with_capacity(capacity);
        match context
            .decompress(&mut out, bytes)
            .map_err(zstd_safe::get_error_name)
        {
            Ok(_) => return Ok(out),
            Err(NO_ROOM) if capacity >= limit_bytes => return Err(Fault::TooLarge),
            Err(NO_ROOM) => capacity = capacity.saturating_mul(4).clamp(1, limit_bytes),
            Err(reason) => return Err(Fault::Malformed(reason.into())),
        }
    }
}
