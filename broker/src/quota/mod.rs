//! Quotas: what may be set, whom it holds for, and how much somebody has taken of it.
//!
//! [`rules`] is Kafka's for what may be set; [`Table`] finds the quota of a user and a client id; [`Rate`] and [`Tokens`] measure, and
//! [`meters`] keeps them for those who were here lately. Time is a parameter of all of it, in milliseconds of any one clock that
//! does not go back. [`Limiter`] is what those hold who serve requests: a cheap question where nothing is set.
//!
//! It mutes no connection: how long that is to be is its answer.

mod kind;
mod limiter;
pub mod meters;
mod rate;
pub mod rules;
mod table;
mod tokens;

pub use kind::Kind;
pub use limiter::Limiter;
pub use rate::{Rate, Windows};
pub use table::{Limit, Sharing, Table, Who};
pub use tokens::Tokens;
