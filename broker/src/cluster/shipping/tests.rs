//! Some engines in one process, between which runs are shipped: from hand to hand, where a test may come in between, or through sockets.

mod rig;
mod sockets;

use super::words::{Begin, Chunk, Question, Reply};
use crate::engine::tests::{add_learner, wait_until};
use crate::partition::Role;
use rig::{Fault, GROUP, Mode, Rig, peer_of, readable};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The next so many chunks are `fault`, from the `first` on.
fn from_chunk(first: usize, count: usize, fault: Fault) -> impl FnMut(&Chunk) -> Fault + Send {
    let seen = AtomicUsize::new(0);
    move |_| {
        let at = seen.fetch_add(1, Ordering::Relaxed);
        match (first..first + count).contains(&at) {
            true => fault,
            false => Fault::None,
        }
    }
}

#[test]
fn a_follower_that_was_away_while_all_was_sealed_gets_the_records_and_then_the_snapshot() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (_, follower) = rig.leave_behind();
    // Some of it lies in the log yet.
    rig.fill(2);
    let expected = rig.contents_of_leader();
    rig.come_back(follower);
    rig.await_contents(follower, &expected);
    assert!(rig.net.chunks().len() > 8, "several parcels, in chunks");
    assert!(rig.stats(follower).received_bytes > 800_000);
    // From here on the log does.
    rig.fill(1);
    let expected = rig.contents_of_leader();
    rig.await_contents(follower, &expected);
    rig.stop(follower);
    rig.come_back(follower);
    rig.await_contents(follower, &expected);
}

#[test]
fn a_replica_that_is_empty_and_learns_gets_all_records() {
    let rig = Rig::new(&[0, 1]);
    rig.fill(40);
    rig.seal();
    let expected = rig.contents_of_leader();
    let leader = rig.leader();
    add_learner(&rig.handle(leader), peer_of(2));
    rig.await_contents(2, &expected);
}

#[test]
fn a_shipment_that_is_cut_goes_on_where_it_stopped() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (_, follower) = rig.leave_behind();
    let expected = rig.contents_of_leader();
    rig.net.inject(from_chunk(10, 1, Fault::Lost));
    rig.come_back(follower);
    rig.await_contents(follower, &expected);
    let chunks = rig.net.chunks();
    let shipment = chunks[0].0.shipment;
    let arrived = chunks
        .iter()
        .filter(|(chunk, _)| chunk.shipment == shipment);
    let arrived = arrived.filter_map(|(_, reply)| match reply {
        Reply::Needs(offset) => Some(*offset),
        _ => None,
    });
    let arrived = arrived.max().expect("a parcel was whole before the cut");
    assert!(arrived > 0);
    let later = chunks
        .iter()
        .filter(|(chunk, _)| chunk.shipment != shipment);
    let first = later.map(|(chunk, _)| chunk.base).min();
    assert_eq!(first, Some(arrived), "the next one begins there");
}

#[test]
fn a_follower_that_goes_away_in_the_middle_goes_on_where_it_stopped() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (_, follower) = rig.leave_behind();
    let expected = rig.contents_of_leader();
    rig.net.inject(from_chunk(10, 1, Fault::Held));
    rig.come_back(follower);
    wait_until("a chunk on its way", || rig.net.held() == 1);
    let arrived = rig.net.chunks().len();
    rig.stop(follower);
    rig.net.release();
    rig.come_back(follower);
    rig.await_contents(follower, &expected);
    let again = &rig.net.chunks()[arrived..];
    let first = again.iter().map(|(chunk, _)| chunk.base).min();
    assert!(first > Some(0), "what was durable is not shipped again");
}

#[test]
fn a_leader_that_steps_down_in_the_middle_leaves_the_rest_to_the_next_one() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (leader, follower) = rig.leave_behind();
    let expected = rig.contents_of_leader();
    rig.net.inject(from_chunk(10, 1, Fault::Held));
    rig.come_back(follower);
    wait_until("a chunk on its way", || rig.net.held() == 1);
    let other = 3 - leader - follower;
    wait_until("another leader", || {
        if rig.leader() == leader {
            rig.engines[&leader].transfer(GROUP, peer_of(other));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        rig.leader() != leader
    });
    let shipment = rig.net.chunks()[0].0.shipment;
    let before = rig.net.chunks().len();
    rig.net.release();
    rig.await_contents(follower, &expected);
    let after = rig.net.chunks();
    let of_old = after[before..].iter();
    let of_old = of_old
        .filter(|(chunk, _)| chunk.shipment == shipment)
        .count();
    assert!(of_old <= 1, "what was on its way, and no more: {of_old}");
}

#[test]
fn a_log_start_that_passes_what_is_shipped_is_heard_of() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (leader, follower) = rig.leave_behind();
    rig.net.inject(from_chunk(10, 1, Fault::Held));
    rig.come_back(follower);
    wait_until("a chunk on its way", || rig.net.held() == 1);
    let deletion = rig.handle(rig.leader());
    let start = rig.runtime.block_on(deletion.delete_records(None));
    let start = start.expect("it leads");
    rig.engines[&leader].run_retention();
    assert_eq!(rig.handle(leader).size_bytes().expect("it is there"), 0);
    rig.net.release();
    rig.fill(2);
    let expected = rig.contents_of_leader();
    assert_eq!(expected.len(), 2, "the others are deleted");
    rig.await_contents(follower, &expected);
    assert_eq!(rig.handle(follower).positions().log_start, start);
}

#[test]
fn a_chunk_that_was_changed_on_its_way_is_refused_and_sent_again() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (_, follower) = rig.leave_behind();
    let expected = rig.contents_of_leader();
    rig.net.inject(from_chunk(5, 1, Fault::Changed));
    rig.come_back(follower);
    rig.await_contents(follower, &expected);
    let refused = rig
        .net
        .chunks()
        .into_iter()
        .filter_map(|(_, reply)| match reply {
            Reply::Refused(why) => Some(why),
            _ => None,
        });
    let refused: Vec<String> = refused.collect();
    assert_eq!(refused, ["a question's checksum is wrong"]);
}

/// The fault that all this is for.
#[test]
fn a_snapshot_without_its_records_would_lose_them_and_that_is_seen_by_reading() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (leader, follower) = rig.leave_behind();
    rig.net.set_mode(Mode::Naive);
    rig.come_back(follower);
    let end = rig.handle(leader).positions().high_watermark;
    wait_until("a snapshot that is believed", || {
        rig.handle(follower).positions().high_watermark == end
    });
    assert!(readable(&rig.handle(leader)) > readable(&rig.handle(follower)));
}

#[test]
fn a_snapshot_whose_records_are_not_here_is_not_taken() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (leader, follower) = rig.leave_behind();
    rig.net.set_mode(Mode::NaiveToGuarded);
    rig.come_back(follower);
    wait_until("some tries", || rig.net.naive_snapshots() >= 3);
    let end = rig.handle(leader).positions().high_watermark;
    assert!(rig.handle(follower).positions().high_watermark < end);
    rig.net.set_mode(Mode::Ships);
    let expected = rig.contents_of_leader();
    rig.await_contents(follower, &expected);
}

#[test]
fn records_are_taken_from_a_members_broker_only_and_without_a_gap() {
    let mut rig = Rig::new(&[0, 1, 2]);
    let (leader, follower) = rig.leave_behind();
    // Nothing comes by itself.
    rig.net.set_mode(Mode::Silent);
    rig.come_back(follower);
    wait_until("a leader that is known", || {
        matches!(rig.handle(follower).positions().role, Role::Follower { .. })
    });
    let begin = Begin {
        shipment: 7,
        group: GROUP,
        from: peer_of(leader),
        to: peer_of(follower),
        next_offset: 1_000,
        log_start: 0,
    };
    let ask = |to, from, question: &Question| rig.ask(to, from, question.encode(b"data"));
    let refused = |reply| matches!(reply, Reply::Refused(_));
    let other = 3 - leader - follower;
    for (to, from, begin) in [
        (follower, other, begin.clone()),
        (
            follower,
            leader,
            Begin {
                to: 9,
                ..begin.clone()
            },
        ),
        (
            follower,
            leader,
            Begin {
                log_start: -1,
                ..begin.clone()
            },
        ),
        (
            follower,
            leader,
            Begin {
                next_offset: -1,
                ..begin.clone()
            },
        ),
        (
            follower,
            leader,
            Begin {
                group: crate::raft::ports::GroupId(5),
                ..begin.clone()
            },
        ),
        (
            leader,
            follower,
            Begin {
                to: peer_of(leader),
                from: peer_of(follower),
                ..begin.clone()
            },
        ),
    ] {
        assert!(
            refused(ask(to, from, &Question::Begin(begin.clone()))),
            "{begin:?}"
        );
    }
    let chunk = Chunk {
        shipment: 7,
        group: GROUP,
        base: 0,
        next: 10,
        parcel_bytes: 100,
        at: 0,
    };
    for (from, chunk) in [
        (other, chunk.clone()),
        (
            leader,
            Chunk {
                shipment: 8,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                base: 1,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                next: 0,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                next: 1_001,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                at: 4,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                parcel_bytes: 1 << 40,
                ..chunk.clone()
            },
        ),
        (
            leader,
            Chunk {
                parcel_bytes: 3,
                ..chunk.clone()
            },
        ),
        // Not what a record batch is.
        (
            leader,
            Chunk {
                parcel_bytes: 4,
                ..chunk.clone()
            },
        ),
    ] {
        let begun = ask(follower, leader, &Question::Begin(begin.clone()));
        assert_eq!(begun, Reply::Needs(0));
        assert!(
            refused(ask(follower, from, &Question::Chunk(chunk.clone()))),
            "{chunk:?}"
        );
    }
    let begun = ask(follower, leader, &Question::Begin(begin.clone()));
    assert_eq!(begun, Reply::Needs(0));
    assert_eq!(
        ask(follower, leader, &Question::Chunk(chunk.clone())),
        Reply::More
    );
    let elsewhere = Chunk { at: 8, ..chunk };
    assert!(refused(ask(follower, leader, &Question::Chunk(elsewhere))));
    assert!(readable(&rig.handle(follower)) <= 1, "as before");
}
