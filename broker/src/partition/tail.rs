//! What a leader has proposed on top of the committed state: an overlay, dropped with the leadership.

use super::committed::{Committed, Content, Fault, leader_epoch};
use super::epochs::Epochs;
use super::producer::Producer;
use super::tracked::Tracked;
use crate::storage::entry::EntryHeader;
use crate::storage::ids::Offset;
use raft::eraftpb::Entry;
use std::collections::{HashMap, VecDeque};

/// An entry in the log that is not applied yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    index: u64,
    next_offset: Offset,
    log_start: Offset,
}

/// What the last `prepare` wants to become, if raft accepts its entry.
#[derive(Debug)]
pub(super) enum Pending {
    Batches {
        header: EntryHeader,
        /// The producers in it, as they are after it.
        producers: Vec<(i64, Producer)>,
        bytes: usize,
        /// Whether other appends may become part of the entry.
        may_grow: bool,
    },
    LogStart(Offset),
}

#[derive(Debug)]
pub(super) struct Tail {
    pub term: u64,
    pub leader_epoch: i32,
    pub log_end: Offset,
    /// Once all in flight is applied.
    pub log_start: Offset,
    /// With the epochs of what is in flight, and the one that this leader began.
    pub epochs: Epochs,
    /// Producers with batches in flight, as they are after them.
    producers: HashMap<i64, Producer>,
    /// Ascending in each field. Its bound is raft's on uncommitted entries.
    in_flight: VecDeque<InFlight>,
}

impl Tail {
    /// The leader of `term` takes over with `unapplied` in its log.
    pub(super) fn new(
        term: u64,
        leader_epoch: i32,
        committed: &Committed,
        unapplied: &[Entry],
    ) -> Result<Tail, Fault> {
        let mut tail = Tail {
            term,
            leader_epoch,
            log_end: committed.high_watermark,
            log_start: committed.log_start,
            epochs: committed.epochs.clone(),
            producers: HashMap::new(),
            in_flight: VecDeque::new(),
        };
        for entry in unapplied {
            tail.take_over(committed, entry)?;
        }
        tail.epochs.assign(leader_epoch, tail.log_end);
        Ok(tail)
    }

    fn take_over(&mut self, committed: &Committed, entry: &Entry) -> Result<(), Fault> {
        self.epochs.assign(leader_epoch(entry)?, self.log_end);
        let pending = match Content::read(entry)? {
            Content::Nothing => return Ok(()),
            Content::LogStart(offset) => Pending::LogStart(offset),
            Content::Batches { header, batches } => {
                if header.base_offset != self.log_end {
                    return Err(Fault::Gap {
                        index: entry.index,
                        expected: self.log_end,
                        found: header.base_offset,
                    });
                }
                for batch in &batches {
                    self.track(committed, batch);
                }
                Pending::Batches {
                    header,
                    producers: Vec::new(),
                    bytes: entry.data.len(),
                    may_grow: false,
                }
            }
        };
        self.adopt(entry.index, pending);
        Ok(())
    }

    fn track(&mut self, committed: &Committed, batch: &Tracked) {
        let producer_id = match batch {
            Tracked::Plain => return,
            Tracked::Records(batch) => batch.producer_id,
            Tracked::End(marker) => marker.producer_id,
        };
        let producer = self
            .producers
            .entry(producer_id)
            .or_insert_with(|| known(committed, producer_id));
        match batch {
            Tracked::Plain => {}
            Tracked::Records(batch) => producer.record(batch),
            Tracked::End(marker) => {
                producer.end(marker);
            }
        }
    }

    /// The producer with all that is in flight.
    pub(super) fn producer(&self, committed: &Committed, producer_id: i64) -> Producer {
        self.producers
            .get(&producer_id)
            .cloned()
            .unwrap_or_else(|| known(committed, producer_id))
    }

    /// Raft accepted the entry at `index`.
    pub(super) fn adopt(&mut self, index: u64, pending: Pending) {
        match pending {
            Pending::Batches {
                header, producers, ..
            } => {
                self.log_end = header.next_offset();
                self.producers.extend(producers);
            }
            Pending::LogStart(offset) => self.log_start = self.log_start.max(offset),
        }
        self.in_flight.push_back(InFlight {
            index,
            next_offset: self.log_end,
            log_start: self.log_start,
        });
    }

    /// The entry in flight that holds the record at `offset`.
    pub(super) fn index_of(&self, offset: Offset) -> Option<u64> {
        let at = self.in_flight.partition_point(|e| e.next_offset <= offset);
        self.in_flight.get(at).map(|entry| entry.index)
    }

    /// The first entry in flight that moves the log start to `offset` or beyond, and where it moves it to.
    pub(super) fn in_flight_log_start(&self, offset: Offset) -> Option<(u64, Offset)> {
        let at = self.in_flight.partition_point(|e| e.log_start < offset);
        let entry = self.in_flight.get(at)?;
        Some((entry.index, entry.log_start))
    }

    /// `committed` now holds the entry at `index`, in which `producer_ids` wrote.
    pub(super) fn applied(&mut self, index: u64, producer_ids: &[i64], committed: &Committed) {
        while self.in_flight.front().is_some_and(|e| e.index <= index) {
            self.in_flight.pop_front();
        }
        for producer_id in producer_ids {
            let is_committed = self
                .producers
                .get(producer_id)
                .is_some_and(|p| p.last_offset() < committed.high_watermark);
            if is_committed {
                self.producers.remove(producer_id);
            }
        }
        // Only entries of its own, and of earlier terms before it led, can be committed while it leads.
        self.log_end = self.log_end.max(committed.high_watermark);
    }
}

fn known(committed: &Committed, producer_id: i64) -> Producer {
    committed
        .producers
        .get(producer_id)
        .cloned()
        .unwrap_or_else(Producer::unknown)
}
