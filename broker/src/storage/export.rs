//! Records on their way to another replica: whole entries, from runs and from the log's tail.
//!
//! Entries, not batches: what is imported ends where an entry ends. An entry that lay half in a run would not be sealed whole when the
//! other half comes with the log.

use super::error::Error;
use super::group_log::Piece;
use super::ids::Offset;
use super::import::Import;
use super::keys;
use super::log;
use super::rows::Run;
use super::shard::{Group, LOCK, Shard};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use millrace_wire::batch::BatchHeader;

/// How often it is looked again because the entries were sealed, or their run replaced, between look-up and read.
const TRIES: usize = 16;

/// What a scan of a run fetches ahead.
const READAHEAD_BYTES: usize = 1 << 20;

impl Shard {
    /// The entries from the one that holds `from` on, below `upto`: at least one, if there is one, and then while they fit in
    /// `max_bytes`. `None` when what lies at `from` is not here any more: the log start has passed it.
    ///
    /// `from < upto`, and everything below `upto` is committed.
    pub fn export(
        &self,
        id: GroupId,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Result<Option<Import>, Error> {
        let group = self.group(id)?;
        for _ in 0..TRIES {
            let run = {
                let sealed = group.sealed.lock().expect(LOCK);
                let at = sealed.runs.partition_point(|run| run.next <= from);
                sealed.runs.get(at).copied()
            };
            let found = match run {
                Some(run) if run.base > from => return Ok(None),
                Some(run) => self.export_run(&group, &run, from, upto, max_bytes)?,
                None => match group.log.pieces(from, upto, max_bytes) {
                    Some(pieces) => export_tail(&group, pieces.pieces, from, upto)?,
                    // Sealed since it was looked for among the runs, or deleted.
                    None => None,
                },
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// `None` when the run is not there any more.
    fn export_run(
        &self,
        group: &Group,
        run: &Run,
        from: Offset,
        upto: Offset,
        max_bytes: u64,
    ) -> Result<Option<Import>, Error> {
        let id = group.log.id();
        let family = keys::family(id, run);
        let (first, end) = keys::records_of(id, run);
        let at = keys::record(id, run.generation, from.max(run.base));
        let start = self
            .families
            .last_at_or_before(family, &first, &at)?
            .map_or(at, |(key, _)| key);
        let mut found = Import {
            base: from,
            next: run.next.min(upto),
            entries: Vec::new(),
        };
        let mut bytes = 0;
        self.families
            .scan(family, &start, &end, READAHEAD_BYTES, &mut |key, value| {
                let Some((_, _, base)) = keys::parse_record(key) else {
                    return true;
                };
                if base < from && end_of(value).is_some_and(|end| end <= from) {
                    return true;
                }
                let size = value.len() as u64;
                let is_full = !found.entries.is_empty() && bytes + size > max_bytes;
                if base >= upto || is_full {
                    found.next = base.min(upto);
                    return false;
                }
                bytes += size;
                found.entries.push((base, Bytes::copy_from_slice(value)));
                true
            })?;
        // Memory lets go of a run before its rows are dropped, so one that is still there was read whole. Of one that is not,
        // entries may be missing, and what is shipped counts as all there was.
        let is_there = group.sealed.lock().expect(LOCK).runs.contains(run);
        Ok(is_there.then(|| found.reaching_back()))
    }
}

fn export_tail(
    group: &Group,
    pieces: Vec<(Offset, Piece)>,
    from: Offset,
    upto: Offset,
) -> Result<Option<Import>, Error> {
    let mut found = Import {
        base: from,
        next: from,
        entries: Vec::new(),
    };
    for (base, piece) in pieces {
        let data = match group.log.read(piece) {
            Ok(data) => data,
            // Sealed and recycled since it was looked up. What was read before it stands.
            Err(log::Error::Gone { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        let end = end_of(&data).filter(|end| *end <= upto);
        let Some(end) = end else { break };
        found.next = end;
        found.entries.push((base, data));
    }
    Ok((!found.entries.is_empty()).then(|| found.reaching_back()))
}

impl Import {
    /// A log start may lie inside of an entry, which is then taken whole.
    fn reaching_back(mut self) -> Import {
        if let Some((base, _)) = self.entries.first() {
            self.base = self.base.min(*base);
        }
        self
    }
}

/// The offset behind an entry's last batch.
fn end_of(mut data: &[u8]) -> Option<Offset> {
    let mut end = None;
    while !data.is_empty() {
        let header = BatchHeader::decode(data).ok()?;
        end = Some(Offset(header.next_offset()));
        data = &data[header.size_bytes..];
    }
    end
}
