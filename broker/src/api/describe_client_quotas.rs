//! DescribeClientQuotas: what is set, for the entities that a filter finds (KIP-546).

use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::metadata::{QuotaEntity, QuotaName, QuotaValues};
use crate::quota::rules::{CLIENT_ID, IP, USER};
use millrace_wire::ErrorCode;
use millrace_wire::messages::describe_client_quotas_request::ComponentData;
use millrace_wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use millrace_wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

/// How a component names those it means.
mod matching {
    pub const EXACT: i8 = 0;
    pub const DEFAULT: i8 = 1;
    pub const SPECIFIED: i8 = 2;
}

pub async fn handle(
    call: &Call,
    request: DescribeClientQuotasRequest,
) -> Reply<DescribeClientQuotasResponse> {
    let mut response = DescribeClientQuotasResponse::default();
    // Kafka leaves it empty, not out.
    response.error_message = Some(text(""));
    match Filter::of(&request) {
        Ok(filter) => {
            let quotas = call.broker.metadata.image().quotas.clone();
            let found = quotas.iter().filter(|(entity, _)| filter.finds(entity));
            response.entries = Some(found.map(entry).collect());
        }
        Err(refused) => {
            response.entries = None;
            response.error_code = code(refused.code);
            response.error_message = Some(text(refused.message));
        }
    }
    Reply::Answer(response)
}

/// What an entity must have of a kind.
#[derive(Debug)]
enum Wanted {
    This(QuotaName),
    /// The default is one of them.
    Any,
}

impl Wanted {
    fn is(&self, name: &Option<QuotaName>) -> bool {
        match self {
            Wanted::This(wanted) => name.as_ref() == Some(wanted),
            Wanted::Any => name.is_some(),
        }
    }
}

#[derive(Debug, Default)]
struct Filter {
    user: Option<Wanted>,
    client_id: Option<Wanted>,
    ip: Option<Wanted>,
    /// Entities of no other kinds.
    is_strict: bool,
}

impl Filter {
    fn of(request: &DescribeClientQuotasRequest) -> Result<Filter, Refused> {
        let invalid = |why: &str| Err(Refused::new(ErrorCode::InvalidRequest, why));
        let mut filter = Filter {
            is_strict: request.strict,
            ..Filter::default()
        };
        for component in &request.components {
            let kind = &*component.entity_type;
            let place = match kind {
                "" => return invalid("Invalid empty entity type."),
                USER => &mut filter.user,
                CLIENT_ID => &mut filter.client_id,
                IP => &mut filter.ip,
                other => {
                    let why = format!("Unsupported entity type {other}");
                    return Err(Refused::new(ErrorCode::UnsupportedVersion, why));
                }
            };
            if place.is_some() {
                return invalid(&format!(
                    "Entity type {kind} cannot appear more than once in the filter."
                ));
            }
            *place = Some(wanted(component)?);
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return invalid(
                "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.",
            );
        }
        Ok(filter)
    }

    fn finds(&self, entity: &QuotaEntity) -> bool {
        let kinds = [
            (&self.user, &entity.user),
            (&self.client_id, &entity.client_id),
            (&self.ip, &entity.ip),
        ];
        kinds.into_iter().all(|(wanted, name)| match wanted {
            Some(wanted) => wanted.is(name),
            None => !self.is_strict || name.is_none(),
        })
    }
}

fn wanted(component: &ComponentData) -> Result<Wanted, Refused> {
    let invalid = |why: String| Err(Refused::new(ErrorCode::InvalidRequest, why));
    let also = |kind: &str| {
        invalid(format!(
            "Request specified {kind}, but also specified a match string."
        ))
    };
    match (component.match_type, component._match.as_deref()) {
        (matching::EXACT, Some(name)) => Ok(Wanted::This(QuotaName::Of(name.to_owned()))),
        (matching::EXACT, None) => {
            invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned())
        }
        (matching::DEFAULT, None) => Ok(Wanted::This(QuotaName::Default)),
        (matching::DEFAULT, Some(_)) => also("MATCH_TYPE_DEFAULT"),
        (matching::SPECIFIED, None) => Ok(Wanted::Any),
        (matching::SPECIFIED, Some(_)) => also("MATCH_TYPE_SPECIFIED"),
        (other, _) => invalid(format!("Unknown match type {other}")),
    }
}

fn entry((entity, values): (&QuotaEntity, &QuotaValues)) -> EntryData {
    let kinds = [
        (USER, &entity.user),
        (CLIENT_ID, &entity.client_id),
        (IP, &entity.ip),
    ];
    let parts = kinds.into_iter().filter_map(|(kind, name)| {
        let mut part = EntityData::default();
        part.entity_type = text(kind);
        part.entity_name = name.as_ref()?.name().map(text);
        Some(part)
    });
    let values = values.iter().map(|(key, value)| {
        let mut data = ValueData::default();
        data.key = text(key.as_str());
        data.value = *value;
        data
    });
    let mut entry = EntryData::default();
    entry.entity = parts.collect();
    entry.values = values.collect();
    entry
}
