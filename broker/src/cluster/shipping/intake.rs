//! The follower's end: parcels become runs, and a snapshot is taken when all that it names is here.

use super::words::{Begin, Chunk, Question, Reply, unpack};
use super::{Inner, MAX_INTAKES, PARCEL_BYTES, Shipping, blocking};
use crate::engine::Handle;
use crate::metadata::BrokerId;
use crate::partition::Role;
use crate::raft::ports::GroupId;
use crate::storage::entry::SnapshotHeader;
use crate::storage::ids::Offset;
use bytes::{Bytes, BytesMut};
use raft::eraftpb::Message;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long looking at what is here may take, looking at a parcel, and making a run of it. Together less than the leader waits.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);
const PARCEL_PATIENCE: Duration = Duration::from_secs(20);
const RUN_PATIENCE: Duration = Duration::from_secs(50);
/// An intake of which nothing was heard for so long makes place for another.
const SILENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
pub(super) struct Intakes {
    of: Mutex<BTreeMap<GroupId, Intake>>,
}

struct Intake {
    from: BrokerId,
    shipment: u64,
    header: SnapshotHeader,
    /// Records from here on are lacking.
    needs: Offset,
    parcel: Option<Parcel>,
    max_parcel_bytes: u64,
    heard: Instant,
}

/// As far as it has come.
struct Parcel {
    base: Offset,
    next: Offset,
    bytes: u64,
    /// Grows with what comes, not with what is announced.
    here: BytesMut,
}

/// A parcel that is whole.
struct Whole {
    header: SnapshotHeader,
    base: Offset,
    next: Offset,
    bytes: Bytes,
}

impl Intakes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Intake>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when there are too many.
    fn admit(&self, group: GroupId, intake: Intake) -> bool {
        let mut intakes = self.lock();
        intakes.retain(|of, intake| *of != group && intake.heard.elapsed() < SILENCE);
        let has_place = intakes.len() < MAX_INTAKES;
        if has_place {
            intakes.insert(group, intake);
        }
        has_place
    }

    fn forget(&self, group: GroupId) {
        self.lock().remove(&group);
    }

    fn end(&self, group: GroupId, shipment: u64) {
        let mut intakes = self.lock();
        if intakes
            .get(&group)
            .is_some_and(|one| one.shipment == shipment)
        {
            intakes.remove(&group);
        }
    }

    /// A parcel that is not what was announced, or leaves a gap, ends its intake.
    fn chunk(&self, from: BrokerId, chunk: &Chunk, data: &[u8]) -> Result<Option<Whole>, String> {
        let mut intakes = self.lock();
        let intake = intakes.get_mut(&chunk.group);
        let ours = intake.filter(|one| one.from == from && one.shipment == chunk.shipment);
        let intake = ours.ok_or("such a shipment was not begun, or another one was since")?;
        intake.heard = Instant::now();
        let taken = intake.take(chunk, data);
        if taken.is_err() {
            intakes.remove(&chunk.group);
        }
        taken.map_err(str::to_owned)
    }

    /// The run is made.
    fn advance(&self, group: GroupId, shipment: u64, needs: Option<Offset>) {
        match needs {
            None => self.end(group, shipment),
            Some(needs) => {
                if let Some(intake) = self.lock().get_mut(&group)
                    && intake.shipment == shipment
                {
                    intake.heard = Instant::now();
                    intake.needs = needs;
                }
            }
        }
    }

    /// Nothing more comes from that broker.
    fn lost(&self, broker: BrokerId) {
        self.lock().retain(|_, intake| intake.from != broker);
    }
}

impl Intake {
    fn take(&mut self, chunk: &Chunk, data: &[u8]) -> Result<Option<Whole>, &'static str> {
        let (base, next) = (Offset(chunk.base), Offset(chunk.next));
        if chunk.at == 0 {
            if base > self.needs || next <= self.needs || next > self.header.next_offset {
                return Err("the parcel does not go on where records are lacking");
            }
            if chunk.parcel_bytes > self.max_parcel_bytes {
                return Err("the parcel is larger than one may be");
            }
            self.parcel = Some(Parcel {
                base,
                next,
                bytes: chunk.parcel_bytes,
                here: BytesMut::new(),
            });
        }
        let parcel = self.parcel.as_mut().ok_or("the parcel was not begun")?;
        let is_it = (parcel.base, parcel.next, parcel.bytes) == (base, next, chunk.parcel_bytes);
        if !is_it || chunk.at != parcel.here.len() as u64 {
            return Err("the chunk is not the next one of its parcel");
        }
        let left = parcel.bytes - chunk.at;
        if data.len() as u64 > left || (data.is_empty() && left > 0) {
            return Err("the chunk is longer than what is left of its parcel, or empty");
        }
        parcel.here.extend_from_slice(data);
        if (parcel.here.len() as u64) < parcel.bytes {
            return Ok(None);
        }
        let whole = self.parcel.take().map(|parcel| Whole {
            header: self.header,
            base,
            next,
            bytes: parcel.here.freeze(),
        });
        Ok(whole)
    }
}

impl Shipping {
    /// What the broker that leads says, and the answer.
    pub async fn asked(&self, from: BrokerId, question: Bytes) -> Bytes {
        let reply = match Question::decode(question) {
            Ok((Question::Begin(begin), _)) => self.inner.begin(from, &begin).await,
            Ok((Question::Chunk(chunk), data)) => self.inner.chunk(from, &chunk, &data).await,
            Err(error) => Err(error.to_string()),
        };
        let reply = reply.unwrap_or_else(|why| {
            tracing::debug!(from, why, "records from another broker are refused");
            Reply::Refused(why)
        });
        reply.encode()
    }

    /// A partition's snapshot has come. It is taken only if the records that it names are here: else they would be lost.
    pub fn arrived(&self, from: BrokerId, group: GroupId, message: Message) {
        let inner = self.inner.clone();
        self.inner.tasks.spawn_on(
            async move {
                let Some(handle) = inner.handle(group) else {
                    return;
                };
                let header = SnapshotHeader::decode(&message.get_snapshot().data);
                let Some(header) = header else {
                    return tracing::warn!(%group, from, "a snapshot without a header is not taken");
                };
                let reason =
                    match blocking(LOOK_PATIENCE, move || handle.import_from(&header)).await {
                        Some(Ok(None)) => {
                            if let Some(engine) = inner.engine() {
                                engine.deliver(group, message);
                            }
                            return;
                        }
                        Some(Ok(Some(offset))) => {
                            format!("records from offset {offset} on are not here")
                        }
                        Some(Err(error)) => error.to_string(),
                        None => "looking for what is here takes too long".to_owned(),
                    };
                tracing::warn!(%group, from, reason, "a snapshot is not taken");
            },
            &self.inner.runtime,
        );
    }

    pub fn lost(&self, broker: BrokerId) {
        self.inner.intakes.lost(broker);
    }
}

impl Inner {
    /// The replica that is to have the records, if it is here and follows one of that broker.
    fn follower(&self, from: BrokerId, begin: &Begin) -> Result<Handle, String> {
        let handle = self.handle(begin.group).ok_or("the group is not here")?;
        if handle.peer() != begin.to {
            return Err(format!("replica {} is not here", begin.to));
        }
        if handle.broker_of(begin.from) != Some(from) {
            return Err(format!("replica {} is not on broker {from}", begin.from));
        }
        if handle.positions().role == Role::Leader {
            return Err("this replica leads".to_owned());
        }
        if handle.is_offline() {
            return Err("this replica is offline".to_owned());
        }
        Ok(handle)
    }

    async fn begin(&self, from: BrokerId, begin: &Begin) -> Result<Reply, String> {
        let header = begin.header();
        if begin.log_start < 0 || begin.next_offset < begin.log_start {
            return Err("the snapshot ends before it begins".to_owned());
        }
        let handle = self.follower(from, begin)?;
        // What one entry may take, and the heads of small ones.
        let max_parcel_bytes = PARCEL_BYTES.max(handle.max_entry_bytes() as u64) / 4 * 5;
        let looked = blocking(LOOK_PATIENCE, move || handle.import_from(&header)).await;
        let needs = looked
            .ok_or("looking for what is here takes too long")?
            .map_err(|error| error.to_string())?;
        let Some(needs) = needs else {
            self.intakes.forget(begin.group);
            return Ok(Reply::Complete);
        };
        let intake = Intake {
            from,
            shipment: begin.shipment,
            header,
            needs,
            parcel: None,
            max_parcel_bytes,
            heard: Instant::now(),
        };
        Ok(match self.intakes.admit(begin.group, intake) {
            true => Reply::Needs(needs.0),
            false => Reply::Busy,
        })
    }

    async fn chunk(&self, from: BrokerId, chunk: &Chunk, data: &[u8]) -> Result<Reply, String> {
        let whole = self.intakes.chunk(from, chunk, data)?;
        let received = &self.counters.received_bytes;
        received.fetch_add(data.len() as u64, Ordering::Relaxed);
        let Some(whole) = whole else {
            return Ok(Reply::More);
        };
        let needs = self.import(chunk.group, whole).await;
        match needs {
            Ok(needs) => {
                self.intakes.advance(chunk.group, chunk.shipment, needs);
                Ok(needs.map_or(Reply::Complete, |needs| Reply::Needs(needs.0)))
            }
            Err(why) => {
                self.intakes.end(chunk.group, chunk.shipment);
                Err(why)
            }
        }
    }

    /// Returns when the run is durable, with what is lacking then.
    async fn import(&self, group: GroupId, whole: Whole) -> Result<Option<Offset>, String> {
        let Whole {
            header,
            base,
            next,
            bytes,
        } = whole;
        let unpacked = blocking(PARCEL_PATIENCE, move || unpack(base, next, bytes)).await;
        let import = unpacked
            .ok_or("looking at a parcel takes too long")?
            .map_err(|error| error.to_string())?;
        let handle = self.handle(group).ok_or("the group is not here any more")?;
        let made = handle.import(header, import);
        // The directory may close meanwhile.
        drop(handle);
        tokio::time::timeout(RUN_PATIENCE, made)
            .await
            .map_err(|_| "making a run takes too long")?
            .map_err(|_| "the directory closes")?
            .map_err(|error| error.to_string())?;
        let handle = self.handle(group).ok_or("the group is not here any more")?;
        let looked = blocking(LOOK_PATIENCE, move || handle.import_from(&header)).await;
        looked
            .ok_or("looking for what is here takes too long")?
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(from: BrokerId, shipment: u64) -> Intake {
        Intake {
            from,
            shipment,
            header: SnapshotHeader {
                next_offset: Offset(100),
                log_start: Offset(0),
            },
            needs: Offset(0),
            parcel: None,
            max_parcel_bytes: 1_000,
            heard: Instant::now(),
        }
    }

    #[test]
    fn so_many_are_taken_in_at_a_time_and_the_newest_shipment_of_each() {
        let intakes = Intakes::default();
        for group in 1..=MAX_INTAKES as u64 {
            assert!(intakes.admit(GroupId(group), intake(7, 1)));
        }
        let one_more = GroupId(99);
        assert!(!intakes.admit(one_more, intake(7, 1)));
        assert!(intakes.admit(GroupId(1), intake(8, 2)), "in its own place");
        intakes.end(GroupId(1), 1);
        assert!(!intakes.admit(one_more, intake(7, 1)), "it has another now");
        intakes.advance(GroupId(1), 2, None);
        assert!(intakes.admit(one_more, intake(9, 1)), "it has all");
        intakes.lost(7);
        assert_eq!(intakes.lock().len(), 1, "of the others nothing comes");
    }

    #[test]
    fn a_parcel_is_whole_when_its_last_byte_has_come() {
        let mut intake = intake(7, 1);
        let chunk = |at| Chunk {
            shipment: 1,
            group: GroupId(1),
            base: 0,
            next: 10,
            parcel_bytes: 5,
            at,
        };
        let mut take = |at, data: &[u8]| {
            let taken = intake.take(&chunk(at), data);
            taken.map(|whole| whole.map(|whole| whole.bytes))
        };
        assert_eq!(take(0, b"ab"), Ok(None));
        assert!(take(1, b"x").is_err());
        assert_eq!(take(0, b"abc"), Ok(None), "begun anew");
        assert!(take(3, b"").is_err());
        assert_eq!(take(3, b"de"), Ok(Some(Bytes::from_static(b"abcde"))));
        assert!(take(3, b"de").is_err(), "of no parcel");
    }
}
