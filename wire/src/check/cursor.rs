//! Reads the primitives of the protocol from a slice, each checked against what remains. Allocates nothing.

use super::Problem;
use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, position: 0 }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let remaining = &self.bytes[self.position..];
        let taken = remaining.get(..count).ok_or(Problem::Truncated {
            needed: count,
            remaining: remaining.len(),
        })?;
        self.position += count;
        Ok(taken)
    }

    /// Ends after `size` bytes more, until [`Cursor::widen`] is given what this returns.
    pub(super) fn narrow(&mut self, size: usize) -> Result<&'a [u8], Problem> {
        let outer = self.bytes;
        let start = self.position;
        self.take(size)?;
        self.bytes = &outer[..self.position];
        self.position = start;
        Ok(outer)
    }

    pub(super) fn widen(&mut self, outer: &'a [u8]) {
        self.bytes = outer;
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Problem> {
        Ok(self.array::<1>()?[0])
    }

    pub fn i16(&mut self) -> Result<i16, Problem> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Problem> {
        self.array().map(i32::from_be_bytes)
    }

    /// Seven bits a byte, the low ones first. The fifth byte has four bits left.
    pub fn varint(&mut self) -> Result<u32, Problem> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        match self.u8()? {
            last @ 0..=0x0f => Ok(value | u32::from(last) << 28),
            _ => Err(Problem::LongVarint),
        }
    }

    /// The range of a nullable string whose length has two bytes.
    pub fn short_string(&mut self) -> Result<Option<Range<usize>>, Problem> {
        let length = match self.i16()? {
            -1 => return Ok(None),
            length => {
                usize::try_from(length).map_err(|_| Problem::NegativeLength(i32::from(length)))?
            }
        };
        let start = self.position;
        self.take(length)?;
        Ok(Some(start..self.position))
    }

    /// Tagged fields of which none is known here, as in headers. Their number is bounded by their two bytes at least.
    pub fn skip_tagged_fields(&mut self) -> Result<(), Problem> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.take(size as usize)?;
        }
        Ok(())
    }
}
