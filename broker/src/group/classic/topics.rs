//! The one thing that the coordinator does understand of what members say: which topics a consumer reads. Offsets of other
//! topics may expire.

use super::state::ClassicGroup;
use crate::group::Name;
use bytes::{Buf, Bytes};
use std::collections::BTreeSet;

/// What consumers call their kind of group.
const CONSUMER: &str = "consumer";

impl ClassicGroup {
    /// Members are consumers, and have said so since the group began.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The topics that the members read; `None` when that cannot be known.
    pub fn subscribed_topics(&self) -> Option<BTreeSet<Name>> {
        if !self.is_of_consumers() {
            return None;
        }
        // Who is not there reads nothing.
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(self.metadata_of(member))?);
        }
        Some(topics)
    }
}

/// The topics of a `ConsumerProtocolSubscription`, which begin it in every version.
fn subscription(mut bytes: Bytes) -> Option<Vec<Name>> {
    let version = bytes.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if bytes.remaining() < length {
            return None;
        }
        let topic = bytes.split_to(length);
        topics.push(std::str::from_utf8(&topic).ok()?.into());
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_subscription_are_read() {
        let bytes = Bytes::from_static(b"\0\x01\0\0\0\x02\0\x01a\0\x02bcrest");
        let expected: Vec<Name> = vec!["a".into(), "bc".into()];
        assert_eq!(subscription(bytes), Some(expected));
    }

    #[test]
    fn what_is_no_subscription_says_nothing() {
        for bad in [
            &b""[..],
            b"\0\x01",
            b"\xff\xff\0\0\0\0",
            b"\0\x01\x7f\xff\xff\xff",
            b"\0\x01\0\0\0\x01\0\x05abc",
            b"\0\x01\xff\xff\xff\xff",
            b"\0\x01\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(subscription(Bytes::from_static(bad)), None, "{bad:?}");
        }
    }
}
