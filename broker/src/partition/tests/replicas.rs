//! What a replica shows of its history, and when it can no longer be trusted.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::storage::entry::{EntryHeader, EntryKind};

#[test]
fn aborted_transactions_are_found_by_fetches_that_overlap_them() {
    let mut replica = Replica::leader();
    replica.ask(append(transactional(1, 0, 0, 3))).unwrap();
    replica.ask(append(transactional(2, 0, 0, 3))).unwrap();
    replica.ask(end(marker(1, 0, ControlType::Abort))).unwrap();
    replica.ask(end(marker(2, 0, ControlType::Commit))).unwrap();
    replica.apply_all();
    let view = replica.partition.view();
    let found = view.aborted_in(Offset(0), Offset(8));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].producer_id, 1);
    assert_eq!(found[0].first_offset, Offset(0));
    assert_eq!(found[0].last_offset, Offset(6));
    assert_eq!(found[0].last_stable, Offset(3));
    assert!(view.aborted_in(Offset(7), Offset(8)).is_empty());
    replica.ask(delete_to(7)).unwrap();
    replica.apply_all();
    assert!(view.aborted_in(Offset(0), Offset(8)).is_empty());
}

#[test]
fn only_the_leader_of_the_term_accepts_commands() {
    let mut replica = Replica::leader();
    replica.follow();
    assert_eq!(
        replica.ask(append(plain(1))),
        Err(Refusal::NotLeader { term: replica.term })
    );
    let term = replica.term;
    replica.lead(2);
    assert!(matches!(
        replica.partition.prepare(term, append(plain(1))),
        Err(Refusal::NotLeader { .. })
    ));
    replica.lead(1 << 31);
    assert_eq!(
        replica.ask(append(plain(1))),
        Err(Refusal::TermTooLarge { term: replica.term })
    );
}

#[test]
fn leader_epochs_end_where_the_next_leader_began() {
    let mut replica = Replica::leader();
    replica.ask(append(plain(4))).unwrap();
    replica.lead(3);
    replica.ask(append(plain(2))).unwrap();
    let view = replica.partition.view();
    assert_eq!(view.end_offset_for(1), Some((1, Offset(4))));
    assert_eq!(view.end_offset_for(3), Some((3, Offset(6))));
    replica.apply_all();
    assert_eq!(view.end_offset_for(2), Some((1, Offset(4))));
    assert_eq!(view.epoch_at(Offset(4)), Some(3));
    replica.ask(delete_to(5)).unwrap();
    replica.apply_all();
    assert_eq!(view.end_offset_for(1), Some((1, Offset(5))));
    assert_eq!(view.epoch_at(Offset(5)), Some(3));
    let led = (view.end_offset_for(3), view.end_offset_for(1));
    replica.follow();
    assert_eq!((view.end_offset_for(3), view.end_offset_for(1)), led);
}

#[test]
fn an_entry_that_does_not_fit_is_a_fault() {
    let mut replica = Replica::leader();
    replica.ask(append(plain(4))).unwrap();
    let header = EntryHeader {
        kind: EntryKind::Batches,
        base_offset: Offset(0),
        offsets: 5,
        max_timestamp_ms: 0,
    };
    let mut entry = replica.log[1].clone();
    entry.context = header.encode();
    assert!(matches!(
        replica.partition.apply(&entry),
        Err(Fault::Length { .. })
    ));
    let mut entry = replica.log[1].clone();
    entry.context = Bytes::from_static(b"later");
    assert!(matches!(
        replica.partition.apply(&entry),
        Err(Fault::UnknownEntry { index: 2, .. })
    ));
    let mut entry = replica.log[1].clone();
    entry.data = entry.data.slice(..20);
    assert!(matches!(
        replica.partition.apply(&entry),
        Err(Fault::Batch { .. })
    ));
    let entry = replica.log[1].clone();
    replica.partition.apply(&entry).unwrap();
    assert!(matches!(
        replica.partition.apply(&entry),
        Err(Fault::Gap { .. })
    ));
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut replica = Replica::leader();
    replica.ask(append(of_producer(1, 0, 0, 5))).unwrap();
    replica.apply_all();
    let good = replica.snapshot();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 0x10;
        assert!(
            Partition::from_snapshot_row(TopicConfig::default(), MAX_ENTRY_BYTES, &bad).is_err(),
            "byte {at}"
        );
        assert!(
            Partition::from_snapshot_row(TopicConfig::default(), MAX_ENTRY_BYTES, &good[..at])
                .is_err()
        );
    }
    assert!(Partition::from_snapshot_row(TopicConfig::default(), MAX_ENTRY_BYTES, &good).is_ok());
}

#[test]
fn an_idle_producer_is_forgotten_and_may_then_begin_anywhere() {
    let day_ms = 24 * 60 * 60 * 1000;
    let mut replica = Replica::leader();
    replica.ask(append(of_producer(1, 0, 0, 5))).unwrap();
    replica.apply_all();
    assert_eq!(replica.partition.expire_producers(0), 0);
    assert_eq!(replica.partition.expire_producers(day_ms - 1), 0);
    assert!(replica.ask(append(of_producer(1, 0, 40, 1))).is_err());
    assert_eq!(replica.partition.expire_producers(day_ms), 1);
    replica.ask(append(of_producer(1, 0, 40, 1))).unwrap();
}
