//! AlterClientQuotas: sets quotas, and takes them away (KIP-546).

use super::broker::deadline;
use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::metadata::{Command, QuotaAlteration};
use crate::quota::rules;
use millrace_wire::ErrorCode;
use millrace_wire::messages::alter_client_quotas_request::{self as asked, OpData};
use millrace_wire::messages::alter_client_quotas_response::{EntityData, EntryData};
use millrace_wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse, StrBytes};
use std::collections::BTreeMap;

/// Kinds and names as a client has given them; of a kind that is there twice the last counts, as in Kafka.
type Named = BTreeMap<StrBytes, Option<StrBytes>>;

pub async fn handle(
    call: &Call,
    request: AlterClientQuotasRequest,
) -> Reply<AlterClientQuotasResponse> {
    let (alterations, mut results) = check(request.entries);
    if !request.validate_only && !alterations.is_empty() {
        let change = Command::ChangeQuotas(alterations);
        match call.broker.change(change, deadline(0)).await {
            // The watcher would do so, a moment later.
            Ok(_) => {
                let quotas = call.broker.metadata.image().quotas.clone();
                call.broker.quotas.limiter.follow(&quotas);
            }
            Err(refused) => {
                for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
                    *result = Err(refused.clone());
                }
            }
        }
    }
    let mut response = AlterClientQuotasResponse::default();
    response.entries = results.into_iter().map(entry).collect();
    Reply::Answer(response)
}

type Results = Vec<(Named, Result<(), Refused>)>;

/// What is to be changed, and an answer for each entity. All of an entity is changed, or nothing.
fn check(entries: Vec<asked::EntryData>) -> (Vec<QuotaAlteration>, Results) {
    let mut alterations = Vec::new();
    let mut places: BTreeMap<Named, usize> = BTreeMap::new();
    let mut results: Results = Vec::new();
    for entry in entries {
        let parts = entry.entity.into_iter();
        let named: Named = parts
            .map(|part| (part.entity_type, part.entity_name))
            .collect();
        // What Kafka says of an entity that is there again, although the first of them was done.
        if let Some(place) = places.get(&named) {
            results[*place].1 = Err(duplicate(&named));
            continue;
        }
        places.insert(named.clone(), results.len());
        let result = match alteration(&named, entry.ops) {
            Ok(alteration) => {
                alterations.push(alteration);
                Ok(())
            }
            Err(refused) => Err(refused),
        };
        results.push((named, result));
    }
    (alterations, results)
}

fn alteration(named: &Named, ops: Vec<OpData>) -> Result<QuotaAlteration, Refused> {
    let mut changes = BTreeMap::new();
    for op in ops {
        let value = (!op.remove).then_some(op.value);
        if changes.insert(op.key.to_string(), value).is_some() {
            // Kafka's words for a key that is there twice: it takes the entity for one that it has seen.
            return Err(duplicate(named));
        }
    }
    let parts = named.iter().map(|(kind, name)| (&**kind, name.as_deref()));
    let invalid = |why| Refused::new(ErrorCode::InvalidRequest, why);
    let entity = rules::entity(parts).map_err(invalid)?;
    for (key, value) in &changes {
        // What is taken away may be anything.
        if let Some(value) = value {
            rules::value(&entity, key, *value).map_err(invalid)?;
        }
    }
    Ok(QuotaAlteration { entity, changes })
}

fn duplicate(named: &Named) -> Refused {
    let parts: Vec<String> = named
        .iter()
        .map(|(kind, name)| format!("{}={}", &**kind, name.as_deref().unwrap_or("null")))
        .collect();
    let entity = format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "));
    Refused::new(
        ErrorCode::InvalidRequest,
        format!("Ignoring duplicate entity {entity}"),
    )
}

fn entry((named, result): (Named, Result<(), Refused>)) -> EntryData {
    let mut entry = EntryData::default();
    entry.error_message = None;
    if let Err(refused) = result {
        entry.error_code = code(refused.code);
        entry.error_message = Some(text(refused.message));
    }
    let parts = named.into_iter().map(|(kind, name)| {
        let mut part = EntityData::default();
        part.entity_type = kind;
        part.entity_name = name;
        part
    });
    entry.entity = parts.collect();
    entry
}
