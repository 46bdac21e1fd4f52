//! A bounded run of every fuzz target: the same mutated seeds on every run, more with `MILLRACE_TEST_FULL=1`, others with
//! `MILLRACE_SEED=n`. libFuzzer goes further: `tools/fuzz.sh`.

#[path = "bounded/mutate.rs"]
mod mutate;

use millrace_fuzz_targets::{
    frame_header, log_segment, partition_snapshot, peer_frame, properties, request_decoder,
    response_decoder, rows, wire_batch,
};
use mutate::Mutator;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

const RUNS: usize = 20_000;
const RUNS_FULL: usize = 1_000_000;

/// A run of `properties` configures a whole broker.
const COST_OF_PROPERTIES: usize = 40;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}

/// Tries every seed as it is, which must be read, and then mutants of them.
fn check(name: &str, cost: usize, run: fn(&[u8]) -> bool, seeds: &[Vec<u8>]) {
    let seed = number("MILLRACE_SEED").unwrap_or(1);
    let runs = match number("MILLRACE_TEST_FULL") {
        Some(1) => RUNS_FULL,
        _ => RUNS,
    } / cost;
    println!(
        "{name}: {runs} runs of seed {seed}, from {} inputs",
        seeds.len()
    );
    for input in seeds {
        assert!(run(input), "{name} does not read {}", hex(input));
    }
    let mut mutator = Mutator::new(seed, seeds);
    let (mut read, mut refused) = (0, 0);
    for count in 0..runs {
        let input = mutator.next();
        match catch_unwind(AssertUnwindSafe(|| run(&input))) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("{name}, seed {seed}, run {count}: {}", hex(&input)),
        }
    }
    println!("{name}: {read} read, {refused} refused");
    // Mutants that are all alike would prove nothing.
    assert!(read >= runs / 100, "only {read} of {runs} were read");
    assert!(
        refused >= runs / 100,
        "only {refused} of {runs} were refused"
    );
}

macro_rules! targets {
    ($($target:ident: $cost:expr,)*) => {
        $(#[test]
        fn $target() {
            check(stringify!($target), $cost, $target::run, &$target::seeds());
        })*

        #[test]
        fn every_target_of_libfuzzer_is_here() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz_targets");
            let mut there: Vec<_> = std::fs::read_dir(folder)
                .expect("the folder is there")
                .map(|entry| entry.expect("it can be listed").path())
                .map(|path| path.file_stem().expect("a name").display().to_string())
                .collect();
            there.sort();
            assert_eq!(there, [$(stringify!($target)),*]);
        }
    };
}

targets! {
    frame_header: 1,
    log_segment: 1,
    partition_snapshot: 1,
    peer_frame: 1,
    properties: COST_OF_PROPERTIES,
    request_decoder: 1,
    response_decoder: 1,
    rows: 1,
    wire_batch: 1,
}
