//! The records section of a batch, uncompressed: each record is a length and that many bytes of fields.

use crate::varint;
use bytes::{BufMut, Bytes, BytesMut};
use std::ops::Range;

/// The least a record takes: its length, attributes, two deltas, no key, no value, no headers.
pub const MIN_RECORD_BYTES: usize = 7;

/// One record, its fields shared with the bytes that it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Unused by Kafka, kept as it came.
    pub attributes: i8,
    /// Relative to the batch's base timestamp, modulo 2^64.
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Headers,
}

/// A record's headers, in order and with duplicates, as they lie on the wire: a header of two bytes must not cost sixty in
/// memory, and log compaction copies them unread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    count: u32,
    /// Checked when it was made: exactly `count` headers.
    bytes: Bytes,
}

/// A record that cannot be read. Positions count from the start of the records section, after decompression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} at byte {position}: {fault}")]
pub struct Error {
    pub index: u32,
    pub position: usize,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Varint(#[from] varint::Error),
    #[error("its {field} claims {claimed} bytes, {remaining} remain")]
    Truncated {
        field: &'static str,
        claimed: usize,
        remaining: usize,
    },
    #[error("its {field} is negative: {value}")]
    Negative { field: &'static str, value: i32 },
    #[error("it claims {claimed} headers in {remaining} bytes")]
    TooManyHeaders { claimed: u32, remaining: usize },
    #[error("{bytes} bytes of it are no field")]
    Stray { bytes: usize },
    #[error("{bytes} bytes follow the last record")]
    StrayAfterLast { bytes: usize },
}

impl Record {
    /// Appends the record's bytes. A batch of more than `i32::MAX` bytes is refused by its builder.
    pub fn encode(&self, out: &mut BytesMut) {
        let body = self.body_len();
        out.reserve(varint::encoded_len(body as i64) + body);
        varint::put(out, body as i64);
        out.put_i8(self.attributes);
        varint::put(out, self.timestamp_delta);
        varint::put(out, i64::from(self.offset_delta));
        put_optional(out, self.key.as_deref());
        put_optional(out, self.value.as_deref());
        varint::put(out, i64::from(self.headers.count));
        out.put_slice(&self.headers.bytes);
    }

    fn body_len(&self) -> usize {
        1 + varint::encoded_len(self.timestamp_delta)
            + varint::encoded_len(i64::from(self.offset_delta))
            + optional_len(self.key.as_deref())
            + optional_len(self.value.as_deref())
            + varint::encoded_len(i64::from(self.headers.count))
            + self.headers.bytes.len()
    }

    /// Reads the record that starts at `at`, and says where the next one does.
    fn decode(bytes: &Bytes, at: usize) -> Result<(Record, usize), Fault> {
        let mut cursor = Cursor {
            bytes,
            at,
            end: bytes.len(),
        };
        let body = cursor.length("length")?;
        let body = cursor.take("length", body)?;
        cursor = Cursor {
            bytes,
            at: body.start,
            end: body.end,
        };
        let attributes = cursor.take("attributes", 1)?;
        let record = Record {
            attributes: bytes[attributes.start] as i8,
            timestamp_delta: cursor.i64()?,
            offset_delta: cursor.i32()?,
            key: cursor.optional("key")?.map(|range| bytes.slice(range)),
            value: cursor.optional("value")?.map(|range| bytes.slice(range)),
            headers: cursor.headers()?,
        };
        match cursor.end - cursor.at {
            0 => Ok((record, cursor.end)),
            stray => Err(Fault::Stray { bytes: stray }),
        }
    }
}

impl Headers {
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + '_ {
        let mut cursor = Cursor {
            bytes: &self.bytes,
            at: 0,
            end: self.bytes.len(),
        };
        (0..self.count).map_while(move |_| {
            let (key, value) = cursor.header().ok()?;
            Some((
                self.bytes.slice(key),
                value.map(|range| self.bytes.slice(range)),
            ))
        })
    }
}

impl FromIterator<(Bytes, Option<Bytes>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Bytes, Option<Bytes>)>>(headers: I) -> Headers {
        let mut out = BytesMut::new();
        let mut count = 0;
        for (key, value) in headers {
            put_optional(&mut out, Some(&key));
            put_optional(&mut out, value.as_deref());
            count += 1;
        }
        Headers {
            count,
            bytes: out.freeze(),
        }
    }
}

/// Reads the `count` records of an uncompressed section; the first error is the last item. What follows the last record is
/// an error too.
#[derive(Clone, Debug)]
pub struct Records {
    bytes: Bytes,
    at: usize,
    index: u32,
    count: u32,
}

impl Records {
    pub fn new(bytes: Bytes, count: u32) -> Records {
        Records {
            bytes,
            at: 0,
            index: 0,
            count,
        }
    }

    fn fail(&mut self, fault: Fault) -> Error {
        let error = Error {
            index: self.index,
            position: self.at,
            fault,
        };
        self.at = self.bytes.len();
        self.index = self.count;
        error
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            let stray = self.bytes.len() - self.at;
            return (stray > 0).then(|| Err(self.fail(Fault::StrayAfterLast { bytes: stray })));
        }
        Some(match Record::decode(&self.bytes, self.at) {
            Ok((record, next)) => {
                self.at = next;
                self.index += 1;
                Ok(record)
            }
            Err(fault) => Err(self.fail(fault)),
        })
    }
}

/// `at <= end <= bytes.len()`
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn i32(&mut self) -> Result<i32, Fault> {
        let mut rest = &self.bytes[self.at..self.end];
        let value = varint::get_i32(&mut rest)?;
        self.at = self.end - rest.len();
        Ok(value)
    }

    fn i64(&mut self) -> Result<i64, Fault> {
        let mut rest = &self.bytes[self.at..self.end];
        let value = varint::get_i64(&mut rest)?;
        self.at = self.end - rest.len();
        Ok(value)
    }

    fn length(&mut self, field: &'static str) -> Result<usize, Fault> {
        let value = self.i32()?;
        usize::try_from(value).map_err(|_| Fault::Negative { field, value })
    }

    fn take(&mut self, field: &'static str, claimed: usize) -> Result<Range<usize>, Fault> {
        let remaining = self.end - self.at;
        if claimed > remaining {
            return Err(Fault::Truncated {
                field,
                claimed,
                remaining,
            });
        }
        let start = self.at;
        self.at += claimed;
        Ok(start..self.at)
    }

    /// Any negative length is null, as Kafka reads it; -1 is what everyone writes.
    fn optional(&mut self, field: &'static str) -> Result<Option<Range<usize>>, Fault> {
        match usize::try_from(self.i32()?) {
            Ok(length) => Ok(Some(self.take(field, length)?)),
            Err(_) => Ok(None),
        }
    }

    fn header(&mut self) -> Result<(Range<usize>, Option<Range<usize>>), Fault> {
        let key = self.length("header key")?;
        let key = self.take("header key", key)?;
        Ok((key, self.optional("header value")?))
    }

    fn headers(&mut self) -> Result<Headers, Fault> {
        let claimed = self.length("header count")? as u32;
        let remaining = self.end - self.at;
        if claimed as usize > remaining / 2 {
            return Err(Fault::TooManyHeaders { claimed, remaining });
        }
        let start = self.at;
        for _ in 0..claimed {
            self.header()?;
        }
        Ok(Headers {
            count: claimed,
            bytes: self.bytes.slice(start..self.at),
        })
    }
}

fn put_optional(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            varint::put(out, field.len() as i64);
            out.put_slice(field);
        }
        None => varint::put(out, -1),
    }
}

fn optional_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| {
        varint::encoded_len(field.len() as i64) + field.len()
    })
}
