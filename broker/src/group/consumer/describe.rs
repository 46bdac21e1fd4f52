//! ConsumerGroupDescribe.

use super::Partitions;
use super::group::{ConsumerGroup, GroupState};
use super::member::Member;
use crate::group::Name;
use crate::group::classic::Client;
use crate::group::settings::Settings;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub state: GroupState,
    pub epoch: i32,
    pub target_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedConsumer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    pub id: Name,
    pub instance_id: Option<Name>,
    pub rack_id: Option<Name>,
    pub epoch: i32,
    pub client: Client,
    pub topics: BTreeSet<Name>,
    pub pattern: Option<Name>,
    /// What it reads, and what it has not given back yet.
    pub assignment: Partitions,
    pub target: Partitions,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

impl ConsumerGroup {
    pub fn describe(&self, settings: &Settings) -> DescribedConsumerGroup {
        let member = |member: &Member| DescribedConsumer {
            id: member.id.clone(),
            instance_id: member.said.instance_id.clone(),
            rack_id: member.said.rack_id.clone(),
            epoch: member.at.epoch,
            client: member.said.client.clone(),
            topics: member.said.topics.clone(),
            pattern: member.said.pattern.clone(),
            assignment: member.at.holding(),
            target: self.target_of(&member.id).clone(),
            is_classic: member.said.classic.is_some(),
        };
        DescribedConsumerGroup {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target.epoch,
            assignor: self.assignor(settings).name(),
            members: self.members.values().map(member).collect(),
        }
    }
}
