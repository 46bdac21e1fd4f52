//! Golden scripts: commands, one a line, and the exact trace of what they come to. `UPDATE_EXPECT=1 cargo test` writes the
//! traces anew; read what changed.
#![allow(clippy::unwrap_used)]

mod classic;
mod consumer;
mod migration;
mod offsets;
mod owners;
mod play;
mod replay;
