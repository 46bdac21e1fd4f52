//! Kafka's apis, one file each, under their own names: what a request means, and what it is answered.
//!
//! [`SERVED`] is the table: what is not in it is not served, and ApiVersions is derived from it. [`serve`] decodes a request,
//! hands it to its file and encodes the answer; sockets are `net`'s.

mod alter;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod broker;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod errors;
mod fetch;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod observe;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod push_telemetry;
mod refusal;
mod sync_group;
mod throttle;
mod topics;
mod unregister_broker;
mod update_features;

pub use broker::{Broker, BrokerParts};
pub use throttle::{Mute, follow as follow_quotas};

use crate::budget::Share;
use bytes::{Bytes, BytesMut};
use millrace_wire::frame::RequestHeader;
use millrace_wire::messages;
use millrace_wire::{ApiKey, ErrorCode, decode_request, encode_response};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use throttle::Throttle;

/// Who sends requests on a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name of the listener it came in through.
    pub listener: Arc<str>,
    pub address: SocketAddr,
    /// Until when nothing is read of what it sends.
    pub mute: Mute,
    /// The name and the version of its software, once it has said them (KIP-511).
    pub software: OnceLock<(String, String)>,
}

/// One request's surroundings.
pub struct Call {
    pub broker: Arc<Broker>,
    pub caller: Arc<Caller>,
    pub version: i16,
    pub client_id: Option<messages::StrBytes>,
    held: Mutex<Vec<Share>>,
    waited_us: Arc<AtomicU64>,
    begun: Begun,
    /// Of the frame that it came in.
    bytes: usize,
    throttle: Throttle,
}

/// Whether what must happen in the order of requests has happened, so that the next may begin. Requests that are served one
/// at a time need not say so.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<AtomicBool>);

impl Begun {
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Call {
    fn has_begun(&self) {
        self.begun.0.store(true, Ordering::Release);
    }

    /// Keeps memory taken until the answer is sent.
    fn hold(&self, share: Share) {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(share);
    }

    /// So long nothing was to be done: the client had asked to wait for something to happen. Such time is nobody's fault.
    fn waited(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// What an api's file makes of a request.
pub(crate) enum Reply<R> {
    Answer(R),
    /// The client does not want one.
    Nothing,
    /// The connection ends.
    Close(String),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    Answer {
        /// A whole frame.
        frame: BytesMut,
        /// To be dropped when it is sent.
        held: Vec<Share>,
    },
    /// The client does not want one (acks=0).
    NoAnswer,
    /// It cannot be answered; the connection ends, as Kafka ends it.
    Close(String),
}

pub type Serving = Pin<Box<dyn Future<Output = Outcome> + Send>>;

macro_rules! apis {
    ($($api:ident: $request:ident => $module:ident;)*) => {
        /// What is served, in ascending order of keys.
        pub const SERVED: &[ApiKey] = &[$(ApiKey::$api,)*];

        /// Serves a request whose header was read.
        fn dispatch(call: Call, api: ApiKey, correlation_id: i32, mut body: Bytes) -> Serving {
            let version = call.version;
            match api {
                $(ApiKey::$api => match decode_request::<messages::$request>(&mut body, version) {
                    Ok(request) => {
                        // Nothing else holds the frame, so that records in it may be changed in place.
                        drop(body);
                        Box::pin(async move {
                            match $module::handle(&call, request).await {
                                Reply::Answer(mut response) => {
                                    throttle::finish(&call, &mut response);
                                    observe::errors(&call, api, &response);
                                    let held = std::mem::take(&mut *call.held.lock().unwrap_or_else(PoisonError::into_inner));
                                    encode(api, version, correlation_id, &response, held)
                                }
                                Reply::Nothing => {
                                    throttle::mute(&call);
                                    Outcome::NoAnswer
                                }
                                Reply::Close(why) => Outcome::Close(why),
                            }
                        })
                    }
                    Err(error) => close(error.to_string()),
                },)*
                other => close(format!("{other} is not served")),
            }
        }
    };
}

apis! {
    Produce: ProduceRequest => produce;
    Fetch: FetchRequest => fetch;
    ListOffsets: ListOffsetsRequest => list_offsets;
    Metadata: MetadataRequest => metadata;
    OffsetCommit: OffsetCommitRequest => offset_commit;
    OffsetFetch: OffsetFetchRequest => offset_fetch;
    FindCoordinator: FindCoordinatorRequest => find_coordinator;
    JoinGroup: JoinGroupRequest => join_group;
    Heartbeat: HeartbeatRequest => heartbeat;
    LeaveGroup: LeaveGroupRequest => leave_group;
    SyncGroup: SyncGroupRequest => sync_group;
    DescribeGroups: DescribeGroupsRequest => describe_groups;
    ListGroups: ListGroupsRequest => list_groups;
    ApiVersions: ApiVersionsRequest => api_versions;
    CreateTopics: CreateTopicsRequest => create_topics;
    DeleteTopics: DeleteTopicsRequest => delete_topics;
    DeleteRecords: DeleteRecordsRequest => delete_records;
    InitProducerId: InitProducerIdRequest => init_producer_id;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => offset_for_leader_epoch;
    DescribeConfigs: DescribeConfigsRequest => describe_configs;
    AlterConfigs: AlterConfigsRequest => alter_configs;
    AlterReplicaLogDirs: AlterReplicaLogDirsRequest => alter_replica_log_dirs;
    DescribeLogDirs: DescribeLogDirsRequest => describe_log_dirs;
    CreatePartitions: CreatePartitionsRequest => create_partitions;
    DeleteGroups: DeleteGroupsRequest => delete_groups;
    ElectLeaders: ElectLeadersRequest => elect_leaders;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => incremental_alter_configs;
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest => alter_partition_reassignments;
    ListPartitionReassignments: ListPartitionReassignmentsRequest => list_partition_reassignments;
    OffsetDelete: OffsetDeleteRequest => offset_delete;
    DescribeClientQuotas: DescribeClientQuotasRequest => describe_client_quotas;
    AlterClientQuotas: AlterClientQuotasRequest => alter_client_quotas;
    DescribeQuorum: DescribeQuorumRequest => describe_quorum;
    UpdateFeatures: UpdateFeaturesRequest => update_features;
    DescribeCluster: DescribeClusterRequest => describe_cluster;
    DescribeProducers: DescribeProducersRequest => describe_producers;
    UnregisterBroker: UnregisterBrokerRequest => unregister_broker;
    ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest => consumer_group_heartbeat;
    ConsumerGroupDescribe: ConsumerGroupDescribeRequest => consumer_group_describe;
    GetTelemetrySubscriptions: GetTelemetrySubscriptionsRequest => get_telemetry_subscriptions;
    PushTelemetry: PushTelemetryRequest => push_telemetry;
    ListConfigResources: ListConfigResourcesRequest => list_config_resources;
    DescribeTopicPartitions: DescribeTopicPartitionsRequest => describe_topic_partitions;
}

/// Serves one request. `begun` will tell when the next of the same connection may follow, if that may overlap with this one.
pub fn serve(
    broker: &Arc<Broker>,
    caller: &Arc<Caller>,
    header: RequestHeader,
    body: Bytes,
    begun: Begun,
) -> Serving {
    let api = match ApiKey::try_from(header.api_key) {
        Ok(api) => api,
        Err(error) => return close(error.to_string()),
    };
    let version = header.api_version;
    let correlation_id = header.correlation_id;
    if !api.versions().contains(&version) {
        return match api {
            // The one api whose unknown versions are answered: clients ask with the newest they know.
            ApiKey::ApiVersions => {
                let answer = api_versions::unsupported();
                let outcome = encode(api, 0, correlation_id, &answer, Vec::new());
                Box::pin(std::future::ready(outcome))
            }
            _ => close(format!("{api} has no version {version}")),
        };
    }
    let observed = observe::Observed::new(broker, caller, api, &header, body.len());
    let call = Call {
        broker: broker.clone(),
        caller: caller.clone(),
        version,
        client_id: header.client_id,
        held: Mutex::default(),
        waited_us: observed.waited_us(),
        begun,
        bytes: body.len(),
        throttle: Throttle::new(broker),
    };
    let serving = match call.throttle.busy() {
        None => dispatch(call, api, correlation_id, body),
        Some(busy) => {
            let serving = busy.during(|| dispatch(call, api, correlation_id, body));
            throttle::timed(busy, serving)
        }
    };
    observe::watch(observed, serving)
}

/// Whether requests of this api may be served while others of the same connection are: Kafka takes one at a time, and only
/// appends are so slow, and so well ordered by themselves, that more are worth it.
pub fn may_overlap(api_key: i16) -> bool {
    api_key == ApiKey::Produce as i16
}

fn encode<M: messages::traits::Encodable>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
    held: Vec<Share>,
) -> Outcome {
    match encode_response(api, version, correlation_id, response) {
        Ok(frame) => Outcome::Answer { frame, held },
        Err(error) => {
            // A fault of ours: an answer was made that its version cannot say.
            tracing::error!(%error, "an answer cannot be written");
            Outcome::Close(error.to_string())
        }
    }
}

fn close(why: String) -> Serving {
    Box::pin(std::future::ready(Outcome::Close(why)))
}

/// For answers' error fields.
fn code(error: ErrorCode) -> i16 {
    error.code()
}

/// A string for an answer.
fn text(text: impl Into<String>) -> messages::StrBytes {
    messages::StrBytes::from_string(text.into())
}
