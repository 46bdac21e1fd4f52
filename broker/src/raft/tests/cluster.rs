//! Several brokers, a network that behaves unless told otherwise.

use raft::eraftpb::{ConfChangeType, Entry, Message, MessageType};

use super::network::{Cluster, GROUP, append};
use crate::raft::ports::Ack;
use crate::raft::{ChangeRefusal, Delivery, Failure, Role};

use ConfChangeType::{AddLearnerNode as Learner, AddNode as Voter, RemoveNode as Remove};

#[test]
fn an_election_time_out_makes_one_leader() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.tick(25);
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 1);
    for peer in [1, 2, 3] {
        assert_eq!(cluster.status(peer).leader, leaders[0]);
    }
}

#[test]
fn an_acknowledged_command_is_applied_everywhere() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(2);
    let answer = cluster.append(2, "a", 3);
    assert_eq!(answer.get(), None);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
    for peer in [1, 2, 3] {
        assert_eq!(cluster.ledger(peer).commands(), ["a"]);
    }
}

#[test]
fn a_follower_refuses_commands_and_names_the_leader() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(2);
    let answer = cluster.append(1, "a", 1);
    assert_eq!(answer.get(), Some(Err(Failure::NotLeader { leader: 2 })));
    cluster.settle();
    assert!(
        cluster.ledger(2).applied.is_empty(),
        "nothing was forwarded"
    );
}

#[test]
fn committed_is_not_enough_when_more_voters_are_asked_for() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.cut_off.insert(3);
    let two = cluster.append(1, "a", 2);
    let three = cluster.append(1, "b", 3);
    cluster.settle();
    assert_eq!(two.get(), Some(Ok("a".to_owned())));
    assert_eq!(three.get(), None);
    assert_eq!(cluster.ledger(1).commands(), ["a", "b"]);
    cluster.cut_off.clear();
    cluster.tick(5);
    assert_eq!(three.get(), Some(Ok("b".to_owned())));
}

#[test]
fn a_follower_that_has_not_synced_does_not_count() {
    let mut cluster = Cluster::new(&[1, 2], &[]);
    cluster.elect(1);
    let answer = cluster.append(1, "a", 1);
    let node = cluster.node(1);
    super::network::sync_all(&mut node.worker, &node.disk);
    let messages = std::mem::take(&mut *cluster.wire.0.borrow_mut());
    for (_, message) in messages {
        cluster.deliver(message);
    }
    while cluster.worker(2).run_ready() {}
    assert_eq!(cluster.node(2).disk.pending(), 1);
    assert!(
        cluster.wire.0.borrow().is_empty(),
        "no response before the sync"
    );
    assert_eq!(answer.get(), None);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
}

#[test]
fn a_leader_sends_before_its_own_sync_and_may_be_last_to_persist() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    let answer = cluster.append(1, "a", 2);
    while cluster.worker(1).run_ready() {}
    assert_eq!(cluster.node(1).disk.pending(), 1);
    for _ in 0..4 {
        let messages = std::mem::take(&mut *cluster.wire.0.borrow_mut());
        for (_, message) in messages {
            cluster.deliver(message);
        }
        for peer in [2, 3] {
            let node = cluster.node(peer);
            super::network::sync_all(&mut node.worker, &node.disk);
        }
        while cluster.worker(1).run_ready() {}
    }
    assert_eq!(cluster.status(1).commit, 3, "committed by the followers");
    assert_eq!(answer.get(), None, "but not applied by the leader");
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
}

#[test]
fn a_sole_voter_tells_its_learner_nothing_of_a_term_that_is_not_durable() {
    let mut cluster = Cluster::new(&[1], &[2]);
    cluster.settle();
    cluster.change(1, &[(Learner, 2)]);
    cluster.tick(10);
    assert_eq!(cluster.status(2).membership.learners, [2]);
    cluster.append(1, "first", 1);
    cluster.settle();
    cluster.crash(1);
    while cluster.worker(1).run_ready() {}
    assert_eq!(cluster.status(1).role, Role::Leader);
    assert_eq!(cluster.status(1).membership.learners, [2]);
    assert!(cluster.wire.0.borrow().is_empty());
    cluster.settle();
    let answer = cluster.append(1, "a", 1);
    cluster.tick(3);
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
    assert_eq!(cluster.ledger(2).commands(), ["first", "a"]);
}

#[test]
fn leadership_is_transferred_and_commands_wait_elsewhere_meanwhile() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.worker(1).transfer_leader(GROUP, 3);
    let refused = cluster.append(1, "a", 1);
    assert_eq!(refused.get(), Some(Err(Failure::Transferring { to: 3 })));
    cluster.settle();
    assert_eq!(cluster.leaders(), [3]);
    assert_eq!(cluster.ledger(3).leads, Some(cluster.status(3).term));
    assert_eq!(cluster.ledger(1).leads, None);
    let answer = cluster.append(3, "b", 3);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("b".to_owned())));
}

#[test]
fn a_leader_that_is_cut_off_steps_down_and_answers_its_waiters() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.cut_off.insert(1);
    let waiting = cluster.append(1, "lost", 2);
    cluster.tick(60);
    assert_eq!(waiting.get(), Some(Err(Failure::NotLeader { leader: 0 })));
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 1);
    assert_ne!(leaders[0], 1);
    let answer = cluster.append(leaders[0], "kept", 2);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("kept".to_owned())));
    cluster.cut_off.clear();
    cluster.tick(10);
    assert_eq!(cluster.ledger(1).commands(), ["kept"]);
    assert_eq!(
        cluster.leaders(),
        leaders,
        "the one that was cut off deposes nobody"
    );
}

#[test]
fn a_new_leader_is_told_all_it_has_not_applied() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.append(1, "a", 1);
    // 2 persists it, but hears of no commit and of no other replica's.
    while cluster.worker(1).run_ready() {}
    let messages = std::mem::take(&mut *cluster.wire.0.borrow_mut());
    for (_, message) in messages {
        cluster.deliver(message);
    }
    for peer in [2, 3] {
        let node = cluster.node(peer);
        super::network::sync_all(&mut node.worker, &node.disk);
    }
    cluster.wire.0.borrow_mut().clear();
    cluster.cut_off.insert(1);
    cluster.tick(60);
    let leader = cluster.leaders()[0];
    let ledger = cluster.ledger(leader);
    assert_eq!(ledger.unapplied, [(3, 1), (4, 0)]);
    assert_eq!(ledger.commands(), ["a"], "committed with the empty entry");
}

#[test]
fn a_follower_restarts_from_its_log() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.append(1, "a", 3);
    cluster.settle();
    cluster.crash(3);
    cluster.append(1, "b", 3);
    cluster.tick(5);
    assert_eq!(cluster.ledger(3).commands(), ["a", "b"]);
    assert_eq!(cluster.leaders(), [1]);
}

#[test]
fn a_replica_is_added_as_a_learner_promoted_and_replaces_another() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[4]);
    cluster.elect(1);
    cluster.append(1, "a", 3);
    cluster.settle();

    let added = cluster.change(1, &[(Learner, 4)]);
    cluster.tick(10);
    let membership = added.get().expect("answered").expect("added");
    assert_eq!(membership.learners, [4]);
    assert_eq!(cluster.ledger(4).commands(), ["a"]);
    assert_eq!(
        cluster.ledger(4).restored,
        1,
        "it needed a snapshot to know the voters"
    );

    let replaced = cluster.change(1, &[(Voter, 4), (Remove, 2)]);
    let meanwhile = cluster.change(1, &[(Remove, 3)]);
    assert_eq!(
        meanwhile.get(),
        Some(Err(Failure::Refused(ChangeRefusal::Pending)))
    );
    cluster.tick(10);
    let membership = replaced.get().expect("answered").expect("replaced");
    let mut voters = membership.voters.clone();
    voters.sort_unstable();
    assert_eq!(voters, [1, 3, 4]);
    assert!(membership.voters_outgoing.is_empty(), "joint is left again");

    cluster.worker(2).remove(GROUP);
    let answer = cluster.append(1, "b", 3);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("b".to_owned())));
    assert_eq!(cluster.ledger(4).commands(), ["a", "b"]);
}

#[test]
fn a_leader_that_is_removed_hands_over_and_does_not_panic() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    let removed = cluster.change(1, &[(Remove, 1)]);
    // More is in flight behind the change: raft alone would panic when that is persisted.
    let behind = cluster.append(1, "behind", 1);
    cluster.settle();
    assert!(matches!(removed.get(), Some(Ok(_))));
    assert!(matches!(
        behind.get(),
        Some(Ok(_) | Err(Failure::NotLeader { .. }))
    ));
    cluster.tick(30);
    let leaders = cluster.leaders();
    assert_eq!(leaders.len(), 1);
    assert_ne!(leaders[0], 1);
    let answer = cluster.append(leaders[0], "a", 2);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
}

#[test]
fn changes_that_cannot_be_made_are_refused_before_they_are_proposed() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    let last = cluster.status(1).last_index;
    let invalid = [
        vec![],
        vec![(Voter, 0)],
        vec![(Remove, 1), (Remove, 2), (Remove, 3)],
    ];
    for changes in invalid {
        let answer = cluster.change(1, &changes);
        assert!(
            matches!(
                answer.get(),
                Some(Err(Failure::Refused(ChangeRefusal::Invalid(_))))
            ),
            "{changes:?}"
        );
    }
    let follower = cluster.change(2, &[(Voter, 4)]);
    assert_eq!(follower.get(), Some(Err(Failure::NotLeader { leader: 1 })));
    assert_eq!(cluster.status(1).last_index, last);
}

#[test]
fn a_restart_does_not_apply_membership_changes_twice() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[4]);
    cluster.elect(1);
    for change in [
        vec![(Learner, 4)],
        vec![(Voter, 4), (Remove, 2)],
        vec![(Voter, 2), (Remove, 3)],
    ] {
        let answer = cluster.change(1, &change);
        cluster.tick(10);
        assert!(matches!(answer.get(), Some(Ok(_))), "{change:?}");
    }
    cluster.append(1, "a", 3);
    cluster.settle();
    for peer in [1, 4] {
        cluster.crash(peer);
        cluster.settle();
        let mut voters = cluster.status(peer).membership.voters;
        voters.sort_unstable();
        assert_eq!(voters, [1, 2, 4], "replica {peer}");
        assert!(cluster.status(peer).membership.voters_outgoing.is_empty());
    }
}

#[test]
fn a_follower_behind_the_start_of_the_log_gets_a_snapshot() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.cut_off.insert(3);
    for text in ["a", "b", "c", "d"] {
        cluster.append(1, text, 2);
        cluster.settle();
    }
    let (applied, state) = (
        cluster.status(1).applied - 1,
        cluster.ledger(1).applied[..3].to_vec(),
    );
    let state = super::ledger::Ledger {
        applied: state,
        ..Default::default()
    }
    .state();
    cluster.node(1).disk.truncate(GROUP, applied, &state);
    assert_eq!(cluster.node(1).disk.live(GROUP).base, applied);

    cluster.cut_off.clear();
    cluster.tick(10);
    assert_eq!(cluster.ledger(3).commands(), ["a", "b", "c", "d"]);
    assert_eq!(cluster.ledger(3).restored, 1);
    let answer = cluster.append(1, "e", 3);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("e".to_owned())));

    cluster.crash(3);
    cluster.tick(3);
    assert_eq!(cluster.ledger(3).commands(), ["a", "b", "c", "d", "e"]);
}

fn message(kind: MessageType, from: u64, to: u64, term: u64) -> Message {
    let mut message = Message::default();
    message.set_msg_type(kind);
    message.from = from;
    message.to = to;
    message.term = term;
    message
}

#[test]
fn peers_can_neither_propose_nor_steer_nor_impersonate() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    let term = cluster.status(1).term;
    let last = cluster.status(1).last_index;
    let mut entry = Entry {
        data: "smuggled".into(),
        ..Entry::default()
    };
    for term in [0, term] {
        let mut proposal = message(MessageType::MsgPropose, 2, 1, term);
        proposal.set_entries(vec![entry.clone()].into());
        assert_eq!(
            cluster.worker(1).message(GROUP, proposal),
            Delivery::Dropped
        );
    }
    let dropped = [
        message(MessageType::MsgReadIndex, 2, 1, term),
        message(MessageType::MsgTransferLeader, 2, 1, term),
        message(MessageType::MsgHup, 2, 1, term),
        message(MessageType::MsgAppend, 2, 1, 0),
        message(MessageType::MsgRequestVote, 2, 99, term + 1),
        message(MessageType::MsgRequestVote, 0, 1, term + 1),
        message(MessageType::MsgSnapshot, 2, 1, term + 1),
    ];
    for message in dropped {
        let kind = message.get_msg_type();
        assert_eq!(
            cluster.worker(1).message(GROUP, message),
            Delivery::Dropped,
            "{kind:?}"
        );
    }
    let mut gap = message(MessageType::MsgAppend, 1, 2, term);
    gap.index = last;
    gap.log_term = term;
    entry.index = last + 2;
    gap.set_entries(vec![entry].into());
    assert_eq!(cluster.worker(2).message(GROUP, gap), Delivery::Dropped);
    cluster.settle();
    assert_eq!(cluster.leaders(), [1]);
    assert_eq!(cluster.status(1).last_index, last);
    assert_eq!(cluster.status(1).term, term);
}

#[test]
fn a_message_for_an_unknown_group_comes_back() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    let beat = message(MessageType::MsgHeartbeat, 1, 2, 5);
    cluster.worker(2).remove(GROUP);
    assert_eq!(
        cluster.worker(2).message(GROUP, beat.clone()),
        Delivery::UnknownGroup(beat)
    );
}

#[test]
fn an_empty_replica_takes_no_entries_from_index_one() {
    let mut cluster = Cluster::new(&[1], &[2]);
    cluster.settle();
    let mut entries = message(MessageType::MsgAppend, 1, 2, 2);
    let entry = Entry {
        index: 1,
        term: 2,
        ..Entry::default()
    };
    entries.set_entries(vec![entry].into());
    assert_eq!(cluster.worker(2).message(GROUP, entries), Delivery::Dropped);
}

#[test]
fn acknowledged_by_the_leader_alone_is_lost_with_it_and_that_is_told() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[]);
    cluster.elect(1);
    cluster.cut_off.insert(1);
    let answer = append(cluster.worker(1), GROUP, "a", Ack::Persisted);
    cluster.settle();
    assert_eq!(answer.get(), Some(Ok("a".to_owned())));
    cluster.tick(60);
    assert_eq!(cluster.status(1).role, Role::Candidate);
}

#[test]
fn a_refusal_from_an_earlier_term_still_tells_what_is_committed() {
    let mut cluster = Cluster::new(&[1, 2], &[]);
    cluster.cut_off.insert(2);
    let mut append = message(MessageType::MsgAppend, 2, 1, 4);
    (append.index, append.log_term, append.commit) = (1, 1, 2);
    let entries: Vec<Entry> = (2..=5)
        .map(|index| {
            let mut entry = Entry::default();
            (entry.index, entry.term) = (index, 4);
            entry
        })
        .collect();
    append.set_entries(entries.into());
    cluster.worker(1).message(GROUP, append);
    cluster.settle();
    // It stands in term 5, gets no vote, and asks again before it stands in term 6.
    cluster.tick(20);
    let grant = message(MessageType::MsgRequestPreVoteResponse, 2, 1, 5);
    cluster.worker(1).message(GROUP, grant);
    cluster.tick(20);
    let status = cluster.status(1);
    assert_eq!((status.term, status.commit), (5, 2));

    let mut refusal = message(MessageType::MsgRequestPreVoteResponse, 2, 1, 4);
    refusal.reject = true;
    (refusal.commit, refusal.commit_term) = (4, 4);
    cluster.worker(1).message(GROUP, refusal);
    assert_eq!(cluster.status(1).commit, 4);
}

#[test]
fn a_snapshot_from_before_a_replica_joined_is_not_sent_to_it() {
    let mut cluster = Cluster::new(&[1, 2, 3], &[4]);
    cluster.elect(1);
    cluster.cut_off.insert(3);
    for text in ["a", "b"] {
        cluster.append(1, text, 2);
        cluster.settle();
    }
    let (applied, state) = (cluster.status(1).applied, cluster.ledger(1).state());
    cluster
        .node(1)
        .disk
        .truncate(GROUP, applied - 1, &Default::default());
    // 3 is sent a snapshot, which stays where the log keeps it.
    cluster.cut_off.clear();
    cluster.tick(5);
    assert_eq!(cluster.ledger(3).restored, 1);
    assert_eq!(cluster.ledger(3).state(), state);
    cluster.change(1, &[(Learner, 4)]);
    cluster.tick(10);
    assert_eq!(cluster.ledger(4).commands(), ["a", "b"]);
}
