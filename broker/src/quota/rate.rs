//! How much a second, over the last windows: Kafka's `Rate` of a `SampledStat`.

/// Over what a rate is taken (`quota.window.num`, `quota.window.size.seconds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// At least 1.
    pub count: u32,
    /// At least 1.
    pub length_ms: u64,
}

impl Windows {
    pub fn new(count: i32, seconds: i32) -> Windows {
        Windows {
            count: u32::try_from(count).unwrap_or(1).max(1),
            length_ms: u64::try_from(seconds).unwrap_or(1).max(1) * 1_000,
        }
    }

    /// Of all of them together.
    pub fn span_ms(self) -> u64 {
        self.length_ms.saturating_mul(self.count.into())
    }

    pub fn length_s(self) -> f64 {
        self.length_ms as f64 / 1_000.0
    }
}

/// What was taken in the windows that count, and in the one that is filled now: at most one more than there are windows.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    samples: Vec<Sample>,
    current: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    began_ms: u64,
    last_ms: u64,
    amount: f64,
}

impl Sample {
    fn new(now_ms: u64) -> Sample {
        Sample {
            began_ms: now_ms,
            last_ms: now_ms,
            amount: 0.0,
        }
    }
}

impl Rate {
    /// A negative amount gives back.
    pub fn record(&mut self, windows: Windows, amount: f64, now_ms: u64) {
        if self.samples.is_empty() {
            self.samples.push(Sample::new(now_ms));
        }
        let began_ms = self.samples[self.current].began_ms;
        if now_ms.saturating_sub(began_ms) >= windows.length_ms {
            self.current = (self.current + 1) % (windows.count as usize + 1);
            match self.samples.get_mut(self.current) {
                Some(oldest) => *oldest = Sample::new(now_ms),
                None => self.samples.push(Sample::new(now_ms)),
            }
        }
        let sample = &mut self.samples[self.current];
        sample.amount += amount;
        sample.last_ms = now_ms;
    }

    /// A second, and over how many milliseconds that is. A rate that has just begun is taken over all windows but one, as if
    /// nothing had been taken before.
    pub fn measure(&mut self, windows: Windows, now_ms: u64) -> (f64, u64) {
        for sample in &mut self.samples {
            if now_ms.saturating_sub(sample.last_ms) >= windows.span_ms() {
                *sample = Sample::new(now_ms);
            }
        }
        let total: f64 = self.samples.iter().map(|sample| sample.amount).sum();
        let oldest = self.samples.iter().map(|sample| sample.began_ms).min();
        let elapsed_ms = now_ms.saturating_sub(oldest.unwrap_or(now_ms));
        let full = elapsed_ms / windows.length_ms;
        let wanted = u64::from(windows.count) - 1;
        let missing_ms = wanted.saturating_sub(full) * windows.length_ms;
        let over_ms = (elapsed_ms + missing_ms).max(1);
        (total / (over_ms as f64 / 1_000.0), over_ms)
    }

    /// How long nothing must be taken so that the rate is `limit` again: 0 while it is not above. As in Kafka the rate is taken to fall
    /// as if its window grew.
    pub fn excess_ms(&mut self, windows: Windows, limit: f64, now_ms: u64) -> u64 {
        let (rate, over_ms) = self.measure(windows, now_ms);
        match rate > limit {
            true => ((rate - limit) / limit * over_ms as f64).round() as u64,
            false => 0,
        }
    }

    /// Whether it is as if nothing had ever been taken.
    pub fn is_spent(&self, windows: Windows, now_ms: u64) -> bool {
        self.samples
            .iter()
            .all(|sample| now_ms.saturating_sub(sample.last_ms) >= windows.span_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        length_ms: 1_000,
    };

    #[test]
    fn a_rate_that_begins_is_taken_over_all_windows_but_one() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 100.0, 5_000);
        assert_eq!(rate.measure(WINDOWS, 5_000), (10.0, 10_000));
        assert_eq!(rate.excess_ms(WINDOWS, 10.0, 5_000), 0);
        // 100 in 10 s are 10 a second; at 5 a second they would have taken 20 s.
        assert_eq!(rate.excess_ms(WINDOWS, 5.0, 5_000), 10_000);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 100.0, 0);
        assert!(!rate.is_spent(WINDOWS, 10_999));
        assert!(rate.is_spent(WINDOWS, 11_000));
        assert_eq!(rate.measure(WINDOWS, 11_000), (0.0, 10_000));
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 100.0, 10);
        rate.record(WINDOWS, -100.0, 20);
        assert_eq!(rate.measure(WINDOWS, 20).0, 0.0);
    }

    #[test]
    fn one_window_is_measured_too() {
        let windows = Windows::new(1, 1);
        let mut rate = Rate::default();
        rate.record(windows, 10.0, 0);
        rate.record(windows, 10.0, 500);
        assert_eq!(rate.measure(windows, 500), (40.0, 500));
    }

    proptest! {
        /// Whoever waits as long as they are told stays near the limit. Kafka lets who comes back when the windows have passed take ten seconds'
        /// worth at once again, so one who takes 21 seconds' worth waits for 11.
        #[test]
        fn who_waits_as_told_stays_below_the_limit(
            limit in 1_000.0_f64..100_000.0,
            takes in prop::collection::vec((1.0_f64..20_000.0, 0_u64..2_000), 50..200),
        ) {
            let mut rate = Rate::default();
            let (mut now_ms, mut total) = (0, 0.0);
            let most = takes.iter().map(|(amount, _)| *amount).fold(0.0, f64::max);
            for (amount, rest_ms) in takes {
                rate.record(WINDOWS, amount, now_ms);
                total += amount;
                now_ms += rate.excess_ms(WINDOWS, limit, now_ms);
                now_ms += rest_ms;
                let allowed = limit * 2.0 * (now_ms as f64 / 1_000.0 + 11.0) + most;
                prop_assert!(total <= allowed, "{total} in {now_ms} ms at {limit}");
            }
        }

        #[test]
        fn samples_are_bounded(
            steps in prop::collection::vec((0_u64..30_000, -10.0_f64..1e9), 0..200),
            count in 1_i32..20,
        ) {
            let windows = Windows::new(count, 1);
            let mut rate = Rate::default();
            let mut now_ms = 0;
            for (step, amount) in steps {
                now_ms += step;
                rate.record(windows, amount, now_ms);
                prop_assert!(rate.samples.len() <= count as usize + 1);
                let (_, over_ms) = rate.measure(windows, now_ms);
                prop_assert!(over_ms >= 1);
            }
        }
    }
}
