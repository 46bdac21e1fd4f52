//! Many raft groups on few threads.
//!
//! [`ports`] says what it needs of the world; [`worker`] is the deterministic core that owns groups and never waits;
//! [`runtime`] is its thread. A group's life is in `group` (proposals, ticks, leadership), `message` (what peers say), `ready` (what
//! raft wants done) and `membership`; `guard` keeps a failing log from panicking inside crate `raft`.
//!
//! **Invariant:** no message that promises something and no answer that acknowledges something leaves before the write it
//! rests on is durable.

mod batch;
mod group;
mod guard;
mod logger;
mod membership;
mod message;
pub mod ports;
mod proposal;
mod queue;
mod ready;
pub mod reply;
pub mod runtime;
pub mod settings;
mod slots;
mod status;
mod waiters;
pub mod worker;

#[cfg(test)]
mod tests;

pub use guard::OpenError;
pub use membership::ChangeRefusal;
pub use reply::{Failure, Reply};
pub use settings::Settings;
pub use status::{Progress, Role, Status};
pub use worker::{Delivery, GroupConfig, Worker};
