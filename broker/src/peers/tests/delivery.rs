//! What is posted arrives, or somebody hears that it does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::*;
use crate::peers::handshake::accept;
use crate::peers::hello::Hello;
use crate::peers::reader::Reader;
use crate::peers::{AskError, Courier, Kind, Lane, Settings};
use crate::raft::ports::{GroupId, Transport as _};

const GROUP: GroupId = GroupId(5);
/// The replica of `GROUP` on broker 2.
const PEER: u64 = 22;

fn message(kind: MessageType, index: u64, bytes: usize) -> Message {
    let mut message = Message::default();
    message.set_msg_type(kind);
    message.to = PEER;
    message.from = 11;
    message.term = 3;
    message.index = index;
    if bytes > 0 {
        let mut entry = Entry::default();
        entry.data = vec![index as u8; bytes].into();
        message.entries = vec![entry].into();
    }
    message
}

fn append(index: u64, bytes: usize) -> Message {
    message(MessageType::MsgAppend, index, bytes)
}

fn courier(broker: &Broker, lane: Lane) -> Courier {
    let mut courier = broker.peers.transport(lane);
    courier.set_route(GROUP, [(11, 1), (PEER, 2)].into_iter());
    courier
}

#[tokio::test]
async fn raft_messages_arrive_whole_and_in_order() {
    let (one, two) = pair().await;
    let mut courier = courier(&one, Lane::Bulk);
    let sizes = [0, 10, 5_000, 70_000, 300_000, 0, 9_000, 2_000_000];
    let sent: Vec<Message> = (0..200)
        .map(|index| append(index, sizes[index as usize % sizes.len()] / 4))
        .collect();
    for some in sent.chunks(7) {
        courier.send(GROUP, some.to_vec());
        courier.flush();
        // The queue is bounded, and this is not about that.
        until("there is room", || {
            one.peers.stats()[0].queued_bytes[1] < 8 << 20
        })
        .await;
    }
    two.until_heard("all have come", |it| it.raft_messages().len() >= sent.len())
        .await;
    let expected: Vec<_> = sent.into_iter().map(|message| (GROUP, message)).collect();
    assert!(two.recorder.raft_messages() == expected);
    assert_eq!(one.peers.stats()[0].dropped_messages, 0);
}

#[tokio::test]
async fn nothing_leaves_before_it_is_flushed() {
    let (one, two) = pair().await;
    let mut courier = courier(&one, Lane::Urgent);
    courier.send(GROUP, vec![append(1, 10)]);
    assert!(one.peers.post_note(2, 1, Bytes::new()));
    two.until_heard("the note comes", |it| !it.notes().is_empty())
        .await;
    assert_eq!(two.recorder.raft_messages(), []);
    courier.flush();
    two.until_heard("the message comes", |it| it.raft_messages().len() == 1)
        .await;
}

#[tokio::test]
async fn the_fate_of_a_snapshot_is_told() {
    let (one, two) = pair().await;
    let mut courier = courier(&one, Lane::Bulk);
    let snapshot = || vec![message(MessageType::MsgSnapshot, 1, 0)];
    let told = |delivered| Heard::Snapshot(GROUP, PEER, delivered);
    courier.send(GROUP, snapshot());
    courier.flush();
    one.until_heard("it is sent", |it| it.heard().contains(&told(true)))
        .await;

    let undelivered = |recorder: &Recorder| {
        let heard = recorder.heard();
        heard.iter().filter(|heard| **heard == told(false)).count()
    };
    courier.forget(GROUP);
    courier.send(GROUP, snapshot());
    assert_eq!(undelivered(&one.recorder), 1, "nobody knows where it is");

    two.kill().await;
    until("two is gone", || one.peers.up().is_empty()).await;
    courier.set_route(GROUP, [(PEER, 2)].into_iter());
    until("there is no link", || {
        courier.send(GROUP, snapshot());
        courier.flush();
        undelivered(&one.recorder) > 1
    })
    .await;
    assert!(one.recorder.heard().contains(&Heard::Unreachable(2)));
}

#[tokio::test]
async fn a_message_longer_than_a_frame_is_dropped_and_the_link_stays() {
    let (one, two) = pair_of(
        Settings {
            max_frame_bytes: 100_000,
            ..settings(1)
        },
        settings(2),
    )
    .await;
    let mut courier = courier(&one, Lane::Bulk);
    courier.send(
        GROUP,
        vec![append(1, 200_000), append(2, 99_000), append(3, 99_000)],
    );
    courier.flush();
    two.until_heard("the others come", |it| it.raft_messages().len() == 2)
        .await;
    assert_eq!(one.peers.stats()[0].dropped_messages, 1);
    assert!(one.recorder.heard().contains(&Heard::Unreachable(2)));
}

/// A broker 2 that listens on its urgent lane, and never on its bulk lane.
struct HardOfHearing {
    at: std::net::SocketAddr,
    heard: Arc<Mutex<Vec<Kind>>>,
    bulk: Arc<Mutex<Vec<TcpStream>>>,
}

impl HardOfHearing {
    async fn start() -> HardOfHearing {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let (heard, bulk) = (Arc::default(), Arc::default());
        let it = HardOfHearing { at, heard, bulk };
        let (heard, bulk) = (it.heard.clone(), it.bulk.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(HardOfHearing::hear(stream, heard.clone(), bulk.clone()));
            }
        });
        it
    }

    async fn hear(
        mut stream: TcpStream,
        heard: Arc<Mutex<Vec<Kind>>>,
        bulk: Arc<Mutex<Vec<TcpStream>>>,
    ) {
        let secrets = secrets(&[1]);
        let claim = accept(&mut stream, &secrets).await.expect("it is broker 1");
        let hello = Hello {
            broker: 2,
            errand: None,
            ..claim.hello.clone()
        };
        let hello = Hello {
            instance: hello.instance + 1,
            ..hello
        };
        let lane = claim.hello.errand.expect("it dialed").lane;
        let sealer = claim
            .welcome(&mut stream, &hello)
            .await
            .expect("it listens");
        if lane == Lane::Bulk {
            bulk.lock().expect("sound").push(stream);
            return;
        }
        let mut reader = Reader::new(stream, sealer, 1 << 20);
        while let Ok(Some(frame)) = reader.next(PATIENCE).await {
            heard.lock().expect("sound").push(frame.kind);
        }
    }

    fn count(&self, kind: Kind) -> usize {
        let heard = self.heard.lock().expect("sound");
        heard.iter().filter(|heard| **heard == kind).count()
    }

    fn bulk_links(&self) -> usize {
        self.bulk.lock().expect("sound").len()
    }
}

#[tokio::test]
async fn what_is_urgent_does_not_wait_for_bulk_that_nobody_takes() {
    let other = HardOfHearing::start().await;
    let one = Broker::start(Settings {
        queue_bytes: [1 << 20, 1 << 20],
        silence: PATIENCE * 2,
        ..settings(1)
    })
    .await;
    one.know(&[(2, other.at)]);
    until("both lanes are there", || {
        other.bulk_links() == 1 && other.count(Kind::Pulse) > 0
    })
    .await;
    let mut bulk = courier(&one, Lane::Bulk);
    let stats = || one.peers.stats()[0].clone();
    until("the bulk lane is full", || {
        bulk_send(&one, 64 << 10);
        stats().dropped_messages > 10 && stats().queued_bytes[1] > 900_000
    })
    .await;
    bulk.send(GROUP, vec![message(MessageType::MsgSnapshot, 9, 64 << 10)]);
    bulk.flush();
    let lost = Heard::Snapshot(GROUP, PEER, false);
    assert!(one.recorder.heard().contains(&lost), "there is no room");

    assert!(one.peers.post_note(2, 1, Bytes::new()));
    let mut urgent = courier(&one, Lane::Urgent);
    urgent.send(GROUP, vec![append(1, 100)]);
    urgent.flush();
    until("both arrive", || {
        other.count(Kind::Note) == 1 && other.count(Kind::Raft) == 1
    })
    .await;
    assert!(stats().queued_bytes[1] > 900_000, "bulk waits");
}

fn bulk_send(one: &Broker, bytes: usize) {
    let mut courier = courier(one, Lane::Bulk);
    courier.send(GROUP, vec![append(1, bytes)]);
    courier.flush();
}

#[tokio::test]
async fn a_link_that_takes_nothing_is_dropped_with_what_waits_for_it() {
    let other = HardOfHearing::start().await;
    let one = Broker::start(Settings {
        silence: Duration::from_secs(2),
        ..settings(1)
    })
    .await;
    one.know(&[(2, other.at)]);
    until("the bulk lane is there", || other.bulk_links() == 1).await;
    let stats = || one.peers.stats()[0].clone();
    until("much waits", || {
        bulk_send(&one, 256 << 10);
        stats().queued_bytes[1] > 8 << 20
    })
    .await;
    until("it dials anew", || other.bulk_links() > 1).await;
    assert!(
        stats().queued_bytes[1] < 8 << 20,
        "what waited is thrown away"
    );
    assert!(stats().dropped_messages >= 32, "{:?}", stats());
    assert!(one.recorder.heard().contains(&Heard::Unreachable(2)));
}

#[tokio::test]
async fn a_question_is_answered() {
    let (one, two) = pair().await;
    for (from, to) in [(&one, &two), (&two, &one)] {
        let answer = from
            .peers
            .ask(to.id, ECHO, Bytes::from_static(b"ping"), PATIENCE)
            .await;
        assert_eq!(answer, Ok(Bytes::from_static(b"ping")));
    }
    let nobody = one.peers.ask(9, ECHO, Bytes::new(), PATIENCE).await;
    assert_eq!(nobody, Err(AskError::NotConnected));
    let long = Bytes::from(vec![0; 24 << 20]);
    let too_long = one.peers.ask(2, ECHO, long, PATIENCE).await;
    assert_eq!(too_long, Err(AskError::TooLong));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_nobodys() {
    let (one, two) = pair().await;
    const LATER: u16 = 2;
    let question = one
        .peers
        .ask(2, LATER, Bytes::new(), Duration::from_millis(1));
    assert_eq!(question.await, Err(AskError::TimedOut));
    two.until_heard("it was asked", |it| {
        !it.asked.lock().expect("sound").is_empty()
    })
    .await;
    let (from, answer) = two
        .recorder
        .asked
        .lock()
        .expect("sound")
        .pop()
        .expect("it was asked");
    assert_eq!(from, 1);
    answer.send(Bytes::from_static(b"late"));
    let next = one
        .peers
        .ask(2, ECHO, Bytes::from_static(b"next"), PATIENCE)
        .await;
    assert_eq!(next, Ok(Bytes::from_static(b"next")));
}

#[tokio::test]
async fn questions_are_bounded_and_lost_when_the_other_side_goes() {
    let (one, two) = pair().await;
    const NEVER: u16 = 2;
    let asks: Vec<_> = (0..1_030)
        .map(|_| {
            let peers = one.peers.clone();
            tokio::spawn(async move { peers.ask(2, NEVER, Bytes::new(), PATIENCE * 2).await })
        })
        .collect();
    two.until_heard("all are asked", |it| {
        it.asked.lock().expect("sound").len() == 1_024
    })
    .await;
    two.kill().await;
    let mut answers = Vec::new();
    for ask in asks {
        answers.push(within("all end", ask).await.expect("it does not panic"));
    }
    let count = |error| answers.iter().filter(|it| **it == Err(error)).count();
    assert_eq!((count(AskError::Lost), count(AskError::Busy)), (1_024, 6));
}
