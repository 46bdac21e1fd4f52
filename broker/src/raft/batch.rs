//! What many groups want on disk, gathered into one write.

use super::ports::{GroupId, Write};

/// The batch that is submitted next. Its token is known from the start, so that a group can say which one it waits for.
pub(super) struct Batch {
    pub(super) token: u64,
    writes: Vec<(GroupId, Write)>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn new(token: u64) -> Self {
        Batch {
            token,
            writes: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// `place` is where the group's last write went; a write of this batch is added to.
    pub(super) fn add(&mut self, group: GroupId, place: &mut Option<(u64, usize)>, write: Write) {
        self.bytes += bytes(&write);
        let at = match *place {
            Some((token, at)) if token == self.token => at,
            _ => {
                *place = Some((self.token, self.writes.len()));
                return self.writes.push((group, write));
            }
        };
        let (_, mine) = &mut self.writes[at];
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
        self.writes
    }
}

fn bytes(write: &Write) -> usize {
    write
        .entries
        .iter()
        .map(|entry| entry.data.len() + entry.context.len())
        .sum()
}
