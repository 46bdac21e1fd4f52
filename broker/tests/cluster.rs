//! Three brokers as processes of their own, which are killed and ended one after the other under an idempotent producer: nothing
//! acknowledged is lost, nothing is there twice, and order is kept. `MILLRACE_TEST_FULL=1` makes it 60 rounds.

#[path = "support/server.rs"]
mod server;

use bytes::Bytes;
use millrace_client::address::Address;
use millrace_client::admin::NewTopic;
use millrace_client::consumer::{Consumer, ConsumerConfig, Start};
use millrace_client::producer::{Producer, ProducerConfig, ProducerRecord};
use millrace_client::{Client, ClientConfig, TopicPartition};
use millrace_wire::meta_properties::{MetaProperties, draw_replica};
use millrace_wire::uuid;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use server::ServerProcess;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROUNDS: usize = 6;
const ROUNDS_FULL: usize = 60;

const TOPIC: &str = "kept";
const PARTITIONS: i32 = 3;
const BROKERS: usize = 3;

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was acknowledged: by partition and offset, the number of the record.
type Acknowledged = Arc<Mutex<BTreeMap<(i32, i64), u64>>>;

/// One that nobody has, below those that the system gives to whoever asks for any; each once.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 500) as u16 * 20;
    loop {
        let at = start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", 21_000 + at)).is_ok() {
            return 21_000 + at;
        }
    }
}

struct Rig {
    dirs: Vec<TempDir>,
    settings: Vec<String>,
    clients: Vec<u16>,
}

impl Rig {
    /// Formatted for one cluster each where `apart`.
    fn new(apart: bool) -> Rig {
        let ports: Vec<u16> = (0..2 * BROKERS).map(|_| free_port()).collect();
        let port = |at: usize| ports[at];
        let clients: Vec<u16> = (0..BROKERS).map(port).collect();
        let voters = (0..BROKERS).map(|n| format!("{n}@127.0.0.1:{}", port(BROKERS + n)));
        let voters = voters.collect::<Vec<_>>().join(",");
        let dirs: Vec<TempDir> = (0..BROKERS)
            .map(|_| tempfile::tempdir().expect("a folder"))
            .collect();
        let secret = dirs[0].path().join("peer.secret");
        std::fs::write(&secret, "no more than a test's secret").expect("written");
        let settings = (0..BROKERS).map(|n| {
            format!(
                "node.id={n}\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n\
                 listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}\n\
                 controller.quorum.voters={voters}\nmin.insync.replicas=2\nmillrace.peer.secret.files={}\n",
                clients[n],
                port(BROKERS + n),
                secret.display()
            )
        });
        let rig = Rig {
            settings: settings.collect(),
            dirs,
            clients: clients.clone(),
        };
        let shared = uuid::to_text(uuid::random());
        for n in 0..BROKERS {
            rig.format(
                n,
                if apart {
                    uuid::to_text(uuid::random())
                } else {
                    shared.clone()
                },
            );
        }
        rig
    }

    fn format(&self, n: usize, cluster_id: String) {
        let meta = MetaProperties {
            cluster_id,
            node_id: n as i32,
            directory_id: uuid::to_text(uuid::random()),
            metadata_replica: Some(draw_replica()),
            initial_controllers: None,
        };
        meta.write(&self.dirs[n].path().join("data"))
            .expect("formatted");
    }

    /// Its disk is a new one.
    fn clear(&self, n: usize) {
        let data = self.dirs[n].path().join("data");
        let meta = MetaProperties::read(&data)
            .expect("it can be read")
            .expect("it is there");
        std::fs::remove_dir_all(&data).expect("it is removed");
        self.format(n, meta.cluster_id);
    }

    fn start(&self, n: usize) -> ServerProcess {
        ServerProcess::start(self.dirs[n].path(), &self.settings[n])
    }

    fn start_all(&self) -> Vec<Option<ServerProcess>> {
        std::thread::scope(|scope| {
            let starting: Vec<_> = (0..BROKERS)
                .map(|n| scope.spawn(move || self.start(n)))
                .collect();
            let started = starting
                .into_iter()
                .map(|one| Some(one.join().expect("it starts")));
            started.collect()
        })
    }

    fn client(&self) -> Client {
        let addresses = self.clients.iter();
        let addresses = addresses.map(|port| Address::new("127.0.0.1".to_owned(), *port));
        let mut config = ClientConfig::new(addresses.collect());
        config.retry_backoff = Duration::from_millis(5);
        config.retry_backoff_max = Duration::from_millis(50);
        Client::new(config)
    }
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
            let mut acknowledged = acknowledged.lock().expect("nobody panicked");
            acknowledged.insert((at.partition.partition, at.offset), number);
        });
        number += 1;
        while let Some(done) = deliveries.try_join_next() {
            done.expect("it was delivered");
        }
        if number.is_multiple_of(10) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    producer.close().await;
    while let Some(done) = deliveries.join_next().await {
        done.expect("it was delivered");
    }
    number
}

/// Returns when every replica of every partition is in sync.
async fn all_in_sync(client: &Client) {
    // What was known of the replicas that are lost is corrected within half a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let described = client.describe_topics(&[TOPIC.to_owned()], 100).await;
        let lacking = match described {
            Ok(topics) => {
                let partitions = topics.iter().flat_map(|topic| &topic.partitions);
                partitions
                    .filter(|partition| partition.in_sync.len() < BROKERS)
                    .count()
            }
            Err(_) => usize::MAX,
        };
        if lacking == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{lacking} partitions are not in sync"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All numbers, by partition, as a consumer reads them.
async fn read_all(client: &Client, count: u64) -> Vec<Vec<u64>> {
    let mut consumer = Consumer::new(client.clone(), ConsumerConfig::default());
    let from = (0..PARTITIONS).map(|at| (TopicPartition::new(TOPIC, at), Start::Offset(0)));
    consumer.assign(from.collect::<Vec<_>>());
    let mut found = vec![Vec::new(); PARTITIONS as usize];
    let deadline = Instant::now() + PATIENCE;
    while (found.iter().map(Vec::len).sum::<usize>() as u64) < count {
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} to read {count} records, and found {:?}",
            found.iter().map(Vec::len).collect::<Vec<_>>()
        );
        for record in consumer
            .poll(Duration::from_millis(100))
            .await
            .unwrap_or_default()
        {
            let at: &mut Vec<u64> = &mut found[record.partition as usize];
            assert_eq!(record.offset, at.len() as i64, "offsets are dense");
            let value = record.value.expect("a value");
            let number = std::str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse().ok());
            at.push(number.expect("a number"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_and_in_order_whichever_broker_ends() {
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
    let rig = Rig::new(false);
    let mut brokers = tokio::task::block_in_place(|| rig.start_all());
    let client = rig.client();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(BROKERS as i16),
        assignment: Vec::new(),
        configs: Vec::new(),
    };
    let made = client.create_topics(&[topic], false).await;
    made.expect("an answer").remove(0).expect("a topic");

    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(client.clone(), acknowledged.clone(), stop.clone()));
    for round in 0..rounds {
        let victim = random.random_range(0..BROKERS);
        let more = async |what: &str| {
            let before = acknowledged.lock().expect("nobody panicked").len();
            let deadline = Instant::now() + PATIENCE;
            while acknowledged.lock().expect("nobody panicked").len() < before + 50 {
                assert!(
                    Instant::now() < deadline,
                    "round {round}: no progress {what} broker {victim}"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        more("before the end of").await;
        let broker = brokers[victim].take().expect("it runs");
        // The last round's is always one that loses its disk.
        let loses_disk = round + 1 == rounds || random.random_bool(0.2);
        match random.random_bool(0.3) {
            true => {
                let status = tokio::task::block_in_place(|| broker.terminate());
                assert!(status.success(), "broker {victim} ends in order: {status}");
            }
            false => drop(broker),
        }
        // Two of three are enough.
        more("without").await;
        if loses_disk {
            rig.clear(victim);
        }
        brokers[victim] = Some(tokio::task::block_in_place(|| rig.start(victim)));
        more("after the return of").await;
        if loses_disk {
            // Another one's loss would leave one that has it all.
            all_in_sync(&client).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = producing.await.expect("the producer ends well");
    let found = read_all(&client, sent).await;
    for (at, numbers) in found.iter().enumerate() {
        let expected = (0..sent).filter(|number| number % PARTITIONS as u64 == at as u64);
        let expected: Vec<u64> = expected.collect();
        assert_eq!(
            *numbers, expected,
            "partition {at}: nothing lost, twice or moved"
        );
    }
    for ((partition, offset), number) in acknowledged.lock().expect("nobody panicked").iter() {
        let there = found[*partition as usize].get(*offset as usize);
        assert_eq!(there, Some(number), "acknowledged at {partition}, {offset}");
    }
    println!("{sent} records");
}

/// Asks for new replicas of every partition, and returns when they have taken the places of the old ones.
async fn reassign(client: &Client, replicas: [&[i32]; PARTITIONS as usize]) {
    let at = |index: usize| TopicPartition::new(TOPIC, index as i32);
    let targets = replicas.iter().enumerate();
    let targets: BTreeMap<_, _> = targets
        .map(|(index, replicas)| (at(index), Some(replicas.to_vec())))
        .collect();
    let asked = client
        .alter_reassignments(&targets, true)
        .await
        .expect("an answer");
    for (partition, result) in asked {
        result.unwrap_or_else(|error| panic!("{partition}: {error}"));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let under_way = client.list_reassignments().await;
        if under_way.as_ref().is_ok_and(BTreeMap::is_empty) {
            break;
        }
        assert!(Instant::now() < deadline, "still under way: {under_way:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let described = client
        .describe_topics(&[TOPIC.to_owned()], 100)
        .await
        .expect("an answer");
    for (partition, wanted) in described[0].partitions.iter().zip(replicas) {
        assert_eq!(partition.replicas, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_go_to_other_brokers_while_they_are_written_to() {
    let rig = Rig::new(false);
    let mut brokers = tokio::task::block_in_place(|| rig.start_all());
    let client = rig.client();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: None,
        replication_factor: None,
        assignment: vec![vec![0], vec![1], vec![2]],
        configs: Vec::new(),
    };
    let made = client.create_topics(&[topic], false).await;
    made.expect("an answer").remove(0).expect("a topic");
    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(client.clone(), acknowledged.clone(), stop.clone()));
    reassign(&client, [&[1], &[2], &[0]]).await;
    reassign(&client, [&[1, 2, 0], &[0, 1, 2], &[2, 0, 1]]).await;
    all_in_sync(&client).await;
    // What one broker had alone three have now.
    drop(brokers[1].take());
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let sent = producing.await.expect("the producer ends well");
    let found = read_all(&client, sent).await;
    for (at, numbers) in found.iter().enumerate() {
        let expected = (0..sent).filter(|number| number % PARTITIONS as u64 == at as u64);
        let expected: Vec<u64> = expected.collect();
        assert_eq!(
            *numbers, expected,
            "partition {at}: nothing lost, twice or moved"
        );
    }
    println!("{sent} records");
}

#[test]
fn brokers_formatted_apart_make_no_cluster() {
    let rig = Rig::new(true);
    let brokers: Vec<ServerProcess> = (0..BROKERS)
        .map(|n| ServerProcess::spawn(rig.dirs[n].path(), &rig.settings[n]))
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while !brokers
        .iter()
        .all(|broker| broker.log().contains("is one of cluster"))
    {
        assert!(
            Instant::now() < deadline,
            "nobody says what is wrong: {}",
            brokers[0].log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // Long enough for any of them to begin alone, if it would.
    std::thread::sleep(Duration::from_secs(2));
    for (n, broker) in brokers.iter().enumerate() {
        let log = broker.log();
        assert!(
            !log.contains("\"message\":\"serving\""),
            "broker {n} serves: {log}"
        );
    }
}
