//! How far groups have read: committed offsets, by group, topic and partition.

use super::Name;
use millrace_wire::group_records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use millrace_wire::messages::StrBytes;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// Of the last record read; -1 where the client does not say.
    pub leader_epoch: i32,
    /// Whatever the client wants to keep beside it.
    pub metadata: StrBytes,
    pub commit_ms: i64,
    /// Of clients that say how long to keep it (OffsetCommit before version 5).
    pub expire_ms: Option<i64>,
    /// Nil where the client named the topic.
    pub topic_id: Uuid,
}

pub type Topics = BTreeMap<Name, BTreeMap<i32, Committed>>;

#[derive(Debug, Default)]
pub struct Offsets {
    groups: HashMap<Name, Topics>,
}

impl Offsets {
    pub fn set(&mut self, group: &Name, topic: Name, partition: i32, committed: Committed) {
        let topics = self.groups.entry(group.clone()).or_default();
        topics
            .entry(topic)
            .or_default()
            .insert(partition, committed);
    }

    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    pub fn groups(&self) -> impl Iterator<Item = (&Name, &Topics)> {
        self.groups.iter()
    }

    /// All of a group; `None` if it has none.
    pub fn of(&self, group: &str) -> Option<&Topics> {
        self.groups.get(group)
    }

    pub fn remove(&mut self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        let topics = self.groups.get_mut(group)?;
        let partitions = topics.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
        removed
    }

    /// Takes out what `is_gone`, and says so to the log. Whether nothing is left.
    pub fn remove_if(
        &mut self,
        group: &Name,
        records: &mut Vec<GroupRecord>,
        is_gone: impl Fn(&str, i32, &Committed) -> bool,
    ) -> bool {
        let Some(topics) = self.groups.get_mut(group) else {
            return true;
        };
        topics.retain(|topic, partitions| {
            partitions.retain(|partition, committed| {
                let is_gone = is_gone(topic, *partition, committed);
                if is_gone {
                    records.push(tombstone(group, topic, *partition));
                }
                !is_gone
            });
            !partitions.is_empty()
        });
        let is_empty = topics.is_empty();
        if is_empty {
            self.groups.remove(group);
        }
        is_empty
    }

    pub fn replay(&mut self, key: &OffsetCommitKey, value: Option<&OffsetCommitValue>) {
        let (group, topic) = (Name::from(&*key.group), Name::from(&*key.topic));
        match value {
            Some(value) => self.set(&group, topic, key.partition, Committed::replayed(value)),
            None => {
                self.remove(&group, &topic, key.partition);
            }
        }
    }
}

impl Committed {
    pub fn record(&self, group: &str, topic: &str, partition: i32) -> GroupRecord {
        let value = OffsetCommitValue::default()
            .with_offset(self.offset)
            .with_leader_epoch(self.leader_epoch)
            .with_metadata(self.metadata.clone())
            .with_commit_timestamp(self.commit_ms)
            .with_expire_timestamp(self.expire_ms.unwrap_or(-1))
            .with_topic_id(self.topic_id);
        GroupRecord::OffsetCommit(key(group, topic, partition), Some(value))
    }

    fn replayed(value: &OffsetCommitValue) -> Committed {
        Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            commit_ms: value.commit_timestamp,
            expire_ms: Some(value.expire_timestamp).filter(|ms| *ms != -1),
            topic_id: value.topic_id,
        }
    }
}

pub fn tombstone(group: &str, topic: &str, partition: i32) -> GroupRecord {
    GroupRecord::OffsetCommit(key(group, topic, partition), None)
}

fn key(group: &str, topic: &str, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey::default()
        .with_group(StrBytes::from_string(group.to_owned()))
        .with_topic(StrBytes::from_string(topic.to_owned()))
        .with_partition(partition)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn committed(offset: i64, commit_ms: i64) -> Committed {
        Committed {
            offset,
            leader_epoch: 3,
            metadata: StrBytes::from_static_str("why"),
            commit_ms,
            expire_ms: None,
            topic_id: Uuid::nil(),
        }
    }

    #[test]
    fn what_was_committed_is_found_again_after_its_records_are_read() {
        let records = [
            committed(5, 1).record("g", "t", 0),
            committed(6, 1).record("g", "t", 1),
            committed(9, 2).record("g", "t", 0),
            tombstone("g", "t", 1),
        ];
        let mut offsets = Offsets::default();
        for record in &records {
            let (key, value) = record.encode().unwrap();
            let read = GroupRecord::decode(key, value).unwrap().unwrap();
            let GroupRecord::OffsetCommit(key, value) = &read else {
                panic!("{read:?}");
            };
            offsets.replay(key, value.as_ref());
        }
        assert_eq!(offsets.get("g", "t", 0), Some(&committed(9, 2)));
        assert_eq!(offsets.get("g", "t", 1), None);
        assert_eq!(offsets.of("other"), None);
    }

    #[test]
    fn what_is_removed_is_said_to_the_log_and_nothing_else_is() {
        let mut offsets = Offsets::default();
        let group = Name::from("g");
        offsets.set(&group, "t".into(), 0, committed(1, 10));
        offsets.set(&group, "t".into(), 1, committed(1, 20));
        offsets.set(&group, "u".into(), 0, committed(1, 10));
        let mut records = Vec::new();
        let is_empty = offsets.remove_if(&group, &mut records, |_, _, one| one.commit_ms < 20);
        assert!(!is_empty);
        assert_eq!(records, [tombstone("g", "t", 0), tombstone("g", "u", 0)]);
        assert_eq!(offsets.of("g").unwrap().len(), 1);
        assert!(offsets.remove_if(&group, &mut records, |_, _, _| true));
        assert_eq!(offsets.of("g"), None);
    }
}
