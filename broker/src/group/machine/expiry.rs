//! Offsets that nobody has a use for any more, and groups that nobody is in.

use super::{Group, Machine};
use crate::group::classic::State;
use crate::group::effects::Effects;
use crate::group::{Name, Now};

/// From when on a group's offsets age.
enum Ages {
    Never,
    /// All together.
    Since(i64),
    /// Each since it was committed, those of topics that are read not at all.
    Unread,
    /// Each since it was committed.
    Each,
}

impl Machine {
    /// The topics are no more.
    pub fn forget_topics(&mut self, effects: &mut Effects, topics: &[Name]) {
        for id in self.groups.keys() {
            self.offsets
                .remove_if(id, &mut effects.records, |topic, _, _| {
                    topics.iter().any(|gone| **gone == *topic)
                });
        }
    }

    /// Takes out what is too old.
    pub fn expire(&mut self, now: Now, effects: &mut Effects) {
        let ids: Vec<Name> = self.groups.keys().cloned().collect();
        for id in ids {
            self.expire_group(&id, now, effects);
        }
    }

    fn expire_group(&mut self, id: &Name, now: Now, effects: &mut Effects) {
        let Some(group) = self.groups.get(id) else {
            return;
        };
        let ages = ages(group);
        let topics = group.subscribed_topics();
        let is_empty = group.is_empty();
        let retention_ms = self.settings.offsets_retention_ms;
        let is_old = |since_ms: i64| now.wall_ms.saturating_sub(since_ms) >= retention_ms;
        let nothing_left =
            self.offsets
                .remove_if(id, &mut effects.records, |topic, _, committed| {
                    let since_ms = match ages {
                        Ages::Never => return false,
                        Ages::Since(ms) if ms >= 0 => ms,
                        Ages::Since(_) | Ages::Each => committed.commit_ms,
                        Ages::Unread => {
                            if topics.as_ref().is_some_and(|topics| topics.contains(topic)) {
                                return false;
                            }
                            committed.commit_ms
                        }
                    };
                    match committed.expire_ms {
                        Some(ms) => now.wall_ms >= ms,
                        None => is_old(since_ms),
                    }
                });
        if nothing_left && is_empty {
            effects.records.extend(group.tombstones(id));
            self.groups.remove(id);
        }
    }
}

fn ages(group: &Group) -> Ages {
    let Group::Classic(group) = group else {
        return Ages::Unread;
    };
    match group.state() {
        _ if group.protocol_type().is_none() => Ages::Each,
        State::Empty => Ages::Since(group.since_ms()),
        State::Stable if group.subscribed_topics().is_some() => Ages::Unread,
        _ => Ages::Never,
    }
}
