//! Every message in every version, compared with Apache Kafka's own bytes: `golden/messages.txt` was written by the classes of
//! kafka-clients 4.4.0 (`golden/Messages.java`, which also explains its lines).

#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use millrace_wire::frame::{decode_request_header, decode_response_header};
use millrace_wire::messages::traits::{Decodable, Encodable, Request};
use millrace_wire::{ApiKey, decode_request, decode_response, for_each_api, messages};
use std::collections::HashSet;

const GOLDEN: &str = include_str!("golden/messages.txt");

/// What can be done with a message of any type. Errors are texts.
struct Api {
    key: ApiKey,
    request: Kind,
    response: Kind,
}

struct Kind {
    /// Reads bytes of the first version, and writes the message in the second.
    convert: fn(&[u8], i16, i16) -> Result<Vec<u8>, String>,
    /// Writes a new message.
    default: fn(i16) -> Result<Vec<u8>, String>,
}

fn write<M: Encodable>(message: &M, version: i16) -> Result<Vec<u8>, String> {
    let mut bytes = BytesMut::new();
    message
        .encode(&mut bytes, version)
        .map_err(|error| error.to_string())?;
    assert_eq!(message.compute_size(version).unwrap(), bytes.len(), "size");
    Ok(bytes.to_vec())
}

fn convert<M: Encodable + Decodable + PartialEq>(
    read: fn(&mut Bytes, i16) -> Result<M, millrace_wire::Error>,
    bytes: &[u8],
    from: i16,
    to: i16,
) -> Result<Vec<u8>, String> {
    let message =
        read(&mut Bytes::copy_from_slice(bytes), from).map_err(|error| error.to_string())?;
    write(&message, to)
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

/// By version: the bytes that Kafka writes, none where it refuses, and nothing where it has no answer.
fn outcomes(text: &str) -> Vec<(i16, Option<Vec<u8>>)> {
    let mut outcomes = Vec::new();
    for part in text.split(',') {
        let (versions, outcome) = part.split_once('=').unwrap();
        let (first, last) = versions.split_once('-').unwrap();
        for version in first.parse::<i16>().unwrap()..=last.parse().unwrap() {
            match outcome {
                "?" => {}
                "!" => outcomes.push((version, None)),
                hex => outcomes.push((version, Some(bytes(hex)))),
            }
        }
    }
    outcomes
}

fn report(faults: Vec<String>, checked: usize, at_least: usize) {
    assert!(checked >= at_least, "only {checked} were compared");
    assert!(
        faults.is_empty(),
        "{} of {checked}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_version_of_every_message_is_read_and_written_as_kafka_does() {
    let (mut faults, mut checked) = (Vec::new(), 0);
    let mut seen = HashSet::new();
    for (kind, line, words) in golden("fill") {
        let version = words[0].parse().unwrap();
        let golden = bytes(words[1]);
        checked += 1;
        seen.insert(line.rsplit_once(' ').unwrap().0);
        match (kind.convert)(&golden, version, version) {
            Ok(written) if written == golden => {}
            Ok(written) => faults.push(format!("{line}\nwritten as {written:02x?}")),
            Err(error) => faults.push(format!("{line}\n{error}")),
        }
    }
    let versions: usize = APIS.iter().map(|api| api.key.versions().count()).sum();
    assert_eq!(
        seen.len(),
        2 * versions,
        "each version of requests and answers"
    );
    report(faults, checked, 2000);
}

#[test]
fn new_messages_have_kafkas_defaults() {
    let (mut faults, mut checked) = (Vec::new(), 0);
    for (kind, line, words) in golden("default") {
        for (version, golden) in outcomes(words[0]) {
            checked += 1;
            let written = (kind.default)(version).ok();
            if written != golden {
                faults.push(format!("{line}\nversion {version}: {written:02x?}"));
            }
        }
    }
    report(faults, checked, 600);
}

#[test]
fn fields_that_a_version_lacks_are_ignored_or_refused_as_kafka_does() {
    let (mut faults, mut checked, mut dropped) = (Vec::new(), 0, 0);
    for (kind, line, words) in golden("only") {
        let from = words[0].parse().unwrap();
        let is_dropped = DROPS_TAGGED_FIELDS
            .iter()
            .any(|start| line.starts_with(start));
        for (version, golden) in outcomes(words[2]) {
            checked += 1;
            let written = (kind.convert)(&bytes(words[1]), from, version).ok();
            if golden.is_none() && is_dropped && written.is_some() {
                dropped += 1;
            } else if written != golden {
                faults.push(format!("{line}\nversion {version}: {written:02x?}"));
            }
        }
    }
    report(faults, checked, 1000);
    assert_eq!(dropped, 195, "tagged fields left out by the crate");
}

/// Where crate kafka-protocol leaves tagged fields out of versions that lack them, and Kafka refuses to write such a version:
/// hints to the current leader, which a handler may therefore set without looking at the version, and who a fetching replica is.
const DROPS_TAGGED_FIELDS: [&str; 7] = [
    "0 response",
    "1 request",
    "1 response",
    "52 response",
    "53 response",
    "54 response",
    "59 response",
];

#[test]
fn headers_are_kafkas() {
    let mut checked = 0;
    for line in GOLDEN.lines().filter(|line| line.starts_with("header ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let api = ApiKey::try_from(words[1].parse::<i16>().unwrap()).unwrap();
        let version = words[2].parse().unwrap();
        let mut request = Bytes::from(bytes(words[3]));
        let header = decode_request_header(&mut request).unwrap();
        assert_eq!(
            (header.api_key, header.api_version),
            (api as i16, version),
            "{line}"
        );
        assert_eq!(header.correlation_id, 7);
        assert_eq!(header.client_id.as_deref(), Some("c"));
        assert!(request.is_empty(), "{line}");
        let mut response = Bytes::from(bytes(words[4]));
        assert_eq!(decode_response_header(&mut response, api, version), Ok(7));
        assert!(response.is_empty(), "{line}");
        checked += 1;
    }
    let versions: usize = APIS.iter().map(|api| api.key.versions().count()).sum();
    assert_eq!(checked, versions);
}
