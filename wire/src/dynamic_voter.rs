//! A controller as `kafka-storage format --initial-controllers` names it: `id@host:port:directory-id`.

use crate::uuid::{self, Uuid};
use std::fmt;
use std::str::FromStr;

/// Kafka's name for it. Read and written in one form: a host of IPv6 stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicVoter {
    pub id: i32,
    /// Without the brackets of an IPv6 address; never empty.
    pub host: String,
    pub port: u16,
    /// Of the directory that holds its replica of the metadata.
    pub directory_id: Uuid,
}

/// Why a text names no controller, in Kafka's words where Kafka has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("No voters given.")]
    NoVoters,
    #[error("Node id {0} was specified more than once.")]
    Twice(i32),
    #[error("No @ found in dynamic voter string.")]
    NoAt,
    #[error("Invalid @ at beginning of dynamic voter string.")]
    AtAtBeginning,
    #[error("Failed to parse node id in dynamic voter string.")]
    NodeId,
    #[error("Invalid negative node id {0} in dynamic voter string.")]
    NegativeNodeId(i32),
    #[error("No hostname found after node id.")]
    NoHost,
    #[error("Hostname began with left bracket, but no right bracket was found.")]
    NoRightBracket,
    #[error("No colon following hostname could be found.")]
    NoColonAfterHost,
    #[error("Port section must start with a colon.")]
    NoColonBeforePort,
    #[error("No colon following port could be found.")]
    NoColonAfterPort,
    #[error("Failed to parse port in dynamic voter string.")]
    Port,
    #[error("Invalid port {0} in dynamic voter string.")]
    PortRange(i64),
    #[error("Failed to parse directory ID in dynamic voter string. {0}")]
    DirectoryId(uuid::ParseError),
}

impl FromStr for DynamicVoter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<DynamicVoter, ParseError> {
        let (id, rest) = text.trim().split_once('@').ok_or(ParseError::NoAt)?;
        if id.is_empty() {
            return Err(ParseError::AtAtBeginning);
        }
        let id: i32 = id.parse().map_err(|_| ParseError::NodeId)?;
        if id < 0 {
            return Err(ParseError::NegativeNodeId(id));
        }
        let (host, rest) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, rest) = inner.split_once(']').ok_or(ParseError::NoRightBracket)?;
                let rest = rest
                    .strip_prefix(':')
                    .ok_or(ParseError::NoColonBeforePort)?;
                (host, rest)
            }
            None if rest.is_empty() => return Err(ParseError::NoHost),
            None => rest.split_once(':').ok_or(ParseError::NoColonAfterHost)?,
        };
        // Kafka takes an empty one, which nobody could connect to.
        if host.is_empty() {
            return Err(ParseError::NoHost);
        }
        let (port, directory) = rest.split_once(':').ok_or(ParseError::NoColonAfterPort)?;
        let port: i64 = port.parse().map_err(|_| ParseError::Port)?;
        Ok(DynamicVoter {
            id,
            host: host.to_owned(),
            port: u16::try_from(port).map_err(|_| ParseError::PortRange(port))?,
            directory_id: uuid::parse(directory).map_err(ParseError::DirectoryId)?,
        })
    }
}

impl fmt::Display for DynamicVoter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = uuid::to_text(self.directory_id);
        match self.host.contains(':') {
            true => write!(f, "{}@[{}]:{}:{directory}", self.id, self.host, self.port),
            false => write!(f, "{}@{}:{}:{directory}", self.id, self.host, self.port),
        }
    }
}

/// A list with commas, in which every node stands once.
pub fn parse_list(text: &str) -> Result<Vec<DynamicVoter>, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::NoVoters);
    }
    let mut voters: Vec<DynamicVoter> = Vec::new();
    for item in text.split(',') {
        let voter: DynamicVoter = item.parse()?;
        if voters.iter().any(|other| other.id == voter.id) {
            return Err(ParseError::Twice(voter.id));
        }
        voters.push(voter);
    }
    Ok(voters)
}

pub fn list_to_text(voters: &[DynamicVoter]) -> String {
    let texts: Vec<String> = voters.iter().map(ToString::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIRECTORY: &str = "N5oIhbO8M9E8XquQBgqrAQ";

    fn voter() -> impl Strategy<Value = DynamicVoter> {
        let host = prop_oneof!["[a-z0-9][a-z0-9.-]{0,20}", "[0-9a-f]{0,4}::[0-9a-f]{1,4}"];
        (0..=i32::MAX, host, any::<u16>(), any::<u128>()).prop_map(|(id, host, port, directory)| {
            DynamicVoter {
                id,
                host,
                port,
                directory_id: Uuid::from_u128(directory),
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(voters in prop::collection::vec(voter(), 1..6)) {
            prop_assume!((1..voters.len()).all(|at| voters[..at].iter().all(|other| other.id != voters[at].id)));
            prop_assert_eq!(parse_list(&list_to_text(&voters)), Ok(voters));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = parse_list(&text);
        }
    }

    #[test]
    fn what_names_no_controller_is_refused_in_kafka_s_words() {
        let check = |text: &str, expected: &str| {
            let refused = parse_list(&text.replace("DIR", DIRECTORY)).expect_err("refused");
            assert_eq!(refused.to_string(), expected, "{text}");
        };
        check("", "No voters given.");
        check("1", "No @ found in dynamic voter string.");
        check(
            "@h:1:DIR",
            "Invalid @ at beginning of dynamic voter string.",
        );
        check(
            "x@h:1:DIR",
            "Failed to parse node id in dynamic voter string.",
        );
        check(
            "-1@h:1:DIR",
            "Invalid negative node id -1 in dynamic voter string.",
        );
        check("1@", "No hostname found after node id.");
        check("1@:1:DIR", "No hostname found after node id.");
        check("1@h", "No colon following hostname could be found.");
        check("1@h:9093", "No colon following port could be found.");
        check("1@h:x:DIR", "Failed to parse port in dynamic voter string.");
        check(
            "1@h:99999:DIR",
            "Invalid port 99999 in dynamic voter string.",
        );
        check("1@h:-1:DIR", "Invalid port -1 in dynamic voter string.");
        check(
            "1@[::1:1:DIR",
            "Hostname began with left bracket, but no right bracket was found.",
        );
        check("1@[::1]1:DIR", "Port section must start with a colon.");
        check(
            "1@h:1:xx",
            "Failed to parse directory ID in dynamic voter string. Input string `xx` decoded as 1 bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
        );
        check(
            "1@h:1:DIR,1@i:1:DIR",
            "Node id 1 was specified more than once.",
        );
        check("1@h:1:DIR,", "No @ found in dynamic voter string.");
    }
}
