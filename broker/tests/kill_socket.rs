//! `kill -9` of the broker under an idempotent producer that reaches it through a socket: nothing acknowledged is lost,
//! nothing is there twice, and order is kept. `MILLRACE_TEST_FULL=1` makes it 200 rounds.

#[path = "support/server.rs"]
mod server;

use bytes::Bytes;
use millrace_client::address::Address;
use millrace_client::admin::NewTopic;
use millrace_client::consumer::{Consumer, ConsumerConfig, Start};
use millrace_client::producer::{Producer, ProducerConfig, ProducerRecord};
use millrace_client::{Client, ClientConfig, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use server::ServerProcess;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROUNDS: usize = 10;
const ROUNDS_FULL: usize = 200;

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 3;

/// What takes longer has failed: deliveries wait for the broker to come back, not for the producer to give up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged: by partition and offset, the number of the record.
type Acknowledged = Arc<Mutex<BTreeMap<(i32, i64), u64>>>;

/// The settings of a broker by itself.
fn alone(port: u16) -> String {
    format!("node.id=1\nlisteners=PLAINTEXT://127.0.0.1:{port}\n")
}

fn client(address: SocketAddr) -> Client {
    let address = Address::new(address.ip().to_string(), address.port());
    let mut config = ClientConfig::new(vec![address]);
    // The broker is back within a moment.
    config.retry_backoff = Duration::from_millis(5);
    config.retry_backoff_max = Duration::from_millis(50);
    Client::new(config)
}

async fn create_topic(client: &Client) {
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        assignment: Vec::new(),
        configs: Vec::new(),
    };
    let made = client.create_topics(&[topic], false).await;
    made.expect("an answer").remove(0).expect("a topic");
}

/// Sends numbers, one after another, to the partitions in turn, until told to stop; returns how many. Each must be acknowledged.
async fn produce(client: Client, acknowledged: Acknowledged, stop: Arc<AtomicBool>) -> u64 {
    let config = ProducerConfig {
        linger: Duration::from_millis(1),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(client, config).expect("a producer");
    let mut deliveries = tokio::task::JoinSet::new();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let partition = (number % PARTITIONS as u64) as i32;
        let mut record = ProducerRecord::new(TOPIC, Bytes::from(number.to_string()));
        record.partition = Some(partition);
        let delivery = producer.send(record).await.expect("it is taken");
        let acknowledged = acknowledged.clone();
        deliveries.spawn(async move {
            let at = delivery.wait().await;
            let at = at.unwrap_or_else(|error| panic!("record {number} is given up: {error}"));
            assert_eq!(at.partition.partition, partition);
            // All that was sent before to this partition is there before it.
            let expected = (number / PARTITIONS as u64) as i64;
            assert_eq!(
                at.offset, expected,
                "record {number} of partition {partition}"
            );
            let mut acknowledged = acknowledged.lock().expect("nobody panicked");
            acknowledged.insert((partition, at.offset), number);
        });
        number += 1;
        while let Some(done) = deliveries.try_join_next() {
            done.expect("it was delivered");
        }
        // Many requests, and few records: it is requests that are torn.
        if number.is_multiple_of(20) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    producer.close().await;
    while let Some(done) = deliveries.join_next().await {
        done.expect("it was delivered");
    }
    number
}

/// Reads on, and checks that offsets are dense and each partition's numbers ascend, none left out.
struct Reader {
    next_offset: [i64; PARTITIONS as usize],
    next_number: [u64; PARTITIONS as usize],
}

impl Reader {
    fn new() -> Reader {
        Reader {
            next_offset: [0; PARTITIONS as usize],
            next_number: std::array::from_fn(|partition| partition as u64),
        }
    }

    /// Reads until `upto` (by partition, the offset behind the last) is there, checking each record.
    async fn read(
        &mut self,
        client: &Client,
        upto: [i64; PARTITIONS as usize],
        known: &Acknowledged,
    ) {
        let mut consumer = Consumer::new(client.clone(), ConsumerConfig::default());
        let from = (0..PARTITIONS).map(|partition| {
            let start = Start::Offset(self.next_offset[partition as usize]);
            (TopicPartition::new(TOPIC, partition), start)
        });
        consumer.assign(from.collect::<Vec<_>>());
        let deadline = Instant::now() + PATIENCE;
        while (0..upto.len()).any(|at| self.next_offset[at] < upto[at]) {
            assert!(
                Instant::now() < deadline,
                "waited {PATIENCE:?} to read up to {upto:?}, and came to {:?}",
                self.next_offset
            );
            for record in consumer
                .poll(Duration::from_millis(100))
                .await
                .unwrap_or_default()
            {
                let at = record.partition as usize;
                let value = record.value.expect("a value");
                let number: u64 = std::str::from_utf8(&value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .expect("a number");
                let place = format!("partition {at} offset {}", record.offset);
                assert_eq!(
                    record.offset, self.next_offset[at],
                    "{place}: offsets are dense"
                );
                assert_eq!(
                    number, self.next_number[at],
                    "{place}: nothing lost, twice or moved"
                );
                let known = known.lock().expect("nobody panicked");
                if let Some(acknowledged) = known.get(&(record.partition, record.offset)) {
                    assert_eq!(*acknowledged, number, "{place} was acknowledged as another");
                }
                self.next_offset[at] += 1;
                self.next_number[at] += PARTITIONS as u64;
            }
        }
    }
}

/// By partition, the offset behind the last that was acknowledged.
fn ends(acknowledged: &Acknowledged) -> [i64; PARTITIONS as usize] {
    let mut ends = [0; PARTITIONS as usize];
    for (partition, offset) in acknowledged.lock().expect("nobody panicked").keys() {
        let end = &mut ends[*partition as usize];
        *end = (*end).max(offset + 1);
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_there_once_and_in_order() {
    let seed = match std::env::var("MILLRACE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => rand::random(),
    };
    let rounds = match std::env::var("MILLRACE_TEST_FULL") {
        Ok(full) if full == "1" => ROUNDS_FULL,
        _ => ROUNDS,
    };
    println!("{rounds} rounds of seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a folder");
    let mut server = ServerProcess::start(directory.path(), &alone(0));
    let port = server.address.port();
    let client = client(server.address);
    create_topic(&client).await;

    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(client.clone(), acknowledged.clone(), stop.clone()));
    let mut reader = Reader::new();
    for round in 0..rounds {
        let before = acknowledged.lock().expect("nobody panicked").len();
        // A round in which nothing is acknowledged would prove nothing.
        let deadline = Instant::now() + PATIENCE;
        while acknowledged.lock().expect("nobody panicked").len() < before + 50 {
            assert!(
                Instant::now() < deadline && !producing.is_finished(),
                "round {round}: waited for 50 acknowledgements more than {before}: {}",
                server.log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..50_000))).await;
        drop(server);
        let promised = ends(&acknowledged);
        let path = directory.path().to_owned();
        let start = move || ServerProcess::start(&path, &alone(port));
        server = tokio::task::spawn_blocking(start).await.expect("it starts");
        reader.read(&client, promised, &acknowledged).await;
    }
    stop.store(true, Ordering::Relaxed);
    let sent = producing.await.expect("everything is delivered");
    let all = acknowledged.lock().expect("nobody panicked").len() as u64;
    assert_eq!(all, sent, "what was sent was acknowledged");
    // Once more from the beginning: the tail of a round is not all that a kill may take.
    let mut again = Reader::new();
    again
        .read(&client, ends(&acknowledged), &acknowledged)
        .await;
    assert_eq!(
        again.next_offset.iter().sum::<i64>() as u64,
        sent,
        "and nothing more"
    );
    println!("{rounds} kills, {sent} records acknowledged, each there once and in order");
    assert!(server.terminate().success());
}
