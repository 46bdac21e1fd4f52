//! Reads blocks front to back, from a file or from memory.

use super::format::{self, BLOCK_HEADER_LEN, BlockHeader, NoHeader, NoRecord, SegmentHeader};
use super::format::{SEGMENT_HEADER_LEN, SEGMENT_HEADER_USED};
use super::{Error, Record};
use bytes::Bytes;

/// The part of one segment in which blocks may lie.
pub(super) struct Blocks<'a> {
    pub file: &'a str,
    pub header: SegmentHeader,
    /// No block reaches beyond.
    pub limit: u64,
    /// Reads so many bytes at an offset; both lie below `limit`.
    pub read: &'a dyn Fn(u64, usize) -> Result<Bytes, Error>,
}

/// What is at a place where a block could begin.
pub(super) enum Found {
    Block(Block),
    /// No intact block; `at` is where the fault is.
    Nothing {
        at: u64,
        reason: &'static str,
    },
}

pub(super) struct Block {
    pub synced: u64,
    /// Where the next block may begin.
    pub next: u64,
    /// Each record with its offset in the file and its length.
    pub records: Vec<(u32, u32, Record)>,
}

impl Blocks<'_> {
    pub(super) fn at(&self, at: u64) -> Result<Found, Error> {
        let nothing = |at, reason| Ok(Found::Nothing { at, reason });
        if at + BLOCK_HEADER_LEN as u64 > self.limit {
            return nothing(at, "the block is cut off");
        }
        let bytes = (self.read)(at, BLOCK_HEADER_LEN)?;
        let Some(block) = BlockHeader::decode(&bytes, self.header.number, at)
            .filter(|block| block.salt == self.header.salt)
        else {
            return nothing(at, "the block's header is invalid");
        };
        if block.end() > self.limit {
            return nothing(at, "the block is longer than the segment");
        }
        let start = at + BLOCK_HEADER_LEN as u64;
        let body = (self.read)(start, block.body_len as usize)?;
        match format::decode_body(&body, block.records, self.header.record_seed()) {
            Ok(records) => Ok(Found::Block(Block {
                synced: u64::from(block.synced),
                next: format::align(block.end()),
                records: records
                    .into_iter()
                    .map(|(range, record)| {
                        let offset = start as u32 + range.start as u32;
                        (offset, range.len() as u32, record)
                    })
                    .collect(),
            })),
            Err((offset, fault)) => {
                let offset = start + offset as u64;
                match fault {
                    NoRecord::Invalid(reason) => nothing(offset, reason),
                    fault => Err(refuse(self.file, offset, fault)),
                }
            }
        }
    }
}

/// The error for a record that cannot be used where it must be.
pub(super) fn refuse(file: &str, offset: u64, fault: NoRecord) -> Error {
    match fault {
        NoRecord::UnknownKind(kind) => Error::UnknownKind {
            file: file.to_owned(),
            offset,
            kind,
        },
        NoRecord::Invalid(reason) | NoRecord::Malformed(reason) => {
            Error::corrupt(file, offset, reason)
        }
    }
}

/// Visits the records of the image of one segment up to its first invalid block, and returns where that is.
/// For tools and fuzzing: whether the end is a torn tail or damage is for [`super::SharedLog::open`] to say.
pub fn replay_bytes(image: &Bytes, visit: &mut dyn FnMut(u32, Record)) -> Result<u32, Error> {
    let file = "segment image";
    let used = image.first_chunk::<SEGMENT_HEADER_USED>();
    let header = match used.map(SegmentHeader::decode) {
        Some(Ok(header)) => header,
        Some(Err(NoHeader::UnknownVersion(version))) => {
            let file = file.to_owned();
            return Err(Error::UnknownVersion { file, version });
        }
        Some(Err(NoHeader::Invalid)) | None => {
            return Err(Error::corrupt(file, 0, "the segment's header is invalid"));
        }
    };
    let blocks = Blocks {
        file,
        header,
        limit: image.len().min(u32::MAX as usize) as u64,
        read: &|offset, len| Ok(image.slice(offset as usize..offset as usize + len)),
    };
    let mut at = SEGMENT_HEADER_LEN;
    while let Found::Block(block) = blocks.at(at)? {
        for (offset, _, record) in block.records {
            visit(offset, record);
        }
        at = block.next;
    }
    Ok(at.min(blocks.limit) as u32)
}
