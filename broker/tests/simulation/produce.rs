//! What clients ask of a partition, and what they may be told.

use crate::clients::{Answer, Clients, MAX_OUTSTANDING, Outstanding, Request};
use crate::oracle::{Checked, violated};
use crate::world::World;
use millrace_broker::partition::{
    Append, Command, Origin, Output, Refusal, Role as ViewRole, SetLogStart,
};
use millrace_broker::raft::Failure;
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::ids::Offset;
use rand::Rng;

impl World {
    /// A broker that says it leads, or any other.
    pub fn target(&mut self, group: GroupId) -> Option<usize> {
        let leaders: Vec<usize> = (0..self.brokers.len())
            .filter(|broker| {
                let running = self.brokers[*broker].running.as_ref();
                running
                    .and_then(|running| running.positions(group))
                    .is_some_and(|positions| positions.role == ViewRole::Leader)
            })
            .collect();
        if leaders.is_empty() || self.rng.random_bool(0.1) {
            return self.some_broker(true);
        }
        Some(leaders[self.rng.random_range(0..leaders.len())])
    }

    pub fn produce(&mut self) -> Checked {
        if self.rng.random_bool(0.3) {
            let group = self.some_group();
            return self.produce_plain(group);
        }
        let producer = self.rng.random_range(0..self.clients.producers.len());
        if self.rng.random_bool(0.05) {
            // The client has waited long enough, and asks again.
            let producer = &mut self.clients.producers[producer];
            for outstanding in &mut producer.outstanding {
                outstanding.request = None;
            }
            if let Some(ending) = producer.ending() {
                ending.request = None;
            }
        }
        if self.rng.random_bool(0.2) {
            let is_commit = self.rng.random_bool(0.6);
            self.clients.producers[producer].end_transaction(is_commit);
        }
        self.produce_more(producer, true)
    }

    /// Whether this broker takes records, as its handles ask before they pass any on.
    fn takes_records(&mut self, broker: usize) -> bool {
        self.running(broker).shard.has_room()
    }

    /// Sends what is not under way, in order, then something new.
    pub fn produce_more(&mut self, producer: usize, new: bool) -> Checked {
        if self.clients.producers[producer].ending().is_some() {
            return self.write_marker(producer);
        }
        let group = self.clients.producers[producer].group;
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        if !self.takes_records(broker) {
            return Ok(());
        }
        let now_ms = self.now_ms();
        let records = self.rng.random_range(1..=3);
        let bytes = self.rng.random_range(0..400);
        let known = &self.clients.producers[producer];
        let room = if known.is_known { MAX_OUTSTANDING } else { 1 };
        let is_idle = known
            .outstanding
            .iter()
            .all(|batch| batch.request.is_some());
        if new && is_idle && known.outstanding.len() < room {
            let writer = known.writer();
            let sequence = writer.sequence;
            let (bytes, crc) = self.clients.batch(records, bytes, Some(writer), now_ms);
            let producer = &mut self.clients.producers[producer];
            if let Some(transactions) = &mut producer.transactions {
                transactions.is_open = true;
            }
            producer.next_sequence += records as i32;
            producer.outstanding.push_back(Outstanding {
                sequence,
                bytes,
                crc,
                request: None,
            });
        }
        let voters = self.rng.random_range(1..=self.plan.replicas / 2 + 1);
        for at in 0..self.clients.producers[producer].outstanding.len() {
            let outstanding = &self.clients.producers[producer].outstanding[at];
            if outstanding.request.is_some() {
                continue;
            }
            let (sequence, batches) = (outstanding.sequence, outstanding.bytes.clone());
            let epoch = self.clients.producers[producer].epoch;
            let request = Request::Idempotent {
                producer,
                epoch,
                sequence,
            };
            let (request, reply) = self.clients.request(request);
            self.clients.producers[producer].outstanding[at].request = Some(request);
            let command = append(batches, now_ms, Origin::Client);
            let worker = &mut self.running(broker).worker;
            worker.command(group, command, Ack::Committed { voters }, reply);
        }
        self.pump(broker)
    }

    pub fn produce_plain(&mut self, group: GroupId) -> Checked {
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        if !self.takes_records(broker) {
            return Ok(());
        }
        let now_ms = self.now_ms();
        let records = self.rng.random_range(1..=4);
        let bytes = self.rng.random_range(0..300);
        let (batches, crc) = self.clients.batch(records, bytes, None, now_ms);
        let voters = self.rng.random_range(1..=self.plan.replicas / 2 + 1);
        let peer = self.brokers[broker].local.get(&group).copied();
        let (ack, leader) = match self.rng.random_range(0..4) {
            0 => (Ack::Proposed, None),
            1 => (Ack::Persisted, peer),
            _ => (Ack::Committed { voters }, None),
        };
        let reply = match ack {
            Ack::Proposed => millrace_broker::raft::Reply::ignored(),
            _ => {
                self.clients
                    .request(Request::Plain { group, crc, leader })
                    .1
            }
        };
        let worker = &mut self.running(broker).worker;
        worker.command(group, append(batches, now_ms, Origin::Client), ack, reply);
        self.pump(broker)
    }

    /// The coordinator ends a transaction, full disk or not.
    fn write_marker(&mut self, producer: usize) -> Checked {
        let known = &mut self.clients.producers[producer];
        let (id, group) = (known.id, known.group);
        let transaction_version = known.transactions.as_ref().map_or(0, |t| t.version);
        let waiting = known.ending().filter(|ending| ending.request.is_none());
        let Some(ending) = waiting.copied() else {
            return Ok(());
        };
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        let now_ms = self.now_ms();
        let (request, reply) = self.clients.request(Request::Marker { producer });
        if let Some(ending) = self.clients.producers[producer].ending() {
            ending.request = Some(request);
        }
        let origin = Origin::TransactionMarkers {
            transaction_version,
        };
        let command = append(Clients::marker(id, ending, now_ms), now_ms, origin);
        let ack = Ack::Committed { voters: 1 };
        let worker = &mut self.running(broker).worker;
        worker.command(group, command, ack, reply);
        self.pump(broker)
    }

    fn answered_marker(&mut self, id: u64, producer: usize, answer: Answer) -> Checked {
        let producer = &mut self.clients.producers[producer];
        let ending = producer
            .ending()
            .copied()
            .filter(|ending| ending.request == Some(id));
        match answer {
            Ok(Output::Appended(appended)) => {
                let base = appended.base_offset.0;
                let truth = self.oracle.truth(producer.group).batches.get(&base);
                let is_it = truth.is_some_and(|batch| {
                    batch.header.attributes.is_control() && batch.header.producer_id == producer.id
                });
                if !is_it {
                    return violated(format!(
                        "group {}: a marker of producer {} was acknowledged at {base}, where {truth:?} is",
                        producer.group, producer.id
                    ));
                }
                if let Some(ending) = ending {
                    producer.ended(ending);
                }
                Ok(())
            }
            Ok(output) => violated(format!("a marker was answered with {output:?}")),
            Err(failure) => {
                if ending.is_some()
                    && let Some(ending) = producer.ending()
                {
                    ending.request = None;
                }
                acceptable(&failure)
            }
        }
    }

    pub fn delete_records(&mut self) -> Checked {
        let group = self.some_group();
        let Some(broker) = self.target(group) else {
            return Ok(());
        };
        let truth = self.oracle.truth(group);
        let (from, to) = (truth.log_start, truth.next_offset);
        let offset = match self.rng.random_bool(0.1) {
            true => None,
            false => Some(self.rng.random_range(from..=from + (to - from) / 2)),
        };
        let (_, reply) = self.clients.request(Request::LogStart { group, offset });
        let command = Command::SetLogStart(SetLogStart {
            offset: offset.map(Offset),
        });
        let worker = &mut self.running(broker).worker;
        worker.command(group, command, Ack::Committed { voters: 1 }, reply);
        self.pump(broker)
    }

    pub fn answers(&mut self) -> Checked {
        for (id, answer) in self.clients.answers() {
            let Some(request) = self.clients.requests.remove(&id) else {
                return violated("a request was answered twice");
            };
            self.answered(id, request, answer)?;
        }
        Ok(())
    }

    pub fn answered(&mut self, id: u64, request: Request, answer: Answer) -> Checked {
        match (request, answer) {
            (
                Request::Idempotent {
                    producer,
                    epoch,
                    sequence,
                },
                answer,
            ) => self.answered_idempotent(id, producer, (epoch, sequence), answer),
            (Request::Marker { producer }, answer) => self.answered_marker(id, producer, answer),
            (Request::Plain { group, crc, leader }, Ok(Output::Appended(appended))) => {
                let base = appended.base_offset.0;
                match leader {
                    Some(peer) => {
                        self.oracle.acknowledged_by_leader(group, peer, base, crc);
                        Ok(())
                    }
                    None => self.oracle.acknowledged(group, base, crc),
                }
            }
            (Request::LogStart { group, offset }, Ok(Output::LogStart(start))) => {
                let known = self.oracle.truth(group).log_start;
                match start.0 <= known && offset.is_none_or(|offset| offset <= start.0) {
                    true => Ok(()),
                    false => violated(format!(
                        "group {group}: log start {offset:?} was asked for, {start} answered, {known} is committed"
                    )),
                }
            }
            (Request::LogStart { .. }, Err(Failure::Refused(Refusal::OffsetOutOfRange { .. }))) => {
                Ok(())
            }
            (_, Err(failure)) => acceptable(&failure),
            (_, Ok(output)) => violated(format!("an answer to something else: {output:?}")),
        }
    }

    pub fn answered_idempotent(
        &mut self,
        id: u64,
        producer: usize,
        (epoch, sequence): (i16, i32),
        answer: Answer,
    ) -> Checked {
        let producer = &mut self.clients.producers[producer];
        let at = producer
            .outstanding
            .iter()
            .position(|batch| producer.epoch == epoch && batch.sequence == sequence);
        match answer {
            Ok(Output::Appended(appended)) => {
                let base = appended.base_offset.0;
                let group = producer.group;
                let truth = self.oracle.truth(group).batches.get(&base);
                let is_it = truth.is_some_and(|batch| {
                    let header = &batch.header;
                    (
                        header.producer_id,
                        header.producer_epoch,
                        header.base_sequence,
                    ) == (producer.id, epoch, sequence)
                });
                if !is_it {
                    return violated(format!(
                        "group {group}: sequence {sequence} of producer {} was acknowledged at {base}, where {truth:?} is",
                        producer.id
                    ));
                }
                producer.is_known = true;
                match at.and_then(|at| producer.outstanding.remove(at)) {
                    Some(batch) => self.oracle.acknowledged(group, base, batch.crc),
                    None => Ok(()),
                }
            }
            Ok(output) => violated(format!("an append was answered with {output:?}")),
            Err(failure) => {
                if let Some(batch) = at.and_then(|at| producer.outstanding.get_mut(at))
                    && batch.request == Some(id)
                {
                    batch.request = None;
                }
                match failure {
                    // Something before it got lost on the way; it will come again, in order.
                    Failure::Refused(Refusal::Producer(
                        millrace_broker::partition::producer::ProducerRefusal::OutOfOrderSequence {
                            ..
                        },
                    )) => Ok(()),
                    failure => acceptable(&failure),
                }
            }
        }
    }
}

fn append(batches: bytes::Bytes, now_ms: i64, origin: Origin) -> Command {
    Command::Append(Append {
        batches,
        now_ms,
        origin,
    })
}

/// Whether a well-behaved client may be told this.
fn acceptable(failure: &Failure<Refusal>) -> Checked {
    match failure {
        Failure::Refused(Refusal::NotLeader { .. })
        | Failure::NotLeader { .. }
        | Failure::Overloaded
        | Failure::Transferring { .. }
        | Failure::UnknownGroup
        | Failure::Faulty(_)
        | Failure::Stopped => Ok(()),
        Failure::Refused(refusal) => violated(format!("a client was refused: {refusal}")),
    }
}
