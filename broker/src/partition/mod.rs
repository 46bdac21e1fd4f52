//! One replicated topic-partition.

pub mod aborted;
mod codec;
pub mod command;
pub mod config;
pub mod epochs;
pub mod producer;
pub mod producers;
pub mod shared;
