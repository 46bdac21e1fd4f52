//! The console's producer and consumer.

pub mod consumer;
mod formatter;
pub mod producer;
mod reader;

/// What a process ends with that SIGINT and SIGTERM end, as a JVM does after its shutdown hooks.
const INTERRUPTED: u8 = 130;
pub const TERMINATED: u8 = 143;
