//! What can go wrong between asking and being answered.

use millrace_wire::{ApiKey, ErrorCode};
use std::time::Duration;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {address}: {reason}")]
    Connect { address: String, reason: String },
    #[error("the connection to {address} ended: {reason}")]
    Disconnected { address: String, reason: String },
    #[error("{what} was not done within {} ms", .after.as_millis())]
    TimedOut { what: String, after: Duration },
    #[error("{address} speaks no version of {api} that this client does")]
    Unsupported { address: String, api: ApiKey },
    #[error("{address} sent a frame of {bytes} bytes; {limit} are allowed")]
    FrameTooLarge {
        address: String,
        bytes: i64,
        limit: usize,
    },
    #[error(transparent)]
    Wire(#[from] millrace_wire::Error),
    #[error(transparent)]
    Group(#[from] millrace_wire::consumer_protocol::Error),
    /// The broker's answer. `message` is its own words, or those that Kafka has for the code.
    #[error("{message}")]
    Kafka { code: ErrorCode, message: String },
    #[error("broker {0} is not known to the cluster")]
    UnknownBroker(i32),
    #[error("{0}")]
    Records(String),
    #[error("{0}")]
    Invalid(String),
    #[error("the client was closed before this was done")]
    Closed,
}

impl Error {
    /// The error of an answer: with `message` when the broker gave one.
    pub fn of(code: ErrorCode, message: Option<&str>) -> Error {
        let message = message.filter(|message| !message.is_empty());
        Error::Kafka {
            code,
            message: message.unwrap_or(code.message()).to_owned(),
        }
    }

    /// `Ok` when the code says that nothing went wrong.
    pub fn check(code: i16, message: Option<&str>) -> Result<(), Error> {
        match ErrorCode::from(code) {
            ErrorCode::None => Ok(()),
            code => Err(Error::of(code, message)),
        }
    }

    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Kafka { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed a moment later, perhaps at another broker.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Disconnected { .. } | Error::TimedOut { .. } => true,
            Error::UnknownBroker(_) => true,
            Error::Kafka { code, .. } => code.is_retriable(),
            Error::Unsupported { .. }
            | Error::FrameTooLarge { .. }
            | Error::Wire(_)
            | Error::Group(_)
            | Error::Records(_)
            | Error::Invalid(_)
            | Error::Closed => false,
        }
    }

    /// Whether what the client knows of leaders and brokers may be the cause.
    pub fn needs_metadata(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Disconnected { .. } | Error::UnknownBroker(_) => true,
            Error::Kafka { code, .. } => matches!(
                code,
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::InconsistentTopicId
                    | ErrorCode::NotController
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::ListenerNotFound
            ),
            _ => false,
        }
    }
}
