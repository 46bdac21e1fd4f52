//! What clients are promised, through a real socket.

#![allow(clippy::unwrap_used)]

#[path = "api/administration.rs"]
mod administration;
#[path = "api/cluster.rs"]
mod cluster;
#[path = "api/configs.rs"]
mod configs;
#[path = "api/consume.rs"]
mod consume;
#[path = "api/consumer_groups.rs"]
mod consumer_groups;
#[path = "api/directories.rs"]
mod directories;
#[path = "api/epochs.rs"]
mod epochs;
#[path = "api/group_configs.rs"]
mod group_configs;
#[path = "api/groups.rs"]
mod groups;
#[path = "api/produce.rs"]
mod produce;
#[path = "api/producers.rs"]
mod producers;
#[path = "api/quotas.rs"]
mod quotas;
#[path = "api/records.rs"]
mod records;
#[path = "api/rig.rs"]
mod rig;
#[path = "api/telemetry.rs"]
mod telemetry;
#[path = "api/throttling.rs"]
mod throttling;
#[path = "api/topics.rs"]
mod topics;
#[path = "api/versions.rs"]
mod versions;
