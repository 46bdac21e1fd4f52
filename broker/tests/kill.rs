//! The engine on a real disk, killed at any moment: what it acknowledged is there, what it did not is there whole or not at
//! all. `MILLRACE_TEST_FULL=1` kills it 200 times.

#[path = "kill/arrows.rs"]
mod arrows;
#[path = "kill/child.rs"]
mod child;
#[path = "support/contents.rs"]
mod contents;
#[path = "kill/model.rs"]
mod model;
#[path = "kill/plan.rs"]
mod plan;
#[path = "kill/ports.rs"]
mod ports;
#[path = "kill/rig.rs"]
mod rig;
#[path = "support/wait.rs"]
mod wait;

use child::Word;
use millrace_broker::engine::Engine;
use model::Promises;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What makes this test's process the child of [`a_killed_engine_keeps_what_it_acknowledged`].
const DIR: &str = "MILLRACE_KILL_DIR";
const ROUND: &str = "MILLRACE_KILL_ROUND";
const NEXT: &str = "MILLRACE_KILL_NEXT";
const SEED: &str = "MILLRACE_KILL_SEED";

const CHILD: &str = "an_engine_that_is_left_alone_keeps_what_it_acknowledged";

const PATIENCE: Duration = Duration::from_secs(30);

fn is_full() -> bool {
    std::env::var_os("MILLRACE_TEST_FULL").is_some()
}

/// Also the child process: then it is never left alone.
#[test]
fn an_engine_that_is_left_alone_keeps_what_it_acknowledged() {
    let never = AtomicBool::new(false);
    if let Some(dir) = std::env::var_os(DIR) {
        let round = std::env::var(ROUND).expect("the round is set");
        let next = std::env::var(NEXT).expect("the producers' next batches are set");
        let next: Vec<u64> = next
            .split(',')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let round = round.parse().expect("a number");
        // The harness may have begun a line.
        println!();
        return child::run(Path::new(&dir), round, &next, &never, &child::say_on_stdout);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let promises = Mutex::new(Promises::new());
    let (stop, words) = (AtomicBool::new(false), AtomicU64::new(0));
    let next = promises.lock().expect("no panic").next.clone();
    child::run(dir.path(), 0, &next, &stop, &|word| {
        promises.lock().expect("no panic").hear(word);
        if words.fetch_add(1, Ordering::Relaxed) > 2_000 {
            stop.store(true, Ordering::Relaxed);
        }
    });
    let engine = open(dir.path());
    promises.into_inner().expect("no panic").check(&engine);
}

#[test]
fn a_killed_engine_keeps_what_it_acknowledged() {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let mut promises = Promises::new();
    let (start, mut checks, mut kills) = (Instant::now(), 0, 0);
    let enough = |kills| match is_full() {
        true => kills >= 200,
        false => start.elapsed() > Duration::from_secs(20),
    };
    while !enough(kills) {
        promises.start_round(kills);
        let child = Running::start(dir.path(), kills, &promises.next);
        // Now and then it has not even started, and dies in the middle of what it makes of the last death.
        let dies_early = rng.random_ratio(1, 8);
        let first = match dies_early {
            true => None,
            false => Some(child.first_word()),
        };
        let life_ms = match dies_early {
            true => rng.random_range(0..200),
            false => rng.random_range(20..250),
        };
        std::thread::sleep(Duration::from_millis(life_ms));
        for word in first.into_iter().chain(child.kill()) {
            promises.hear(word);
        }
        kills += 1;
        // Two deaths in a row meet what one leaves and no clean start tidies up.
        if rng.random_ratio(2, 3) || enough(kills) {
            promises.check(&open(&dir.path().join("engine")));
            checks += 1;
        }
    }
    promises.check(&open(&dir.path().join("engine")));
    println!(
        "{kills} kills, {checks} checks, {} appends and {} deletions of topics acknowledged, {} records read back, in {:.0?}",
        promises.appends,
        promises.deletions,
        promises.checked_records,
        start.elapsed()
    );
    assert!(promises.appends > kills, "the children hardly worked");
}

fn seed() -> u64 {
    let fresh = || RandomState::new().build_hasher().finish();
    std::env::var(SEED).map_or_else(|_| fresh(), |seed| seed.parse().expect("a number"))
}

fn open(dir: &Path) -> Engine {
    Engine::open(&plan::options(dir), &plan::config_of).expect("the engine opens")
}

struct Running {
    process: Child,
    words: Receiver<Word>,
    errors: PathBuf,
}

impl Running {
    fn start(dir: &Path, round: u64, next: &[u64]) -> Running {
        let errors = dir.join("stderr");
        let stderr = std::fs::File::create(&errors).expect("a file for the child's errors");
        let next: Vec<String> = next.iter().map(u64::to_string).collect();
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args([CHILD, "--exact", "--nocapture"])
            .env(DIR, dir.join("engine"))
            .env(ROUND, round.to_string())
            .env(NEXT, next.join(","))
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the child starts");
        let stdout = process.stdout.take().expect("it is piped");
        let (sender, words) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(word) = Word::parse(&line) {
                    let _ = sender.send(word);
                }
            }
        });
        Running {
            process,
            words,
            errors,
        }
    }

    fn first_word(&self) -> Word {
        self.words
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("the child says nothing ({error}): {}", self.errors()))
    }

    /// All it said, to its last word.
    fn kill(mut self) -> Vec<Word> {
        let ended = self.process.try_wait().expect("it is a child");
        assert!(
            ended.is_none(),
            "the child ended by itself: {}",
            self.errors()
        );
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it is a child");
        self.words.iter().collect()
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}
