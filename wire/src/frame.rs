//! Frames and headers: what stands before the body of a request and of an answer.
//!
//! A frame is a length of four bytes and as many bytes. A request's are its header, versions 1 or 2, and its body; an
//! answer's are the correlation id, for flexible versions tagged fields, and its body.

use crate::check::{Cursor, Problem};
use crate::messages::StrBytes;
use crate::{ApiKey, Error};
use bytes::{BufMut, Bytes, BytesMut};

/// The length that stands before every frame.
pub const LENGTH_BYTES: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    /// As the client sent it: perhaps none that the api has.
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// Takes the header from the front of a request, whose length of four bytes is already gone; the body remains.
///
/// An api key that Kafka 4.4 does not know is an error, since not even the header can then be read. An unknown *version* is
/// not: the header is read as that of the next known one, so that ApiVersions can be answered with `UNSUPPORTED_VERSION`.
pub fn decode_request_header(request: &mut Bytes) -> Result<RequestHeader, Error> {
    let mut cursor = Cursor::new(request);
    let api_key = cursor.i16().map_err(in_field("the api key"))?;
    let api_version = cursor.i16().map_err(in_field("the api version"))?;
    let api = ApiKey::try_from(api_key)?;
    let correlation_id = cursor.i32().map_err(in_field("the correlation id"))?;
    // The client id kept its two bytes of length in the flexible header: KIP-511 needed its place to stay.
    let client_id = cursor
        .short_string()
        .map_err(in_field("the client id"))?
        .map(|range| request.slice(range));
    if api.request_header_version(api_version) >= 2 {
        cursor
            .skip_tagged_fields()
            .map_err(in_field("the tagged fields"))?;
    }
    let header_bytes = cursor.position();
    let client_id = client_id
        .map(StrBytes::from_utf8)
        .transpose()
        .map_err(|_| in_field("the client id")(Problem::NotUtf8))?;
    let _ = request.split_to(header_bytes);
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id,
    })
}

/// Takes the header from the front of an answer, whose length of four bytes is already gone, and returns the correlation id.
pub fn decode_response_header(
    response: &mut Bytes,
    api: ApiKey,
    version: i16,
) -> Result<i32, Error> {
    let mut cursor = Cursor::new(response);
    let correlation_id = cursor.i32().map_err(in_field("the correlation id"))?;
    if api.response_header_version(version) >= 1 {
        cursor
            .skip_tagged_fields()
            .map_err(in_field("the tagged fields"))?;
    }
    let header_bytes = cursor.position();
    let _ = response.split_to(header_bytes);
    Ok(correlation_id)
}

fn in_field(field: &'static str) -> impl FnOnce(Problem) -> Error {
    move |problem| Error::Header { field, problem }
}

/// An empty frame with room for exactly `body_bytes` after a request's header; `None` when its length would overflow.
pub(crate) fn begin_request(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body_bytes: usize,
) -> Option<BytesMut> {
    let is_flexible = api.request_header_version(version) >= 2;
    let header_bytes = 10 + client_id.map_or(0, str::len) + usize::from(is_flexible);
    let client_id_bytes = client_id.map_or(Some(-1), |id| i16::try_from(id.len()).ok())?;
    let mut frame = with_length(header_bytes + body_bytes)?;
    frame.put_i16(api as i16);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    frame.put_i16(client_id_bytes);
    frame.put_slice(client_id.unwrap_or_default().as_bytes());
    if is_flexible {
        frame.put_u8(0);
    }
    Some(frame)
}

/// An empty frame with room for exactly `body_bytes` after an answer's header; `None` when its length would overflow.
pub(crate) fn begin_response(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body_bytes: usize,
) -> Option<BytesMut> {
    let is_flexible = api.response_header_version(version) >= 1;
    let mut frame = with_length(4 + usize::from(is_flexible) + body_bytes)?;
    frame.put_i32(correlation_id);
    if is_flexible {
        frame.put_u8(0);
    }
    Some(frame)
}

fn with_length(bytes: usize) -> Option<BytesMut> {
    let length = i32::try_from(bytes).ok()?;
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + bytes);
    frame.put_i32(length);
    Some(frame)
}
