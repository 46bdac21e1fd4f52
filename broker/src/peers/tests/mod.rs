//! Brokers that talk over real connections on the loopback.

mod cluster;
mod links;
