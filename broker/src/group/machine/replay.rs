//! The machine from its log.

use super::{Group, Machine};
use crate::group::classic::ClassicGroup;
use crate::group::consumer::ConsumerGroup;
use crate::group::effects::Effects;
use crate::group::{Name, Now, Scene};
use millrace_wire::group_records::{GroupRecord, OffsetCommitKey};

impl Machine {
    /// The next record of the log.
    pub fn replay(&mut self, record: &GroupRecord) {
        if let Some(group) = ConsumerGroup::of_record(record) {
            return self.replay_consumer(&Name::from(group), record);
        }
        match record {
            GroupRecord::OffsetCommit(key, value) => {
                self.offsets.replay(key, value.as_ref());
                let is_kept = value.is_some();
                self.replay_group_of(key, is_kept);
            }
            GroupRecord::GroupMetadata(key, value) => {
                let id = Name::from(&*key.group);
                match value {
                    Some(value) => {
                        let group = ClassicGroup::replayed(id.clone(), value);
                        self.groups.insert(id, Group::Classic(group));
                    }
                    // A group that has changed its protocol is not gone.
                    None => {
                        if let Some(Group::Classic(_)) = self.groups.get(&id) {
                            self.groups.remove(&id);
                        }
                    }
                }
            }
            // Of Kafka's from before it had version 1 of the key (0.8.2), and of kinds of groups that are not served.
            _ => {}
        }
    }

    /// Offsets may come without their group having been written: nobody was ever in it.
    fn replay_group_of(&mut self, key: &OffsetCommitKey, is_kept: bool) {
        if is_kept && !self.groups.contains_key(&*key.group) {
            let id = Name::from(&*key.group);
            // Its offsets expire by their own time.
            let group = ClassicGroup::new(id.clone(), -1);
            self.groups.insert(id, Group::Classic(group));
        }
    }

    fn replay_consumer(&mut self, id: &Name, record: &GroupRecord) {
        let is_there = matches!(self.groups.get(id), Some(Group::Consumer(_)));
        if !is_there {
            if ConsumerGroup::is_tombstone(record) {
                return;
            }
            let group = ConsumerGroup::new(id.clone());
            self.groups.insert(id.clone(), Group::Consumer(group));
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(id)
            && !group.replay(record)
        {
            self.groups.remove(id);
        }
    }

    /// After the last record.
    pub fn resume(&mut self, now: Now, effects: &mut Effects) {
        let Machine {
            settings,
            catalog,
            groups,
            timers,
            ..
        } = self;
        for group in groups.values_mut() {
            let mut scene = Scene {
                now,
                settings,
                catalog,
                timers,
                effects,
            };
            match group {
                Group::Classic(group) => group.resume(&mut scene),
                Group::Consumer(group) => group.resume(&mut scene),
            }
        }
    }
}
