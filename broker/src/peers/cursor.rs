//! Bytes from another broker, read from the front. Nothing is believed of a length but that so many bytes are there.

use bytes::Bytes;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}: {problem}")]
pub struct Malformed {
    pub what: &'static str,
    pub problem: &'static str,
}

pub(super) fn malformed<T>(what: &'static str, problem: &'static str) -> Result<T, Malformed> {
    Err(Malformed { what, problem })
}

pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => malformed(what, "ends early"),
        }
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        malformed(what, "is longer than 64 bits")
    }

    /// A varint that counts things of at least `unit` bytes each, all of which are still to come.
    pub(super) fn count(&mut self, unit: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint(what)?).unwrap_or(usize::MAX);
        match count > self.rest.len() / unit.max(1) {
            true => malformed(what, "are more than there are bytes for"),
            false => Ok(count),
        }
    }
}

pub(super) fn put_varint(out: &mut impl bytes::BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// A part of a frame that may be kept for long. It shares the frame's memory only if it is most of it: else who keeps a
/// few bytes would keep the whole frame, and nobody would know.
pub(super) fn keep(frame: &Bytes, part: &[u8]) -> Bytes {
    match part.len() >= frame.len() / 2 && !part.is_empty() {
        true => frame.slice_ref(part),
        false => Bytes::copy_from_slice(part),
    }
}
