//! What a topic may have of its own; `=>` names the broker's settings behind each, first the one that wins.

use super::reasons::{NO_TIERS, QUOTAS, SHARE_GROUPS, SHARED_LOG, SYNCED};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{
    Any, AtLeast, Between, BetweenOr, Items, OneOf, Replicas, Within,
};

settings! {
    "cleanup.policy", List, "delete", Items(&["compact", "delete"]), Medium, Topic, Served,
        "What removes records: delete by age and size, compact by key, both, or neither." => ["log.cleanup.policy"];
    "compression.type", String, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, Topic, Served,
        "How batches are stored: as the producer compressed them, with one codec, or uncompressed." => ["compression.type"];
    "compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), Medium, Topic, Served,
        "How hard gzip tries, where batches are compressed anew." => ["compression.gzip.level"];
    "compression.lz4.level", Int, "9", Between(1, 17), Medium, Topic, Served,
        "How hard lz4 tries, where batches are compressed anew." => ["compression.lz4.level"];
    "compression.zstd.level", Int, "3", Between(-131_072, 22), Medium, Topic, Served,
        "How hard zstd tries, where batches are compressed anew." => ["compression.zstd.level"];
    "delete.retention.ms", Long, "86400000", AtLeast(0), Medium, Topic, Served,
        "How long a deleted key's last record stays to be seen." => ["log.cleaner.delete.retention.ms"];
    "file.delete.delay.ms", Long, "60000", AtLeast(0), Medium, Topic, Accepted(SHARED_LOG),
        "How long a removed segment file stays on disk." => ["log.segment.delete.delay.ms"];
    "flush.messages", Long, "9223372036854775807", AtLeast(1), Medium, Topic, Accepted(SYNCED),
        "Records after which a partition is synced to disk." => ["log.flush.interval.messages"];
    "flush.ms", Long, "9223372036854775807", AtLeast(0), Medium, Topic, Accepted(SYNCED),
        "Time after which a partition is synced to disk." => ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    "follower.replication.throttled.replicas", List, "", Replicas, Medium, Topic, Accepted(QUOTAS),
        "Replicas that replicate at a bounded rate on the follower's side.";
    "leader.replication.throttled.replicas", List, "", Replicas, Medium, Topic, Accepted(QUOTAS),
        "Replicas that replicate at a bounded rate on the leader's side.";
    "index.interval.bytes", Int, "4096", AtLeast(0), Medium, Topic, Accepted(SHARED_LOG),
        "Bytes between two entries of a partition's index." => ["log.index.interval.bytes"];
    "internal.segment.bytes", Int, none, Any, Medium, Topic, Accepted(SHARED_LOG),
        "Size of a partition's segment files, for tests.";
    "local.retention.bytes", Long, "-2", AtLeast(-2), Medium, Topic, Accepted(NO_TIERS),
        "How much of a tiered partition stays on the broker; -2 follows retention.bytes." => ["log.local.retention.bytes"];
    "local.retention.ms", Long, "-2", AtLeast(-2), Medium, Topic, Accepted(NO_TIERS),
        "How long records of a tiered partition stay on the broker; -2 follows retention.ms." => ["log.local.retention.ms"];
    "max.compaction.lag.ms", Long, "9223372036854775807", AtLeast(1), Medium, Topic, Served,
        "How long a record may wait for compaction." => ["log.cleaner.max.compaction.lag.ms"];
    "max.message.bytes", Int, "1048588", AtLeast(0), Medium, Topic, Served,
        "The largest batch of records, as it is stored." => ["message.max.bytes"];
    "message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Medium, Topic, Served,
        "How far ahead of the broker's clock a record's time may be." => ["log.message.timestamp.after.max.ms"];
    "message.timestamp.before.max.ms", Long, "9223372036854775807", AtLeast(0), Medium, Topic, Served,
        "How far behind the broker's clock a record's time may be." => ["log.message.timestamp.before.max.ms"];
    "message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, Topic, Served,
        "Whose time a record carries: its producer's, or the broker's at the append." => ["log.message.timestamp.type"];
    "min.cleanable.dirty.ratio", Double, "0.5", Within(0.0, 1.0), Medium, Topic, Served,
        "The share of a log that must be new before it is compacted." => ["log.cleaner.min.cleanable.ratio"];
    "min.compaction.lag.ms", Long, "0", AtLeast(0), Medium, Topic, Served,
        "How long a record is safe from compaction." => ["log.cleaner.min.compaction.lag.ms"];
    "min.insync.replicas", Int, "1", AtLeast(1), Medium, Topic, Served,
        "Replicas that must have a record before a producer with acks=all is answered; a majority always must." => ["min.insync.replicas"];
    "preallocate", Boolean, "false", Any, Medium, Topic, Accepted(SHARED_LOG),
        "Whether a segment file gets its whole size at once." => ["log.preallocate"];
    "remote.log.copy.disable", Boolean, "false", Any, Medium, Topic, Accepted(NO_TIERS),
        "Whether a tiered topic stops copying to the remote store.";
    "remote.log.delete.on.disable", Boolean, "false", Any, Medium, Topic, Accepted(NO_TIERS),
        "Whether the remote store's records go when tiering ends.";
    "remote.storage.enable", Boolean, "false", Any, Medium, Topic,
        Refused("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."),
        "Whether old records move to a remote store.";
    "retention.bytes", Long, "-1", Any, Medium, Topic, Served,
        "How much of a partition is kept; -1 is without a limit." => ["log.retention.bytes"];
    "retention.ms", Long, "604800000", AtLeast(-1), Medium, Topic, Served,
        "How long records are kept; -1 is for ever." => ["log.retention.ms", "log.retention.minutes" * 60_000, "log.retention.hours" * 3_600_000];
    "segment.bytes", Int, "1073741824", AtLeast(1_048_576), Medium, Topic, Accepted(SHARED_LOG),
        "Size of a partition's segment files." => ["log.segment.bytes"];
    "segment.index.bytes", Int, "10485760", AtLeast(4), Medium, Topic, Accepted(SHARED_LOG),
        "Size of a partition's index files." => ["log.index.size.max.bytes"];
    "segment.jitter.ms", Long, "0", AtLeast(0), Medium, Topic, Accepted(SHARED_LOG),
        "How much of segment.ms is left to chance." => ["log.roll.jitter.ms", "log.roll.jitter.hours" * 3_600_000];
    "segment.ms", Long, "604800000", AtLeast(1), Medium, Topic, Accepted(SHARED_LOG),
        "How long a partition's segment file takes records." => ["log.roll.ms", "log.roll.hours" * 3_600_000];
    "unclean.leader.election.enable", Boolean, "false", Any, Medium, Topic,
        Accepted("a replica that may lack acknowledged records is never elected"),
        "Whether a replica that is out of sync may lead when no other is left." => ["unclean.leader.election.enable"];
    "errors.deadletterqueue.group.enable", Boolean, "false", Any, Medium, Topic, Accepted(SHARE_GROUPS),
        "Whether share groups may write records here that they gave up (Kafka 4.4).";
    "max.decompressed.message.bytes", Int, "2147483647", AtLeast(0), Medium, Topic,
        Refused("a record's size is bounded by max.message.bytes and by what decompression may grow to; leave this out"),
        "The largest record after decompression (Kafka 4.4).";
    "remote.copy.lag.bytes", Long, "0", AtLeast(-1), Medium, Topic, Accepted(NO_TIERS),
        "How much newer data lets a record be copied to the remote store (Kafka 4.4)." => ["log.remote.copy.lag.bytes"];
    "remote.copy.lag.ms", Long, "0", AtLeast(-1), Medium, Topic, Accepted(NO_TIERS),
        "How long a record waits to be copied to the remote store (Kafka 4.4)." => ["log.remote.copy.lag.ms"];
}
