//! Control records: what a record of a control batch says in its key and value (KIP-98).

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    Abort,
    Commit,
    /// A type of another version or of a topic that is not a partition's log (a KRaft leader change, a snapshot's frame).
    Other(i16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a control record's {part} has {len} bytes, at least {needed} are needed")]
    Truncated {
        part: &'static str,
        len: usize,
        needed: usize,
    },
    #[error("a control record's {part} has the negative version {version}")]
    NegativeVersion { part: &'static str, version: i16 },
}

const VERSION: i16 = 0;
const KEY_LEN: usize = 4;
const END_MARKER_LEN: usize = 6;

impl ControlType {
    /// Reads a control record's key. Later versions only append fields, so only a negative version is refused.
    pub fn decode_key(mut key: &[u8]) -> Result<ControlType, Error> {
        check("key", key, KEY_LEN)?;
        let _version = key.get_i16();
        Ok(match key.get_i16() {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }

    pub fn encode_key(self) -> Bytes {
        let mut out = BytesMut::with_capacity(KEY_LEN);
        out.put_i16(VERSION);
        out.put_i16(match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::Other(other) => other,
        });
        out.freeze()
    }
}

/// The value of an abort or commit marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    pub coordinator_epoch: i32,
}

impl EndMarker {
    pub fn decode(mut value: &[u8]) -> Result<EndMarker, Error> {
        check("value", value, END_MARKER_LEN)?;
        let _version = value.get_i16();
        Ok(EndMarker {
            coordinator_epoch: value.get_i32(),
        })
    }

    pub fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(END_MARKER_LEN);
        out.put_i16(VERSION);
        out.put_i32(self.coordinator_epoch);
        out.freeze()
    }
}

fn check(part: &'static str, mut bytes: &[u8], needed: usize) -> Result<(), Error> {
    let len = bytes.len();
    if len < needed {
        return Err(Error::Truncated { part, len, needed });
    }
    let version = bytes.get_i16();
    if version < 0 {
        return Err(Error::NegativeVersion { part, version });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn markers_have_kafkas_bytes() {
        assert_eq!(&ControlType::Abort.encode_key()[..], [0, 0, 0, 0]);
        assert_eq!(&ControlType::Commit.encode_key()[..], [0, 0, 0, 1]);
        let marker = EndMarker {
            coordinator_epoch: 0x0102_0304,
        };
        assert_eq!(&marker.encode()[..], [0, 0, 1, 2, 3, 4]);
        assert_eq!(EndMarker::decode(&marker.encode()), Ok(marker));
    }

    #[test]
    fn a_key_of_a_later_version_is_read_by_its_known_fields() {
        assert_eq!(
            ControlType::decode_key(&[0, 9, 0, 1, 7, 7]),
            Ok(ControlType::Commit)
        );
        assert_eq!(
            ControlType::decode_key(&[0, 0, 0, 2]),
            Ok(ControlType::Other(2))
        );
    }

    #[test]
    fn short_keys_and_negative_versions_are_refused() {
        for len in 0..KEY_LEN {
            assert!(ControlType::decode_key(&[0; KEY_LEN][..len]).is_err());
        }
        for len in 0..END_MARKER_LEN {
            assert!(EndMarker::decode(&[0; END_MARKER_LEN][..len]).is_err());
        }
        assert_eq!(
            ControlType::decode_key(&[0xff, 0xff, 0, 1]),
            Err(Error::NegativeVersion {
                part: "key",
                version: -1
            })
        );
    }
}
