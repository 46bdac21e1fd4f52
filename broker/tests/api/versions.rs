//! ApiVersions, and how requests that nobody can answer end.

use crate::rig::{Broker, error, text};
use millrace_broker::api::SERVED;
use millrace_wire::frame::decode_response_header;
use millrace_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use millrace_wire::{ApiKey, ErrorCode, decode_response, encode_request};

fn named() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1.0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_told_in_every_version() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    for version in 0..=4 {
        let response = client.ask(version, &named()).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        let told = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.max_version));
        let served = SERVED
            .iter()
            .map(|api| (*api as i16, *api.versions().end()));
        assert!(told.eq(served), "version {version}");
    }
    let nameless = ApiVersionsRequest::default();
    let code = client.ask(3, &nameless).await.error_code;
    assert_eq!(error(code), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_the_future_is_answered_in_version_0() {
    let broker = Broker::start(&[]).await;
    let mut client = broker.connect().await;
    let mut frame = encode_request(9, Some("test"), 4, &named()).unwrap();
    frame[6..8].copy_from_slice(&99i16.to_be_bytes());
    client.send_frame(&frame).await;
    let mut answer = client.frame().await.expect("an answer");
    assert_eq!(
        decode_response_header(&mut answer, ApiKey::ApiVersions, 0),
        Ok(9)
    );
    let response: ApiVersionsResponse =
        decode_response::<ApiVersionsRequest>(&mut answer, 0).unwrap();
    assert_eq!(error(response.error_code), ErrorCode::UnsupportedVersion);
    assert_eq!(response.api_keys.len(), 1);
    assert_eq!(response.api_keys[0].api_key, ApiKey::ApiVersions as i16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_ends_its_connection_and_no_other() {
    let broker = Broker::start(&[]).await;
    let good = encode_request(1, Some("test"), 9, &MetadataRequest::default()).unwrap();
    let mut unknown_version = good.clone();
    unknown_version[6..8].copy_from_slice(&99i16.to_be_bytes());
    let mut unknown_api = good.clone();
    unknown_api[4..6].copy_from_slice(&999i16.to_be_bytes());
    // The body of a Metadata request that claims 2^32 - 2 topics.
    let mut hostile = good[..19].to_vec();
    hostile.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    let length = (hostile.len() - 4) as i32;
    hostile[..4].copy_from_slice(&length.to_be_bytes());
    let mut other = broker.connect().await;
    for frame in [
        &unknown_version[..],
        &unknown_api,
        &hostile,
        &[0xff; 4],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = broker.connect().await;
        client.send_frame(frame).await;
        assert_eq!(client.frame().await, None, "{frame:?}");
    }
    assert_eq!(other.ask(4, &named()).await.error_code, 0);
}
