//! What those have taken who were here lately.

use super::rate::{Rate, Windows};
use super::tokens::Tokens;
use std::collections::HashMap;
use std::hash::Hash;

/// As many as are told apart. Further ones share a meter until others are forgotten: nobody escapes a quota by a new name.
const MAX: usize = 10_000;

/// A measurement that is after some rest as if it had never been made.
pub trait Meter {
    fn is_spent(&self, windows: Windows, now_ms: u64) -> bool;
}

impl Meter for Rate {
    fn is_spent(&self, windows: Windows, now_ms: u64) -> bool {
        Rate::is_spent(self, windows, now_ms)
    }
}

impl Meter for Tokens {
    fn is_spent(&self, windows: Windows, now_ms: u64) -> bool {
        self.is_full(windows, now_ms)
    }
}

#[derive(Debug)]
pub struct Meters<K, M> {
    by_key: HashMap<K, M>,
    /// Of those who found no place.
    others: Option<M>,
    max: usize,
    windows: Windows,
    swept_ms: u64,
}

/// Those who rest are looked for so often, at most.
const SWEEP_MS: u64 = 1_000;

impl<K: Hash + Eq, M: Meter> Meters<K, M> {
    pub fn new(windows: Windows) -> Meters<K, M> {
        Meters::bounded(windows, MAX)
    }

    fn bounded(windows: Windows, max: usize) -> Meters<K, M> {
        Meters {
            by_key: HashMap::new(),
            others: None,
            max,
            windows,
            swept_ms: 0,
        }
    }

    pub fn get(&mut self, key: K, now_ms: u64, new: impl FnOnce() -> M) -> &mut M {
        if !self.by_key.contains_key(&key) {
            self.sweep(now_ms);
            if self.by_key.len() >= self.max {
                return self.others.get_or_insert_with(new);
            }
        }
        self.by_key.entry(key).or_insert_with(new)
    }

    fn sweep(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            let is_spent = |meter: &M| meter.is_spent(self.windows, now_ms);
            self.by_key.retain(|_, meter| !is_spent(meter));
            if self.others.as_ref().is_some_and(is_spent) {
                self.others = None;
            }
        }
    }

    pub fn clear(&mut self) {
        self.by_key.clear();
        self.others = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spent 10 s after it was made.
    struct Made(u64);

    impl Meter for Made {
        fn is_spent(&self, _: Windows, now_ms: u64) -> bool {
            now_ms - self.0 >= 10_000
        }
    }

    #[test]
    fn those_who_find_no_place_share_one_until_others_are_forgotten() {
        let mut meters = Meters::bounded(Windows::new(1, 1), 2);
        let mut made = |key: u32, now_ms| meters.get(key, now_ms, || Made(now_ms)).0;
        assert_eq!(made(1, 1), 1);
        assert_eq!(made(2, 2), 2);
        assert_eq!(made(3, 3), 3);
        assert_eq!(made(4, 4), 3, "it shares");
        assert_eq!(made(1, 5), 1, "who is known keeps their own");
        assert_eq!(made(5, 10_001), 10_001, "the first is forgotten");
        assert_eq!(made(2, 10_500), 2);
        assert_eq!(made(3, 11_500), 11_500);
    }
}
