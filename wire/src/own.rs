//! How our own messages are written and read: the few forms that values have, once for all of them.
//!
//! The messages are generated (`build/messages.rs`) and look like those of crate `kafka-protocol`, whose traits they
//! implement; the crate does not export what its messages are made with.

use crate::messages::{BrokerId, GroupId, ProducerId, StrBytes, TopicName, TransactionalId, Uuid};
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use std::collections::BTreeMap;

/// What a generated module needs.
pub(crate) mod prelude {
    pub use super::{
        Form, Nullable, Sink, TaggedFields, Value, absent, is_set, read_tagged_fields,
    };
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

fn not_null<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| anyhow!("null where this version has none"))
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

macro_rules! numbers {
    ($($number:ty: $get:ident,)*) => {
        $(
            impl Value for $number {
                fn write(&self, out: &mut impl Sink, _form: Form) -> Result<()> {
                    out.put(&self.to_be_bytes());
                    Ok(())
                }

                fn read<B: ByteBuf>(buf: &mut B, _form: Form) -> Result<Self> {
                    Ok(buf.$get()?)
                }
            }
        )*
    };
}

numbers! {
    i8: try_get_i8,
    i16: try_get_i16,
    u16: try_get_u16,
    i32: try_get_i32,
    i64: try_get_i64,
}

impl Value for bool {
    fn write(&self, out: &mut impl Sink, _form: Form) -> Result<()> {
        out.put(&[u8::from(*self)]);
        Ok(())
    }

    fn read<B: ByteBuf>(buf: &mut B, _form: Form) -> Result<Self> {
        Ok(buf.try_get_u8()? != 0)
    }
}

impl Value for Uuid {
    fn write(&self, out: &mut impl Sink, _form: Form) -> Result<()> {
        out.put(self.as_bytes());
        Ok(())
    }

    fn read<B: ByteBuf>(buf: &mut B, _form: Form) -> Result<Self> {
        let mut bytes = [0; 16];
        buf.try_copy_to_slice(&mut bytes)?;
        Ok(Uuid::from_bytes(bytes))
    }
}

fn write_varint(mut value: u32, out: &mut impl Sink) {
    while value >= 0x80 {
        out.put(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

/// The checker has seen that it fits 32 bits.
fn read_varint<B: ByteBuf>(buf: &mut B) -> Result<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = buf.try_get_u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a variable-length integer exceeds 32 bits")
}

/// How many bytes a length has when it is not compact.
#[derive(Clone, Copy)]
enum Length {
    Two,
    Four,
}

/// A compact length is one more than the length, and 0 is null.
fn write_length(
    length: Option<usize>,
    width: Length,
    out: &mut impl Sink,
    form: Form,
) -> Result<()> {
    let long = || anyhow!("{} is longer than its length can say", length.unwrap_or(0));
    if form.is_flexible() {
        // Kafka refuses to read longer strings, though a compact length could say more.
        if matches!(width, Length::Two) && length > Some(i16::MAX as usize) {
            return Err(long());
        }
        let compact = length.map_or(Some(0), |length| u32::try_from(length).ok()?.checked_add(1));
        write_varint(compact.ok_or_else(long)?, out);
        return Ok(());
    }
    match width {
        Length::Two => {
            let length = length.map_or(Ok(-1), i16::try_from).map_err(|_| long())?;
            out.put(&length.to_be_bytes());
        }
        Length::Four => {
            let length = length.map_or(Ok(-1), i32::try_from).map_err(|_| long())?;
            out.put(&length.to_be_bytes());
        }
    }
    Ok(())
}

fn read_length<B: ByteBuf>(buf: &mut B, width: Length, form: Form) -> Result<Option<usize>> {
    if form.is_flexible() {
        return Ok(read_varint(buf)?
            .checked_sub(1)
            .map(|length| length as usize));
    }
    let length = match width {
        Length::Two => i32::from(buf.try_get_i16()?),
        Length::Four => buf.try_get_i32()?,
    };
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => bail!("a length is {length}"),
    }
}

macro_rules! nullable_value {
    ($($name:ty)*) => {
        $(
            impl Value for $name {
                fn write(&self, out: &mut impl Sink, form: Form) -> Result<()> {
                    Self::write_option(Some(self), out, form)
                }

                fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self> {
                    not_null(Self::read_option(buf, form)?)
                }
            }
        )*
    };
}

nullable_value!(StrBytes Bytes GroupId TopicName TransactionalId);

impl Nullable for StrBytes {
    fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()> {
        write_length(value.map(|text| text.len()), Length::Two, out, form)?;
        out.put(value.map_or(&[], |text| text.as_bytes()));
        Ok(())
    }

    fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>> {
        let Some(length) = read_length(buf, Length::Two, form)? else {
            return Ok(None);
        };
        Ok(Some(StrBytes::from_utf8(buf.try_get_bytes(length)?)?))
    }
}

impl Nullable for Bytes {
    fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()> {
        write_length(value.map(|bytes| bytes.len()), Length::Four, out, form)?;
        out.put(value.map_or(&[], |bytes| bytes));
        Ok(())
    }

    fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>> {
        let length = read_length(buf, Length::Four, form)?;
        let bytes = length.map(|length| buf.try_get_bytes(length));
        Ok(bytes.transpose()?)
    }
}

macro_rules! named_strings {
    ($($name:ident)*) => {
        $(
            impl Nullable for $name {
                fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()> {
                    StrBytes::write_option(value.map(|name| &name.0), out, form)
                }

                fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>> {
                    Ok(StrBytes::read_option(buf, form)?.map($name))
                }
            }
        )*
    };
}

named_strings!(GroupId TopicName TransactionalId);

macro_rules! named_numbers {
    ($($name:ident)*) => {
        $(
            impl Value for $name {
                fn write(&self, out: &mut impl Sink, form: Form) -> Result<()> {
                    self.0.write(out, form)
                }

                fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self> {
                    Value::read(buf, form).map($name)
                }
            }
        )*
    };
}

named_numbers!(BrokerId ProducerId);

impl<T: Value> Value for Vec<T> {
    fn write(&self, out: &mut impl Sink, form: Form) -> Result<()> {
        Self::write_option(Some(self), out, form)
    }

    fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self> {
        not_null(Self::read_option(buf, form)?)
    }
}

impl<T: Value> Nullable for Vec<T> {
    fn write_option(value: Option<&Self>, out: &mut impl Sink, form: Form) -> Result<()> {
        write_length(value.map(Vec::len), Length::Four, out, form)?;
        for item in value.into_iter().flatten() {
            item.write(out, form)?;
        }
        Ok(())
    }

    fn read_option<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Option<Self>> {
        let Some(length) = read_length(buf, Length::Four, form)? else {
            return Ok(None);
        };
        // Without the checker before it, this must not allocate by a count from outside either: an item has a byte.
        let mut items = Vec::with_capacity(length.min(buf.remaining()));
        for _ in 0..length {
            items.push(T::read(buf, form)?);
        }
        Ok(Some(items))
    }
}

/// The known tagged fields of a structure that are to be written: tag, size, bytes.
#[derive(Default)]
pub struct TaggedFields {
    fields: Vec<(u32, Vec<u8>)>,
}

impl TaggedFields {
    /// In ascending order of tags.
    pub fn add(&mut self, tag: u32, value: &impl Value, form: Form) -> Result<()> {
        let mut bytes = Vec::new();
        value.write(&mut Buffer(&mut bytes), form)?;
        self.fields.push((tag, bytes));
        Ok(())
    }

    pub fn write(self, unknown: &BTreeMap<i32, Bytes>, out: &mut impl Sink) -> Result<()> {
        let mut all: BTreeMap<u32, &[u8]> = BTreeMap::new();
        for (&tag, bytes) in unknown {
            let tag = u32::try_from(tag).map_err(|_| anyhow!("tag {tag} is negative"))?;
            all.insert(tag, bytes);
        }
        for (tag, bytes) in &self.fields {
            if all.insert(*tag, bytes).is_some() {
                bail!("tag {tag} is among the unknown ones, and it is known");
            }
        }
        write_varint(all.len() as u32, out);
        for (tag, bytes) in all {
            write_varint(tag, out);
            write_varint(u32::try_from(bytes.len())?, out);
            out.put(bytes);
        }
        Ok(())
    }
}

/// Reads tagged fields. `known` reads the one whose tag it knows and says whether it did.
pub fn read_tagged_fields<B: ByteBuf>(
    buf: &mut B,
    unknown: &mut BTreeMap<i32, Bytes>,
    mut known: impl FnMut(u32, &mut B) -> Result<bool>,
) -> Result<()> {
    for _ in 0..read_varint(buf)? {
        let tag = read_varint(buf)?;
        let size = read_varint(buf)? as usize;
        let before = buf.remaining();
        if known(tag, buf)? {
            if before - buf.remaining() != size {
                bail!("tagged field {tag} does not have the size it says");
            }
        } else {
            unknown.insert(i32::try_from(tag)?, buf.try_get_bytes(size)?);
        }
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
