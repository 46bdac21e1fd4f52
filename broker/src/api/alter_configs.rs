//! AlterConfigs: sets all settings of topics and brokers anew; what it does not name is taken away. Old admins send it.

use super::alter::{Alteration, Changes, alter, null_values, rows};
use super::refusal::Refused;
use super::{Call, Reply};
use crate::config::Change;
use millrace_wire::messages::alter_configs_request::AlterConfigsResource;
use millrace_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use millrace_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

pub async fn handle(call: &Call, request: AlterConfigsRequest) -> Reply<AlterConfigsResponse> {
    let asked = request.resources.into_iter().map(|asked| {
        let alteration = alteration(&asked);
        (asked.resource_type, asked.resource_name, alteration)
    });
    let done = alter(call, asked.collect(), request.validate_only).await;
    let mut response = AlterConfigsResponse::default();
    response.responses = rows!(AlterConfigsResourceResponse, done);
    Reply::Answer(response)
}

fn alteration(asked: &AlterConfigsResource) -> Result<Alteration, Refused> {
    let null = asked.configs.iter().filter(|config| config.value.is_none());
    let null: Vec<&str> = null.map(|config| &*config.name).collect();
    if !null.is_empty() {
        return Err(null_values(&null));
    }
    let set = asked.configs.iter().filter_map(|config| {
        let value = config.value.as_ref()?.to_string();
        Some((config.name.clone(), Change::Set(value)))
    });
    Ok(Alteration {
        kind: asked.resource_type,
        name: asked.resource_name.clone(),
        changes: Changes::All(set.collect()),
    })
}
