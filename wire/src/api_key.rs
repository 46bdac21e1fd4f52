//! The apis of Kafka 4.4 and their versions.

use crate::Error;
use std::fmt;
use std::ops::RangeInclusive;

macro_rules! api_keys {
    ($($name:ident = $key:literal, $first:literal, $last:literal, $flexible:literal;)*) => {
        /// Every api of Kafka 4.4. The four that Kafka 4.0 removed (4 to 7) are here without a version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// In ascending order of their keys, which are their positions, too.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => stringify!($name),)*
                }
            }

            pub(crate) fn request_name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => concat!(stringify!($name), "Request"),)*
                }
            }

            pub(crate) fn response_name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => concat!(stringify!($name), "Response"),)*
                }
            }

            /// The valid versions that Kafka 4.4 calls stable.
            pub fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(ApiKey::$name => RangeInclusive::new($first, $last),)*
                }
            }

            fn first_flexible_version(self) -> i16 {
                match self {
                    $(ApiKey::$name => $flexible,)*
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/api_keys.rs"));

impl ApiKey {
    /// Whether this version has compact lengths and tagged fields (KIP-482).
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.first_flexible_version()
    }

    /// Defined for every version, known or not: a header must be read before its version can be refused.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The answer to ApiVersions has header version 0 always: a client reads it before it knows what the broker speaks.
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != ApiKey::ApiVersions && self.is_flexible(version))
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = Error;

    fn try_from(key: i16) -> Result<ApiKey, Error> {
        usize::try_from(key)
            .ok()
            .and_then(|at| ApiKey::ALL.get(at).copied())
            .ok_or(Error::UnknownApiKey(key))
    }
}

impl From<ApiKey> for i16 {
    fn from(key: ApiKey) -> i16 {
        key as i16
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_its_position() {
        assert_eq!(ApiKey::ALL.len(), 95);
        for (at, &key) in ApiKey::ALL.iter().enumerate() {
            assert_eq!(key as usize, at);
            assert_eq!(ApiKey::try_from(at as i16), Ok(key));
        }
        for unknown in [-1, 95, i16::MIN, i16::MAX] {
            assert_eq!(
                ApiKey::try_from(unknown),
                Err(Error::UnknownApiKey(unknown))
            );
        }
    }

    #[test]
    fn only_what_kafka_removed_has_no_version() {
        for &key in ApiKey::ALL {
            let removed = (4..=7).contains(&(key as i16));
            assert_eq!(key.versions().is_empty(), removed, "{key}");
        }
    }

    #[test]
    fn headers_follow_flexibility_but_for_the_answer_to_api_versions() {
        assert_eq!(ApiKey::Produce.versions(), 3..=13);
        assert_eq!(ApiKey::Produce.request_header_version(8), 1);
        assert_eq!(ApiKey::Produce.request_header_version(9), 2);
        assert_eq!(ApiKey::Produce.response_header_version(8), 0);
        assert_eq!(ApiKey::Produce.response_header_version(9), 1);
        assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
        assert_eq!(ApiKey::ApiVersions.response_header_version(5), 0);
        assert_eq!(ApiKey::OffsetDelete.request_header_version(0), 1);
        assert_eq!(
            ApiKey::SaslHandshake.request_header_version(i16::MAX - 1),
            1
        );
    }

    #[test]
    fn versions_that_kafka_calls_unstable_are_left_out() {
        assert_eq!(ApiKey::InitProducerId.versions(), 0..=5);
    }
}
