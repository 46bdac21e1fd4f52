//! `kafka-client-metrics`: which clients are to push which of their metrics (KIP-714).

use crate::args::{Args, Spec, flag, value};
use crate::configs::parse_pairs;
use crate::failure::{Failure, Trouble, describe, message};
use crate::{Output, connect};
use millrace_client::Client;
use millrace_client::admin::{
    AlterConfig, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
};
use millrace_client::uuid;

const SPEC: Spec = Spec {
    about: "This tool helps to manipulate and describe client metrics configurations.",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "REQUIRED: The Kafka server to connect to.",
        ),
        value(
            "command-config",
            "String: command config property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag(
            "alter",
            "Alter the configuration for the client metrics resource.",
        ),
        flag(
            "delete",
            "Delete the configuration for the client metrics resource.",
        ),
        flag(
            "describe",
            "List configurations for the client metrics resource.",
        ),
        flag("list", "List the client metrics resources."),
        value(
            "name",
            "String: name",
            "Name of client metrics configuration resource.",
        ),
        flag("generate-name", "Generate a UUID to use as the name."),
        value(
            "interval",
            "String: push interval",
            "The metrics push interval in milliseconds.\nLeave empty to reset the interval.",
        ),
        value(
            "match",
            "String: k1=v1,k2=v2",
            "Matching selector 'k1=v1,k2=v2'. The following is a list of valid selector names:\n  client_id\n  client_instance_id\n  client_software_name\n  client_software_version\n  client_source_address\n  client_source_port",
        ),
        value(
            "metrics",
            "String: m1,m2",
            "Telemetry metric name prefixes 'm1,m2'.",
        ),
    ],
};

/// The options, and the settings they are.
const SETTINGS: [(&str, &str); 3] = [
    ("interval", "interval.ms"),
    ("match", "match"),
    ("metrics", "metrics"),
];

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let args = SPEC.parse(args)?;
    check(&args)?;
    let properties = connect::file(&args, "command-config")?;
    let client = connect::client(
        args.value("bootstrap-server")?,
        &properties,
        "adminclient-1",
    )?;
    let done = if args.has("alter") {
        alter(&client, &args, out).await
    } else if args.has("delete") {
        delete(&client, args.value("name")?.unwrap_or_default(), out).await
    } else if args.has("describe") {
        show(&client, args.value("name")?, out).await
    } else {
        list(&client, out).await
    };
    done.map_err(|trouble| match trouble {
        Trouble::Client(error) => Failure {
            stdout: format!(
                "Error while executing client metrics command : {}",
                message(&error)
            ),
            ..Failure::plain(describe(&error))
        },
        Trouble::Own(failure) => failure,
    })
}

fn check(args: &Args) -> Result<(), Failure> {
    let actions = ["alter", "delete", "describe", "list"];
    if actions.iter().filter(|action| args.has(action)).count() != 1 {
        return Err(args.usage(
            "Command must include exactly one action: --alter, --delete, --describe or --list.",
        ));
    }
    if !args.has("bootstrap-server") {
        return Err(Failure::plain("--bootstrap-server must be specified."));
    }
    if args.has("alter") && args.has("name") == args.has("generate-name") {
        return Err(Failure::plain(
            "One of --name or --generate-name must be specified with --alter.",
        ));
    }
    let settings = SETTINGS.map(|(option, _)| option);
    if args.has("alter") && !settings.iter().any(|option| args.has(option)) {
        return Err(Failure::plain(
            "At least one of --interval, --match or --metrics must be specified with --alter.",
        ));
    }
    if args.has("delete") && !args.has("name") {
        return Err(Failure::plain("--name must be specified with --delete."));
    }
    args.forbid("list", &["name"])
}

fn resource(name: &str) -> ConfigResource {
    ConfigResource {
        kind: ResourceType::ClientMetrics,
        name: name.to_owned(),
    }
}

async fn alter(client: &Client, args: &Args, out: &mut Output) -> Result<(), Trouble> {
    let name = match args.value("name")? {
        Some(name) => name.to_owned(),
        None => uuid::to_text(uuid::random()),
    };
    let mut changes = Vec::new();
    for (option, setting) in SETTINGS {
        match args.value(option)? {
            Some("") => changes.push(AlterConfig::Delete(setting.to_owned())),
            Some(value) => {
                if option == "match" {
                    parse_pairs(value).map_err(Failure::plain)?;
                }
                changes.push(AlterConfig::Set(setting.to_owned(), value.to_owned()));
            }
            None => {}
        }
    }
    client
        .alter_configs(&resource(&name), &changes, false)
        .await?;
    Ok(writeln!(out, "Altered client metrics config for {name}.")?)
}

async fn delete(client: &Client, name: &str, out: &mut Output) -> Result<(), Trouble> {
    let set = client.describe_configs(&resource(name)).await?;
    let set = set.into_iter().filter(is_set);
    let changes: Vec<AlterConfig> = set.map(|entry| AlterConfig::Delete(entry.name)).collect();
    if !changes.is_empty() {
        client
            .alter_configs(&resource(name), &changes, false)
            .await?;
    }
    Ok(writeln!(out, "Deleted client metrics config for {name}.")?)
}

fn is_set(entry: &ConfigEntry) -> bool {
    entry.source == ConfigSource::ClientMetrics
}

async fn names(client: &Client) -> Result<Vec<String>, Trouble> {
    let listed = client.list_config_resources(&[ResourceType::ClientMetrics]);
    Ok(listed.await?.into_iter().map(|one| one.name).collect())
}

async fn show(client: &Client, name: Option<&str>, out: &mut Output) -> Result<(), Trouble> {
    let names = match name {
        Some(name) if names(client).await?.iter().any(|known| known == name) => {
            vec![name.to_owned()]
        }
        Some(name) => {
            return Ok(writeln!(
                out,
                "The client metric resource {name} doesn't exist and doesn't have dynamic config."
            )?);
        }
        None => names(client).await?,
    };
    for name in names {
        let mut entries = client.describe_configs(&resource(&name)).await?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        writeln!(out, "Client metrics configs for {name} are:")?;
        for entry in entries {
            writeln!(out, "  {}={}", entry.name, entry.value.unwrap_or_default())?;
        }
    }
    Ok(())
}

async fn list(client: &Client, out: &mut Output) -> Result<(), Trouble> {
    Ok(writeln!(out, "{}", names(client).await?.join("\n"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<(), String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let checked = SPEC.parse(&args).and_then(|args| check(&args));
        checked.map_err(|f| f.stderr.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_missing_is_said_in_kafkas_words() {
        let refused = |line: &str, words: &str| assert_eq!(checked(line), Err(words.to_owned()));
        refused(
            "--bootstrap-server h:1",
            "Command must include exactly one action: --alter, --delete, --describe or --list.",
        );
        refused("--list", "--bootstrap-server must be specified.");
        refused(
            "--bootstrap-server h:1 --alter",
            "One of --name or --generate-name must be specified with --alter.",
        );
        refused(
            "--bootstrap-server h:1 --delete",
            "--name must be specified with --delete.",
        );
        assert_eq!(
            checked("--bootstrap-server h:1 --alter --name a --interval 100"),
            Ok(())
        );
    }
}
