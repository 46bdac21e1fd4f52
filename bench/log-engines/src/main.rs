//! `cargo run --release -- DIRECTORY [MIB] [ROUNDS]`: appends the same entries to each engine, one sync a batch, and prints
//! what that cost. The engines take turns, round after round, so that a noisy disk is noisy for all of them.

mod engines;

use bytes::Bytes;
use engines::{Engine, MillraceLog, PlainFile, RaftEngine};
use raft::eraftpb::Entry;
use rustix::fs::{Advice, fadvise};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

const GROUPS: u64 = 100;

/// How entries come: `entries` of `entry_bytes` are appended and synced together.
struct Load {
    name: &'static str,
    entry_bytes: usize,
    entries: usize,
    batches: usize,
}

struct Figures {
    mb_per_s: f64,
    cpu_s_per_gb: f64,
    written_per_byte: f64,
}

type Open = fn(&Path, u64) -> Box<dyn Engine>;

const ENGINES: [(&str, Open); 6] = [
    ("plain file", |path, _| Box::new(PlainFile::growing(path))),
    ("plain file, overwritten", |path, bytes| {
        Box::new(PlainFile::overwritten(path, bytes))
    }),
    ("millrace", |path, _| Box::new(MillraceLog::fresh(path))),
    ("millrace, recycled", |path, bytes| {
        Box::new(MillraceLog::recycled(path, bytes))
    }),
    ("raft-engine", |path, _| Box::new(RaftEngine::fresh(path))),
    ("raft-engine, prefilled", |path, bytes| {
        Box::new(RaftEngine::prefilled(path, bytes))
    }),
];

fn main() {
    let mut args = std::env::args().skip(1);
    let directory = PathBuf::from(args.next().expect("a directory to write to is given"));
    let number = |arg: Option<String>, default| {
        arg.map_or(default, |arg| arg.parse().expect("an argument is a number"))
    };
    let mib: usize = number(args.next(), 512);
    let rounds: usize = number(args.next(), 3);
    let loads = [
        Load {
            name: "64 KiB entries, 1 MiB a sync",
            entry_bytes: 64 << 10,
            entries: 16,
            batches: mib,
        },
        Load {
            name: "4 KiB entries, 16 KiB a sync",
            entry_bytes: 4 << 10,
            entries: 4,
            batches: mib * 4,
        },
    ];
    for load in loads {
        run(&load, &directory, rounds);
    }
}

fn run(load: &Load, directory: &Path, rounds: usize) {
    let mut figures: Vec<Vec<Figures>> = ENGINES.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (i, (_, open)) in ENGINES.iter().enumerate() {
            figures[i].push(measure(load, directory, *open));
        }
    }
    let bytes = load.entry_bytes * load.entries * load.batches;
    println!(
        "\n{}, {} MiB, {rounds} rounds: median (range)",
        load.name,
        bytes >> 20
    );
    println!("| engine | MB/s | CPU s/GB | bytes written / byte | syncs/s |");
    println!("|---|---|---|---|---|");
    for ((name, _), figures) in ENGINES.iter().zip(&figures) {
        let sync_mb = (load.entry_bytes * load.entries) as f64 / 1e6;
        println!(
            "| {name} | {} | {} | {} | {} |",
            spread(figures, |f| f.mb_per_s, 1),
            spread(figures, |f| f.cpu_s_per_gb, 2),
            spread(figures, |f| f.written_per_byte, 3),
            spread(figures, |f| f.mb_per_s / sync_mb, 0),
        );
    }
}

fn measure(load: &Load, directory: &Path, open: Open) -> Figures {
    let path = directory.join("log-engines");
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the directory can be made");
    let bytes = load.entry_bytes * load.entries * load.batches;
    let mut engine = open(&path, bytes as u64);
    forget_cached(&path);
    let payloads = payloads(load.entry_bytes);
    let mut next_index = [1; GROUPS as usize];
    let mut group = 0;

    let (written, cpu_s, start) = (written_bytes(), cpu_seconds(), Instant::now());
    for _ in 0..load.batches {
        let batch: Vec<(u64, Entry)> = (0..load.entries)
            .map(|i| {
                group = (group + 1) % GROUPS;
                let index = &mut next_index[group as usize];
                let entry = Entry {
                    index: *index,
                    term: 1,
                    context: Bytes::from_static(b"header of one entry.."),
                    data: payloads[(*index as usize + i) % payloads.len()].clone(),
                    ..Entry::default()
                };
                *index += 1;
                (group + 1, entry)
            })
            .collect();
        engine.append(batch);
    }
    let seconds = start.elapsed().as_secs_f64();
    let figures = Figures {
        mb_per_s: bytes as f64 / 1e6 / seconds,
        cpu_s_per_gb: (cpu_seconds() - cpu_s) / (bytes as f64 / 1e9),
        written_per_byte: (written_bytes() - written) as f64 / bytes as f64,
    };
    drop(engine);
    let _ = std::fs::remove_dir_all(&path);
    figures
}

/// Bytes that do not compress, the same in every run.
fn payloads(len: usize) -> Vec<Bytes> {
    let mut x: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..8)
        .map(|_| Bytes::from_iter((0..len).map(|_| next())))
        .collect()
}

fn spread(figures: &[Figures], value: impl Fn(&Figures) -> f64, decimals: usize) -> String {
    let mut values: Vec<f64> = figures.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    let median = values[values.len() / 2];
    format!("{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
}

/// User and system time of all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Drops what preparing the engine left in the page cache: the kernel counts a write into a large cached folio as a write of
/// all of it (64 times too much for 16 KiB in 1 MiB; the device's own counter shows that it is not so).
fn forget_cached(directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("the directory can be listed") {
        let path = entry.expect("the directory can be listed").path();
        if path.is_dir() {
            forget_cached(&path);
        } else {
            let file = File::open(&path).expect("the file can be opened");
            file.sync_all().expect("the file can be synced");
            fadvise(&file, 0, None, Advice::DontNeed).expect("the cache can be dropped");
        }
    }
}

/// What this process made the kernel send to the disk.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("/proc is mounted");
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok())
        .expect("the kernel counts I/O")
}
