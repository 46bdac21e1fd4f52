//! What the apis of groups have in common.

use super::topics;
use super::{Call, text};
use crate::group::Name;
use crate::group::classic::Client;
use crate::replicas::Hosting;
use millrace_wire::ErrorCode;
use millrace_wire::messages::{GroupId, StrBytes, TopicName, Uuid};

/// Operations on a group that an authorizer could grant, by their codes; without one they all are: read, delete, describe,
/// describe and alter its settings.
pub const OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub fn name(text: &StrBytes) -> Name {
    Name::from(text.as_str())
}

pub fn optional(text: Option<&StrBytes>) -> Option<Name> {
    text.map(name)
}

pub fn string(name: &Name) -> StrBytes {
    text(&**name)
}

/// Members have none; tools and simple consumers may have an empty one where that is no group's name.
pub fn named(group: &GroupId) -> Result<&str, ErrorCode> {
    match group.as_str() {
        "" => Err(ErrorCode::InvalidGroupId),
        group => Ok(group),
    }
}

pub fn client(call: &Call) -> Client {
    Client {
        id: call.client_id.as_ref().map(name).unwrap_or_default(),
        // As Java writes an address.
        host: format!("/{}", call.caller.address.ip().to_canonical()).into(),
    }
}

/// The code of what went well, or of what did not.
pub fn code(result: Option<ErrorCode>) -> i16 {
    result.unwrap_or(ErrorCode::None).code()
}

/// A topic's name as a request gives it, and whether it has this partition.
pub fn topic_of(
    hosting: &Hosting,
    name: &TopicName,
    id: &Uuid,
    by_id: bool,
) -> Result<(Name, usize), ErrorCode> {
    let found = topics::find(hosting, name, id, by_id)?;
    Ok((Name::from(&*found.topic.name), found.topic.partitions.len()))
}
