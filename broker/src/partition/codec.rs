//! Reading the bytes of a partition's snapshot: big-endian, every length checked against what remains.

use bytes::Buf;

/// Why a snapshot was not believed. `position` counts bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{field} at byte {position} needs {needed} bytes, but {remaining} remain")]
    Short {
        field: &'static str,
        position: usize,
        needed: u64,
        remaining: usize,
    },
    #[error("{what} has version {found}, this broker knows version {known}")]
    Version {
        what: &'static str,
        found: u8,
        known: u8,
    },
    #[error("checksum is {stored:#010x}, but the bytes have {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("{field} at byte {position} is {value}: {why}")]
    Invalid {
        field: &'static str,
        position: usize,
        value: i64,
        why: &'static str,
    },
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    len: usize,
}

macro_rules! fixed {
    ($name:ident, $get:ident, $type:ty) => {
        pub(super) fn $name(&mut self, field: &'static str) -> Result<$type, DecodeError> {
            self.need(field, size_of::<$type>() as u64)?;
            Ok(self.bytes.$get())
        }
    };
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            bytes,
            len: bytes.len(),
        }
    }

    pub(super) fn position(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn need(&self, field: &'static str, needed: u64) -> Result<(), DecodeError> {
        if (self.bytes.len() as u64) < needed {
            return Err(DecodeError::Short {
                field,
                position: self.position(),
                needed,
                remaining: self.bytes.len(),
            });
        }
        Ok(())
    }

    fixed!(u8, get_u8, u8);
    fixed!(i16, get_i16, i16);
    fixed!(i32, get_i32, i32);
    fixed!(u32, get_u32, u32);
    fixed!(i64, get_i64, i64);

    /// A count of things that occupy at least `each` bytes; refused unless that many bytes remain.
    pub(super) fn count(&mut self, field: &'static str, each: usize) -> Result<usize, DecodeError> {
        let count = self.u32(field)?;
        self.need(field, u64::from(count) * each as u64)?;
        Ok(count as usize)
    }

    pub(super) fn version(&mut self, what: &'static str, known: u8) -> Result<(), DecodeError> {
        let found = self.u8(what)?;
        if found != known {
            return Err(DecodeError::Version { what, found, known });
        }
        Ok(())
    }

    pub(super) fn invalid(
        &self,
        field: &'static str,
        value: i64,
        why: &'static str,
    ) -> DecodeError {
        DecodeError::Invalid {
            field,
            position: self.position(),
            value,
            why,
        }
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if !self.bytes.is_empty() {
            return Err(self.invalid(
                "bytes after the end",
                self.bytes.len() as i64,
                "nothing may follow",
            ));
        }
        Ok(())
    }
}

/// The number of elements as it is written in front of them.
pub(super) fn count_of(len: usize) -> u32 {
    u32::try_from(len).expect("a partition holds fewer than 2^32 producers, epochs and aborts")
}
