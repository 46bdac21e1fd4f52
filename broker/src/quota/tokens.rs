//! A token bucket: what may be taken at once after a rest, and at a steady rate without one (KIP-599).

use super::rate::Windows;

#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// Below 0 it is owed.
    left: f64,
    at_ms: u64,
    /// The last there was.
    limit: f64,
}

impl Tokens {
    /// A full one.
    pub fn new(windows: Windows, limit: f64, now_ms: u64) -> Tokens {
        Tokens {
            left: burst(windows, limit),
            at_ms: now_ms,
            limit,
        }
    }

    fn refill(&mut self, windows: Windows, limit: f64, now_ms: u64) {
        self.left = self.left_at(windows, limit, now_ms);
        self.at_ms = now_ms.max(self.at_ms);
        self.limit = limit;
    }

    fn left_at(&self, windows: Windows, limit: f64, now_ms: u64) -> f64 {
        let seconds = now_ms.saturating_sub(self.at_ms) as f64 / 1_000.0;
        (self.left + seconds * limit).min(burst(windows, limit))
    }

    /// What is taken may be more than there is: what is owed has to come in again first.
    pub fn take(&mut self, windows: Windows, limit: f64, amount: f64, now_ms: u64) {
        self.refill(windows, limit, now_ms);
        self.left = (self.left - amount).min(burst(windows, limit));
    }

    /// Until nothing is owed: 0 when nothing is.
    pub fn debt_ms(&mut self, windows: Windows, limit: f64, now_ms: u64) -> u64 {
        self.refill(windows, limit, now_ms);
        match self.left < 0.0 {
            true => (-self.left / limit * 1_000.0).round() as u64,
            false => 0,
        }
    }

    /// Whether it is as a new one.
    pub fn is_full(&self, windows: Windows, now_ms: u64) -> bool {
        self.left_at(windows, self.limit, now_ms) >= burst(windows, self.limit)
    }
}

fn burst(windows: Windows, limit: f64) -> f64 {
    windows.span_ms() as f64 / 1_000.0 * limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        length_ms: 1_000,
    };

    #[test]
    fn a_burst_is_free_and_what_is_above_is_owed() {
        let mut tokens = Tokens::new(WINDOWS, 2.0, 0);
        tokens.take(WINDOWS, 2.0, 22.0, 0);
        assert_eq!(tokens.debt_ms(WINDOWS, 2.0, 0), 0);
        tokens.take(WINDOWS, 2.0, 5.0, 0);
        assert_eq!(tokens.debt_ms(WINDOWS, 2.0, 0), 2_500);
        assert_eq!(tokens.debt_ms(WINDOWS, 2.0, 2_000), 500);
        assert_eq!(tokens.debt_ms(WINDOWS, 2.0, 2_500), 0);
    }

    #[test]
    fn a_bucket_is_never_more_than_full() {
        let mut tokens = Tokens::new(WINDOWS, 1.0, 0);
        tokens.take(WINDOWS, 1.0, 11.0, 1_000_000);
        tokens.take(WINDOWS, 1.0, 1.0, 1_000_000);
        assert_eq!(tokens.debt_ms(WINDOWS, 1.0, 1_000_000), 1_000);
        // A lower limit has a smaller bucket.
        let mut tokens = Tokens::new(WINDOWS, 100.0, 0);
        tokens.take(WINDOWS, 1.0, 12.0, 0);
        assert_eq!(tokens.debt_ms(WINDOWS, 1.0, 0), 1_000);
    }

    #[test]
    fn who_owes_is_not_forgotten() {
        let mut tokens = Tokens::new(WINDOWS, 1.0, 0);
        tokens.take(WINDOWS, 1.0, 1_000.0, 0);
        assert!(!tokens.is_full(WINDOWS, 999_000));
        assert!(tokens.is_full(WINDOWS, 1_000_000));
    }
}
