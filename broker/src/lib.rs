//! The broker, bottom layer first: [`config`] (every setting), [`raft`] (many groups on few threads), [`storage`] (the
//! shared log and the column families) and [`partition`] (one replicated topic-partition). `tests/layers.rs` holds who may import whom.

pub mod admin;
pub mod api;
pub mod budget;
pub mod clock;
pub mod cluster;
pub mod complaints;
pub mod config;
pub mod engine;
pub mod group;
pub mod identity;
pub mod metadata;
pub mod metrics;
pub mod net;
pub mod partition;
pub mod peers;
pub mod quota;
pub mod raft;
pub mod replicas;
pub mod server;
pub mod storage;
pub mod telemetry;
