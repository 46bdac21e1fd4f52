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

use std::sync::Arc;

/// Of a group, a member, a topic: kept in many places.
pub type Name = Arc<str>;

/// A pure step's surroundings.
pub struct Scene<'a> {
    pub now: Now,
    pub settings: &'a settings::Settings,
    pub timers: &'a mut timers::Timers,
    pub effects: &'a mut effects::Effects,
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
