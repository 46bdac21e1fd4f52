//! What the decoders of requests and of answers are tried with alike. The first two bytes of an input are an api key and a
//! version, the others a body: it is refused, or read and written again so that it is read as the same.

use crate::golden;
use bytes::{Bytes, BytesMut};
use millrace_wire::messages::traits::{Decodable, Encodable};
use millrace_wire::{ApiKey, Error};

/// Gives the body to `any`, which chooses the message of the api.
pub fn run(input: &[u8], any: impl FnOnce(ApiKey, i16, &[u8]) -> bool) -> bool {
    let Some((&[key, version], body)) = input.split_first_chunk() else {
        return false;
    };
    match ApiKey::try_from(i16::from(key)) {
        Ok(api) => any(api, i16::from(version), body),
        Err(_) => false,
    }
}

/// One `request` or `response` of each version, with all its fields filled.
pub fn seeds(direction: &str) -> Vec<Vec<u8>> {
    let filled = golden::messages().filter(|words| words[1] == direction && words[2] == "fill");
    let seed = |words: Vec<&str>| {
        let mut seed = vec![golden::number(words[0]), golden::number(words[3])];
        // The line of an empty message ends before it.
        seed.extend(golden::bytes(words.get(4).unwrap_or(&"")));
        seed
    };
    filled.map(seed).collect()
}

pub fn one<M: Encodable + Decodable>(
    read: fn(&mut Bytes, i16) -> Result<M, Error>,
    version: i16,
    body: &[u8],
) -> bool {
    let message = match read(&mut Bytes::copy_from_slice(body), version) {
        Ok(message) => message,
        Err(Error::Unreadable { reason, .. }) => panic!("passed the checker: {reason}"),
        Err(_) => return false,
    };
    let written = write(&message, version);
    let again = read(&mut written.clone(), version).expect("what is written can be read");
    // Not the messages: a NaN does not equal itself.
    assert_eq!(write(&again, version), written);
    true
}

fn write(message: &impl Encodable, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message
        .encode(&mut bytes, version)
        .expect("what is read can be written");
    assert_eq!(message.compute_size(version).expect("a size"), bytes.len());
    bytes.freeze()
}
