//! More connections than anybody needs, each up to something.

use super::client::Client;
use super::input::request;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use millrace_client::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use millrace_client::wire::messages::{BrokerId, FetchRequest, StrBytes, TopicName};
use millrace_client::wire::{ApiKey, encode_request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Of another client. On a busy machine a round takes long; what is not served at all takes for ever.
pub const PATIENCE: Duration = Duration::from_secs(90);

const CONNECTIONS: usize = 10_000;

/// What the broker and this test open besides.
const OTHER_FILES: u64 = 500;

/// Connections that are being opened at a time: the broker's queue of new ones is short, as Kafka's is.
const OPENING: usize = 40;

const TOPIC: &str = "flood";
const RECORD_BYTES: usize = 900_000;
const RECORDS: usize = 8;

/// Raises what this process and the broker that it starts may open; less than 10,000 where that is not allowed.
pub fn connections_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("a process may raise it to the hard limit");
    let files = limit
        .maximum
        .unwrap_or(u64::MAX)
        .saturating_sub(OTHER_FILES);
    let connections = usize::try_from(files)
        .unwrap_or(usize::MAX)
        .min(CONNECTIONS);
    if connections < CONNECTIONS {
        println!(
            "the limit of open files allows {connections} connections only, not {CONNECTIONS}"
        );
    }
    connections
}

/// What is there to be fetched.
pub async fn fill(client: &mut Client) {
    client.topic(TOPIC).await;
    client.append(TOPIC, RECORD_BYTES, RECORDS).await;
}

/// Opens them all, and returns them open.
pub async fn open(address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    let mut opening = FuturesUnordered::new();
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        opening.push(one(address, number));
        if opening.len() == OPENING {
            open.extend(opening.next().await.flatten());
        }
    }
    while let Some(socket) = opening.next().await {
        open.extend(socket);
    }
    open
}

async fn one(address: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    // What is sent to it and not read must not fill this machine's memory instead of the broker's.
    socket.set_recv_buffer_size(16 * 1024).ok()?;
    let stream = socket.connect(address).await.ok()?;
    send(&stream, &mischief(number)).await;
    Some(stream)
}

/// As much as is taken at once, and as can be in a moment: nobody waits for the broker here.
async fn send(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let ready = tokio::time::timeout(Duration::from_millis(100), stream.writable()).await;
        if ready.is_err() {
            return;
        }
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// What the connection of this number sends; nothing is ever read.
fn mischief(number: usize) -> Bytes {
    let announce = |length: i32, sent: usize| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.resize(4 + sent, 0);
        Bytes::from(bytes)
    };
    match number % 20 {
        // Nothing at all.
        0..5 => Bytes::new(),
        // A length and no more, half a small frame, and the beginnings of greater ones.
        5..7 => announce(1 << 20, 0),
        7..9 => announce(100, 50),
        9..11 => announce(1 << 20, 1_000),
        11..13 => announce(50_000, 5_000),
        13 => announce(1 << 20, 10_000),
        14 if number % 200 == 14 => announce(100 << 20, 100_000),
        // Requests whose answers are not read; of some more than the system keeps for them.
        19 if number % 200 == 19 => api_versions(5_000),
        19 if number % 200 == 39 => fetches(20),
        _ => api_versions(20),
    }
}

fn api_versions(count: usize) -> Bytes {
    request(ApiKey::ApiVersions, 0, &[]).repeat(count).into()
}

fn fetches(count: usize) -> Bytes {
    let mut partition = FetchPartition::default();
    partition.partition_max_bytes = 8 << 20;
    let mut topic = FetchTopic::default();
    topic.topic = TopicName(StrBytes::from_static_str(TOPIC));
    topic.partitions = vec![partition];
    let mut request = FetchRequest::default();
    request.replica_id = BrokerId(-1);
    request.max_bytes = 8 << 20;
    request.session_epoch = -1;
    request.topics = vec![topic];
    let frame = encode_request(1, None, 11, &request).expect("it can be written");
    frame.repeat(count).into()
}
