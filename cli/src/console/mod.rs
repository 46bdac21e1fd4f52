//! The console's producer and consumer.

pub mod consumer;
mod formatter;
pub mod producer;
mod reader;
