//! The options of `kafka-configs`.

use super::entity::Entity;
use crate::args::{Args, Spec, flag, value};
use crate::connect;
use crate::failure::Failure;

pub const SPEC: Spec = Spec {
    about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
    options: &[
        value(
            "bootstrap-server",
            "String: server to connect to",
            "The Kafka servers to connect to.",
        ),
        value(
            "bootstrap-controller",
            "String: controller to connect to",
            connect::CONTROLLERS,
        ),
        value(
            "zookeeper",
            "String: urls",
            "Gone from Kafka: write --bootstrap-server instead.",
        ),
        value(
            "command-config",
            "String: command config property file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        flag("alter", "Alter the configuration for the entity."),
        flag("describe", "List configs for the given entity."),
        flag(
            "all",
            "List all configs for the given entity, including static configs if available.",
        ),
        value(
            "entity-type",
            "String",
            "Type of entity (topics/clients/users/brokers/broker-loggers/ips/client-metrics/groups)",
        ),
        value(
            "entity-name",
            "String",
            "Name of entity (topic name/client id/user principal name/broker id/ip/client metrics/group id)",
        ),
        flag(
            "entity-default",
            "Default entity name for clients/users/brokers/ips (applies to corresponding entity type)",
        ),
        value(
            "add-config",
            "String",
            "Key Value pairs of configs to add. Square brackets can be used to group values which contain commas: 'k1=v1,k2=[v1,v2,v2],k3=v3'.",
        ),
        value(
            "add-config-file",
            "String",
            "Path to a properties file with configs to add. See add-config for a list of valid configurations.",
        ),
        value("delete-config", "String", "config keys to remove 'k1,k2'"),
        flag("force", "Suppress console prompts"),
        value("topic", "String", "The topic's name."),
        value("client", "String", "The client's ID."),
        flag("client-defaults", "The config defaults for all clients."),
        value("user", "String", "The user's principal name."),
        flag("user-defaults", "The config defaults for all users."),
        value("broker", "String", "The broker's ID."),
        flag("broker-defaults", "The config defaults for all brokers."),
        value(
            "broker-logger",
            "String",
            "The broker's ID for its logger config.",
        ),
        value("ip", "String", "The IP address."),
        flag("ip-defaults", "The config defaults for all IPs."),
        value("group", "String", "The group's ID."),
        value(
            "client-metrics",
            "String",
            "The client metrics config resource name.",
        ),
    ],
};

pub fn check(args: &Args) -> Result<Vec<Entity>, Failure> {
    if args.has("alter") == args.has("describe") {
        return Err(args.usage("Command must include exactly one action: --describe, --alter"));
    }
    if !["bootstrap-server", "bootstrap-controller", "zookeeper"]
        .iter()
        .any(|option| args.has(option))
    {
        return Err(Failure::plain(
            "One of the required --bootstrap-server or --bootstrap-controller arguments must be specified",
        ));
    }
    let names = args.values("entity-name").count();
    if args.has("entity-default") && names > 0 && names >= args.values("entity-type").count() {
        return Err(Failure::plain(
            "--entity-name and --entity-default cannot be given together",
        ));
    }
    let entities = Entity::of(args)?;
    for entity in &entities {
        check_name(args, entity)?;
    }
    if args.has("alter") {
        args.forbid("add-config", &["add-config-file"])?;
        if !["add-config", "add-config-file", "delete-config"]
            .iter()
            .any(|option| args.has(option))
        {
            return Err(Failure::plain(
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
            ));
        }
    }
    Ok(entities)
}

fn check_name(args: &Args, entity: &Entity) -> Result<(), Failure> {
    let kinds = entity.kind.plural();
    if args.has("describe") && args.has("entity-default") && !entity.kind.has_default() {
        return Err(Failure::plain(format!(
            "--entity-default must not be specified with --describe of {kinds}"
        )));
    }
    let is_named = entity.name.as_deref().is_some_and(|name| !name.is_empty());
    match entity.kind.has_default() {
        _ if !args.has("alter") => Ok(()),
        true if entity.name.is_none() => Err(Failure::plain(
            "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
        )),
        false if !is_named => Err(Failure::plain(format!(
            "An entity name must be specified with --alter of {kinds}"
        ))),
        _ => Ok(()),
    }
}

/// `k1=v1,k2=[v1,v2]`: commas within brackets belong to the value.
pub fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut depth = 0i32;
    let mut part = String::new();
    let mut parts = Vec::new();
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth <= 0 {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        part.push(c);
    }
    parts.push(part);
    for part in parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
    {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!(
                "Invalid entity config: all configs to be added must be in the format \"key=val\", found: {part}"
            ));
        };
        let value = value.trim();
        let value = value
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(value);
        pairs.push((name.trim().to_owned(), value.to_owned()));
    }
    match pairs.is_empty() {
        true => Err("requirement failed: at least one key=val must be given".to_owned()),
        false => Ok(pairs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::entity::Kind;

    fn checked(line: &str) -> Result<Entity, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let entity = SPEC.parse(&args).and_then(|args| check(&args));
        let entity = entity.map(|mut entities| entities.remove(0));
        entity.map_err(|failure| failure.stderr.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn an_entity_is_named_by_type_and_name_or_by_its_short_option() {
        let topic = Entity {
            kind: Kind::Topics,
            name: Some("t".to_owned()),
        };
        assert_eq!(
            checked("--bootstrap-server h:1 --describe --topic t"),
            Ok(topic.clone())
        );
        assert_eq!(
            checked("--bootstrap-server h:1 --describe --entity-type topics --entity-name t"),
            Ok(topic)
        );
        let defaults = Entity {
            kind: Kind::Brokers,
            name: Some(String::new()),
        };
        assert_eq!(
            checked("--bootstrap-server h:1 --describe --broker-defaults"),
            Ok(defaults.clone())
        );
        assert_eq!(
            checked("--bootstrap-server h:1 --describe --entity-type brokers --entity-default"),
            Ok(defaults)
        );
    }

    #[test]
    fn what_is_missing_is_said_in_kafkas_words() {
        assert_eq!(
            checked("--bootstrap-server h:1 --describe"),
            Err("At least one entity type must be specified".to_owned())
        );
        assert_eq!(
            checked("--bootstrap-server h:1 --alter --topic t"),
            Err("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".to_owned())
        );
        assert_eq!(
            checked("--bootstrap-server h:1 --topic t"),
            Err("Command must include exactly one action: --describe, --alter".to_owned())
        );
    }

    #[test]
    fn only_some_kinds_have_defaults_for_all() {
        let refused = |line: &str, words: &str| {
            let line = format!("--bootstrap-server h:1 --add-config a=1 {line}");
            assert_eq!(checked(&line), Err(words.to_owned()), "{line}");
        };
        for kind in ["groups", "topics", "client-metrics", "broker-loggers"] {
            let default = format!("--entity-type {kind} --entity-default");
            refused(
                &format!("--describe {default}"),
                &format!("--entity-default must not be specified with --describe of {kind}"),
            );
            let words = format!("An entity name must be specified with --alter of {kind}");
            refused(&format!("--alter {default}"), &words);
            refused(&format!("--alter --entity-type {kind}"), &words);
        }
        refused(
            "--alter --entity-type brokers",
            "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
        );
        let group = Entity {
            kind: Kind::Groups,
            name: Some("g".to_owned()),
        };
        assert_eq!(
            checked("--bootstrap-server h:1 --describe --group g"),
            Ok(group)
        );
    }

    #[test]
    fn a_user_and_a_client_may_stand_together() {
        let of = |line: &str| {
            let line = format!("--bootstrap-server h:1 --describe {line}");
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let entities = SPEC.parse(&args).and_then(|args| check(&args));
            let entities = entities.map_err(|failure| failure.stderr)?;
            Ok(entities.into_iter().map(|e| (e.kind, e.name)).collect())
        };
        let both = |user: Option<&str>, client: Option<&str>| {
            let name = |name: Option<&str>| name.map(str::to_owned);
            Ok(vec![
                (Kind::Users, name(user)),
                (Kind::Clients, name(client)),
            ])
        };
        let check = |line: &str, expected: Result<Vec<(Kind, Option<String>)>, String>| {
            assert_eq!(of(line), expected, "{line}");
        };
        check("--client c --user u", both(Some("u"), Some("c")));
        check("--user u --client-defaults", both(Some("u"), Some("")));
        check(
            "--entity-type clients --entity-name c --entity-type users --entity-default",
            both(Some(""), Some("c")),
        );
        check(
            "--entity-type users --entity-type clients",
            both(None, None),
        );
        let words = "Only 'users' and 'clients' entity types may be specified together";
        check("--user u --ip 1.2.3.4", Err(words.to_owned()));
    }

    #[test]
    fn brackets_keep_commas_in_a_value() {
        let pairs = parse_pairs("a=1, b=[x,y],c=").expect("pairs");
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x,y"), ("c", "")]);
        assert!(parse_pairs("a").is_err());
    }
}
