//! Consumer groups: who is in them, which partitions each member reads, and how far they have read.
//!
//! A group belongs to one partition of `__consumer_offsets`, and is coordinated by the broker that leads it. What must
//! survive is kept there in Kafka's own records. The rules are pure: [`machine::Machine`] is told a request and the time, and
//! says what to append and whom to answer; [`coordinator`] gives it a log, a clock and clients, and [`Groups`] keeps one for each
//! partition that is led here.
//!
//! **Architecture invariant:** the machine changes at once, and no answer leaves before the records that came with it, or
//! before it, are committed. If an append fails, the machine is thrown away and read again from the log.

pub mod catalog;
pub mod classic;
pub mod consumer;
pub mod coordinator;
mod current;
pub mod effects;
mod groups;
mod log;
pub mod machine;
pub mod offsets;
pub mod placement;
pub mod settings;
#[cfg(test)]
mod tests;
mod timers;

pub use groups::{Groups, OFFSETS_TOPIC};

use millrace_wire::ErrorCode;
use std::sync::Arc;

/// Of a group, a member, a topic: kept in many places.
pub type Name = Arc<str>;

/// A pure step's surroundings.
pub struct Scene<'a> {
    pub now: Now,
    pub settings: &'a settings::Settings,
    pub catalog: &'a catalog::Catalog,
    pub timers: &'a mut timers::Timers,
    pub effects: &'a mut effects::Effects,
}

/// Why a request is refused, and in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
        }
    }
}

/// In Kafka's own words.
impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::new(code, code.message())
    }
}

/// Two clocks, read once for each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never goes back; time-outs go by it.
    pub clock_ms: u64,
    /// Since 1970; what is written down goes by it.
    pub wall_ms: i64,
}

/// A member's id, for who has none yet: its own name, or its instance's, and something that nobody else has.
pub fn new_member_id(client_id: &str, instance_id: Option<&str>) -> Name {
    let begin = instance_id.unwrap_or(client_id);
    format!("{begin}-{}", uuid::Uuid::new_v4()).into()
}
