//! How a tool ends when it does not end well: what it says where, and its exit code.

use millrace_client::Error;
use millrace_client::wire::ErrorCode;
use std::io;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Kafka's tools say some of their errors on standard output.
    pub stdout: String,
    pub stderr: String,
    pub exit_code: u8,
}

impl Failure {
    pub fn plain(stderr: impl Into<String>) -> Failure {
        Failure {
            stdout: String::new(),
            stderr: stderr.into(),
            exit_code: 1,
        }
    }

    pub fn on_stdout(stdout: impl Into<String>) -> Failure {
        Failure {
            stdout: stdout.into(),
            stderr: String::new(),
            exit_code: 1,
        }
    }

    /// Everything was said already.
    pub fn silent(exit_code: u8) -> Failure {
        Failure {
            stdout: String::new(),
            stderr: String::new(),
            exit_code,
        }
    }

    pub fn version() -> Failure {
        Failure {
            stdout: env!("CARGO_PKG_VERSION").to_owned(),
            stderr: String::new(),
            exit_code: 0,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            // Whoever read our output has seen enough.
            io::ErrorKind::BrokenPipe => Failure::silent(1),
            _ => Failure::plain(error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::plain(describe(&error))
    }
}

/// What the cluster said, which some tools put more words around, or what was wrong before it was asked.
pub enum Trouble {
    Client(Error),
    Own(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Client(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Own(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Own(error.into())
    }
}

/// With the name of Kafka's exception before a broker's words, as Java's tools show them.
pub fn describe(error: &Error) -> String {
    match class(error) {
        Some(class) => format!("{class}: {}", message(error)),
        None => message(error),
    }
}

/// The exception of Kafka's Java client for an error, if it has one.
pub fn class(error: &Error) -> Option<String> {
    match error {
        Error::Kafka { code, .. } => Some(exception(*code)),
        Error::Connect { .. } | Error::Disconnected { .. } | Error::TimedOut { .. } => {
            Some("org.apache.kafka.common.errors.TimeoutException".to_owned())
        }
        _ => None,
    }
}

/// The words alone.
pub fn message(error: &Error) -> String {
    match error {
        Error::Kafka { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// The exception of Kafka's Java client for a code.
pub fn exception(code: ErrorCode) -> String {
    let name = match code {
        ErrorCode::UnknownServerError => "UnknownServer",
        ErrorCode::TopicAlreadyExists => "TopicExists",
        ErrorCode::InvalidConfig => "InvalidConfiguration",
        ErrorCode::RequestTimedOut => "Timeout",
        ErrorCode::MessageTooLarge => "RecordTooLarge",
        ErrorCode::RecordListTooLarge => "RecordBatchTooLarge",
        ErrorCode::NetworkException => "Network",
        ErrorCode::InvalidTopicException => "InvalidTopic",
        ErrorCode::KafkaStorageError => "KafkaStorage",
        ErrorCode::NonEmptyGroup => "GroupNotEmpty",
        ErrorCode::CoordinatorLoadInProgress => "CoordinatorLoadInProgress",
        ErrorCode::OutOfOrderSequenceNumber => "OutOfOrderSequence",
        ErrorCode::DuplicateSequenceNumber => "DuplicateSequence",
        ErrorCode::InvalidTransactionTimeout => "InvalidTxnTimeout",
        ErrorCode::InvalidProducerIdMapping => "InvalidPidMapping",
        ErrorCode::CorruptMessage => "CorruptRecord",
        other => {
            let words = other.name().split('_');
            let camel = words.map(|word| {
                let lower = word.to_ascii_lowercase();
                let mut letters = lower.chars();
                let first = letters.next().map(|first| first.to_ascii_uppercase());
                first.into_iter().chain(letters).collect::<String>()
            });
            return format!(
                "org.apache.kafka.common.errors.{}Exception",
                camel.collect::<String>()
            );
        }
    };
    format!("org.apache.kafka.common.errors.{name}Exception")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_have_the_names_that_java_gives_them() {
        let check = |code, name| {
            assert_eq!(
                exception(code),
                format!("org.apache.kafka.common.errors.{name}")
            )
        };
        check(ErrorCode::TopicAlreadyExists, "TopicExistsException");
        check(
            ErrorCode::UnknownTopicOrPartition,
            "UnknownTopicOrPartitionException",
        );
        check(ErrorCode::InvalidTopicException, "InvalidTopicException");
        check(ErrorCode::OffsetOutOfRange, "OffsetOutOfRangeException");
        check(ErrorCode::InvalidPartitions, "InvalidPartitionsException");
    }
}
