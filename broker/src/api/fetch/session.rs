//! What each client has asked for before, so that it need not repeat it, and what it was told, so that an answer can leave it
//! out (KIP-227). A client whose session is gone hears so and begins a new one.

use super::Key;
use super::read::Part;
use millrace_wire::ErrorCode;
use millrace_wire::messages::FetchRequest;
use millrace_wire::messages::fetch_request::FetchPartition;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Begins a session.
const INITIAL_EPOCH: i32 = 0;
/// Without a session, or the end of one.
const FINAL_EPOCH: i32 = -1;

/// A session that was not used for so long gives its place to any new one (Kafka's value).
const IDLE: Duration = Duration::from_secs(120);

/// Partitions of all sessions together; beyond, fetches go without one.
const MAX_PARTITIONS: usize = 500_000;

/// A partition that is to be fetched, and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Key,
    pub partition: FetchPartition,
}

/// A fetch that has begun.
#[derive(Debug)]
pub struct Begun {
    /// 0 without a session.
    session_id: i32,
    /// Only what has changed is to be told.
    is_incremental: bool,
    wanted: Vec<Wanted>,
}

impl Begun {
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }
}

/// All sessions of this broker.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<i32, Session>,
    partitions: usize,
}

#[derive(Debug)]
struct Session {
    /// That the next request must carry.
    epoch: i32,
    by_id: bool,
    used: Instant,
    next_place: u64,
    /// In the order in which they are read; one that had records goes to the end.
    cached: BTreeMap<u64, Cached>,
    places: HashMap<Key, u64>,
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    told: Option<Told>,
}

/// What the client knows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    log_start: i64,
}

impl Sessions {
    pub fn new(slots: usize) -> Sessions {
        Sessions {
            slots,
            inner: Mutex::default(),
        }
    }

    pub fn count(&self) -> usize {
        self.lock().sessions.len()
    }

    /// What is to be fetched: what the request names, or what its session holds once the request has changed it.
    pub fn begin(&self, request: &FetchRequest) -> Result<Begun, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        let mut inner = self.lock();
        if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            inner.remove(id);
            let wanted = wanted(request);
            let session_id = match epoch {
                INITIAL_EPOCH => self.make(&mut inner, &wanted),
                _ => 0,
            };
            return Ok(Begun {
                session_id,
                is_incremental: false,
                wanted,
            });
        }
        let by_id = names_by_id(request);
        let before = inner.partitions;
        let session = inner
            .sessions
            .get_mut(&id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if by_id.is_some_and(|by_id| by_id != session.by_id) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let had = session.cached.len();
        session.change(request);
        session.epoch = next_epoch(epoch);
        session.used = Instant::now();
        let has = session.cached.len();
        let wanted = session
            .cached
            .values()
            .map(|cached| cached.wanted.clone())
            .collect();
        inner.partitions = before - had + has;
        if inner.partitions > MAX_PARTITIONS {
            inner.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        // A session that holds nothing ends.
        let session_id = match has {
            0 => {
                inner.remove(id);
                0
            }
            _ => id,
        };
        Ok(Begun {
            session_id,
            is_incremental: true,
            wanted,
        })
    }

    /// The session's id for the answer, and of its parts those that are to be told.
    pub fn end(&self, begun: Begun, parts: Vec<Part>) -> (i32, Vec<Part>) {
        let mut inner = self.lock();
        let Some(session) = inner.sessions.get_mut(&begun.session_id) else {
            return (begun.session_id, parts);
        };
        let told = parts
            .into_iter()
            .filter(|part| session.tell(part) || !begun.is_incremental)
            .collect();
        (begun.session_id, told)
    }

    /// The session's id for an answer that is put off: one that was to begin does not, one that goes on has told nothing.
    pub fn put_off(&self, begun: Begun) -> i32 {
        if !begun.is_incremental {
            self.lock().remove(begun.session_id);
            return 0;
        }
        begun.session_id
    }

    /// The id of a new session, or 0 when there is no place for one.
    fn make(&self, inner: &mut Inner, wanted: &[Wanted]) -> i32 {
        if wanted.is_empty() || !self.make_room(inner, wanted.len()) {
            return 0;
        }
        let id = loop {
            let id = (uuid::Uuid::new_v4().as_u128() as i32) & i32::MAX;
            if id != 0 && !inner.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_id: wanted.iter().any(|wanted| !wanted.key.id.is_nil()),
            used: Instant::now(),
            next_place: 0,
            cached: BTreeMap::new(),
            places: HashMap::new(),
        };
        for wanted in wanted {
            session.put(wanted.clone());
        }
        inner.partitions += session.cached.len();
        inner.sessions.insert(id, session);
        id
    }

    /// Whether there is a place for a session of so many partitions; ends an idle or a smaller one for it.
    fn make_room(&self, inner: &mut Inner, partitions: usize) -> bool {
        if inner.partitions + partitions > MAX_PARTITIONS {
            return false;
        }
        if inner.sessions.len() < self.slots {
            return true;
        }
        let idle = inner
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.used);
        let idle = idle.filter(|(_, session)| session.used.elapsed() > IDLE);
        let smaller = || {
            let smallest = inner
                .sessions
                .iter()
                .min_by_key(|(_, session)| session.cached.len());
            smallest.filter(|(_, session)| session.cached.len() < partitions)
        };
        let Some(id) = idle.or_else(smaller).map(|(id, _)| *id) else {
            return false;
        };
        inner.remove(id);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.cached.len();
        }
    }
}

impl Session {
    fn change(&mut self, request: &FetchRequest) {
        for wanted in wanted(request) {
            self.put(wanted);
        }
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                let key = Key {
                    name: topic.topic.clone(),
                    id: topic.topic_id,
                    partition: *partition,
                };
                if let Some(place) = self.places.remove(&key) {
                    self.cached.remove(&place);
                }
            }
        }
    }

    fn put(&mut self, wanted: Wanted) {
        match self.places.get(&wanted.key) {
            Some(place) => {
                if let Some(cached) = self.cached.get_mut(place) {
                    cached.wanted = wanted;
                }
            }
            None => {
                self.places.insert(wanted.key.clone(), self.next_place);
                let cached = Cached { wanted, told: None };
                self.cached.insert(self.next_place, cached);
                self.next_place += 1;
            }
        }
    }

    /// Whether the client must hear of this part; notes that it does.
    fn tell(&mut self, part: &Part) -> bool {
        let Some(place) = self.places.get_mut(&part.key) else {
            return true;
        };
        let Some(cached) = self.cached.get_mut(place) else {
            return true;
        };
        let data = &part.data;
        let now = Told {
            high_watermark: data.high_watermark,
            log_start: data.log_start_offset,
        };
        let has_records = data
            .records
            .as_ref()
            .is_some_and(|records| !records.is_empty());
        let is_failed = data.error_code != 0;
        let is_new = cached.told != Some(now);
        // After an error the client is told everything once more.
        cached.told = (!is_failed).then_some(now);
        if has_records && let Some(cached) = self.cached.remove(place) {
            *place = self.next_place;
            self.next_place += 1;
            self.cached.insert(*place, cached);
        }
        has_records || is_failed || is_new || data.diverging_epoch.epoch >= 0
    }
}

fn wanted(request: &FetchRequest) -> Vec<Wanted> {
    let topics = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| Wanted {
            key: Key {
                name: topic.topic.clone(),
                id: topic.topic_id,
                partition: partition.partition,
            },
            partition: partition.clone(),
        })
    });
    topics.collect()
}

/// `None` when the request names no topic.
fn names_by_id(request: &FetchRequest) -> Option<bool> {
    let topics = request.topics.iter().map(|topic| topic.topic_id);
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .map(|topic| topic.topic_id);
    topics.chain(forgotten).next().map(|id| !id.is_nil())
}

/// After the last comes 1: 0 begins a session.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
