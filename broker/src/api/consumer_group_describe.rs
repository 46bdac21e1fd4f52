//! ConsumerGroupDescribe: who is in consumer groups, what they read, and what they are to read.

use super::groups::{OPERATIONS, string};
use super::{Call, Reply, code, text};
use crate::group::Refusal;
use crate::group::catalog::Catalog;
use crate::group::consumer::{DescribedConsumer, DescribedConsumerGroup, Partitions};
use millrace_wire::ErrorCode;
use millrace_wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use millrace_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName,
};

/// From here on it is said which protocol a member speaks.
const WITH_TYPE: i16 = 1;

const SPEAKS_CLASSIC: i8 = 0;
const SPEAKS_CONSUMER: i8 = 1;

pub async fn handle(
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> Reply<ConsumerGroupDescribeResponse> {
    let mut response = ConsumerGroupDescribeResponse::default();
    let catalog = call.broker.groups.catalog();
    for id in request.group_ids {
        let mut group = match describe(call, &id).await {
            Ok(described) => entry(described, &catalog, call.version),
            Err(refusal) => {
                let mut group = DescribedGroup::default();
                group.error_code = code(refusal.code);
                group.error_message = Some(text(refusal.message));
                group
            }
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = OPERATIONS;
        }
        group.group_id = id;
        response.groups.push(group);
    }
    Reply::Answer(response)
}

async fn describe(call: &Call, group: &str) -> Result<DescribedConsumerGroup, Refusal> {
    call.broker
        .has_consumer_groups()
        .map_err(|refused| Refusal::new(refused.code, refused.message))?;
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId.into());
    }
    let coordinator = call.broker.groups.of(group).await?;
    coordinator
        .step(|machine, _, _| machine.describe_consumer(group))
        .await?
}

fn entry(described: DescribedConsumerGroup, catalog: &Catalog, version: i16) -> DescribedGroup {
    let mut group = DescribedGroup::default();
    group.group_state = text(described.state.name());
    group.group_epoch = described.epoch;
    group.assignment_epoch = described.target_epoch;
    group.assignor_name = text(described.assignor);
    let members = described.members.into_iter();
    group.members = members.map(|one| member(one, catalog, version)).collect();
    group
}

fn member(described: DescribedConsumer, catalog: &Catalog, version: i16) -> Member {
    let mut member = Member::default();
    member.member_id = string(&described.id);
    member.instance_id = described.instance_id.as_ref().map(string);
    member.rack_id = described.rack_id.as_ref().map(string);
    member.member_epoch = described.epoch;
    member.client_id = string(&described.client.id);
    member.client_host = string(&described.client.host);
    let topics = described.topics.iter();
    member.subscribed_topic_names = topics.map(|name| TopicName(string(name))).collect();
    member.subscribed_topic_regex = described.pattern.as_ref().map(string);
    member.assignment = assignment(&described.assignment, catalog);
    member.target_assignment = assignment(&described.target, catalog);
    if version >= WITH_TYPE {
        member.member_type = match described.is_classic {
            true => SPEAKS_CLASSIC,
            false => SPEAKS_CONSUMER,
        };
    }
    member
}

/// Topics that are no more have no name, and are passed over.
fn assignment(partitions: &Partitions, catalog: &Catalog) -> Assignment {
    let topics = partitions.iter().filter_map(|(id, partitions)| {
        let topic = catalog.with_id(id)?;
        let mut entry = TopicPartitions::default();
        entry.topic_id = *id;
        entry.topic_name = TopicName(string(&topic.name));
        entry.partitions = partitions.iter().copied().collect();
        Some(entry)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
