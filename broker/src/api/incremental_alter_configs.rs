//! IncrementalAlterConfigs: changes single settings of topics and brokers (KIP-339).

use super::alter::{Alteration, Changes, alter, null_values, rows};
use super::refusal::Refused;
use super::{Call, Reply};
use crate::config::Change;
use millrace_wire::ErrorCode;
use millrace_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use millrace_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use millrace_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub async fn handle(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> Reply<IncrementalAlterConfigsResponse> {
    let asked = request.resources.into_iter().map(|asked| {
        let alteration = alteration(&asked);
        (asked.resource_type, asked.resource_name, alteration)
    });
    let done = alter(call, asked.collect(), request.validate_only).await;
    let mut response = IncrementalAlterConfigsResponse::default();
    response.responses = rows!(AlterConfigsResourceResponse, done);
    Reply::Answer(response)
}

fn alteration(asked: &AlterConfigsResource) -> Result<Alteration, Refused> {
    let lacks_value =
        |config: &&AlterableConfig| config.config_operation != DELETE && config.value.is_none();
    let null = asked.configs.iter().filter(lacks_value);
    let null: Vec<&str> = null.map(|config| &*config.name).collect();
    if !null.is_empty() {
        return Err(null_values(&null));
    }
    let mut changes = Vec::with_capacity(asked.configs.len());
    for config in &asked.configs {
        let value = || {
            config
                .value
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let change = match config.config_operation {
            SET => Change::Set(value()),
            DELETE => Change::Delete,
            APPEND => Change::Append(value()),
            SUBTRACT => Change::Subtract(value()),
            other => {
                let why = format!("Unknown operations type {other}");
                return Err(Refused::new(ErrorCode::InvalidRequest, why));
            }
        };
        changes.push((config.name.clone(), change));
    }
    Ok(Alteration {
        kind: asked.resource_type,
        name: asked.resource_name.clone(),
        changes: Changes::Some(changes),
    })
}
