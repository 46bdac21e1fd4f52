//! The first two bytes are an api key and a version, the others a body: it is refused, or read and written again so that it
//! is read as the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use millrace_wire::messages::traits::{Decodable, Encodable};
use millrace_wire::{ApiKey, Error, decode_request, for_each_api, messages};

fuzz_target!(|input: &[u8]| {
    let Some((&[key, version], body)) = input.split_first_chunk() else {
        return;
    };
    if let Ok(api) = ApiKey::try_from(i16::from(key)) {
        any(api, i16::from(version), body);
    }
});

macro_rules! apis {
    ($($api:ident $request:ident,)*) => {
        fn any(api: ApiKey, version: i16, body: &[u8]) {
            match api {
                $(ApiKey::$api => one(decode_request::<messages::$request>, version, body),)*
                _ => {}
            }
        }
    };
}

for_each_api!(apis);

fn one<M: Encodable + Decodable>(
    read: fn(&mut Bytes, i16) -> Result<M, Error>,
    version: i16,
    body: &[u8],
) {
    let message = match read(&mut Bytes::copy_from_slice(body), version) {
        Ok(message) => message,
        Err(Error::Unreadable { reason, .. }) => panic!("passed the checker: {reason}"),
        Err(_) => return,
    };
    let written = write(&message, version);
    let again = read(&mut written.clone(), version).expect("what is written can be read");
    // Not the messages: a NaN does not equal itself.
    assert_eq!(write(&again, version), written);
}

fn write(message: &impl Encodable, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message
        .encode(&mut bytes, version)
        .expect("what is read can be written");
    assert_eq!(message.compute_size(version).expect("a size"), bytes.len());
    bytes.freeze()
}
