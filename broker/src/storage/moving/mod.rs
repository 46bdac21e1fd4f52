//! A replica on its way from one directory of a broker to another.
//!
//! Order, each arrow safe to crash on: *arriving* row there -> runs copied there, while the old directory goes on -> the group
//! stops -> the rest of its log written and synced there -> *leaving* row here -> there, as one durable change, the group's row
//! takes the place of the *arriving* one -> the group goes on there -> here it is deleted.
//!
//! That one change decides. Both marks hold the same [`MoveId`]; who opens the directories knows by them whose the group is, in
//! whatever state they were left ([`settle`]):
//!
//! - A group's row without *leaving* owns. What lies elsewhere of it is a half copy, or what was left behind.
//! - A group's row with *leaving* owns if its *arriving* counterpart is still there: nothing was taken over.
//! - Otherwise it has another owner, which is in no open directory, and stays offline. It must not go on: what it lacks may have
//!   been acknowledged.
//!
//! **Invariant:** an *arriving* row goes only after the *leaving* row of the same move is known not to be there.

mod arrival;
mod settle;
mod take_over;

pub(super) use arrival::Arrival;
pub use arrival::{Arrived, Copied};
pub use settle::{Aside, settle};
pub use take_over::Failed;
