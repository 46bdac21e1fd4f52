//! Quotas of users, clients and addresses.

use crate::Error;
use crate::client::Client;
use crate::wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use crate::wire::messages::describe_client_quotas_request::ComponentData;
use crate::wire::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest, StrBytes};
use std::collections::BTreeMap;

/// What quotas belong to: by kind (`user`, `client-id`, `ip`), a name, or `None` for all that have no quota of their own.
pub type QuotaEntity = BTreeMap<String, Option<String>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaMatch {
    Name(String),
    Default,
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub enum QuotaChange {
    Set(String, f64),
    Remove(String),
}

impl Client {
    /// With `is_strict`, only what belongs to exactly these kinds.
    pub async fn describe_quotas(
        &self,
        wanted: &BTreeMap<String, QuotaMatch>,
        is_strict: bool,
    ) -> Result<Vec<(QuotaEntity, BTreeMap<String, f64>)>, Error> {
        let components = wanted.iter().map(|(kind, wanted)| {
            let mut component = ComponentData::default();
            component.entity_type = StrBytes::from_string(kind.clone());
            let (match_type, name) = match wanted {
                QuotaMatch::Name(name) => (0, Some(StrBytes::from_string(name.clone()))),
                QuotaMatch::Default => (1, None),
                QuotaMatch::Any => (2, None),
            };
            component.match_type = match_type;
            component._match = name;
            component
        });
        let mut request = DescribeClientQuotasRequest::default();
        request.components = components.collect();
        request.strict = is_strict;
        self.retry("describeClientQuotas", async || {
            let response = self.any().await?.send(&request).await?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let entries = response.entries.unwrap_or_default().into_iter();
            let entries = entries.map(|entry| {
                let entity = entry.entity.into_iter();
                let entity = entity.map(|part| {
                    let name = part.entity_name.map(|name| name.to_string());
                    (part.entity_type.to_string(), name)
                });
                let values = entry.values.into_iter();
                let values = values.map(|value| (value.key.to_string(), value.value));
                (entity.collect(), values.collect())
            });
            Ok(entries.collect())
        })
        .await
    }

    pub async fn alter_quotas(
        &self,
        entity: &QuotaEntity,
        changes: &[QuotaChange],
        validate_only: bool,
    ) -> Result<(), Error> {
        let mut entry = EntryData::default();
        entry.entity = entity
            .iter()
            .map(|(kind, name)| {
                let mut part = EntityData::default();
                part.entity_type = StrBytes::from_string(kind.clone());
                part.entity_name = name.clone().map(StrBytes::from_string);
                part
            })
            .collect();
        entry.ops = changes
            .iter()
            .map(|change| {
                let (key, value, remove) = match change {
                    QuotaChange::Set(key, value) => (key, *value, false),
                    QuotaChange::Remove(key) => (key, 0.0, true),
                };
                let mut op = OpData::default();
                op.key = StrBytes::from_string(key.clone());
                op.value = value;
                op.remove = remove;
                op
            })
            .collect();
        let mut request = AlterClientQuotasRequest::default();
        request.entries = vec![entry];
        request.validate_only = validate_only;
        self.retry("alterClientQuotas", async || {
            let response = self.controller().await?.send(&request).await?;
            for entry in &response.entries {
                Error::check(entry.error_code, entry.error_message.as_deref())?;
            }
            Ok(())
        })
        .await
    }
}
