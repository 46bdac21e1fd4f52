//! The one thing that the coordinator does understand of what members say: which topics a consumer reads. Offsets of other
//! topics may expire.

use super::state::ClassicGroup;
use crate::group::Name;
use millrace_wire::consumer_protocol::{PROTOCOL_TYPE, Subscription};
use std::collections::BTreeSet;

impl ClassicGroup {
    /// Members are consumers, and have said so since the group began.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(PROTOCOL_TYPE)
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
            let subscription = Subscription::decode(self.metadata_of(member)).ok()?;
            topics.extend(subscription.topics.into_iter().map(Name::from));
        }
        Some(topics)
    }
}
