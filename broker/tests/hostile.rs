//! Bad input at the socket of a real broker process: it answers or closes, says so once, keeps serving others, and its memory
//! stays bounded.

#[path = "hostile/client.rs"]
mod client;
#[path = "hostile/flood.rs"]
mod flood;
#[path = "hostile/input.rs"]
mod input;
#[path = "support/server.rs"]
mod server;

use client::Client;
use input::{BAD, Ending};
use server::ServerProcess;
use std::time::{Duration, Instant};

/// What the broker may use at most, whatever comes.
/// A broker by itself, at a port of the system's choice.
const ALONE: &str = "node.id=1\nlisteners=PLAINTEXT://127.0.0.1:0\n";

const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

/// Lines in the log for each second of a flood; what is more is counted in the next.
const LINES_PER_SECOND: u64 = 12;

/// The most that the process ever had in memory.
fn peak_memory_bytes(server: &ServerProcess) -> u64 {
    let status = format!("/proc/{}/status", server.id());
    let status = std::fs::read_to_string(status).expect("it is there");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("the peak is told");
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>();
    kib.expect("a number") * 1024
}

fn complaints(log: &str) -> u64 {
    let is_one = |line: &&str| line.contains("\"level\":\"WARN\"");
    log.lines().filter(is_one).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_answered_or_ended_and_said_once() {
    let directory = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(directory.path(), ALONE);
    let mut others = Client::new(server.address).await;
    others.topic("bomb").await;
    let mut said = 0;
    for bad in BAD {
        let name = bad.name;
        let ending = input::send(server.address, &(bad.bytes)()).await;
        match (bad.ending, ending) {
            (Ending::Closed, Ending::Closed) => said += 1,
            (Ending::Answered, Ending::Answered) | (Ending::Kept, Ending::Kept) => {}
            (wanted, other) => panic!("{name}: {other:?}, not {wanted:?}"),
        }
        others.works(Duration::from_secs(10)).await;
        let log = server.log();
        // At most ten lines a second are written, the others counted: the cases are slower than that.
        assert_eq!(complaints(&log), said, "lines after {name}: {log}");
    }
    let peak = peak_memory_bytes(&server);
    println!("peak memory: {} MiB", peak >> 20);
    assert!(peak < MEMORY_LIMIT_BYTES, "{peak} bytes in memory");
    let log = server.log();
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    assert!(!log.contains("panic"), "{log}");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_leaves_others_served_and_memory_bounded() {
    let directory = tempfile::tempdir().expect("a folder");
    let connections = flood::connections_allowed();
    let server = ServerProcess::start(directory.path(), ALONE);
    let mut others = Client::new(server.address).await;
    others.works(Duration::from_secs(10)).await;
    flood::fill(&mut others).await;
    let began = Instant::now();

    let flooding = tokio::spawn(flood::open(server.address, connections));
    let mut slowest = Duration::ZERO;
    let mut served = 0;
    while !flooding.is_finished() || served < 10 {
        slowest = slowest.max(others.works(flood::PATIENCE).await);
        served += 1;
    }
    println!(
        "opened after {:?}, the slowest round until then {slowest:?}",
        began.elapsed()
    );
    let held = flooding.await.expect("the flood is made");
    assert_eq!(held.len(), connections, "connections that were taken");
    // New clients are served, too, while the flood stands.
    let mut late = Client::new(server.address).await;
    slowest = slowest.max(late.works(flood::PATIENCE).await);
    let stands_for = Duration::from_secs(5);
    let until = Instant::now() + stands_for;
    while Instant::now() < until {
        slowest = slowest.max(others.works(flood::PATIENCE).await);
        served += 1;
    }
    drop(held);
    others.works(flood::PATIENCE).await;

    let peak = peak_memory_bytes(&server);
    let took = began.elapsed();
    println!(
        "{connections} connections: peak memory {} MiB, {served} rounds of another client, the slowest {slowest:?}, in {took:?}",
        peak >> 20
    );
    assert!(peak < MEMORY_LIMIT_BYTES, "{peak} bytes in memory");
    let log = server.log();
    let allowed = LINES_PER_SECOND * (took.as_secs() + 2);
    assert!(complaints(&log) <= allowed, "{} lines", complaints(&log));
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    assert!(!log.contains("panic"), "{log}");
    assert!(server.terminate().success());
}
