//! The codecs of a batch's records section, framed as Kafka's clients frame them.
//!
//! Decompression never yields, nor allocates, more than its caller's limit (and a codec's own fixed tables): a few kilobytes
//! on the wire can claim to be gigabytes.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};
use zstd::zstd_safe;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// From the three low bits of a batch's attributes.
    pub fn from_bits(bits: u8) -> Option<Compression> {
        Some(match bits {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => return None,
        })
    }

    pub fn bits(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// Kafka's name for it, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "{codec} data of {compressed_bytes} bytes exceeds {limit_bytes} bytes when decompressed"
    )]
    TooLarge {
        codec: &'static str,
        compressed_bytes: usize,
        limit_bytes: usize,
    },
    #[error("{codec} data of {compressed_bytes} bytes is malformed: {reason}")]
    Malformed {
        codec: &'static str,
        compressed_bytes: usize,
        reason: String,
    },
    #[error("{codec} cannot compress {bytes} bytes: {reason}")]
    Compress {
        codec: &'static str,
        bytes: usize,
        reason: String,
    },
}

/// Why a codec gave up; [`decompress`] adds which codec and how many bytes.
enum Fault {
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

/// At most `limit_bytes` of output. Uncompressed input is handed back as it is, under the same limit.
pub fn decompress(codec: Compression, bytes: &Bytes, limit_bytes: usize) -> Result<Bytes, Error> {
    let out = match codec {
        Compression::None if bytes.len() <= limit_bytes => return Ok(bytes.clone()),
        Compression::None => Err(Fault::TooLarge),
        Compression::Gzip => read_all(MultiGzDecoder::new(&bytes[..]), limit_bytes),
        Compression::Snappy => snappy::decompress(bytes, limit_bytes),
        Compression::Lz4 => lz4_decompress(bytes, limit_bytes),
        Compression::Zstd => zstd_decompress(bytes, limit_bytes),
    };
    let codec = codec.name();
    let compressed_bytes = bytes.len();
    out.map(Bytes::from).map_err(|fault| match fault {
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
    })
}

pub fn compress(codec: Compression, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let out = match codec {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip_compress(bytes),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => lz4_compress(bytes),
        Compression::Zstd => zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
    };
    out.map_err(|error| Error::Compress {
        codec: codec.name(),
        bytes: bytes.len(),
        reason: error.to_string(),
    })
}

fn read_all(reader: impl Read, limit_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let one_more = (limit_bytes as u64).saturating_add(1);
    reader.take(one_more).read_to_end(&mut out)?;
    if out.len() > limit_bytes {
        return Err(Fault::TooLarge);
    }
    Ok(out)
}

fn gzip_compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Java's clients read independent blocks only, and write 64 KiB ones.
fn lz4_compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let frame = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// One frame and nothing after it, as Java's clients read it.
fn lz4_decompress(bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut source = Source {
        bytes,
        starved: false,
    };
    let out = read_all(FrameDecoder::new(&mut source), limit_bytes)?;
    // The decoder takes a missing end mark for the end of the frame, but only then does it ask for bytes beyond the last.
    if source.starved {
        return Err(Fault::Malformed("the frame has no end".into()));
    }
    match source.bytes.len() {
        0 => Ok(out),
        stray => Err(Fault::Malformed(format!("{stray} bytes follow the frame"))),
    }
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

/// In one call rather than as a stream: a stream allocates the window that the frame's header claims, up to 128 MiB, and a
/// low limit on windows would refuse what producers at high levels send.
fn zstd_decompress(bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, Fault> {
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

/// Java's clients write snappy-java's framing: a header, then blocks, each a big-endian length and raw snappy. Others
/// write one raw block. Both are read.
mod snappy {
    use super::Fault;
    use std::io;

    const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
    /// Version 1, readable by version 1.
    const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
    const BLOCK: usize = 32 << 10;
    /// A snappy element of three bytes yields at most 64.
    const MAX_RATIO: usize = 32;

    pub(super) fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::from(MAGIC);
        out.extend(VERSIONS);
        let mut encoder = snap::raw::Encoder::new();
        for block in bytes.chunks(BLOCK) {
            let block = encoder.compress_vec(block)?;
            out.extend((block.len() as u32).to_be_bytes());
            out.extend(block);
        }
        Ok(out)
    }

    pub(super) fn decompress(bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, Fault> {
        let mut decoder = snap::raw::Decoder::new();
        let mut out = Vec::new();
        if !bytes.starts_with(&MAGIC) {
            append(&mut decoder, bytes, &mut out, limit_bytes)?;
            return Ok(out);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // Streams that were concatenated have a header in the middle.
            if let Some(after) = rest.strip_prefix(&MAGIC) {
                rest = after
                    .get(VERSIONS.len()..)
                    .ok_or_else(|| truncated(bytes, after))?;
                continue;
            }
            let (len, after) = rest
                .split_first_chunk()
                .ok_or_else(|| truncated(bytes, rest))?;
            let len = u32::from_be_bytes(*len) as usize;
            let (block, after) = after
                .split_at_checked(len)
                .ok_or_else(|| truncated(bytes, rest))?;
            append(&mut decoder, block, &mut out, limit_bytes)?;
            rest = after;
        }
        Ok(out)
    }

    fn truncated(bytes: &[u8], rest: &[u8]) -> Fault {
        let at = bytes.len() - rest.len();
        Fault::Malformed(format!("the bytes end inside the block at {at}"))
    }

    fn append(
        decoder: &mut snap::raw::Decoder,
        block: &[u8],
        out: &mut Vec<u8>,
        limit_bytes: usize,
    ) -> Result<(), Fault> {
        let len = snap::raw::decompress_len(block)?;
        if len > block.len().saturating_mul(MAX_RATIO) {
            return Err(Fault::Malformed(format!(
                "a block of {} bytes claims to hold {len}",
                block.len()
            )));
        }
        let start = out.len();
        if len > limit_bytes - start {
            return Err(Fault::TooLarge);
        }
        out.resize(start + len, 0);
        decoder.decompress(block, &mut out[start..])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn is_too_large(result: Result<Bytes, Error>) -> bool {
        matches!(result, Err(Error::TooLarge { .. }))
    }

    #[test]
    fn every_codec_keeps_its_bits() {
        for codec in CODECS {
            assert_eq!(Compression::from_bits(codec.bits()), Some(codec));
        }
        for bits in 5..=255 {
            assert_eq!(Compression::from_bits(bits), None);
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let data = vec![7; 100_000];
        for codec in CODECS {
            let packed = Bytes::from(compress(codec, &data).unwrap());
            assert_eq!(decompress(codec, &packed, data.len()).unwrap(), data);
            assert!(is_too_large(decompress(codec, &packed, data.len() - 1)));
            assert!(is_too_large(decompress(codec, &packed, 0)));
        }
    }

    #[test]
    fn a_stream_that_does_not_say_its_size_grows_up_to_the_limit() {
        let data = vec![7; 3 << 20];
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(&data).unwrap();
        let packed = Bytes::from(encoder.finish().unwrap());
        assert!(
            zstd_safe::get_frame_content_size(&packed)
                .unwrap()
                .is_none()
        );
        assert_eq!(
            decompress(Compression::Zstd, &packed, 3 << 20).unwrap(),
            data
        );
        assert!(is_too_large(decompress(
            Compression::Zstd,
            &packed,
            (3 << 20) - 1
        )));
        assert!(is_too_large(decompress(Compression::Zstd, &packed, 1)));
    }

    #[test]
    fn a_gibibyte_of_zeros_is_refused_at_the_limit() {
        const LIMIT: usize = 1 << 20;
        let chunk = vec![0; 1 << 20];
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut lz4 = FrameEncoder::with_frame_info(
            FrameInfo::new().block_size(BlockSize::Max4MB),
            Vec::new(),
        );
        let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..1024 {
            gzip.write_all(&chunk).unwrap();
            lz4.write_all(&chunk).unwrap();
            zstd.write_all(&chunk).unwrap();
        }
        let mut snappy = snappy::compress(&[]).unwrap();
        let block = snap::raw::Encoder::new().compress_vec(&chunk).unwrap();
        for _ in 0..1024 {
            snappy.extend((block.len() as u32).to_be_bytes());
            snappy.extend(&block);
        }
        for (codec, bomb) in [
            (Compression::Gzip, gzip.finish().unwrap()),
            (Compression::Lz4, lz4.finish().unwrap()),
            (Compression::Zstd, zstd.finish().unwrap()),
            (Compression::Snappy, snappy),
        ] {
            assert!(bomb.len() < 64 << 20, "{}: {}", codec.name(), bomb.len());
            assert!(
                is_too_large(decompress(codec, &Bytes::from(bomb), LIMIT)),
                "{}",
                codec.name()
            );
        }
    }

    #[test]
    fn a_snappy_block_that_claims_a_gibibyte_allocates_nothing() {
        // The length 2^30 as snappy writes it, then one literal byte.
        let block = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x04, 0x00, 0x61]);
        assert!(matches!(
            decompress(Compression::Snappy, &block, usize::MAX),
            Err(Error::Malformed { .. })
        ));
    }

    #[test]
    fn snappy_is_read_raw_framed_and_concatenated() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        let raw = Bytes::from(snap::raw::Encoder::new().compress_vec(&data).unwrap());
        assert_eq!(
            decompress(Compression::Snappy, &raw, data.len()).unwrap(),
            data
        );
        let (head, tail) = data.split_at(40_000);
        let mut framed = snappy::compress(head).unwrap();
        framed.extend(snappy::compress(tail).unwrap());
        let framed = Bytes::from(framed);
        assert_eq!(
            decompress(Compression::Snappy, &framed, data.len()).unwrap(),
            data
        );
    }

    #[test]
    fn an_lz4_frame_is_refused_without_its_end_and_with_more_after_it() {
        let mut packed = compress(Compression::Lz4, &[7; 1000]).unwrap();
        packed.push(0);
        let more = Bytes::from(packed);
        assert!(decompress(Compression::Lz4, &more, 1000).is_err());
        let end_mark = 4;
        let less = more.slice(..more.len() - 1 - end_mark);
        assert!(decompress(Compression::Lz4, &less, 1000).is_err());
    }

    #[test]
    fn nothing_compresses_to_something_and_back() {
        for codec in CODECS {
            let packed = Bytes::from(compress(codec, &[]).unwrap());
            assert_eq!(
                decompress(codec, &packed, 0).unwrap(),
                Bytes::new(),
                "{}",
                codec.name()
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_decompressed(data in prop::collection::vec(0u8..4, 0..5000)) {
            for codec in CODECS {
                let packed = Bytes::from(compress(codec, &data).unwrap());
                prop_assert_eq!(&decompress(codec, &packed, data.len()).unwrap()[..], &data[..]);
            }
        }

        #[test]
        fn a_cut_anywhere_is_noticed(data in prop::collection::vec(any::<u8>(), 1..300)) {
            for codec in CODECS.into_iter().skip(1) {
                let packed = Bytes::from(compress(codec, &data).unwrap());
                for len in 0..packed.len() {
                    // A framed snappy stream has no end: cut between blocks it is whole, and the record count tells.
                    let cut = decompress(codec, &packed.slice(..len), data.len());
                    prop_assert!(cut.is_err() || cut.unwrap().len() < data.len(), "{} cut at {}", codec.name(), len);
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..300), bits in 0u8..5) {
            let codec = Compression::from_bits(bits).unwrap();
            if let Ok(out) = decompress(codec, &Bytes::from(data), 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
