//! Every refusal of the layers below, and the code that clients know it by. No `_` arm: a new one must choose its code.

use crate::engine::{AppendError, ReadError};
use crate::metadata;
use crate::partition::{ProducerRefusal, Refusal};
use crate::raft::Failure;
use millrace_wire::ErrorCode;

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: ErrorCode,
    /// Where the answer has a place for it.
    pub message: String,
}

impl Refused {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            code,
            message: message.into(),
        }
    }
}

/// With Kafka's own words for it.
impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused::new(code, code.message())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        let code = match &error {
            AppendError::Failed(failure) => failure_code(failure, partition_code),
            AppendError::DiskFull { .. } => ErrorCode::KafkaStorageError,
            AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        };
        Refused::new(code, error.to_string())
    }
}

impl From<Failure<Refusal>> for Refused {
    fn from(failure: Failure<Refusal>) -> Refused {
        Refused::new(failure_code(&failure, partition_code), failure.to_string())
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Refused {
        let code = match &error {
            ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Storage(_) => ErrorCode::KafkaStorageError,
            ReadError::Records { .. } => ErrorCode::CorruptMessage,
        };
        Refused::new(code, error.to_string())
    }
}

impl From<metadata::Refusal> for Refused {
    fn from(refusal: metadata::Refusal) -> Refused {
        Refused::new(metadata_code(&refusal), refusal.to_string())
    }
}

impl From<metadata::Error> for Refused {
    fn from(failure: metadata::Error) -> Refused {
        let code = match &failure {
            Failure::NotLeader { .. } | Failure::Transferring { .. } => ErrorCode::NotController,
            other => failure_code(other, metadata_code),
        };
        Refused::new(code, failure.to_string())
    }
}

fn failure_code<R>(failure: &Failure<R>, refused: impl FnOnce(&R) -> ErrorCode) -> ErrorCode {
    match failure {
        Failure::Refused(refusal) => refused(refusal),
        Failure::NotLeader { .. } | Failure::Transferring { .. } | Failure::UnknownGroup => {
            ErrorCode::NotLeaderOrFollower
        }
        // Nothing was done: a client that asks again later may have luck.
        Failure::Overloaded => ErrorCode::NotEnoughReplicas,
        Failure::Faulty(_) => ErrorCode::KafkaStorageError,
        Failure::Stopped => ErrorCode::NotLeaderOrFollower,
    }
}

fn partition_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
        Refusal::TermTooLarge { .. } | Refusal::OffsetsExhausted { .. } => {
            ErrorCode::UnknownServerError
        }
        Refusal::CorruptBatch { .. } | Refusal::CorruptRecords { .. } => ErrorCode::CorruptMessage,
        Refusal::InvalidRecord { .. } => ErrorCode::InvalidRecord,
        Refusal::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::UnsupportedCompression { .. } => ErrorCode::UnsupportedCompressionType,
        Refusal::Producer(refusal) => producer_code(refusal),
        Refusal::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        Refusal::DeletionNotAllowed => ErrorCode::PolicyViolation,
    }
}

fn metadata_code(refusal: &metadata::Refusal) -> ErrorCode {
    match refusal {
        metadata::Refusal::NotLeader { .. } => ErrorCode::NotController,
        metadata::Refusal::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        metadata::Refusal::TopicCollides { .. } => ErrorCode::InvalidTopicException,
        metadata::Refusal::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        metadata::Refusal::NoReassignment => ErrorCode::NoReassignmentInProgress,
        metadata::Refusal::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        metadata::Refusal::Placement(refusal) => match refusal {
            metadata::PlacementRefusal::TooFewBrokers { .. }
            | metadata::PlacementRefusal::NoReplicas => ErrorCode::InvalidReplicationFactor,
            metadata::PlacementRefusal::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        },
        metadata::Refusal::UnknownBroker(_) => ErrorCode::BrokerIdNotRegistered,
        metadata::Refusal::Feature(_) => ErrorCode::InvalidUpdateVersion,
        metadata::Refusal::Later | metadata::Refusal::ProducerIdsExhausted => {
            ErrorCode::UnknownServerError
        }
    }
}

fn producer_code(refusal: &ProducerRefusal) -> ErrorCode {
    match refusal {
        ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerRefusal::InvalidProducerEpoch { .. } | ProducerRefusal::NegativeEpoch { .. } => {
            ErrorCode::InvalidProducerEpoch
        }
        ProducerRefusal::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        ProducerRefusal::TransactionCoordinatorFenced { .. } => {
            ErrorCode::TransactionCoordinatorFenced
        }
    }
}
