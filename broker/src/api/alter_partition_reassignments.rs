//! AlterPartitionReassignments: which brokers have the replicas of a partition. To where they are is done at once; replicas cannot be
//! moved to other brokers yet, and who asks for it is told so.

use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::metadata::{Image, Partition, check_assignment};
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_partition_reassignments_request::ReassignableTopic;
use millrace_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use millrace_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
};

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
    let image = call.broker.metadata.image();
    let topics = request.topics.into_iter();
    response.responses = topics
        .map(|topic| of_topic(&image, topic, may_change_factor))
        .collect();
    Reply::Answer(response)
}

fn of_topic(
    image: &Image,
    asked: ReassignableTopic,
    may_change_factor: bool,
) -> ReassignableTopicResponse {
    let answer = |index: i32, replicas: Option<&[BrokerId]>| {
        let mut answer = ReassignablePartitionResponse::default();
        answer.partition_index = index;
        answer.error_message = None;
        let done = find(image, &asked.name, index)
            .and_then(|partition| reassign(image, partition, replicas, may_change_factor));
        if let Err(refused) = done {
            answer.error_code = code(refused.code);
            answer.error_message = Some(refused.message)
                .filter(|words| !words.is_empty())
                .map(text);
        }
        answer
    };
    let partitions = asked.partitions.iter();
    let mut response = ReassignableTopicResponse::default();
    response.partitions = partitions
        .map(|one| answer(one.partition_index, one.replicas.as_deref()))
        .collect();
    response.name = asked.name;
    response
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

/// `None` cancels what is under way.
fn reassign(
    image: &Image,
    partition: &Partition,
    replicas: Option<&[BrokerId]>,
    may_change_factor: bool,
) -> Result<(), Refused> {
    // Kafka has no words for it here.
    let replicas = replicas.ok_or_else(|| Refused::new(ErrorCode::NoReassignmentInProgress, ""))?;
    let wanted: Vec<i32> = replicas.iter().map(|id| id.0).collect();
    check_assignment(image, &wanted).map_err(|refusal| {
        Refused::new(ErrorCode::InvalidReplicaAssignment, refusal.to_string())
    })?;
    let (before, after) = (partition.replicas.len(), wanted.len());
    if before != after && !may_change_factor {
        let why = format!("The replication factor is changed from {before} to {after}");
        return Err(Refused::new(ErrorCode::InvalidReplicationFactor, why));
    }
    if wanted == partition.replicas {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "replicas cannot be moved from {:?} to {wanted:?}: moving replicas between brokers is not served yet",
            partition.replicas
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Broker;
    use crate::raft::ports::GroupId;

    #[test]
    fn replicas_stay_where_they_are() {
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
            group: GroupId(1),
            replicas: vec![1],
            made: vec![1],
        };
        let asked = |replicas: Option<&[i32]>, may_change_factor: bool| {
            let replicas: Option<Vec<BrokerId>> =
                replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
            reassign(&image, &partition, replicas.as_deref(), may_change_factor)
                .map_err(|refused| refused.code)
        };
        assert_eq!(asked(Some(&[1]), false), Ok(()));
        let invalid = Err(ErrorCode::InvalidReplicaAssignment);
        for replicas in [&[2][..], &[2, 1], &[], &[1, 1], &[3], &[-1]] {
            assert_eq!(asked(Some(replicas), true), invalid, "{replicas:?}");
        }
        let factor = Err(ErrorCode::InvalidReplicationFactor);
        assert_eq!(asked(Some(&[1, 2]), false), factor);
        assert_eq!(asked(None, true), Err(ErrorCode::NoReassignmentInProgress));
    }
}
