//! Crate `raft` logs through slog; its warnings go on to tracing, the rest is never formatted.

use std::fmt::{Arguments, Write};

use slog::{Drain, KV, Key, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

use super::ports::GroupId;

struct Warnings;

struct Fields(String);

impl Serializer for Fields {
    fn emit_arguments(&mut self, key: Key, value: &Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={value}")?;
        Ok(())
    }
}

impl Drain for Warnings {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if !record.level().is_at_least(Level::Warning) {
            return Ok(());
        }
        let mut fields = Fields(String::new());
        // A field that cannot be written costs that field, not the warning.
        let _ = values.serialize(record, &mut fields);
        let _ = record.kv().serialize(record, &mut fields);
        tracing::warn!(target: "raft", "{}{}", record.msg(), fields.0);
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        level.is_at_least(Level::Warning)
    }
}

pub(super) fn of_group(group: GroupId) -> Logger {
    Logger::root(Warnings, o!("group" => group.0))
}
