//! The engine beside the disk it stands on, in the same run: `make bench`, or `cargo bench -p millrace-broker -- append 1024`.
//!
//! Every figure is a ratio to a plain file on the same disk in the same minute, alternating, median and range of the rounds.
//! A closed loop keeps a bounded number of appends in flight; the plain file is appended to and fdatasynced in groups of the
//! size that the engine's own groups had on average.

mod load;
mod raw;
mod report;

use load::{Bench, Shape};
use report::{Ratio, median};
use std::path::PathBuf;
use std::time::Duration;

/// As in the broker: entries are allocated by one thread and freed by another, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
engine benchmarks: [--dir DIR] [--seconds S] [--rounds N] [append|sustained|latency|retention|cold|open|idle]... 
  append     synced appends inside the log budget, batch sizes by partitions, against a plain file
  sustained  three budgets with sealing and retention on, and bytes written per byte acknowledged
  latency    p99 of appends at a fixed rate against fdatasync at that size and rate
  retention  p99 of appends before, while and after 5 GB of old records are dropped
  cold       reading a partition that is not in memory, against a plain file
  open       opening with 1,000 partitions and much data
  idle       10,000 idle partitions: memory and opening time
without a name: all of them";

struct Options {
    dir: PathBuf,
    seconds: f64,
    rounds: usize,
    names: Vec<String>,
    sizes: Vec<usize>,
    partitions: Vec<u64>,
}

fn main() {
    let options = options();
    let all = options.names.is_empty();
    let wants = |name: &str| all || options.names.iter().any(|n| n == name);
    std::fs::create_dir_all(&options.dir).expect("the folder for the benchmark can be made");
    println!(
        "load average {}",
        std::fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .trim()
    );
    if wants("append") {
        append(&options);
    }
    if wants("sustained") {
        sustained(&options);
    }
    if wants("latency") {
        latency(&options);
    }
    if wants("retention") {
        retention(&options);
    }
    if wants("cold") {
        cold(&options);
    }
    if wants("open") {
        open(&options);
    }
    if wants("idle") {
        idle(&options);
    }
}

fn options() -> Options {
    let mut options = Options {
        dir: std::env::temp_dir().join("millrace-bench"),
        seconds: 3.0,
        rounds: 5,
        names: Vec::new(),
        sizes: vec![1 << 10, 16 << 10, 64 << 10, 1 << 20],
        partitions: vec![1, 100, 1000, 5000],
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .unwrap_or_else(|| panic!("{arg} needs a value\n{HELP}"))
        };
        match &arg[..] {
            "--dir" => options.dir = value().into(),
            "--seconds" => options.seconds = value().parse().expect("a number of seconds"),
            "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
            "--sizes" => options.sizes = list(&value()),
            "--partitions" => options.partitions = list(&value()),
            // What cargo passes along.
            "--bench" => {}
            "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            name => options.names.push(name.to_owned()),
        }
    }
    options
}

fn list<T: std::str::FromStr>(text: &str) -> Vec<T>
where
    T::Err: std::fmt::Debug,
{
    text.split(',')
        .map(|n| n.parse().expect("numbers with commas between"))
        .collect()
}

fn append(options: &Options) {
    println!(
        "\n## append, synced, inside the log budget ({} rounds of {} s)",
        options.rounds, options.seconds
    );
    println!(
        "| batch | partitions | MB/s | of a plain file | CPU s/GB | group KiB | written per byte | p50 / p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for &batch_bytes in &options.sizes {
        for &partitions in &options.partitions {
            let bench = Bench::new(
                &options.dir,
                Shape {
                    partitions,
                    batch_bytes,
                    budget_bytes: 32 << 30,
                },
            );
            bench.run(Duration::from_secs_f64(options.seconds / 3.0), None);
            let mut ratio = Ratio::default();
            let (mut group, mut amplification, mut p50, mut p99) = (vec![], vec![], vec![], vec![]);
            let mut cpu = vec![];
            for _ in 0..options.rounds {
                let run = bench.run(Duration::from_secs_f64(options.seconds), None);
                let raw = raw::append(
                    &options.dir,
                    run.group_bytes(),
                    Duration::from_secs_f64(options.seconds / 2.0),
                );
                ratio.push(run.bytes_per_second(), raw);
                group.push(run.group_bytes() as f64 / 1024.0);
                amplification.push(run.log_bytes as f64 / run.bytes as f64);
                p50.push(run.percentile_ms(0.5));
                p99.push(run.percentile_ms(0.99));
                cpu.push(run.cpu_seconds_per_gb());
            }
            println!(
                "| {} | {partitions} | {} | {} | {:.1} | {:.0} | {:.3} | {:.2} / {:.2} |",
                size(batch_bytes),
                ratio.megabytes(),
                ratio.text(),
                median(&cpu),
                median(&group),
                median(&amplification),
                median(&p50),
                median(&p99)
            );
        }
    }
}

fn sustained(options: &Options) {
    let budget_bytes: u64 = 512 << 20;
    println!(
        "\n## sustained over three budgets of {} MiB, sealing and retention on",
        budget_bytes >> 20
    );
    println!("| batch | partitions | MB/s | of a plain file | written per byte |");
    println!("|---|---|---|---|---|");
    for (batch_bytes, partitions) in [
        (16 << 10, 1),
        (16 << 10, 100),
        (64 << 10, 100),
        (64 << 10, 1000),
    ] {
        let mut ratio = Ratio::default();
        let mut amplification = Vec::new();
        for _ in 0..options.rounds.min(3) {
            let bench = Bench::new(
                &options.dir,
                Shape {
                    partitions,
                    batch_bytes,
                    budget_bytes,
                },
            );
            bench.keep_bytes(budget_bytes / partitions);
            let run = bench.run_bytes(4 * budget_bytes);
            let raw = raw::append_bytes(&options.dir, run.group_bytes(), 4 * budget_bytes);
            ratio.push(run.bytes_per_second(), raw);
            amplification.push((run.log_bytes + run.family_bytes) as f64 / run.bytes as f64);
        }
        println!(
            "| {} | {partitions} | {} | {} | {:.3} |",
            size(batch_bytes),
            ratio.megabytes(),
            ratio.text(),
            median(&amplification)
        );
    }
}

fn latency(options: &Options) {
    println!("\n## latency at a fixed rate");
    println!("| batch | rate/s | append p50 / p99 ms | fdatasync p50 / p99 ms | p99 ratio |");
    println!("|---|---|---|---|---|");
    for (batch_bytes, rate) in [
        (1 << 10, 500),
        (16 << 10, 500),
        (64 << 10, 200),
        (1 << 20, 20),
    ] {
        let mut ratio = Ratio::default();
        let (mut ours, mut theirs) = (vec![], vec![]);
        for _ in 0..options.rounds {
            let bench = Bench::new(
                &options.dir,
                Shape {
                    partitions: 10,
                    batch_bytes,
                    budget_bytes: 32 << 30,
                },
            );
            let run = bench.run(Duration::from_secs_f64(options.seconds), Some(rate));
            let raw = raw::latency(
                &options.dir,
                batch_bytes,
                rate,
                Duration::from_secs_f64(options.seconds),
            );
            ratio.push(run.percentile_ms(0.99), raw.percentile_ms(0.99));
            ours.push((run.percentile_ms(0.5), run.percentile_ms(0.99)));
            theirs.push((raw.percentile_ms(0.5), raw.percentile_ms(0.99)));
        }
        let show = |runs: &[(f64, f64)]| {
            let (p50, p99): (Vec<_>, Vec<_>) = runs.iter().copied().unzip();
            format!("{:.2} / {:.2}", median(&p50), median(&p99))
        };
        println!(
            "| {} | {rate} | {} | {} | {} |",
            size(batch_bytes),
            show(&ours),
            show(&theirs),
            ratio.text()
        );
    }
}

/// Appends of 64 KiB a second while 5 GB are dropped.
const RETENTION_RATE: u32 = 200;

fn retention(options: &Options) {
    let bench = Bench::new(
        &options.dir,
        Shape {
            partitions: 10,
            batch_bytes: 64 << 10,
            budget_bytes: 256 << 20,
        },
    );
    bench.run_bytes(5 << 30);
    bench.seal_all();
    raw::settle();
    let before = bench.run(Duration::from_secs(10), Some(RETENTION_RATE));
    bench.keep_bytes(1 << 20);
    let start = std::time::Instant::now();
    let (during, seconds) = std::thread::scope(|scope| {
        let retention = scope.spawn(|| {
            bench.retain();
            start.elapsed().as_secs_f64()
        });
        let during = bench.run_until(RETENTION_RATE, || retention.is_finished());
        (during, retention.join().expect("retention ends"))
    });
    raw::settle();
    let after = bench.run(Duration::from_secs(10), Some(RETENTION_RATE));
    let (log, families) = bench.disk_bytes();
    println!(
        "\nretention of 5 GB in {seconds:.0} s: append p99 {:.2} ms before, {:.2} ms during, {:.2} ms after; {} MB of log and {} MB of families are left",
        before.percentile_ms(0.99),
        during.percentile_ms(0.99),
        after.percentile_ms(0.99),
        log / 1_000_000,
        families / 1_000_000
    );
}

fn cold(options: &Options) {
    println!("\n## cold read of one sealed partition of 1 GiB");
    let bench = Bench::new(
        &options.dir,
        Shape {
            partitions: 1,
            batch_bytes: 64 << 10,
            budget_bytes: 256 << 20,
        },
    );
    bench.run_bytes(1 << 30);
    bench.seal_all();
    let mut ratio = Ratio::default();
    for _ in 0..options.rounds {
        if !raw::drop_caches() {
            println!("not measured: the page cache can only be dropped by root");
            return;
        }
        let ours = bench.read_all();
        raw::drop_caches();
        let theirs = raw::read(&options.dir, 1 << 30);
        ratio.push(ours, theirs);
    }
    println!(
        "{} MB/s, {} of a plain file's",
        ratio.megabytes(),
        ratio.text()
    );
}

fn open(options: &Options) {
    println!("\n## opening with 1,000 partitions and 5 GB");
    let mut bench = Bench::new(
        &options.dir,
        Shape {
            partitions: 1000,
            batch_bytes: 64 << 10,
            budget_bytes: 1 << 30,
        },
    );
    bench.run_bytes(5 << 30);
    let (log, families) = bench.disk_bytes();
    let seconds: Vec<f64> = (0..options.rounds).map(|_| bench.reopen()).collect();
    println!(
        "{:.2} s until every partition leads ({} MB of log, {} MB of families)",
        median(&seconds),
        log / 1_000_000,
        families / 1_000_000
    );
}

fn idle(options: &Options) {
    println!("\n## 10,000 idle partitions");
    let before = report::resident_mb();
    let mut bench = Bench::new(
        &options.dir,
        Shape {
            partitions: 10_000,
            batch_bytes: 1 << 10,
            budget_bytes: 1 << 30,
        },
    );
    bench.append_once();
    let seconds = bench.reopen();
    println!(
        "opened in {seconds:.2} s, {:.0} MB more than before; {:.1} % of a core when idle",
        report::resident_mb() - before,
        report::idle_cpu_percent(Duration::from_secs(5))
    );
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} KiB", bytes >> 10)
    }
}
