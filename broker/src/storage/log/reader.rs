//! Reads entries by their place, beside the writer.

use super::blocks::refuse;
use super::format::{self, NoRecord};
use super::segment::{Live, Segment};
use super::{Error, Located, Record};
use crate::raft::ports::GroupId;
use bytes::Bytes;
use raft::eraftpb::Entry;
use std::sync::Arc;

/// Neighbours with at most so much between them are read in one go: what is there then is other groups' entries.
const GAP_BYTES: u64 = 16 * 1024;
/// One read is at most so long, unless a single entry is longer.
const READ_BYTES: u64 = 1 << 20;

/// A handle for many threads; it holds no lock while it reads.
#[derive(Clone)]
pub struct LogReader {
    live: Live,
}

impl LogReader {
    pub(super) fn new(live: Live) -> LogReader {
        LogReader { live }
    }

    /// The entry at `located`, which must be entry `index` of `group`.
    pub fn read(&self, located: Located, group: GroupId, index: u64) -> Result<Entry, Error> {
        let segment = self.segment(located)?;
        let offset = located.position.offset;
        let bytes = self.bytes(&segment, u64::from(offset), u64::from(located.len))?;
        self.entry(&segment, located, &bytes, 0, group, index)
    }

    /// The entries of `group` from `first_index` on, one for each place. Data and context of entries that lie close together
    /// share one buffer, which lives as long as any of them.
    pub fn read_run(
        &self,
        run: &[Located],
        group: GroupId,
        first_index: u64,
    ) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::with_capacity(run.len());
        while let Some(first) = run.get(entries.len()) {
            let segment = self.segment(*first)?;
            let start = u64::from(first.position.offset);
            let (count, end) = adjacent(&run[entries.len()..]);
            let bytes = self.bytes(&segment, start, end - start)?;
            for located in &run[entries.len()..entries.len() + count] {
                let at = (u64::from(located.position.offset) - start) as usize;
                let index = first_index + entries.len() as u64;
                entries.push(self.entry(&segment, *located, &bytes, at, group, index)?);
            }
        }
        Ok(entries)
    }

    fn segment(&self, located: Located) -> Result<Arc<Segment>, Error> {
        let segment = located.position.segment;
        self.live.get(segment).ok_or(Error::Gone { segment })
    }

    fn bytes(&self, segment: &Segment, offset: u64, len: u64) -> Result<Bytes, Error> {
        if offset.saturating_add(len) > segment.len {
            let reason = format!("{len} bytes reach beyond the end of the segment");
            return Err(self.blame(segment, Error::corrupt(&segment.name, offset, reason)));
        }
        let mut bytes = vec![0; len as usize];
        match segment.file.read_at(&mut bytes, offset) {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(error) => Err(self.blame(segment, Error::io("read", &segment.name, &error))),
        }
    }

    /// Checks and decodes the entry that begins at `at` in `bytes`.
    fn entry(
        &self,
        segment: &Segment,
        located: Located,
        bytes: &Bytes,
        at: usize,
        group: GroupId,
        index: u64,
    ) -> Result<Entry, Error> {
        let record = format::check_record(bytes, at, segment.header.record_seed())
            .and_then(|range| match range.len() == located.len as usize {
                true => format::decode_checked(&bytes.slice(range)),
                false => Err(NoRecord::Invalid("the record has another length")),
            })
            .and_then(|record| match record {
                Record::Entry { group: g, entry } if g == group && entry.index == index => {
                    Ok(entry)
                }
                _ => Err(NoRecord::Invalid("the record is not the entry asked for")),
            });
        let offset = u64::from(located.position.offset);
        record.map_err(|fault| self.blame(segment, refuse(&segment.name, offset, fault)))
    }

    /// The file of a segment that was released meanwhile may be another segment's by now: then nothing is wrong with it.
    fn blame(&self, segment: &Segment, error: Error) -> Error {
        let segment = segment.header.number;
        match self.live.get(segment) {
            Some(_) => error,
            None => Error::Gone { segment },
        }
    }
}

/// How many of the leading places are read in one go, and where the last of them ends.
fn adjacent(run: &[Located]) -> (usize, u64) {
    let place = |l: &Located| {
        let start = u64::from(l.position.offset);
        (l.position.segment, start, start + u64::from(l.len))
    };
    let mut count = 0;
    let mut read = None;
    for located in run {
        let (segment, start, end) = place(located);
        match read {
            None => read = Some((segment, start, end)),
            Some((s, from, to))
                if s == segment
                    && start >= to
                    && start - to <= GAP_BYTES
                    && end - from <= READ_BYTES =>
            {
                read = Some((s, from, end));
            }
            Some(_) => break,
        }
        count += 1;
    }
    (count, read.map_or(0, |(_, _, end)| end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::storage::disk::TwinDisk;
    use crate::storage::log::{LogOptions, SharedLog};
    use std::convert::Infallible;

    fn entry(index: u64) -> Record {
        let entry = Entry {
            index,
            data: Bytes::from(vec![index as u8; 3000]),
            ..Entry::default()
        };
        let group = GroupId(1);
        Record::Entry { group, entry }
    }

    #[test]
    fn a_file_that_is_recycled_during_a_read_is_not_called_damaged() {
        let options = LogOptions {
            segment_bytes: 8192,
            spare_segments: 2,
        };
        let disk = Arc::new(TwinDisk::new());
        let opened = SharedLog::open(disk, options, 1, &mut |_, _| Ok::<(), Infallible>(()));
        let mut log = opened.unwrap();
        let located = log.append(&[entry(1)]).unwrap()[0];
        let reader = log.reader();
        let segment = reader.segment(located).unwrap();
        for index in 2..6 {
            log.append(&[entry(index)]).unwrap();
        }
        log.release_below(log.active_segment()).unwrap();
        log.append(&[entry(6)]).unwrap();
        log.append(&[entry(7)]).unwrap();
        let offset = u64::from(located.position.offset);
        let bytes = reader
            .bytes(&segment, offset, u64::from(located.len))
            .unwrap();
        assert!(bytes.ends_with(&[7]), "the file was not recycled");
        let read = reader.entry(&segment, located, &bytes, 0, GroupId(1), 1);
        assert_eq!(read, Err(Error::Gone { segment: 1 }));
    }
}
