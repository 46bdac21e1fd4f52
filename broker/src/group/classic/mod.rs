//! A classic group: its members agree on a protocol, one of them assigns, and the coordinator passes on what it said without
//! understanding it.
//!
//! A generation begins when everybody who is still alive has joined ([`join`], [`rebalance`]), and is settled when its leader
//! has handed in the assignment ([`sync`]). Members that go, by themselves or by silence, begin the next ([`leave`]).

mod join;
mod leave;
mod member;
mod migration;
mod offsets;
mod rebalance;
mod record;
mod state;
mod static_members;
mod sync;
mod topics;

pub use join::Join;
pub use leave::{Leaving, Left};
pub use member::{Client, Member};
pub use record::tombstone;
pub use state::{Claim, ClassicGroup, State};
pub use sync::Sync;
