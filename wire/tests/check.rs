//! What the checker refuses, and that nothing gets past it.

#![allow(clippy::unwrap_used)]

use bytes::{BufMut, Bytes, BytesMut};
use millrace_wire::check::{self, Problem, decoded_limit_bytes};
use millrace_wire::messages::traits::{Encodable, Request};
use millrace_wire::messages::{
    ApiVersionsRequest, ConsumerGroupHeartbeatRequest, DescribeTopicPartitionsRequest,
    FetchRequest, HeartbeatRequest, HeartbeatResponse, MetadataRequest, OffsetFetchRequest,
    ProduceRequest,
};
use millrace_wire::{ApiKey, Error, decode_request};

/// What is wrong with a request, and with which field.
fn refused<R: Request>(version: i16, body: &[u8]) -> (&'static str, Problem) {
    let error = decode_request::<R>(&mut Bytes::copy_from_slice(body), version).map(drop);
    match error.unwrap_err() {
        Error::Malformed { field, problem, .. } => (field, problem),
        other => panic!("{other}"),
    }
}

fn passes<R: Request>(version: i16, body: &[u8]) {
    decode_request::<R>(&mut Bytes::copy_from_slice(body), version).unwrap();
}

#[test]
fn five_bytes_do_not_allocate_four_gibibytes() {
    let body = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let (count, remaining) = (u32::MAX as usize - 1, 0);
    let long = |min_bytes| Problem::LongArray {
        count,
        min_bytes,
        remaining,
    };
    assert_eq!(refused::<MetadataRequest>(9, &body), ("Topics", long(2)));
    assert_eq!(refused::<MetadataRequest>(13, &body), ("Topics", long(18)));
}

#[test]
fn an_array_longer_than_its_elements_could_be_is_refused() {
    let mut body = i32::MAX.to_be_bytes().to_vec();
    body.extend([0; 100]);
    let long = |count, min_bytes, remaining| Problem::LongArray {
        count,
        min_bytes,
        remaining,
    };
    assert_eq!(
        refused::<MetadataRequest>(0, &body),
        ("Topics", long(i32::MAX as usize, 2, 100))
    );
    // Partition indexes have four bytes each: 2 of them are not in 7 bytes.
    let body = b"\x00\x01g\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00";
    assert_eq!(
        refused::<OffsetFetchRequest>(1, body),
        ("PartitionIndexes", long(2, 4, 7))
    );
}

#[test]
fn lengths_below_zero_are_refused() {
    let body = b"\xff\xff\xff\xfe";
    assert_eq!(
        refused::<MetadataRequest>(1, body),
        ("Topics", Problem::NegativeLength(-2))
    );
    let body = b"\x00\x00\x00\x01\x80\x00";
    assert_eq!(
        refused::<MetadataRequest>(1, body),
        ("Name", Problem::NegativeLength(-32768))
    );
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    // All topics are null from version 1 on; before, they are none.
    passes::<MetadataRequest>(1, b"\xff\xff\xff\xff");
    assert_eq!(
        refused::<MetadataRequest>(0, b"\xff\xff\xff\xff"),
        ("Topics", Problem::Null)
    );
    assert_eq!(
        refused::<MetadataRequest>(1, b"\x00\x00\x00\x01\xff\xff"),
        ("Name", Problem::Null)
    );
    // A topic without a name has an id, from version 10 on.
    let topic = |name: u8| [&[2][..], &[0; 16], &[name, 0, 0, 0, 0]].concat();
    passes::<MetadataRequest>(10, &[&topic(0)[..], &[0]].concat());
    assert_eq!(
        refused::<MetadataRequest>(9, b"\x02\x00\x00\x00\x00\x00\x00"),
        ("Name", Problem::Null)
    );
}

#[test]
fn strings_are_utf8() {
    passes::<MetadataRequest>(0, "\0\0\0\u{1}\0\u{2}ü".as_bytes());
    assert_eq!(
        refused::<MetadataRequest>(0, b"\x00\x00\x00\x01\x00\x02\xc3\x28"),
        ("Name", Problem::NotUtf8)
    );
}

#[test]
fn a_string_ends_within_the_body() {
    let problem = Problem::Truncated {
        needed: 5,
        remaining: 2,
    };
    assert_eq!(
        refused::<MetadataRequest>(0, b"\x00\x00\x00\x01\x00\x05ab"),
        ("Name", problem)
    );
}

#[test]
fn what_follows_a_request_is_passed_over() {
    passes::<MetadataRequest>(0, b"\x00\x00\x00\x00");
    passes::<MetadataRequest>(0, b"\x00\x00\x00\x00\x00");
    // All topics, as librdkafka asks for them.
    passes::<MetadataRequest>(13, b"\x00\x01\x00\x00\x00\x00\x00");
}

#[test]
fn nothing_may_follow_an_answer() {
    let version = 0;
    let answer = HeartbeatResponse::default();
    let mut body = BytesMut::new();
    answer
        .encode(&mut body, version)
        .expect("it can be written");
    let mut whole = body.clone().freeze();
    millrace_wire::decode_response::<HeartbeatRequest>(&mut whole, version).expect("it is whole");
    body.extend_from_slice(b"\x00");
    let refused = millrace_wire::decode_response::<HeartbeatRequest>(&mut body.freeze(), version);
    let Err(Error::Malformed { problem, .. }) = refused else {
        panic!("a byte follows: {refused:?}");
    };
    assert_eq!(problem, Problem::Trailing(1));
}

#[test]
fn a_nullable_structure_is_there_or_not() {
    let body = |presence: &[u8]| [&[1, 0, 0, 0, 1][..], presence, &[0]].concat();
    passes::<DescribeTopicPartitionsRequest>(0, &body(&[0xff]));
    passes::<DescribeTopicPartitionsRequest>(0, &body(b"\x01\x02t\x00\x00\x00\x00\x00"));
    // The crate's decoder takes this for null and would then read the structure as tagged fields.
    assert_eq!(
        refused::<DescribeTopicPartitionsRequest>(0, &body(b"\x00\x02t\x00\x00\x00\x00\x00")),
        ("Cursor", Problem::Presence(0))
    );
}

/// A Fetch request of version 12 without topics, and its tagged fields.
fn fetch(tagged: &[u8]) -> Vec<u8> {
    [
        &[0; 16][..],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 1, 1],
        tagged,
    ]
    .concat()
}

#[test]
fn tagged_fields_have_the_size_they_say() {
    passes::<FetchRequest>(12, &fetch(b"\x00"));
    passes::<FetchRequest>(12, &fetch(b"\x01\x00\x03\x03id"));
    // The crate's decoder reads the field and ignores its size.
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x01\x00\x04\x03id\x00")),
        ("ClusterId", Problem::TagSize(1))
    );
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x01\x00\x02\x03id")),
        (
            "ClusterId",
            Problem::Truncated {
                needed: 2,
                remaining: 1
            }
        )
    );
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x01\x63\x02a")),
        (
            "the tagged fields",
            Problem::Truncated {
                needed: 2,
                remaining: 1
            }
        )
    );
}

#[test]
fn tagged_fields_ascend_and_are_of_the_version() {
    let order = |tag| ("the tagged fields", Problem::TagOrder(tag));
    passes::<FetchRequest>(12, &fetch(b"\x02\x00\x03\x03id\x63\x00"));
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x02\x63\x00\x00\x03\x03id")),
        order(0)
    );
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x02\x63\x00\x63\x00")),
        order(99)
    );
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x01\x01\x00")),
        ("ReplicaState", Problem::TagVersion(1))
    );
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(b"\x01\x80\x80\x80\x80\x08\x00")),
        ("the tagged fields", Problem::TagRange(1 << 31))
    );
    passes::<FetchRequest>(12, &fetch(b"\x01\xff\xff\xff\xff\x07\x00"));
}

#[test]
fn lengths_have_32_bits() {
    for fifth in [0x10, 0x1f, 0x80] {
        let body = [0x80, 0x80, 0x80, 0x80, fifth, 0];
        assert_eq!(
            refused::<MetadataRequest>(9, &body),
            ("Topics", Problem::LongVarint)
        );
    }
}

#[test]
fn small_elements_cannot_fill_the_memory() {
    // A million topics without a name are 2 MB, and would be 72.
    let mut body = BytesMut::new();
    body.put_i32(1_000_000);
    body.put_bytes(0, 2_000_000);
    let limit = decoded_limit_bytes(body.len());
    assert!(limit < 40_000_000);
    assert_eq!(
        refused::<MetadataRequest>(0, &body),
        ("Topics", Problem::Memory { limit })
    );
}

/// As many unknown tagged fields, three to five bytes each.
fn unknown_tagged_fields(count: usize) -> Vec<u8> {
    let mut tagged = varint(count);
    for tag in 0x4000..0x4000 + count {
        tagged.extend(varint(tag));
        tagged.push(0);
    }
    tagged
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn unknown_tagged_fields_cannot_fill_the_memory() {
    // A hundred topics, each with five thousand: twenty bytes of memory and more for each of theirs.
    let tagged = unknown_tagged_fields(5_000);
    let mut body = vec![101];
    for _ in 0..100 {
        body.extend(b"\x02t");
        body.extend(&tagged);
    }
    body.extend([1, 0, 0, 0]);
    let limit = decoded_limit_bytes(body.len());
    assert_eq!(
        refused::<MetadataRequest>(9, &body),
        ("the tagged fields", Problem::Memory { limit })
    );
}

#[test]
fn no_more_is_taken_than_kafka_takes() {
    let over = |length, limit| Problem::OverLimit { length, limit };
    passes::<FetchRequest>(12, &fetch(&unknown_tagged_fields(10_000)));
    assert_eq!(
        refused::<FetchRequest>(12, &fetch(&unknown_tagged_fields(10_001))),
        ("the tagged fields", over(10_001, 10_000))
    );
    let partitions = |count: usize| {
        let mut body = BytesMut::new();
        body.put_slice(b"\x00\x01g\x00\x00\x00\x01\x00\x01t");
        body.put_i32(count as i32);
        body.put_bytes(0, 4 * count);
        body
    };
    passes::<OffsetFetchRequest>(1, &partitions(1_000_000));
    assert_eq!(
        refused::<OffsetFetchRequest>(1, &partitions(1_000_001)),
        ("PartitionIndexes", over(1_000_001, 1_000_000))
    );
    let topic = |length: usize| {
        [
            &[2][..],
            &varint(length + 1),
            &vec![b't'; length],
            &[0, 1, 0, 0, 0],
        ]
        .concat()
    };
    passes::<MetadataRequest>(9, &topic(32_767));
    assert_eq!(
        refused::<MetadataRequest>(9, &topic(32_768)),
        ("Name", over(32_768, 32_767))
    );
}

#[test]
fn the_limit_on_memory_grows_with_the_body_and_ends() {
    assert_eq!(decoded_limit_bytes(0), 4 << 20);
    assert_eq!(decoded_limit_bytes(1 << 20), 20 << 20);
    assert_eq!(decoded_limit_bytes(usize::MAX), 256 << 20);
}

#[test]
fn records_are_not_looked_at_and_not_copied() {
    let mut body = BytesMut::new();
    body.put_slice(b"\xff\xff\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00");
    body.put_i32(1000);
    body.put_bytes(0xee, 1000);
    let body = body.freeze();
    let request: ProduceRequest = decode_request(&mut body.clone(), 3).unwrap();
    let records = request.topic_data[0].partition_data[0]
        .records
        .clone()
        .unwrap();
    assert_eq!(records, body.slice(body.len() - 1000..));
    assert_eq!(records.as_ptr(), body[body.len() - 1000..].as_ptr());
}

#[test]
fn the_checker_knows_the_versions_itself() {
    let api = ApiKey::Produce;
    for version in [i16::MIN, -1, 0, 2, 14, i16::MAX] {
        let error = Error::UnsupportedVersion { api, version };
        assert_eq!(check::request(api, version, &[]), Err(error.clone()));
        assert_eq!(check::response(api, version, &[]), Err(error));
    }
    for &api in &ApiKey::ALL[4..8] {
        assert!(check::request(api, 0, &[]).is_err());
    }
}

#[test]
fn our_own_messages_are_read_in_their_newest_version() {
    let body = b"\x05java\x044.4\x08cluster\x00\x00\x00\x07\x00";
    let mut bytes = Bytes::from_static(body);
    match decode_request::<ApiVersionsRequest>(&mut bytes, 5) {
        Ok(request) => assert_eq!(&request.client_software_name[..], "java"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_error_says_what_where_and_why() {
    let error =
        decode_request::<ConsumerGroupHeartbeatRequest>(&mut Bytes::from_static(b"\x09gr"), 0);
    assert_eq!(
        error.unwrap_err().to_string(),
        "ConsumerGroupHeartbeatRequest version 0: GroupId needs 8 bytes, and 2 remain, at byte 1 of the body"
    );
}
