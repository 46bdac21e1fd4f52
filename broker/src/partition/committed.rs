//! The state that every replica of a partition reaches from the same committed entries, and its snapshot.
//!
//! **Invariant:** nothing here looks at a clock, refuses a client, or depends on who leads.

use super::aborted::{Aborted, AbortedTransaction};
use super::codec::{DecodeError, Reader};
use super::epochs::{Epochs, leader_epoch_of};
use super::producers::Producers;
use super::tracked::{TrackError, Tracked, track};
use crate::storage::entry::{EntryHeader, EntryKind, HeaderError, SnapshotHeader};
use crate::storage::ids::Offset;
use bytes::{BufMut, Bytes, BytesMut};
use crc32c::{crc32c, crc32c_append};
use millrace_wire::batch::{self, split};
use raft::eraftpb::{Entry, EntryType};

/// This replica's state or log can no longer be trusted; it goes offline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("entry {index}: {error}")]
    UnknownEntry { index: u64, error: HeaderError },
    #[error("entry {index} has term {term}, in which there is no leader epoch")]
    NoLeaderEpoch { index: u64, term: u64 },
    #[error("entry {index} begins at offset {found}, expected {expected}")]
    Gap {
        index: u64,
        expected: Offset,
        found: Offset,
    },
    #[error("entry {index} says that it ends at offset {claimed}, but its batches end at {found}")]
    Length {
        index: u64,
        claimed: Offset,
        found: Offset,
    },
    #[error(
        "entry {index} moves the log start to {found}, above the high watermark {high_watermark}"
    )]
    LogStart {
        index: u64,
        found: Offset,
        high_watermark: Offset,
    },
    #[error("entry {index} at byte {position}: {error}")]
    Batch {
        index: u64,
        position: usize,
        error: batch::Error,
    },
    #[error("entry {index}, batch at offset {offset}: {error}")]
    Control {
        index: u64,
        offset: Offset,
        error: TrackError,
    },
    #[error("snapshot of a partition: {0}")]
    Snapshot(#[from] DecodeError),
}

/// What a raft entry holds for the partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: a new leader's empty entry, a membership change.
    Nothing,
    Batches {
        header: EntryHeader,
        batches: Vec<Tracked>,
    },
    LogStart(Offset),
}

impl Content {
    pub(super) fn read(entry: &Entry) -> Result<Content, Fault> {
        let index = entry.index;
        if entry.entry_type != EntryType::EntryNormal {
            return Ok(Content::Nothing);
        }
        let header = EntryHeader::decode(&entry.context);
        let Some(header) = header.map_err(|error| Fault::UnknownEntry { index, error })? else {
            return Ok(Content::Nothing);
        };
        match header.kind {
            EntryKind::LogStart => Ok(Content::LogStart(header.base_offset)),
            EntryKind::Batches => Ok(Content::Batches {
                header,
                batches: read_batches(index, &header, &entry.data)?,
            }),
        }
    }
}

fn read_batches(index: u64, header: &EntryHeader, data: &Bytes) -> Result<Vec<Tracked>, Fault> {
    let mut next = header.base_offset;
    let mut batches = Vec::with_capacity(1);
    for batch in split(data.clone()) {
        let batch = batch.map_err(|at| Fault::Batch {
            index,
            position: at.position,
            error: at.error,
        })?;
        let found = Offset(batch.header().base_offset);
        if found != next {
            return Err(Fault::Gap {
                index,
                expected: next,
                found,
            });
        }
        let tracked = track(&batch, found, batch.header().max_timestamp_ms);
        batches.push(tracked.map_err(|error| Fault::Control {
            index,
            offset: found,
            error,
        })?);
        next = Offset(batch.header().next_offset());
    }
    if next != header.next_offset() {
        return Err(Fault::Length {
            index,
            claimed: header.next_offset(),
            found: next,
        });
    }
    Ok(batches)
}

pub(super) fn leader_epoch(entry: &Entry) -> Result<i32, Fault> {
    leader_epoch_of(entry.term).ok_or(Fault::NoLeaderEpoch {
        index: entry.index,
        term: entry.term,
    })
}

/// What `apply` changed beyond the high watermark.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Producers that wrote.
    pub producer_ids: Vec<i64>,
    pub aborted: Vec<AbortedTransaction>,
    pub is_new_epoch: bool,
    pub is_new_log_start: bool,
}

/// `log_start <= last_stable <= high_watermark`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// The offset after the last committed record.
    pub high_watermark: Offset,
    pub log_start: Offset,
    /// The largest timestamp that was ever appended, or -1.
    pub max_timestamp_ms: i64,
    pub producers: Producers,
    pub epochs: Epochs,
    pub aborted: Aborted,
}

const VERSION: u8 = 1;

impl Committed {
    pub(super) fn empty() -> Committed {
        Committed {
            max_timestamp_ms: -1,
            ..Committed::default()
        }
    }

    /// Below it every transaction has ended. One that began below the log start no longer holds it back further.
    pub(super) fn last_stable(&self) -> Offset {
        self.producers
            .first_unstable()
            .map_or(self.high_watermark, |first| first.max(self.log_start))
    }

    pub(super) fn apply(&mut self, entry: &Entry) -> Result<Changes, Fault> {
        let epoch = leader_epoch(entry)?;
        let content = Content::read(entry)?;
        self.check(entry.index, &content)?;
        let mut changes = Changes {
            is_new_epoch: self.epochs.assign(epoch, self.high_watermark),
            ..Changes::default()
        };
        match content {
            Content::Nothing => {}
            Content::LogStart(offset) => {
                if offset > self.log_start {
                    self.log_start = offset;
                    self.epochs.truncate_from_start(offset);
                    self.aborted.truncate_from_start(offset);
                    changes.is_new_log_start = true;
                }
            }
            Content::Batches { header, batches } => {
                for batch in &batches {
                    self.track(batch, &mut changes);
                }
                self.high_watermark = header.next_offset();
                self.max_timestamp_ms = self.max_timestamp_ms.max(header.max_timestamp_ms);
            }
        }
        Ok(changes)
    }

    fn check(&self, index: u64, content: &Content) -> Result<(), Fault> {
        let high_watermark = self.high_watermark;
        match content {
            Content::Batches { header, .. } if header.base_offset != high_watermark => {
                Err(Fault::Gap {
                    index,
                    expected: high_watermark,
                    found: header.base_offset,
                })
            }
            Content::LogStart(found) if *found > high_watermark => Err(Fault::LogStart {
                index,
                found: *found,
                high_watermark,
            }),
            _ => Ok(()),
        }
    }

    fn track(&mut self, batch: &Tracked, changes: &mut Changes) {
        match batch {
            Tracked::Plain => {}
            Tracked::Records(batch) => {
                self.producers.record(batch);
                changes.producer_ids.push(batch.producer_id);
            }
            Tracked::End(marker) => {
                let started = self.producers.end(marker);
                changes.producer_ids.push(marker.producer_id);
                if let Some(first_offset) = started
                    && !marker.is_commit
                {
                    let aborted = AbortedTransaction {
                        producer_id: marker.producer_id,
                        first_offset,
                        last_offset: marker.offset,
                        last_stable: self.producers.first_unstable().unwrap_or(marker.offset + 1),
                    };
                    self.aborted.push(aborted);
                    changes.aborted.push(aborted);
                }
            }
        }
    }

    /// A version, the CRC32C of what follows, and the state.
    pub(super) fn encode(&self) -> Bytes {
        let header = SnapshotHeader {
            next_offset: self.high_watermark,
            log_start: self.log_start,
        }
        .encode();
        let mut body = BytesMut::new();
        body.put_i64(self.max_timestamp_ms);
        self.producers.encode(&mut body);
        self.epochs.encode(&mut body);
        self.aborted.encode(&mut body);
        let mut out = BytesMut::with_capacity(header.len() + 1 + 4 + body.len());
        out.put_slice(&header);
        out.put_u8(VERSION);
        out.put_u32(crc32c_append(crc32c(&header), &body));
        out.put_slice(&body);
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Committed, DecodeError> {
        let mut from = Reader::new(bytes);
        let high_watermark = Offset(from.i64("high watermark")?);
        let log_start = Offset(from.i64("log start")?);
        from.version("partition state", VERSION)?;
        let stored = from.u32("checksum")?;
        let computed = crc32c_append(crc32c(&bytes[..SnapshotHeader::LEN]), from.rest());
        if stored != computed {
            return Err(DecodeError::Checksum { stored, computed });
        }
        if log_start < Offset(0) || log_start > high_watermark {
            return Err(from.invalid(
                "log start",
                log_start.0,
                "must lie between 0 and the high watermark",
            ));
        }
        let committed = Committed {
            high_watermark,
            log_start,
            max_timestamp_ms: from.i64("max timestamp")?,
            producers: Producers::decode(&mut from)?,
            epochs: Epochs::decode(&mut from)?,
            aborted: Aborted::decode(&mut from)?,
        };
        from.end()?;
        let beyond = [
            committed.producers.first_unstable(),
            committed.producers.last_offset(),
            committed.aborted.entries().last().map(|t| t.last_offset),
        ];
        if let Some(offset) = beyond.into_iter().flatten().find(|o| *o >= high_watermark) {
            return Err(from.invalid(
                "offset of a producer",
                offset.0,
                "must lie below the high watermark",
            ));
        }
        Ok(committed)
    }
}
