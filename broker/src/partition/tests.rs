//! The state machine of a partition, driven without raft: a log, an applied index, and what a leader is told.

#![allow(clippy::unwrap_used)]
use super::config::{CleanupPolicy, TimestampType};
use super::*;
use crate::raft::ports::{Prepared, StateMachine};
use crate::storage::entry::{EntryHeader, EntryKind};
use crate::storage::ids::Offset;
use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use millrace_wire::batch::split;
use millrace_wire::control::{ControlType, EndMarker};
use millrace_wire::{BatchBuilder, BatchSettings, Compression};
use proptest::prelude::*;
use raft::eraftpb::{Entry, Snapshot};
use std::fmt::Write;

const NOW_MS: i64 = 1_000_000;

fn batch_of(records: usize, settings: BatchSettings) -> Bytes {
    let mut builder = BatchBuilder::new(settings);
    for _ in 0..records {
        builder.push(NOW_MS, Some(b"key"), Some(b"value"));
    }
    builder.build().unwrap()
}

fn plain(records: usize) -> Bytes {
    batch_of(records, BatchSettings::default())
}

fn of_producer(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    batch_of(
        records,
        BatchSettings {
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            ..BatchSettings::default()
        },
    )
}

fn transactional(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    batch_of(
        records,
        BatchSettings {
            producer_id,
            producer_epoch: epoch,
            base_sequence: sequence,
            is_transactional: true,
            ..BatchSettings::default()
        },
    )
}

fn marker(producer_id: i64, epoch: i16, kind: ControlType) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSettings {
        producer_id,
        producer_epoch: epoch,
        is_transactional: true,
        is_control: true,
        ..BatchSettings::default()
    });
    let value = EndMarker {
        coordinator_epoch: 0,
    };
    builder.push(NOW_MS, Some(&kind.encode_key()), Some(&value.encode()));
    builder.build().unwrap()
}

fn append(batches: Bytes) -> Command {
    Command::Append(Append {
        batches,
        now_ms: NOW_MS,
        origin: Origin::Client,
    })
}

fn end(batches: Bytes) -> Command {
    Command::Append(Append {
        batches,
        now_ms: NOW_MS,
        origin: Origin::TransactionMarkers {
            transaction_version: 1,
        },
    })
}

fn delete_to(offset: i64) -> Command {
    Command::SetLogStart(SetLogStart {
        offset: Some(Offset(offset)),
    })
}

/// A replica and its log; entry `i` of the log has index `i + 1`.
struct Replica {
    partition: Partition,
    log: Vec<Entry>,
    applied: usize,
    term: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    At(u64, Output),
    After(u64, Output),
    Done(Output),
}

impl Replica {
    fn new(config: TopicConfig) -> Replica {
        Replica {
            partition: Partition::new(config),
            log: Vec::new(),
            applied: 0,
            term: 0,
        }
    }

    /// A leader with nothing in its log but its own empty entry.
    fn leader() -> Replica {
        let mut replica = Replica::new(TopicConfig::default());
        replica.lead(1);
        replica
    }

    fn lead(&mut self, term: u64) {
        self.term = term;
        self.partition.lead(term, &self.log[self.applied..]);
        self.push(Bytes::new(), Bytes::new());
    }

    fn push(&mut self, context: Bytes, data: Bytes) -> u64 {
        let index = self.log.len() as u64 + 1;
        self.log.push(Entry {
            term: self.term,
            index,
            context,
            data,
            ..Entry::default()
        });
        index
    }

    fn ask(&mut self, command: Command) -> Result<Answer, Refusal> {
        Ok(match self.partition.prepare(self.term, command)? {
            Prepared::Entry {
                context,
                data,
                output,
            } => {
                let index = self.push(context, data);
                self.partition.proposed(self.term, index);
                Answer::At(index, output)
            }
            Prepared::After { index, output } => Answer::After(index, output),
            Prepared::Done(output) => Answer::Done(output),
        })
    }

    fn apply_to(&mut self, applied: usize) {
        for entry in &self.log[self.applied..applied] {
            self.partition.apply(entry).unwrap();
        }
        self.applied = applied;
    }

    fn apply_all(&mut self) {
        self.apply_to(self.log.len());
    }

    fn follow(&mut self) {
        self.partition.follow(self.term, 2);
    }

    /// Loses all entries that are not applied.
    fn truncate(&mut self) {
        self.log.truncate(self.applied);
        let positions = self.partition.view().positions();
        self.partition.view().set_log_end(positions.high_watermark);
    }

    fn positions(&self) -> (i64, i64, i64, i64) {
        let p = self.partition.view().positions();
        (
            p.log_start.0,
            p.last_stable.0,
            p.high_watermark.0,
            p.log_end.0,
        )
    }

    fn snapshot(&mut self) -> Bytes {
        self.partition.snapshot().unwrap()
    }
}

fn restored(bytes: &[u8]) -> Partition {
    let mut partition = Partition::new(TopicConfig::default());
    partition
        .restore(&Snapshot {
            data: Bytes::copy_from_slice(bytes),
            ..Snapshot::default()
        })
        .unwrap();
    partition
}

fn offsets(answer: &Answer) -> (i64, i64) {
    let (Answer::At(_, output) | Answer::After(_, output) | Answer::Done(output)) = answer;
    let Output::Appended(appended) = output else {
        panic!("not an append: {answer:?}");
    };
    (appended.base_offset.0, appended.last_offset.0)
}

/// One command a line: `append PID EPOCH SEQUENCE COUNT`, `txn ...`, `commit PID EPOCH`, `abort PID EPOCH`, `plain COUNT`,
/// `delete OFFSET`, `apply`, `lead TERM`, `follow`, `drop PID EPOCH SEQUENCE COUNT` (raft drops the proposal).
fn check(script: &str, expected: Expect) {
    let mut replica = Replica::leader();
    let mut trace = String::new();
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let n: Vec<i64> = words.map(|w| w.parse().unwrap()).collect();
        let command = match verb {
            "append" | "drop" => append(of_producer(n[0], n[1] as i16, n[2] as i32, n[3] as usize)),
            "txn" => append(transactional(n[0], n[1] as i16, n[2] as i32, n[3] as usize)),
            "commit" => end(marker(n[0], n[1] as i16, ControlType::Commit)),
            "abort" => end(marker(n[0], n[1] as i16, ControlType::Abort)),
            "plain" => append(plain(n[0] as usize)),
            "delete" => delete_to(n[0]),
            other => {
                match other {
                    "apply" => replica.apply_all(),
                    "lead" => replica.lead(n[0] as u64),
                    "follow" => {
                        replica.follow();
                        replica.truncate();
                    }
                    _ => panic!("unknown command {other}"),
                }
                let (log_start, last_stable, high_watermark, log_end) = replica.positions();
                writeln!(
                    trace,
                    "{line}: {log_start} <= {last_stable} <= {high_watermark} <= {log_end}"
                )
                .unwrap();
                continue;
            }
        };
        let outcome = if verb == "drop" {
            match replica.partition.prepare(replica.term, command) {
                Ok(_) => "dropped".to_owned(),
                Err(refusal) => format!("refused: {refusal}"),
            }
        } else {
            match replica.ask(command) {
                Ok(Answer::At(index, output)) => format!("entry {index}, {}", show(output)),
                Ok(Answer::After(index, output)) => format!("after {index}, {}", show(output)),
                Ok(Answer::Done(output)) => format!("done, {}", show(output)),
                Err(refusal) => format!("refused: {refusal}"),
            }
        };
        writeln!(trace, "{line}: {outcome}").unwrap();
    }
    expected.assert_eq(&trace);
}

fn show(output: Output) -> String {
    match output {
        Output::Appended(a) => format!("offsets {}..={}", a.base_offset, a.last_offset),
        Output::LogStart(offset) => format!("log start {offset}"),
    }
}

#[test]
fn a_duplicate_waits_for_its_original_and_is_done_once_that_is_committed() {
    check(
        "append 1 0 0 5
         append 1 0 5 5
         append 1 0 0 5
         append 1 0 12 1
         apply
         append 1 0 0 5
         append 1 0 10 1",
        expect![[r#"
            append 1 0 0 5: entry 2, offsets 0..=4
            append 1 0 5 5: entry 3, offsets 5..=9
            append 1 0 0 5: after 2, offsets 0..=4
            append 1 0 12 1: refused: producer 1 in epoch 0 sent sequence 12 for offset 10, expected 10 after 9
            apply: 0 <= 10 <= 10 <= 10
            append 1 0 0 5: done, offsets 0..=4
            append 1 0 10 1: entry 4, offsets 10..=10
        "#]],
    );
}

#[test]
fn what_a_deposed_leader_proposed_is_forgotten_with_its_sequences() {
    check(
        "append 1 0 0 5
         apply
         append 1 0 5 5
         append 2 0 0 1
         follow
         lead 2
         append 1 0 10 1
         append 1 0 5 2
         append 2 0 0 1",
        expect![[r#"
            append 1 0 0 5: entry 2, offsets 0..=4
            apply: 0 <= 5 <= 5 <= 5
            append 1 0 5 5: entry 3, offsets 5..=9
            append 2 0 0 1: entry 4, offsets 10..=10
            follow: 0 <= 5 <= 5 <= 5
            lead 2: 0 <= 5 <= 5 <= 5
            append 1 0 10 1: refused: producer 1 in epoch 0 sent sequence 10 for offset 5, expected 5 after 4
            append 1 0 5 2: entry 4, offsets 5..=6
            append 2 0 0 1: entry 5, offsets 7..=7
        "#]],
    );
}

#[test]
fn a_proposal_that_raft_dropped_leaves_no_trace() {
    check(
        "drop 1 0 0 5
         append 1 0 0 3
         drop 1 0 3 1
         append 1 0 3 2",
        expect![[r#"
            drop 1 0 0 5: dropped
            append 1 0 0 3: entry 2, offsets 0..=2
            drop 1 0 3 1: dropped
            append 1 0 3 2: entry 3, offsets 3..=4
        "#]],
    );
}

#[test]
fn a_new_leader_knows_the_sequences_of_entries_that_are_not_applied() {
    check(
        "append 1 0 0 5
         lead 2
         append 1 0 0 5
         append 1 0 5 1
         apply",
        expect![[r#"
            append 1 0 0 5: entry 2, offsets 0..=4
            lead 2: 0 <= 0 <= 0 <= 5
            append 1 0 0 5: after 2, offsets 0..=4
            append 1 0 5 1: entry 4, offsets 5..=5
            apply: 0 <= 6 <= 6 <= 6
        "#]],
    );
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_until_it_ends() {
    check(
        "plain 2
         txn 1 0 0 3
         plain 1
         txn 2 0 0 1
         apply
         abort 1 0
         apply
         delete 7
         apply
         commit 2 0
         apply",
        expect![[r#"
            plain 2: entry 2, offsets 0..=1
            txn 1 0 0 3: entry 3, offsets 2..=4
            plain 1: entry 4, offsets 5..=5
            txn 2 0 0 1: entry 5, offsets 6..=6
            apply: 0 <= 2 <= 7 <= 7
            abort 1 0: entry 6, offsets 7..=7
            apply: 0 <= 6 <= 8 <= 8
            delete 7: entry 7, log start 7
            apply: 7 <= 7 <= 8 <= 8
            commit 2 0: entry 8, offsets 8..=8
            apply: 7 <= 9 <= 9 <= 9
        "#]],
    );
}

#[test]
fn the_log_start_moves_up_to_the_high_watermark_only() {
    check(
        "plain 10
         delete 1
         apply
         plain 5
         delete 11
         delete 8
         delete 8
         delete 4
         apply
         delete 8
         delete 3",
        expect![[r#"
            plain 10: entry 2, offsets 0..=9
            delete 1: refused: offset 1 is outside the log, 0..=0
            apply: 0 <= 10 <= 10 <= 10
            plain 5: entry 3, offsets 10..=14
            delete 11: refused: offset 11 is outside the log, 0..=10
            delete 8: entry 4, log start 8
            delete 8: after 4, log start 8
            delete 4: after 4, log start 8
            apply: 8 <= 15 <= 15 <= 15
            delete 8: done, log start 8
            delete 3: done, log start 8
        "#]],
    );
}

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
    let header = EntryHeader::decode(&entry.context).unwrap();
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

/// What a leader with `config` says to `batches`.
fn refusal_with(config: TopicConfig, batches: Bytes) -> String {
    let mut replica = Replica::new(config);
    replica.lead(1);
    match replica.ask(append(batches)) {
        Ok(answer) => format!("accepted: {answer:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn check_refusal(batches: Bytes, expected: &str) {
    assert_eq!(refusal_with(TopicConfig::default(), batches), expected);
}

#[test]
fn batches_that_a_client_must_not_send_are_refused() {
    let mut corrupt = BytesMut::from(&plain(1)[..]);
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    assert!(
        refusal_with(TopicConfig::default(), corrupt.freeze())
            .starts_with("batch at byte 0 is corrupt")
    );
    let torn = plain(2).slice(..70);
    assert!(refusal_with(TopicConfig::default(), torn).starts_with("batch at byte 0 is corrupt"));
    check_refusal(
        Bytes::new(),
        "batch at byte 0 is invalid: there is no batch",
    );
    check_refusal(
        marker(1, 0, ControlType::Commit),
        "batch at byte 0 is invalid: clients must not write control records",
    );
    check_refusal(
        of_producer(1, 0, -1, 1),
        "batch at byte 0 is invalid: producer 1 sent the negative sequence -1",
    );
    check_refusal(
        of_producer(1, -1, 0, 1),
        "batch at byte 0 is invalid: it has a producer id, but no producer epoch",
    );
    let late = BatchSettings {
        base_offset: 5,
        ..BatchSettings::default()
    };
    check_refusal(
        batch_of(1, late),
        "batch at byte 0 is invalid: its base offset is 5, not 0",
    );
    let broker_time = BatchSettings {
        log_append_time_ms: Some(NOW_MS),
        ..BatchSettings::default()
    };
    check_refusal(
        batch_of(1, broker_time),
        "batch at byte 0 claims the broker's own timestamp type",
    );
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
fn the_topics_limits_are_kept() {
    let small = TopicConfig {
        max_message_bytes: 100,
        ..TopicConfig::default()
    };
    let bytes = plain(10);
    let expected = format!(
        "batch at byte 0 has {} bytes, max.message.bytes is 100",
        bytes.len()
    );
    assert_eq!(refusal_with(small, bytes), expected);

    let strict = TopicConfig {
        message_timestamp_before_max_ms: 10,
        message_timestamp_after_max_ms: 20,
        ..TopicConfig::default()
    };
    let at = |timestamp_ms| {
        let mut builder = BatchBuilder::new(BatchSettings::default());
        builder.push(timestamp_ms, None, None);
        refusal_with(strict.clone(), builder.build().unwrap())
    };
    assert!(at(NOW_MS - 10).starts_with("accepted"));
    assert!(at(NOW_MS + 20).starts_with("accepted"));
    assert!(at(-1).starts_with("accepted"));
    assert_eq!(
        at(NOW_MS + 21),
        "batch at byte 0 has timestamp 1000021, which is outside 999990..=1000020"
    );
    assert!(at(NOW_MS - 11).ends_with("outside 999990..=1000020"));

    let compacted = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        ..TopicConfig::default()
    };
    let mut builder = BatchBuilder::new(BatchSettings::default());
    builder.push(NOW_MS, None, Some(b"value"));
    assert_eq!(
        refusal_with(compacted.clone(), builder.build().unwrap()),
        "batch at byte 0 is invalid: record 0 has no key, a compacted topic needs one"
    );
    let mut replica = Replica::new(compacted);
    replica.lead(1);
    assert_eq!(replica.ask(delete_to(0)), Err(Refusal::DeletionNotAllowed));
}

#[test]
fn only_the_leader_of_the_term_accepts_commands() {
    let mut replica = Replica::leader();
    replica.follow();
    assert_eq!(
        replica.ask(append(plain(1))),
        Err(Refusal::NotLeader { term: 1 })
    );
    replica.lead(2);
    assert!(matches!(
        replica.partition.prepare(1, append(plain(1))),
        Err(Refusal::NotLeader { term: 1 })
    ));
    let huge = 1 << 31;
    replica.lead(huge);
    assert_eq!(
        replica.ask(append(plain(1))),
        Err(Refusal::TermTooLarge { term: huge })
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
        Err(Fault::UnknownEntry { index: 2, bytes: 5 })
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
            Partition::from_snapshot_row(TopicConfig::default(), &bad).is_err(),
            "byte {at}"
        );
        assert!(Partition::from_snapshot_row(TopicConfig::default(), &good[..at]).is_err());
    }
    assert!(Partition::from_snapshot_row(TopicConfig::default(), &good).is_ok());
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
                assert!(
                    replica
                        .partition
                        .prepare(replica.term, append(sent))
                        .is_ok()
                );
            }
        }
        assert_eq!(replica.positions().3, next);
    }
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
    ) {
        let mut replica = Replica::leader();
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
    ) {
        let mut replica = Replica::leader();
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
    ) {
        let mut replica = Replica::leader();
        let mut known = clients(first);
        run(&mut replica, &mut known, &before);
        replica.apply_all();
        let bytes = replica.snapshot();
        let mut copy = Replica {
            partition: restored(&bytes),
            log: replica.log.clone(),
            applied: replica.applied,
            term: replica.term,
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
}
