//! Changing settings while the cluster runs: what IncrementalAlterConfigs and AlterConfigs have in common.

use super::Call;
use super::refusal::Refused;
use super::topics::repeated;
use crate::config::{
    Change, ClientMetricsError, ClientMetricsSettings, DynamicError, DynamicSettings,
    GroupSettings, Level, TopicError, TopicSettings, topic_name,
};
use crate::metadata::{Command, Resource};
use millrace_wire::ErrorCode;
use millrace_wire::messages::StrBytes;
use std::collections::{BTreeMap, BTreeSet};

/// `ConfigResource.Type`
pub mod resource {
    pub const TOPIC: i8 = 2;
    pub const BROKER: i8 = 4;
    pub const BROKER_LOGGER: i8 = 8;
    pub const CLIENT_METRICS: i8 = 16;
    pub const GROUP: i8 = 32;
}

/// A resource whose settings are to be changed.
#[derive(Clone, Debug)]
pub struct Alteration {
    pub kind: i8,
    pub name: StrBytes,
    pub changes: Changes,
}

#[derive(Clone, Debug)]
pub enum Changes {
    /// Of these names; the others stay as they are.
    Some(Vec<(StrBytes, Change)>),
    /// Names and values of all that is to be set afterwards.
    All(Vec<(StrBytes, Change)>),
}

impl Changes {
    fn list(&self) -> impl Iterator<Item = (&str, &Change)> {
        let (Changes::Some(list) | Changes::All(list)) = self;
        list.iter().map(|(name, change)| (&**name, change))
    }

    fn is_all(&self) -> bool {
        matches!(self, Changes::All(_))
    }
}

type Stored = BTreeMap<String, String>;

/// What becomes of each of them, in their order. One that could not be read is its refusal already.
pub async fn alter(
    call: &Call,
    asked: Vec<(i8, StrBytes, Result<Alteration, Refused>)>,
    validate_only: bool,
) -> Vec<(i8, StrBytes, Result<(), Refused>)> {
    let twice: BTreeSet<(i8, StrBytes)> =
        repeated(asked.iter().map(|(kind, name, _)| (*kind, name.clone())));
    // One after the other: what is changed is read, changed and written.
    let turn = call.broker.alterations.lock().await;
    let mut done = Vec::with_capacity(asked.len());
    for (kind, name, alteration) in asked {
        let result = match alteration {
            _ if twice.contains(&(kind, name.clone())) => {
                let why = "Each resource must appear at most once.";
                Err(Refused::new(ErrorCode::InvalidRequest, why))
            }
            Ok(alteration) => one(call, &alteration, validate_only).await,
            Err(refused) => Err(refused),
        };
        done.push((kind, name, result));
    }
    drop(turn);
    if !validate_only {
        call.broker.await_replicas().await;
    }
    done
}

async fn one(call: &Call, alteration: &Alteration, validate_only: bool) -> Result<(), Refused> {
    let names = alteration.changes.list().map(|(name, _)| name);
    if !repeated(names).is_empty() {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    let (resource, before, after) = match alteration.kind {
        resource::TOPIC => of_topic(call, alteration)?,
        resource::BROKER => of_broker(call, alteration)?,
        resource::BROKER_LOGGER if !alteration.changes.is_all() => {
            return Err(invalid_request(
                "log levels cannot be changed while the broker runs: start it with MILLRACE_LOG set",
            ));
        }
        resource::GROUP => of_group(call, alteration)?,
        resource::CLIENT_METRICS => of_client_metrics(call, alteration)?,
        other => return Err(invalid_request(&format!("Unknown resource type {other}"))),
    };
    let changes = difference(&before, &after, &alteration.changes);
    if validate_only || changes.is_empty() {
        return Ok(());
    }
    let names: Vec<&String> = changes.keys().collect();
    tracing::info!(?resource, ?names, "settings change");
    let command = Command::ChangeConfigs { resource, changes };
    call.broker.metadata.submit(command).await?;
    Ok(())
}

fn of_topic(call: &Call, alteration: &Alteration) -> Result<(Resource, Stored, Stored), Refused> {
    let name = &*alteration.name;
    if name.is_empty() {
        return Err(invalid_request("Default topic resources are not allowed."));
    }
    topic_name::check(name)
        .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    let image = call.broker.metadata.image();
    let config = call.broker.config();
    let topic = image.topic(name);
    let before = topic.map(|topic| topic.configs.clone()).unwrap_or_default();
    let settings = match alteration.changes.is_all() {
        true => TopicSettings::default(),
        false => TopicSettings::from_stored(pairs(&before)).0,
    };
    let altered = settings
        .alter(alteration.changes.list(), &config)
        .map_err(of_topic_error)?;
    let topic = topic.ok_or_else(|| {
        let why = format!("The topic '{name}' does not exist.");
        Refused::new(ErrorCode::UnknownTopicOrPartition, why)
    })?;
    let after = owned(altered.iter());
    Ok((Resource::Topic(topic.id), before, after))
}

fn of_broker(call: &Call, alteration: &Alteration) -> Result<(Resource, Stored, Stored), Refused> {
    let (resource, level) = match &*alteration.name {
        "" => (Resource::AllBrokers, Level::Cluster),
        name => {
            let node_id = call.broker.id();
            let id: i32 = name.parse().map_err(|_| {
                invalid_request(&format!("Node id must be an integer, but it is: {name}"))
            })?;
            if id != node_id {
                return Err(invalid_request(&format!(
                    "Unexpected broker id, expected {node_id}, but received {name}"
                )));
            }
            (Resource::Broker(id), Level::Broker)
        }
    };
    let image = call.broker.metadata.image();
    let before = image.configs(&resource).cloned().unwrap_or_default();
    let settings = match alteration.changes.is_all() {
        true => DynamicSettings::default(),
        false => DynamicSettings::from_stored(pairs(&before), level).0,
    };
    let altered = settings
        .alter(alteration.changes.list(), level)
        .map_err(of_broker_error)?;
    altered
        .check(&call.broker.started_with)
        .map_err(of_broker_error)?;
    let after = owned(altered.iter());
    Ok((resource, before, after))
}

fn of_group(call: &Call, alteration: &Alteration) -> Result<(Resource, Stored, Stored), Refused> {
    let name = &*alteration.name;
    if name.is_empty() {
        return Err(invalid_request("Default group resources are not allowed."));
    }
    let resource = Resource::Group(name.to_owned());
    let image = call.broker.metadata.image();
    let before = image.configs(&resource).cloned().unwrap_or_default();
    let settings = match alteration.changes.is_all() {
        true => GroupSettings::default(),
        false => GroupSettings::from_stored(pairs(&before)).0,
    };
    let altered = settings
        .alter(alteration.changes.list(), &call.broker.config())
        .map_err(|error| Refused::new(ErrorCode::InvalidConfig, error.to_string()))?;
    let after = owned(altered.iter());
    Ok((resource, before, after))
}

fn of_client_metrics(
    call: &Call,
    alteration: &Alteration,
) -> Result<(Resource, Stored, Stored), Refused> {
    let name = &*alteration.name;
    if name.is_empty() {
        return Err(invalid_request("Subscription name can't be empty"));
    }
    let resource = Resource::ClientMetrics(name.to_owned());
    let image = call.broker.metadata.image();
    let before = image.configs(&resource).cloned().unwrap_or_default();
    let settings = match alteration.changes.is_all() {
        true => ClientMetricsSettings::default(),
        false => ClientMetricsSettings::from_stored(pairs(&before)),
    };
    let altered = settings
        .alter(alteration.changes.list())
        .map_err(of_client_metrics_error)?;
    let after = owned(altered.iter());
    Ok((resource, before, after))
}

fn of_client_metrics_error(error: ClientMetricsError) -> Refused {
    let code = match &error {
        ClientMetricsError::Unknown(_) | ClientMetricsError::Interval(_) => {
            ErrorCode::InvalidRequest
        }
        ClientMetricsError::NotANumber(_)
        | ClientMetricsError::Pattern(_)
        | ClientMetricsError::NotAList { .. } => ErrorCode::InvalidConfig,
    };
    Refused::new(code, error.to_string())
}

fn of_topic_error(error: TopicError) -> Refused {
    Refused::new(ErrorCode::InvalidConfig, error.to_string())
}

fn of_broker_error(error: DynamicError) -> Refused {
    let code = match &error {
        DynamicError::NotAList { .. } => ErrorCode::InvalidConfig,
        DynamicError::Unknown { .. }
        | DynamicError::ReadOnly { .. }
        | DynamicError::OfOneBroker { .. }
        | DynamicError::Invalid(_)
        | DynamicError::TooSmall { .. }
        | DynamicError::TooLarge { .. }
        | DynamicError::Refused { .. } => ErrorCode::InvalidRequest,
    };
    Refused::new(code, error.to_string())
}

/// Of the names that were asked for only: what somebody else changes at the same time stays.
fn difference(
    before: &Stored,
    after: &Stored,
    asked: &Changes,
) -> BTreeMap<String, Option<String>> {
    let mut names: BTreeSet<&str> = asked.list().map(|(name, _)| name).collect();
    if asked.is_all() {
        names.extend(before.keys().map(String::as_str));
    }
    let changed = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    changed
        .map(|name| (name.to_owned(), after.get(name).cloned()))
        .collect()
}

fn pairs(stored: &Stored) -> impl Iterator<Item = (&str, &str)> {
    stored
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn owned<'a, 'b>(pairs: impl Iterator<Item = (&'a str, &'b str)>) -> Stored {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn invalid_request(why: &str) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, why)
}

/// The answer's rows. Both APIs have the same fields, under a type each.
macro_rules! rows {
    ($row:ty, $done:expr) => {
        $done
            .into_iter()
            .map(|(kind, name, result)| {
                let refused = result.err();
                let mut row = <$row>::default();
                row.resource_type = kind;
                row.resource_name = name;
                row.error_code = refused.as_ref().map_or(0, |r| $crate::api::code(r.code));
                row.error_message = refused.map(|r| $crate::api::text(r.message));
                row
            })
            .collect()
    };
}
pub(super) use rows;

/// Kafka's refusal of names whose value is null.
pub fn null_values(names: &[&str]) -> Refused {
    invalid_request(&format!(
        "Null value not supported for : {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::text;

    fn stored(pairs: &[(&str, &str)]) -> Stored {
        owned(pairs.iter().copied())
    }

    fn set(names: &[&'static str]) -> Vec<(StrBytes, Change)> {
        let set = |name: &&'static str| (text(*name), Change::Set("1".to_owned()));
        names.iter().map(set).collect()
    }

    #[test]
    fn only_what_was_asked_for_is_changed() {
        let before = stored(&[("a", "0"), ("b", "0"), ("c", "1")]);
        let after = stored(&[("a", "1"), ("c", "1")]);
        let some = difference(&before, &after, &Changes::Some(set(&["a", "c"])));
        assert_eq!(
            some,
            BTreeMap::from([("a".to_owned(), Some("1".to_owned()))])
        );
        let all = difference(&before, &after, &Changes::All(set(&["a", "c"])));
        assert_eq!(all.get("b"), Some(&None));
        assert_eq!(all.len(), 2);
    }
}
