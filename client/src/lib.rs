//! A small asynchronous Kafka client, for the tools, the operator and tests.
//!
//! - [`Client`]: connections to a cluster's brokers, versions negotiated with each, and what its brokers say of its topics
//!   ([`Metadata`]);
//! - [`admin`]: one function for each thing an administrator asks, on [`Client`];
//! - [`producer`]: batches, compression, retries in order, idempotence;
//! - [`consumer`]: partitions assigned by hand, from a position, with `read_committed`, or shared by a group;
//! - [`connection`]: one connection, its requests pipelined and answered in order;
//! - [`properties`]: the settings that Kafka's tools take, in files and as options.
//!
//! **Invariant:** every queue, frame and wait is bounded: a broker that lies or says nothing costs a bounded amount of memory
//! and time. Nothing here knows the broker's code; it is reached through the protocol only.

pub mod address;
pub mod admin;
mod client;
pub mod config;
pub mod connection;
pub mod consumer;
mod error;
mod metadata;
pub mod producer;
pub mod properties;
mod versions;

pub use client::{Client, Topics};
pub use config::ClientConfig;
pub use error::Error;
pub use metadata::{Broker, Metadata, Partition, Topic, TopicPartition};
pub use versions::Versions;

pub use millrace_wire as wire;
pub use millrace_wire::uuid;
