//! What breaks stops, and nothing else does.

use std::cell::RefCell;
use std::rc::Rc;

use raft::eraftpb::{Entry, Message, MessageType, Snapshot, SnapshotMetadata};

use super::memory::Disk;
use super::network::{Cluster, GROUP, TestWorker, Wire, append, open, sync_all};
use crate::raft::ports::{Ack, GroupId};
use crate::raft::{Delivery, Failure, GroupConfig, OpenError, Role, Settings, Worker};

const ALL: Ack = Ack::Committed { voters: 1 };

fn broker(groups: u64) -> (TestWorker, Disk) {
    let disk = Disk::default();
    let mut worker = Worker::new(Settings::default(), disk.clone(), Wire::default());
    for group in 1..=groups {
        disk.bootstrap(GroupId(group), &[group], &[]);
        open(&mut worker, &disk, GroupId(group), group);
    }
    sync_all(&mut worker, &disk);
    (worker, disk)
}

#[test]
fn a_batch_that_failed_stops_everything() {
    let (mut worker, disk) = broker(3);
    let answers: Vec<_> = (1..=3)
        .map(|group| append(&mut worker, GroupId(group), "a", ALL))
        .collect();
    while worker.run_ready() {}
    let later = append(&mut worker, GroupId(1), "b", ALL);
    while worker.run_ready() {}
    assert_eq!(disk.pending(), 2);
    let token = disk.sync_one().unwrap();
    worker.persisted(token, Err("input/output error"));
    let text = "write to the log: input/output error";
    for answer in answers.iter().chain([&later]) {
        assert_eq!(answer.get(), Some(Err(Failure::Faulty(text.into()))));
    }
    // The next batch is reported as written: it is not believed.
    let token = disk.sync_one().unwrap();
    worker.persisted(token, Ok::<(), String>(()));
    while worker.run_ready() {}
    assert_eq!(worker.machine(GroupId(1)).unwrap().persisted, 2);
    assert!(worker.machine(GroupId(1)).unwrap().applied.is_empty());
    let refused = append(&mut worker, GroupId(2), "c", ALL);
    assert_eq!(refused.get(), Some(Err(Failure::Faulty(text.into()))));
    assert_eq!(
        worker.status(GroupId(3)).unwrap().role,
        Role::Offline(text.into())
    );
    assert_eq!(worker.machine(GroupId(3)).unwrap().leads, None);
}

#[test]
fn who_listens_hears_once_of_each_replica_that_goes_offline() {
    let (worker, disk) = broker(3);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = heard.clone();
    let mut worker =
        worker.on_fault(move |group, why| hears.borrow_mut().push((group.0, why.to_owned())));
    worker.take_offline(GroupId(2), "damaged");
    worker.take_offline(GroupId(2), "damaged again");
    assert_eq!(*heard.borrow(), [(2, "damaged".to_owned())]);
    append(&mut worker, GroupId(1), "a", ALL);
    while worker.run_ready() {}
    let token = disk.sync_one().unwrap();
    worker.persisted(token, Err("gone"));
    let why = "write to the log: gone".to_owned();
    assert_eq!(heard.borrow()[1..], [(1, why.clone()), (3, why)]);
}

#[test]
fn a_completion_out_of_order_is_not_believed() {
    let (mut worker, disk) = broker(1);
    let answer = append(&mut worker, GroupId(1), "a", ALL);
    while worker.run_ready() {}
    let token = disk.sync_one().unwrap();
    worker.persisted(token + 1, Ok::<(), String>(()));
    assert!(matches!(answer.get(), Some(Err(Failure::Faulty(_)))));
    assert!(worker.fault().is_some());
}

#[test]
fn a_state_machine_that_fails_takes_its_replica_offline_and_no_other() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    let other = GroupId(8);
    let node = cluster.node(1);
    node.disk.bootstrap(other, &[1], &[]);
    open(&mut node.worker, &node.disk, other, 1);
    cluster.settle();

    let (_, mut ledger) = cluster.worker(1).remove(GROUP).unwrap();
    ledger.fails_at = Some("poison".to_owned());
    let image = cluster.node(1).disk.durable(GROUP);
    let config = GroupConfig {
        group: GROUP,
        peer: 1,
        applied: image.base,
        membership_index: image.membership.0,
        seed: 1,
    };
    let log = cluster.node(1).disk.open(GROUP);
    cluster.worker(1).add(&config, log, ledger).unwrap();
    cluster.settle();
    cluster.tick(40);
    let leader = cluster.leaders()[0];
    if leader != 1 {
        cluster.worker(leader).transfer_leader(GROUP, 1);
        cluster.settle();
    }
    let poison = cluster.append(1, "poison", 2);
    cluster.settle();
    let text = "apply entry";
    assert!(matches!(poison.get(), Some(Err(Failure::Faulty(fault))) if fault.contains(text)));
    assert!(matches!(cluster.status(1).role, Role::Offline(_)));
    let fine = append(cluster.worker(1), other, "a", ALL);
    cluster.tick(60);
    assert_eq!(fine.get(), Some(Ok("a".to_owned())));
    let leader = cluster.leaders()[0];
    assert_ne!(leader, 1);
    assert_eq!(cluster.ledger(leader).commands(), ["poison"]);
    let mut beat = Message::default();
    beat.set_msg_type(MessageType::MsgHeartbeat);
    (beat.from, beat.to, beat.term) = (2, 1, 99);
    assert_eq!(cluster.worker(1).message(GROUP, beat), Delivery::Dropped);
}

#[test]
fn a_log_that_cannot_be_read_takes_its_replica_offline_instead_of_panicking() {
    let (mut worker, disk) = broker(2);
    let answer = append(&mut worker, GroupId(1), "a", ALL);
    while worker.run_ready() {}
    disk.break_reads(GroupId(1));
    sync_all(&mut worker, &disk);
    assert!(
        matches!(answer.get(), Some(Err(Failure::Faulty(fault))) if fault.contains("checksum mismatch"))
    );
    let fine = append(&mut worker, GroupId(2), "b", ALL);
    sync_all(&mut worker, &disk);
    assert_eq!(fine.get(), Some(Ok("b".to_owned())));
}

#[test]
fn a_candidate_that_cannot_read_its_log_sends_nothing() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.append(1, "a", 2);
    cluster.settle();
    cluster.append(1, "b", 2);
    // Committed, and told to 2, but 2 has not applied it: standing for election reads it.
    let node = cluster.node(1);
    sync_all(&mut node.worker, &node.disk);
    cluster.node(2).disk.break_reads(GROUP);
    cluster.settle();
    assert!(matches!(cluster.status(2).role, Role::Offline(_)));
    cluster.worker(2).campaign(GROUP);
    assert!(cluster.wire.0.borrow().is_empty());
    assert_eq!(cluster.leaders(), [1]);
}

#[test]
fn a_replica_that_lost_what_it_acknowledged_goes_offline_instead_of_panicking() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.append(1, "a", 3);
    cluster.settle();
    let term = cluster.status(1).term;
    let mut beat = Message::default();
    beat.set_msg_type(MessageType::MsgHeartbeat);
    (beat.from, beat.to, beat.term, beat.commit) = (1, 2, term, 40);
    cluster.worker(2).message(GROUP, beat);
    assert!(matches!(cluster.status(2).role, Role::Offline(_)));
}

fn snapshot_message(index: u64, term: u64, to: u64) -> Message {
    let mut metadata = SnapshotMetadata {
        index,
        term,
        ..SnapshotMetadata::default()
    };
    metadata.set_conf_state((vec![1, 2, 3], vec![]).into());
    let mut snapshot = Snapshot::default();
    snapshot.set_metadata(metadata);
    snapshot.data = format!("{index} state\n").into();
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgSnapshot);
    (message.from, message.to, message.term) = (1, to, term);
    message.set_snapshot(snapshot);
    message
}

#[test]
fn a_second_snapshot_waits_until_the_first_is_restored() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.cut_off.extend([1, 3]);
    let worker = cluster.worker(2);
    worker.message(GROUP, snapshot_message(10, 5, 2));
    while worker.run_ready() {}
    assert_eq!(
        worker.machine(GROUP).unwrap().restored,
        0,
        "not durable yet"
    );
    worker.message(GROUP, snapshot_message(20, 5, 2));
    // Nor does it campaign meanwhile: raft would look for entries that are gone.
    for _ in 0..50 {
        worker.tick();
    }
    let mut now = Message::default();
    now.set_msg_type(MessageType::MsgTimeoutNow);
    (now.from, now.to, now.term) = (1, 2, 5);
    assert_eq!(worker.message(GROUP, now), Delivery::Dropped);
    while worker.run_ready() {}
    assert_eq!(cluster.node(2).disk.live(GROUP).base, 10);
    cluster.settle();
    let ledger = cluster.ledger(2);
    assert_eq!((ledger.restored, ledger.commands()), (2, vec!["state"]));
    assert_eq!(ledger.applied[0].0, 20);
    assert_eq!(cluster.status(2).applied, 20);
    assert_eq!(cluster.node(2).disk.durable(GROUP).base, 20);
}

#[test]
fn entries_behind_a_snapshot_are_applied_after_it_is_restored() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.cut_off.extend([1, 3]);
    let worker = cluster.worker(2);
    worker.message(GROUP, snapshot_message(10, 5, 2));
    let mut entry = Entry::default();
    (entry.index, entry.term) = (11, 5);
    entry.context = "ledger".into();
    entry.data = "next".into();
    let mut append = Message::default();
    append.set_msg_type(MessageType::MsgAppend);
    (append.from, append.to, append.term) = (1, 2, 5);
    (append.index, append.log_term, append.commit) = (10, 5, 11);
    append.set_entries(vec![entry].into());
    while worker.run_ready() {}
    worker.message(GROUP, append);
    while worker.run_ready() {}
    cluster.settle();
    assert_eq!(cluster.ledger(2).commands(), ["state", "next"]);
}

#[test]
fn a_sole_voter_with_unsynced_entries_does_not_campaign() {
    let (mut worker, disk) = broker(1);
    let lost = append(&mut worker, GroupId(1), "a", ALL);
    while worker.run_ready() {}
    // A replica that was removed long ago, with a later term, deposes it.
    let mut stray = Message::default();
    stray.set_msg_type(MessageType::MsgAppend);
    (stray.from, stray.to, stray.term) = (9, 1, 50);
    (stray.index, stray.log_term) = (40, 50);
    worker.message(GroupId(1), stray);
    assert_eq!(lost.get(), Some(Err(Failure::NotLeader { leader: 9 })));
    for _ in 0..50 {
        worker.tick();
        while worker.run_ready() {}
    }
    assert_eq!(worker.status(GroupId(1)).unwrap().role, Role::Follower);
    sync_all(&mut worker, &disk);
    assert_eq!(worker.status(GroupId(1)).unwrap().role, Role::Leader);
    assert_eq!(worker.status(GroupId(1)).unwrap().term, 51);
    assert_eq!(worker.machine(GroupId(1)).unwrap().commands(), ["a"]);
}

#[test]
fn a_log_and_a_state_that_do_not_fit_are_not_opened() {
    let disk = Disk::default();
    let mut worker: TestWorker = Worker::new(Settings::default(), disk.clone(), Wire::default());
    disk.bootstrap(GROUP, &[1], &[]);
    let mut config = GroupConfig {
        group: GROUP,
        peer: 1,
        applied: 0,
        membership_index: 1,
        seed: 0,
    };
    for (peer, applied) in [(1, 0), (1, 2), (0, 1)] {
        (config.peer, config.applied) = (peer, applied);
        let opened = worker.add(&config, disk.open(GROUP), Default::default());
        assert!(matches!(
            opened,
            Err(OpenError::Gap { .. } | OpenError::NoPeer)
        ));
    }
    (config.peer, config.applied) = (1, 1);
    worker
        .add(&config, disk.open(GROUP), Default::default())
        .unwrap();
    let again = worker.add(&config, disk.open(GROUP), Default::default());
    assert!(matches!(again, Err(OpenError::Exists(GROUP))));
}
