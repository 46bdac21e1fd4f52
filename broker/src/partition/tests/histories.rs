//! Random histories: rollback, take-over and restoring lose nothing and invent nothing.

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// A step of a random history. Producers keep their own sequence numbers, as clients do.
#[derive(Clone, Debug)]
enum Step {
    Append { producer: usize, records: usize },
    Repeat { producer: usize },
    Gap { producer: usize },
    Transactional { producer: usize, records: usize },
    End { producer: usize, is_commit: bool },
    Plain { records: usize },
    DeleteTo(i64),
    Apply(usize),
    Drop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let producer = 0usize..3;
    prop::collection::vec(
        prop_oneof![
            4 => (producer.clone(), 1usize..5)
                .prop_map(|(producer, records)| Step::Append { producer, records }),
            2 => producer.clone().prop_map(|producer| Step::Repeat { producer }),
            1 => producer.clone().prop_map(|producer| Step::Gap { producer }),
            2 => (producer.clone(), 1usize..5)
                .prop_map(|(producer, records)| Step::Transactional { producer, records }),
            2 => (producer, any::<bool>())
                .prop_map(|(producer, is_commit)| Step::End { producer, is_commit }),
            1 => (1usize..4).prop_map(|records| Step::Plain { records }),
            1 => (0i64..60).prop_map(Step::DeleteTo),
            2 => (0usize..4).prop_map(Step::Apply),
            1 => Just(Step::Drop),
        ],
        0..40,
    )
}

#[derive(Clone, Default)]
struct Client {
    next: i32,
    last: Option<(bool, i32, usize, (i64, i64))>,
}

/// Runs `steps` on a leader; accepted appends must be dense, repeats must get the original's offsets.
fn run(replica: &mut Replica, clients: &mut [Client; 3], steps: &[Step]) {
    let batch = |is_transactional, producer: usize, sequence, records| {
        if is_transactional {
            transactional(producer as i64, 0, sequence, records)
        } else {
            of_producer(producer as i64, 0, sequence, records)
        }
    };
    let mut next = replica.positions().3;
    for step in steps {
        match step {
            Step::Append { producer, records } | Step::Transactional { producer, records } => {
                let is_transactional = matches!(step, Step::Transactional { .. });
                let client = &mut clients[*producer];
                let sequence = client.next;
                let sent = batch(is_transactional, *producer, sequence, *records);
                if let Ok(answer) = replica.ask(append(sent)) {
                    let found = offsets(&answer);
                    assert_eq!(found, (next, next + *records as i64 - 1));
                    next = found.1 + 1;
                    client.next = producer::sequence_after(sequence, *records as i32);
                    client.last = Some((is_transactional, sequence, *records, found));
                }
            }
            Step::Repeat { producer } => {
                let Some((kind, sequence, records, original)) = clients[*producer].last else {
                    continue;
                };
                let answer = replica
                    .ask(append(batch(kind, *producer, sequence, records)))
                    .unwrap();
                assert!(
                    !matches!(answer, Answer::At(..)),
                    "a duplicate was appended"
                );
                assert_eq!(offsets(&answer), original);
            }
            Step::Gap { producer } => {
                if clients[*producer].last.is_some() {
                    let sequence = producer::sequence_after(clients[*producer].next, 1);
                    let sent = batch(false, *producer, sequence, 1);
                    assert!(replica.ask(append(sent)).is_err());
                }
            }
            Step::End {
                producer,
                is_commit,
            } => {
                let kind = if *is_commit {
                    ControlType::Commit
                } else {
                    ControlType::Abort
                };
                let answer = replica.ask(end(marker(*producer as i64, 0, kind))).unwrap();
                assert_eq!(offsets(&answer), (next, next));
                next += 1;
            }
            Step::Plain { records } => {
                let answer = replica.ask(append(plain(*records))).unwrap();
                assert_eq!(offsets(&answer).0, next);
                next += *records as i64;
            }
            Step::DeleteTo(offset) => {
                let is_inside = *offset <= replica.positions().2;
                assert_eq!(replica.ask(delete_to(*offset)).is_ok(), is_inside);
            }
            Step::Apply(count) => {
                let to = replica.log.len().min(replica.applied + count);
                replica.apply_to(to);
            }
            Step::Drop => {
                let sent = plain(3);
                replica.propose();
                assert!(
                    replica
                        .partition
                        .prepare(replica.term, append(sent))
                        .is_ok()
                );
            }
        }
        if replica.making.is_none() {
            assert_eq!(replica.positions().3, next);
        }
    }
    replica.propose();
}

/// Clients whose sequence numbers are about to wrap.
fn clients(first: i32) -> [Client; 3] {
    [(); 3].map(|()| Client {
        next: first,
        last: None,
    })
}

fn first_sequence() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), i32::MAX - 12..=i32::MAX]
}

proptest! {
    #[test]
    fn after_a_rollback_only_what_was_applied_remains(
        before in steps(),
        after in steps(),
        first in first_sequence(),
        joins: bool,
    ) {
        let mut replica = Replica::leader();
        replica.joins = joins;
        run(&mut replica, &mut clients(first), &before);
        replica.follow();
        replica.truncate();
        let mut fresh = Replica::new(TopicConfig::default());
        fresh.log = replica.log.clone();
        fresh.apply_all();
        prop_assert_eq!(replica.snapshot(), fresh.snapshot());
        prop_assert_eq!(replica.positions(), fresh.positions());
        replica.lead(2);
        fresh.lead(2);
        fresh.joins = joins;
        // Clients that know nothing of what came before: whatever the old leader said, the new one starts from the log.
        for step in &after {
            let command = || match step {
                Step::Append { producer, records } => {
                    append(of_producer(*producer as i64, 1, 0, *records))
                }
                Step::Transactional { producer, records } => {
                    append(transactional(*producer as i64, 0, first, *records))
                }
                Step::DeleteTo(offset) => delete_to(*offset),
                _ => append(plain(1)),
            };
            prop_assert_eq!(replica.ask(command()), fresh.ask(command()));
        }
        replica.apply_all();
        fresh.apply_all();
        prop_assert_eq!(replica.snapshot(), fresh.snapshot());
    }

    #[test]
    fn a_new_leader_takes_over_what_is_not_applied(
        before in steps(),
        after in steps(),
        first in first_sequence(),
        joins: bool,
    ) {
        let mut replica = Replica::leader();
        replica.joins = joins;
        let mut clients = clients(first);
        run(&mut replica, &mut clients, &before);
        let end = replica.positions().3;
        replica.follow();
        replica.lead(2);
        prop_assert_eq!(replica.positions().3, end);
        run(&mut replica, &mut clients, &after);
        replica.apply_all();
        let led: Vec<_> = (0..4).map(|e| replica.partition.view().end_offset_for(e)).collect();
        replica.follow();
        let followed: Vec<_> = (0..4).map(|e| replica.partition.view().end_offset_for(e)).collect();
        prop_assert_eq!(led, followed, "the leader's epochs are the committed ones");
        let mut fresh = Replica::new(TopicConfig::default());
        fresh.log = replica.log.clone();
        fresh.apply_all();
        prop_assert_eq!(replica.snapshot(), fresh.snapshot());
    }

    #[test]
    fn a_restored_partition_goes_on_like_the_one_it_came_from(
        before in steps(),
        after in steps(),
        first in first_sequence(),
        joins: bool,
    ) {
        let mut replica = Replica::leader();
        replica.joins = joins;
        let mut known = clients(first);
        run(&mut replica, &mut known, &before);
        replica.apply_all();
        let bytes = replica.snapshot();
        let mut copy = Replica {
            partition: restored(&bytes),
            log: replica.log.clone(),
            applied: replica.applied,
            term: replica.term,
            joins: replica.joins,
            making: None,
        };
        prop_assert_eq!(copy.snapshot(), bytes);
        prop_assert_eq!(copy.positions(), replica.positions());
        let aborted = |r: &Replica| r.partition.view().aborted_in(Offset(0), Offset(i64::MAX));
        prop_assert_eq!(aborted(&copy), aborted(&replica));
        replica.lead(2);
        copy.lead(2);
        let mut also_known = known.clone();
        run(&mut replica, &mut known, &after);
        run(&mut copy, &mut also_known, &after);
        prop_assert_eq!(&replica.log, &copy.log);
        replica.apply_all();
        copy.apply_all();
        prop_assert_eq!(replica.snapshot(), copy.snapshot());
    }

    #[test]
    fn appends_that_share_an_entry_mean_what_they_mean_apart(steps in steps(), first in first_sequence()) {
        // What is applied when, and so how far records may be deleted, depends on the entries.
        let steps: Vec<Step> = steps
            .into_iter()
            .filter(|step| !matches!(step, Step::Apply(_) | Step::DeleteTo(_)))
            .collect();
        let (mut apart, mut together) = (Replica::leader(), Replica::leader());
        together.joins = true;
        run(&mut apart, &mut clients(first), &steps);
        run(&mut together, &mut clients(first), &steps);
        let records = |replica: &Replica| {
            replica.log.iter().map(|entry| entry.data.clone()).collect::<Vec<_>>().concat()
        };
        prop_assert_eq!(records(&together), records(&apart));
        prop_assert!(together.log.len() <= apart.log.len());
        apart.apply_all();
        together.apply_all();
        prop_assert_eq!(together.snapshot(), apart.snapshot());
        prop_assert_eq!(together.positions(), apart.positions());
    }
}
