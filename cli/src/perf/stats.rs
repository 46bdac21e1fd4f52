//! What the producer's test counts, window by window and in all.

use super::MIB;

/// Latencies kept; of more records only every n-th is.
const MAX_SAMPLES: u64 = 500_000;

#[derive(Debug)]
pub struct Stats {
    interval_ms: u64,
    sampling: u64,
    latencies_ms: Vec<u32>,
    all: Tally,
    window: Tally,
    window_start_ms: u64,
    is_steady_state: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    records: u64,
    bytes: u64,
    total_latency_ms: u64,
    max_latency_ms: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64, latency_ms: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.total_latency_ms += latency_ms;
        self.max_latency_ms = self.max_latency_ms.max(latency_ms);
    }

    fn mean_latency_ms(&self) -> f64 {
        self.total_latency_ms as f64 / self.records as f64
    }
}

impl Stats {
    /// Times are milliseconds since the test began.
    pub fn new(records: u64, interval_ms: u64, start_ms: u64, is_steady_state: bool) -> Stats {
        Stats {
            interval_ms,
            sampling: (records / records.clamp(1, MAX_SAMPLES)).max(1),
            latencies_ms: Vec::new(),
            all: Tally::default(),
            window: Tally::default(),
            window_start_ms: start_ms,
            is_steady_state,
        }
    }

    /// The line of a window that is over with this record, if one is.
    pub fn record(&mut self, bytes: u64, latency_ms: u64, now_ms: u64) -> Option<String> {
        if self.all.records.is_multiple_of(self.sampling) {
            self.latencies_ms
                .push(u32::try_from(latency_ms).unwrap_or(u32::MAX));
        }
        self.all.add(bytes, latency_ms);
        self.window.add(bytes, latency_ms);
        let elapsed_ms = now_ms.saturating_sub(self.window_start_ms);
        if elapsed_ms < self.interval_ms {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        self.window_start_ms = now_ms;
        let seconds = elapsed_ms as f64 / 1000.0;
        Some(format!(
            "{} records sent, {:.1} records/sec ({:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.",
            window.records,
            window.records as f64 / seconds,
            window.bytes as f64 / seconds / MIB,
            window.mean_latency_ms(),
            window.max_latency_ms as f64,
        ))
    }

    /// The last line, of everything between `start_ms` and `now_ms`.
    pub fn total(&mut self, start_ms: u64, now_ms: u64) -> String {
        let seconds = now_ms.saturating_sub(start_ms).max(1) as f64 / 1000.0;
        self.latencies_ms.sort_unstable();
        let percentile = |part: f64| {
            let at = (part * self.latencies_ms.len() as f64) as usize;
            self.latencies_ms
                .get(at)
                .or(self.latencies_ms.last())
                .copied()
                .unwrap_or(0)
        };
        format!(
            "{}{} records sent, {:.6} records/sec ({:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.all.records,
            if self.is_steady_state {
                " steady state"
            } else {
                ""
            },
            self.all.records as f64 / seconds,
            self.all.bytes as f64 / seconds / MIB,
            if self.all.records == 0 {
                0.0
            } else {
                self.all.mean_latency_ms()
            },
            self.all.max_latency_ms as f64,
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            percentile(0.999),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn windows_and_the_total_have_kafkas_words() {
        let mut stats = Stats::new(4, 1000, 0, false);
        assert_eq!(stats.record(1 << 20, 10, 500), None);
        let window = stats.record(1 << 20, 30, 1000).expect("a window");
        expect!["2 records sent, 2.0 records/sec (2.00 MB/sec), 20.0 ms avg latency, 30.0 ms max latency."].assert_eq(&window);
        assert_eq!(stats.record(1 << 20, 20, 1500), None);
        assert_eq!(stats.record(1 << 20, 40, 1900), None);
        expect!["4 records sent, 2.000000 records/sec (2.00 MB/sec), 25.00 ms avg latency, 40.00 ms max latency, 30 ms 50th, 40 ms 95th, 40 ms 99th, 40 ms 99.9th."]
            .assert_eq(&stats.total(0, 2000));
    }

    #[test]
    fn samples_are_bounded() {
        let mut stats = Stats::new(2_000_000, u64::MAX, 0, true);
        for _ in 0..2_000_000 {
            stats.record(1, 1, 0);
        }
        assert_eq!(stats.latencies_ms.len(), 500_000);
        assert!(
            stats
                .total(0, 1)
                .starts_with("2000000 steady state records sent, ")
        );
    }
}
