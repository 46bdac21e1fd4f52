#![allow(clippy::unwrap_used)]

mod cluster;
mod faults;
mod ledger;
mod memory;
mod network;
mod shell;
mod simulation;
mod single;
