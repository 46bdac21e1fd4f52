//! Every request and answer of Kafka 4.4, as structures that crate `kafka-protocol` defines or, where it lacks them or has
//! an older version, as our own of the same shape.

pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::StrBytes;
pub use uuid::Uuid;

/// What every message implements.
pub mod traits {
    pub use kafka_protocol::protocol::{
        Decodable, Encodable, HeaderVersion, Message, Request, VersionRange,
    };
}
