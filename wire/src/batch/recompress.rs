//! The same batch in another codec.

use super::header::{ATTRIBUTES_AT, CRC_AT};
use super::{Attributes, Batch, BatchHeader, HEADER_BYTES, Produced, RecordsError, checksum};
use crate::compression::{Codec, Compression, Decoder, Encoder};
use bytes::{Bytes, BytesMut};
use std::io::{self, Write};

/// As much as lies between the two codecs.
const BUFFER_BYTES: usize = 32 << 10;

#[derive(Debug, thiserror::Error)]
pub enum RecompressError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// RECORD_TOO_LARGE
    #[error("the record batch has more than {limit_bytes} bytes when it is stored as {codec}")]
    TooLarge {
        codec: &'static str,
        limit_bytes: usize,
    },
    #[error("{codec} cannot compress {bytes} bytes: {reason}")]
    Compress {
        codec: &'static str,
        bytes: usize,
        reason: io::Error,
    },
}

impl Batch {
    /// The batch with its records in `codec`, in at most `limit_bytes`. They were validated before, which told what they are:
    /// `produced`. Records stay as they are, byte for byte; neither side of them lies in memory as a whole.
    pub fn recompressed(
        &self,
        codec: Codec,
        produced: Produced,
        limit_bytes: usize,
    ) -> Result<Bytes, RecompressError> {
        let from = self.header.attributes.compression();
        let payload = &self.bytes[HEADER_BYTES..];
        let decoder = Decoder::new(from.map_err(RecordsError::Batch)?, payload, produced.bytes);
        let out = Bounded {
            bytes: BytesMut::zeroed(HEADER_BYTES),
            limit_bytes,
        };
        let mut out = transcode(
            decoder.map_err(RecordsError::Compression)?,
            codec,
            produced.bytes,
            out,
        )?;
        self.finish(codec.compression, &mut out);
        Ok(out.freeze())
    }

    fn finish(&self, compression: Compression, out: &mut BytesMut) {
        let attributes = self.header.attributes.0 & !Attributes::COMPRESSION;
        let header = BatchHeader {
            size_bytes: out.len(),
            attributes: Attributes(attributes | i16::from(compression.bits())),
            ..self.header
        };
        header.encode(out);
        let crc = checksum(out);
        out[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }
}

fn transcode(
    mut decoder: Decoder<'_>,
    codec: Codec,
    bytes: usize,
    out: Bounded,
) -> Result<BytesMut, RecompressError> {
    let limit_bytes = out.limit_bytes;
    let name = codec.compression.name();
    let fail = |reason: io::Error| match reason.kind() {
        io::ErrorKind::FileTooLarge => RecompressError::TooLarge {
            codec: name,
            limit_bytes,
        },
        _ => RecompressError::Compress {
            codec: name,
            bytes,
            reason,
        },
    };
    let mut encoder = Encoder::new(codec, bytes, out).map_err(fail)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match decoder
            .fill(&mut buffer)
            .map_err(RecordsError::Compression)?
        {
            0 => break,
            filled => encoder.write_all(&buffer[..filled]).map_err(fail)?,
        }
    }
    Ok(encoder.finish().map_err(fail)?.bytes)
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: BytesMut,
    limit_bytes: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit_bytes.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
