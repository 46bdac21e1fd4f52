//! What a shard does when nothing goes wrong.

use super::rig::{Rig, group};
use crate::raft::ports::GroupId;
use crate::storage::Error;
use crate::storage::families::{Families as _, Family};
use crate::storage::ids::Offset;
use crate::storage::keys;
use crate::storage::read::Range;
use crate::storage::retention::Retention;
use bytes::Bytes;

#[test]
fn what_was_appended_is_read_from_log_and_families_alike() {
    let rig = Rig::new();
    rig.create(&[1, 2]);
    for _ in 0..30 {
        rig.append(1, 3, 1000).expect("append");
        rig.append(2, 1, 0).expect("append");
    }
    rig.check_dense(1, Offset(0), 1);
    rig.seal(&[1, 2]).expect("seal");
    let (runs, _) = rig.shard.sealed_runs(group(1)).expect("runs");
    assert!(
        runs.iter().any(|run| run.packed.is_none()),
        "a big partition gets a file of its own: {runs:?}"
    );
    let (small, _) = rig.shard.sealed_runs(group(2)).expect("runs");
    assert!(
        small.iter().all(|run| run.packed.is_some()) && !small.is_empty(),
        "a small one shares a file: {small:?}"
    );
    for step in [1, 2000, 1 << 20] {
        rig.check_dense(1, Offset(0), step);
        rig.check_dense(2, Offset(0), step);
    }
}

#[test]
fn sealing_gives_the_log_back() {
    let rig = Rig::new();
    rig.create(&[1, 2, 3]);
    for _ in 0..40 {
        for id in 1..=3 {
            rig.append(id, 1, 1000).expect("append");
        }
    }
    assert!(rig.shard.over_budget());
    for _ in 0..20 {
        let ids: Vec<u64> = rig
            .shard
            .oldest_groups()
            .iter()
            .map(|group| group.0)
            .collect();
        rig.seal(&ids).expect("seal");
    }
    assert!(
        !rig.shard.over_budget(),
        "{} bytes of log are in use",
        rig.shard.log_bytes()
    );
    for id in 1..=3 {
        rig.check_dense(id, Offset(0), 4000);
    }
}

#[test]
fn a_read_returns_at_least_one_batch_and_nothing_above_its_limit() {
    let rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..5 {
        rig.append(1, 2, 1000).expect("append");
    }
    for sealed in [false, true] {
        if sealed {
            rig.seal(&[1]).expect("seal");
        }
        assert_eq!(
            rig.read(1, Offset(3), Offset(10), 1).expect("read").len(),
            1,
            "larger than the limit, still one"
        );
        assert_eq!(
            rig.read(1, Offset(0), Offset(10), 5000)
                .expect("read")
                .len(),
            2
        );
        let upto = rig.read(1, Offset(0), Offset(6), 1 << 20).expect("read");
        assert_eq!(
            upto.last().map(|batch| batch.next_offset()),
            Some(6),
            "sealed: {sealed}"
        );
        assert!(
            rig.read(1, Offset(10), Offset(10), 100)
                .expect("read")
                .is_empty()
        );
    }
}

#[test]
fn the_first_batch_of_a_timestamp_is_found_in_log_and_families() {
    let rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..8 {
        rig.append(1, 2, 1000).expect("append");
    }
    for sealed in [false, true] {
        if sealed {
            rig.seal(&[1]).expect("seal");
        }
        for timestamp in 0..16 {
            let range = Range {
                from: Offset(0),
                upto: Offset(16),
                max_bytes: 1,
            };
            let read = rig
                .shard
                .read_by_timestamp(group(1), timestamp, range)
                .expect("read");
            let header =
                millrace_wire::batch::BatchHeader::decode(&read.chunks[0]).expect("a batch");
            assert_eq!(header.base_offset, timestamp / 2 * 2, "sealed: {sealed}");
        }
        let range = Range {
            from: Offset(0),
            upto: Offset(16),
            max_bytes: 1,
        };
        assert!(
            rig.shard
                .read_by_timestamp(group(1), 16, range)
                .expect("read")
                .chunks
                .is_empty()
        );
    }
}

#[test]
fn retention_drops_by_size_and_by_age_and_gives_space_back() {
    let mut rig = Rig::new();
    rig.create(&[1]);
    for round in 0..4 {
        for _ in 0..10 {
            rig.append(1, 1, 1000).expect("append");
        }
        if round < 3 {
            rig.seal(&[1]).expect("seal");
        }
    }
    let end = rig.log_end(1);
    let none = Retention::default();
    assert_eq!(
        rig.shard
            .retained_from(group(1), none, 1 << 40, Offset(0), end)
            .expect("decide"),
        None
    );
    let by_size = Retention {
        max_bytes: Some(15_000),
        max_age_ms: None,
    };
    let start = rig
        .shard
        .retained_from(group(1), by_size, 0, Offset(0), end)
        .expect("decide");
    assert_eq!(
        start,
        Some(Offset(20)),
        "two runs of ten go, a third would leave too little"
    );
    // Timestamps are offsets: everything below 33 is older than 5 at time 38.
    let by_age = Retention {
        max_age_ms: Some(5),
        max_bytes: None,
    };
    let start = rig
        .shard
        .retained_from(group(1), by_age, 38, Offset(0), end)
        .expect("decide");
    assert_eq!(
        start,
        Some(Offset(33)),
        "runs go whole, the tail entry by entry"
    );
    let held = rig
        .shard
        .retained_from(group(1), by_age, 1000, Offset(0), Offset(5))
        .expect("decide");
    assert_eq!(held, None, "nothing above the high watermark goes");

    rig.log_start.insert(group(1), Offset(20));
    let before = rig.shard.family_bytes().expect("size");
    let dropped = rig.shard.expire(&rig.checkpoint(1)).expect("expire");
    assert!(dropped >= 20_000, "{dropped} bytes dropped");
    assert!(rig.shard.family_bytes().expect("size") < before);
    rig.check_dense(1, Offset(20), 5000);
    let rig = rig.crash(3).expect("reopen");
    rig.check_dense(1, Offset(20), 5000);
    assert_eq!(
        rig.shard
            .sealed_runs(group(1))
            .expect("runs")
            .0
            .first()
            .map(|run| run.base),
        Some(Offset(20))
    );
}

#[test]
fn what_lies_below_the_log_start_is_never_copied() {
    let mut rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..10 {
        rig.append(1, 1, 1000).expect("append");
    }
    rig.log_start.insert(group(1), Offset(8));
    rig.seal(&[1]).expect("seal");
    let (runs, _) = rig.shard.sealed_runs(group(1)).expect("runs");
    assert_eq!(
        runs.iter()
            .map(|run| (run.base, run.next))
            .collect::<Vec<_>>(),
        [(Offset(8), Offset(10))]
    );
}

#[test]
fn small_runs_avoid_a_family_that_met_damage_until_it_begins_anew() {
    let mut rig = Rig::new();
    rig.create(&[2]);
    let [first, second] = [0, 1].map(Family::Packed);
    let seal_one = |rig: &Rig| {
        rig.append(2, 1, 100).expect("append");
        rig.seal(&[2]).expect("seal");
        let (runs, _) = rig.shard.sealed_runs(group(2)).expect("runs");
        runs.last().expect("a run").packed
    };
    assert_eq!(seal_one(&rig), Some(0));
    rig.families.hold(first);
    assert_eq!(seal_one(&rig), Some(1));
    rig.families.hold(second);
    assert_eq!(seal_one(&rig), None);
    // A run lies in each: nothing may be forgotten.
    rig.shard.renew_held().expect("renew");
    rig.check_dense(2, Offset(0), 1 << 20);
    assert!(!rig.families.takes_runs(first) && !rig.families.takes_runs(second));
    rig.log_start.insert(group(2), Offset(1));
    rig.shard.expire(&rig.checkpoint(2)).expect("expire");
    rig.shard.renew_held().expect("renew");
    assert!(rig.families.takes_runs(first) && !rig.families.takes_runs(second));
    assert_eq!(seal_one(&rig), Some(0));
    let rig = rig.crash(3).expect("reopen");
    rig.check_dense(2, Offset(1), 1 << 20);
}

#[test]
fn damage_beside_a_groups_records_sends_new_ones_elsewhere() {
    let rig = Rig::new();
    rig.create(&[2]);
    rig.append(2, 1, 100).expect("append");
    rig.seal(&[2]).expect("seal");
    // Left by a crash before its row was written, and damaged since.
    let left = keys::record(group(2), 0, Offset(7));
    let mut rows = [(left.clone(), Bytes::from_static(b"left"))].into_iter();
    rig.families
        .ingest(Family::Packed(0), &mut rows)
        .expect("ingest");
    rig.families.damage(Family::Packed(0), &left);
    let rig = rig.crash(4).expect("reopen");
    for n in 1..10 {
        rig.append(2, 1, 100).expect("append");
        rig.seal(&[2]).expect("seal");
        let (runs, _) = rig.shard.sealed_runs(group(2)).expect("runs");
        assert_eq!(runs[n].packed, Some(1));
    }
    rig.check_dense(2, Offset(0), 1 << 20);
}

#[test]
fn several_groups_expire_in_steps_of_so_many_bytes() {
    let mut rig = Rig::new();
    rig.create(&[1, 2]);
    for _ in 0..4 {
        for id in [1, 2] {
            rig.append(id, 1, 1000).expect("append");
        }
        rig.seal(&[1, 2]).expect("seal");
    }
    for id in [1, 2] {
        rig.log_start.insert(group(id), Offset(3));
    }
    let checkpoints = [1, 2].map(|id| rig.checkpoint(id));
    let runs = |id| rig.shard.sealed_runs(group(id)).expect("runs").0.len();
    let step = |max_bytes| rig.shard.expire_some(&checkpoints, max_bytes);
    assert!(step(1).expect("expire") > 1_000);
    assert_eq!((runs(1), runs(2)), (3, 4));
    assert!(step(u64::MAX).expect("expire") > 5_000);
    assert_eq!((runs(1), runs(2)), (1, 1));
    assert_eq!(step(u64::MAX).expect("expire"), 0);
    for id in [1, 2] {
        rig.check_every_row_is_named(id);
        rig.check_dense(id, Offset(3), 1 << 20);
    }
}

#[test]
fn a_deleted_group_is_gone_for_good_and_others_stay() {
    let rig = Rig::new();
    rig.create(&[1, 17]);
    for id in [1, 17] {
        for _ in 0..10 {
            rig.append(id, 1, 1000).expect("append");
        }
    }
    rig.seal(&[1, 17]).expect("seal");
    rig.append(1, 1, 0).expect("append");
    rig.shard.delete(group(1)).expect("delete");
    assert!(matches!(
        rig.shard.group(group(1)),
        Err(Error::UnknownGroup(GroupId(1)))
    ));
    let rig = rig.crash(1).expect("reopen");
    assert_eq!(rig.shard.group_ids(), [group(17)]);
    rig.check_dense(17, Offset(0), 1 << 20);
    assert!(
        rig.shard.create(&[(group(17), vec![1])]).is_err(),
        "an id is not given twice"
    );
}

#[test]
fn a_compacted_run_replaces_its_original_and_lets_reads_pass_over_the_gaps() {
    let rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..10 {
        rig.append(1, 2, 1000).expect("append");
    }
    rig.seal(&[1]).expect("seal");
    rig.seal(&[1]).expect("seal the rest");
    rig.append(1, 1, 0).expect("append");
    let (runs, cleaned_to) = rig.shard.sealed_runs(group(1)).expect("runs");
    assert_eq!(cleaned_to, Offset(0));
    // Every second entry survives.
    let mut kept = Vec::new();
    for run in &runs {
        rig.shard
            .scan_run(group(1), run, &mut |base, data| {
                if base.0 % 4 == 2 {
                    kept.push((base, Bytes::copy_from_slice(data), base.0 + 1));
                }
                true
            })
            .expect("scan");
    }
    let upto = runs.last().expect("a run").next;
    assert!(
        rig.shard
            .replace_runs(group(1), &runs, kept, upto)
            .expect("replace")
    );
    let check = |rig: &Rig| {
        let batches = rig
            .read(1, Offset(0), rig.log_end(1), 1 << 20)
            .expect("read");
        let bases: Vec<i64> = batches.iter().map(|batch| batch.base_offset).collect();
        assert_eq!(
            bases,
            [2, 6, 10, 14, 18],
            "a read stops where the log begins"
        );
        assert_eq!(
            rig.read(1, Offset(8), rig.log_end(1), 1).expect("read")[0].base_offset,
            10
        );
        assert_eq!(
            rig.read(1, Offset(20), rig.log_end(1), 1).expect("read")[0].base_offset,
            20
        );
        assert_eq!(rig.shard.sealed_runs(group(1)).expect("runs").1, upto);
    };
    check(&rig);
    let rig = rig.crash(5).expect("reopen");
    check(&rig);
    let (new, _) = rig.shard.sealed_runs(group(1)).expect("runs");
    assert!(
        !rig.shard
            .replace_runs(group(1), &runs, Vec::new(), upto)
            .expect("replace"),
        "the old runs are gone"
    );
    assert!(
        rig.shard
            .replace_runs(group(1), &new, Vec::new(), upto)
            .expect("replace")
    );
    assert_eq!(
        rig.read(1, Offset(0), rig.log_end(1), 1).expect("read")[0].base_offset,
        20,
        "an empty run is passed over"
    );
}

#[test]
fn a_read_whose_whole_range_was_compacted_away_is_empty() {
    let rig = Rig::new();
    rig.create(&[1]);
    for _ in 0..10 {
        rig.append(1, 2, 1000).expect("append");
    }
    rig.seal(&[1]).expect("seal");
    rig.seal(&[1]).expect("seal the rest");
    let (runs, _) = rig.shard.sealed_runs(group(1)).expect("runs");
    assert!(runs.len() > 1, "runs go on above the range");
    let upto = runs[0].next;
    assert!(
        rig.shard
            .replace_runs(group(1), &runs[..1], Vec::new(), upto)
            .expect("replace")
    );
    // As a consumer of committed transactions reads while the last stable offset lies here.
    assert!(
        rig.read(1, Offset(0), upto, 1 << 20)
            .expect("read")
            .is_empty()
    );
    let behind = rig.read(1, Offset(0), rig.log_end(1), 1).expect("read");
    assert_eq!(behind[0].base_offset, upto.0);
}

#[test]
fn a_damaged_row_takes_one_group_offline_and_names_it() {
    let rig = Rig::new();
    rig.create(&[1, 2]);
    rig.append(2, 1, 0).expect("append");
    rig.families
        .flip_bit(&crate::storage::keys::group(group(1)));
    let rig = rig.crash(1).expect("the shard opens");
    assert_eq!(rig.shard.group_ids(), [group(2)]);
    let error = rig.shard.damaged()[&group(1)].to_string();
    assert!(error.contains("checksum"), "{error}");
    rig.check_dense(2, Offset(0), 1);
}
