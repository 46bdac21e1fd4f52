//! Java's clients write snappy-java's framing: a header, then blocks, each a big-endian length and raw snappy. Others write
//! one raw block. Both are read.

use super::decoder::Fault;
use std::io::{self, Write};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Version 1, readable by version 1.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const BLOCK: usize = 32 << 10;
/// A snappy element of three bytes yields at most 64.
const MAX_RATIO: usize = 32;

/// A block is decompressed whole: that is how snappy works.
pub(super) struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    is_framed: bool,
    decoder: snap::raw::Decoder,
    block: Vec<u8>,
    /// How much of the block was given.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            all: bytes,
            rest: bytes,
            is_framed: bytes.starts_with(&MAGIC),
            decoder: snap::raw::Decoder::new(),
            block: Vec::new(),
            at: 0,
        }
    }

    /// What the largest block may take; the first block that cannot be is the last that is looked at.
    pub(super) fn memory_bytes(bytes: &'a [u8]) -> usize {
        let mut reader = Reader::new(bytes);
        let mut most = 0;
        while let Ok(Some(block)) = reader.next_block() {
            match claimed(block) {
                Ok(bytes) => most = most.max(bytes),
                Err(_) => break,
            }
        }
        most
    }

    /// Fills `out` from the front as far as one block goes; `left` is what may come in all.
    pub(super) fn read(&mut self, out: &mut [u8], left: usize) -> Result<usize, Fault> {
        while self.at == self.block.len() {
            let Some(block) = self.next_block()? else {
                return Ok(0);
            };
            let bytes = claimed(block)?;
            if bytes > left {
                return Err(Fault::TooLarge);
            }
            self.block.resize(bytes, 0);
            self.at = 0;
            self.decoder.decompress(block, &mut self.block)?;
        }
        let given = out.len().min(self.block.len() - self.at);
        out[..given].copy_from_slice(&self.block[self.at..self.at + given]);
        self.at += given;
        Ok(given)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if !self.is_framed {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        // Streams that were concatenated have a header in the middle.
        while let Some(after) = self.rest.strip_prefix(&MAGIC) {
            let after = after.get(VERSIONS.len()..);
            self.rest = after.ok_or_else(|| self.truncated())?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.truncated())?;
        let (block, after) = after
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or_else(|| self.truncated())?;
        self.rest = after;
        Ok(Some(block))
    }

    fn truncated(&self) -> Fault {
        let at = self.all.len() - self.rest.len();
        Fault::Malformed(format!("the bytes end inside the block at {at}"))
    }
}

/// What a block says it holds, if it can.
fn claimed(block: &[u8]) -> Result<usize, Fault> {
    let claimed = snap::raw::decompress_len(block)?;
    if claimed > block.len().saturating_mul(MAX_RATIO) {
        return Err(Fault::Malformed(format!(
            "a block of {} bytes claims to hold {claimed}",
            block.len()
        )));
    }
    Ok(claimed)
}

/// Writes snappy-java's framing.
pub(super) struct Writer<W> {
    out: W,
    encoder: snap::raw::Encoder,
    /// Less than a block.
    waiting: Vec<u8>,
    has_begun: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Writer<W> {
        Writer {
            out,
            encoder: snap::raw::Encoder::new(),
            waiting: Vec::with_capacity(BLOCK),
            has_begun: false,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.out.write_all(&MAGIC)?;
            self.out.write_all(&VERSIONS)?;
        }
        Ok(())
    }

    fn block(&mut self) -> io::Result<()> {
        self.begin()?;
        let block = self.encoder.compress_vec(&self.waiting)?;
        self.waiting.clear();
        self.out.write_all(&(block.len() as u32).to_be_bytes())?;
        self.out.write_all(&block)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.begin()?;
        if !self.waiting.is_empty() {
            self.block()?;
        }
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        if self.waiting.len() == BLOCK {
            self.block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
