//! What a producer is told when its records are not appended.
//!
//! Kafka says why in words only where single records are at fault; elsewhere the code has to do. Ours are added where Kafka
//! has no such refusal. Whoever meant to append learns the log start where Kafka had looked at the partition before it
//! refused.

use crate::api::refusal::Refused;
use crate::api::{code, text};
use crate::engine::AppendError;
use crate::partition::Refusal;
use crate::raft::Failure;
use millrace_wire::ErrorCode;
use millrace_wire::batch::{
    NO_TIMESTAMP, RecompressError, RecordFault, RecordsError, RecordsRefusal, RefusedRecords,
};
use millrace_wire::compression;
use millrace_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse,
};

const NO_OFFSET: i64 = -1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub code: ErrorCode,
    /// For the log, and for connections that end because of it.
    pub why: String,
    /// Whether the producer is told why.
    is_told: bool,
    records: Option<RefusedRecords>,
    /// Whether the partition had been looked at.
    knows_start: bool,
}

impl Rejected {
    /// Before the partition was looked at.
    pub fn unseen(code: ErrorCode, why: impl Into<String>) -> Rejected {
        Rejected {
            code,
            why: why.into(),
            is_told: false,
            records: None,
            knows_start: false,
        }
    }

    fn seen(code: ErrorCode, why: impl Into<String>) -> Rejected {
        Rejected {
            knows_start: true,
            ..Rejected::unseen(code, why)
        }
    }

    pub fn told(self) -> Rejected {
        Rejected {
            is_told: true,
            ..self
        }
    }

    /// The records cannot be what their producer computed a checksum of.
    pub fn corrupt(error: millrace_wire::batch::Error) -> Rejected {
        Rejected::unseen(ErrorCode::CorruptMessage, error.to_string())
    }

    /// The header says what cannot be; the checksum is right.
    pub fn invalid(error: millrace_wire::batch::Error) -> Rejected {
        Rejected::seen(ErrorCode::InvalidRecord, error.to_string())
    }

    pub fn answer(self, index: i32, log_start: Option<i64>) -> PartitionProduceResponse {
        let mut response = PartitionProduceResponse::default();
        response.index = index;
        response.error_code = code(self.code);
        response.base_offset = NO_OFFSET;
        response.log_append_time_ms = NO_TIMESTAMP;
        response.log_start_offset = match self.knows_start {
            true => log_start.unwrap_or(NO_OFFSET),
            false => NO_OFFSET,
        };
        response.error_message = self.is_told.then(|| text(self.why));
        let records = self.records.into_iter().flat_map(|records| records.named);
        let records = records.map(|record| {
            let mut error = BatchIndexAndErrorMessage::default();
            error.batch_index = i32::try_from(record.index).unwrap_or(i32::MAX);
            error.batch_index_error_message = Some(text(record.to_string()));
            error
        });
        response.record_errors = records.collect();
        response
    }
}

/// With Kafka's own words for it.
impl From<ErrorCode> for Rejected {
    fn from(code: ErrorCode) -> Rejected {
        Rejected::unseen(code, code.message())
    }
}

impl From<RecordsRefusal> for Rejected {
    fn from(refusal: RecordsRefusal) -> Rejected {
        let why = refusal.to_string();
        match refusal {
            RecordsRefusal::Records(records) => {
                let is_of_time = |fault: &RecordFault| match fault {
                    RecordFault::Timestamp { .. } | RecordFault::TimestampOfBroker => true,
                    RecordFault::NoKey => false,
                };
                let code = match records.named.iter().any(|record| is_of_time(&record.fault)) {
                    true => ErrorCode::InvalidTimestamp,
                    false => ErrorCode::InvalidRecord,
                };
                Rejected {
                    records: Some(records),
                    ..Rejected::seen(code, why).told()
                }
            }
            // Kafka takes them, and its consumers meet offsets that are not where they should be.
            RecordsRefusal::SparseOffset { .. } => {
                Rejected::seen(ErrorCode::InvalidRecord, why).told()
            }
            RecordsRefusal::Unreadable(error) => match error {
                RecordsError::Record(_) => Rejected::seen(ErrorCode::InvalidRecord, why),
                RecordsError::Batch(_) => {
                    Rejected::seen(ErrorCode::UnsupportedCompressionType, why).told()
                }
                // A producer that hears this sends smaller batches.
                RecordsError::Compression(compression::Error::TooLarge { .. }) => {
                    Rejected::unseen(ErrorCode::MessageTooLarge, why).told()
                }
                // Kafka's answer is UNKNOWN_SERVER_ERROR. It is no CORRUPT_MESSAGE, for that asks to send the same again.
                RecordsError::Compression(
                    compression::Error::Malformed { .. } | compression::Error::Compress { .. },
                ) => Rejected::seen(ErrorCode::InvalidRecord, why).told(),
            },
        }
    }
}

impl From<RecompressError> for Rejected {
    fn from(error: RecompressError) -> Rejected {
        let why = error.to_string();
        match error {
            RecompressError::Records(error) => RecordsRefusal::Unreadable(error).into(),
            RecompressError::TooLarge { .. } => Rejected::unseen(ErrorCode::MessageTooLarge, why),
            RecompressError::Compress { .. } => Rejected::seen(ErrorCode::UnknownServerError, why),
        }
    }
}

impl From<AppendError> for Rejected {
    fn from(error: AppendError) -> Rejected {
        let (knows_start, is_told) = match &error {
            AppendError::Failed(Failure::Refused(refusal)) => match refusal {
                Refusal::NotLeader { .. }
                | Refusal::CorruptBatch { .. }
                | Refusal::CorruptRecords { .. }
                | Refusal::MessageTooLarge { .. } => (false, false),
                Refusal::InvalidRecord { .. }
                | Refusal::Producer(_)
                | Refusal::TermTooLarge { .. }
                | Refusal::OffsetsExhausted { .. }
                | Refusal::OffsetOutOfRange { .. }
                | Refusal::DeletionNotAllowed => (true, false),
                Refusal::UnsupportedCompression { .. } => (true, true),
            },
            AppendError::Failed(Failure::Overloaded)
            | AppendError::DiskFull { .. }
            | AppendError::TooLarge { .. } => (false, true),
            AppendError::Failed(_) => (false, false),
        };
        let Refused { code, message } = error.into();
        Rejected {
            code,
            why: message,
            is_told,
            records: None,
            knows_start,
        }
    }
}
