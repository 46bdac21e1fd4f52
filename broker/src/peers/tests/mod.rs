//! Brokers that talk over real connections on the loopback, and what others may try on their port.

mod cluster;
mod delivery;
mod frames;
mod handshake;
mod intruders;
mod links;
mod messages;
