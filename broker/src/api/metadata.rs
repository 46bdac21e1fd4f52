//! Metadata: brokers, topics and who leads their partitions. Makes topics that do not exist, by setting.

use super::refusal::Refused;
use super::topics::epoch;
use super::{Call, Reply, code, text};
use crate::cluster::Cluster;
use crate::config::topic_name;
use crate::metadata::{Image, Topic};
use crate::replicas::Hosting;
use millrace_wire::ErrorCode;
use millrace_wire::messages::metadata_request::MetadataRequestTopic;
use millrace_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use millrace_wire::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use std::collections::HashSet;
use std::sync::Arc;

/// Operations that an authorizer could grant, by their codes; without one they all are.
pub const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
pub const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

const fn bits(operations: &[i32]) -> i32 {
    let mut bits = 0;
    let mut at = 0;
    while at < operations.len() {
        bits |= 1 << operations[at];
        at += 1;
    }
    bits
}

/// From here on topics may be named by id; before, there was a place for it already.
const BY_ID: i16 = 12;

pub async fn handle(call: &Call, request: MetadataRequest) -> Reply<MetadataResponse> {
    let broker = &call.broker;
    let topics = match &request.topics {
        // Before version 1 an empty list was all topics.
        Some(topics) if topics.is_empty() && call.version == 0 => None,
        Some(topics) if topics.iter().any(|topic| !is_named(topic, call.version)) => {
            return Reply::Answer(invalid(topics));
        }
        topics => topics.as_deref().map(each_once),
    };
    if let Some(topics) = &topics {
        create_missing(call, topics, request.allow_auto_topic_creation).await;
    }
    let image = broker.metadata.image();
    let hosting = broker.replicas.hosting();
    let answer = Answer {
        image: &image,
        hosting: &hosting,
        cluster: broker.replicas.cluster(),
        with_operations: request.include_topic_authorized_operations,
    };
    let mut response = MetadataResponse::default();
    response.brokers = brokers(call);
    response.cluster_id = Some(text(&*broker.cluster_id));
    response.controller_id = BrokerId(broker.id());
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response.topics = match topics {
        None => image
            .topics
            .values()
            .map(|topic| answer.topic(topic))
            .collect(),
        Some(topics) => topics.iter().map(|topic| answer.asked(topic)).collect(),
    };
    Reply::Answer(response)
}

fn is_named(topic: &MetadataRequestTopic, version: i16) -> bool {
    match version {
        ..BY_ID => topic.topic_id.is_nil() && topic.name.is_some(),
        _ => !topic.topic_id.is_nil() || topic.name.is_some(),
    }
}

/// Kafka tells nothing then, not even of the topics that are named.
fn invalid(topics: &[MetadataRequestTopic]) -> MetadataResponse {
    let refused = topics.iter().map(|topic| {
        let mut response = MetadataResponseTopic::default();
        response.error_code = code(ErrorCode::InvalidRequest);
        response.name = Some(topic.name.clone().unwrap_or_default());
        response.topic_id = topic.topic_id;
        response
    });
    let mut response = MetadataResponse::default();
    response.topics = refused.collect();
    response.error_code = code(ErrorCode::InvalidRequest);
    response
}

/// What is asked for more than once is told once. Where one topic is asked for by its id, Kafka answers to ids only.
fn each_once(topics: &[MetadataRequestTopic]) -> Vec<&MetadataRequestTopic> {
    let by_id = topics.iter().any(|topic| !topic.topic_id.is_nil());
    let mut seen = HashSet::new();
    let once = topics.iter().filter(|topic| match by_id {
        true => !topic.topic_id.is_nil() && seen.insert((Some(topic.topic_id), None)),
        false => seen.insert((None, topic.name.as_deref())),
    });
    once.collect()
}

/// Those that are there, and that a client can reach through the listener that it came in through.
pub fn brokers(call: &Call) -> Vec<MetadataResponseBroker> {
    let up = call.broker.replicas.cluster().up();
    let image = call.broker.metadata.image();
    let there = image
        .brokers
        .values()
        .filter(|broker| up.contains(&broker.id));
    let reachable = there.filter_map(|broker| {
        let endpoint = broker.endpoint(&call.caller.listener)?;
        let mut response = MetadataResponseBroker::default();
        response.node_id = BrokerId(broker.id);
        response.host = text(&*endpoint.host);
        response.port = endpoint.port.into();
        response.rack = broker.rack.as_deref().map(text);
        Some(response)
    });
    reachable.collect()
}

async fn create_missing(call: &Call, topics: &[&MetadataRequestTopic], is_allowed: bool) {
    let broker = &call.broker;
    let image = broker.metadata.image();
    let by_name = topics.iter().filter(|topic| topic.topic_id.is_nil());
    let names = by_name.filter_map(|topic| topic.name.as_ref());
    let missing: Vec<&TopicName> = names
        .filter(|name| image.topic(name).is_none() && topic_name::check(name).is_ok())
        .collect();
    if missing.is_empty() || !is_allowed || !broker.config().auto_create_topics_enable {
        return;
    }
    let partitions = usize::try_from(broker.config().num_partitions).unwrap_or(1);
    for name in missing {
        let made = match call.mutate(partitions, 0) {
            Ok(()) => broker.auto_create(name).await,
            Err(refused) => Err(refused),
        };
        match made {
            Ok(topic) => tracing::info!(
                topic = topic.name,
                "topic made because a client asked for it"
            ),
            // The answer says that it does not exist.
            Err(Refused { message, .. }) => {
                tracing::info!(topic = &***name, message, "topic is not made");
            }
        }
    }
}

/// What topics look like from here.
pub struct Answer<'a> {
    pub image: &'a Image,
    pub hosting: &'a Hosting,
    pub cluster: &'a Cluster,
    pub with_operations: bool,
}

impl Answer<'_> {
    fn asked(&self, topic: &MetadataRequestTopic) -> MetadataResponseTopic {
        // A client that asks by id leaves the name empty, or null.
        let name = topic.name.as_ref().filter(|_| topic.topic_id.is_nil());
        let found = match name {
            Some(name) => self.image.topic(name),
            None => self.image.topic_by_id(&topic.topic_id),
        };
        if let Some(found) = found {
            return self.topic(found);
        }
        let error = match name {
            Some(name) if topic_name::check(name).is_err() => ErrorCode::InvalidTopicException,
            Some(_) => ErrorCode::UnknownTopicOrPartition,
            None => ErrorCode::UnknownTopicId,
        };
        let mut response = MetadataResponseTopic::default();
        response.error_code = code(error);
        response.name = name.cloned();
        response.topic_id = topic.topic_id;
        response
    }

    fn topic(&self, topic: &Arc<Topic>) -> MetadataResponseTopic {
        let mut response = MetadataResponseTopic::default();
        response.name = Some(TopicName(text(&*topic.name)));
        response.topic_id = topic.id;
        response.is_internal = topic.is_internal();
        if self.with_operations {
            response.topic_authorized_operations = TOPIC_OPERATIONS;
        }
        let indexes = 0..topic.partitions.len() as i32;
        response.partitions = indexes.map(|index| self.partition(topic, index)).collect();
        response
    }

    pub fn partition(&self, topic: &Topic, index: i32) -> MetadataResponsePartition {
        let replicas = &topic.partitions[index as usize].replicas;
        let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
        let mut response = MetadataResponsePartition::default();
        response.partition_index = index;
        response.replica_nodes = ids(replicas);
        let me = self.cluster.me();
        let hosted = self.hosting.topic_by_id(&topic.id);
        let handle = hosted.and_then(|hosted| hosted.partition(index));
        let healthy = handle.filter(|handle| handle.fault().is_none());
        let positions = healthy.map(|handle| handle.positions());
        let told = self
            .cluster
            .leaders()
            .of(topic.partitions[index as usize].group);
        let told = told.filter(|lead| self.cluster.is_up(lead.broker));
        let lacks_mine = hosted.is_some() && healthy.is_none();
        let is_offline = |id: &i32| match *id == me {
            true => lacks_mine,
            false => !self.cluster.is_up(*id),
        };
        let offline: Vec<i32> = replicas.iter().copied().filter(is_offline).collect();
        response.offline_replicas = ids(&offline);
        match (positions, told) {
            (Some(positions), told) if positions.leads() => {
                response.leader_id = BrokerId(me);
                response.leader_epoch = epoch(&positions);
                let told = told.filter(|lead| lead.broker == me);
                response.isr_nodes = ids(told
                    .map_or(vec![me], |lead| in_order(replicas, &lead.in_sync))
                    .as_slice());
            }
            (_, Some(lead)) if lead.broker != me => {
                response.leader_id = BrokerId(lead.broker);
                response.leader_epoch = lead.epoch();
                response.isr_nodes = ids(&in_order(replicas, &lead.in_sync));
            }
            (positions, _) => {
                response.error_code = code(ErrorCode::LeaderNotAvailable);
                response.leader_id = BrokerId(-1);
                response.leader_epoch = positions.map_or(-1, |positions| epoch(&positions));
            }
        }
        response
    }
}

/// Those in sync, in the order of the replicas.
fn in_order(replicas: &[i32], in_sync: &[i32]) -> Vec<i32> {
    let mut ids = replicas.to_vec();
    ids.retain(|id| in_sync.contains(id));
    ids
}
