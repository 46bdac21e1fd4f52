//! What members of a consumer group tell one another through its coordinator: Kafka's `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, versions 0 to 3. Pure.
//!
//! The coordinator passes these bytes on unread, so they are another client's: every length is checked against the bytes that
//! remain. A version above 3 begins as 3 does, and is read so, as Java reads it.

use crate::{Error, TopicPartition};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the members' protocol type is called.
pub const PROTOCOL_TYPE: &str = "consumer";

const SUBSCRIPTION_VERSION: i16 = 3;
const ASSIGNMENT_VERSION: i16 = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<String>,
    pub user_data: Option<Bytes>,
    pub owned: Vec<TopicPartition>,
    pub generation: Option<i32>,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    pub partitions: Vec<TopicPartition>,
    pub user_data: Option<Bytes>,
}

impl Subscription {
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(SUBSCRIPTION_VERSION);
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
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(ASSIGNMENT_VERSION);
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
        Error::Records(format!("a group member's {} is cut short", self.what))
    }

    fn version(&mut self) -> Result<i16, Error> {
        match self.bytes.try_get_i16().map_err(|_| self.torn())? {
            version @ 0.. => Ok(version),
            version => Err(Error::Records(format!(
                "a group member's {} has version {version}; 0 is the first",
                self.what
            ))),
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
            .map_err(|_| Error::Records(format!("a group member's {} is not UTF-8", self.what)))
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

    fn partitions(&mut self) -> Result<Vec<TopicPartition>, Error> {
        let topics = self.count(6)?;
        let mut partitions = Vec::new();
        for _ in 0..topics {
            let topic: Arc<str> = Arc::from(self.text()?);
            for _ in 0..self.count(4)? {
                let partition = self.bytes.try_get_i32().map_err(|_| self.torn())?;
                partitions.push(TopicPartition::new(Arc::clone(&topic), partition));
            }
        }
        Ok(partitions)
    }
}

fn put_count(bytes: &mut BytesMut, count: usize) -> Result<(), Error> {
    let count = i32::try_from(count)
        .map_err(|_| Error::Invalid(format!("{count} topics or partitions are too many")))?;
    bytes.put_i32(count);
    Ok(())
}

fn put_text(bytes: &mut BytesMut, text: &str) -> Result<(), Error> {
    let length = i16::try_from(text.len())
        .map_err(|_| Error::Invalid(format!("a name of {} bytes is too long", text.len())))?;
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

fn put_partitions(bytes: &mut BytesMut, partitions: &[TopicPartition]) -> Result<(), Error> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for at in partitions {
        topics.entry(&at.topic).or_default().push(at.partition);
    }
    put_count(bytes, topics.len())?;
    for (topic, ids) in topics {
        put_text(bytes, topic)?;
        put_count(bytes, ids.len())?;
        ids.into_iter().for_each(|id| bytes.put_i32(id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partitions() -> impl Strategy<Value = Vec<TopicPartition>> {
        proptest::collection::btree_set(("[a-c]{0,3}", 0..9i32), 0..8).prop_map(|set| {
            let each = set.into_iter();
            each.map(|(topic, id)| TopicPartition::new(topic, id))
                .collect()
        })
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
            let subscription = Subscription { topics, user_data, owned, generation, rack };
            let bytes = subscription.encode().expect("encoded");
            prop_assert_eq!(Subscription::decode(bytes.clone()).expect("decoded"), subscription);
            for end in 0..bytes.len() {
                prop_assert!(Subscription::decode(bytes.slice(..end)).is_err(), "cut at {}", end);
            }
        }

        #[test]
        fn an_assignment_survives_the_wire(partitions in partitions(), user_data in user_data()) {
            let assignment = Assignment { partitions, user_data };
            let bytes = assignment.encode().expect("encoded");
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
        let mut bytes = Assignment {
            partitions: vec![TopicPartition::new("a", 4)],
            user_data: None,
        }
        .encode()
        .expect("encoded")
        .to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"more");
        let assignment = Assignment::decode(Bytes::from(bytes)).expect("decoded");
        assert_eq!(assignment.partitions, [TopicPartition::new("a", 4)]);
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
