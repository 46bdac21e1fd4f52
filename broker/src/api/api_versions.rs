//! ApiVersions: what this broker speaks. Derived from the table of what is served.

use super::{Call, Reply, SERVED, code, text};
use crate::metadata::Image;
use crate::metadata::features::{Feature, SUPPORTED};
use millrace_wire::messages::ApiVersionsRequest;
use millrace_wire::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use millrace_wire::{ApiKey, ErrorCode};

/// From here on features are told (KIP-584), and from there those that begin at level 0.
const WITH_FEATURES: i16 = 3;
const WITH_LEVEL_0: i16 = 4;

pub async fn handle(call: &Call, request: ApiVersionsRequest) -> Reply<ApiVersionsResponse> {
    let mut response = ApiVersionsResponse::default();
    // Since version 3 a client names itself (KIP-511).
    if call.version >= 3
        && !(is_name(&request.client_software_name) && is_name(&request.client_software_version))
    {
        response.error_code = code(ErrorCode::InvalidRequest);
        return Reply::Answer(response);
    }
    if call.version >= 3 {
        let software = (
            request.client_software_name.to_string(),
            request.client_software_version.to_string(),
        );
        // A client that says it again says the same.
        let _ = call.caller.software.set(software);
    }
    tracing::debug!(
        client = &*request.client_software_name,
        version = &*request.client_software_version,
        address = %call.caller.address,
        "client asks for api versions"
    );
    response.api_keys = SERVED.iter().map(|api| entry(*api)).collect();
    if call.version >= WITH_FEATURES {
        features(&mut response, &call.broker.metadata.image(), call.version);
    }
    Reply::Answer(response)
}

/// The levels of features that this broker works at, and those that the cluster is at.
fn features(response: &mut ApiVersionsResponse, image: &Image, version: i16) {
    // Clients of before could not read of a feature that begins at 0 (KAFKA-17011).
    let is_told = |feature: &&Feature| version >= WITH_LEVEL_0 || feature.min > 0;
    let supported = SUPPORTED.iter().filter(is_told).map(|feature| {
        let mut key = SupportedFeatureKey::default();
        key.name = text(feature.name);
        key.min_version = feature.min;
        key.max_version = feature.max;
        key
    });
    response.supported_features = supported.collect();
    // A feature at level 0 is one that is off.
    let finalized = SUPPORTED.iter().filter_map(|feature| {
        let level = image.level(feature.name);
        let mut key = FinalizedFeatureKey::default();
        key.name = text(feature.name);
        key.min_version_level = level;
        key.max_version_level = level;
        (level > 0).then_some(key)
    });
    response.finalized_features = finalized.collect();
    // As in Kafka it rises with every change of the metadata, not of features alone.
    response.finalized_features_epoch = i64::try_from(image.version).unwrap_or(i64::MAX);
}

/// What a client gets that asks in a version that is not known: in version 0, and what it may ask in instead.
pub fn unsupported() -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default();
    response.error_code = code(ErrorCode::UnsupportedVersion);
    response.api_keys = vec![entry(ApiKey::ApiVersions)];
    response
}

fn entry(api: ApiKey) -> ApiVersion {
    let versions = api.versions();
    let mut entry = ApiVersion::default();
    entry.api_key = api as i16;
    entry.min_version = match api {
        // Gone since 4.0, but librdkafka takes their absence for a broker that knows no compression (KAFKA-18659).
        ApiKey::Produce => 0,
        _ => *versions.start(),
    };
    entry.max_version = *versions.end();
    entry
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    is_outer(bytes.first()) && is_outer(bytes.last()) && bytes.iter().all(|byte| is_inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_software_name_begins_and_ends_with_a_letter_or_a_digit() {
        for good in ["a", "apache-kafka-java", "4.3.1", "x.y-z"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a\u{e9}", "a/b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn produce_is_shown_from_version_0() {
        let produce = entry(ApiKey::Produce);
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        let fetch = entry(ApiKey::Fetch);
        assert_eq!((fetch.min_version, fetch.max_version), (4, 18));
    }
}
