//! `kafka-configs`: settings of topics, brokers and groups, and of client metrics as far as the cluster has them.

mod entity;
mod options;
mod quotas;

use crate::args::Args;
use crate::failure::{Failure, Trouble, describe};
use crate::{Output, connect};
use entity::{Entity, Kind};
use millrace_client::Client;
use millrace_client::admin::{
    AlterConfig, ConfigEntry, ConfigResource, ConfigSource, GroupFilter, ResourceType,
};
use millrace_client::properties::Properties;
use millrace_client::wire::ErrorCode;
pub use options::parse_pairs;
use std::collections::BTreeSet;
use std::path::Path;

pub async fn run(raw: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = options::SPEC.parse(raw)?;
    let entities = options::check(&args)?;
    let properties = connect::file(&args, "command-config")?;
    let bootstrap = connect::bootstrap(&args)?;
    let bootstrap = match bootstrap {
        Some(bootstrap) => bootstrap,
        None => {
            connect::advise(
                "--zookeeper",
                &format!("--bootstrap-server {}", connect::TODAY),
            );
            connect::TODAY
        }
    };
    let client = connect::client(Some(bootstrap), &properties, "adminclient-1")?;
    let done = match (&entities[..], args.has("alter")) {
        (entities, alters) if entities[0].kind.has_quotas() => match alters {
            true => quotas::alter(&client, &args, entities, out).await,
            false => quotas::describe(&client, entities, out).await,
        },
        (entities, true) => alter(&client, &args, &entities[0], out).await,
        (entities, false) => describe_all(&client, &args, &entities[0], out).await,
    };
    done.map_err(|failure| match failure {
        // What the cluster refused is said with all that was asked.
        Trouble::Client(error) => Failure::plain(format!(
            "Error while executing config command with args '{}'\njava.util.concurrent.ExecutionException: {}",
            raw.join(" "),
            describe(&error)
        )),
        Trouble::Own(failure) => failure,
    })
}

async fn alter(
    client: &Client,
    args: &Args,
    entity: &Entity,
    out: &mut Output,
) -> Result<(), Trouble> {
    let (set, deleted) = changes(args)?;
    let resource = resource(entity)?;
    let mut changes: Vec<AlterConfig> = deleted.into_iter().map(AlterConfig::Delete).collect();
    changes.extend(
        set.iter()
            .map(|(name, value)| AlterConfig::Set(name.to_owned(), value.to_owned())),
    );
    client.alter_configs(&resource, &changes, false).await?;
    completed(entity, out)
}

/// What is to be set, and what is to be as if it never was.
fn changes(args: &Args) -> Result<(Properties, Vec<String>), Failure> {
    let mut set = Properties::default();
    if let Some(path) = args.value("add-config-file")? {
        set.extend(Properties::read(Path::new(path))?);
    }
    if let Some(configs) = args.value("add-config")? {
        for (name, value) in options::parse_pairs(configs).map_err(Failure::plain)? {
            set.set(name, value);
        }
    }
    let deleted = args
        .values("delete-config")
        .flat_map(|names| names.split(','));
    let deleted: Vec<String> = deleted
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    Ok((set, deleted))
}

fn completed(entity: &Entity, out: &mut Output) -> Result<(), Trouble> {
    match entity.name.as_deref() {
        Some("") | None => writeln!(
            out,
            "Completed updating default config for {} in the cluster.",
            entity.kind.plural()
        )?,
        Some(name) => writeln!(
            out,
            "Completed updating config for {} {name}.",
            entity.kind.singular()
        )?,
    }
    Ok(())
}

fn resource(entity: &Entity) -> Result<ConfigResource, Failure> {
    let kind = match entity.kind {
        Kind::Topics => ResourceType::Topic,
        Kind::Brokers => ResourceType::Broker,
        Kind::BrokerLoggers => ResourceType::BrokerLogger,
        Kind::ClientMetrics => ResourceType::ClientMetrics,
        Kind::Groups => ResourceType::Group,
        Kind::Users | Kind::Clients | Kind::Ips => {
            return Err(Failure::plain(format!(
                "{} have quotas, not settings",
                entity.kind.plural()
            )));
        }
    };
    let name = entity.name.clone().unwrap_or_default();
    if matches!(entity.kind, Kind::Brokers | Kind::BrokerLoggers)
        && !name.is_empty()
        && name.parse::<i32>().is_err()
    {
        return Err(Failure::plain(format!(
            "The entity name for {} must be a valid integer broker id, found: {name}",
            entity.kind.plural()
        )));
    }
    Ok(ConfigResource { kind, name })
}

async fn describe_all(
    client: &Client,
    args: &Args,
    entity: &Entity,
    out: &mut Output,
) -> Result<(), Trouble> {
    let shows_all = args.has("all");
    if let Some(name) = &entity.name {
        if entity.kind == Kind::Groups && !shows_all && !groups(client).await?.contains(name) {
            writeln!(
                out,
                "The group '{name}' doesn't exist and doesn't have dynamic config."
            )?;
            return Ok(());
        }
        return describe_one(client, entity, shows_all, out).await;
    }
    let names: Vec<String> = match entity.kind {
        Kind::Topics => client
            .list_topics()
            .await?
            .into_iter()
            .map(|topic| topic.name)
            .collect(),
        Kind::Brokers | Kind::BrokerLoggers => {
            let cluster = client.describe_cluster(false).await?;
            let ids = cluster.brokers.iter().map(|broker| broker.id.to_string());
            // The defaults are an entity of their own.
            let defaults = (entity.kind == Kind::Brokers).then(String::new);
            ids.chain(defaults).collect()
        }
        Kind::Groups => groups(client).await?.into_iter().collect(),
        Kind::ClientMetrics => {
            let listed = client.list_config_resources(&[ResourceType::ClientMetrics]);
            listed.await?.into_iter().map(|one| one.name).collect()
        }
        Kind::Users | Kind::Clients | Kind::Ips => Vec::new(),
    };
    for name in names {
        let one = Entity {
            kind: entity.kind,
            name: Some(name),
        };
        describe_one(client, &one, shows_all, out).await?;
    }
    Ok(())
}

/// Those that there are, and those that something is set on.
async fn groups(client: &Client) -> Result<BTreeSet<String>, Trouble> {
    let there_are = client.list_groups(&GroupFilter::default()).await?;
    let mut names: BTreeSet<String> = there_are.into_iter().map(|group| group.name).collect();
    match client.list_config_resources(&[ResourceType::Group]).await {
        Ok(set) => names.extend(set.into_iter().map(|resource| resource.name)),
        // Brokers before Kafka 4.1 cannot tell.
        Err(error) if error.code() == Some(ErrorCode::UnsupportedVersion) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(names)
}

async fn describe_one(
    client: &Client,
    entity: &Entity,
    shows_all: bool,
    out: &mut Output,
) -> Result<(), Trouble> {
    let resource = resource(entity)?;
    let name = &resource.name;
    let kind = entity.kind;
    let entries = match client.describe_configs(&resource).await {
        Ok(entries) => entries,
        Err(error)
            if kind == Kind::Topics && error.code() == Some(ErrorCode::UnknownTopicOrPartition) =>
        {
            writeln!(
                out,
                "The topic '{name}' doesn't exist and doesn't have dynamic config."
            )?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    match (name.is_empty(), shows_all) {
        (true, _) => writeln!(
            out,
            "Default configs for {} in the cluster are:",
            kind.plural()
        )?,
        (false, true) => writeln!(out, "All configs for {} {name} are:", kind.singular())?,
        (false, false) => writeln!(out, "Dynamic configs for {} {name} are:", kind.singular())?,
    }
    let mut shown: Vec<&ConfigEntry> = entries
        .iter()
        .filter(|entry| shows_all || is_dynamic(kind, name, entry))
        .collect();
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in shown {
        writeln!(out, "{}", line(entry))?;
    }
    Ok(())
}

/// Set on this very entity, not inherited.
fn is_dynamic(kind: Kind, name: &str, entry: &ConfigEntry) -> bool {
    match kind {
        Kind::Topics => entry.source == ConfigSource::DynamicTopic,
        Kind::Brokers if name.is_empty() => entry.source == ConfigSource::DynamicDefaultBroker,
        Kind::Brokers => entry.source == ConfigSource::DynamicBroker,
        Kind::BrokerLoggers => true,
        Kind::ClientMetrics => entry.source == ConfigSource::ClientMetrics,
        Kind::Groups => entry.source == ConfigSource::Group,
        Kind::Users | Kind::Clients | Kind::Ips => false,
    }
}

fn line(entry: &ConfigEntry) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms = entry.synonyms.iter();
    let synonyms: Vec<String> = synonyms
        .map(|synonym| {
            format!(
                "{}:{}={}",
                synonym.source.name(),
                synonym.name,
                value(&synonym.value)
            )
        })
        .collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        value(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_client::admin::ConfigSynonym;

    #[test]
    fn a_setting_is_shown_with_where_it_comes_from() {
        let synonym = |name: &str, value: &str, source| ConfigSynonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        };
        let entry = ConfigEntry {
            name: "cleanup.policy".to_owned(),
            value: Some("compact,delete".to_owned()),
            source: ConfigSource::DynamicTopic,
            is_sensitive: false,
            is_read_only: false,
            synonyms: vec![
                synonym(
                    "cleanup.policy",
                    "compact,delete",
                    ConfigSource::DynamicTopic,
                ),
                synonym("log.cleanup.policy", "delete", ConfigSource::Default),
            ],
        };
        assert_eq!(
            line(&entry),
            "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}"
        );
    }
}
