//! Every message of Kafka 4.4 in every version: as Kafka writes it ([`golden`]), and as nobody should ([`hostile`]).
//!
//! `golden/messages.txt` was written by the classes of kafka-clients 4.4.0 (`golden/Messages.java`, which also explains its
//! lines).

#![allow(clippy::unwrap_used)]

mod golden;
mod hostile;

use bytes::{Bytes, BytesMut};
use millrace_wire::messages::traits::{Decodable, Encodable, Request};
use millrace_wire::{ApiKey, Error, decode_request, decode_response, for_each_api, messages};

const GOLDEN: &str = include_str!("../golden/messages.txt");

struct Api {
    key: ApiKey,
    request: Kind,
    response: Kind,
}

/// What can be done with a message of any type.
struct Kind {
    /// Reads bytes of the first version, and writes the message in the second, if that can be.
    convert: fn(&[u8], i16, i16) -> Result<Option<Vec<u8>>, Error>,
    /// Writes a new message, if that can be.
    default: fn(i16) -> Option<Vec<u8>>,
}

fn write<M: Encodable>(message: &M, version: i16) -> Option<Vec<u8>> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).ok()?;
    assert_eq!(message.compute_size(version).unwrap(), bytes.len(), "size");
    Some(bytes.to_vec())
}

fn convert<M: Encodable + Decodable>(
    read: fn(&mut Bytes, i16) -> Result<M, Error>,
    bytes: &[u8],
    from: i16,
    to: i16,
) -> Result<Option<Vec<u8>>, Error> {
    let message = read(&mut Bytes::copy_from_slice(bytes), from)?;
    Ok(write(&message, to))
}

macro_rules! apis {
    ($($api:ident $request:ident,)*) => {
        const APIS: &[Api] = &[$(
            Api {
                key: ApiKey::$api,
                request: Kind {
                    convert: |bytes, from, to| {
                        convert(decode_request::<messages::$request>, bytes, from, to)
                    },
                    default: |version| write(&messages::$request::default(), version),
                },
                response: Kind {
                    convert: |bytes, from, to| {
                        convert(decode_response::<messages::$request>, bytes, from, to)
                    },
                    default: |version| {
                        type Response = <messages::$request as Request>::Response;
                        write(&Response::default(), version)
                    },
                },
            },
        )*];
    };
}

for_each_api!(apis);

fn kind(key: &str, kind: &str) -> &'static Kind {
    let key = ApiKey::try_from(key.parse::<i16>().unwrap()).unwrap();
    let api = APIS.iter().find(|api| api.key == key).unwrap();
    match kind {
        "request" => &api.request,
        "response" => &api.response,
        other => panic!("{other}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    if hex == "-" {
        return Vec::new();
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The lines of this sort: what stands before and after its name.
fn golden(
    sort: &'static str,
) -> impl Iterator<Item = (&'static Kind, &'static str, Vec<&'static str>)> {
    GOLDEN.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[2] == sort).then(|| (kind(words[0], words[1]), line, words[3..].to_vec()))
    })
}
