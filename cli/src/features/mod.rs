//! `kafka-features`: the features that a cluster has agreed on.

mod versions;

use crate::args::{Args, Spec, flag, value};
use crate::failure::{Failure, message};
use crate::{Output, connect};
use millrace_client::Client;
use millrace_client::admin::{Features, UpgradeType};
use std::collections::BTreeMap;
use versions::METADATA;

const SPEC: Spec = Spec {
    about: "This tool manages feature flags in Kafka.\nusage: kafka-features [--bootstrap-server HOST:PORT] {describe,upgrade,downgrade,disable,version-mapping,feature-dependencies} ...",
    options: &[
        value(
            "bootstrap-server",
            "String: host:port",
            "A comma-separated list of host:port pairs to use for establishing the connection to the Kafka cluster.",
        ),
        value(
            "bootstrap-controller",
            "String: host:port",
            connect::CONTROLLERS,
        ),
        value(
            "command-config",
            "String: config file",
            "Property file containing configs to be passed to Admin Client.",
        ),
        value(
            "feature",
            "String: feature[=level]",
            "A feature to change, as feature=level (upgrade, downgrade, feature-dependencies) or by its name (disable). May be given again.",
        ),
        value(
            "release-version",
            "String: release",
            "The release version to update all features to, or whose levels version-mapping shows.",
        ),
        value(
            "metadata",
            "String: metadata",
            "DEPRECATED -- The level to which we should change the metadata. For example, 3.3-IV3.",
        ),
        flag(
            "unsafe",
            "With downgrade and disable: even if metadata is lost by it.",
        ),
        flag("dry-run", "Validate this change, but do not perform it."),
    ],
};

const COMMANDS: [&str; 6] = [
    "describe",
    "upgrade",
    "downgrade",
    "disable",
    "version-mapping",
    "feature-dependencies",
];

pub async fn run(args: &[String], out: &mut Output) -> Result<(), Failure> {
    let (command, args) = SPEC.parse_command(args, &COMMANDS)?;
    match command {
        None => Err(Failure::plain(
            "Command line error: too few arguments. Type --help for help.",
        )),
        Some("version-mapping") => version_mapping(&args, out),
        Some("feature-dependencies") => dependencies(&args, out),
        Some("describe") => {
            let features = client(&args)?.describe_features().await?;
            Ok(write!(out, "{}", shown(&features))?)
        }
        Some(command) => update(command, &args, out).await,
    }
}

fn client(args: &Args) -> Result<Client, Failure> {
    let bootstrap = connect::bootstrap(args)?;
    if bootstrap.is_none() {
        return Err(Failure::plain(
            "Command line error: You must specify either --bootstrap-controller or --bootstrap-server.. Type --help for help.",
        ));
    }
    let properties = connect::file(args, "command-config")?;
    connect::client(bootstrap, &properties, "adminclient-1")
}

fn shown(features: &Features) -> String {
    let mut text = String::new();
    let epoch = features
        .epoch
        .map_or("-".to_owned(), |epoch| epoch.to_string());
    for (name, feature) in &features.by_name {
        let level = |level: i16| versions::level_text(name, level);
        let (min, max) = feature.supported.unwrap_or_default();
        let finalized = level(feature.finalized.unwrap_or(0));
        text.push_str(&format!(
            "Feature: {name:<42}SupportedMinVersion: {:<17}SupportedMaxVersion: {:<17}FinalizedVersionLevel: {finalized:<17}Epoch: {epoch}\n",
            level(min),
            level(max),
        ));
    }
    text
}

fn version_mapping(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (release, asked) = match args.value("release-version")? {
        Some(text) => (versions::parse(text).map_err(Failure::plain)?, text),
        None => (versions::latest(), versions::latest().name),
    };
    writeln!(out, "{METADATA}={} ({asked})", release.level)?;
    for (name, level) in versions::features_of(release) {
        writeln!(out, "{name}={level}")?;
    }
    Ok(())
}

fn dependencies(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let asked: Vec<&str> = args.values("feature").collect();
    if asked.is_empty() {
        return Err(args.usage("kafka-features: error: argument --feature is required"));
    }
    for text in asked {
        let (name, level) = parse_level(text)?;
        let shown = match name == METADATA {
            true => format!("{name}={level} ({})", versions::level_text(&name, level)),
            false => format!("{name}={level}"),
        };
        match versions::dependency(&name, level).map_err(Failure::plain)? {
            None => writeln!(out, "{shown} has no dependencies.")?,
            Some(needs) => writeln!(
                out,
                "{shown} requires:\n    {METADATA}={needs} ({})",
                versions::level_text(METADATA, needs)
            )?,
        }
    }
    Ok(())
}

fn parse_level(text: &str) -> Result<(String, i16), Failure> {
    let refused =
        |what: &str| Failure::plain(format!("Can't parse feature=level string {text}: {what}"));
    let (name, level) = text
        .split_once('=')
        .ok_or_else(|| refused("equals sign not found."))?;
    let level = level.trim().parse();
    Ok((
        name.trim().to_owned(),
        level.map_err(|_| refused("unable to parse the level."))?,
    ))
}

/// What is to be changed, and to which level.
fn wanted(command: &str, args: &Args) -> Result<BTreeMap<String, i16>, Failure> {
    let mut levels = BTreeMap::new();
    if command == "disable" {
        levels.extend(args.values("feature").map(|name| (name.to_owned(), 0)));
    } else {
        for text in args.values("feature") {
            let (name, level) = parse_level(text)?;
            if levels.insert(name.clone(), level).is_some() {
                return Err(Failure::plain(format!(
                    "Feature {name} was specified more than once."
                )));
            }
        }
        if let Some(text) = args.value("metadata")? {
            connect::deprecated(args, "metadata", "release-version");
            let release = versions::parse(text).map_err(Failure::plain)?;
            levels.insert(METADATA.to_owned(), release.level);
        }
        if let Some(text) = args.value("release-version")? {
            if !levels.is_empty() {
                return Err(Failure::plain(
                    "Can not specify `release-version` with other feature flags.",
                ));
            }
            let release = versions::parse(text).map_err(Failure::plain)?;
            levels.insert(METADATA.to_owned(), release.level);
            let others = versions::features_of(release).into_iter();
            levels.extend(others.map(|(name, level)| (name.to_owned(), level)));
        }
    }
    match levels.is_empty() {
        true => Err(Failure::plain(format!(
            "You must specify at least one feature to {command}"
        ))),
        false => Ok(levels),
    }
}

async fn update(command: &str, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let mut levels = wanted(command, args)?;
    let client = client(args)?;
    if args.has("release-version") {
        // What this cluster does not have need not be changed.
        let known = client.describe_features().await?.by_name;
        levels.retain(|name, level| *level > 0 || known.contains_key(name));
    }
    let upgrade_type = match (command, args.has("unsafe")) {
        ("upgrade", _) => UpgradeType::Upgrade,
        (_, false) => UpgradeType::SafeDowngrade,
        (_, true) => UpgradeType::UnsafeDowngrade,
    };
    let is_dry = args.has("dry-run");
    let results = client
        .update_features(&levels, upgrade_type, is_dry)
        .await?;
    let mut failures = 0;
    let tail = |level: i16| match command {
        "disable" => String::new(),
        _ => format!(" to {level}"),
    };
    for (name, result) in &results {
        let tail = tail(levels.get(name).copied().unwrap_or(0));
        match result {
            Ok(()) if is_dry => writeln!(out, "{name} can be {command}d{tail}.")?,
            Ok(()) => writeln!(out, "{name} was {command}d{tail}.")?,
            Err(error) => {
                failures += 1;
                let words = message(error);
                let could = if is_dry { "Can not" } else { "Could not" };
                writeln!(out, "{could} {command} {name}{tail}. {words}")?;
            }
        }
    }
    match failures {
        0 => Ok(()),
        n => Err(Failure::plain(format!(
            "{n} out of {} operation(s) failed.",
            results.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_client::admin::Feature;

    fn check(command: &str, line: &str) -> Result<BTreeMap<String, i16>, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let wanted = SPEC.parse(&args).and_then(|args| wanted(command, &args));
        wanted.map_err(|failure| failure.stderr)
    }

    #[test]
    fn levels_are_given_one_by_one_or_by_a_release() {
        let one = check("upgrade", "--feature group.version=1");
        assert_eq!(one, Ok([("group.version".to_owned(), 1)].into()));
        let none = check("disable", "--feature group.version");
        assert_eq!(none, Ok([("group.version".to_owned(), 0)].into()));
        let release = check("upgrade", "--release-version 4.0").expect("levels");
        assert_eq!(release.get(METADATA), Some(&25));
        assert_eq!(release.get("transaction.version"), Some(&2));
        let refused = |line: &str, words: &str| {
            assert_eq!(check("upgrade", line), Err(words.to_owned()));
        };
        refused("", "You must specify at least one feature to upgrade");
        refused(
            "--feature group.version",
            "Can't parse feature=level string group.version: equals sign not found.",
        );
        refused(
            "--feature a=1 --release-version 4.0",
            "Can not specify `release-version` with other feature flags.",
        );
    }

    #[test]
    fn features_are_shown_with_their_levels() {
        let feature = |supported, finalized| Feature {
            supported: Some(supported),
            finalized,
        };
        let features = Features {
            by_name: [
                ("group.version".to_owned(), feature((0, 1), None)),
                (METADATA.to_owned(), feature((7, 30), Some(30))),
            ]
            .into(),
            epoch: Some(185),
        };
        assert_eq!(
            shown(&features),
            "Feature: group.version                             SupportedMinVersion: 0                SupportedMaxVersion: 1                FinalizedVersionLevel: 0                Epoch: 185\n\
             Feature: metadata.version                          SupportedMinVersion: 3.3-IV3          SupportedMaxVersion: 4.3-IV0          FinalizedVersionLevel: 4.3-IV0          Epoch: 185\n"
        );
    }
}
