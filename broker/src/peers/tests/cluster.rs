//! Some brokers, and what their handlers heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::eraftpb::Message;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peers::{Address, Answer, BrokerId, Handler, Peers, Secrets, Settings};
use crate::raft::ports::{GroupId, PeerId};

/// How long a test waits for what must happen, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub const CLUSTER: &str = "mill";

#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Up(BrokerId, Bytes),
    Down(BrokerId),
    Pulsed(BrokerId, Bytes),
    Raft(BrokerId, Vec<(GroupId, Message)>),
    Note(BrokerId, u16, Bytes),
    Unreachable(BrokerId),
    Snapshot(GroupId, PeerId, bool),
}

/// Answers questions of kind `ECHO` at once, and keeps the others.
pub const ECHO: u16 = 1;

#[derive(Default)]
pub struct Recorder {
    pub about: Bytes,
    heard: Mutex<Vec<Heard>>,
    pub asked: Mutex<Vec<(BrokerId, Answer)>>,
}

impl Recorder {
    fn add(&self, heard: Heard) {
        self.heard
            .lock()
            .expect("no test panics with it")
            .push(heard);
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no test panics with it").clone()
    }

    pub fn ups_and_downs(&self) -> Vec<Heard> {
        let mut heard = self.heard();
        heard.retain(|heard| matches!(heard, Heard::Up(..) | Heard::Down(_)));
        heard
    }

    pub fn notes(&self) -> Vec<Bytes> {
        let heard = self.heard();
        heard
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Note(_, _, body) => Some(body),
                _ => None,
            })
            .collect()
    }

    pub fn raft_messages(&self) -> Vec<(GroupId, Message)> {
        let heard = self.heard();
        heard
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Raft(_, messages) => Some(messages),
                _ => None,
            })
            .flatten()
            .collect()
    }
}

impl Handler for Recorder {
    fn about(&self) -> Bytes {
        self.about.clone()
    }
    fn pulse(&self) -> Bytes {
        Bytes::from_static(b"beat")
    }
    fn up(&self, broker: BrokerId, about: Bytes) {
        self.add(Heard::Up(broker, about));
    }
    fn down(&self, broker: BrokerId) {
        self.add(Heard::Down(broker));
    }
    fn pulsed(&self, from: BrokerId, body: Bytes) {
        self.add(Heard::Pulsed(from, body));
    }
    fn raft(&self, from: BrokerId, messages: Vec<(GroupId, Message)>) {
        self.add(Heard::Raft(from, messages));
    }
    fn note(&self, from: BrokerId, kind: u16, body: Bytes) {
        self.add(Heard::Note(from, kind, body));
    }
    fn asked(&self, from: BrokerId, kind: u16, body: Bytes, answer: Answer) {
        match kind {
            ECHO => answer.send(body),
            _ => {
                let mut asked = self.asked.lock().expect("no test panics with it");
                asked.push((from, answer));
            }
        }
    }
    fn unreachable(&self, to: BrokerId) {
        self.add(Heard::Unreachable(to));
    }
    fn snapshot_sent(&self, group: GroupId, peer: PeerId, delivered: bool) {
        self.add(Heard::Snapshot(group, peer, delivered));
    }
}

/// Ends like a process: its connections break.
pub struct Broker {
    pub id: BrokerId,
    pub peers: Peers,
    pub recorder: Arc<Recorder>,
    pub at: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

pub fn secret(byte: u8) -> Vec<u8> {
    vec![byte; 32]
}

pub fn secrets(bytes: &[u8]) -> Secrets {
    Secrets::new(bytes.iter().map(|byte| secret(*byte)).collect()).expect("long enough")
}

/// Time-outs that a busy machine does not trip over.
pub fn settings(id: BrokerId) -> Settings {
    Settings {
        silence: Duration::from_secs(20),
        ..Settings::new(id, CLUSTER, secrets(&[1]))
    }
}

impl Broker {
    pub async fn start(settings: Settings) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Broker::start_at(settings, listener)
    }

    pub fn start_at(settings: Settings, listener: TcpListener) -> Broker {
        let at = listener.local_addr().expect("it is bound");
        let id = settings.broker;
        let recorder = Arc::new(Recorder {
            about: Bytes::from(format!("about {id}")),
            ..Recorder::default()
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let peers = Peers::start(
            settings,
            vec![listener],
            recorder.clone(),
            stop.clone(),
            &tasks,
        );
        Broker {
            id,
            peers,
            recorder,
            at,
            stop,
            tasks,
        }
    }

    pub fn know(&self, others: &[(BrokerId, SocketAddr)]) {
        let others: BTreeMap<_, _> = others
            .iter()
            .map(|(id, at)| (*id, vec![address(*at)]))
            .collect();
        self.peers.set_addresses(others);
    }

    pub async fn kill(self) {
        self.stop.cancel();
        self.tasks.close();
        within("its tasks end", self.tasks.wait()).await;
    }

    pub async fn until_up(&self, other: BrokerId) {
        until(&format!("{} sees {other} up", self.id), || {
            self.peers.is_up(other)
        })
        .await;
    }

    pub async fn until_heard(&self, what: &str, is_so: impl Fn(&Recorder) -> bool) {
        until(what, || is_so(&self.recorder)).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn address(at: SocketAddr) -> Address {
    Address {
        host: at.ip().to_string(),
        port: at.port(),
    }
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain until {what}"),
    }
}

/// Two brokers, 1 and 2, that know each other and are up.
pub async fn pair() -> (Broker, Broker) {
    pair_of(settings(1), settings(2)).await
}

pub async fn pair_of(one: Settings, two: Settings) -> (Broker, Broker) {
    let (one, two) = (Broker::start(one).await, Broker::start(two).await);
    one.know(&[(two.id, two.at)]);
    two.know(&[(one.id, one.at)]);
    one.until_up(two.id).await;
    two.until_up(one.id).await;
    (one, two)
}
