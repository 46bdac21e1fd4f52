//! Compression a buffer at a time, at the level that is asked for.

use super::{Compression, snappy};
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::{self, Write};

/// A codec, and how hard it tries by its own scale: gzip from 1 to 9, lz4 from 1 to 17, zstd up to 22. Without a level, as
/// its default is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    pub compression: Compression,
    pub level: Option<i32>,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Codec {
        Codec {
            compression,
            level: None,
        }
    }
}

/// Kafka's default for lz4 is another compressor than the one with levels.
const LZ4_DEFAULT_LEVEL: i32 = 9;

/// Writes what it is given compressed; whole only after [`Encoder::finish`].
pub struct Encoder<W: Write>(Stream<W>);

enum Stream<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Snappy(Box<snappy::Writer<W>>),
    Lz4(Box<FrameEncoder<W>>),
    Lz4High(Box<lz4::Encoder<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// For exactly `bytes` of input: zstd takes memory for as much as there is, and says in its frame how much that was.
    pub fn new(codec: Codec, bytes: usize, out: W) -> io::Result<Encoder<W>> {
        Ok(Encoder(match codec.compression {
            Compression::None => Stream::Plain(out),
            Compression::Gzip => {
                let level = codec
                    .level
                    .map_or_else(flate2::Compression::default, |level| {
                        flate2::Compression::new(level.clamp(1, 9) as u32)
                    });
                Stream::Gzip(GzEncoder::new(out, level))
            }
            Compression::Snappy => Stream::Snappy(Box::new(snappy::Writer::new(out))),
            Compression::Lz4 => match codec.level {
                None | Some(LZ4_DEFAULT_LEVEL) => Stream::Lz4(Box::new(lz4(out))),
                Some(level) => Stream::Lz4High(Box::new(lz4_high(level, out)?)),
            },
            Compression::Zstd => {
                let level = codec.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let mut encoder = zstd::Encoder::new(out, level)?;
                encoder.set_pledged_src_size(Some(bytes as u64))?;
                Stream::Zstd(encoder)
            }
        }))
    }

    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Stream::Plain(out) => Ok(out),
            Stream::Gzip(encoder) => encoder.finish(),
            Stream::Snappy(encoder) => encoder.finish(),
            Stream::Lz4(encoder) => Ok(encoder.finish()?),
            Stream::Lz4High(encoder) => {
                let (out, ended) = encoder.finish();
                ended.map(|()| out)
            }
            Stream::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::Plain(out) => out.write(bytes),
            Stream::Gzip(encoder) => encoder.write(bytes),
            Stream::Snappy(encoder) => encoder.write(bytes),
            Stream::Lz4(encoder) => encoder.write(bytes),
            Stream::Lz4High(encoder) => encoder.write(bytes),
            Stream::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Stream::Plain(out) => out.flush(),
            Stream::Gzip(encoder) => encoder.flush(),
            Stream::Snappy(encoder) => encoder.flush(),
            Stream::Lz4(encoder) => encoder.flush(),
            Stream::Lz4High(encoder) => encoder.flush(),
            Stream::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Java's clients read independent blocks only, and write 64 KiB ones.
fn lz4<W: Write>(out: W) -> FrameEncoder<W> {
    let frame = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    FrameEncoder::with_frame_info(frame, out)
}

fn lz4_high<W: Write>(level: i32, out: W) -> io::Result<lz4::Encoder<W>> {
    lz4::EncoderBuilder::new()
        .block_mode(lz4::BlockMode::Independent)
        .block_size(lz4::BlockSize::Max64KB)
        .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
        .checksum(lz4::ContentChecksum::NoChecksum)
        .level(level.clamp(1, 17) as u32)
        .build(out)
}
