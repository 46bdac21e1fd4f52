//! Quotas of users, clients and addresses: `kafka-configs` sets them like settings, but they have an API of their own.

use super::entity::{Entity, Kind};
use super::{changes, completed};
use crate::Output;
use crate::args::Args;
use crate::failure::{Failure, Trouble};
use millrace_client::Client;
use millrace_client::admin::{QuotaChange, QuotaEntity, QuotaMatch};
use std::collections::BTreeMap;

const RATES: [&str; 4] = [
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
];
const OF_ADDRESSES: [&str; 1] = ["connection_creation_rate"];

fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ips => &OF_ADDRESSES,
        _ => &RATES,
    }
}

/// As the protocol spells it.
fn part(kind: Kind) -> &'static str {
    match kind {
        Kind::Users => "user",
        Kind::Clients => "client-id",
        _ => "ip",
    }
}

pub async fn alter(
    client: &Client,
    args: &Args,
    entities: &[Entity],
    out: &mut Output,
) -> Result<(), Trouble> {
    let (set, deleted) = changes(args)?;
    let kind = entities[0].kind;
    let names = set.iter().map(|(name, _)| name);
    let names: Vec<&str> = names.chain(deleted.iter().map(String::as_str)).collect();
    refuse_unknown(kind, &names)?;
    let mut changes = Vec::new();
    for (name, value) in set.iter() {
        let rate = value
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|rate| rate.is_finite());
        let rate = rate.ok_or_else(|| {
            Failure::plain(format!(
                "Cannot parse quota configuration value for {name}: {value}"
            ))
        })?;
        changes.push(QuotaChange::Set(name.to_owned(), rate));
    }
    let entity: QuotaEntity = entities
        .iter()
        .map(|entity| {
            let name = entity.name.clone().filter(|name| !name.is_empty());
            (part(entity.kind).to_owned(), name)
        })
        .collect();
    if !deleted.is_empty() {
        let there_are = client.describe_quotas(&exactly(&entity), true).await?;
        let there_are = there_are.into_iter().find(|(found, _)| *found == entity);
        let there_are = there_are.map(|(_, quotas)| quotas).unwrap_or_default();
        let missing: Vec<&String> = deleted
            .iter()
            .filter(|name| !there_are.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
            return Err(Failure::plain(format!("Invalid config(s): {}", missing.join(","))).into());
        }
    }
    changes.extend(deleted.into_iter().map(QuotaChange::Remove));
    client.alter_quotas(&entity, &changes, false).await?;
    completed(&entities[0], out)
}

fn refuse_unknown(kind: Kind, names: &[&str]) -> Result<(), Failure> {
    if let Some(mechanism) = names
        .iter()
        .find(|name| kind == Kind::Users && name.starts_with("SCRAM-"))
    {
        return Err(Failure::plain(format!(
            "{mechanism}: credentials of SCRAM are not served yet"
        )));
    }
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| !known(kind).contains(name))
        .copied()
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::plain(format!(
            "Only quota configs can be added for '{}' using --bootstrap-server. Unexpected config names: Set({})",
            kind.plural(),
            unknown.join(", ")
        ))),
    }
}

fn exactly(entity: &QuotaEntity) -> BTreeMap<String, QuotaMatch> {
    let wanted = |name: &Option<String>| match name {
        Some(name) => QuotaMatch::Name(name.clone()),
        None => QuotaMatch::Default,
    };
    entity
        .iter()
        .map(|(kind, name)| (kind.clone(), wanted(name)))
        .collect()
}

pub async fn describe(
    client: &Client,
    entities: &[Entity],
    out: &mut Output,
) -> Result<(), Trouble> {
    let wanted = entities.iter().map(|entity| {
        let wanted = match entity.name.as_deref() {
            None => QuotaMatch::Any,
            Some("") => QuotaMatch::Default,
            Some(name) => QuotaMatch::Name(name.to_owned()),
        };
        (part(entity.kind).to_owned(), wanted)
    });
    for (entity, quotas) in client.describe_quotas(&wanted.collect(), true).await? {
        writeln!(out, "{}", line(&entity, &quotas))?;
    }
    Ok(())
}

fn line(entity: &QuotaEntity, quotas: &BTreeMap<String, f64>) -> String {
    let words = [
        ("user", "user-principal"),
        ("client-id", "client-id"),
        ("ip", "ip"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .filter_map(|(kind, words)| match entity.get(kind)? {
            Some(name) => Some(format!("{words} '{name}'")),
            None => Some(format!("the default {words}")),
        })
        .collect();
    let quotas: Vec<String> = quotas
        .iter()
        .map(|(name, rate)| format!("{name}={rate:?}"))
        .collect();
    format!(
        "Quota configs for {} are {}",
        parts.join(", "),
        quotas.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_shown_in_kafkas_words() {
        let name = |name: &str| Some(name.to_owned());
        let entity: QuotaEntity = [
            ("user".to_owned(), name("alice")),
            ("client-id".to_owned(), None),
        ]
        .into();
        let quotas = [("consumer_byte_rate".to_owned(), 5.0)].into();
        assert_eq!(
            line(&entity, &quotas),
            "Quota configs for user-principal 'alice', the default client-id are consumer_byte_rate=5.0"
        );
        let entity: QuotaEntity = [("ip".to_owned(), name("1.2.3.4"))].into();
        let quotas = [("connection_creation_rate".to_owned(), 10.0)].into();
        assert_eq!(
            line(&entity, &quotas),
            "Quota configs for ip '1.2.3.4' are connection_creation_rate=10.0"
        );
    }

    #[test]
    fn what_is_no_quota_is_refused_by_name() {
        let refused = |kind, name| refuse_unknown(kind, &[name]).map_err(|f| f.stderr);
        assert_eq!(
            refused(Kind::Clients, "foo"),
            Err("Only quota configs can be added for 'clients' using --bootstrap-server. Unexpected config names: Set(foo)".to_owned())
        );
        assert!(refused(Kind::Ips, "producer_byte_rate").is_err());
        assert_eq!(refused(Kind::Ips, "connection_creation_rate"), Ok(()));
        assert!(refused(Kind::Users, "SCRAM-SHA-256").is_err());
    }
}
