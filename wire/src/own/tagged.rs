//! Tagged fields: those that a structure knows, among those that it does not.

use super::values::{read_varint, write_varint};
use super::{Buffer, Form, Sink, Value};
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use kafka_protocol::protocol::buf::ByteBuf;
use std::collections::BTreeMap;

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
