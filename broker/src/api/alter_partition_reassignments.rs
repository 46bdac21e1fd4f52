//! AlterPartitionReassignments: which brokers have the replicas of a partition. What is asked for is written down at once and done in the
//! background: new replicas are filled first, then they vote, then the old ones go.

use super::refusal::Refused;
use super::{Call, Reply, broker, code, text};
use crate::metadata::{Command, Image, Partition, check_assignment};
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use millrace_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use millrace_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
};
use tokio::time::Instant;

pub async fn handle(
    call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> Reply<AlterPartitionReassignmentsResponse> {
    let mut response = AlterPartitionReassignmentsResponse::default();
    if request.topics.is_empty() {
        return Reply::Answer(response);
    }
    let may_change_factor = request.allow_replication_factor_change;
    response.allow_replication_factor_change = may_change_factor;
    response.error_message = None;
    let deadline = broker::deadline(request.timeout_ms);
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        responses.push(of_topic(call, topic, may_change_factor, deadline).await);
    }
    response.responses = responses;
    Reply::Answer(response)
}

async fn of_topic(
    call: &Call,
    asked: ReassignableTopic,
    may_change_factor: bool,
    deadline: Instant,
) -> ReassignableTopicResponse {
    let answer = async |one: &ReassignablePartition| {
        let mut answer = ReassignablePartitionResponse::default();
        answer.partition_index = one.partition_index;
        answer.error_message = None;
        let done = of_partition(call, &asked.name, one, may_change_factor, deadline).await;
        if let Err(refused) = done {
            answer.error_code = code(refused.code);
            answer.error_message = Some(refused.message)
                .filter(|words| !words.is_empty())
                .map(text);
        }
        answer
    };
    let mut response = ReassignableTopicResponse::default();
    response.partitions = join_all(asked.partitions.iter().map(answer)).await;
    response.name = asked.name.clone();
    response
}

async fn of_partition(
    call: &Call,
    topic: &str,
    asked: &ReassignablePartition,
    may_change_factor: bool,
    deadline: Instant,
) -> Result<(), Refused> {
    let image = call.broker.metadata.image();
    let partition = find(&image, topic, asked.partition_index)?;
    let replicas = wanted(
        &image,
        partition,
        asked.replicas.as_deref(),
        may_change_factor,
    )?;
    let id = image.topic(topic).map(|topic| topic.id).unwrap_or_default();
    let command = Command::Reassign {
        id,
        partition: asked.partition_index.unsigned_abs(),
        replicas,
    };
    call.broker.change(command, deadline).await?;
    Ok(())
}

fn find<'a>(image: &'a Image, topic: &str, index: i32) -> Result<&'a Partition, Refused> {
    let unknown = |why: String| Refused::new(ErrorCode::UnknownTopicOrPartition, why);
    let known = image
        .topic(topic)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {topic}.")))?;
    usize::try_from(index)
        .ok()
        .and_then(|index| known.partitions.get(index))
        .ok_or_else(|| unknown(format!("Unable to find partition {topic}:{index}.")))
}

/// Where the replicas are to be; `None` gives up what is under way.
fn wanted(
    image: &Image,
    partition: &Partition,
    replicas: Option<&[BrokerId]>,
    may_change_factor: bool,
) -> Result<Option<Vec<i32>>, Refused> {
    let Some(replicas) = replicas else {
        // Kafka has no words for it here.
        let none = || Refused::new(ErrorCode::NoReassignmentInProgress, "");
        let is_under_way = !partition.adding.is_empty();
        return is_under_way.then_some(None).ok_or_else(none);
    };
    let wanted: Vec<i32> = replicas.iter().map(|id| id.0).collect();
    check_assignment(image, &wanted).map_err(|refusal| {
        Refused::new(ErrorCode::InvalidReplicaAssignment, refusal.to_string())
    })?;
    let (before, after) = (partition.before().len(), wanted.len());
    if before != after && !may_change_factor {
        let why = format!("The replication factor is changed from {before} to {after}");
        return Err(Refused::new(ErrorCode::InvalidReplicationFactor, why));
    }
    Ok(Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Broker;
    use crate::raft::ports::GroupId;

    #[test]
    fn replicas_go_to_brokers_that_are_known_and_as_many_as_there_were() {
        let mut image = Image::default();
        for id in [1, 2] {
            let broker = Broker {
                id,
                endpoints: Vec::new(),
                rack: None,
                peer: None,
                metadata_replica: 1,
            };
            image.brokers.insert(id, broker.into());
        }
        let partition = Partition {
            peers: vec![1],
            last_peer: 1,
            adding: Vec::new(),
            removing: Vec::new(),
            is_original: true,
            group: GroupId(1),
            replicas: vec![1],
            made: vec![1],
        };
        let asked = |replicas: Option<&[i32]>, may_change_factor: bool| {
            let replicas: Option<Vec<BrokerId>> =
                replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
            wanted(&image, &partition, replicas.as_deref(), may_change_factor)
                .map_err(|refused| refused.code)
        };
        assert_eq!(asked(Some(&[2]), false), Ok(Some(vec![2])));
        assert_eq!(asked(Some(&[2, 1]), true), Ok(Some(vec![2, 1])));
        let invalid = Err(ErrorCode::InvalidReplicaAssignment);
        for replicas in [&[][..], &[1, 1], &[3], &[-1]] {
            assert_eq!(asked(Some(replicas), true), invalid, "{replicas:?}");
        }
        let factor = Err(ErrorCode::InvalidReplicationFactor);
        assert_eq!(asked(Some(&[1, 2]), false), factor);
        assert_eq!(asked(None, true), Err(ErrorCode::NoReassignmentInProgress));
    }
}
