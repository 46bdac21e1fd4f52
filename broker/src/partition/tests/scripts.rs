//! Golden scripts: what a leader answers, and where the positions are.

#![allow(clippy::unwrap_used)]
use super::*;
use expect_test::{Expect, expect};
use std::fmt::Write;

/// One command a line: `append PID EPOCH SEQUENCE COUNT`, `txn ...`, `commit PID EPOCH`, `abort PID EPOCH`, `plain COUNT`,
/// `delete OFFSET`, `apply`, `lead EPOCH`, `follow`, `drop PID EPOCH SEQUENCE COUNT` (raft drops the proposal).
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
