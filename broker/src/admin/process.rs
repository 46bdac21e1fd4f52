//! What the system says of this process, under the names that all programs' metrics have.

use rustix::process::{Resource, getrlimit};
use std::fs;

/// `None` where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
}

impl Process {
    pub fn now() -> Process {
        Process {
            cpu_seconds: cpu_seconds(),
            resident_bytes: resident_bytes(),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, which may hold anything; user and system time are the 14th and 15th.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn open_fds() -> Option<u64> {
    // The one that lists them is among them.
    let listed = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(listed.saturating_sub(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let held = fs::File::open("/proc/self/stat").expect("there is one");
        let process = Process::now();
        assert!(
            process.resident_bytes.is_some_and(|bytes| bytes > 100_000),
            "{process:?}"
        );
        assert!(
            process.open_fds.is_some_and(|open| open >= 3),
            "{process:?}"
        );
        assert!(
            process.cpu_seconds.is_some_and(|seconds| seconds < 1e6),
            "{process:?}"
        );
        drop(held);
    }
}
