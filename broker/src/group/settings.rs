//! What of the broker's configuration the rules go by.

use crate::config::BrokerConfig;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    /// Members of a classic group.
    pub max_size: usize,
    /// How long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: u64,
    /// How long a member may take to join after its first request, however long its session is.
    pub new_member_join_timeout_ms: u64,
    /// Bytes of what a client writes beside an offset.
    pub max_offset_metadata_bytes: usize,
    /// How long offsets outlive their group.
    pub offsets_retention_ms: i64,
}

/// Kafka's, which has no setting for it.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;

impl Settings {
    pub fn of(config: &BrokerConfig) -> Settings {
        let natural = |value: i32| u32::try_from(value).unwrap_or(0);
        Settings {
            min_session_timeout_ms: config.group_min_session_timeout_ms,
            max_session_timeout_ms: config.group_max_session_timeout_ms,
            max_size: natural(config.group_max_size) as usize,
            initial_rebalance_delay_ms: natural(config.group_initial_rebalance_delay_ms).into(),
            new_member_join_timeout_ms: NEW_MEMBER_JOIN_TIMEOUT_MS,
            max_offset_metadata_bytes: natural(config.offset_metadata_max_bytes) as usize,
            offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
        }
    }
}
