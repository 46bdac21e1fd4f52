//! Append, sync, roll, release.

use super::format::{self, BLOCK_HEADER_LEN, BlockHeader, SEGMENT_HEADER_LEN, SegmentHeader};
use super::recovery::{Recovered, recover};
use super::segment::{self, Live, Segment, Spares};
use super::{Error, Located, LogOptions, LogReader, Position, Record, RecordRef};
use crate::storage::disk::Disk;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use tracing::warn;

/// The write buffer is kept for the next block unless one huge block made it larger than this.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

pub struct SharedLog {
    options: LogOptions,
    salt_seed: u64,
    live: Live,
    spares: Spares,
    /// The segment that is written to; none yet if there was no room for it when the log was opened.
    active: Option<Active>,
    /// The number of the segment after the active one, and the valid end of its predecessor if there is no active one.
    next_number: u64,
    previous_end: u32,
    buffer: Vec<u8>,
    poisoned: bool,
}

struct Active {
    segment: Arc<Segment>,
    // SEGMENT_HEADER_LEN <= synced <= end <= segment.len
    synced: u64,
    end: u64,
}

/// One block to write: which records, how long they are, and whether a new segment is started for them.
struct Planned {
    records: Range<usize>,
    body_len: u64,
    roll: bool,
}

impl SharedLog {
    /// Replays what is on `disk` in the order in which it was appended, makes it durable, and starts a new segment.
    /// `salt_seed` should be random. An entry's bytes are slices of a whole block: copy what you keep.
    pub fn open<E: Display>(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        salt_seed: u64,
        replay: &mut dyn FnMut(Located, Record) -> Result<(), E>,
    ) -> Result<SharedLog, Error> {
        let segment_bytes = options.segment_bytes;
        if !segment_bytes.is_multiple_of(SEGMENT_HEADER_LEN)
            || segment_bytes < 2 * SEGMENT_HEADER_LEN
            || segment_bytes > u64::from(u32::MAX)
        {
            return Err(Error::SegmentBytes { segment_bytes });
        }
        let Recovered {
            live,
            spares,
            next_number,
            previous_end,
        } = recover(&disk, &options, replay)?;
        let mut log = SharedLog {
            options,
            salt_seed,
            live,
            spares,
            active: None,
            next_number,
            previous_end,
            buffer: Vec::new(),
            poisoned: false,
        };
        match log.roll() {
            Ok(()) => Ok(log),
            // The owner may have something to release; until then appending says `Full` too.
            Err(error @ Error::Full { .. }) => {
                warn!(%error, "opens the log without a segment to write to");
                Ok(log)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes `records` in one block, or in several if they do not fit the rest of the segment. They are readable at the
    /// returned places at once, and durable after the next [`SharedLog::sync`]. On `Full` and `TooLarge` nothing was written.
    pub fn append(&mut self, records: &[Record]) -> Result<Vec<Located>, Error> {
        let records: Vec<RecordRef<'_>> = records.iter().map(Record::borrow).collect();
        self.append_borrowed(&records)
    }

    /// The same without owning the records.
    pub fn append_borrowed(&mut self, records: &[RecordRef<'_>]) -> Result<Vec<Located>, Error> {
        self.check_poison()?;
        let (planned, lens) = self.plan(records)?;
        let rolls = planned.iter().filter(|block| block.roll).count();
        let written = self.spares.provide(rolls).and_then(|()| {
            let mut located = Vec::with_capacity(records.len());
            for block in planned {
                if block.roll {
                    self.roll()?;
                }
                let (records, lens) = (
                    &records[block.records.clone()],
                    &lens[block.records.clone()],
                );
                self.write_block(records, lens, block.body_len, &mut located)?;
            }
            Ok(located)
        });
        self.poison_on_failure(written)
    }

    /// Makes everything appended so far durable.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.check_poison()?;
        let synced = self.sync_active();
        self.poison_on_failure(synced)
    }

    pub fn reader(&self) -> LogReader {
        LogReader::new(self.live.clone())
    }

    pub fn oldest_segment(&self) -> u64 {
        let oldest = self.live.read().keys().next().copied();
        oldest.unwrap_or(self.next_number)
    }

    /// The segment that the next record goes to, unless it does not fit any more.
    pub fn active_segment(&self) -> u64 {
        let active = self.active.as_ref();
        active.map_or(self.next_number, |active| active.segment.header.number)
    }

    /// No later record lies before this.
    pub fn position(&self) -> Position {
        let offset = self.active.as_ref().map_or(0, |active| active.end as u32);
        Position {
            segment: self.active_segment(),
            offset,
        }
    }

    /// The sizes of all segments' files; spare ones are not counted.
    pub fn bytes_in_use(&self) -> u64 {
        self.live.read().values().map(|segment| segment.len).sum()
    }

    /// Makes sure that the next segment does not depend on free space. Rolling does so too, if there is room then.
    pub fn reserve(&mut self) -> Result<(), Error> {
        self.check_poison()?;
        let provided = self.spares.provide(1);
        self.poison_on_failure(provided)
    }

    /// Gives up all segments below `segment`, but never the newest one. What was appended is made durable first: it may
    /// well be what replaces the released records.
    pub fn release_below(&mut self, segment: u64) -> Result<(), Error> {
        self.check_poison()?;
        let released = self.sync_active().and_then(|()| self.release(segment));
        self.poison_on_failure(released)
    }

    fn release(&mut self, segment: u64) -> Result<(), Error> {
        loop {
            let oldest = {
                let live = self.live.read();
                let newest = live.keys().next_back().copied().unwrap_or(0);
                let below = segment.min(newest);
                live.values()
                    .next()
                    .filter(|s| s.header.number < below)
                    .cloned()
            };
            let Some(oldest) = oldest else {
                return Ok(());
            };
            // First it is gone for readers: a file that is a spare may become another segment.
            self.live.write().remove(&oldest.header.number);
            self.spares
                .recycle(&oldest, self.options.spare_segments.max(1))?;
        }
    }

    /// The blocks, and the length of each record.
    fn plan(&self, records: &[RecordRef<'_>]) -> Result<(Vec<Planned>, Vec<u32>), Error> {
        let limit_bytes = self.options.segment_bytes - SEGMENT_HEADER_LEN - BLOCK_HEADER_LEN as u64;
        let mut planned: Vec<Planned> = Vec::new();
        let mut lens = Vec::with_capacity(records.len());
        // What the open block can still take; nothing while there is none.
        let mut room = 0;
        for (i, record) in records.iter().enumerate() {
            let record_bytes = format::record_len(*record);
            if record_bytes > limit_bytes {
                return Err(Error::TooLarge {
                    record_bytes,
                    limit_bytes,
                });
            }
            // A segment's size fits 32 bits.
            lens.push(record_bytes as u32);
            match planned.last_mut() {
                Some(block) if record_bytes <= room => {
                    block.records.end = i + 1;
                    block.body_len += record_bytes;
                }
                last => {
                    room = match (last, &self.active) {
                        (None, Some(active)) => active.room(),
                        _ => 0,
                    };
                    let roll = record_bytes > room;
                    if roll {
                        room = limit_bytes;
                    }
                    planned.push(Planned {
                        records: i..i + 1,
                        body_len: record_bytes,
                        roll,
                    });
                }
            }
            room -= record_bytes;
        }
        Ok((planned, lens))
    }

    fn write_block(
        &mut self,
        records: &[RecordRef<'_>],
        lens: &[u32],
        body_len: u64,
        located: &mut Vec<Located>,
    ) -> Result<(), Error> {
        let Some(active) = &mut self.active else {
            return Err(Error::Poisoned);
        };
        let segment = &active.segment;
        let header = BlockHeader {
            salt: segment.header.salt,
            number: segment.header.number,
            offset: active.end as u32,
            synced: active.synced as u32,
            records: records.len() as u32,
            body_len: body_len as u32,
        };
        let seed = segment.header.record_seed();
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.reserve(BLOCK_HEADER_LEN + body_len as usize + format::ALIGNMENT as usize);
        buffer.extend_from_slice(&header.encode());
        for (record, len) in records.iter().zip(lens) {
            let start = buffer.len();
            format::encode_record(*record, *len, seed, buffer);
            located.push(Located {
                position: Position {
                    segment: segment.header.number,
                    offset: active.end as u32 + start as u32,
                },
                len: *len,
            });
        }
        buffer.resize(format::align(buffer.len() as u64) as usize, 0);
        segment
            .file
            .write_at(buffer, active.end)
            .map_err(|error| Error::io("write", &segment.name, &error))?;
        active.end += buffer.len() as u64;
        if buffer.capacity() > KEPT_BUFFER_BYTES {
            *buffer = Vec::new();
        }
        Ok(())
    }

    /// Ends the active segment and starts the next.
    fn roll(&mut self) -> Result<(), Error> {
        self.sync_active()?;
        if let Some(active) = &self.active {
            self.previous_end = active.end as u32;
        }
        let number = self.next_number;
        let name = segment::name(number);
        let file = self.spares.take(&name)?;
        let header = SegmentHeader {
            number,
            salt: mix(self.salt_seed ^ mix(number)),
            previous_end: self.previous_end,
        };
        file.write_at(&header.encode(), 0)
            .map_err(|error| Error::io("write", &name, &error))?;
        file.sync()
            .map_err(|error| Error::io("sync", &name, &error))?;
        let segment = Arc::new(Segment {
            name,
            header,
            len: self.options.segment_bytes,
            file,
        });
        self.live.write().insert(number, Arc::clone(&segment));
        self.active = Some(Active {
            segment,
            synced: SEGMENT_HEADER_LEN,
            end: SEGMENT_HEADER_LEN,
        });
        self.next_number += 1;
        match self.spares.provide(1) {
            Err(error @ Error::Full { .. }) => {
                warn!(%error, "the next log segment depends on free space");
                Ok(())
            }
            provided => provided,
        }
    }

    fn sync_active(&mut self) -> Result<(), Error> {
        match &mut self.active {
            Some(active) if active.synced < active.end => {
                let segment = &active.segment;
                segment
                    .file
                    .sync()
                    .map_err(|error| Error::io("sync", &segment.name, &error))?;
                active.synced = active.end;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_poison(&self) -> Result<(), Error> {
        match self.poisoned {
            true => Err(Error::Poisoned),
            false => Ok(()),
        }
    }

    /// A failed sync must never be tried again (the kernel may have dropped the pages), and nothing may be written behind a
    /// block that may be torn.
    fn poison_on_failure<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Err(Error::Io { .. })) {
            self.poisoned = true;
        }
        result
    }
}

impl Active {
    /// How long the records of one more block may be.
    fn room(&self) -> u64 {
        let used = self.end + BLOCK_HEADER_LEN as u64;
        self.segment.len.saturating_sub(used)
    }
}

/// SplitMix64's finalizer: different numbers give different salts under any seed.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
