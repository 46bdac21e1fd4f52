//! Whatever stands at the front of a frame, its header is read or refused, and what is read is what was there.

use crate::golden;
use bytes::Bytes;
use millrace_wire::ApiKey;
use millrace_wire::frame::{decode_request_header, decode_response_header};

pub fn run(input: &[u8]) -> bool {
    let mut request = Bytes::copy_from_slice(input);
    let header = decode_request_header(&mut request);
    if let Ok(header) = &header {
        assert_eq!(input[..2], header.api_key.to_be_bytes());
        assert_eq!(input[2..4], header.api_version.to_be_bytes());
        assert_eq!(input[4..8], header.correlation_id.to_be_bytes());
        assert!(input.ends_with(&request));
    }
    let Some((&[key, version], response)) = input.split_first_chunk() else {
        return false;
    };
    if let Ok(api) = ApiKey::try_from(i16::from(key)) {
        let mut rest = Bytes::copy_from_slice(response);
        if decode_response_header(&mut rest, api, i16::from(version)).is_ok() {
            assert!(response.ends_with(&rest));
        }
    }
    header.is_ok()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let headers = golden::messages().filter(|words| words[0] == "header");
    headers.map(|words| golden::bytes(words[3])).collect()
}
