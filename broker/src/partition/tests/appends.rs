//! What an append writes, and that it is all or nothing.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::partition::config::TimestampType;
use crate::storage::entry::{EntryHeader, EntryKind};
use bytes::BytesMut;
use millrace_wire::Compression;
use millrace_wire::batch::split;

#[test]
fn batches_get_dense_offsets_and_the_leader_epoch_in_place() {
    let mut replica = Replica::leader();
    replica.lead(7);
    let mut two = BytesMut::from(&plain(3)[..]);
    two.extend_from_slice(&batch_of(
        2,
        BatchSettings {
            compression: Compression::Zstd,
            ..BatchSettings::default()
        },
    ));
    let two = two.freeze();
    let address = two.as_ptr();
    replica.ask(append(plain(4))).unwrap();
    let answer = replica.ask(append(two)).unwrap();
    assert_eq!(offsets(&answer), (4, 8));
    let entry = replica.log.last().unwrap();
    assert_eq!(
        entry.data.as_ptr(),
        address,
        "the only reference is not copied"
    );
    let header = EntryHeader::decode(&entry.context).unwrap().unwrap();
    assert_eq!(header.kind, EntryKind::Batches);
    assert_eq!((header.base_offset, header.offsets), (Offset(4), 5));
    assert_eq!(header.max_timestamp_ms, NOW_MS);
    let bases: Vec<(i64, i32)> = split(entry.data.clone())
        .map(|batch| {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            (batch.header().base_offset, batch.header().leader_epoch)
        })
        .collect();
    assert_eq!(bases, [(4, 7), (7, 7)]);
}

#[test]
fn bytes_that_others_hold_are_not_changed() {
    let mut replica = Replica::leader();
    replica.ask(append(plain(4))).unwrap();
    let held = plain(1);
    let before = held.to_vec();
    replica.ask(append(held.clone())).unwrap();
    assert_eq!(held, before);
}

#[test]
fn with_log_append_time_the_leaders_clock_is_written_and_answered_again() {
    let mut replica = Replica::new(TopicConfig {
        message_timestamp_type: TimestampType::LogAppendTime,
        ..TopicConfig::default()
    });
    replica.lead(1);
    let time = |answer: &Answer| match answer {
        Answer::At(_, Output::Appended(a)) | Answer::After(_, Output::Appended(a)) => {
            a.log_append_time_ms
        }
        other => panic!("not an append: {other:?}"),
    };
    let at = |now_ms| {
        Command::Append(Append {
            batches: of_producer(1, 0, 0, 2),
            now_ms,
            origin: Origin::Client,
        })
    };
    assert_eq!(time(&replica.ask(at(77)).unwrap()), Some(77));
    assert_eq!(time(&replica.ask(at(99)).unwrap()), Some(77));
    let batch = split(replica.log[1].data.clone()).next().unwrap().unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().max_timestamp_ms, 77);
}

#[test]
fn a_second_batch_that_is_refused_takes_the_first_with_it() {
    let mut replica = Replica::leader();
    let mut two = BytesMut::from(&of_producer(1, 0, 0, 2)[..]);
    two.extend_from_slice(&of_producer(1, 0, 3, 2));
    assert!(matches!(
        replica.ask(append(two.freeze())),
        Err(Refusal::Producer(_))
    ));
    assert_eq!(replica.positions(), (0, 0, 0, 0));
    assert_eq!(
        offsets(&replica.ask(append(of_producer(1, 0, 0, 2))).unwrap()),
        (0, 1)
    );
}

#[test]
fn an_append_of_several_batches_is_a_duplicate_only_as_a_whole() {
    let both = |first: (i32, usize), second: (i32, usize)| {
        let mut two = BytesMut::from(&of_producer(1, 0, first.0, first.1)[..]);
        two.extend_from_slice(&of_producer(1, 0, second.0, second.1));
        append(two.freeze())
    };
    let mut replica = Replica::leader();
    replica.ask(both((0, 2), (2, 3))).unwrap();
    let again = replica.ask(both((0, 2), (2, 3))).unwrap();
    assert!(matches!(again, Answer::After(2, _)));
    assert_eq!(offsets(&again), (0, 4));
    assert!(matches!(
        replica.ask(both((2, 3), (5, 1))),
        Err(Refusal::Producer(_))
    ));
}

#[test]
fn a_log_start_that_waits_for_one_in_flight_answers_that_one() {
    let mut replica = Replica::leader();
    replica.ask(append(plain(5))).unwrap();
    replica.apply_all();
    let start = |offset| Output::LogStart(Offset(offset));
    assert_eq!(replica.ask(delete_to(3)), Ok(Answer::At(3, start(3))));
    assert_eq!(replica.ask(delete_to(4)), Ok(Answer::At(4, start(4))));
    // Entry 4 may be lost when entry 3 is committed.
    assert_eq!(replica.ask(delete_to(2)), Ok(Answer::After(3, start(3))));
}

#[test]
fn small_appends_that_wait_together_share_an_entry() {
    let mut replica = Replica::leader();
    replica.joins = true;
    let answers: Vec<_> = [
        plain(2),
        of_producer(5, 0, 0, 3),
        of_producer(5, 0, 3, 1),
        transactional(6, 0, 0, 1),
    ]
    .map(|batch| replica.ask(append(batch)).unwrap())
    .to_vec();
    assert_eq!(
        answers.iter().map(offsets).collect::<Vec<_>>(),
        [(0, 1), (2, 4), (5, 5), (6, 6)]
    );
    let refused = replica.ask(append(of_producer(5, 0, 9, 1)));
    assert!(matches!(refused, Err(Refusal::Producer(_))), "{refused:?}");
    replica.propose();
    assert_eq!(replica.log.len(), 2);
    let entry = replica.log.last().unwrap();
    let header = EntryHeader::decode(&entry.context).unwrap().unwrap();
    assert_eq!((header.base_offset, header.offsets), (Offset(0), 7));
    assert_eq!(replica.positions().3, 7);
    replica.apply_all();
    assert_eq!(replica.positions(), (0, 6, 7, 7));
}

#[test]
fn what_repeats_a_batch_of_the_entry_in_the_making_waits_for_that_entry() {
    let mut replica = Replica::leader();
    replica.joins = true;
    let first = replica.ask(append(of_producer(5, 0, 0, 3))).unwrap();
    replica.ask(append(plain(1))).unwrap();
    let again = replica.ask(append(of_producer(5, 0, 0, 3))).unwrap();
    assert!(matches!(again, Answer::After(2, _)), "{again:?}");
    assert_eq!(offsets(&again), offsets(&first));
}

fn of_bytes(bytes: usize) -> Command {
    let mut builder = BatchBuilder::new(BatchSettings::default());
    builder.push(NOW_MS, None, Some(&vec![b'v'; bytes]));
    append(builder.build().unwrap())
}

/// The entries that follow the leader's own.
fn sizes(replica: &mut Replica) -> Vec<usize> {
    replica.propose();
    replica.log[1..].iter().map(|e| e.data.len()).collect()
}

#[test]
fn an_entry_of_several_appends_is_bounded() {
    let mut replica = Replica::leader();
    replica.joins = true;
    for _ in 0..20 {
        replica.ask(of_bytes(7_000)).unwrap();
    }
    replica.ask(of_bytes(9_000)).unwrap();
    replica.ask(of_bytes(100)).unwrap();
    let sizes = sizes(&mut replica);
    assert_eq!(sizes.len(), 3 + 1 + 1, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 64 * 1024), "{sizes:?}");
}

#[test]
fn an_entry_of_several_appends_fits_the_log_it_is_for() {
    let of_one = {
        let mut replica = Replica::leader();
        replica.ask(of_bytes(1_000)).unwrap();
        sizes(&mut replica)[0]
    };
    for (max_entry_bytes, expected) in [
        (3 * of_one, vec![3 * of_one, 3 * of_one, of_one]),
        (
            3 * of_one - 1,
            vec![2 * of_one, 2 * of_one, 2 * of_one, of_one],
        ),
        (of_one, vec![of_one; 7]),
    ] {
        let mut replica = Replica::on_a_log(TopicConfig::default(), max_entry_bytes);
        replica.lead(1);
        replica.joins = true;
        for _ in 0..7 {
            replica.ask(of_bytes(1_000)).unwrap();
        }
        assert_eq!(sizes(&mut replica), expected);
    }
}
