//! Settings of topics and brokers.

use super::topics::{retriable, unanswered};
use crate::Error;
use crate::client::Client;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use crate::wire::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest, StrBytes,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceType {
    const ALL: [ResourceType; 5] = [
        ResourceType::Topic,
        ResourceType::Broker,
        ResourceType::BrokerLogger,
        ResourceType::ClientMetrics,
        ResourceType::Group,
    ];

    fn of(code: i8) -> Option<ResourceType> {
        ResourceType::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
    }

    fn code(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }
}

/// A broker without a name stands for the defaults of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    pub kind: ResourceType,
    pub name: String,
}

impl ConfigResource {
    pub fn topic(name: impl Into<String>) -> ConfigResource {
        ConfigResource {
            kind: ResourceType::Topic,
            name: name.into(),
        }
    }

    /// A broker's own settings are known to itself only.
    fn broker(&self) -> Option<i32> {
        match self.kind {
            ResourceType::Broker | ResourceType::BrokerLogger => self.name.parse().ok(),
            ResourceType::Topic | ResourceType::ClientMetrics | ResourceType::Group => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    ClientMetrics,
    Group,
    Unknown,
}

impl ConfigSource {
    fn of(code: i8) -> ConfigSource {
        match code {
            1 => ConfigSource::DynamicTopic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefaultBroker,
            4 => ConfigSource::StaticBroker,
            5 => ConfigSource::Default,
            6 => ConfigSource::DynamicBrokerLogger,
            7 => ConfigSource::ClientMetrics,
            8 => ConfigSource::Group,
            _ => ConfigSource::Unknown,
        }
    }

    /// As Kafka prints it.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            ConfigSource::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            ConfigSource::Group => "DYNAMIC_GROUP_CONFIG",
            ConfigSource::Unknown => "UNKNOWN",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

#[derive(Clone, Debug)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` also for what is sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_sensitive: bool,
    pub is_read_only: bool,
    pub synonyms: Vec<ConfigSynonym>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterConfig {
    Set(String, String),
    Delete(String),
    Append(String, String),
    Subtract(String, String),
}

impl AlterConfig {
    pub fn name(&self) -> &str {
        match self {
            AlterConfig::Set(name, _)
            | AlterConfig::Delete(name)
            | AlterConfig::Append(name, _)
            | AlterConfig::Subtract(name, _) => name,
        }
    }
}

impl Client {
    /// What has, or may have, settings of its own (KIP-1142). Of groups, only those that something is set on.
    pub async fn list_config_resources(
        &self,
        kinds: &[ResourceType],
    ) -> Result<Vec<ConfigResource>, Error> {
        let mut request = ListConfigResourcesRequest::default();
        let listed = self
            .retry("listConfigResources", async || {
                let connection = self.any().await?;
                let version = connection.version_of::<ListConfigResourcesRequest>(i16::MAX)?;
                // Version 0 lists client metrics, and cannot be told anything else.
                if version == 0 && kinds != [ResourceType::ClientMetrics] {
                    return Err(Error::of(ErrorCode::UnsupportedVersion, None));
                }
                if version > 0 {
                    request.resource_types = kinds.iter().map(|kind| kind.code()).collect();
                }
                let response = connection.send_version(version, &request).await?;
                let checked = retriable(response.error_code, None)?;
                Ok(checked.map(|()| response.config_resources))
            })
            .await??;
        let listed = listed.into_iter().filter_map(|one| {
            Some(ConfigResource {
                kind: ResourceType::of(one.resource_type)?,
                name: one.resource_name.to_string(),
            })
        });
        Ok(listed.collect())
    }

    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, Error> {
        let mut asked = DescribeConfigsResource::default();
        asked.resource_type = resource.kind.code();
        asked.resource_name = StrBytes::from_string(resource.name.clone());
        asked.configuration_keys = None;
        let mut request = DescribeConfigsRequest::default();
        request.resources = vec![asked];
        request.include_synonyms = true;
        let what = "describeConfigs";
        if resource.broker().is_some() && self.metadata().brokers.is_empty() {
            self.retry(what, async || {
                self.refresh(crate::client::Topics::None, false).await
            })
            .await?;
        }
        let entries = self
            .retry(what, async || {
                let connection = match resource.broker() {
                    Some(id) => self.broker(id).await?,
                    None => self.any().await?,
                };
                let response = connection.send(&request).await?;
                let result = response.results.into_iter().next();
                let result = result.ok_or_else(|| unanswered(&resource.name))?;
                let checked = retriable(result.error_code, result.error_message.as_deref())?;
                Ok(checked.map(|()| result.configs))
            })
            .await??;
        let entries = entries.into_iter().map(|config| ConfigEntry {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            source: ConfigSource::of(config.config_source),
            is_sensitive: config.is_sensitive,
            is_read_only: config.read_only,
            synonyms: config
                .synonyms
                .into_iter()
                .map(|synonym| ConfigSynonym {
                    name: synonym.name.to_string(),
                    value: synonym.value.map(|value| value.to_string()),
                    source: ConfigSource::of(synonym.source),
                })
                .collect(),
        });
        Ok(entries.collect())
    }

    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[AlterConfig],
        validate_only: bool,
    ) -> Result<(), Error> {
        let mut altered = AlterConfigsResource::default();
        altered.resource_type = resource.kind.code();
        altered.resource_name = StrBytes::from_string(resource.name.clone());
        for change in changes {
            let (operation, value) = match change {
                AlterConfig::Set(_, value) => (0, Some(value)),
                AlterConfig::Delete(_) => (1, None),
                AlterConfig::Append(_, value) => (2, Some(value)),
                AlterConfig::Subtract(_, value) => (3, Some(value)),
            };
            let mut config = AlterableConfig::default();
            config.name = StrBytes::from_string(change.name().to_owned());
            config.config_operation = operation;
            config.value = value.cloned().map(StrBytes::from_string);
            altered.configs.push(config);
        }
        let mut request = IncrementalAlterConfigsRequest::default();
        request.resources = vec![altered];
        request.validate_only = validate_only;
        let what = "incrementalAlterConfigs";
        if resource.broker().is_some() && self.metadata().brokers.is_empty() {
            self.retry(what, async || {
                self.refresh(crate::client::Topics::None, false).await
            })
            .await?;
        }
        self.retry(what, async || {
            let connection = match resource.broker() {
                Some(id) => self.broker(id).await?,
                None => self.any().await?,
            };
            let response = connection.send(&request).await?;
            let result = response.responses.into_iter().next();
            let result = result.ok_or_else(|| unanswered(&resource.name))?;
            retriable(result.error_code, result.error_message.as_deref())
        })
        .await?
    }
}
