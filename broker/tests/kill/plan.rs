//! Who writes what to which partition: known to the child that writes and to the parent that checks.

use bytes::Bytes;
use millrace_broker::engine::EngineOptions;
use millrace_broker::partition::TopicConfig;
use millrace_broker::partition::config::CleanupPolicy;
use millrace_broker::raft::ports::{Ack, GroupId};
use millrace_broker::storage::log::LogOptions;
use millrace_wire::{BatchBuilder, BatchSettings};
use std::path::Path;
use std::time::Duration;

pub const ALL: Ack = Ack::Committed { voters: 1 };

pub const PARTITIONS: std::ops::RangeInclusive<u64> = 1..=8;

/// Topics with larger ids come and go.
pub const FIRST_SHORT_LIVED: u64 = 1_000;

/// Who writes to the short-lived topics.
pub const VISITOR: usize = PRODUCERS.len();

/// Of each batch of an idempotent producer.
const SEQUENCES: u64 = 3;

pub struct Producer {
    pub partition: u64,
    pub is_idempotent: bool,
}

const fn producer(partition: u64, is_idempotent: bool) -> Producer {
    Producer {
        partition,
        is_idempotent,
    }
}

/// By their number.
pub const PRODUCERS: [Producer; 10] = [
    producer(1, true),
    producer(1, true),
    producer(2, true),
    producer(3, false),
    producer(3, false),
    producer(4, false),
    producer(5, true),
    producer(6, false),
    producer(7, true),
    producer(8, false),
];

pub const RETENTION_BYTES: u64 = 100_000;

/// Partitions 1 to 4 are cut by DeleteRecords, 5 and 6 by retention, 7 and 8 are compacted.
pub fn config_of(group: GroupId) -> TopicConfig {
    let forever = TopicConfig {
        retention_ms: None,
        ..TopicConfig::default()
    };
    match group.0 {
        5 | 6 => TopicConfig {
            retention_bytes: Some(RETENTION_BYTES),
            ..forever
        },
        7 | 8 => TopicConfig {
            cleanup_policy: CleanupPolicy::Compact,
            min_cleanable_dirty_ratio: 0.2,
            ..forever
        },
        _ => forever,
    }
}

pub fn is_compacted(partition: u64) -> bool {
    config_of(GroupId(partition)).cleanup_policy.is_compact()
}

/// So small that sealing, recycling, retention and compaction never rest.
pub fn options(dir: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(vec![dir.to_path_buf()]);
    options.shard.log = LogOptions {
        segment_bytes: 32 << 10,
        spare_segments: 2,
    };
    options.shard.log_budget_bytes = 128 << 10;
    options.shard.log_limit_bytes = 256 << 10;
    options.shard.cache_bytes = 16 << 10;
    options.shard.run_bytes = 48 << 10;
    options.shard.packed_below_bytes = 12 << 10;
    options.shard.min_free_bytes = 1 << 20;
    options.housekeeping.retention_check_interval = Duration::from_millis(25);
    options.housekeeping.cleaner_backoff = Duration::from_millis(40);
    options.housekeeping.cleaner_buffer_bytes = 1 << 20;
    options.housekeeping.cleaner_step_bytes = 64 << 10;
    options
}

fn hash(producer: usize, batch: u64, record: u64) -> u64 {
    let mut x = (producer as u64) << 56 ^ batch << 8 ^ record;
    for _ in 0..3 {
        x ^= x >> 33;
        x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    x ^ x >> 33
}

pub fn records_in(producer: usize, batch: u64) -> u64 {
    match PRODUCERS.get(producer) {
        Some(Producer {
            is_idempotent: true,
            ..
        }) => SEQUENCES,
        _ => 1 + hash(producer, batch, 99) % 4,
    }
}

/// A value says whose it is; the rest follows from that.
pub fn value(producer: usize, batch: u64, record: u64) -> Vec<u8> {
    let mut value = format!("{producer}:{batch}:{record}:").into_bytes();
    let hash = hash(producer, batch, record);
    let padding = hash % 3_000;
    value.extend((0..padding).map(|at| b'a' + (hash.wrapping_add(at * at) % 26) as u8));
    value
}

pub fn key(producer: usize, batch: u64, record: u64) -> Vec<u8> {
    format!("key {}", hash(producer, batch, record) % 23).into_bytes()
}

/// Whose value it is, if every byte is as [`value`] made it.
pub fn recognise(value: &[u8]) -> Option<(usize, u64, u64)> {
    let mut parts = value.splitn(4, |byte| *byte == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (producer, batch, record) = (number()? as usize, number()?, number()?);
    (self::value(producer, batch, record) == value).then_some((producer, batch, record))
}

pub fn batch(producer: usize, batch: u64) -> Bytes {
    let mut settings = BatchSettings::default();
    if PRODUCERS.get(producer).is_some_and(|p| p.is_idempotent) {
        settings.producer_id = 100 + producer as i64;
        settings.producer_epoch = 0;
        settings.base_sequence = (batch * SEQUENCES) as i32;
    }
    let mut builder = BatchBuilder::new(settings);
    for record in 0..records_in(producer, batch) {
        builder.push(
            1_000_000 + batch as i64,
            Some(&key(producer, batch, record)),
            Some(&value(producer, batch, record)),
        );
    }
    builder.build().expect("a valid batch")
}
