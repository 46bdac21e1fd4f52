//! What of the broker's configuration the rules go by.

use super::Name;
use super::consumer::assignor::Assignor;
use crate::config::{BrokerConfig, GroupError, GroupSettings, table};
use crate::metadata::Image;
use std::collections::HashMap;
use std::sync::Arc;

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
    pub consumer: ConsumerSettings,
    /// Of groups that have settings of their own.
    pub own: Arc<HashMap<Name, OwnSettings>>,
}

/// Of consumer groups (KIP-848).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Members of a group.
    pub max_size: usize,
    pub pace: Pace,
    /// The first one is for groups whose members have no wish.
    pub assignors: Vec<Assignor>,
    pub migration: MigrationPolicy,
}

/// How fast a consumer group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a member may be silent.
    pub session_timeout_ms: u32,
    /// How often a member is asked to speak.
    pub heartbeat_interval_ms: u32,
    /// Between two decisions on who reads what.
    pub assignment_interval_ms: u32,
}

/// `group.consumer.migration.policy`: whether a group may go from one protocol to the other while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    Disabled,
    Upgrade,
    Downgrade,
    Bidirectional,
}

impl MigrationPolicy {
    pub fn named(name: &str) -> Option<MigrationPolicy> {
        match name.to_ascii_lowercase().as_str() {
            "disabled" => Some(MigrationPolicy::Disabled),
            "upgrade" => Some(MigrationPolicy::Upgrade),
            "downgrade" => Some(MigrationPolicy::Downgrade),
            "bidirectional" => Some(MigrationPolicy::Bidirectional),
            _ => None,
        }
    }

    pub fn may_upgrade(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional
        )
    }

    pub fn may_downgrade(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional
        )
    }
}

/// What was set on one group; the rest is the broker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnSettings {
    pub session_timeout_ms: Option<u32>,
    pub heartbeat_interval_ms: Option<u32>,
    pub assignment_interval_ms: Option<u32>,
}

/// A group's stored setting that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub group: Name,
    pub error: GroupError,
}

/// Kafka's, which has no setting for it.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;

impl Settings {
    pub fn of(config: &BrokerConfig) -> Settings {
        Settings {
            min_session_timeout_ms: config.group_min_session_timeout_ms,
            max_session_timeout_ms: config.group_max_session_timeout_ms,
            max_size: natural(config.group_max_size) as usize,
            initial_rebalance_delay_ms: natural(config.group_initial_rebalance_delay_ms).into(),
            new_member_join_timeout_ms: NEW_MEMBER_JOIN_TIMEOUT_MS,
            max_offset_metadata_bytes: natural(config.offset_metadata_max_bytes) as usize,
            offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
            consumer: ConsumerSettings::of(config),
            own: Arc::default(),
        }
    }

    /// With what is set on single groups, and what of that could not be read.
    pub fn with_own(self, image: &Image, config: &BrokerConfig) -> (Settings, Vec<PassedOver>) {
        let mut all_passed_over = Vec::new();
        let own = image.group_configs().filter_map(|(group, stored)| {
            let pairs = stored.iter().map(|(name, value)| (&**name, &**value));
            let (settings, passed_over) = GroupSettings::from_stored(pairs);
            let passed_over = passed_over.into_iter().map(|error| PassedOver {
                group: Name::from(group),
                error,
            });
            all_passed_over.extend(passed_over);
            let own = OwnSettings::of(&settings, config);
            (own != OwnSettings::default()).then(|| (Name::from(group), own))
        });
        let settings = Settings {
            own: Arc::new(own.collect()),
            ..self
        };
        (settings, all_passed_over)
    }

    /// How fast this group goes.
    pub fn pace(&self, group: &str) -> Pace {
        let own = self.own.get(group).copied().unwrap_or_default();
        let all = self.consumer.pace;
        Pace {
            session_timeout_ms: own.session_timeout_ms.unwrap_or(all.session_timeout_ms),
            heartbeat_interval_ms: own
                .heartbeat_interval_ms
                .unwrap_or(all.heartbeat_interval_ms),
            assignment_interval_ms: own
                .assignment_interval_ms
                .unwrap_or(all.assignment_interval_ms),
        }
    }
}

impl ConsumerSettings {
    fn of(config: &BrokerConfig) -> ConsumerSettings {
        // The only one that may change while the broker runs, past its bounds too.
        let assignment_interval_ms = config
            .group_consumer_assignment_interval_ms
            .min(config.group_consumer_max_assignment_interval_ms)
            .max(config.group_consumer_min_assignment_interval_ms);
        let assignors = config.group_consumer_assignors.iter();
        ConsumerSettings {
            max_size: natural(config.group_consumer_max_size) as usize,
            pace: Pace {
                session_timeout_ms: natural(config.group_consumer_session_timeout_ms),
                heartbeat_interval_ms: natural(config.group_consumer_heartbeat_interval_ms),
                assignment_interval_ms: natural(assignment_interval_ms),
            },
            assignors: assignors
                .filter_map(|name| Assignor::named(table::assignor_name(name)))
                .collect(),
            migration: MigrationPolicy::named(&config.group_consumer_migration_policy)
                .unwrap_or(MigrationPolicy::Bidirectional),
        }
    }
}

impl OwnSettings {
    /// Within the bounds that the broker sets.
    fn of(set: &GroupSettings, config: &BrokerConfig) -> OwnSettings {
        let own = |name: &str| {
            let bounded = set.bounded(name, config)?;
            u32::try_from(bounded).ok()
        };
        OwnSettings {
            session_timeout_ms: own("consumer.session.timeout.ms"),
            heartbeat_interval_ms: own("consumer.heartbeat.interval.ms"),
            assignment_interval_ms: own("consumer.assignment.interval.ms"),
        }
    }
}

/// The configuration has checked it.
fn natural(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

impl Default for ConsumerSettings {
    fn default() -> ConsumerSettings {
        ConsumerSettings {
            max_size: i32::MAX as usize,
            pace: Pace {
                session_timeout_ms: 45_000,
                heartbeat_interval_ms: 5_000,
                assignment_interval_ms: 1_000,
            },
            assignors: Assignor::ALL.to_vec(),
            migration: MigrationPolicy::Bidirectional,
        }
    }
}
