//! The state machine of a partition, driven without raft: a log, an applied index, and what a leader is told.

#![allow(clippy::unwrap_used)]

mod appends;
mod histories;
mod refusals;
mod replicas;
mod scripts;
use super::*;
use crate::raft::ports::{FOUNDING_TERM, Joined, Prepared, StateMachine};
use crate::storage::ids::Offset;
use bytes::Bytes;
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::{BatchBuilder, BatchSettings};
use raft::eraftpb::{Entry, Snapshot};

const NOW_MS: i64 = 1_000_000;

/// Of a log with segments as large as in production.
const MAX_ENTRY_BYTES: usize = 64 << 20;

fn batch_of(records: usize, settings: BatchSettings) -> Bytes {
    let mut builder = BatchBuilder::new(settings);
    for _ in 0..records {
        builder.push(NOW_MS, Some(b"key"), Some(b"value"));
    }
    builder.build().unwrap()
}

fn plain(records: usize) -> Bytes {
    batch_of(records, BatchSettings::default())
}

fn of_producer(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    batch_of(
        records,
        BatchSettings {
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            ..BatchSettings::default()
        },
    )
}

fn transactional(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    batch_of(
        records,
        BatchSettings {
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            is_transactional: true,
            ..BatchSettings::default()
        },
    )
}

fn marker(producer_id: i64, epoch: i16, kind: ControlType) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings {
        producer_id,
        producer_epoch: epoch,
        is_transactional: true,
        is_control: true,
        ..BatchSettings::default()
    });
    let value = EndMarker {
        coordinator_epoch: 0,
    };
    builder.push(NOW_MS, Some(&kind.encode_key()), Some(&value.encode()));
    builder.build().unwrap()
}

fn append(batches: Bytes) -> Command {
    Command::Append(Append {
        batches,
        now_ms: NOW_MS,
        origin: Origin::Client,
    })
}

fn end(batches: Bytes) -> Command {
    Command::Append(Append {
        batches,
        now_ms: NOW_MS,
        origin: Origin::TransactionMarkers {
            transaction_version: 1,
        },
    })
}

fn delete_to(offset: i64) -> Command {
    Command::SetLogStart(SetLogStart {
        offset: Some(Offset(offset)),
    })
}

/// A replica and its log; entry `i` of the log has index `i + 1`.
struct Replica {
    partition: Partition,
    log: Vec<Entry>,
    applied: usize,
    term: u64,
    /// Whether commands join the entry that is being made, as they do when they wait together.
    joins: bool,
    making: Option<(Bytes, Vec<Bytes>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    At(u64, Output),
    After(u64, Output),
    Done(Output),
}

impl Replica {
    fn new(config: TopicConfig) -> Replica {
        Replica::on_a_log(config, MAX_ENTRY_BYTES)
    }

    fn on_a_log(config: TopicConfig, max_entry_bytes: usize) -> Replica {
        Replica {
            partition: Partition::new(config, max_entry_bytes),
            log: Vec::new(),
            applied: 0,
            term: 0,
            joins: false,
            making: None,
        }
    }

    /// A leader with nothing in its log but its own empty entry.
    fn leader() -> Replica {
        let mut replica = Replica::new(TopicConfig::default());
        replica.lead(1);
        replica
    }

    fn lead(&mut self, epoch: u64) {
        self.propose();
        self.term = FOUNDING_TERM + 1 + epoch;
        self.partition.lead(self.term, &self.log[self.applied..]);
        self.push(Bytes::new(), Bytes::new());
    }

    fn push(&mut self, context: Bytes, data: Bytes) -> u64 {
        let index = self.log.len() as u64 + 1;
        self.log.push(Entry {
            term: self.term,
            index,
            context,
            data,
            ..Entry::default()
        });
        index
    }

    fn ask(&mut self, command: Command) -> Result<Answer, Refusal> {
        let mut command = command;
        if let Some((header, parts)) = &mut self.making {
            match self.partition.join(self.term, command) {
                Joined::Part {
                    context,
                    data,
                    output,
                } => {
                    *header = context;
                    parts.push(data);
                    return Ok(Answer::At(self.log.len() as u64 + 1, output));
                }
                Joined::Refused(refusal) => return Err(refusal),
                Joined::Apart(apart) => command = apart,
            }
        }
        self.propose();
        Ok(match self.partition.prepare(self.term, command)? {
            Prepared::Entry {
                context,
                data,
                output,
            } => {
                let index = self.log.len() as u64 + 1;
                self.making = Some((context, vec![data]));
                if !(self.joins && self.partition.may_grow()) {
                    self.propose();
                }
                Answer::At(index, output)
            }
            Prepared::After { index, output } => Answer::After(index, output),
            Prepared::Done(output) => Answer::Done(output),
        })
    }

    /// Before anything but another command.
    fn propose(&mut self) {
        if let Some((context, mut parts)) = self.making.take() {
            let data = match parts.len() {
                1 => parts.remove(0),
                _ => parts.concat().into(),
            };
            let index = self.push(context, data);
            self.partition.proposed(self.term, index);
        }
    }

    fn apply_to(&mut self, applied: usize) {
        for entry in &self.log[self.applied..applied] {
            self.partition.apply(entry).unwrap();
        }
        self.applied = applied;
    }

    fn apply_all(&mut self) {
        self.propose();
        self.apply_to(self.log.len());
    }

    fn follow(&mut self) {
        self.propose();
        self.partition.follow(self.term, 2);
    }

    /// Loses all entries that are not applied.
    fn truncate(&mut self) {
        self.log.truncate(self.applied);
        let positions = self.partition.view().positions();
        self.partition.view().set_log_end(positions.high_watermark);
    }

    fn positions(&self) -> (i64, i64, i64, i64) {
        let p = self.partition.view().positions();
        (
            p.log_start.0,
            p.last_stable.0,
            p.high_watermark.0,
            p.log_end.0,
        )
    }

    fn snapshot(&mut self) -> Bytes {
        self.partition.snapshot().unwrap()
    }
}

fn restored(bytes: &[u8]) -> Partition {
    let mut partition = Partition::new(TopicConfig::default(), MAX_ENTRY_BYTES);
    partition
        .restore(&Snapshot {
            data: Bytes::copy_from_slice(bytes),
            ..Snapshot::default()
        })
        .unwrap();
    partition
}

fn offsets(answer: &Answer) -> (i64, i64) {
    let (Answer::At(_, output) | Answer::After(_, output) | Answer::Done(output)) = answer;
    let Output::Appended(appended) = output else {
        panic!("not an append: {answer:?}");
    };
    (appended.base_offset.0, appended.last_offset.0)
}
