//! What there are quotas of.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Bytes of Produce requests a second.
    Produce,
    /// Bytes of answers to Fetch a second.
    Fetch,
    /// Time of the broker's threads: 100 is one of them, all the time.
    Request,
    /// Partitions made and deleted a second.
    ControllerMutation,
    /// Connections accepted a second, of an address.
    ConnectionCreation,
}

/// What a quota may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Int,
    Long,
    Double,
}

impl Kind {
    pub const ALL: [Kind; 5] = [
        Kind::Produce,
        Kind::Fetch,
        Kind::Request,
        Kind::ControllerMutation,
        Kind::ConnectionCreation,
    ];

    /// As it is set by.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Produce => "producer_byte_rate",
            Kind::Fetch => "consumer_byte_rate",
            Kind::Request => "request_percentage",
            Kind::ControllerMutation => "controller_mutation_rate",
            Kind::ConnectionCreation => "connection_creation_rate",
        }
    }

    /// As metrics and the log name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Produce => "produce",
            Kind::Fetch => "fetch",
            Kind::Request => "request",
            Kind::ControllerMutation => "controller_mutation",
            Kind::ConnectionCreation => "connection_creation",
        }
    }

    pub(super) fn number(self) -> Number {
        match self {
            Kind::Produce | Kind::Fetch => Number::Long,
            Kind::Request | Kind::ControllerMutation => Number::Double,
            Kind::ConnectionCreation => Number::Int,
        }
    }

    /// Whether it is of addresses, and not of users and client ids.
    pub(super) fn is_of_addresses(self) -> bool {
        self == Kind::ConnectionCreation
    }
}
