//! Every request and answer of Kafka 4.4, as structures that crate `kafka-protocol` defines or, where it lacks them or has
//! an older version, as our own of the same shape.

pub use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName, TransactionalId};
pub use kafka_protocol::protocol::StrBytes;
pub use uuid::Uuid;

pub use generated::*;

// A generated default says every field, though for some structures it could be derived.
#[allow(clippy::derivable_impls)]
mod generated {
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

/// What every message implements.
pub mod traits {
    pub use kafka_protocol::protocol::{
        Decodable, Encodable, HeaderVersion, Message, Request, VersionRange,
    };
}
