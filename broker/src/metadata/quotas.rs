//! Quotas: how much of the brokers a user, a client id or an address may take.
//!
//! Which keys there are, and what they may be, is checked by who asks; here they are names and numbers.

use super::machine::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whom a quota holds for, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuotaName {
    /// Everybody of the kind who has no quota of their own.
    Default,
    Of(String),
}

/// Whom quotas hold for. One with neither is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuotaEntity {
    pub user: Option<QuotaName>,
    pub client_id: Option<QuotaName>,
    pub ip: Option<QuotaName>,
}

/// What is set, by key.
pub type QuotaValues = BTreeMap<String, f64>;

/// All that there are. Who holds it can tell by the pointer whether anything has changed.
pub type Quotas = Arc<BTreeMap<QuotaEntity, QuotaValues>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuotaAlteration {
    pub entity: QuotaEntity,
    /// `None` takes the quota away.
    pub changes: BTreeMap<String, Option<f64>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotasChanged {
    #[prost(message, repeated, tag = "1")]
    pub entities: Vec<EntityQuotas>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EntityQuotas {
    #[prost(message, optional, tag = "1")]
    pub user: Option<NameRecord>,
    #[prost(message, optional, tag = "2")]
    pub client_id: Option<NameRecord>,
    #[prost(message, optional, tag = "3")]
    pub ip: Option<NameRecord>,
    #[prost(btree_map = "string, double", tag = "4")]
    pub set: BTreeMap<String, f64>,
    #[prost(string, repeated, tag = "5")]
    pub removed: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct NameRecord {
    /// None is the default.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
}

impl QuotaName {
    fn of(record: &NameRecord) -> QuotaName {
        match &record.name {
            Some(name) => QuotaName::Of(name.clone()),
            None => QuotaName::Default,
        }
    }

    fn record(&self) -> NameRecord {
        NameRecord {
            name: self.name().map(str::to_owned),
        }
    }

    /// None for the default.
    pub fn name(&self) -> Option<&str> {
        match self {
            QuotaName::Default => None,
            QuotaName::Of(name) => Some(name),
        }
    }
}

impl QuotaEntity {
    fn of(record: &EntityQuotas) -> Result<QuotaEntity, Fault> {
        let entity = QuotaEntity {
            user: record.user.as_ref().map(QuotaName::of),
            client_id: record.client_id.as_ref().map(QuotaName::of),
            ip: record.ip.as_ref().map(QuotaName::of),
        };
        match entity == QuotaEntity::default() {
            true => Err(Fault(
                "quotas of a kind of entity that this release does not know".to_owned(),
            )),
            false => Ok(entity),
        }
    }

    fn record(&self) -> EntityQuotas {
        EntityQuotas {
            user: self.user.as_ref().map(QuotaName::record),
            client_id: self.client_id.as_ref().map(QuotaName::record),
            ip: self.ip.as_ref().map(QuotaName::record),
            ..Default::default()
        }
    }
}

/// What `alterations` come to, one after the other; `None` when it is so already.
pub(super) fn decide(quotas: &Quotas, alterations: Vec<QuotaAlteration>) -> Option<QuotasChanged> {
    let none = QuotaValues::new();
    let mut changed = QuotasChanged::default();
    for alteration in alterations {
        let now = quotas.get(&alteration.entity).unwrap_or(&none);
        let mut record = alteration.entity.record();
        for (key, value) in alteration.changes {
            match value {
                Some(value) if now.get(&key) != Some(&value) => {
                    record.set.insert(key, value);
                }
                None if now.contains_key(&key) => record.removed.push(key),
                _ => {}
            }
        }
        if !record.set.is_empty() || !record.removed.is_empty() {
            changed.entities.push(record);
        }
    }
    (!changed.entities.is_empty()).then_some(changed)
}

pub(super) fn apply(quotas: &mut Quotas, changed: &[EntityQuotas]) -> Result<(), Fault> {
    if changed.is_empty() {
        return Ok(());
    }
    let quotas = Arc::make_mut(quotas);
    for record in changed {
        let entity = QuotaEntity::of(record)?;
        let values = quotas.entry(entity.clone()).or_default();
        for key in &record.removed {
            values.remove(key);
        }
        values.extend(record.set.clone());
        if values.is_empty() {
            quotas.remove(&entity);
        }
    }
    Ok(())
}

/// For the snapshot.
pub(super) fn records(quotas: &Quotas) -> Vec<EntityQuotas> {
    let record = |(entity, values): (&QuotaEntity, &QuotaValues)| EntityQuotas {
        set: values.clone(),
        ..entity.record()
    };
    quotas.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of_user(user: QuotaName) -> QuotaEntity {
        QuotaEntity {
            user: Some(user),
            ..Default::default()
        }
    }

    fn change(entity: &QuotaEntity, key: &str, value: Option<f64>) -> Vec<QuotaAlteration> {
        vec![QuotaAlteration {
            entity: entity.clone(),
            changes: BTreeMap::from([(key.to_owned(), value)]),
        }]
    }

    #[test]
    fn an_entity_without_quotas_is_gone() {
        let mut quotas = Quotas::default();
        let entity = of_user(QuotaName::Default);
        for (value, is_there) in [(Some(5.0), true), (Some(6.0), true), (None, false)] {
            let changed = decide(&quotas, change(&entity, "k", value)).unwrap();
            apply(&mut quotas, &changed.entities).unwrap();
            assert_eq!(quotas.contains_key(&entity), is_there);
            assert_eq!(decide(&quotas, change(&entity, "k", value)), None);
        }
    }

    #[test]
    fn who_holds_the_quotas_sees_none_of_a_change() {
        let mut quotas = Quotas::default();
        let held = quotas.clone();
        let changed = decide(
            &quotas,
            change(&of_user(QuotaName::Default), "k", Some(1.0)),
        );
        apply(&mut quotas, &changed.unwrap().entities).unwrap();
        assert!(held.is_empty() && !Arc::ptr_eq(&held, &quotas));
    }

    #[test]
    fn quotas_of_nobody_are_a_fault() {
        let nobody = EntityQuotas::default();
        assert!(apply(&mut Quotas::default(), &[nobody]).is_err());
    }

    fn name() -> impl Strategy<Value = Option<QuotaName>> {
        prop_oneof![
            Just(None),
            Just(Some(QuotaName::Default)),
            "[a-z]{0,3}".prop_map(|name| Some(QuotaName::Of(name))),
        ]
    }

    proptest! {
        #[test]
        fn records_are_the_quotas(
            entities in prop::collection::btree_map(
                (name(), name(), name()),
                prop::collection::btree_map("[a-z]{1,3}", 0.1_f64..1e12, 1..3),
                0..8,
            ),
        ) {
            let mut quotas = BTreeMap::new();
            for ((user, client_id, ip), values) in entities {
                let entity = QuotaEntity { user, client_id, ip };
                if entity != QuotaEntity::default() {
                    quotas.insert(entity, values);
                }
            }
            let quotas = Quotas::new(quotas);
            let mut again = Quotas::default();
            apply(&mut again, &records(&quotas)).unwrap();
            prop_assert_eq!(again, quotas);
        }
    }
}
