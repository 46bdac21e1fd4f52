//! What is stated of Kafka, one line each: `ok <statement>` or `FAIL <statement>: why`.

use std::cell::Cell;
use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// Why a statement does not hold.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Default)]
pub struct Statements {
    held: Cell<usize>,
    failed: Cell<usize>,
}

impl Statements {
    pub fn states(&self, statement: &str, body: impl FnOnce() -> Outcome) {
        match body() {
            Ok(()) => {
                self.held.set(self.held.get() + 1);
                println!("ok {statement}");
            }
            Err(why) => {
                self.failed.set(self.failed.get() + 1);
                println!("FAIL {statement}: {}", why.to_string().replace('\n', " "));
            }
        }
    }

    pub fn end(&self) -> ! {
        println!(
            "{} statements hold, {} do not",
            self.held.get(),
            self.failed.get()
        );
        std::process::exit(i32::from(self.failed.get() > 0))
    }
}

pub fn expect<T: PartialEq + Debug>(what: &str, expected: T, actual: T) -> Outcome {
    if expected == actual {
        return Ok(());
    }
    let shown = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    Err(format!(
        "{what}: expected {}, got {}",
        shown(&expected),
        shown(&actual)
    )
    .into())
}

pub fn eventually(what: &str, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            return Err(format!("not within {} s: {what}", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit for millions of years")
}

/// A topic or group no run used before.
pub fn name(hint: &str) -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    format!("rdkafka-{:x}-{hint}", since.as_nanos())
}

/// Bytes no compressor makes smaller, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(step).collect()
}
