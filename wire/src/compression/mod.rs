//! The codecs of a batch's records section, framed as Kafka's clients frame them.
//!
//! Decompression never yields, nor allocates, more than its caller's limit (and a codec's own fixed tables): a few kilobytes
//! on the wire can claim to be gigabytes. [`Decoder`] yields a buffer at a time, and [`decoder_memory_bytes`] says beforehand
//! what it will hold.

mod decoder;
mod encoder;
mod snappy;

pub use decoder::{Decoder, decoder_memory_bytes};
pub use encoder::{Codec, Encoder};

use bytes::Bytes;
use std::io::{self, Write as _};

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

/// At most `limit_bytes` of output. Uncompressed input is handed back as it is, under the same limit.
pub fn decompress(codec: Compression, bytes: &Bytes, limit_bytes: usize) -> Result<Bytes, Error> {
    let decoder = match codec {
        Compression::None if bytes.len() <= limit_bytes => return Ok(bytes.clone()),
        Compression::Zstd => {
            return decoder::zstd_decompress(bytes, limit_bytes)
                .map(Bytes::from)
                .map_err(|fault| fault.of(codec, bytes.len(), limit_bytes));
        }
        _ => Decoder::new(codec, bytes, limit_bytes)?,
    };
    decoder.read_all().map(Bytes::from)
}

pub fn compress(codec: Compression, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    compress_at(codec.into(), bytes).map_err(|error| Error::Compress {
        codec: codec.name(),
        bytes: bytes.len(),
        reason: error.to_string(),
    })
}

fn compress_at(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(codec, bytes.len(), Vec::new())?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::write::GzEncoder;
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    use proptest::prelude::*;
    use zstd::zstd_safe;

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
        let mut snappy = compress(Compression::Snappy, &[]).unwrap();
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
            let streamed = stepwise(codec, &bomb, LIMIT, 1 << 10);
            assert!(
                matches!(streamed, Err(Error::TooLarge { .. })),
                "{}",
                codec.name()
            );
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
        let mut framed = compress(Compression::Snappy, head).unwrap();
        framed.extend(compress(Compression::Snappy, tail).unwrap());
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

    /// All that a decoder gives, `step` bytes at a time.
    fn stepwise(
        codec: Compression,
        bytes: &[u8],
        limit_bytes: usize,
        step: usize,
    ) -> Result<Vec<u8>, Error> {
        let mut decoder = Decoder::new(codec, bytes, limit_bytes)?;
        let (mut out, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match decoder.fill(&mut buffer)? {
                0 => return Ok(out),
                given => out.extend_from_slice(&buffer[..given]),
            }
        }
    }

    #[test]
    fn levels_are_obeyed_and_read_by_everyone() {
        // Words in an order that does not repeat: what a match finder has to search for.
        let mut state = 1_u32;
        let mut data = Vec::new();
        while data.len() < 200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let word = format!("{:x} ", (state >> 16) % 700 * 7919);
            data.extend_from_slice(word.as_bytes());
        }
        let size = |compression, level| {
            let packed = compress_at(Codec { compression, level }, &data).unwrap();
            let packed = Bytes::from(packed);
            let back = decompress(compression, &packed, data.len()).unwrap();
            assert!(back == data, "{} at {level:?}", compression.name());
            packed.len()
        };
        for (codec, low, high) in [
            (Compression::Gzip, 1, 9),
            (Compression::Lz4, 1, 12),
            (Compression::Zstd, -50, 19),
        ] {
            let (low, high) = (size(codec, Some(low)), size(codec, Some(high)));
            assert!(high < low, "{}: {high} and {low}", codec.name());
        }
        assert!(size(Compression::Lz4, Some(17)) <= size(Compression::Lz4, Some(4)));
        assert_eq!(
            size(Compression::Lz4, Some(9)),
            size(Compression::Lz4, None),
            "Kafka's default"
        );
        assert_eq!(
            size(Compression::Gzip, Some(6)),
            size(Compression::Gzip, None)
        );
        assert_eq!(
            size(Compression::Zstd, Some(3)),
            size(Compression::Zstd, None)
        );
    }

    #[test]
    fn what_a_decoder_takes_is_known_from_the_first_bytes() {
        let zeros = vec![0; 300_000];
        let packed = |codec| compress(codec, &zeros).unwrap();
        let memory = |codec, bytes: &[u8]| decoder_memory_bytes(codec, bytes);
        assert_eq!(memory(Compression::None, &zeros), 0);
        assert_eq!(
            memory(Compression::Gzip, &packed(Compression::Gzip)),
            64 << 10
        );
        assert_eq!(
            memory(Compression::Snappy, &packed(Compression::Snappy)),
            32 << 10
        );
        let raw = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(memory(Compression::Snappy, &raw), 300_000);
        assert_eq!(
            memory(Compression::Lz4, &packed(Compression::Lz4)),
            4 * (64 << 10)
        );
        let large = FrameInfo::new().block_size(BlockSize::Max4MB);
        let mut large = FrameEncoder::with_frame_info(large, Vec::new());
        large.write_all(&zeros).unwrap();
        let large = large.finish().unwrap();
        assert_eq!(memory(Compression::Lz4, &large), (12 << 20) + (64 << 10));
        let known = memory(Compression::Zstd, &packed(Compression::Zstd));
        assert_eq!(known, 300_000 + (512 << 10));
        let mut stream = zstd::Encoder::new(Vec::new(), 22).unwrap();
        stream.write_all(&zeros).unwrap();
        let stream = stream.finish().unwrap();
        assert_eq!(
            memory(Compression::Zstd, &stream),
            (128 << 20) + (512 << 10)
        );
        assert!(stepwise(Compression::Zstd, &stream, 300_000, 100).unwrap() == zeros);
    }

    #[test]
    fn a_later_frame_has_no_larger_window_than_the_first() {
        let frame = |level| {
            let mut stream = zstd::Encoder::new(Vec::new(), level).unwrap();
            stream.write_all(&vec![0; 100_000]).unwrap();
            stream.finish().unwrap()
        };
        let alike = [frame(3), frame(3)].concat();
        assert_eq!(
            stepwise(Compression::Zstd, &alike, 200_000, 1000)
                .unwrap()
                .len(),
            200_000
        );
        let larger = [frame(3), frame(22)].concat();
        assert!(matches!(
            stepwise(Compression::Zstd, &larger, 200_000, 1000),
            Err(Error::Malformed { .. })
        ));
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
                prop_assert_eq!(&stepwise(codec, &packed, data.len(), 7).unwrap()[..], &data[..]);
                if !data.is_empty() {
                    let less = stepwise(codec, &packed, data.len() - 1, 7);
                    let is_too_large = matches!(less, Err(Error::TooLarge { .. }));
                    prop_assert!(is_too_large, "{}", codec.name());
                }
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
            decoder_memory_bytes(codec, &data);
            if let Ok(out) = stepwise(codec, &data, 1000, 64) {
                prop_assert!(out.len() <= 1000);
            }
            if let Ok(out) = decompress(codec, &Bytes::from(data), 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
