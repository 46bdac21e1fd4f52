//! Producers: idempotent and transactional ones that retry until they know, and plain ones that ask once.

use bytes::Bytes;
use millrace_broker::partition::{Output, Refusal};
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::raft::{Failure, Reply};
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::{BatchBuilder, BatchSettings};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

pub type Answer = Result<Output, Failure<Refusal>>;
type Answers = Arc<Mutex<Vec<(u64, Answer)>>>;

/// What a client may have in flight, as Kafka's does.
pub const MAX_OUTSTANDING: usize = 5;

/// So few that log compaction always finds something to do.
const KEYS: u64 = 7;

pub struct Outstanding {
    pub sequence: i32,
    pub bytes: Bytes,
    pub crc: u32,
    /// The request that is under way.
    pub request: Option<u64>,
}

pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub group: GroupId,
    pub next_sequence: i32,
    pub outstanding: VecDeque<Outstanding>,
    /// Until its first batch is acknowledged it sends one at a time: a leader that does not know a producer takes any
    /// sequence as its first.
    pub is_known: bool,
    /// `None`: idempotent only.
    pub transactions: Option<Transactions>,
}

/// A producer's transactions in one partition, and their coordinator.
pub struct Transactions {
    /// From 2 on the coordinator raises the producer's epoch with each marker (KIP-890).
    pub version: u8,
    /// The open one has records, or may have.
    pub is_open: bool,
    pub ending: Option<Ending>,
}

/// A marker that the coordinator writes until it knows that it is there.
#[derive(Clone, Copy)]
pub struct Ending {
    pub is_commit: bool,
    pub epoch: i16,
    /// The request that is under way.
    pub request: Option<u64>,
}

impl Producer {
    pub fn new(id: i64, group: GroupId, transactions: Option<Transactions>) -> Producer {
        Producer {
            id,
            epoch: 0,
            group,
            next_sequence: 0,
            outstanding: VecDeque::new(),
            is_known: false,
            transactions,
        }
    }

    /// Commits when all it sent is acknowledged; aborts at any time, and never sends again what is not acknowledged then.
    /// False when there is nothing to end.
    pub fn end_transaction(&mut self, is_commit: bool) -> bool {
        let Some(transactions) = &mut self.transactions else {
            return false;
        };
        let is_ready = transactions.is_open
            && transactions.ending.is_none()
            && (!is_commit || self.outstanding.is_empty());
        if is_ready {
            self.outstanding.clear();
            transactions.ending = Some(Ending {
                is_commit,
                epoch: self.epoch + i16::from(transactions.version >= 2),
                request: None,
            });
        }
        is_ready
    }

    /// The marker is in the log.
    pub fn ended(&mut self, ending: Ending) {
        let Some(transactions) = &mut self.transactions else {
            return;
        };
        transactions.ending = None;
        transactions.is_open = false;
        // Which of an aborted transaction's records arrived is not known, so its sequence numbers are of no use.
        let next = match ending.is_commit || transactions.version >= 2 {
            true => ending.epoch,
            false => ending.epoch + 1,
        };
        if next != self.epoch {
            (self.epoch, self.next_sequence) = (next, 0);
        }
    }

    /// The marker that is to be written, if the transaction is being ended.
    pub fn ending(&mut self) -> Option<&mut Ending> {
        self.transactions.as_mut()?.ending.as_mut()
    }

    /// What its next batch says of it.
    pub fn writer(&self) -> Writer {
        Writer {
            id: self.id,
            epoch: self.epoch,
            sequence: self.next_sequence,
            is_transactional: self.transactions.is_some(),
        }
    }

    fn is_done(&self) -> bool {
        let is_ending = self
            .transactions
            .as_ref()
            .is_some_and(|transactions| transactions.ending.is_some());
        self.outstanding.is_empty() && !is_ending
    }
}

/// Whose batch it is, and where it stands among theirs.
#[derive(Clone, Copy)]
pub struct Writer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub is_transactional: bool,
}

#[derive(Clone, Copy)]
pub enum Request {
    Idempotent {
        producer: usize,
        epoch: i16,
        sequence: i32,
    },
    Marker {
        producer: usize,
    },
    /// acks=all, or acks=1 of this replica.
    Plain {
        group: GroupId,
        crc: u32,
        leader: Option<PeerId>,
    },
    LogStart {
        group: GroupId,
        offset: Option<i64>,
    },
}

#[derive(Default)]
pub struct Clients {
    pub producers: Vec<Producer>,
    pub requests: BTreeMap<u64, Request>,
    next_request: u64,
    made: u64,
    answers: Answers,
}

impl Clients {
    pub fn request(&mut self, request: Request) -> (u64, Reply<Output, Refusal>) {
        self.next_request += 1;
        let id = self.next_request;
        self.requests.insert(id, request);
        let answers = self.answers.clone();
        let reply = Reply::new(move |answer| {
            answers
                .lock()
                .expect("nobody panics with this lock")
                .push((id, answer));
        });
        (id, reply)
    }

    pub fn answers(&self) -> Vec<(u64, Answer)> {
        std::mem::take(&mut *self.answers.lock().expect("nobody panics with this lock"))
    }

    /// A batch like no other.
    pub fn batch(
        &mut self,
        records: usize,
        bytes: usize,
        writer: Option<Writer>,
        now_ms: i64,
    ) -> (Bytes, u32) {
        let mut settings = BatchSettings::default();
        if let Some(writer) = writer {
            settings.producer_id = writer.id;
            settings.producer_epoch = writer.epoch;
            settings.base_sequence = writer.sequence;
            settings.is_transactional = writer.is_transactional;
        }
        let mut builder = BatchBuilder::new(settings);
        for _ in 0..records {
            self.made += 1;
            let chance = (self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 40;
            let key = format!("key {}", chance % KEYS);
            let mut value = format!("{}:", self.made).into_bytes();
            value.resize(value.len() + bytes, b'.');
            let is_tombstone = (chance >> 8).is_multiple_of(6);
            let value = (!is_tombstone).then_some(&value[..]);
            builder.push(now_ms, Some(key.as_bytes()), value);
        }
        let batch = builder.build().expect("the batch is valid");
        let crc = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
        (batch, crc)
    }

    /// The control batch that ends a producer's transaction.
    pub fn marker(id: i64, ending: Ending, now_ms: i64) -> Bytes {
        let mut builder = BatchBuilder::new(BatchSettings {
            producer_id: id,
            producer_epoch: ending.epoch,
            is_transactional: true,
            is_control: true,
            ..BatchSettings::default()
        });
        let control = match ending.is_commit {
            true => ControlType::Commit,
            false => ControlType::Abort,
        };
        let value = EndMarker {
            coordinator_epoch: 0,
        };
        builder.push(now_ms, Some(&control.encode_key()), Some(&value.encode()));
        builder.build().expect("the marker is valid")
    }

    /// Everybody has heard that everything is stored.
    pub fn are_done(&self) -> bool {
        self.producers.iter().all(Producer::is_done)
    }
}
