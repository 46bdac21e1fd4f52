//! What members of a consumer group tell one another through its coordinator: Kafka's `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, versions 0 to 3.
//!
//! A version above 3 begins as 3 does, and is read so, as Java reads it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the members' protocol type is called.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The newest version of both.
pub const VERSION: i16 = 3;

/// Partitions by the names of their topics.
pub type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a group member's {what} is cut short")]
    Torn { what: &'static str },
    #[error("a group member's {what} has version {version}; 0 is the first")]
    Version { what: &'static str, version: i16 },
    #[error("a group member's {what} is not UTF-8")]
    NotUtf8 { what: &'static str },
    #[error("{count} topics or partitions are too many")]
    TooMany { count: usize },
    #[error("a name of {bytes} bytes is too long")]
    LongName { bytes: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// In which it was written: a member understands no newer assignment.
    pub version: i16,
    pub topics: Vec<String>,
    pub user_data: Option<Bytes>,
    pub owned: Partitions,
    pub generation: Option<i32>,
    pub rack: Option<String>,
}

impl Default for Subscription {
    fn default() -> Subscription {
        Subscription {
            version: VERSION,
            topics: Vec::new(),
            user_data: None,
            owned: Partitions::new(),
            generation: None,
            rack: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    pub partitions: Partitions,
    pub user_data: Option<Bytes>,
}

impl Subscription {
    /// In the newest version.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(VERSION);
        put_count(&mut bytes, self.topics.len())?;
        for topic in &self.topics {
            put_text(&mut bytes, topic)?;
        }
        put_user_data(&mut bytes, self.user_data.as_ref())?;
        put_partitions(&mut bytes, &self.owned)?;
        bytes.put_i32(self.generation.unwrap_or(-1));
        match &self.rack {
            Some(rack) => put_text(&mut bytes, rack)?,
            None => bytes.put_i16(-1),
        }
        Ok(bytes.freeze())
    }

    pub fn decode(bytes: Bytes) -> Result<Subscription, Error> {
        let mut reader = Reader {
            bytes,
            what: "subscription",
        };
        let version = reader.version()?;
        let count = reader.count(2)?;
        let topics = (0..count).map(|_| reader.text());
        let mut subscription = Subscription {
            version,
            topics: topics.collect::<Result<_, Error>>()?,
            user_data: reader.user_data()?,
            ..Subscription::default()
        };
        if version >= 1 {
            subscription.owned = reader.partitions()?;
        }
        if version >= 2 {
            let generation = reader.bytes.try_get_i32().map_err(|_| reader.torn())?;
            subscription.generation = Some(generation).filter(|&generation| generation >= 0);
        }
        if version >= 3 {
            subscription.rack = reader.nullable_text()?;
        }
        Ok(subscription)
    }
}

impl Assignment {
    /// In a version that the member understands, which all are alike but for their number.
    pub fn encode(&self, version: i16) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version.min(VERSION));
        put_partitions(&mut bytes, &self.partitions)?;
        put_user_data(&mut bytes, self.user_data.as_ref())?;
        Ok(bytes.freeze())
    }

    /// No bytes at all are what a member has that was given nothing.
    pub fn decode(bytes: Bytes) -> Result<Assignment, Error> {
        if bytes.is_empty() {
            return Ok(Assignment::default());
        }
        let mut reader = Reader {
            bytes,
            what: "assignment",
        };
        reader.version()?;
        Ok(Assignment {
            partitions: reader.partitions()?,
            user_data: reader.user_data()?,
        })
    }
}

struct Reader {
    bytes: Bytes,
    what: &'static str,
}

impl Reader {
    fn torn(&self) -> Error {
        Error::Torn { what: self.what }
    }

    fn version(&mut self) -> Result<i16, Error> {
        match self.bytes.try_get_i16().map_err(|_| self.torn())? {
            version @ 0.. => Ok(version),
            version => Err(Error::Version {
                what: self.what,
                version,
            }),
        }
    }

    /// Of items of at least `least` bytes each, all of which must still be there.
    fn count(&mut self, least: usize) -> Result<usize, Error> {
        let count = self.bytes.try_get_i32().map_err(|_| self.torn())?;
        let count = usize::try_from(count.max(0)).map_err(|_| self.torn())?;
        match count.checked_mul(least) {
            Some(needed) if needed <= self.bytes.remaining() => Ok(count),
            _ => Err(self.torn()),
        }
    }

    fn nullable_text(&mut self) -> Result<Option<String>, Error> {
        let length = self.bytes.try_get_i16().map_err(|_| self.torn())?;
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        if length > self.bytes.remaining() {
            return Err(self.torn());
        }
        let text = String::from_utf8(self.bytes.split_to(length).to_vec());
        text.map(Some)
            .map_err(|_| Error::NotUtf8 { what: self.what })
    }

    fn text(&mut self) -> Result<String, Error> {
        self.nullable_text()?.ok_or_else(|| self.torn())
    }

    fn user_data(&mut self) -> Result<Option<Bytes>, Error> {
        let length = self.bytes.try_get_i32().map_err(|_| self.torn())?;
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        if length > self.bytes.remaining() {
            return Err(self.torn());
        }
        Ok(Some(self.bytes.split_to(length)))
    }

    fn partitions(&mut self) -> Result<Partitions, Error> {
        let topics = self.count(6)?;
        let mut partitions = Partitions::new();
        for _ in 0..topics {
            let topic: Arc<str> = Arc::from(self.text()?);
            for _ in 0..self.count(4)? {
                let partition = self.bytes.try_get_i32().map_err(|_| self.torn())?;
                let of_topic = partitions.entry(Arc::clone(&topic)).or_default();
                of_topic.insert(partition);
            }
        }
        Ok(partitions)
    }
}

fn put_count(bytes: &mut BytesMut, count: usize) -> Result<(), Error> {
    let count = i32::try_from(count).map_err(|_| Error::TooMany { count })?;
    bytes.put_i32(count);
    Ok(())
}

fn put_text(bytes: &mut BytesMut, text: &str) -> Result<(), Error> {
    let length = i16::try_from(text.len()).map_err(|_| Error::LongName { bytes: text.len() })?;
    bytes.put_i16(length);
    bytes.put_slice(text.as_bytes());
    Ok(())
}

fn put_user_data(bytes: &mut BytesMut, data: Option<&Bytes>) -> Result<(), Error> {
    match data {
        None => bytes.put_i32(-1),
        Some(data) => {
            put_count(bytes, data.len())?;
            bytes.put_slice(data);
        }
    }
    Ok(())
}

fn put_partitions(bytes: &mut BytesMut, partitions: &Partitions) -> Result<(), Error> {
    put_count(bytes, partitions.len())?;
    for (topic, ids) in partitions {
        put_text(bytes, topic)?;
        put_count(bytes, ids.len())?;
        ids.iter().for_each(|id| bytes.put_i32(*id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partitions() -> impl Strategy<Value = Partitions> {
        let ids = proptest::collection::btree_set(0..9i32, 1..4);
        let topic = "[a-c]{0,3}".prop_map(Arc::from);
        proptest::collection::btree_map(topic, ids, 0..5)
    }

    fn user_data() -> impl Strategy<Value = Option<Bytes>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from))
    }

    proptest! {
        #[test]
        fn a_subscription_survives_the_wire(
            topics in proptest::collection::vec("[a-zé]{0,9}", 0..5),
            user_data in user_data(),
            owned in partitions(),
            generation in proptest::option::of(0..i32::MAX),
            rack in proptest::option::of("[a-z]{0,5}"),
        ) {
            let subscription = Subscription { version: VERSION, topics, user_data, owned, generation, rack };
            let bytes = subscription.encode().expect("encoded");
            prop_assert_eq!(Subscription::decode(bytes.clone()).expect("decoded"), subscription);
            for end in 0..bytes.len() {
                prop_assert!(Subscription::decode(bytes.slice(..end)).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn an_assignment_survives_the_wire(partitions in partitions(), user_data in user_data()) {
            let assignment = Assignment { partitions, user_data };
            let bytes = assignment.encode(VERSION).expect("encoded");
            prop_assert_eq!(Assignment::decode(bytes.clone()).expect("decoded"), assignment);
            for end in 1..bytes.len() {
                prop_assert!(Assignment::decode(bytes.slice(..end)).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn no_bytes_break_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Subscription::decode(Bytes::from(bytes.clone()));
            let _ = Assignment::decode(Bytes::from(bytes));
        }
    }

    #[test]
    fn the_first_version_has_topics_and_user_data_only() {
        let bytes = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01a\xff\xff\xff\xff");
        let subscription = Subscription::decode(bytes).expect("decoded");
        assert_eq!(subscription.topics, ["a"]);
        assert_eq!((subscription.generation, subscription.rack), (None, None));
    }

    #[test]
    fn a_later_version_is_read_as_the_last_known() {
        let partitions = Partitions::from([("a".into(), [4].into())]);
        let written = Assignment {
            partitions: partitions.clone(),
            user_data: None,
        };
        let mut bytes = written.encode(9).expect("encoded").to_vec();
        assert_eq!(bytes[..2], [0, 3]);
        bytes[1] = 9;
        bytes.extend_from_slice(b"more");
        let assignment = Assignment::decode(Bytes::from(bytes)).expect("decoded");
        assert_eq!(assignment.partitions, partitions);
    }

    #[test]
    fn a_count_that_cannot_be_there_is_refused() {
        let check = |bytes: &'static [u8], expected: &str| {
            let refused = Assignment::decode(Bytes::from_static(bytes)).expect_err("refused");
            assert_eq!(refused.to_string(), expected);
        };
        let torn = "a group member's assignment is cut short";
        check(b"\0\x01\x7f\xff\xff\xff", torn);
        check(b"\0\x01\0\0\0\x01\0\x01a\x7f\xff\xff\xff", torn);
        check(
            b"\xff\xff",
            "a group member's assignment has version -1; 0 is the first",
        );
    }
}
