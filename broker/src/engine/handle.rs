//! What a caller holds of a partition: append, read, look up, wait. Clones share it.

use super::shared::Shared;
use crate::metadata::BrokerId;
use crate::partition::producer::Producer;
use crate::partition::timestamps::{Found, first_record_reaching};
use crate::partition::{
    Append, Appended, Command, Mark, Origin, Output, PartitionView, Positions, Refusal,
    SetLogStart, TopicConfig, WaitEnded,
};
use crate::raft::ports::{Ack, GroupId, PeerId};
use crate::raft::runtime::QueueFull;
use crate::raft::{Failure, Status};
use crate::storage;
use crate::storage::ids::Offset;
use crate::storage::read::{Range, Read};
use bytes::Bytes;
use millrace_wire::batch::RecordsError;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the records of one batch may decompress to while one is looked up by timestamp.
const LOOKUP_LIMIT_BYTES: usize = 128 << 20;

#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

/// Why records were not appended, or nobody knows whether they were.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Failed(#[from] Failure<Refusal>),
    /// `KAFKA_STORAGE_ERROR`: refused before the disk is full, so that what must be written still can be.
    #[error("the disk is nearly full: less than {min_free_bytes} bytes are free")]
    DiskFull { min_free_bytes: u64 },
    /// `MESSAGE_TOO_LARGE`: more than one entry of the log can hold.
    #[error("the request has {bytes} bytes for one partition, the log takes {limit_bytes}")]
    TooLarge { bytes: usize, limit_bytes: usize },
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {found} is outside the log, {log_start}..={upto}")]
    OffsetOutOfRange {
        found: Offset,
        log_start: Offset,
        upto: Offset,
    },
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("batch at offset {base_offset} cannot be read: {error}")]
    Records {
        base_offset: i64,
        error: RecordsError,
    },
}

impl Handle {
    pub fn group(&self) -> GroupId {
        self.shared.group
    }

    /// Which of its group's replicas this one is.
    pub fn peer(&self) -> PeerId {
        self.shared.peer
    }

    /// The group's replicas, and the brokers that they are on; the one that is to lead first. None where it is alone.
    pub fn members(&self) -> Arc<[(PeerId, BrokerId)]> {
        self.shared.members()
    }

    pub fn broker_of(&self, peer: PeerId) -> Option<BrokerId> {
        let members = self.members();
        let found = members.iter().find(|(of, _)| *of == peer);
        found.map(|(_, broker)| *broker)
    }

    /// Lets `hears` know how the replica stands, on its worker's thread; not called when it is gone by then.
    pub fn ask_status(
        &self,
        hears: impl FnOnce(GroupId, Status) + Send + 'static,
    ) -> Result<(), QueueFull> {
        let group = self.group();
        self.shared.call(move |worker| {
            if let Some(status) = worker.status(group) {
                hears(group, status);
            }
        })
    }

    pub fn positions(&self) -> Positions {
        self.shared.view.positions()
    }

    /// Why this replica is offline, when a read found its data damaged. What is intact can still be read.
    pub fn fault(&self) -> Option<&storage::Error> {
        self.shared.damage.get()
    }

    /// Whether it takes no records any more: its data is damaged, or its directory has failed.
    pub fn is_offline(&self) -> bool {
        let directory = self.shared.hosted();
        self.fault().is_some() || directory.is_ok_and(|directory| directory.log_thread.has_failed())
    }

    pub fn view(&self) -> &PartitionView {
        &self.shared.view
    }

    pub fn config(&self) -> Arc<TopicConfig> {
        self.shared.config.read().expect(super::LOCK).clone()
    }

    /// Appends record batches as a client sent them; the answer comes when `ack` is reached.
    pub async fn append(
        &self,
        batches: Bytes,
        now_ms: i64,
        ack: Ack,
    ) -> Result<Appended, AppendError> {
        let (sender, receiver) = oneshot::channel();
        self.append_then(batches, now_ms, ack, move |result| {
            let _ = sender.send(result);
        });
        receiver
            .await
            .unwrap_or(Err(AppendError::Failed(Failure::Stopped)))
    }

    /// The same with a callback, which is called once, on a thread of the engine: it must not wait.
    pub fn append_then(
        &self,
        batches: Bytes,
        now_ms: i64,
        ack: Ack,
        answer: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        self.append_from(Origin::Client, batches, now_ms, ack, answer);
    }

    /// The same for the broker's own records in its internal topics.
    pub fn append_as_coordinator(
        &self,
        batches: Bytes,
        now_ms: i64,
        ack: Ack,
        answer: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        self.append_from(Origin::Coordinator, batches, now_ms, ack, answer);
    }

    fn append_from(
        &self,
        origin: Origin,
        batches: Bytes,
        now_ms: i64,
        ack: Ack,
        answer: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        if let Some(damage) = self.fault() {
            let failure = Failure::Faulty(damage.to_string().into());
            return answer(Err(AppendError::Failed(failure)));
        }
        let limit_bytes = self.shared.max_entry_bytes;
        if batches.len() > limit_bytes {
            return answer(Err(AppendError::TooLarge {
                bytes: batches.len(),
                limit_bytes,
            }));
        }
        let shard = &self.shared.place().shard;
        if !shard.has_room() {
            let min_free_bytes = shard.options().min_free_bytes;
            return answer(Err(AppendError::DiskFull { min_free_bytes }));
        }
        let command = Command::Append(Append {
            batches,
            now_ms,
            origin,
        });
        self.shared.command(command, ack, move |result| {
            answer(match result {
                Ok(Output::Appended(appended)) => Ok(appended),
                Ok(Output::LogStart(_)) => unreachable!("an append is answered with where it is"),
                Err(failure) => Err(failure.into()),
            });
        });
    }

    /// Moves the log start up (DeleteRecords, retention); `None` is to the high watermark. Answers with the log start.
    pub async fn delete_records(&self, before: Option<Offset>) -> Result<Offset, Failure<Refusal>> {
        let (sender, receiver) = oneshot::channel();
        let command = Command::SetLogStart(SetLogStart { offset: before });
        self.shared
            .command(command, Ack::Committed { voters: 1 }, move |result| {
                let _ = sender.send(result);
            });
        match receiver.await.unwrap_or(Err(Failure::Stopped))? {
            Output::LogStart(offset) => Ok(offset),
            Output::Appended(_) => unreachable!("a deletion is answered with the log start"),
        }
    }

    /// Whole batches from the one that holds `from`, below `mark`; at least one, and more while they fit in `max_bytes`.
    pub fn read(&self, from: Offset, mark: Mark, max_bytes: u64) -> Result<Read, ReadError> {
        let positions = self.positions();
        let upto = positions.at(mark);
        if from < positions.log_start || from > upto {
            return Err(ReadError::OffsetOutOfRange {
                found: from,
                log_start: positions.log_start,
                upto,
            });
        }
        let range = Range {
            from,
            upto,
            max_bytes,
        };
        let group = self.shared.group;
        match self.shared.ask(|shard| shard.read(group, range)) {
            Ok(read) => Ok(read),
            // Retention may have passed the reader between the two steps.
            Err(error) => match self.positions().log_start {
                log_start if from < log_start => Err(ReadError::OffsetOutOfRange {
                    found: from,
                    log_start,
                    upto,
                }),
                _ => {
                    self.shared.heed(&error);
                    Err(error.into())
                }
            },
        }
    }

    /// The first record below the high watermark with a timestamp of at least `timestamp_ms` (ListOffsets).
    pub fn offset_for_timestamp(&self, timestamp_ms: i64) -> Result<Option<Found>, ReadError> {
        let positions = self.positions();
        let mut from = positions.log_start;
        let upto = positions.high_watermark;
        while from < upto {
            let range = Range {
                from,
                upto,
                max_bytes: 1,
            };
            let group = self.shared.group;
            let read = self
                .shared
                .ask(|shard| shard.read_by_timestamp(group, timestamp_ms, range))
                .inspect_err(|error| self.shared.heed(error))?;
            let Some(chunk) = read.chunks.into_iter().next() else {
                return Ok(None);
            };
            for batch in millrace_wire::batch::split(chunk) {
                // Checked when they came in, and by a checksum when they were read.
                let Ok(batch) = batch else { break };
                let base_offset = batch.header().base_offset;
                let found = first_record_reaching(&batch, timestamp_ms, from, LOOKUP_LIMIT_BYTES)
                    .map_err(|error| ReadError::Records { base_offset, error })?;
                if found.is_some() {
                    return Ok(found);
                }
                from = from.max(Offset(batch.header().next_offset()));
            }
        }
        Ok(None)
    }

    /// The largest timestamp of the records that are there; `None` when there is none. Records that were deleted but share a
    /// file with some that were not may count.
    pub fn max_timestamp(&self) -> Result<Option<i64>, ReadError> {
        let positions = self.positions();
        let (from, upto) = (positions.log_start, positions.high_watermark);
        let group = self.shared.group;
        let newest = self
            .shared
            .ask(|shard| shard.max_timestamp(group, from, upto));
        Ok(newest?)
    }

    /// About how many bytes a reader at `from` finds below `upto`. Nothing is read.
    pub fn bytes_between(&self, from: Offset, upto: Offset) -> u64 {
        // A partition that is gone is noticed by who reads it.
        let group = self.shared.group;
        let bytes = self
            .shared
            .ask(|shard| shard.bytes_between(group, from, upto));
        bytes.unwrap_or(0)
    }

    /// Returns when `mark` is above `offset`, or when waiting has become pointless. Its deadline is the caller's.
    pub async fn wait_past(&self, mark: Mark, offset: Offset) -> Result<Positions, WaitEnded> {
        self.shared.view.wait_past(mark, offset).await
    }

    /// The producers that the partition remembers, by id, as of the last entry applied.
    pub async fn producers(&self) -> Result<Vec<(i64, Producer)>, Failure<Refusal>> {
        let (sender, receiver) = oneshot::channel();
        self.shared.look(move |machine| {
            let producers = machine.producers();
            // Nobody listens when the client has gone.
            let _ = sender.send(producers.map(|(id, known)| (id, known.clone())).collect());
        })?;
        receiver.await.map_err(|_| Failure::Stopped)
    }

    /// The directory that holds it; `None` once the engine has ended.
    pub fn directory(&self) -> Option<String> {
        self.shared.hosted().ok().map(|hosted| hosted.path.clone())
    }

    /// Bytes of its records on this disk.
    pub fn size_bytes(&self) -> Result<u64, storage::Error> {
        let group = self.shared.group;
        self.shared.ask(|shard| shard.group_bytes(group))
    }
}
