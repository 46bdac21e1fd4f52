//! UpdateFeatures: the cluster goes to other levels of features (KIP-584), all that is asked for or nothing.

use super::broker::deadline;
use super::refusal::Refused;
use super::{Call, Reply, code, text};
use crate::metadata::features::{Direction, FeatureUpdate};
use crate::metadata::{Command, preview};
use millrace_wire::messages::update_features_request::FeatureUpdateKey;
use millrace_wire::messages::update_features_response::UpdatableFeatureResult;
use millrace_wire::messages::{StrBytes, UpdateFeaturesRequest, UpdateFeaturesResponse};

/// From here on the direction is said in so many words (KIP-778); before, only whether down is allowed.
const WITH_TYPE: i16 = 1;
/// From here on there is one answer for all features.
const AS_ONE: i16 = 2;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

pub async fn handle(call: &Call, request: UpdateFeaturesRequest) -> Reply<UpdateFeaturesResponse> {
    let asked = request.feature_updates.iter();
    let updates: Vec<FeatureUpdate> = asked.map(|key| update(key, call.version)).collect();
    let names: Vec<StrBytes> = request
        .feature_updates
        .into_iter()
        .map(|key| key.feature)
        .collect();
    let mut response = UpdateFeaturesResponse::default();
    response.error_message = None;
    match change(call, updates, request.timeout_ms, request.validate_only).await {
        Ok(()) if call.version < AS_ONE => {
            response.results = names.into_iter().map(done).collect();
        }
        Ok(()) => {}
        Err(refused) => {
            response.error_code = code(refused.code);
            response.error_message = Some(text(refused.message));
        }
    }
    Reply::Answer(response)
}

fn update(key: &FeatureUpdateKey, version: i16) -> FeatureUpdate {
    let direction = match key.upgrade_type {
        _ if version < WITH_TYPE && key.allow_downgrade => Some(Direction::Down),
        _ if version < WITH_TYPE => Some(Direction::Up),
        UPGRADE => Some(Direction::Up),
        SAFE_DOWNGRADE | UNSAFE_DOWNGRADE => Some(Direction::Down),
        _ => None,
    };
    FeatureUpdate {
        feature: key.feature.to_string(),
        level: key.max_version_level,
        direction,
    }
}

async fn change(
    call: &Call,
    updates: Vec<FeatureUpdate>,
    timeout_ms: i32,
    validate_only: bool,
) -> Result<(), Refused> {
    let broker = &call.broker;
    let command = Command::UpdateFeatures {
        controller: broker.id(),
        updates: updates.clone(),
    };
    if validate_only {
        preview(&broker.metadata.image(), command)?;
        return Ok(());
    }
    broker.change(command, deadline(timeout_ms)).await?;
    for FeatureUpdate { feature, level, .. } in updates {
        tracing::info!(feature, level, "a feature is at this level now");
    }
    Ok(())
}

/// Kafka has a word for nothing being wrong.
fn done(feature: StrBytes) -> UpdatableFeatureResult {
    let mut result = UpdatableFeatureResult::default();
    result.feature = feature;
    result.error_message = Some(text("NONE"));
    result
}
