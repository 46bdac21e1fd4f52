//! Reading one segment's file for tools: beside whoever may be writing it, without changing anything, and on behind damage.

use super::blocks::{Blocks, Found};
use super::format::{self, NoHeader, SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED, SegmentHeader};
use super::recovery::{headers, read};
use super::segment::{self, FileName, Segment};
use super::{Error, Located, Position, Record};
use crate::storage::disk::DiskFile;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment's file, open for reading only.
pub struct SegmentFile {
    pub path: PathBuf,
    segment: Segment,
    /// Where its blocks end, if the segment behind it says so.
    closed_at: Option<u64>,
    has_header: bool,
}

/// What else was found on the way through a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records that are no more: where, and what is wrong there.
    pub damage: Vec<Damage>,
    /// Where the valid blocks end, and how many bytes of a block that was not written to its end follow: a torn tail, which
    /// the next start of a broker cuts.
    pub torn: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub position: u64,
    pub reason: String,
}

/// Why a file is none of a shared log's segments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("it is no segment of a shared log")]
    Foreign,
    #[error("it is a spare segment: it holds nothing")]
    Spare,
    #[error(transparent)]
    Log(#[from] Error),
}

impl SegmentFile {
    /// A file whose header is damaged is opened all the same if its name is a segment's and blocks of that number are in it.
    pub fn open(path: &Path) -> Result<SegmentFile, OpenError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let named = match name.and_then(segment::parse_name) {
            Some(FileName::Segment(number)) => Some(number),
            Some(FileName::Spare(_)) => return Err(OpenError::Spare),
            None => None,
        };
        let shown = path.display().to_string();
        let io = |action| {
            let shown = shown.clone();
            move |error: io::Error| Error::io(action, &shown, &error)
        };
        let file = File::open(path).map_err(io("open"))?;
        let len = file.metadata().map_err(io("measure"))?.len();
        let mut bytes = [0; SEGMENT_HEADER_USED];
        if len >= SEGMENT_HEADER_LEN {
            file.read_exact_at(&mut bytes, 0).map_err(io("read"))?;
        }
        let decoded = match SegmentHeader::decode(&bytes) {
            Ok(header) => Some(header),
            Err(NoHeader::Invalid) => None,
            Err(NoHeader::UnknownVersion(version)) => {
                let file = shown.clone();
                return Err(Error::UnknownVersion { file, version }.into());
            }
        };
        let guessed = || {
            Some(SegmentHeader {
                number: named?,
                salt: 0,
                previous_end: 0,
            })
        };
        let mut segment = Segment {
            name: shown.clone(),
            header: decoded.or_else(guessed).ok_or(OpenError::Foreign)?,
            len: len.min(u64::from(u32::MAX)),
            file: Arc::new(ReadOnly(file)),
        };
        if decoded.is_none() {
            let mut salt = None;
            headers(&segment, SEGMENT_HEADER_LEN, None, &mut |block| {
                salt.get_or_insert(block.salt);
            })?;
            segment.header.salt = salt.ok_or(OpenError::Foreign)?;
        }
        let number = segment.header.number;
        let closed_at = number.checked_add(1).and_then(|next| {
            let successor = path.with_file_name(segment::name(next));
            let header = header_of(&File::open(successor).ok()?)?;
            (header.number == next).then_some(u64::from(header.previous_end))
        });
        Ok(SegmentFile {
            path: path.to_owned(),
            segment,
            closed_at,
            has_header: decoded.is_some(),
        })
    }

    pub fn number(&self) -> u64 {
        self.segment.header.number
    }

    /// Visits all intact records front to back, also those behind damage.
    pub fn visit(&self, visit: &mut dyn FnMut(Located, Record)) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        if !self.has_header {
            findings.found(0, "the segment's header is invalid");
        }
        let segment = &self.segment;
        let mut limit = segment.len;
        if let Some(end) = self.closed_at {
            if end > segment.len {
                let reason = format!("the file ends here, its records are said to end at {end}");
                findings.found(segment.len, &reason);
            }
            limit = limit.min(end);
        }
        let blocks = Blocks {
            file: &segment.name,
            header: segment.header,
            limit,
            read: &|offset, len| read(segment, offset, len),
        };
        let mut at = SEGMENT_HEADER_LEN;
        while at < limit {
            let (fault, reason) = match blocks.at(at) {
                Ok(Found::Block(block)) => {
                    for (offset, len, record) in block.records {
                        let segment = segment.header.number;
                        let position = Position { segment, offset };
                        visit(Located { position, len }, record);
                    }
                    at = block.next;
                    continue;
                }
                Ok(Found::Nothing { at, reason }) => (at, reason.to_owned()),
                Err(Error::Corrupt { offset, reason, .. }) => (offset, reason),
                Err(Error::UnknownKind { offset, kind, .. }) => {
                    (offset, format!("a record of unknown kind {kind}"))
                }
                Err(error) => return Err(error),
            };
            let Some(next) = self.behind(at, fault, reason, &mut findings)? else {
                break;
            };
            at = next;
        }
        if !findings.damage.is_empty() {
            self.refuse_recycled()?;
        }
        Ok(findings)
    }

    /// Says what there is at `at`, where no block can be read, and where the next intact one begins.
    fn behind(
        &self,
        at: u64,
        fault: u64,
        reason: String,
        findings: &mut Findings,
    ) -> Result<Option<u64>, Error> {
        let (mut next, mut synced, mut end) = (None, 0, 0);
        let salt = self.segment.header.salt;
        headers(&self.segment, at, Some(salt), &mut |block| {
            let offset = u64::from(block.offset);
            if offset > at {
                next.get_or_insert(offset);
            }
            synced = synced.max(u64::from(block.synced));
            end = end.max(block.end());
        })?;
        // As recovery decides it: what was durable when a later block was written cannot be a tear.
        if self.closed_at.is_some() || synced > at {
            findings.found(fault, &reason);
            return Ok(next);
        }
        if end > at {
            findings.torn = Some((at, end.min(self.segment.len) - at));
        }
        Ok(None)
    }

    /// A broker that runs may have given the file to another segment meanwhile: then nothing is wrong with it.
    fn refuse_recycled(&self) -> Result<(), Error> {
        let mut bytes = [0; SEGMENT_HEADER_USED];
        let file = &self.segment.file;
        file.read_at(&mut bytes, 0)
            .map_err(|error| Error::io("read", &self.segment.name, &error))?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) if header != self.segment.header => Err(Error::Gone {
                segment: self.number(),
            }),
            _ => Ok(()),
        }
    }

    /// The record at a place that [`SegmentFile::visit`] told of.
    pub fn record(&self, located: Located) -> Result<Record, Error> {
        let offset = u64::from(located.position.offset);
        let bytes = read(&self.segment, offset, located.len as usize)?;
        format::check_record(&bytes, 0, self.segment.header.record_seed())
            .and_then(|range| format::decode_checked(&bytes.slice(range)))
            .map_err(|fault| super::blocks::refuse(&self.segment.name, offset, fault))
    }
}

impl Findings {
    fn found(&mut self, position: u64, reason: &str) {
        let reason = reason.to_owned();
        self.damage.push(Damage { position, reason });
    }
}

fn header_of(file: &File) -> Option<SegmentHeader> {
    let mut bytes = [0; SEGMENT_HEADER_USED];
    file.read_exact_at(&mut bytes, 0).ok()?;
    SegmentHeader::decode(&bytes).ok()
}

/// Whoever only looks writes nothing.
struct ReadOnly(File);

impl DiskFile for ReadOnly {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
