//! What many groups want on disk, gathered into one write.

use std::collections::BTreeMap;

use super::ports::{GroupId, Write};

/// The batch that is submitted next. Its token is known from the start, so that a group can say which one it waits for.
pub(super) struct Batch {
    pub(super) token: u64,
    writes: BTreeMap<GroupId, Write>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn new(token: u64) -> Self {
        Batch {
            token,
            writes: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn add(&mut self, group: GroupId, write: Write) {
        self.bytes += bytes(&write);
        let mine = self.writes.entry(group).or_default();
        if write.snapshot.is_some() {
            mine.entries.clear();
            mine.snapshot = write.snapshot;
        }
        if let Some(first) = write.entries.first().map(|entry| entry.index) {
            // What the new entries replace need not be written at all.
            let keep = mine.entries.partition_point(|entry| entry.index < first);
            mine.entries.truncate(keep);
            mine.entries.extend(write.entries);
        }
        if write.hard_state.is_some() {
            mine.hard_state = write.hard_state;
        }
    }

    pub(super) fn into_writes(self) -> Vec<(GroupId, Write)> {
        self.writes.into_iter().collect()
    }
}

fn bytes(write: &Write) -> usize {
    write
        .entries
        .iter()
        .map(|entry| entry.data.len() + entry.context.len())
        .sum()
}
