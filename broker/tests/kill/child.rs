//! The process that is killed: writes as much as it can, and says on its standard output what was acknowledged, after it was.

use super::plan::{self, ALL, FIRST_SHORT_LIVED, PRODUCERS, VISITOR};
use super::wait::wait_until;
use millrace_broker::engine::{Engine, Handle};
use millrace_broker::partition::Role;
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::ids::Offset;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

/// Batches of one producer without an answer: Kafka remembers the last five of an idempotent one.
const IN_FLIGHT: u64 = 5;

/// What the parent hears, a line each. `Asked...` comes before the act, the others after its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Appended {
        partition: u64,
        producer: usize,
        batch: u64,
        base_offset: i64,
    },
    AskedToCut {
        partition: u64,
        offset: i64,
    },
    Cut {
        partition: u64,
        log_start: i64,
    },
    Created(u64),
    AskedToDelete(u64),
    Deleted(u64),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Appended {
                partition,
                producer,
                batch,
                base_offset,
            } => write!(f, "!appended {partition} {producer} {batch} {base_offset}"),
            Word::AskedToCut { partition, offset } => write!(f, "!cutting {partition} {offset}"),
            Word::Cut {
                partition,
                log_start,
            } => write!(f, "!cut {partition} {log_start}"),
            Word::Created(id) => write!(f, "!created {id}"),
            Word::AskedToDelete(id) => write!(f, "!deleting {id}"),
            Word::Deleted(id) => write!(f, "!deleted {id}"),
        }
    }
}

impl Word {
    /// `None` for the test harness's own lines.
    pub fn parse(line: &str) -> Option<Word> {
        let mut parts = line.strip_prefix('!')?.split(' ');
        let what = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        Some(match what {
            "appended" => Word::Appended {
                partition: number()?,
                producer: number()? as usize,
                batch: number()?,
                base_offset: number()? as i64,
            },
            "cutting" => Word::AskedToCut {
                partition: number()?,
                offset: number()? as i64,
            },
            "cut" => Word::Cut {
                partition: number()?,
                log_start: number()? as i64,
            },
            "created" => Word::Created(number()?),
            "deleting" => Word::AskedToDelete(number()?),
            "deleted" => Word::Deleted(number()?),
            _ => return None,
        })
    }
}

/// One write, so that a line is there whole or not at all.
pub fn say_on_stdout(word: Word) {
    let line = format!("{word}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// Works until `stop` is set (by its own, never: it is killed). `next` is each producer's first batch without an answer.
pub fn run(dir: &Path, round: u64, next: &[u64], stop: &AtomicBool, say: &(dyn Fn(Word) + Sync)) {
    let engine = Engine::open(&plan::options(dir), &plan::config_of).expect("the engine opens");
    let missing: Vec<_> = plan::PARTITIONS
        .map(GroupId)
        .filter(|id| engine.partition(*id).is_none())
        .map(|id| (id, plan::config_of(id)))
        .collect();
    engine.create(&missing).expect("partitions are created");
    let handles: Vec<Handle> = plan::PARTITIONS
        .map(|id| engine.partition(GroupId(id)).expect("it was created"))
        .collect();
    for handle in &handles {
        wait_until("a leader", || handle.positions().role == Role::Leader);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| come_and_go(&engine, round, stop, say));
        scope.spawn(|| cut(&handles[..4], round, stop, say));
        produce(&handles, next, stop, say);
    });
}

fn produce(handles: &[Handle], next: &[u64], stop: &AtomicBool, say: &(dyn Fn(Word) + Sync)) {
    let (sender, answers) = channel();
    let mut next = next.to_vec();
    let mut in_flight = vec![0; PRODUCERS.len()];
    while !stop.load(Ordering::Relaxed) {
        for (producer, plan) in PRODUCERS.iter().enumerate() {
            while in_flight[producer] < IN_FLIGHT {
                let (batch, sender) = (next[producer], sender.clone());
                let handle = &handles[plan.partition as usize - 1];
                let bytes = plan::batch(producer, batch);
                handle.append_then(bytes, 1_000_000, ALL, move |answer| {
                    let _ = sender.send((producer, batch, answer));
                });
                next[producer] += 1;
                in_flight[producer] += 1;
            }
        }
        let (producer, batch, answer) = answers.recv().expect("each append is answered");
        let appended = answer.unwrap_or_else(|e| panic!("producer {producer} batch {batch}: {e}"));
        in_flight[producer] -= 1;
        say(Word::Appended {
            partition: PRODUCERS[producer].partition,
            producer,
            batch,
            base_offset: appended.base_offset.0,
        });
    }
    let left: u64 = in_flight.iter().sum();
    for (producer, batch, answer) in answers.iter().take(left as usize) {
        let appended = answer.unwrap_or_else(|e| panic!("producer {producer} batch {batch}: {e}"));
        say(Word::Appended {
            partition: PRODUCERS[producer].partition,
            producer,
            batch,
            base_offset: appended.base_offset.0,
        });
    }
}

/// DeleteRecords, so that the log start moves and runs expire.
fn cut(handles: &[Handle], round: u64, stop: &AtomicBool, say: &(dyn Fn(Word) + Sync)) {
    let mut rng = SmallRng::seed_from_u64(round);
    let runtime = runtime();
    while !stop.load(Ordering::Relaxed) {
        let handle = &handles[rng.random_range(0..handles.len())];
        let positions = handle.positions();
        let offset = positions.high_watermark.0 - rng.random_range(0..100);
        if offset > positions.log_start.0 {
            let partition = handle.group().0;
            say(Word::AskedToCut { partition, offset });
            let moved = runtime.block_on(handle.delete_records(Some(Offset(offset))));
            say(Word::Cut {
                partition,
                log_start: moved.expect("records can be deleted").0,
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(rng.random_range(1..20)));
    }
}

/// Topics are made, written to, and half of them deleted; so are some of those that earlier rounds left.
fn come_and_go(engine: &Engine, round: u64, stop: &AtomicBool, say: &(dyn Fn(Word) + Sync)) {
    let mut rng = SmallRng::seed_from_u64(!round);
    let runtime = runtime();
    let old: Vec<GroupId> = engine.partitions().iter().map(Handle::group).collect();
    let mut old = old.into_iter().filter(|id| id.0 >= FIRST_SHORT_LIVED);
    let delete = |id: GroupId| {
        say(Word::AskedToDelete(id.0));
        engine.delete(id).expect("a topic is deleted");
        say(Word::Deleted(id.0));
    };
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = GroupId(FIRST_SHORT_LIVED * (round + 1) + n);
        let made = engine.create(&[(id, plan::config_of(id))]);
        let handle = made.expect("a topic is created").remove(0);
        say(Word::Created(id.0));
        wait_until("a leader", || handle.positions().role == Role::Leader);
        for _ in 0..rng.random_range(0..4) {
            // Unique, because the id is.
            let batch = id.0 << 4 | rng.random_range(0..16);
            let appended = runtime
                .block_on(handle.append(plan::batch(VISITOR, batch), 1_000_000, ALL))
                .expect("a new topic takes records");
            say(Word::Appended {
                partition: id.0,
                producer: VISITOR,
                batch,
                base_offset: appended.base_offset.0,
            });
        }
        if rng.random_bool(0.6) {
            delete(id);
        }
        old.next().into_iter().for_each(delete);
        std::thread::sleep(std::time::Duration::from_millis(rng.random_range(10..60)));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}
