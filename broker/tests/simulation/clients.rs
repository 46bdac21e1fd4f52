//! Producers: idempotent ones that retry until they know, and plain ones that ask once.

use bytes::Bytes;
use millrace_broker::partition::{Output, Refusal};
use millrace_broker::raft::ports::{GroupId, PeerId};
use millrace_broker::raft::{Failure, Reply};
use millrace_wire::{BatchBuilder, BatchSettings};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

pub type Answer = Result<Output, Failure<Refusal>>;
type Answers = Arc<Mutex<Vec<(u64, Answer)>>>;

/// What a client may have in flight, as Kafka's does.
pub const MAX_OUTSTANDING: usize = 5;

pub struct Outstanding {
    pub sequence: i32,
    pub bytes: Bytes,
    pub crc: u32,
    /// The request that is under way.
    pub request: Option<u64>,
}

pub struct Producer {
    pub id: i64,
    pub group: GroupId,
    pub next_sequence: i32,
    pub outstanding: VecDeque<Outstanding>,
    /// Until its first batch is acknowledged it sends one at a time: a leader that does not know a producer takes any
    /// sequence as its first.
    pub is_known: bool,
}

#[derive(Clone, Copy)]
pub enum Request {
    Idempotent {
        producer: usize,
        sequence: i32,
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
        producer: Option<(i64, i32)>,
    ) -> (Bytes, u32) {
        let (producer_id, base_sequence) = producer.unwrap_or((-1, -1));
        let mut builder = BatchBuilder::new(BatchSettings {
            producer_id,
            producer_epoch: if producer.is_some() { 0 } else { -1 },
            base_sequence,
            ..BatchSettings::default()
        });
        for _ in 0..records {
            self.made += 1;
            let key = format!("key {}", self.made % 7);
            let mut value = format!("{}:", self.made).into_bytes();
            value.resize(value.len() + bytes, b'.');
            builder.push(1000 + self.made as i64, Some(key.as_bytes()), Some(&value));
        }
        let batch = builder.build().expect("the batch is valid");
        let crc = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
        (batch, crc)
    }

    /// Everybody has heard that everything is stored.
    pub fn are_done(&self) -> bool {
        self.producers
            .iter()
            .all(|producer| producer.outstanding.is_empty())
    }
}
