//! Many raft groups on few threads.
//!
//! [`ports`] says what it needs; [`worker`] is the deterministic core that owns groups and never waits.

pub mod ports;
pub mod worker;
