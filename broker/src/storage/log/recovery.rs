//! What of a directory is valid: decides between a torn tail, which is cut, and damage, which is an error.
//!
//! Every segment but the last is valid up to the end that its successor's header states. The last one is valid up to its
//! first invalid block, unless a later block says that this place was durable already. (The very last blocks before a crash
//! have nobody to say so: damage to them looks like a tear and is cut.)

use super::blocks::{Block, Blocks, Found};
use super::format::{ALIGNMENT, BLOCK_HEADER_LEN, BlockHeader, NoHeader, SegmentHeader};
use super::format::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED};
use super::segment::{self, FileName, Live, Segment, Spares};
use super::{Error, Located, LogOptions, Position, Record};
use crate::storage::disk::Disk;
use bytes::Bytes;
use std::fmt::Display;
use std::sync::Arc;
use tracing::warn;

/// How much is read at once where there is no block to say it.
const CHUNK_BYTES: u64 = 1 << 20;

pub(super) type Replay<'a, E> = &'a mut dyn FnMut(Located, Record) -> Result<(), E>;

/// A log whose valid part was replayed and is durable.
pub(super) struct Recovered {
    pub live: Live,
    pub spares: Spares,
    /// The number of the segment to start, and the valid end of the one before.
    pub next_number: u64,
    pub previous_end: u32,
}

pub(super) fn recover<E: Display>(
    disk: &Arc<dyn Disk>,
    options: &LogOptions,
    replay: Replay<'_, E>,
) -> Result<Recovered, Error> {
    let (numbers, spares) = list(disk, options)?;
    let live = Live::default();
    let mut next_number = numbers.first().copied().unwrap_or(1);
    for number in &numbers {
        if *number != next_number {
            let missing = segment::name(next_number);
            return Err(Error::corrupt(&missing, 0, "the segment is missing"));
        }
        let is_last = Some(number) == numbers.last();
        if let Some(opened) = open_segment(&**disk, *number, is_last)? {
            live.write().insert(*number, Arc::new(opened));
            next_number += 1;
        }
    }

    let segments: Vec<Arc<Segment>> = live.read().values().cloned().collect();
    for pair in segments.windows(2) {
        replay_closed(&pair[0], pair[1].header.previous_end, replay)?;
    }
    let mut previous_end = 0;
    if let Some(last) = segments.last() {
        // Even if nothing in it is valid its number is not used again: a place in it may have been noted elsewhere as "no later
        // record lies before this".
        let tail = replay_last(last, replay)?;
        let settled = settle(last, &tail)?;
        live.write()
            .insert(settled.header.number, Arc::new(settled));
        previous_end = tail.end as u32;
    }
    Ok(Recovered {
        live,
        spares,
        next_number,
        previous_end,
    })
}

/// The numbers of the segments, ascending, and the spares.
fn list(disk: &Arc<dyn Disk>, options: &LogOptions) -> Result<(Vec<u64>, Spares), Error> {
    let names = disk
        .list()
        .map_err(|error| Error::io("list", "the log's directory", &error))?;
    let mut numbers = Vec::new();
    let mut spare_numbers = Vec::new();
    for name in names {
        match segment::parse_name(&name) {
            Some(FileName::Segment(number)) => numbers.push(number),
            Some(FileName::Spare(number)) => spare_numbers.push(number),
            None => {}
        }
    }
    numbers.sort_unstable();
    spare_numbers.sort_unstable();
    let mut spares = Spares::new(Arc::clone(disk), options.segment_bytes);
    for number in spare_numbers {
        spares.adopt(number, options.spare_segments.max(1))?;
    }
    Ok((numbers, spares))
}

/// `None` if it was the last one and only half-made, and is gone now.
fn open_segment(disk: &dyn Disk, number: u64, is_last: bool) -> Result<Option<Segment>, Error> {
    let name = segment::name(number);
    let file = disk
        .open(&name)
        .map_err(|error| Error::io("open", &name, &error))?;
    let len = file
        .len()
        .map_err(|error| Error::io("measure", &name, &error))?;
    let mut bytes = [0; SEGMENT_HEADER_USED];
    if len >= SEGMENT_HEADER_LEN {
        file.read_at(&mut bytes, 0)
            .map_err(|error| Error::io("read", &name, &error))?;
    }
    let header = match SegmentHeader::decode(&bytes) {
        Ok(header) if header.number == number => Some(header),
        Ok(_) | Err(NoHeader::Invalid) => None,
        Err(NoHeader::UnknownVersion(version)) => {
            return Err(Error::UnknownVersion {
                file: name,
                version,
            });
        }
    };
    if let Some(header) = header {
        return Ok(Some(Segment {
            name,
            header,
            len: len.min(u64::from(u32::MAX)),
            file,
        }));
    }
    // A header is durable before the first block is written: with a block of this number it was there once.
    let blocks = Segment {
        name,
        header: SegmentHeader {
            number,
            salt: 0,
            previous_end: 0,
        },
        len,
        file,
    };
    if !is_last || later_blocks(&blocks, SEGMENT_HEADER_LEN, None)?.is_some() {
        let reason = "the segment's header is invalid";
        return Err(Error::corrupt(&blocks.name, 0, reason));
    }
    segment::remove(disk, &blocks.name)?;
    Ok(None)
}

fn replay_closed<E: Display>(
    segment: &Segment,
    end: u32,
    replay: Replay<'_, E>,
) -> Result<(), Error> {
    let end = u64::from(end);
    if !(SEGMENT_HEADER_LEN..=segment.len).contains(&end) {
        let reason = format!("the file ends here, its records are said to end at {end}");
        return Err(Error::corrupt(&segment.name, segment.len, reason));
    }
    let read = |offset, len| read(segment, offset, len);
    let blocks = Blocks {
        file: &segment.name,
        header: segment.header,
        limit: end,
        read: &read,
    };
    let mut at = SEGMENT_HEADER_LEN;
    while at < end {
        match blocks.at(at)? {
            Found::Block(block) => at = deliver(segment, block, replay)?,
            Found::Nothing { at, reason } => {
                return Err(Error::corrupt(&segment.name, at, reason));
            }
        }
    }
    Ok(())
}

/// Where the last segment's valid blocks end, and up to where they were known to be durable when they were written.
struct Tail {
    end: u64,
    synced: u64,
}

fn replay_last<E: Display>(segment: &Segment, replay: Replay<'_, E>) -> Result<Tail, Error> {
    let read = |offset, len| read(segment, offset, len);
    let blocks = Blocks {
        file: &segment.name,
        header: segment.header,
        limit: segment.len,
        read: &read,
    };
    let mut tail = Tail {
        end: SEGMENT_HEADER_LEN,
        synced: SEGMENT_HEADER_LEN,
    };
    let (fault, reason) = loop {
        match blocks.at(tail.end)? {
            Found::Block(block) => {
                tail.synced = tail.synced.max(block.synced);
                tail.end = deliver(segment, block, replay)?;
            }
            Found::Nothing { at, reason } => break (at, reason),
        }
    };
    // The block at the fault itself was written before anything there could be durable: it has no say.
    if let Some(later) = later_blocks(segment, tail.end, Some(segment.header.salt))? {
        if later.synced > tail.end {
            return Err(Error::corrupt(&segment.name, fault, reason));
        }
        let file = &segment.name;
        let (position, bytes) = (tail.end, later.end - tail.end);
        warn!(file, position, bytes, "cuts the torn tail of the log");
    }
    Ok(tail)
}

/// Hands on the records of one block and returns where the next may begin.
fn deliver<E: Display>(
    segment: &Segment,
    block: Block,
    replay: Replay<'_, E>,
) -> Result<u64, Error> {
    for (offset, len, record) in block.records {
        let position = Position {
            segment: segment.header.number,
            offset,
        };
        replay(Located { position, len }, record).map_err(|error| Error::Refused {
            file: segment.name.clone(),
            offset: u64::from(offset),
            reason: error.to_string(),
        })?;
    }
    Ok(block.next)
}

/// Intact headers of blocks of one segment, put together.
struct Later {
    synced: u64,
    end: u64,
}

/// Looks for headers of this segment's blocks (with this salt, if it is known) anywhere from `from` on.
fn later_blocks(segment: &Segment, from: u64, salt: Option<u64>) -> Result<Option<Later>, Error> {
    let mut later: Option<Later> = None;
    headers(segment, from, salt, &mut |block| {
        let (synced, end) = later.as_ref().map_or((0, 0), |l| (l.synced, l.end));
        later = Some(Later {
            synced: synced.max(u64::from(block.synced)),
            end: end.max(block.end()),
        });
    })?;
    Ok(later)
}

/// Visits them in their order.
pub(super) fn headers(
    segment: &Segment,
    from: u64,
    salt: Option<u64>,
    visit: &mut dyn FnMut(BlockHeader),
) -> Result<(), Error> {
    let mut chunk_start = from;
    while chunk_start + BLOCK_HEADER_LEN as u64 <= segment.len {
        // Chunks overlap by what a header that begins at a chunk's last place needs.
        let chunk_end = segment.len.min(chunk_start + CHUNK_BYTES);
        let chunk = read(segment, chunk_start, (chunk_end - chunk_start) as usize)?;
        let mut at = 0;
        while at + BLOCK_HEADER_LEN <= chunk.len() {
            let offset = chunk_start + at as u64;
            let block = BlockHeader::decode(&chunk[at..], segment.header.number, offset);
            if let Some(block) = block.filter(|b| salt.is_none_or(|salt| b.salt == salt)) {
                visit(block);
            }
            at += ALIGNMENT as usize;
        }
        chunk_start += at as u64;
    }
    Ok(())
}

/// Makes the valid part of the last segment durable and gives the rest of its space back.
///
/// A read after the death of a process tells what is in the page cache, not what is on disk; and after a failed sync the
/// cache holds pages that no later sync would write. So everything not known to be durable is written again first.
fn settle(last: &Segment, tail: &Tail) -> Result<Segment, Error> {
    // The header was synced before the first block was written; without a block nothing says that it ever was.
    let mut at = match tail.end {
        SEGMENT_HEADER_LEN => 0,
        end => tail.synced.min(end),
    };
    while at < tail.end {
        let bytes = read(last, at, (tail.end - at).min(CHUNK_BYTES) as usize)?;
        last.file
            .write_at(&bytes, at)
            .map_err(|error| Error::io("write", &last.name, &error))?;
        at += bytes.len() as u64;
    }
    last.file
        .sync()
        .map_err(|error| Error::io("sync", &last.name, &error))?;
    if tail.end < last.len {
        last.file
            .set_len(tail.end)
            .map_err(|error| Error::io("cut", &last.name, &error))?;
    }
    Ok(Segment {
        name: last.name.clone(),
        header: last.header,
        len: tail.end,
        file: Arc::clone(&last.file),
    })
}

/// `len` is at most what the file holds: it was checked against the file's own length.
pub(super) fn read(segment: &Segment, offset: u64, len: usize) -> Result<Bytes, Error> {
    let mut bytes = vec![0; len];
    segment
        .file
        .read_at(&mut bytes, offset)
        .map_err(|error| Error::io("read", &segment.name, &error))?;
    Ok(Bytes::from(bytes))
}
