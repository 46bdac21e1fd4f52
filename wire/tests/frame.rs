//! Frames, headers and messages through the crate's own doors.

#![allow(clippy::unwrap_used)]

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millrace_wire::check::Problem;
use millrace_wire::frame::{LENGTH_BYTES, decode_request_header, decode_response_header};
use millrace_wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, MetadataRequest, MetadataResponse,
    StrBytes, TopicName,
};
use millrace_wire::{
    ApiKey, Error, decode_request, decode_response, encode_request, encode_response,
};

fn header(api_key: i16, api_version: i16, rest: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(api_key);
    bytes.put_i16(api_version);
    bytes.put_i32(7);
    bytes.put_slice(rest);
    bytes.freeze()
}

/// Cuts the length off a frame and shows that it was right and that the frame was sized once.
fn unframed(frame: BytesMut) -> Bytes {
    assert_eq!(frame.len(), frame.capacity(), "sized exactly");
    let mut bytes = frame.freeze();
    let length = bytes.get_i32() as usize;
    assert_eq!(length, bytes.len());
    bytes
}

#[test]
fn a_request_is_read_as_it_was_written() {
    let topic = TopicName(StrBytes::from_static_str("orders"));
    let topic = millrace_wire::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(topic));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    for version in 0..=13 {
        for client_id in [None, Some(""), Some("a client")] {
            let frame = encode_request(42, client_id, version, &request).unwrap();
            let mut bytes = unframed(frame);
            let header = decode_request_header(&mut bytes).unwrap();
            assert_eq!((header.api_key, header.api_version), (3, version));
            assert_eq!(header.correlation_id, 42);
            assert_eq!(header.client_id.as_deref(), client_id);
            let read: MetadataRequest = decode_request(&mut bytes, version).unwrap();
            assert_eq!(read, request);
            assert!(bytes.is_empty());
        }
    }
}

#[test]
fn an_answer_is_read_as_it_was_written() {
    for version in 0..=13 {
        let response = MetadataResponse::default();
        let frame = encode_response(ApiKey::Metadata, version, -3, &response).unwrap();
        let mut bytes = unframed(frame);
        let correlation_id = decode_response_header(&mut bytes, ApiKey::Metadata, version).unwrap();
        assert_eq!(correlation_id, -3);
        let read = decode_response::<MetadataRequest>(&mut bytes, version).unwrap();
        assert_eq!(read, response);
    }
}

#[test]
fn the_answer_to_api_versions_never_has_a_flexible_header() {
    let response = ApiVersionsResponse::default().with_error_code(35);
    for version in 0..=4 {
        let frame = encode_response(ApiKey::ApiVersions, version, 9, &response).unwrap();
        assert_eq!(frame[LENGTH_BYTES..][..6], [0, 0, 0, 9, 0, 35]);
    }
}

#[test]
fn a_header_is_read_though_its_version_is_not_known() {
    let mut bytes = header(18, 99, b"\x00\x01x\x00body");
    let read = decode_request_header(&mut bytes).unwrap();
    assert_eq!((read.api_key, read.api_version), (18, 99));
    assert_eq!((read.correlation_id, &bytes[..]), (7, &b"body"[..]));
    let error = decode_request::<ApiVersionsRequest>(&mut bytes, 99).unwrap_err();
    let api = ApiKey::ApiVersions;
    assert_eq!(error, Error::UnsupportedVersion { api, version: 99 });
    assert_eq!(
        error.to_string(),
        "ApiVersions has no version 99: it has 0..=5"
    );
}

#[test]
fn an_unknown_key_is_named() {
    let error = decode_request_header(&mut header(95, 0, b"\xff\xff")).unwrap_err();
    assert_eq!(error, Error::UnknownApiKey(95));
}

#[test]
fn the_tagged_fields_of_a_header_are_passed_over() {
    let mut bytes = header(3, 9, b"\xff\xff\x02\x00\x01a\x63\x00rest");
    assert_eq!(decode_request_header(&mut bytes).unwrap().client_id, None);
    assert_eq!(&bytes[..], b"rest");
}

#[test]
fn a_broken_header_is_refused_where_it_breaks() {
    let check = |bytes: Bytes, field: &'static str, problem: Problem| {
        let error = decode_request_header(&mut bytes.clone()).unwrap_err();
        assert_eq!(error, Error::Header { field, problem });
    };
    let truncated = |needed, remaining| Problem::Truncated { needed, remaining };
    check(Bytes::new(), "the api key", truncated(2, 0));
    check(
        Bytes::from_static(b"\x00\x03\x00"),
        "the api version",
        truncated(2, 1),
    );
    check(header(3, 0, b""), "the client id", truncated(2, 0));
    check(
        header(3, 0, b"\x7f\xffabc"),
        "the client id",
        truncated(32767, 3),
    );
    check(
        header(3, 0, b"\xff\xfe"),
        "the client id",
        Problem::NegativeLength(-2),
    );
    check(
        header(3, 0, b"\x00\x01\xff"),
        "the client id",
        Problem::NotUtf8,
    );
    check(
        header(3, 9, b"\xff\xff\xff\xff\xff\xff\x0f"),
        "the tagged fields",
        truncated(1, 0),
    );
    check(
        header(3, 9, b"\xff\xff\xff\xff\xff\xff\x1f"),
        "the tagged fields",
        Problem::LongVarint,
    );
}

#[test]
fn what_a_version_lacks_is_not_written() {
    let rack = FetchRequest::default()
        .with_max_wait_ms(1)
        .with_rack_id(StrBytes::from_static_str("a"));
    assert!(encode_request(1, None, 11, &rack).is_ok());
    let topic = millrace_wire::messages::fetch_request::FetchTopic::default();
    let forgotten = FetchRequest::default().with_topics(vec![topic]);
    assert!(encode_request(1, None, 4, &forgotten).is_ok());
    let long = "x".repeat(40_000);
    let error = encode_request(1, Some(&long), 11, &rack).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unwritable {
                api: ApiKey::Fetch,
                version: 11,
                ..
            }
        ),
        "{error}"
    );
    let flag = MetadataRequest::default().with_allow_auto_topic_creation(false);
    let error = encode_request(1, None, 3, &flag).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unwritable {
                api: ApiKey::Metadata,
                version: 3,
                ..
            }
        ),
        "{error}"
    );
}
