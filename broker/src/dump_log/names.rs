//! Which partition a raft group is: what the metadata says, also of topics that are deleted by now.

use super::metadata;
use millrace_broker::metadata::GROUP;
use millrace_broker::metadata::change::{Kind, PartitionRecord, Snapshot, TopicRecord};
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::inspect::{Directory, SegmentFile};
use millrace_broker::storage::log::Record;
use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};

/// As Kafka calls the metadata's own partition.
const METADATA: &str = "__cluster_metadata-0";

#[derive(Debug, Default)]
pub struct Names {
    partitions: BTreeMap<GroupId, (String, usize)>,
    /// Names by id, and how many partitions are known of each.
    topics: HashMap<Vec<u8>, (String, usize)>,
}

impl Names {
    /// `None` for a group that no metadata that was read speaks of.
    pub fn of(&self, group: GroupId) -> Option<String> {
        if group == GROUP {
            return Some(METADATA.to_owned());
        }
        let (topic, partition) = self.partitions.get(&group)?;
        Some(format!("{topic}-{partition}"))
    }

    /// For sorting: unknown groups last.
    pub fn order(&self, group: GroupId) -> (bool, Option<&(String, usize)>, GroupId) {
        let known = self.partitions.get(&group);
        (known.is_none() && group != GROUP, known, group)
    }

    /// Takes what a directory's metadata replica has sealed.
    pub fn learn_snapshot(&mut self, directory: &Directory) {
        let row = directory.groups.get(&GROUP);
        let Some(snapshot) = row.and_then(|row| metadata::snapshot(&row.machine)) else {
            return;
        };
        self.learn(snapshot);
    }

    fn learn(&mut self, snapshot: Snapshot) {
        for topic in snapshot.topics {
            self.add_topic(topic);
        }
    }

    /// Takes what a segment holds of the metadata's log. Damage in it is told when it is dumped.
    pub fn learn_segment(&mut self, segment: &SegmentFile) {
        let _ = segment.visit(&mut |_, record| self.learn_record(&record));
    }

    pub fn learn_record(&mut self, record: &Record) {
        let Record::Entry {
            group: GROUP,
            entry,
        } = record
        else {
            return;
        };
        match metadata::change(entry).and_then(|change| change.kind) {
            Some(Kind::TopicCreated(topic)) => {
                self.add_topic(topic);
            }
            Some(Kind::PartitionsAdded(added)) => self.add(&added.id, &added.partitions),
            _ => {}
        }
    }

    fn add_topic(&mut self, topic: TopicRecord) {
        let id = topic.id.clone();
        self.topics.entry(id).or_insert((topic.name, 0));
        self.add(&topic.id, &topic.partitions);
    }

    fn add(&mut self, id: &[u8], partitions: &[PartitionRecord]) {
        let Some((name, count)) = self.topics.get_mut(id) else {
            return;
        };
        for partition in partitions {
            // One that is known already stands in the snapshot and in the log.
            if let Entry::Vacant(unknown) = self.partitions.entry(GroupId(partition.group)) {
                unknown.insert((name.clone(), *count));
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_broker::metadata::change::{Change, PartitionsAdded};
    use prost::Message as _;
    use raft::eraftpb::Entry;

    fn partitions(groups: &[u64]) -> Vec<PartitionRecord> {
        let partition = |group: &u64| PartitionRecord {
            group: *group,
            ..PartitionRecord::default()
        };
        groups.iter().map(partition).collect()
    }

    fn created(groups: &[u64]) -> TopicRecord {
        TopicRecord {
            id: vec![7; 16],
            name: "t".to_owned(),
            partitions: partitions(groups),
            ..TopicRecord::default()
        }
    }

    fn record(kind: Kind) -> Record {
        let mut entry = Entry::default();
        entry.data = Change { kind: Some(kind) }.encode_to_vec().into();
        Record::Entry {
            group: GROUP,
            entry,
        }
    }

    #[test]
    fn what_stands_in_snapshot_and_log_is_counted_once() {
        let mut names = Names::default();
        names.learn(Snapshot {
            topics: vec![created(&[1, 2, 5])],
            ..Snapshot::default()
        });
        let added = |groups: &[u64]| {
            record(Kind::PartitionsAdded(PartitionsAdded {
                id: vec![7; 16],
                partitions: partitions(groups),
            }))
        };
        names.learn_record(&record(Kind::TopicCreated(created(&[1, 2]))));
        names.learn_record(&added(&[5]));
        names.learn_record(&added(&[9]));
        let named = [1, 2, 5, 9, 10].map(|group| names.of(GroupId(group)));
        let expected = ["t-0", "t-1", "t-2", "t-3"].map(|name| Some(name.to_owned()));
        assert_eq!(named[..4], expected);
        assert_eq!(named[4], None);
    }
}
