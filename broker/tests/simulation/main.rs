//! The seeded simulation: 1, 3 and 5 replicas on the real worker, shard and partition, above a disk and families that lose what
//! was not made durable, and a network that loses what it likes. One thread, one generator, no clock.
//!
//! A failure prints its seed. `MILLRACE_SEED=n cargo test -p millrace-broker --test simulation replay` runs that one again;
//! `MILLRACE_SEEDS=k` says how many seeds each test runs, `MILLRACE_TEST_FULL=1` makes that 10,000.
//!
//! - `world.rs`: the cluster and what can happen to it; `plan.rs`: what one seed lets happen, and the planted bugs.
//! - `broker.rs`, `families.rs`, `network.rs`, `clients.rs`, `machine.rs`: its parts.
//! - What happens: `produce.rs`, `reads.rs`, `delivery.rs`, `housekeeping.rs` (log, sealing, compaction), `control.rs`
//!   (memberships), `catch_up.rs` (records in bulk), `faults.rs` and `damage.rs`.
//! - `oracle/`: what must hold; its `history.rs` knows every record, key and transaction. `finish.rs`: that all comes right in
//!   the end. `trace.rs`: the last events of a run.

#![allow(clippy::unwrap_used)]

mod broker;
mod catch_up;
mod clients;
mod control;
mod damage;
mod delivery;
mod families;
mod faults;
mod finish;
mod housekeeping;
mod machine;
mod network;
mod oracle;
mod plan;
mod produce;
mod reads;
mod trace;
mod world;

use oracle::Violation;
use plan::Planted;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use trace::Trace;
use world::World;

/// How many seeds each test runs in `make test`.
const SEEDS: u64 = 500;
const SEEDS_FULL: u64 = 10_000;
/// A planted bug is found within so many seeds, or the simulation is blind.
const SEEDS_PLANTED: u64 = 400;

const THREADS: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> u64 {
    let is_full = std::env::var_os("MILLRACE_TEST_FULL").is_some();
    number("MILLRACE_SEEDS").unwrap_or(if is_full { SEEDS_FULL } else { SEEDS })
}

/// What went wrong with one seed, if anything.
fn run(seed: u64, brokers: Option<usize>, planted: Option<Planted>) -> Result<(), (String, Trace)> {
    let trace = Trace::default();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, brokers, planted, trace.clone())?;
        world.run()?;
        world.finish()
    }));
    match ran {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Violation(what))) => Err((what, trace)),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err((format!("panic: {text}"), trace))
        }
    }
}

/// Runs seeds on all threads until one fails; the smallest that failed.
fn first_failure(
    from: u64,
    count: u64,
    brokers: Option<usize>,
    planted: Option<Planted>,
) -> Option<(u64, String, Trace)> {
    let next = AtomicU64::new(from);
    let failure: Mutex<Option<(u64, String, Trace)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while failure.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    if let Err((what, trace)) = run(seed, brokers, planted) {
                        let mut failure = failure.lock().unwrap();
                        if failure.as_ref().is_none_or(|(other, ..)| seed < *other) {
                            *failure = Some((seed, what, trace));
                        }
                    }
                }
            });
        }
    });
    failure.into_inner().unwrap()
}

fn check(brokers: Option<usize>) {
    let from = number("MILLRACE_FROM").unwrap_or(0);
    let started = Instant::now();
    let count = seeds();
    if let Some((seed, what, trace)) = first_failure(from, count, brokers, None) {
        panic!(
            "seed {seed} (brokers {brokers:?}): {what}\nits last events:\n{}",
            trace.text()
        );
    }
    println!("{count} seeds in {:?}", started.elapsed());
}

#[test]
fn a_single_replica_keeps_what_it_acknowledged() {
    check(Some(1));
}

#[test]
fn three_replicas_keep_what_they_acknowledged() {
    check(Some(3));
}

#[test]
fn replicas_that_move_and_any_number_of_them_keep_what_they_acknowledged() {
    check(None);
}

/// `MILLRACE_SEED`, with `MILLRACE_BROKERS` if the failure named them; without it, a seed twice with the same end.
#[test]
fn replay() {
    let brokers = number("MILLRACE_BROKERS").map(|brokers| brokers as usize);
    match number("MILLRACE_SEED") {
        Some(seed) => {
            if let Err((what, trace)) = run(seed, brokers, None) {
                panic!("seed {seed}: {what}\nits last events:\n{}", trace.text());
            }
        }
        None => {
            for seed in 0..10 {
                let trace = || {
                    let trace = Trace::default();
                    let mut world = World::new(seed, None, None, trace.clone())
                        .unwrap_or_else(|Violation(what)| panic!("seed {seed}: {what}"));
                    let _ = world.run();
                    trace.text()
                };
                assert_eq!(trace(), trace(), "seed {seed} is not repeatable");
            }
        }
    }
}

fn is_caught(planted: Planted) {
    let count = number("MILLRACE_SEEDS")
        .unwrap_or(SEEDS_PLANTED)
        .max(SEEDS_PLANTED);
    let brokers = match planted {
        Planted::AckBeforeSync
        | Planted::RowAheadOfLog
        | Planted::BelievedSync
        | Planted::LostValue
        | Planted::ForgottenAborts
        | Planted::HastyTombstones
        | Planted::ReadAboveStable => None,
        Planted::ReadAboveCommit | Planted::ForgottenVote | Planted::EmptyVoter => Some(3),
    };
    match first_failure(0, count, brokers, Some(planted)) {
        Some((seed, what, _)) => {
            println!(
                "{planted:?} is caught after {} of {count} seeds: {what}",
                seed + 1
            );
        }
        None => panic!("{planted:?} is not caught by {count} seeds"),
    }
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    is_caught(Planted::AckBeforeSync);
}

#[test]
fn a_read_above_the_commit_index_is_caught() {
    is_caught(Planted::ReadAboveCommit);
}

#[test]
fn a_forgotten_vote_is_caught() {
    is_caught(Planted::ForgottenVote);
}

#[test]
fn a_row_ahead_of_its_log_is_caught() {
    is_caught(Planted::RowAheadOfLog);
}

#[test]
fn a_voter_that_comes_back_empty_is_caught() {
    is_caught(Planted::EmptyVoter);
}

#[test]
fn a_failed_sync_that_is_believed_is_caught() {
    is_caught(Planted::BelievedSync);
}

#[test]
fn a_newest_value_lost_by_log_compaction_is_caught() {
    is_caught(Planted::LostValue);
}

#[test]
fn log_compaction_that_forgets_aborted_transactions_is_caught() {
    is_caught(Planted::ForgottenAborts);
}

#[test]
fn a_tombstone_removed_too_early_is_caught() {
    is_caught(Planted::HastyTombstones);
}

#[test]
fn a_read_above_the_last_stable_offset_is_caught() {
    is_caught(Planted::ReadAboveStable);
}
