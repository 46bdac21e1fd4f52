//! Waits with a deadline that say what they waited for.

use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
