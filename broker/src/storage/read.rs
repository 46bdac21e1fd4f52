//! Reading a partition by offset or timestamp: from the log's tail, or from the family that its run was sealed into.
//!
//! Only whole batches come out, with the bytes that went in.

use super::error::Error;
use super::families::Family;
use super::ids::Offset;
use super::keys;
use super::log;
use super::rows::Run;
use super::shard::{Group, LOCK, Shard};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use millrace_wire::batch::BatchHeader;

/// How often a look-up is repeated because the entry was sealed, or its run replaced, between look-up and read.
const TRIES: usize = 16;

/// Cold reads fetch this much ahead.
const READAHEAD_BYTES: usize = 1 << 20;

/// Consecutive batches.
#[derive(Debug, Default)]
pub struct Read {
    /// Each holds one or more whole batches.
    pub chunks: Vec<Bytes>,
    pub bytes: u64,
}

/// What a reader may see.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub from: Offset,
    /// Only batches that end at or below: the high watermark, or the last stable offset.
    pub upto: Offset,
    /// At least one batch comes even if it is larger (KIP-74).
    pub max_bytes: u64,
}

impl Shard {
    /// Batches from the one that holds `range.from`, or the first behind it. Empty at the end.
    pub fn read(&self, group: GroupId, range: Range) -> Result<Read, Error> {
        let group = self.group(group)?;
        for _ in 0..TRIES {
            if range.from >= range.upto {
                return Ok(Read::default());
            }
            let attempt = match group.log.pieces(range.from, range.upto, range.max_bytes) {
                Some(pieces) => read_tail(&group, pieces.pieces, range)?,
                None => self.read_sealed(&group, range)?,
            };
            if let Some(read) = attempt {
                return Ok(read);
            }
        }
        let reason = format!("offset {} is neither in the log nor in a run", range.from);
        Err(Error::Group {
            group: group.log.id(),
            reason,
        })
    }

    /// The first batch with a timestamp of at least `timestamp_ms`, or an earlier one of the same entry.
    pub fn read_by_timestamp(
        &self,
        group: GroupId,
        timestamp_ms: i64,
        range: Range,
    ) -> Result<Read, Error> {
        let found = self.group(group)?;
        let holds = |run: &&Run| run.max_timestamp_ms >= timestamp_ms && run.next > range.from;
        let run = found
            .sealed
            .lock()
            .expect(LOCK)
            .runs
            .iter()
            .find(holds)
            .copied();
        if let Some(run) = run {
            let mut at = None;
            let (from, to) = keys::records_of(group, &run);
            self.families.scan(
                keys::family(group, &run),
                &from,
                &to,
                READAHEAD_BYTES,
                &mut |key, value| {
                    let hit = batches(value).any(|batch| {
                        batch.max_timestamp_ms >= timestamp_ms
                            && batch.last_offset() >= range.from.0
                    });
                    at = keys::parse_record(key)
                        .filter(|_| hit)
                        .map(|(_, _, base)| base);
                    at.is_none()
                },
            )?;
            if let Some(base) = at {
                return self.read(
                    group,
                    Range {
                        from: base.max(range.from),
                        max_bytes: 1,
                        ..range
                    },
                );
            }
        }
        match found
            .log
            .piece_by_timestamp(timestamp_ms, range.from, range.upto)
        {
            Some((base, _)) => self.read(
                group,
                Range {
                    from: base.max(range.from),
                    max_bytes: 1,
                    ..range
                },
            ),
            None => Ok(Read::default()),
        }
    }

    /// The largest timestamp in runs and entries that reach into `from..upto`.
    pub fn max_timestamp(
        &self,
        group: GroupId,
        from: Offset,
        upto: Offset,
    ) -> Result<Option<i64>, Error> {
        let group = self.group(group)?;
        let sealed = group.sealed.lock().expect(LOCK);
        let runs = sealed
            .runs
            .iter()
            .filter(|run| run.next > from && run.base < upto);
        let of_runs = runs.map(|run| run.max_timestamp_ms).max();
        drop(sealed);
        let of_log = group.log.max_timestamp(from, upto);
        Ok(of_runs.max(of_log).filter(|timestamp| *timestamp >= 0))
    }

    /// About how many bytes of batches there are between the two: whole runs count, and whole entries.
    pub fn bytes_between(&self, group: GroupId, from: Offset, upto: Offset) -> Result<u64, Error> {
        let group = self.group(group)?;
        let sealed = group.sealed.lock().expect(LOCK);
        let runs = sealed
            .runs
            .iter()
            .filter(|run| run.next > from && run.base < upto);
        let of_runs: u64 = runs.map(|run| run.bytes).sum();
        drop(sealed);
        Ok(of_runs + group.log.bytes_between(from, upto))
    }

    /// `None` when the run is not there any more: sealing, retention or compaction moved on.
    fn read_sealed(&self, group: &Group, range: Range) -> Result<Option<Read>, Error> {
        let id = group.log.id();
        let mut read = Read::default();
        let mut from = range.from;
        loop {
            let run = {
                let sealed = group.sealed.lock().expect(LOCK);
                let at = sealed.runs.partition_point(|run| run.next <= from);
                sealed.runs.get(at).copied()
            };
            let Some(run) = run.filter(|run| run.base < range.upto) else {
                // Behind the last run the log goes on.
                let rest = Range { from, ..range };
                return self.read_behind_runs(group, read, rest);
            };
            let more = self.read_run(id, &run, Range { from, ..range }, &mut read)?;
            // Memory lets go of a run before its rows are dropped, so one that is still there was read whole.
            if !group.sealed.lock().expect(LOCK).runs.contains(&run) {
                return Ok(None);
            }
            from = run.next;
            if !more {
                return Ok(Some(read));
            }
        }
    }

    fn read_behind_runs(
        &self,
        group: &Group,
        read: Read,
        range: Range,
    ) -> Result<Option<Read>, Error> {
        // What was wanted may all have been compacted away, and runs go on above it: the log does not know this place.
        if !read.chunks.is_empty() || range.from >= range.upto {
            return Ok(Some(read));
        }
        match group.log.pieces(range.from, range.upto, range.max_bytes) {
            Some(pieces) => read_tail(group, pieces.pieces, range),
            None => Ok(None),
        }
    }

    /// False when no more is wanted: what comes behind must not be read either, or records would be passed over.
    fn read_run(
        &self,
        id: GroupId,
        run: &Run,
        range: Range,
        read: &mut Read,
    ) -> Result<bool, Error> {
        let family: Family = keys::family(id, run);
        let (first, end) = keys::records_of(id, run);
        let at = keys::record(id, run.generation, range.from.max(run.base));
        let start = self
            .families
            .last_at_or_before(family, &first, &at)?
            .map_or(at, |(key, _)| key);
        let readahead_bytes = READAHEAD_BYTES.min(range.max_bytes as usize);
        let mut more = true;
        self.families
            .scan(family, &start, &end, readahead_bytes, &mut |_, value| {
                more = take(Bytes::copy_from_slice(value), range, read);
                more
            })?;
        Ok(more)
    }
}

fn read_tail(
    group: &Group,
    pieces: Vec<(Offset, super::group_log::Piece)>,
    range: Range,
) -> Result<Option<Read>, Error> {
    let mut read = Read::default();
    for (_, piece) in pieces {
        match group.log.read(piece) {
            Ok(data) => {
                if !take(data, range, &mut read) {
                    break;
                }
            }
            // Sealed and recycled since it was looked up. What was read before it stands.
            Err(log::Error::Gone { .. }) if read.chunks.is_empty() => return Ok(None),
            Err(log::Error::Gone { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(read))
}

/// Adds the batches of one entry that lie in the range. False when no more are wanted.
fn take(data: Bytes, range: Range, read: &mut Read) -> bool {
    let (mut start, mut end) = (None, 0);
    let mut at = 0;
    let mut more = true;
    for batch in batches(&data) {
        let size = batch.size_bytes;
        if batch.last_offset() >= range.upto.0 {
            more = false;
            break;
        }
        if batch.last_offset() >= range.from.0 {
            let first = start.is_none() && read.chunks.is_empty();
            let so_far = (end - start.unwrap_or(end)) as u64;
            if !first && read.bytes + so_far + size as u64 > range.max_bytes {
                more = false;
                break;
            }
            start.get_or_insert(at);
            end = at + size;
        }
        at += size;
    }
    if let Some(start) = start {
        read.bytes += (end - start) as u64;
        read.chunks.push(data.slice(start..end));
    }
    more && read.bytes < range.max_bytes
}

/// The headers of an entry's batches. They were checked when they came in.
fn batches(data: &[u8]) -> impl Iterator<Item = BatchHeader> + '_ {
    let mut rest = data;
    std::iter::from_fn(move || {
        let header = BatchHeader::decode(rest).ok()?;
        rest = rest.get(header.size_bytes..)?;
        Some(header)
    })
}
