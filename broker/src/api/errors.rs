//! Where each answer carries its error codes.

use millrace_wire::messages as m;

/// An answer whose error codes can be counted.
pub trait Errors {
    /// Tells every code, 0 among them.
    fn each(&self, tell: &mut dyn FnMut(i16));
}

/// A row: an answer, and the paths to its codes; what stands before a dot is a list.
macro_rules! error_codes {
    ($($response:ident: $($($step:ident).+),*;)*) => {$(
        impl Errors for m::$response {
            #[allow(unused_variables, reason = "an answer may have no code at all")]
            fn each(&self, tell: &mut dyn FnMut(i16)) {
                $(error_codes!(@ self, tell, $($step).+);)*
            }
        }
    )*};
    (@ $at:expr, $tell:ident, $code:ident) => { $tell($at.$code) };
    (@ $at:expr, $tell:ident, $list:ident . $($rest:ident).+) => {
        for each in &$at.$list {
            error_codes!(@ each, $tell, $($rest).+);
        }
    };
}

error_codes! {
    AlterClientQuotasResponse: entries.error_code;
    AlterConfigsResponse: responses.error_code;
    AlterPartitionReassignmentsResponse: error_code, responses.partitions.error_code;
    AlterReplicaLogDirsResponse: results.partitions.error_code;
    ApiVersionsResponse: error_code;
    ConsumerGroupDescribeResponse: groups.error_code;
    ConsumerGroupHeartbeatResponse: error_code;
    CreatePartitionsResponse: results.error_code;
    CreateTopicsResponse: topics.error_code;
    DeleteGroupsResponse: results.error_code;
    DeleteRecordsResponse: topics.partitions.error_code;
    DeleteTopicsResponse: responses.error_code;
    DescribeClientQuotasResponse: error_code;
    DescribeClusterResponse: error_code;
    DescribeConfigsResponse: results.error_code;
    DescribeGroupsResponse: groups.error_code;
    DescribeLogDirsResponse: error_code, results.error_code;
    DescribeProducersResponse: topics.partitions.error_code;
    DescribeQuorumResponse: error_code, topics.partitions.error_code;
    DescribeTopicPartitionsResponse: topics.error_code, topics.partitions.error_code;
    ElectLeadersResponse: error_code, replica_election_results.partition_result.error_code;
    FetchResponse: error_code, responses.partitions.error_code;
    FindCoordinatorResponse: error_code, coordinators.error_code;
    GetTelemetrySubscriptionsResponse: error_code;
    HeartbeatResponse: error_code;
    IncrementalAlterConfigsResponse: responses.error_code;
    InitProducerIdResponse: error_code;
    JoinGroupResponse: error_code;
    LeaveGroupResponse: error_code, members.error_code;
    ListConfigResourcesResponse: error_code;
    ListGroupsResponse: error_code;
    ListOffsetsResponse: topics.partitions.error_code;
    ListPartitionReassignmentsResponse: error_code;
    MetadataResponse: topics.error_code, topics.partitions.error_code;
    OffsetCommitResponse: topics.partitions.error_code;
    OffsetDeleteResponse: error_code, topics.partitions.error_code;
    OffsetFetchResponse: error_code, topics.partitions.error_code, groups.error_code, groups.topics.partitions.error_code;
    OffsetForLeaderEpochResponse: topics.partitions.error_code;
    ProduceResponse: responses.partition_responses.error_code;
    PushTelemetryResponse: error_code;
    SyncGroupResponse: error_code;
    UnregisterBrokerResponse: error_code;
    UpdateFeaturesResponse: error_code, results.error_code;
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};

    #[test]
    fn codes_are_found_at_every_depth() {
        let partition = |code| {
            let mut partition = PartitionData::default();
            partition.error_code = code;
            partition
        };
        let mut topic = FetchableTopicResponse::default();
        topic.partitions = vec![partition(3), partition(0)];
        let mut response = m::FetchResponse::default();
        response.error_code = 71;
        response.responses = vec![topic];
        let mut codes = Vec::new();
        response.each(&mut |code| codes.push(code));
        assert_eq!(codes, [71, 3, 0]);
    }
}
