//! DescribeConfigs: the settings of topics, brokers and groups, with where each value comes from.

use super::alter::resource;
use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::config::{
    BrokerConfig, ClientMetricsSettings, Entry, GroupSettings, TopicSettings, topic_name,
};
use crate::metadata::{Image, Resource};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_configs_request::DescribeConfigsResource;
use millrace_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use millrace_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use tracing::level_filters::LevelFilter;

/// `DYNAMIC_BROKER_LOGGER_CONFIG`
const OF_LOGGER: i8 = 6;
const STRING: i8 = 2;

pub async fn handle(
    call: &Call,
    request: DescribeConfigsRequest,
) -> Reply<DescribeConfigsResponse> {
    let describing = Describing {
        image: &call.broker.metadata.image(),
        config: &call.broker.config(),
        with_synonyms: request.include_synonyms,
        with_documentation: request.include_documentation,
    };
    let mut response = DescribeConfigsResponse::default();
    response.results = request
        .resources
        .into_iter()
        .map(|asked| describing.result(asked))
        .collect();
    Reply::Answer(response)
}

struct Describing<'a> {
    image: &'a Image,
    config: &'a BrokerConfig,
    with_synonyms: bool,
    with_documentation: bool,
}

impl Describing<'_> {
    fn result(&self, asked: DescribeConfigsResource) -> DescribeConfigsResult {
        let mut result = DescribeConfigsResult::default();
        match self.settings(&asked) {
            Ok(mut settings) => {
                // Kafka takes an empty list for all of them, too.
                if let Some(names) = asked.configuration_keys.filter(|names| !names.is_empty()) {
                    settings.retain(|setting| names.contains(&setting.name));
                }
                result.configs = settings;
            }
            Err(refused) => {
                result.error_code = code(refused.code);
                result.error_message = Some(text(refused.message));
            }
        }
        result.resource_type = asked.resource_type;
        result.resource_name = asked.resource_name;
        result
    }

    fn settings(
        &self,
        asked: &DescribeConfigsResource,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
        let invalid = |why: String| Err(Refused::new(ErrorCode::InvalidRequest, why));
        let name = &*asked.resource_name;
        let node_id = self.config.node_id;
        let entries = match asked.resource_type {
            resource::TOPIC => self.topic(name)?,
            resource::BROKER if name.is_empty() => self.config.describe_cluster_defaults(),
            resource::BROKER if broker_id(name)? == node_id => self.config.describe(),
            resource::BROKER => {
                return invalid(format!(
                    "Unexpected broker id, expected {node_id} or empty string, but received {name}"
                ));
            }
            resource::BROKER_LOGGER if name.is_empty() => {
                return invalid("Broker id must not be empty".to_owned());
            }
            resource::BROKER_LOGGER if broker_id(name)? == node_id => return Ok(vec![log_level()]),
            resource::BROKER_LOGGER => {
                return invalid(format!(
                    "Unexpected broker id, expected {node_id} but received {name}"
                ));
            }
            resource::CLIENT_METRICS if name.is_empty() => {
                return invalid("Client metrics subscription name must not be empty".to_owned());
            }
            resource::GROUP if name.is_empty() => {
                return invalid("Group name must not be empty".to_owned());
            }
            resource::GROUP => self.group(name),
            resource::CLIENT_METRICS => self.client_metrics(name),
            _ => return invalid("Unsupported resource type: UNKNOWN".to_owned()),
        };
        Ok(entries
            .into_iter()
            .map(|entry| self.setting(entry))
            .collect())
    }

    fn topic(&self, name: &str) -> Result<Vec<Entry>, Refused> {
        topic_name::check(name)
            .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
        let topic = self.image.topic(name);
        // Kafka has no words for it here.
        let topic = topic.ok_or_else(|| Refused::new(ErrorCode::UnknownTopicOrPartition, ""))?;
        let pairs = topic
            .configs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let (settings, _) = TopicSettings::from_stored(pairs);
        Ok(self.config.describe_topic(&settings))
    }

    /// Whether there is such a group or not: what is set is for groups to come, too.
    fn group(&self, name: &str) -> Vec<Entry> {
        let resource = Resource::Group(name.to_owned());
        let stored = self.image.configs(&resource).into_iter().flatten();
        let pairs = stored.map(|(name, value)| (name.as_str(), value.as_str()));
        let (settings, _) = GroupSettings::from_stored(pairs);
        self.config.describe_group(&settings)
    }

    /// Whether anything is set or not, as for groups.
    fn client_metrics(&self, name: &str) -> Vec<Entry> {
        let resource = Resource::ClientMetrics(name.to_owned());
        let stored = self.image.configs(&resource).into_iter().flatten();
        let pairs = stored.map(|(name, value)| (name.as_str(), value.as_str()));
        ClientMetricsSettings::from_stored(pairs).describe()
    }

    fn setting(&self, entry: Entry) -> DescribeConfigsResourceResult {
        let mut setting = DescribeConfigsResourceResult::default();
        setting.name = text(entry.name);
        setting.value = entry.value.map(text);
        setting.read_only = entry.is_read_only;
        setting.config_source = entry.source.id();
        setting.is_sensitive = entry.is_sensitive;
        setting.config_type = entry.kind.id();
        setting.documentation = self.with_documentation.then(|| text(entry.doc));
        if self.with_synonyms {
            let synonyms = entry.synonyms.into_iter().map(|synonym| {
                let mut described = DescribeConfigsSynonym::default();
                described.name = text(synonym.name);
                described.value = synonym.value.map(text);
                described.source = synonym.source.id();
                described
            });
            setting.synonyms = synonyms.collect();
        }
        setting
    }
}

fn broker_id(name: &str) -> Result<i32, Refused> {
    name.parse().map_err(|_| {
        let why = format!("Broker id must be an integer, but it is: {name}");
        Refused::new(ErrorCode::InvalidRequest, why)
    })
}

/// There is one logger. What it logs beyond this level by module, `MILLRACE_LOG` says.
fn log_level() -> DescribeConfigsResourceResult {
    let mut setting = DescribeConfigsResourceResult::default();
    setting.name = text("root");
    setting.value = Some(text(LevelFilter::current().to_string().to_uppercase()));
    setting.read_only = true;
    setting.config_source = OF_LOGGER;
    setting.config_type = STRING;
    setting.documentation = None;
    setting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_by_its_number() {
        assert_eq!(broker_id("7"), Ok(7));
        let refused = broker_id("seven").expect_err("no number");
        assert_eq!(
            refused.message,
            "Broker id must be an integer, but it is: seven"
        );
    }
}
