//! Verifies the bytes of a message against Kafka's schema before anything is allocated for them.
//!
//! The decoders allocate by the counts that they read. So this comes before them, walks once over the body, allocates
//! nothing, and lets pass only what is a whole message of its version: each length within the bytes that remain (an
//! array's by the least size of its elements), strings in UTF-8, nulls where the version has them, tagged fields of exactly
//! the size they say and in ascending order, no more of anything than Kafka takes itself, and after an answer nothing
//! left over.
//!
//! What passes can still grow when it is decoded: an element of two bytes may become a structure of a hundred. The walk adds
//! up what the structures will need and stops at [`decoded_limit_bytes`]. Strings and bytes need nothing: they share the
//! body's memory. Neither do records, which are passed over.
//!
//! **Architecture invariant:** there is no other way from bytes to a message than through here (`codec`).

mod cursor;
mod schema;

pub(crate) use cursor::Cursor;

use crate::{ApiKey, Error};
use schema::{Field, Kind, Message, Structure};

/// What is wrong with a field's bytes. Read after the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("needs {needed} bytes, and {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("has a variable-length integer of more than 32 bits")]
    LongVarint,
    #[error("has length {0}: lengths are not negative")]
    NegativeLength(i32),
    #[error("has {count} elements of {min_bytes} bytes at least, and {remaining} remain")]
    LongArray {
        count: usize,
        min_bytes: usize,
        remaining: usize,
    },
    #[error("has length {length}: Kafka 4.4 takes {limit} at most")]
    OverLimit { length: usize, limit: usize },
    #[error("is null, which it must not be in this version")]
    Null,
    #[error("is not valid UTF-8")]
    NotUtf8,
    #[error("is a structure that is neither there (1) nor null (-1), but {0}")]
    Presence(i8),
    #[error("follow one another with tag {0}, which is not greater than the one before")]
    TagOrder(u32),
    #[error("have tag {0}: it is at most 2147483647")]
    TagRange(u32),
    #[error("has tag {0}, which this version does not have")]
    TagVersion(u32),
    #[error("says a size that is {0} bytes more than it needs")]
    TagSize(usize),
    #[error("would need more than {limit} bytes of memory together with what is before it")]
    Memory { limit: usize },
    #[error("is followed by {0} bytes")]
    Trailing(usize),
}

// What Kafka 4.4's own decoders take at most, whatever the bytes that remain (`MessageUtil`).
const MAX_ARRAY_LENGTH: usize = 1_000_000;
const MAX_TAGGED_FIELDS: usize = 10_000;
const MAX_STRING_BYTES: usize = i16::MAX as usize;

fn within(length: usize, limit: usize) -> Result<usize, Problem> {
    if length > limit {
        return Err(Problem::OverLimit { length, limit });
    }
    Ok(length)
}

/// How much memory the structures of a message may need whose body has so many bytes: sixteen times as many and 4 MiB, but
/// never more than 256 MiB. Of honest messages few need more than five times their bytes; names of a handful of letters, alone
/// in their structures, can need twelve.
pub fn decoded_limit_bytes(body_bytes: usize) -> usize {
    const BASE_BYTES: usize = 4 << 20;
    const GROWTH: usize = 16;
    const MAX_BYTES: usize = 256 << 20;
    body_bytes
        .saturating_mul(GROWTH)
        .saturating_add(BASE_BYTES)
        .min(MAX_BYTES)
}

/// What an unknown tagged field needs in its map: the first one brings the map's first node.
const FIRST_UNKNOWN_TAG_BYTES: usize = 448;
const NEXT_UNKNOWN_TAG_BYTES: usize = 96;

/// An element of an array of strings or bytes: a handle on the body's memory, which is optional at most.
const HANDLE_BYTES: usize = size_of::<Option<bytes::Bytes>>();

/// How many of the bytes are a request of this api and version. What follows it means nothing: Kafka passes over it, and
/// librdkafka's request for the metadata of all topics (version 9 and later) has three bytes too many.
pub fn request(api: ApiKey, version: i16, body: &[u8]) -> Result<usize, Error> {
    message(&schema::REQUESTS[api as usize], api, version, body, false)
}

/// Whether the bytes are a whole answer of this api and version.
pub fn response(api: ApiKey, version: i16, body: &[u8]) -> Result<(), Error> {
    message(&schema::RESPONSES[api as usize], api, version, body, true).map(|_| ())
}

fn message(
    message: &Message,
    api: ApiKey,
    version: i16,
    body: &[u8],
    is_whole: bool,
) -> Result<usize, Error> {
    if !api.versions().contains(&version) {
        return Err(Error::UnsupportedVersion { api, version });
    }
    walk(message, version, body, is_whole)
}

/// Whether the bytes are a whole key of the record at this place of the table.
pub(crate) fn group_record_key(at: usize, version: i16) -> impl FnOnce(&[u8]) -> Result<(), Error> {
    move |body| walk(&schema::group_records::KEYS[at], version, body, true).map(drop)
}

/// The same of a value, whose versions are 0 to `last`.
pub(crate) fn group_record_value(
    at: usize,
    version: i16,
    last: i16,
) -> impl FnOnce(&[u8]) -> Result<(), Error> {
    let value = &schema::group_records::VALUES[at];
    move |body| match version {
        _ if (0..=last).contains(&version) => walk(value, version, body, true).map(drop),
        _ => Err(Error::UnknownRecordVersion {
            message: value.name,
            version,
            last,
        }),
    }
}

fn walk(message: &Message, version: i16, body: &[u8], is_whole: bool) -> Result<usize, Error> {
    let limit = decoded_limit_bytes(body.len());
    let mut walk = Walk {
        cursor: Cursor::new(body),
        version,
        is_flexible: version >= message.first_flexible,
        limit,
        budget: limit,
        field: "the body",
    };
    let walked = walk
        .fields(message.fields)
        .and_then(|()| match walk.cursor.remaining() {
            bytes if bytes > 0 && is_whole => Err(Problem::Trailing(bytes)),
            _ => Ok(walk.cursor.position()),
        });
    walked.map_err(|problem| Error::Malformed {
        message: message.name,
        version,
        field: walk.field,
        at_byte: walk.cursor.position(),
        problem,
    })
}

struct Walk<'a> {
    cursor: Cursor<'a>,
    version: i16,
    is_flexible: bool,
    limit: usize,
    /// What remains of the limit.
    budget: usize,
    /// The last that was looked at, for the error.
    field: &'static str,
}

/// How many bytes a length has when it is not compact.
#[derive(Clone, Copy)]
enum Length {
    Two,
    Four,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), Problem> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.field(field)?;
            }
        }
        if self.is_flexible {
            self.tagged_fields(fields)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Problem> {
        self.field = field.name;
        let is_nullable = field.is_nullable_in(self.version);
        if field.is_array {
            self.array(field.kind, is_nullable)
        } else {
            self.value(field.kind, is_nullable)
        }
    }

    fn value(&mut self, kind: Kind, is_nullable: bool) -> Result<(), Problem> {
        match kind {
            Kind::Fixed(bytes) => self.cursor.take(bytes).map(drop),
            Kind::String => {
                let bytes = self.bytes(Length::Two, is_nullable)?;
                // A compact length could say more.
                within(bytes.len(), MAX_STRING_BYTES)?;
                match std::str::from_utf8(bytes) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(Problem::NotUtf8),
                }
            }
            Kind::Bytes => self.bytes(Length::Four, is_nullable).map(drop),
            Kind::Structure(structure) if is_nullable => match self.cursor.u8()? as i8 {
                1 => self.structure(structure),
                -1 => Ok(()),
                other => Err(Problem::Presence(other)),
            },
            Kind::Structure(structure) => self.structure(structure),
        }
    }

    fn structure(&mut self, structure: &'static Structure) -> Result<(), Problem> {
        self.fields(structure.fields)
    }

    fn array(&mut self, kind: Kind, is_nullable: bool) -> Result<(), Problem> {
        let Some(count) = self.length(Length::Four, is_nullable)? else {
            return Ok(());
        };
        let (min_bytes, decoded_bytes) = match kind {
            Kind::Fixed(bytes) => (bytes, bytes),
            Kind::String | Kind::Bytes if self.is_flexible => (1, HANDLE_BYTES),
            Kind::String => (2, HANDLE_BYTES),
            Kind::Bytes => (4, HANDLE_BYTES),
            Kind::Structure(structure) => (
                structure.min_bytes[self.version as usize],
                structure.decoded_bytes,
            ),
        };
        let remaining = self.cursor.remaining();
        let needed = count.saturating_mul(min_bytes);
        if needed > remaining {
            return Err(Problem::LongArray {
                count,
                min_bytes,
                remaining,
            });
        }
        within(count, MAX_ARRAY_LENGTH)?;
        self.charge(count.saturating_mul(decoded_bytes))?;
        if let Kind::Fixed(_) = kind {
            return self.cursor.take(needed).map(drop);
        }
        for _ in 0..count {
            self.value(kind, false)?;
        }
        Ok(())
    }

    fn bytes(&mut self, width: Length, is_nullable: bool) -> Result<&[u8], Problem> {
        match self.length(width, is_nullable)? {
            Some(length) => self.cursor.take(length),
            None => Ok(&[]),
        }
    }

    fn length(&mut self, width: Length, is_nullable: bool) -> Result<Option<usize>, Problem> {
        let length = if self.is_flexible {
            self.cursor
                .varint()?
                .checked_sub(1)
                .map(|length| length as usize)
        } else {
            let length = match width {
                Length::Two => i32::from(self.cursor.i16()?),
                Length::Four => self.cursor.i32()?,
            };
            match usize::try_from(length) {
                Ok(length) => Some(length),
                Err(_) if length == -1 => None,
                Err(_) => return Err(Problem::NegativeLength(length)),
            }
        };
        match length {
            None if !is_nullable => Err(Problem::Null),
            length => Ok(length),
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), Problem> {
        const FIELD: &str = "the tagged fields";
        self.field = FIELD;
        let mut before = None;
        let mut unknown_bytes = FIRST_UNKNOWN_TAG_BYTES;
        let count = within(self.cursor.varint()? as usize, MAX_TAGGED_FIELDS)?;
        for _ in 0..count {
            self.field = FIELD;
            let tag = self.cursor.varint()?;
            if before.is_some_and(|before| tag <= before) {
                return Err(Problem::TagOrder(tag));
            }
            before = Some(tag);
            // The decoders keep tags as signed integers.
            if tag > i32::MAX as u32 {
                return Err(Problem::TagRange(tag));
            }
            let size = self.cursor.varint()? as usize;
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) => self.tagged_field(field, tag, size)?,
                None => {
                    self.cursor.take(size)?;
                    self.charge(unknown_bytes)?;
                    unknown_bytes = NEXT_UNKNOWN_TAG_BYTES;
                }
            }
        }
        Ok(())
    }

    fn tagged_field(
        &mut self,
        field: &'static Field,
        tag: u32,
        size: usize,
    ) -> Result<(), Problem> {
        self.field = field.name;
        if !field.is_in(self.version) {
            return Err(Problem::TagVersion(tag));
        }
        let outer = self.cursor.narrow(size)?;
        self.field(field)?;
        match self.cursor.remaining() {
            0 => self.cursor.widen(outer),
            bytes => {
                self.field = field.name;
                return Err(Problem::TagSize(bytes));
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Problem> {
        let limit = self.limit;
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or(Problem::Memory { limit })?;
        Ok(())
    }
}
