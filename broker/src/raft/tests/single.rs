//! One broker: every group has a sole voter.

use std::time::Instant;

use super::ledger::{Command, Refused};
use super::memory::Disk;
use super::network::{GROUP, TestWorker, Wire, append, ask, open, promise, sync_all};
use crate::raft::ports::{Ack, GroupId};
use crate::raft::{Failure, Role, Settings, Worker};

const ALL: Ack = Ack::Committed { voters: 1 };

fn broker(groups: u64) -> (TestWorker, Disk) {
    broker_with(Settings::default(), groups)
}

fn broker_with(settings: Settings, groups: u64) -> (TestWorker, Disk) {
    let disk = Disk::default();
    let mut worker = Worker::new(settings, disk.clone(), Wire::default());
    for group in 1..=groups {
        disk.bootstrap(GroupId(group), &[group], &[]);
        open(&mut worker, &disk, GroupId(group), group);
    }
    sync_all(&mut worker, &disk);
    (worker, disk)
}

#[test]
fn a_sole_voter_leads_at_once_and_is_told_its_empty_entry() {
    let disk = Disk::default();
    let mut worker = Worker::new(Settings::default(), disk.clone(), Wire::default());
    disk.bootstrap(GROUP, &[9], &[]);
    open(&mut worker, &disk, GROUP, 9);
    assert_eq!(worker.status(GROUP).unwrap().role, Role::Leader);
    let ledger = worker.machine(GROUP).unwrap();
    assert_eq!(ledger.leads, Some(2));
    assert_eq!(ledger.unapplied, [(2, 0)]);
}

#[test]
fn nothing_is_acknowledged_before_it_is_persisted() {
    let (mut worker, disk) = broker(1);
    let all = append(&mut worker, GroupId(1), "a", ALL);
    let leader = append(&mut worker, GroupId(1), "b", Ack::Persisted);
    let none = append(&mut worker, GroupId(1), "c", Ack::Proposed);
    while worker.run_ready() {}
    assert_eq!(none.get(), Some(Ok("c".to_owned())));
    assert_eq!((all.get(), leader.get()), (None, None));
    assert_eq!(worker.machine(GroupId(1)).unwrap().persisted, 2);

    let token = disk.sync_one().expect("submitted");
    while worker.run_ready() {}
    assert_eq!((all.get(), leader.get()), (None, None));

    worker.persisted(token, Ok::<(), String>(()));
    assert_eq!(leader.get(), Some(Ok("b".to_owned())));
    assert_eq!(worker.machine(GroupId(1)).unwrap().persisted, 5);
    assert_eq!(all.get(), None, "committed, but not applied");
    while worker.run_ready() {}
    assert_eq!(all.get(), Some(Ok("a".to_owned())));
    assert_eq!(
        worker.machine(GroupId(1)).unwrap().commands(),
        ["a", "b", "c"]
    );
}

#[test]
fn a_replica_is_let_go_only_when_nothing_is_under_way() {
    let (mut worker, disk) = broker(1);
    let id = GroupId(1);
    let answer = append(&mut worker, id, "a", ALL);
    assert!(worker.remove_idle(id).is_none(), "it is yet to be proposed");
    while worker.run_ready() {}
    assert!(worker.remove_idle(id).is_none(), "it is yet to be synced");
    let token = disk.sync_one().expect("submitted");
    worker.persisted(token, Ok::<(), String>(()));
    assert!(worker.remove_idle(id).is_none(), "it is yet to be applied");
    while worker.run_ready() {}
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
    let (_, ledger, status) = worker.remove_idle(id).expect("all is done");
    assert_eq!(ledger.commands(), ["a"]);
    assert_eq!((status.applied, status.persisted), (3, 3));
    assert!(!worker.contains(id) && worker.remove_idle(id).is_none());
}

#[test]
fn commands_of_many_groups_become_one_batch() {
    let (mut worker, disk) = broker(50);
    let before = disk.batches();
    let answers: Vec<_> = (1..=50)
        .map(|group| append(&mut worker, GroupId(group), "x", ALL))
        .collect();
    while worker.run_ready() {}
    assert_eq!(disk.batches(), before + 1);
    assert_eq!(disk.last_batch().len(), 50);
    sync_all(&mut worker, &disk);
    assert!(
        answers
            .iter()
            .all(|answer| answer.get() == Some(Ok("x".to_owned())))
    );
}

fn joining_broker(settings: Settings) -> (TestWorker, Disk) {
    let (mut worker, disk) = broker_with(settings, 1);
    worker.machine_mut(GroupId(1)).unwrap().joins = true;
    (worker, disk)
}

#[test]
fn commands_that_wait_together_become_one_entry() {
    let (mut worker, disk) = joining_broker(Settings::default());
    let together = ["a", "b"].map(|text| append(&mut worker, GroupId(1), text, ALL));
    let refused = ask(&mut worker, GroupId(1), Command::Refuse, ALL);
    let apart = ask(&mut worker, GroupId(1), Command::Done, ALL);
    let next = append(&mut worker, GroupId(1), "c", Ack::Proposed);
    assert_eq!(refused.get(), Some(Err(Failure::Refused(Refused))));
    assert_eq!(apart.get(), Some(Ok("done".to_owned())));
    assert_eq!((together[0].get(), next.get()), (None, None));
    while worker.run_ready() {}
    assert_eq!(next.get(), Some(Ok("c".to_owned())));
    sync_all(&mut worker, &disk);
    assert_eq!(together[0].get(), Some(Ok("a".to_owned())));
    assert_eq!(together[1].get(), Some(Ok("b".to_owned())));
    assert_eq!(worker.machine(GroupId(1)).unwrap().commands(), ["a,b", "c"]);
}

#[test]
fn who_waits_for_an_entry_that_is_never_proposed_hears_of_it() {
    let (mut worker, _disk) = joining_broker(Settings::default());
    let answers = ["a", "b"].map(|text| append(&mut worker, GroupId(1), text, ALL));
    drop(worker.remove(GroupId(1)));
    assert!(
        answers
            .iter()
            .all(|a| a.get() == Some(Err(Failure::Stopped)))
    );

    let (mut worker, disk) = joining_broker(Settings::default());
    let answers = ["a", "b"].map(|text| append(&mut worker, GroupId(1), text, ALL));
    disk.break_reads(GroupId(1));
    worker.take_offline(GroupId(1), "broken");
    assert!(
        answers
            .iter()
            .all(|a| matches!(a.get(), Some(Err(Failure::Faulty(_)))))
    );

    let (mut worker, _disk) = joining_broker(Settings {
        max_waiters: 2,
        ..Settings::default()
    });
    let answers = ["a", "b", "c"].map(|text| append(&mut worker, GroupId(1), text, ALL));
    assert_eq!(
        answers[2].get(),
        Some(Err(Failure::Overloaded)),
        "callers of the open entry count"
    );
}

#[test]
fn while_the_disk_is_busy_one_batch_gathers() {
    let (mut worker, disk) = broker(3);
    let before = disk.batches();
    let answers: Vec<_> = (0..30)
        .map(|n| {
            let answer = append(&mut worker, GroupId(1 + n % 3), &format!("c{n}"), ALL);
            while worker.run_ready() {}
            answer
        })
        .collect();
    // Two are out; the other 28 commands are in the third.
    assert_eq!(disk.batches(), before + 2);
    let token = disk.sync_one().expect("submitted");
    worker.persisted(token, Ok::<(), String>(()));
    while worker.run_ready() {}
    assert_eq!(disk.batches(), before + 3);
    let entries: usize = disk
        .last_batch()
        .iter()
        .map(|(_, write)| write.entries.len())
        .sum();
    assert_eq!(entries, 28);
    assert_eq!(disk.last_batch().len(), 3);
    sync_all(&mut worker, &disk);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.get(), Some(Ok(_))))
    );
}

#[test]
fn in_a_crowd_the_commands_of_a_group_gather_while_its_last_entry_is_written() {
    let groups = 200;
    let (mut worker, disk) = broker(groups);
    let to_all = |worker: &mut TestWorker, text: &str| {
        (1..=groups)
            .map(|group| {
                worker.machine_mut(GroupId(group)).unwrap().joins = true;
                append(worker, GroupId(group), text, ALL)
            })
            .collect::<Vec<_>>()
    };
    let before = disk.batches();
    let mut answers = Vec::new();
    for text in ["a", "b", "c"] {
        answers.extend(to_all(&mut worker, text));
        while worker.run_ready() {}
    }
    assert_eq!(disk.batches(), before + 1, "there is room for another");
    // One group alone need not wait.
    let (mut alone, its_disk) = joining_broker(Settings::default());
    let its_before = its_disk.batches();
    for text in ["a", "b"] {
        append(&mut alone, GroupId(1), text, ALL);
        while alone.run_ready() {}
    }
    assert_eq!(its_disk.batches(), its_before + 2);

    sync_all(&mut worker, &disk);
    assert_eq!(disk.batches(), before + 2);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.get(), Some(Ok(_))))
    );
    for group in 1..=groups {
        let ledger = worker.machine(GroupId(group)).unwrap();
        assert_eq!(ledger.commands(), ["a", "b,c"]);
    }
}

#[test]
fn an_idle_disk_gets_the_first_of_much_before_the_rest_is_ready() {
    let (mut worker, disk) = broker(100);
    let before = disk.batches();
    let text = "x".repeat(16 << 10);
    let answers: Vec<_> = (1..=100)
        .map(|group| append(&mut worker, GroupId(group), &text, ALL))
        .collect();
    worker.run_ready();
    assert_eq!(disk.batches(), before + 2);
    assert_eq!(disk.last_batch().len(), 100 - 32, "512 KiB went ahead");
    sync_all(&mut worker, &disk);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.get(), Some(Ok(_))))
    );
}

#[test]
fn a_commit_alone_is_not_written_neither_by_itself_nor_with_entries() {
    let (mut worker, disk) = broker(1);
    append(&mut worker, GroupId(1), "a", ALL);
    sync_all(&mut worker, &disk);
    let batches = disk.batches();
    assert_eq!(disk.live(GroupId(1)).hard_state.commit, 3, "noted");
    let durable = disk.durable(GroupId(1)).hard_state;

    append(&mut worker, GroupId(1), "b", ALL);
    sync_all(&mut worker, &disk);
    assert_eq!(disk.batches(), batches + 1);
    assert_eq!(disk.live(GroupId(1)).hard_state.commit, 4, "noted");
    assert_eq!(disk.durable(GroupId(1)).hard_state, durable);
}

#[test]
fn a_duplicate_waits_for_the_entry_that_it_repeats() {
    let (mut worker, disk) = broker(1);
    let first = append(&mut worker, GroupId(1), "a", ALL);
    let index = worker.machine(GroupId(1)).unwrap().proposed[0].1;
    let second = ask(&mut worker, GroupId(1), Command::After(index), ALL);
    while worker.run_ready() {}
    assert_eq!(second.get(), None);
    sync_all(&mut worker, &disk);
    assert_eq!(first.get(), Some(Ok("a".to_owned())));
    assert_eq!(second.get(), Some(Ok("after 3".to_owned())));
    let late = ask(&mut worker, GroupId(1), Command::After(index), ALL);
    assert_eq!(
        late.get(),
        Some(Ok("after 3".to_owned())),
        "applied already"
    );
}

#[test]
fn what_needs_no_entry_is_answered_at_once() {
    let (mut worker, disk) = broker(1);
    let batches = disk.batches();
    let done = ask(&mut worker, GroupId(1), Command::Done, ALL);
    let refused = ask(&mut worker, GroupId(1), Command::Refuse, ALL);
    assert_eq!(done.get(), Some(Ok("done".to_owned())));
    assert_eq!(refused.get(), Some(Err(Failure::Refused(Refused))));
    while worker.run_ready() {}
    assert_eq!(disk.batches(), batches);
}

#[test]
fn whoever_waits_for_what_is_gone_is_told_so() {
    let (mut worker, _disk) = broker(2);
    let removed = append(&mut worker, GroupId(1), "a", ALL);
    let stopped = append(&mut worker, GroupId(2), "b", ALL);
    assert!(worker.remove(GroupId(1)).is_some());
    assert_eq!(removed.get(), Some(Err(Failure::Stopped)));
    let unknown = append(&mut worker, GroupId(1), "c", ALL);
    assert_eq!(unknown.get(), Some(Err(Failure::UnknownGroup)));
    drop(worker);
    assert_eq!(stopped.get(), Some(Err(Failure::Stopped)));
    let (reply, dropped) = promise::<(), Refused>();
    drop(reply);
    assert_eq!(dropped.get(), Some(Err(Failure::Stopped)));
}

#[test]
fn a_completion_for_a_removed_group_does_not_reach_its_successor() {
    let (mut worker, disk) = broker(1);
    append(&mut worker, GroupId(1), "a", ALL);
    while worker.run_ready() {}
    worker.remove(GroupId(1));
    let token = disk.sync_one().expect("submitted");
    open(&mut worker, &disk, GroupId(1), 1);
    while worker.run_ready() {}
    let answer = append(&mut worker, GroupId(1), "b", ALL);
    worker.persisted(token, Ok::<(), String>(()));
    while worker.run_ready() {}
    assert_eq!(answer.get(), None);
    sync_all(&mut worker, &disk);
    assert_eq!(answer.get(), Some(Ok("b".to_owned())));
    assert_eq!(worker.machine(GroupId(1)).unwrap().commands(), ["a", "b"]);
}

#[test]
fn a_restart_replays_what_was_durable_and_leads_again() {
    let (mut worker, disk) = broker(1);
    append(&mut worker, GroupId(1), "a", ALL);
    append(&mut worker, GroupId(1), "b", ALL);
    sync_all(&mut worker, &disk);
    let lost = append(&mut worker, GroupId(1), "lost", ALL);
    while worker.run_ready() {}
    drop(worker);
    assert_eq!(lost.get(), Some(Err(Failure::Stopped)));
    disk.crash();

    let mut worker = Worker::new(Settings::default(), disk.clone(), Wire::default());
    open(&mut worker, &disk, GroupId(1), 1);
    sync_all(&mut worker, &disk);
    let ledger = worker.machine(GroupId(1)).unwrap();
    assert_eq!(ledger.commands(), ["a", "b"]);
    assert_eq!(ledger.leads, Some(3));
    let answer = append(&mut worker, GroupId(1), "c", ALL);
    sync_all(&mut worker, &disk);
    assert_eq!(answer.get(), Some(Ok("c".to_owned())));
}

#[test]
fn more_than_may_be_uncommitted_is_refused_and_leaves_no_trace() {
    let settings = Settings {
        max_uncommitted_bytes: 100,
        max_append_bytes: 100,
        ..Settings::default()
    };
    let (mut worker, disk) = broker_with(settings, 1);
    let text = "x".repeat(60);
    let first = append(&mut worker, GroupId(1), &text, ALL);
    let second = append(&mut worker, GroupId(1), &text, ALL);
    assert_eq!(second.get(), Some(Err(Failure::Overloaded)));
    assert_eq!(worker.machine(GroupId(1)).unwrap().proposed.len(), 1);
    sync_all(&mut worker, &disk);
    assert_eq!(first.get(), Some(Ok(text.clone())));
    let third = append(&mut worker, GroupId(1), &text, ALL);
    sync_all(&mut worker, &disk);
    assert_eq!(third.get(), Some(Ok(text)));
}

#[test]
fn a_disk_that_is_behind_and_too_many_waiters_are_overload() {
    let settings = Settings {
        max_unsynced_bytes: 100,
        max_waiters: 3,
        ..Settings::default()
    };
    let (mut worker, disk) = broker_with(settings, 2);
    let text = "x".repeat(100);
    append(&mut worker, GroupId(1), &text, ALL);
    while worker.run_ready() {}
    let full = append(&mut worker, GroupId(2), "y", ALL);
    assert_eq!(full.get(), Some(Err(Failure::Overloaded)));
    sync_all(&mut worker, &disk);
    let waiting: Vec<_> = (0..4)
        .map(|_| append(&mut worker, GroupId(2), "y", ALL))
        .collect();
    assert_eq!(waiting[3].get(), Some(Err(Failure::Overloaded)));
    sync_all(&mut worker, &disk);
    assert!(
        waiting[..3]
            .iter()
            .all(|answer| matches!(answer.get(), Some(Ok(_))))
    );
}

#[test]
fn ten_thousand_sole_voters_cost_nothing_while_idle() {
    let (mut worker, disk) = broker(10_000);
    let batches = disk.batches();
    let start = Instant::now();
    for _ in 0..100 {
        worker.tick();
        assert!(!worker.run_ready());
    }
    println!("100 ticks of 10,000 sleeping groups: {:?}", start.elapsed());
    assert_eq!(disk.batches(), batches);
}
