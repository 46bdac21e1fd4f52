//! Client sockets: frames in, frames out, in order and bounded.
//!
//! [`listen`] accepts and counts, [`connection`] serves one client, [`frame`] reads its requests. What a request means is the
//! business of `api`.

mod connection;
mod frame;
mod listen;
mod pace;

pub use listen::{Limits, Listening, listen};
