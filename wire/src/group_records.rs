//! What a group coordinator keeps in `__consumer_offsets`, byte for byte as Kafka does, so that tools that read the topic
//! read ours.
//!
//! A record's key begins with two bytes that say what it is about, its value with two that say the value's version; a record
//! without a value (a tombstone) says that what the key names is no more. The schemas are in
//! `schema/group-records-4.4.txt`.

use crate::messages::traits::{Decodable, Encodable};
use crate::{Error, check};
use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use generated::*;

macro_rules! group_records {
    ($($at:literal $name:ident = $kind:literal, $last:literal: $key:ident $value:ident;)*) => {
        /// A record, or with no value the end of what its key names.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant)]
        pub enum GroupRecord {
            $($name($key, Option<$value>),)*
        }

        impl GroupRecord {
            /// Reads a record; `None` is one of a kind that Kafka 4.4 does not know, which is passed over, as Kafka does.
            pub fn decode(mut key: Bytes, value: Option<Bytes>) -> Result<Option<GroupRecord>, Error> {
                let kind = number(&mut key, "a record's key")?;
                match kind {
                    $($kind => {
                        let key = decode(&mut key, 0, check::group_record_key($at, 0), stringify!($key))?;
                        let value = match value {
                            None => None,
                            Some(mut value) => {
                                let version = number(&mut value, stringify!($value))?;
                                let checked = check::group_record_value($at, version, $last);
                                Some(decode(&mut value, version, checked, stringify!($value))?)
                            }
                        };
                        Ok(Some(GroupRecord::$name(key, value)))
                    })*
                    _ => Ok(None),
                }
            }

            /// Key and value.
            pub fn encode(&self) -> Result<(Bytes, Option<Bytes>), Error> {
                match self {
                    $(GroupRecord::$name(key, value) => {
                        let version = self.value_version();
                        let key = encode($kind, key, 0, stringify!($key))?;
                        let value = value.as_ref().map(|value| encode(version, value, version, stringify!($value)));
                        Ok((key, value.transpose()?))
                    })*
                }
            }
        }
    };
}

impl GroupRecord {
    /// As Kafka 4.4 writes them: the newest version that older brokers can read, unless the value needs more.
    fn value_version(&self) -> i16 {
        match self {
            GroupRecord::OffsetCommit(_, Some(value)) if value.expire_timestamp != -1 => 1,
            GroupRecord::OffsetCommit(_, Some(value)) if !value.topic_id.is_nil() => 4,
            GroupRecord::OffsetCommit(..) | GroupRecord::GroupMetadata(..) => 3,
            _ => 0,
        }
    }
}

/// The two bytes that keys and values begin with.
fn number(bytes: &mut Bytes, message: &'static str) -> Result<i16, Error> {
    match bytes.len() {
        2.. => Ok(bytes.get_i16()),
        remaining => Err(Error::Malformed {
            message,
            version: -1,
            field: "its version",
            at_byte: 0,
            problem: check::Problem::Truncated {
                needed: 2,
                remaining,
            },
        }),
    }
}

fn decode<M: Decodable>(
    body: &mut Bytes,
    version: i16,
    check: impl FnOnce(&[u8]) -> Result<(), Error>,
    message: &'static str,
) -> Result<M, Error> {
    check(body)?;
    M::decode(body, version).map_err(|error| Error::Unreadable {
        message,
        version,
        reason: error.to_string(),
    })
}

fn encode<M: Encodable>(
    begin: i16,
    body: &M,
    version: i16,
    message: &'static str,
) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(begin);
    let written = body.encode(&mut bytes, version);
    written.map_err(|error| Error::UnwritableRecord {
        message,
        version,
        reason: error.to_string(),
    })?;
    Ok(bytes.freeze())
}

// A generated default says every field, though for some structures it could be derived.
#[allow(clippy::derivable_impls)]
mod generated {
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/group_records.rs"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::messages::StrBytes;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn offset(value: Option<OffsetCommitValue>) -> GroupRecord {
        let key = OffsetCommitKey::default()
            .with_group(text("g"))
            .with_topic(text("t"))
            .with_partition(3);
        GroupRecord::OffsetCommit(key, value)
    }

    #[test]
    fn an_offset_is_written_as_kafka_writes_it() {
        let value = OffsetCommitValue::default()
            .with_offset(7)
            .with_leader_epoch(2)
            .with_metadata(text("m"))
            .with_commit_timestamp(5);
        let (key, value) = offset(Some(value)).encode().unwrap();
        assert_eq!(key[..], *b"\0\x01\0\x01g\0\x01t\0\0\0\x03");
        let expected = b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x02\0\x01m\0\0\0\0\0\0\0\x05";
        assert_eq!(value.unwrap()[..], *expected);
    }

    #[test]
    fn a_record_that_is_written_is_read_again() {
        let plain = OffsetCommitValue::default().with_offset(7);
        let values = [
            None,
            Some(plain.clone()),
            Some(plain.clone().with_expire_timestamp(9)),
            Some(plain.with_topic_id(crate::messages::Uuid::from_u128(5))),
        ];
        for value in values {
            // Version 1 has no leader epoch.
            let record = offset(value);
            let (key, value) = record.encode().unwrap();
            assert_eq!(GroupRecord::decode(key, value).unwrap(), Some(record));
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_passed_over() {
        let key = Bytes::from_static(b"\x03\xe7rest");
        assert_eq!(GroupRecord::decode(key, None).unwrap(), None);
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_by_name() {
        let (key, _) = offset(None).encode().unwrap();
        let cut = GroupRecord::decode(key.slice(..5), None).unwrap_err();
        assert!(cut.to_string().contains("OffsetCommitKey"), "{cut}");
        let long = [&key[..], b"x"].concat();
        assert!(GroupRecord::decode(long.into(), None).is_err());
        let newer = Bytes::from_static(b"\0\x63");
        let newer = GroupRecord::decode(key.clone(), Some(newer)).unwrap_err();
        assert!(newer.to_string().contains("version 99"), "{newer}");
        assert!(GroupRecord::decode(Bytes::from_static(b"\0"), None).is_err());
        assert!(GroupRecord::decode(key, Some(Bytes::new())).is_err());
    }
}
