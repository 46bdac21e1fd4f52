//! Looks at every record of a section without keeping any: nothing is allocated for a record, and of compressed bytes only
//! a buffer is decompressed at a time.
//!
//! What it takes for a record is what [`crate::record::Records`] does.

use crate::batch::{BatchHeader, RecordsError};
use crate::compression::Decoder;
use crate::record::{self, Fault};
use crate::varint;

/// As much as is decompressed at once.
const BUFFER_BYTES: usize = 32 << 10;

/// What is worth knowing of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub index: u32,
    pub offset_delta: i32,
    pub timestamp_ms: i64,
    pub has_key: bool,
}

/// Calls `see` with every record of a section, in order, until it refuses one. Answers with the bytes of the section.
pub(crate) fn walk<S: Source, E: From<RecordsError>>(
    source: &mut S,
    header: &BatchHeader,
    mut see: impl FnMut(Glance) -> Result<(), E>,
) -> Result<usize, E> {
    for index in 0..header.record_count {
        let position = source.position();
        let glance = glance(source, header, index).map_err(|halt| halt.at(index, position))?;
        see(glance)?;
    }
    let position = source.position();
    let stray = source
        .rest()
        .map_err(|halt| halt.at(header.record_count, position))?;
    match stray {
        0 => Ok(position),
        bytes => {
            let fault = Halt::Fault(Fault::StrayAfterLast { bytes });
            Err(fault.at(header.record_count, position).into())
        }
    }
}

fn glance<S: Source>(source: &mut S, header: &BatchHeader, index: u32) -> Result<Glance, Halt> {
    let length = varint::read_i32(|| source.byte())?;
    let left = usize::try_from(length).map_err(|_| Fault::Negative {
        field: "length",
        value: length,
    })?;
    source.expect(left)?;
    let mut body = Body { source, left };
    body.skip("attributes", 1)?;
    let timestamp_delta = varint::read_i64(|| body.byte())?;
    let offset_delta = varint::read_i32(|| body.byte())?;
    let has_key = body.optional("key")?;
    body.optional("value")?;
    body.headers()?;
    match body.left {
        0 => Ok(Glance {
            index,
            offset_delta,
            timestamp_ms: header.timestamp_of(timestamp_delta),
            has_key,
        }),
        bytes => Err(Fault::Stray { bytes }.into()),
    }
}

/// What is left of one record.
struct Body<'s, S> {
    source: &'s mut S,
    left: usize,
}

impl<S: Source> Body<'_, S> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Halt> {
        self.left = self.left.checked_sub(1).ok_or(varint::Error::Truncated)?;
        self.source.byte()
    }

    fn skip(&mut self, field: &'static str, claimed: usize) -> Result<(), Halt> {
        let remaining = self.left;
        self.left = remaining.checked_sub(claimed).ok_or(Fault::Truncated {
            field,
            claimed,
            remaining,
        })?;
        self.source.skip(field, claimed)
    }

    fn length(&mut self, field: &'static str) -> Result<usize, Halt> {
        let value = varint::read_i32(|| self.byte())?;
        usize::try_from(value).map_err(|_| Fault::Negative { field, value }.into())
    }

    /// Whether there is one.
    fn optional(&mut self, field: &'static str) -> Result<bool, Halt> {
        let length = varint::read_i32(|| self.byte())?;
        match usize::try_from(length) {
            Ok(length) => self.skip(field, length).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn headers(&mut self) -> Result<(), Halt> {
        let claimed = self.length("header count")? as u32;
        let remaining = self.left;
        if claimed as usize > remaining / 2 {
            return Err(Fault::TooManyHeaders { claimed, remaining }.into());
        }
        for _ in 0..claimed {
            let key = self.length("header key")?;
            self.skip("header key", key)?;
            self.optional("header value")?;
        }
        Ok(())
    }
}

/// Why a walk ends early.
pub(crate) enum Halt {
    Fault(Fault),
    Compression(crate::compression::Error),
}

impl Halt {
    fn at(self, index: u32, position: usize) -> RecordsError {
        match self {
            Halt::Fault(fault) => RecordsError::Record(record::Error {
                index,
                position,
                fault,
            }),
            Halt::Compression(error) => RecordsError::Compression(error),
        }
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Fault(fault)
    }
}

impl From<varint::Error> for Halt {
    fn from(error: varint::Error) -> Halt {
        Halt::Fault(error.into())
    }
}

impl From<crate::compression::Error> for Halt {
    fn from(error: crate::compression::Error) -> Halt {
        Halt::Compression(error)
    }
}

/// Bytes that are read once, from front to end.
pub(crate) trait Source {
    fn byte(&mut self) -> Result<u8, Halt>;
    fn skip(&mut self, field: &'static str, bytes: usize) -> Result<(), Halt>;
    /// Fails when a record of so many bytes cannot come any more, if that is known.
    fn expect(&self, bytes: usize) -> Result<(), Halt>;
    fn position(&self) -> usize;
    /// How much there is yet, or at least that there is some.
    fn rest(&mut self) -> Result<usize, Halt>;
}

/// A section that lies in memory.
pub(crate) struct Section<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Section<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Section<'a> {
        Section { bytes, at: 0 }
    }
}

impl Source for Section<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Halt> {
        let byte = self.bytes.get(self.at).ok_or(varint::Error::Truncated)?;
        self.at += 1;
        Ok(*byte)
    }

    #[inline]
    fn skip(&mut self, field: &'static str, claimed: usize) -> Result<(), Halt> {
        let remaining = self.bytes.len() - self.at;
        if claimed > remaining {
            return Err(Fault::Truncated {
                field,
                claimed,
                remaining,
            }
            .into());
        }
        self.at += claimed;
        Ok(())
    }

    fn expect(&self, claimed: usize) -> Result<(), Halt> {
        let remaining = self.bytes.len() - self.at;
        match claimed <= remaining {
            true => Ok(()),
            false => Err(Fault::Truncated {
                field: "length",
                claimed,
                remaining,
            }
            .into()),
        }
    }

    fn position(&self) -> usize {
        self.at
    }

    fn rest(&mut self) -> Result<usize, Halt> {
        Ok(self.bytes.len() - self.at)
    }
}

/// A section as it is decompressed.
pub(crate) struct Stream<'a> {
    decoder: Decoder<'a>,
    buffer: Box<[u8]>,
    /// `at <= end <= buffer.len()`
    at: usize,
    end: usize,
    /// Bytes that were in the buffer before.
    passed: usize,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(decoder: Decoder<'a>) -> Stream<'a> {
        Stream {
            decoder,
            buffer: vec![0; BUFFER_BYTES].into(),
            at: 0,
            end: 0,
            passed: 0,
        }
    }

    /// Whether there are further bytes; called when the buffer is used up.
    #[cold]
    fn refill(&mut self) -> Result<bool, Halt> {
        self.passed += self.end;
        (self.at, self.end) = (0, 0);
        self.end = self.decoder.fill(&mut self.buffer)?;
        Ok(self.end > 0)
    }
}

impl Source for Stream<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Halt> {
        if self.at == self.end && !self.refill()? {
            return Err(varint::Error::Truncated.into());
        }
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    fn skip(&mut self, field: &'static str, claimed: usize) -> Result<(), Halt> {
        let mut left = claimed;
        loop {
            let here = left.min(self.end - self.at);
            self.at += here;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            if !self.refill()? {
                return Err(Fault::Truncated {
                    field,
                    claimed,
                    remaining: claimed - left,
                }
                .into());
            }
        }
    }

    fn expect(&self, _bytes: usize) -> Result<(), Halt> {
        Ok(())
    }

    fn position(&self) -> usize {
        self.passed + self.at
    }

    fn rest(&mut self) -> Result<usize, Halt> {
        if self.at == self.end {
            self.refill()?;
        }
        Ok(self.end - self.at)
    }
}
