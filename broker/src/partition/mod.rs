//! One replicated topic-partition, as a pure state machine: no socket, no clock, no disk.
//!
//! [`command`] is what can be asked, [`state`] decides and applies it, [`shared`] is the cheap handle that others hold.
//! Below them: [`append`] checks and patches a client's batches; [`producer`] and [`producers`] make appends idempotent and
//! transactional; [`epochs`] and [`aborted`] are the history that consumers ask for; [`timestamps`] finds offsets by time.
//! [`config`] is what a partition must know of its topic.
//!
//! **Invariant:** `log_start <= last_stable <= high_watermark <= log_end`. Clocks, configuration and clients matter to a
//! leader's `prepare` only; `apply` follows from the entries alone.

pub mod aborted;
pub mod append;
pub mod cleaner;
mod codec;
pub mod command;
mod committed;
pub mod compaction;
pub mod config;
pub mod epochs;
pub mod producer;
pub mod producers;
pub mod shared;
pub mod state;
mod tail;
#[cfg(test)]
mod tests;
pub mod timestamps;
mod tracked;

pub use codec::DecodeError;
pub use command::{Append, Appended, Command, Origin, Output, Refusal, SetLogStart};
pub use committed::Fault;
pub use config::TopicConfig;
pub use producer::ProducerRefusal;
pub use shared::{Mark, PartitionView, Positions, Role, Turnovers, WaitEnded};
pub use state::Partition;
pub use tracked::TrackError;
