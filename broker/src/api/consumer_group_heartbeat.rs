//! ConsumerGroupHeartbeat: all that a member of a consumer group has to say, and all that it is told (KIP-848).

use super::groups::{client, name, optional, string};
use super::{Call, Reply, code, text};
use crate::group::consumer::{Beat, Heartbeat, JOINS, LEAVES, LEAVES_FOR_NOW, Leave, Partitions};
use crate::group::{Name, Refusal};
use millrace_wire::ErrorCode;
use millrace_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use millrace_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, StrBytes,
};

/// From here on a client makes its id itself (KIP-1082).
const OWN_ID: i16 = 1;

pub async fn handle(
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> Reply<ConsumerGroupHeartbeatResponse> {
    Reply::Answer(match beat(call, &request).await {
        Ok(beat) => response(beat),
        Err(refusal) => {
            let mut response = ConsumerGroupHeartbeatResponse::default();
            response.error_code = code(refusal.code);
            response.error_message = Some(text(refusal.message));
            response
        }
    })
}

async fn beat(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Result<Beat, Refusal> {
    let protocols = &call
        .broker
        .started_with
        .group_coordinator_rebalance_protocols;
    if !protocols.iter().any(|protocol| protocol == "consumer") {
        let message = "group.coordinator.rebalance.protocols of this broker does not have consumer";
        return Err(Refusal::new(ErrorCode::UnsupportedVersion, message));
    }
    call.broker
        .has_consumer_groups()
        .map_err(|refused| Refusal::new(refused.code, refused.message))?;
    check(request, call.version).map_err(|wrong| Refusal::new(ErrorCode::InvalidRequest, wrong))?;
    let group = request.group_id.as_str();
    let coordinator = call.broker.groups.of(group).await?;
    if request.member_epoch < JOINS {
        let leave = Leave {
            member_id: name(&request.member_id),
            instance_id: optional(request.instance_id.as_ref()),
            epoch: request.member_epoch,
        };
        let left = coordinator
            .step(|machine, now, effects| machine.consumer_leave(now, effects, group, &leave));
        return left.await?;
    }
    let beat = heartbeat(call, request);
    let beaten = coordinator
        .step(|machine, now, effects| machine.consumer_heartbeat(now, effects, group, &beat));
    beaten.await?
}

/// What does not go together, whatever the group's state.
fn check(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), &'static str> {
    let is_empty = |text: &Option<StrBytes>| text.as_ref().is_some_and(|text| text.is_empty());
    let epoch = request.member_epoch;
    let needs_id = version >= OWN_ID || epoch > JOINS || epoch == LEAVES;
    if needs_id && request.member_id.is_empty() {
        return Err("MemberId can't be empty.");
    }
    if request.group_id.is_empty() {
        return Err("GroupId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return Err("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return Err("RackId can't be empty.");
    }
    match epoch {
        JOINS if request.rebalance_timeout_ms == -1 => {
            Err("RebalanceTimeoutMs must be provided in first request.")
        }
        JOINS
            if request
                .topic_partitions
                .as_ref()
                .is_none_or(|owned| !owned.is_empty()) =>
        {
            Err("TopicPartitions must be empty when (re-)joining.")
        }
        JOINS
            if request.subscribed_topic_names.is_none()
                && request.subscribed_topic_regex.is_none() =>
        {
            Err(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            )
        }
        LEAVES_FOR_NOW if request.instance_id.is_none() => Err("InstanceId can't be null."),
        ..LEAVES_FOR_NOW => Err("MemberEpoch is invalid."),
        _ => Ok(()),
    }
}

fn heartbeat(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Heartbeat {
    let member_id = match request.member_id.as_str() {
        "" => uuid::Uuid::new_v4().to_string().into(),
        id => Name::from(id),
    };
    let topics = request.subscribed_topic_names.as_ref();
    let owned = request.topic_partitions.as_ref().map(|owned| {
        let mut partitions = Partitions::new();
        for topic in owned.iter().filter(|topic| !topic.partitions.is_empty()) {
            let partitions = partitions.entry(topic.topic_id).or_default();
            partitions.extend(&topic.partitions);
        }
        partitions
    });
    Heartbeat {
        member_id,
        epoch: request.member_epoch,
        client: client(call),
        instance_id: optional(request.instance_id.as_ref()),
        rack_id: optional(request.rack_id.as_ref()),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms != -1),
        topics: topics.map(|topics| topics.iter().map(|topic| name(topic)).collect()),
        pattern: optional(request.subscribed_topic_regex.as_ref()),
        assignor: optional(request.server_assignor.as_ref()),
        owned,
    }
}

fn response(beat: Beat) -> ConsumerGroupHeartbeatResponse {
    let mut response = ConsumerGroupHeartbeatResponse::default();
    response.member_id = Some(string(&beat.member_id));
    response.member_epoch = beat.epoch;
    response.heartbeat_interval_ms = i32::try_from(beat.heartbeat_interval_ms).unwrap_or(i32::MAX);
    response.assignment = beat.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default()
                .with_topic_id(topic)
                .with_partitions(partitions.into_iter().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joining() -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(millrace_wire::messages::GroupId(StrBytes::from_static_str(
                "g",
            )))
            .with_member_id(StrBytes::from_static_str("m"))
            .with_rebalance_timeout_ms(1000)
            .with_instance_id(None)
            .with_rack_id(None)
            .with_subscribed_topic_names(Some(Vec::new()))
            .with_topic_partitions(Some(Vec::new()))
    }

    #[test]
    fn who_joins_says_everything_and_owns_nothing() {
        assert_eq!(check(&joining(), 1), Ok(()));
        for (bad, part) in [
            (
                joining().with_rebalance_timeout_ms(-1),
                "RebalanceTimeoutMs",
            ),
            (joining().with_topic_partitions(None), "TopicPartitions"),
            (
                joining()
                    .with_subscribed_topic_names(None)
                    .with_subscribed_topic_regex(None),
                "Either",
            ),
            (joining().with_member_id(StrBytes::default()), "MemberId"),
            (joining().with_rack_id(Some(StrBytes::default())), "RackId"),
            (joining().with_member_epoch(LEAVES_FOR_NOW), "InstanceId"),
            (joining().with_member_epoch(-3), "MemberEpoch"),
        ] {
            let wrong = check(&bad, 1).expect_err(part);
            assert!(wrong.contains(part), "{wrong}");
        }
    }

    #[test]
    fn before_clients_made_their_ids_the_first_request_had_none() {
        let request = joining().with_member_id(StrBytes::default());
        assert_eq!(check(&request, 0), Ok(()));
        assert!(check(&request.with_member_epoch(1), 0).is_err());
    }
}
