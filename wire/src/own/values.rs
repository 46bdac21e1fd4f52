//! The forms of single values: numbers, strings, bytes and arrays, compact or not.

use super::{Form, Nullable, Sink, Value};
use crate::messages::{BrokerId, GroupId, ProducerId, StrBytes, TopicName, TransactionalId, Uuid};
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use kafka_protocol::protocol::buf::ByteBuf;

fn not_null<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| anyhow!("null where this version has none"))
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

pub(super) fn write_varint(mut value: u32, out: &mut impl Sink) {
    while value >= 0x80 {
        out.put(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

/// The checker has seen that it fits 32 bits.
pub(super) fn read_varint<B: ByteBuf>(buf: &mut B) -> Result<u32> {
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
