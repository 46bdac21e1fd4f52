//! The disk without the engine.

use crate::report::Latencies;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

fn file(dir: &Path) -> (std::path::PathBuf, File) {
    let path = dir.join("plain");
    let file = File::create(&path).expect("a plain file can be made");
    (path, file)
}

/// Bytes a second of appending groups and syncing each.
pub fn append(dir: &Path, group_bytes: u64, time: Duration) -> f64 {
    let start = Instant::now();
    append_while(dir, group_bytes, |_| start.elapsed() < time)
}

pub fn append_bytes(dir: &Path, group_bytes: u64, bytes: u64) -> f64 {
    append_while(dir, group_bytes, |written| written < bytes)
}

fn append_while(dir: &Path, group_bytes: u64, mut go_on: impl FnMut(u64) -> bool) -> f64 {
    let group = vec![7u8; group_bytes.max(1) as usize];
    let (path, mut file) = file(dir);
    let start = Instant::now();
    let mut written = 0;
    while go_on(written) {
        file.write_all(&group).expect("write");
        file.sync_data().expect("sync");
        written += group.len() as u64;
    }
    let speed = written as f64 / start.elapsed().as_secs_f64();
    fs::remove_file(path).expect("remove");
    speed
}

pub fn latency(dir: &Path, bytes: usize, rate: u32, time: Duration) -> Latencies {
    let block = vec![7u8; bytes];
    let (path, mut file) = file(dir);
    let mut latencies = Latencies::default();
    let start = Instant::now();
    for n in 0.. {
        let due = start + Duration::from_secs_f64(f64::from(n) / f64::from(rate));
        if due > start + time {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        file.write_all(&block).expect("write");
        file.sync_data().expect("sync");
        latencies.0.push(due.elapsed());
    }
    fs::remove_file(path).expect("remove");
    latencies
}

/// Bytes a second of reading a file that is not in memory.
pub fn read(dir: &Path, bytes: u64) -> f64 {
    let (path, mut file) = file(dir);
    let block = vec![7u8; 1 << 20];
    for _ in 0..bytes >> 20 {
        file.write_all(&block).expect("write");
    }
    file.sync_data().expect("sync");
    drop_caches();
    let mut file = File::open(&path).expect("open");
    let mut buffer = vec![0; 1 << 20];
    let start = Instant::now();
    let mut read = 0;
    loop {
        match file.read(&mut buffer).expect("read") {
            0 => break,
            n => read += n,
        }
    }
    let speed = read as f64 / start.elapsed().as_secs_f64();
    fs::remove_file(path).expect("remove");
    speed
}

/// Lets the disk finish what it was given before.
pub fn settle() {
    rustix::fs::sync();
    std::thread::sleep(Duration::from_secs(5));
}

/// False where that is not permitted.
pub fn drop_caches() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
