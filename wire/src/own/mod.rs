//! How our own messages are written and read: the few forms that values have, once for all of them.
//!
//! The messages are generated (`build/messages.rs`) and look like those of crate `kafka-protocol`, whose traits they
//! implement; the crate does not export what its messages are made with.

mod tagged;
mod values;

use anyhow::{Result, bail};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};

/// What a generated module needs.
pub(crate) mod prelude {
    pub use super::tagged::{TaggedFields, read_tagged_fields};
    pub use super::{Form, Nullable, Sink, Value, absent, is_set};
    pub(crate) use super::{nullable_structure, whole_message};
    pub use crate::messages::{StrBytes, Uuid};
    pub use anyhow::Result;
    pub use bytes::Bytes;
    pub use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
    pub use kafka_protocol::protocol::{
        Decodable, Encodable, HeaderVersion, Message, Request, VersionRange,
    };
    pub use std::collections::BTreeMap;
}

/// The version of a message, and the first of its versions that is flexible (KIP-482).
#[derive(Clone, Copy)]
pub struct Form {
    pub version: i16,
    pub first_flexible: i16,
}

impl Form {
    pub fn is_flexible(self) -> bool {
        self.version >= self.first_flexible
    }
}

/// Where a message is written to: a buffer, or a count of its bytes.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

struct Buffer<'a, B>(&'a mut B);

impl<B: ByteBufMut> Sink for Buffer<'_, B> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}

#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

pub trait Value: Sized {
    fn write(&self, out: &mut impl Sink, form: Form) -> Result<()>;
    fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self>;
}

/// What has a null.
pub trait Nullable: Sized {
    fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()>;
    fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>>;
}

impl<T: Nullable> Value for Option<T> {
    fn write(&self, out: &mut impl Sink, form: Form) -> Result<()> {
        T::write_option(self.as_ref(), out, form)
    }

    fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self> {
        T::read_option(buf, form)
    }
}

pub fn is_set<T: PartialEq>(value: &T, default: &T) -> bool {
    value != default
}

/// Refuses to write a version that lacks a field which is set and must not be ignored.
pub fn absent<T: PartialEq>(value: &T, default: &T, field: &str) -> Result<()> {
    if is_set(value, default) {
        bail!("{field} is set, and this version lacks it");
    }
    Ok(())
}

pub(crate) fn encode<B: ByteBufMut>(value: &impl Value, buf: &mut B, form: Form) -> Result<()> {
    value.write(&mut Buffer(buf), form)
}

pub(crate) fn size(value: &impl Value, form: Form) -> Result<usize> {
    let mut count = Count::default();
    value.write(&mut count, form)?;
    Ok(count.0)
}

pub(crate) fn supported(
    form: Form,
    versions: kafka_protocol::protocol::VersionRange,
) -> Result<Form> {
    if (versions.min..=versions.max).contains(&form.version) {
        return Ok(form);
    }
    bail!("version {} is not one of {versions}", form.version)
}

/// The crate's traits for a structure of ours. Each can be written alone, as those of the crate can.
macro_rules! whole_message {
    ($name:ident) => {
        impl Encodable for $name {
            fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
                let form = crate::own::supported(form(version), Self::VERSIONS)?;
                crate::own::encode(self, buf, form)
            }

            fn compute_size(&self, version: i16) -> Result<usize> {
                crate::own::size(self, form(version))
            }
        }

        impl Decodable for $name {
            fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
                let form = crate::own::supported(form(version), Self::VERSIONS)?;
                Value::read(buf, form)
            }
        }
    };
}

/// A structure that may be null: a byte says whether it is there.
macro_rules! nullable_structure {
    ($name:ident) => {
        impl Nullable for $name {
            fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()> {
                let Some(value) = value else {
                    return (-1i8).write(out, form);
                };
                1i8.write(out, form)?;
                value.write(out, form)
            }

            fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>> {
                match i8::read(buf, form)? {
                    ..0 => Ok(None),
                    0.. => Self::read(buf, form).map(Some),
                }
            }
        }
    };
}

pub(crate) use {nullable_structure, whole_message};
