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

/// What is wanted of a replica.
#[derive(Clone, Copy)]
struct Wanted {
    from: Offset,
    upto: Offset,
    max_bytes: u64,
    /// Comes whatever its size.
    first_entry: bool,
}

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
        let mut wanted = Wanted {
            from,
            upto,
            max_bytes,
            first_entry: true,
        };
        let Some(mut found) = self.export_some(&group, wanted)? else {
            return Ok(None);
        };
        // Runs may be small.
        while found.next < upto {
            let bytes = found.entries.iter().map(|(_, data)| data.len() as u64);
            wanted = Wanted {
                from: found.next,
                max_bytes: max_bytes.saturating_sub(bytes.sum()),
                first_entry: found.entries.is_empty(),
                ..wanted
            };
            match self.export_some(&group, wanted)? {
                Some(more) if more.next > found.next => {
                    found.next = more.next;
                    found.entries.extend(more.entries);
                }
                _ => break,
            }
        }
        // A log start may lie inside of an entry, which is then taken whole.
        if let Some((base, _)) = found.entries.first() {
            found.base = found.base.min(*base);
        }
        Ok(Some(found))
    }

    /// Of one run, or of the log.
    fn export_some(&self, group: &Group, wanted: Wanted) -> Result<Option<Import>, Error> {
        let Wanted { from, upto, .. } = wanted;
        for _ in 0..TRIES {
            let run = {
                let sealed = group.sealed.lock().expect(LOCK);
                let at = sealed.runs.partition_point(|run| run.next <= from);
                sealed.runs.get(at).copied()
            };
            let found = match run {
                Some(run) if run.base > from => return Ok(None),
                Some(run) => self.export_run(group, &run, wanted)?,
                None => match group.log.pieces(from, upto, wanted.max_bytes) {
                    Some(pieces) => export_tail(group, pieces.pieces, wanted)?,
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
        wanted: Wanted,
    ) -> Result<Option<Import>, Error> {
        let Wanted { from, upto, .. } = wanted;
        let id = group.log.id();
        let family = keys::family(id, run);
        let (first, end) = keys::records_of(id, run);
        let at = keys::record(id, run.generation, from.max(run.base));
        let start = self
            .families
            .last_at_or_before(family, &first, &at)?
            .map_or(at, |(key, _)| key);
        let mut found = nothing(from);
        found.next = run.next.min(upto);
        let mut bytes = 0;
        self.families
            .scan(family, &start, &end, READAHEAD_BYTES, &mut |key, value| {
                let Some((_, _, base)) = keys::parse_record(key) else {
                    return true;
                };
                if base < from && end_of(value).is_some_and(|end| end <= from) {
                    return true;
                }
                bytes += value.len() as u64;
                let is_full =
                    bytes > wanted.max_bytes && !(wanted.first_entry && found.entries.is_empty());
                if base >= upto || is_full {
                    // Not below `from` if the entry reaches back and does not fit.
                    found.next = base.min(upto).max(from);
                    return false;
                }
                found.entries.push((base, Bytes::copy_from_slice(value)));
                true
            })?;
        // Memory lets go of a run before its rows are dropped, so one that is still there was read whole. Of one that is not,
        // entries may be missing, and what is shipped counts as all there was.
        let is_there = group.sealed.lock().expect(LOCK).runs.contains(run);
        Ok(is_there.then_some(found))
    }
}

fn export_tail(
    group: &Group,
    pieces: Vec<(Offset, Piece)>,
    wanted: Wanted,
) -> Result<Option<Import>, Error> {
    let mut found = nothing(wanted.from);
    let mut bytes = 0;
    for (base, piece) in pieces {
        let data = match group.log.read(piece) {
            Ok(data) => data,
            // Sealed and recycled since it was looked up. What was read before it stands.
            Err(log::Error::Gone { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        bytes += data.len() as u64;
        let is_full = bytes > wanted.max_bytes && !(wanted.first_entry && found.entries.is_empty());
        match end_of(&data) {
            Some(end) if end <= wanted.upto && !is_full => found.next = end,
            _ => break,
        }
        found.entries.push((base, data));
    }
    Ok((!found.entries.is_empty()).then_some(found))
}

fn nothing(at: Offset) -> Import {
    Import {
        base: at,
        next: at,
        entries: Vec::new(),
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
