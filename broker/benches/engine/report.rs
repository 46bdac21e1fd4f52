//! Medians, ranges, and what the kernel says of this process.

use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Ratio {
    ours: Vec<f64>,
    ratios: Vec<f64>,
}

impl Ratio {
    pub fn push(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.ratios.push(ours / theirs);
    }

    pub fn text(&self) -> String {
        let (low, high) = range(&self.ratios);
        format!("{:.2} ({low:.2} to {high:.2})", median(&self.ratios))
    }

    pub fn megabytes(&self) -> String {
        let (low, high) = range(&self.ours);
        format!(
            "{:.0} ({:.0} to {:.0})",
            median(&self.ours) / 1e6,
            low / 1e6,
            high / 1e6
        )
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn range(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        })
}

pub fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1000.0)
}

/// Clock ticks are a hundredth of a second on every Linux that Rust runs on.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    (ticks(11) + ticks(12)) / 100.0
}

pub fn idle_cpu_percent(time: Duration) -> f64 {
    let (cpu, start) = (cpu_seconds(), Instant::now());
    std::thread::sleep(time);
    (cpu_seconds() - cpu) / start.elapsed().as_secs_f64() * 100.0
}

/// Durations of many single operations.
#[derive(Default)]
pub struct Latencies(pub Vec<Duration>);

impl Latencies {
    pub fn percentile_ms(&self, p: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * p) as usize).min(sorted.len().saturating_sub(1));
        sorted
            .get(at)
            .map_or(f64::NAN, |d| d.as_secs_f64() * 1000.0)
    }
}
