//! Quotas: what may be set. [`rules`] is Kafka's for that.

mod kind;
pub mod rules;

pub use kind::Kind;
