//! What the two sides of a new connection tell each other of themselves: fields of a tag (`u16`), a length (`u32`) and so many
//! bytes. Tags that are not known are passed over, so that a later release may add some.

use bytes::{BufMut as _, Bytes};

use super::cursor::{Cursor, Malformed, malformed};
use super::{BrokerId, Lane};

/// The layer above may say so much of itself.
pub const MAX_ABOUT_BYTES: usize = 16 << 10;
const MAX_CLUSTER_ID_BYTES: usize = 256;

const CLUSTER_ID: u16 = 1;
const BROKER: u16 = 2;
const INSTANCE: u16 = 3;
const WANTED: u16 = 4;
const LANE: u16 = 5;
const ABOUT: u16 = 6;

/// Who speaks: one process of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub cluster_id: String,
    pub broker: BrokerId,
    /// Of the process, by chance: a broker that started again has another one.
    pub instance: u128,
    pub about: Bytes,
    /// Only of who dials.
    pub errand: Option<Errand>,
}

/// Whom the dialer means to reach, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    pub wanted: BrokerId,
    pub lane: Lane,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |tag: u16, value: &[u8]| {
            out.put_u16(tag);
            out.put_u32(value.len() as u32);
            out.put_slice(value);
        };
        put(CLUSTER_ID, self.cluster_id.as_bytes());
        put(BROKER, &self.broker.to_be_bytes());
        put(INSTANCE, &self.instance.to_be_bytes());
        if let Some(errand) = &self.errand {
            put(WANTED, &errand.wanted.to_be_bytes());
            put(LANE, &[errand.lane.code()]);
        }
        put(ABOUT, &self.about);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Hello, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut cluster_id = None;
        let (mut broker, mut instance, mut about) = (None, None, None);
        let (mut wanted, mut lane) = (None, None);
        while cursor.remaining() > 0 {
            let tag = cursor.u16("tag in a hello")?;
            let length = cursor.u32("length in a hello")? as usize;
            let value = cursor.take(length, "field of a hello")?;
            match tag {
                CLUSTER_ID if value.len() > MAX_CLUSTER_ID_BYTES => {
                    return malformed("cluster id in a hello", "is too long");
                }
                CLUSTER_ID => match std::str::from_utf8(value) {
                    Ok(id) => once(&mut cluster_id, id.to_owned())?,
                    Err(_) => return malformed("cluster id in a hello", "is not UTF-8"),
                },
                BROKER => once(&mut broker, BrokerId::from_be_bytes(fixed(value)?))?,
                INSTANCE => once(&mut instance, u128::from_be_bytes(fixed(value)?))?,
                WANTED => once(&mut wanted, BrokerId::from_be_bytes(fixed(value)?))?,
                LANE => match Lane::from_code(fixed::<1>(value)?[0]) {
                    Some(known) => once(&mut lane, known)?,
                    None => return malformed("lane in a hello", "does not exist"),
                },
                ABOUT if value.len() > MAX_ABOUT_BYTES => {
                    return malformed("description in a hello", "is too long");
                }
                ABOUT => once(&mut about, Bytes::copy_from_slice(value))?,
                _ => {}
            }
        }
        let errand = match (wanted, lane) {
            (Some(wanted), Some(lane)) => Some(Errand { wanted, lane }),
            (None, None) => None,
            _ => return malformed("hello", "lacks the broker it is for, or the lane"),
        };
        match (cluster_id, broker, instance, about) {
            (Some(cluster_id), Some(broker), Some(instance), Some(about)) => Ok(Hello {
                cluster_id,
                broker,
                instance,
                about,
                errand,
            }),
            _ => malformed("hello", "lacks a field"),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => malformed("hello", "has a field twice"),
    }
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    match value.try_into() {
        Ok(value) => Ok(value),
        Err(_) => malformed("field of a hello", "has another length than it must"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            cluster_id: "mill".to_owned(),
            broker: 3,
            instance: 1 << 100,
            about: Bytes::from_static(b"here"),
            errand: Some(Errand {
                wanted: 4,
                lane: Lane::Bulk,
            }),
        }
    }

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        let with = hello();
        assert_eq!(Hello::decode(&with.encode()), Ok(with.clone()));
        let without = Hello {
            errand: None,
            ..with
        };
        assert_eq!(Hello::decode(&without.encode()), Ok(without));
    }

    #[test]
    fn a_field_of_a_later_release_is_passed_over() {
        let mut bytes = hello().encode();
        bytes.extend([0x77, 0x77, 0, 0, 0, 2, 1, 2]);
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
    }

    #[test]
    fn a_hello_that_is_cut_doubled_or_too_long_is_refused() {
        let bytes = hello().encode();
        for end in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(Hello::decode(&[bytes.clone(), bytes].concat()).is_err());
        let long = Hello {
            about: vec![0; MAX_ABOUT_BYTES + 1].into(),
            ..hello()
        };
        assert!(Hello::decode(&long.encode()).is_err());
    }
}
