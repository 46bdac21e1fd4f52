//! The thread around the worker.

use std::sync::mpsc;
use std::time::Duration;

use super::ledger::{Command, Ledger, Refused};
use super::memory::Disk;
use super::network::{GROUP, Wire, open};
use crate::raft::ports::{Ack, GroupId, LogStore, Write};
use crate::raft::runtime::{Handle, QueueFull, Runtime, RuntimeSettings};
use crate::raft::{Failure, Reply, Settings, Worker};

const DEADLINE: Duration = Duration::from_secs(10);

/// A disk that is done at once, and says so through the queue, as a log's thread would.
struct Prompt {
    disk: Disk,
    handle: Handle<Prompt, Ledger, Wire>,
}

impl LogStore for Prompt {
    type Log = <Disk as LogStore>::Log;

    fn submit(&mut self, token: u64, writes: Vec<(GroupId, Write)>) {
        self.disk.submit(token, writes);
        assert_eq!(self.disk.sync_one(), Some(token));
        self.handle.persisted(token, Ok::<(), String>(()));
    }
}

fn spawn(max_queued_events: usize) -> Runtime<Prompt, Ledger, Wire> {
    let settings = RuntimeSettings {
        max_queued_events,
        tick: Duration::from_millis(5),
        ..RuntimeSettings::default()
    };
    let make = |handle: Handle<Prompt, Ledger, Wire>| {
        let disk = Disk::default();
        disk.bootstrap(GROUP, &[1], &[]);
        let store = Prompt {
            disk: disk.clone(),
            handle,
        };
        let mut worker = Worker::new(Settings::default(), store, Wire::default());
        let image = disk.durable(GROUP);
        let config = crate::raft::GroupConfig {
            group: GROUP,
            peer: 1,
            applied: image.base,
            membership_index: image.membership.0,
            seed: 0,
        };
        worker
            .add(&config, disk.open(GROUP), Ledger::default())
            .unwrap();
        worker
    };
    Runtime::spawn(&settings, make, |_, _| {}).unwrap()
}

type Answers = mpsc::Receiver<Result<String, Failure<Refused>>>;

fn reply() -> (Reply<String, Refused>, Answers) {
    let (sender, answers) = mpsc::channel();
    let reply = Reply::new(move |result| {
        let _ = sender.send(result);
    });
    (reply, answers)
}

#[test]
fn commands_are_answered_through_the_thread() {
    let runtime = spawn(1000);
    let handle = runtime.handle();
    let answers: Vec<Answers> = (0..100)
        .map(|n| {
            let (reply, answers) = reply();
            let ack = Ack::Committed { voters: 1 };
            handle.command(GROUP, Command::Append(format!("c{n}")), ack, reply);
            answers
        })
        .collect();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.recv_timeout(DEADLINE).unwrap(), Ok(format!("c{n}")));
    }
    runtime.stop().unwrap();
    let (late, answer) = reply();
    handle.command(GROUP, Command::Done, Ack::Proposed, late);
    assert_eq!(
        answer.recv_timeout(DEADLINE).unwrap(),
        Err(Failure::Stopped)
    );
}

#[test]
fn a_full_queue_refuses_but_takes_completions() {
    let runtime = spawn(3);
    let handle = runtime.handle();
    // When this is answered, nothing is in the queue any more.
    let (first, answer) = reply();
    let ack = Ack::Committed { voters: 1 };
    handle.command(GROUP, Command::Append("first".to_owned()), ack, first);
    assert!(answer.recv_timeout(DEADLINE).unwrap().is_ok());
    // Holds the worker up, so that the queue fills behind it.
    let (release, held) = mpsc::channel::<()>();
    let (started, is_held) = mpsc::channel();
    handle
        .call(move |_| {
            started.send(()).unwrap();
            let _ = held.recv_timeout(DEADLINE);
        })
        .unwrap();
    is_held.recv_timeout(DEADLINE).unwrap();
    let answers: Vec<Answers> = (0..6)
        .map(|_| {
            let (reply, answers) = reply();
            handle.command(GROUP, Command::Done, Ack::Proposed, reply);
            answers
        })
        .collect();
    for answer in &answers[3..] {
        assert_eq!(
            answer.recv_timeout(DEADLINE).unwrap(),
            Err(Failure::Overloaded)
        );
    }
    assert_eq!(handle.message(GROUP, Default::default()), Err(QueueFull));
    handle.persisted(77, Ok::<(), String>(()));
    release.send(()).unwrap();
    for answer in &answers[..3] {
        assert_eq!(
            answer.recv_timeout(DEADLINE).unwrap(),
            Ok("done".to_owned())
        );
    }
    // The completion that nobody asked for arrived: the worker trusts nothing any more.
    let (late, answer) = reply();
    handle.command(GROUP, Command::Done, Ack::Proposed, late);
    assert!(matches!(
        answer.recv_timeout(DEADLINE).unwrap(),
        Err(Failure::Faulty(_))
    ));
    runtime.stop().unwrap();
}

#[test]
fn whoever_waits_is_answered_when_the_worker_stops() {
    let runtime = spawn(100);
    let handle = runtime.handle();
    let (reply, answer) = reply();
    // The queue still holds it when the worker stops.
    let (started, is_held) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    handle
        .call(move |_| {
            started.send(()).unwrap();
            let _ = held.recv_timeout(DEADLINE);
        })
        .unwrap();
    is_held.recv_timeout(DEADLINE).unwrap();
    drop(runtime);
    handle.command(GROUP, Command::Done, Ack::Proposed, reply);
    release.send(()).unwrap();
    assert_eq!(
        answer.recv_timeout(DEADLINE).unwrap(),
        Err(Failure::Stopped)
    );
}

#[test]
fn a_message_for_an_unknown_group_is_handed_over() {
    let (sender, unknown) = mpsc::channel();
    let make = |_: Handle<Disk, Ledger, Wire>| {
        let disk = Disk::default();
        disk.bootstrap(GROUP, &[1], &[]);
        let mut worker = Worker::new(Settings::default(), disk.clone(), Wire::default());
        open(&mut worker, &disk, GROUP, 1);
        worker
    };
    let runtime = Runtime::spawn(&RuntimeSettings::default(), make, move |group, _| {
        sender.send(group).unwrap();
    })
    .unwrap();
    let handle = runtime.handle();
    handle.message(GroupId(99), Default::default()).unwrap();
    assert_eq!(unknown.recv_timeout(DEADLINE).unwrap(), GroupId(99));
    runtime.stop().unwrap();
}
