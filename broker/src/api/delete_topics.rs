//! DeleteTopics: by name, and since version 6 by id, too.

use super::broker::deadline;
use super::refusal::Refused;
use super::topics::repeated;
use super::{Call, Reply, code, text};
use crate::metadata::Command;
use futures_util::future::join_all;
use millrace_wire::ErrorCode;
use millrace_wire::messages::delete_topics_request::DeleteTopicState;
use millrace_wire::messages::delete_topics_response::DeletableTopicResult;
use millrace_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// The first version that can say that deletion is switched off.
const SAYS_DISABLED: i16 = 3;

/// The first version that can say that a topic must wait for its client's quota (KIP-599).
const STRICT_SINCE: i16 = 5;

pub async fn handle(call: &Call, request: DeleteTopicsRequest) -> Reply<DeleteTopicsResponse> {
    let deadline = deadline(request.timeout_ms);
    let mut asked = request.topics;
    asked.extend(request.topic_names.into_iter().map(|name| {
        let mut topic = DeleteTopicState::default();
        topic.name = Some(name);
        topic
    }));
    let mut response = DeleteTopicsResponse::default();
    if !call.broker.config().delete_topic_enable {
        let error = match call.version >= SAYS_DISABLED {
            true => ErrorCode::TopicDeletionDisabled,
            false => ErrorCode::InvalidRequest,
        };
        let refused = |topic| result(topic, Err(Refused::new(error, ""))).with_error_message(None);
        response.responses = asked.into_iter().map(refused).collect();
        return Reply::Answer(response);
    }
    let (found, mut refused) = look_up(call, asked);
    let deletions = found.into_iter().map(|(id, name)| async move {
        let deleted = delete(call, id, deadline).await;
        if deleted.is_ok() {
            tracing::info!(topic = &**name, "topic deleted");
        }
        result(named(Some(name), id), deleted)
    });
    response.responses = join_all(deletions).await;
    response.responses.append(&mut refused);
    call.broker.await_replicas_until(deadline).await;
    Reply::Answer(response)
}

async fn delete(call: &Call, id: Uuid, deadline: Instant) -> Result<(), Refused> {
    let image = call.broker.metadata.image();
    let partitions = image.topic_by_id(&id).map(|topic| topic.partitions.len());
    call.mutate(partitions.unwrap_or(0), STRICT_SINCE)?;
    let deleted = call.broker.change(Command::DeleteTopic(id), deadline).await;
    deleted.map(drop)
}

/// The topics that are to be deleted, and answers for what names none, or one twice.
fn look_up(
    call: &Call,
    asked: Vec<DeleteTopicState>,
) -> (BTreeMap<Uuid, TopicName>, Vec<DeletableTopicResult>) {
    let image = call.broker.metadata.image();
    let names = || asked.iter().filter_map(|topic| topic.name.as_ref());
    let ids = || asked.iter().filter(|topic| topic.name.is_none());
    let names_twice: BTreeSet<TopicName> = repeated(names().cloned());
    let ids_twice: BTreeSet<Uuid> = repeated(ids().map(|topic| topic.topic_id));
    let invalid = |why: &str| Err(Refused::new(ErrorCode::InvalidRequest, why));
    let mut found: BTreeMap<Uuid, TopicName> = BTreeMap::new();
    let mut refused = Vec::new();
    let mut said = BTreeSet::new();
    for topic in asked {
        let id = topic.topic_id;
        let refusal = match &topic.name {
            Some(_) if !id.is_nil() => invalid("You may not specify both topic name and topic id."),
            None if id.is_nil() => invalid("Neither topic name nor id were specified."),
            Some(name) if names_twice.contains(name) => {
                if !said.insert((Some(name.clone()), id)) {
                    continue;
                }
                invalid("Duplicate topic name.")
            }
            None if ids_twice.contains(&id) => {
                if !said.insert((None, id)) {
                    continue;
                }
                invalid("Duplicate topic id.")
            }
            Some(name) => match image.topic(name) {
                Some(known) if found.contains_key(&known.id) => {
                    found.remove(&known.id);
                    invalid("The provided topic name maps to an ID that was already supplied.")
                }
                Some(known) => {
                    found.insert(known.id, name.clone());
                    continue;
                }
                None => Err(ErrorCode::UnknownTopicOrPartition.into()),
            },
            None => match image.topic_by_id(&id) {
                Some(known) if found.contains_key(&id) => {
                    found.remove(&id);
                    let name = TopicName(text(&*known.name));
                    let why = "The provided topic name maps to an ID that was already supplied.";
                    refused.push(result(named(Some(name), id), invalid(why)));
                    continue;
                }
                Some(known) => {
                    found.insert(id, TopicName(text(&*known.name)));
                    continue;
                }
                None => Err(ErrorCode::UnknownTopicId.into()),
            },
        };
        refused.push(result(topic, refusal));
    }
    (found, refused)
}

fn named(name: Option<TopicName>, id: Uuid) -> DeleteTopicState {
    let mut topic = DeleteTopicState::default();
    topic.name = name;
    topic.topic_id = id;
    topic
}

fn result(topic: DeleteTopicState, deleted: Result<(), Refused>) -> DeletableTopicResult {
    let mut result = DeletableTopicResult::default();
    result.name = topic.name;
    result.topic_id = topic.topic_id;
    result.error_message = None;
    if let Err(refused) = deleted {
        result.error_code = code(refused.code);
        result.error_message = Some(text(refused.message));
    }
    result
}
