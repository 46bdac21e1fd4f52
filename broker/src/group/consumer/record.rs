//! A consumer group in the log, in Kafka's records, and back.

use super::group::ConsumerGroup;
use super::member::{ClassicSide, Member, Position, Said, State};
use super::pattern::Matches;
use super::{Held, Partitions};
use crate::group::classic::Client;
use crate::group::{Name, Scene};
use millrace_wire::group_records::consumer_group_current_member_assignment_value::TopicPartitions;
use millrace_wire::group_records::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol,
};
use millrace_wire::group_records::consumer_group_target_assignment_member_value::TopicPartition;
use millrace_wire::group_records::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue, GroupRecord,
};
use millrace_wire::messages::StrBytes;

fn text(name: &str) -> StrBytes {
    StrBytes::from_string(name.to_owned())
}

fn name(text: &StrBytes) -> Name {
    Name::from(&**text)
}

impl Member {
    pub(super) fn record(&self, group: &str) -> GroupRecord {
        let said = &self.said;
        let optional = |name: &Option<Name>| name.as_deref().map(text);
        let classic = said.classic.as_ref().map(|classic| {
            let protocols = classic.protocols.iter().map(|(name, metadata)| {
                ClassicProtocol::default()
                    .with_name(text(name))
                    .with_metadata(metadata.clone())
            });
            ClassicMemberMetadata::default()
                .with_session_timeout_ms(classic.session_timeout_ms)
                .with_supported_protocols(protocols.collect())
        });
        let value = ConsumerGroupMemberMetadataValue::default()
            .with_instance_id(optional(&said.instance_id))
            .with_rack_id(optional(&said.rack_id))
            .with_client_id(text(&said.client.id))
            .with_client_host(text(&said.client.host))
            .with_subscribed_topic_names(said.topics.iter().map(|name| text(name)).collect())
            .with_subscribed_topic_regex(optional(&said.pattern))
            .with_rebalance_timeout_ms(said.rebalance_timeout_ms)
            .with_server_assignor(optional(&said.assignor))
            .with_classic_member_metadata(classic);
        GroupRecord::ConsumerGroupMemberMetadata(member_key(group, &self.id), Some(value))
    }
}

fn member_key(group: &str, member: &str) -> ConsumerGroupMemberMetadataKey {
    ConsumerGroupMemberMetadataKey::default()
        .with_group_id(text(group))
        .with_member_id(text(member))
}

fn position_key(group: &str, member: &str) -> ConsumerGroupCurrentMemberAssignmentKey {
    ConsumerGroupCurrentMemberAssignmentKey::default()
        .with_group_id(text(group))
        .with_member_id(text(member))
}

fn target_key(group: &str, member: &str) -> ConsumerGroupTargetAssignmentMemberKey {
    ConsumerGroupTargetAssignmentMemberKey::default()
        .with_group_id(text(group))
        .with_member_id(text(member))
}

fn pattern_key(group: &str, pattern: &str) -> ConsumerGroupRegularExpressionKey {
    ConsumerGroupRegularExpressionKey::default()
        .with_group_id(text(group))
        .with_regular_expression(text(pattern))
}

fn written(held: &Held) -> Vec<TopicPartitions> {
    let topics = held.iter().map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic_id(*topic)
            .with_partitions(partitions.keys().copied().collect())
            .with_assignment_epochs(Some(partitions.values().copied().collect()))
    });
    topics.collect()
}

/// Records of before partitions had epochs say the member's.
fn read(topics: &[TopicPartitions], member_epoch: i32) -> Held {
    let topics = topics.iter().map(|topic| {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        let partitions = topic.partitions.iter().enumerate();
        let partitions = partitions
            .map(|(at, partition)| (*partition, epochs.get(at).copied().unwrap_or(member_epoch)));
        (topic.topic_id, partitions.collect())
    });
    topics.collect()
}

impl ConsumerGroup {
    pub(super) fn record(&self) -> GroupRecord {
        let value = ConsumerGroupMetadataValue::default()
            .with_epoch(self.epoch)
            .with_metadata_hash(self.metadata_hash);
        GroupRecord::ConsumerGroupMetadata(group_key(&self.id), Some(value))
    }

    pub(super) fn target_epoch_record(&self) -> GroupRecord {
        let key = ConsumerGroupTargetAssignmentMetadataKey::default().with_group_id(text(&self.id));
        let value = ConsumerGroupTargetAssignmentMetadataValue::default()
            .with_assignment_epoch(self.target.epoch)
            .with_assignment_timestamp(self.target.at_ms);
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(key, Some(value))
    }

    pub(super) fn target_record(&self, member: &str, target: &Partitions) -> GroupRecord {
        let topics = target.iter().map(|(topic, partitions)| {
            TopicPartition::default()
                .with_topic_id(*topic)
                .with_partitions(partitions.iter().copied().collect())
        });
        let value = ConsumerGroupTargetAssignmentMemberValue::default()
            .with_topic_partitions(topics.collect());
        GroupRecord::ConsumerGroupTargetAssignmentMember(target_key(&self.id, member), Some(value))
    }

    pub(super) fn position_record(&self, member: &str, at: &Position) -> GroupRecord {
        let value = ConsumerGroupCurrentMemberAssignmentValue::default()
            .with_member_epoch(at.epoch)
            .with_previous_member_epoch(at.previous_epoch)
            .with_state(at.state.code())
            .with_assigned_partitions(written(&at.assigned))
            .with_partitions_pending_revocation(written(&at.revoking));
        let key = position_key(&self.id, member);
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value))
    }

    pub(super) fn pattern_record(&self, pattern: &str, matches: &Matches) -> GroupRecord {
        let value = ConsumerGroupRegularExpressionValue::default()
            .with_topics(matches.topics.iter().map(|name| text(name)).collect())
            .with_version(i64::try_from(matches.version).unwrap_or(i64::MAX))
            .with_timestamp(matches.at_ms);
        GroupRecord::ConsumerGroupRegularExpression(pattern_key(&self.id, pattern), Some(value))
    }

    pub(super) fn member_tombstone(&self, member: &str) -> GroupRecord {
        GroupRecord::ConsumerGroupMemberMetadata(member_key(&self.id, member), None)
    }

    pub(super) fn position_tombstone(&self, member: &str) -> GroupRecord {
        GroupRecord::ConsumerGroupCurrentMemberAssignment(position_key(&self.id, member), None)
    }

    pub(super) fn target_tombstone(&self, member: &str) -> GroupRecord {
        GroupRecord::ConsumerGroupTargetAssignmentMember(target_key(&self.id, member), None)
    }

    pub(super) fn pattern_tombstone(&self, pattern: &str) -> GroupRecord {
        GroupRecord::ConsumerGroupRegularExpression(pattern_key(&self.id, pattern), None)
    }

    /// What takes a group out of the log, with all that is in it.
    pub fn tombstones(&self) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for member in self.members.keys() {
            records.push(self.position_tombstone(member));
        }
        for member in self.target.members.keys() {
            records.push(self.target_tombstone(member));
        }
        let key = ConsumerGroupTargetAssignmentMetadataKey::default().with_group_id(text(&self.id));
        records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(
            key, None,
        ));
        for member in self.members.keys() {
            records.push(self.member_tombstone(member));
        }
        for pattern in self.patterns.keys() {
            records.push(self.pattern_tombstone(pattern));
        }
        records.push(GroupRecord::ConsumerGroupMetadata(
            group_key(&self.id),
            None,
        ));
        records
    }

    /// The group that a record is about; `None` for records that are not of consumer groups.
    pub fn of_record(record: &GroupRecord) -> Option<&str> {
        Some(match record {
            GroupRecord::ConsumerGroupMetadata(key, _) => &key.group_id,
            GroupRecord::ConsumerGroupMemberMetadata(key, _) => &key.group_id,
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(key, _) => &key.group_id,
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, _) => &key.group_id,
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, _) => &key.group_id,
            GroupRecord::ConsumerGroupRegularExpression(key, _) => &key.group_id,
            _ => return None,
        })
    }

    /// Whether it only says that something is no more.
    pub fn is_tombstone(record: &GroupRecord) -> bool {
        matches!(
            record,
            GroupRecord::ConsumerGroupMetadata(_, None)
                | GroupRecord::ConsumerGroupMemberMetadata(_, None)
                | GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, None)
                | GroupRecord::ConsumerGroupTargetAssignmentMember(_, None)
                | GroupRecord::ConsumerGroupCurrentMemberAssignment(_, None)
                | GroupRecord::ConsumerGroupRegularExpression(_, None)
        )
    }

    /// The next record of the log that is about this group. Compaction keeps the newest record of each key, so that they may come in
    /// another order than they were first written in. Whether the group is still there.
    pub fn replay(&mut self, record: &GroupRecord) -> bool {
        match record {
            GroupRecord::ConsumerGroupMetadata(_, Some(value)) => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::ConsumerGroupMetadata(_, None) => return false,
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
                let value = value.as_ref();
                self.target.epoch = value.map_or(0, |value| value.assignment_epoch);
                self.target.at_ms = value.map_or(0, |value| value.assignment_timestamp);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => {
                let id = name(&key.member_id);
                match value {
                    Some(value) => {
                        let topics = value.topic_partitions.iter();
                        let target = topics.map(|topic| {
                            (topic.topic_id, topic.partitions.iter().copied().collect())
                        });
                        self.target.members.insert(id, target.collect());
                    }
                    None => {
                        self.target.members.remove(&id);
                    }
                }
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, value) => {
                let id = name(&key.member_id);
                match value {
                    Some(value) => self.replay_said(&id, value),
                    None => {
                        let target = self.target.members.remove(&id);
                        self.forget(&id);
                        self.target
                            .members
                            .extend(target.map(|target| (id, target)));
                    }
                }
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => {
                let id = name(&key.member_id);
                match value {
                    Some(value) => {
                        let epoch = value.member_epoch;
                        let at = Position {
                            // Whoever is in a state that is not known here goes on from what it has.
                            state: State::from_code(value.state).unwrap_or(State::Unreleased),
                            epoch,
                            previous_epoch: value.previous_member_epoch,
                            assigned: read(&value.assigned_partitions, epoch),
                            revoking: read(&value.partitions_pending_revocation, epoch),
                        };
                        self.replayed(&id);
                        self.place(&id, at);
                    }
                    None => self.place(&id, Position::default()),
                }
            }
            GroupRecord::ConsumerGroupRegularExpression(key, value) => {
                let pattern = name(&key.regular_expression);
                match value {
                    Some(value) => {
                        let matches = Matches {
                            topics: value.topics.iter().map(name).collect(),
                            version: value.version.unsigned_abs(),
                            at_ms: value.timestamp,
                        };
                        self.patterns.insert(pattern, matches);
                    }
                    None => {
                        self.patterns.remove(&pattern);
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn replay_said(&mut self, id: &Name, value: &ConsumerGroupMemberMetadataValue) {
        let classic = value.classic_member_metadata.as_ref().map(|classic| {
            let protocols = classic.supported_protocols.iter();
            ClassicSide {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: protocols
                    .map(|protocol| (name(&protocol.name), protocol.metadata.clone()))
                    .collect(),
            }
        });
        let said = Said {
            instance_id: value.instance_id.as_ref().map(name),
            rack_id: value.rack_id.as_ref().map(name),
            client: Client {
                id: name(&value.client_id),
                host: name(&value.client_host),
            },
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            topics: value.subscribed_topic_names.iter().map(name).collect(),
            pattern: value
                .subscribed_topic_regex
                .as_ref()
                .map(name)
                .filter(|pattern| !pattern.is_empty()),
            assignor: value.server_assignor.as_ref().map(name),
            classic,
        };
        if let Some(instance) = &said.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.replayed(id).said = said;
    }

    /// A member of which one record is there, and another may follow.
    fn replayed(&mut self, id: &Name) -> &mut Member {
        self.members.entry(id.clone()).or_insert_with(|| Member {
            id: id.clone(),
            said: Said::default(),
            at: Position::default(),
        })
    }

    /// After all records were read: everybody's session begins.
    pub fn resume(&mut self, scene: &mut Scene<'_>) {
        let ids: Vec<Name> = self.members.keys().cloned().collect();
        for id in &ids {
            self.heard(scene, id);
            if let Some(member) = self.members.get(id)
                && member.at.state == State::Unrevoked
            {
                self.awaits_revocation(scene, member);
            }
        }
    }
}

fn group_key(group: &str) -> ConsumerGroupMetadataKey {
    ConsumerGroupMetadataKey::default().with_group_id(text(group))
}
