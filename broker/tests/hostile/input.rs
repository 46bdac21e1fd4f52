//! What no client should send, and what becomes of its connection.

use bytes::{Bytes, BytesMut};
use millrace_client::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use millrace_client::wire::messages::{ProduceRequest, StrBytes, TopicName};
use millrace_client::wire::{ApiKey, encode_request};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a broker may take to answer or to close.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must happen before we believe that nothing will.
const SILENCE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By the broker, without an answer, and with a line in its log.
    Closed,
    Answered,
    /// More may come: there is nothing to answer yet.
    Kept,
}

pub struct Bad {
    pub name: &'static str,
    pub bytes: fn() -> Bytes,
    pub ending: Ending,
}

pub const BAD: &[Bad] = &[
    Bad {
        name: "five bytes as a count of topics in Metadata",
        bytes: || request(ApiKey::Metadata, 12, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ending: Ending::Closed,
    },
    Bad {
        name: "i32::MAX topics in an old Metadata",
        bytes: || request(ApiKey::Metadata, 1, &i32::MAX.to_be_bytes()),
        ending: Ending::Closed,
    },
    Bad {
        name: "i32::MAX topics in an old Fetch",
        bytes: || {
            let mut body = vec![0; 17];
            body.extend(i32::MAX.to_be_bytes());
            request(ApiKey::Fetch, 4, &body)
        },
        ending: Ending::Closed,
    },
    Bad {
        name: "i32::MAX topics in CreateTopics",
        bytes: || request(ApiKey::CreateTopics, 2, &i32::MAX.to_be_bytes()),
        ending: Ending::Closed,
    },
    Bad {
        name: "a text of a negative length",
        bytes: || request(ApiKey::Metadata, 1, &[0, 0, 0, 1, 0x80, 0]),
        ending: Ending::Closed,
    },
    Bad {
        name: "a count below none",
        bytes: || request(ApiKey::Metadata, 1, &i32::MIN.to_be_bytes()),
        ending: Ending::Closed,
    },
    Bad {
        name: "a client id longer than the request",
        bytes: || frame(&[0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, b'a']),
        ending: Ending::Closed,
    },
    Bad {
        name: "an api that nobody has",
        bytes: || frame(&[0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
        ending: Ending::Closed,
    },
    Bad {
        name: "a frame of nothing",
        bytes: || frame(&[]),
        ending: Ending::Closed,
    },
    Bad {
        name: "a frame of 2 GB",
        bytes: || Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 3]),
        ending: Ending::Closed,
    },
    Bad {
        name: "a frame of a negative length",
        bytes: || Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0, 3]),
        ending: Ending::Closed,
    },
    Bad {
        name: "the beginning of TLS",
        bytes: || Bytes::from_static(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ending: Ending::Closed,
    },
    Bad {
        name: "a request of HTTP",
        bytes: || Bytes::from_static(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        ending: Ending::Closed,
    },
    Bad {
        name: "half a frame, then silence",
        bytes: || Bytes::from_static(&[0, 0, 1, 0, 0, 3, 0, 1]),
        ending: Ending::Kept,
    },
    Bad {
        name: "the beginning of a frame of 100 MB, then silence",
        bytes: || {
            let mut bytes = BytesMut::from(&(100_i32 << 20).to_be_bytes()[..]);
            bytes.resize(300_000, 0);
            bytes.freeze()
        },
        ending: Ending::Kept,
    },
    Bad {
        name: "a version of ApiVersions that is not there yet",
        bytes: || request(ApiKey::ApiVersions, 99, &[]),
        ending: Ending::Answered,
    },
    Bad {
        name: "a batch of a few kilobytes that unpacks to a gigabyte",
        bytes: bomb,
        ending: Ending::Answered,
    },
];

/// Sends it over a connection of its own, and waits until the broker has done something about it.
pub async fn send(address: SocketAddr, bytes: &[u8]) -> Ending {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(bytes).await.expect("it is read");
    let mut answer = [0; 4];
    match tokio::time::timeout(SILENCE, socket.peek(&mut answer)).await {
        Err(_) if needs_more(bytes) => return Ending::Kept,
        Err(_) | Ok(_) => {}
    }
    let answer = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
    match answer.expect("the broker answers or closes") {
        Ok(0) | Err(_) => Ending::Closed,
        Ok(_) => Ending::Answered,
    }
}

/// Whether it is less than a frame.
fn needs_more(bytes: &[u8]) -> bool {
    let length = bytes
        .first_chunk()
        .map(|length| i32::from_be_bytes(*length));
    length.is_none_or(|length| i64::from(length) > bytes.len() as i64 - 4)
}

fn frame(body: &[u8]) -> Bytes {
    let mut bytes = (body.len() as i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.into()
}

/// A request with a header of its version, and with any bytes for a body.
pub fn request(api: ApiKey, version: i16, body: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    bytes.extend((api as i16).to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
    if api.request_header_version(version) >= 2 {
        bytes.push(0);
    }
    bytes.extend_from_slice(body);
    frame(&bytes)
}

/// Produce of one record whose value is a gigabyte of zeros, and a few kilobytes when packed.
fn bomb() -> Bytes {
    const UNPACKED_BYTES: usize = 1 << 30;
    let mut packed = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    // Attributes, timestamp, offset, no key, the value's length and the value; then no headers.
    let mut record = vec![0, 0, 0, 1];
    put_varint(&mut record, UNPACKED_BYTES as i64);
    let mut length = Vec::new();
    put_varint(&mut length, (record.len() + UNPACKED_BYTES + 1) as i64);
    packed.write_all(&length).expect("memory");
    packed.write_all(&record).expect("memory");
    let zeros = vec![0; 1 << 20];
    for _ in 0..UNPACKED_BYTES / zeros.len() {
        packed.write_all(&zeros).expect("memory");
    }
    packed.write_all(&[0]).expect("memory");
    let packed = packed.finish().expect("memory");
    assert!(packed.len() < 200_000, "{} bytes", packed.len());

    const ZSTD: u8 = 4;
    let mut checked = vec![0, ZSTD];
    checked.extend([0; 4]); // last offset delta
    checked.extend([0; 16]); // timestamps
    checked.extend([0xff; 14]); // no producer
    checked.extend(1_i32.to_be_bytes());
    checked.extend(&packed);
    let mut batch = vec![0; 8];
    batch.extend((checked.len() as i32 + 9).to_be_bytes());
    batch.extend([0, 0, 0, 0, 2]);
    batch.extend(crc32c::crc32c(&checked).to_be_bytes());
    batch.extend(checked);

    let mut data = PartitionProduceData::default();
    data.records = Some(batch.into());
    let mut topic = TopicProduceData::default();
    topic.name = TopicName(StrBytes::from_static_str("bomb"));
    topic.partition_data = vec![data];
    let mut request = ProduceRequest::default();
    request.acks = -1;
    request.timeout_ms = 10_000;
    request.topic_data = vec![topic];
    encode_request(1, None, 9, &request)
        .expect("it can be written")
        .freeze()
}

/// As Kafka writes numbers in records: zigzag, seven bits a byte.
fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
