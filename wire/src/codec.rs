//! From frames to messages and back. Nothing is decoded that the checker has not passed.

use crate::messages::traits::{Decodable, Encodable, Request};
use crate::{ApiKey, Error, check, frame};
use bytes::{Bytes, BytesMut};

/// Reads the body of a request, whose header is already gone ([`frame::decode_request_header`]). What the message keeps
/// (strings, bytes, records) shares the memory of `body`.
pub fn decode_request<R: Request>(body: &mut Bytes, version: i16) -> Result<R, Error> {
    let api = api_of::<R>(version)?;
    let request_bytes = check::request(api, version, body)?;
    body.truncate(request_bytes);
    decode(body, api.request_name(), version)
}

/// Reads the body of an answer, whose header is already gone ([`frame::decode_response_header`]).
pub fn decode_response<R: Request>(body: &mut Bytes, version: i16) -> Result<R::Response, Error> {
    let api = api_of::<R>(version)?;
    check::response(api, version, body)?;
    decode(body, api.response_name(), version)
}

fn api_of<R: Request>(version: i16) -> Result<ApiKey, Error> {
    let api = ApiKey::try_from(R::KEY)?;
    supported(api, version)
}

fn supported(api: ApiKey, version: i16) -> Result<ApiKey, Error> {
    if api.versions().contains(&version) {
        Ok(api)
    } else {
        Err(Error::UnsupportedVersion { api, version })
    }
}

fn decode<M: Decodable>(body: &mut Bytes, message: &'static str, version: i16) -> Result<M, Error> {
    let decoded = M::decode(body, version).map_err(|error| Error::Unreadable {
        message,
        version,
        reason: error.to_string(),
    })?;
    debug_assert!(body.is_empty(), "{message} version {version} left bytes");
    Ok(decoded)
}

/// A whole frame: its length, its header and the request.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &R,
) -> Result<BytesMut, Error> {
    let api = api_of::<R>(version)?;
    let begin =
        |body_bytes| frame::begin_request(api, version, correlation_id, client_id, body_bytes);
    let (frame, body_start) = encode(api, version, request, begin)?;
    debug_assert_eq!(
        check::request(api, version, &frame[body_start..]),
        Ok(frame.len() - body_start)
    );
    Ok(frame)
}

/// A whole frame: its length, its header and the answer, which must be that of `api`.
pub fn encode_response<M: Encodable>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<BytesMut, Error> {
    supported(api, version)?;
    let begin = |body_bytes| frame::begin_response(api, version, correlation_id, body_bytes);
    let (frame, body_start) = encode(api, version, response, begin)?;
    debug_assert_eq!(check::response(api, version, &frame[body_start..]), Ok(()));
    Ok(frame)
}

/// Sizes the message, begins its frame with `begin`, and writes it there. Returns where the body starts.
fn encode<M: Encodable>(
    api: ApiKey,
    version: i16,
    message: &M,
    begin: impl FnOnce(usize) -> Option<BytesMut>,
) -> Result<(BytesMut, usize), Error> {
    let unwritable = |reason: String| Error::Unwritable {
        api,
        version,
        reason,
    };
    let body_bytes = message
        .compute_size(version)
        .map_err(|error| unwritable(error.to_string()))?;
    let mut frame = begin(body_bytes).ok_or_else(|| {
        unwritable(format!(
            "a length does not fit: the client id has at most {} bytes, the frame {}",
            i16::MAX,
            i32::MAX
        ))
    })?;
    let body_start = frame.len();
    message
        .encode(&mut frame, version)
        .map_err(|error| unwritable(error.to_string()))?;
    let written = frame.len() - body_start;
    // The frame's length is already written, so that a wrong one would shift whatever follows it on the connection.
    if written != body_bytes {
        let reason = format!("it has {written} bytes instead of {body_bytes}");
        return Err(unwritable(reason));
    }
    Ok((frame, body_start))
}
