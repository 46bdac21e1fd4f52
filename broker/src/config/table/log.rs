//! Where records are kept and for how long.

use super::reasons::{CLEANER, MOVES, SHARED_LOG, SYNCED, THREADS};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast, Between, BetweenOr, Items, OneOf, Within};

settings! {
    "log.dirs", List, none, Any, High, ReadOnly, Served,
        "Directories for records, one a disk.";
    "log.dir", List, "/tmp/kafka-logs", Any, High, ReadOnly, Served,
        "A single directory for records; log.dirs wins.";
    "cordoned.log.dirs", List, "", Any, Medium, PerBroker,
        Refused("no directory can be closed to new partitions yet; leave it out of log.dirs while it is empty"),
        "Directories that get no new partitions.";
    "log.dir.failure.timeout.ms", Long, "30000", AtLeast(1), Low, ReadOnly,
        Accepted("what a failed directory held goes offline at once, the rest goes on"),
        "How long a broker lives after it could not report a failed directory.";
    "message.max.bytes", Int, "1048588", AtLeast(0), High, ClusterWide, Served,
        "The largest batch of records, as it is stored.";
    "compression.type", String, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide, Served,
        "How batches are stored: as the producer compressed them, with one codec, or uncompressed.";
    "compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), Medium, ClusterWide, Served,
        "How hard gzip tries, where batches are compressed anew.";
    "compression.lz4.level", Int, "9", Between(1, 17), Medium, ClusterWide, Served,
        "How hard lz4 tries, where batches are compressed anew.";
    "compression.zstd.level", Int, "3", Between(-131_072, 22), Medium, ClusterWide, Served,
        "How hard zstd tries, where batches are compressed anew.";
    "min.insync.replicas", Int, "1", AtLeast(1), High, ClusterWide, Served,
        "Replicas that must have a record before a producer with acks=all is answered; a majority always must.";
    "log.message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Served,
        "Whose time a record carries: its producer's, or the broker's at the append.";
    "log.message.timestamp.before.max.ms", Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide, Served,
        "How far behind the broker's clock a record's time may be.";
    "log.message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Medium, ClusterWide, Served,
        "How far ahead of the broker's clock a record's time may be.";
    "log.cleanup.policy", List, "delete", Items(&["compact", "delete"]), Medium, ClusterWide, Served,
        "What removes records: delete by age and size, compact by key, both, or neither.";
    "log.retention.ms", Long, none, Any, High, ClusterWide, Served,
        "How long records are kept; -1 is for ever.";
    "log.retention.minutes", Int, none, Any, High, ReadOnly, Served,
        "The same in minutes, where log.retention.ms is not set.";
    "log.retention.hours", Int, "168", Any, High, ReadOnly, Served,
        "The same in hours, where neither of the others is set.";
    "log.retention.bytes", Long, "-1", Any, High, ClusterWide, Served,
        "How much of a partition is kept; -1 is without a limit.";
    "log.retention.check.interval.ms", Long, "300000", AtLeast(1), Medium, ReadOnly, Served,
        "How often records that are due are looked for.";
    "log.segment.bytes", Int, "1073741824", AtLeast(1_048_576), High, ClusterWide, Accepted(SHARED_LOG),
        "Size of a partition's segment files.";
    "log.roll.ms", Long, none, Any, High, ClusterWide, Accepted(SHARED_LOG),
        "How long a partition's segment file takes records.";
    "log.roll.hours", Int, "168", AtLeast(1), High, ReadOnly, Accepted(SHARED_LOG),
        "The same in hours, where log.roll.ms is not set.";
    "log.roll.jitter.ms", Long, none, Any, High, ClusterWide, Accepted(SHARED_LOG),
        "How much of log.roll.ms is left to chance.";
    "log.roll.jitter.hours", Int, "0", AtLeast(0), High, ReadOnly, Accepted(SHARED_LOG),
        "The same in hours, where log.roll.jitter.ms is not set.";
    "log.segment.delete.delay.ms", Long, "60000", AtLeast(0), High, ClusterWide, Accepted(SHARED_LOG),
        "How long a removed segment file stays on disk.";
    "log.index.interval.bytes", Int, "4096", AtLeast(0), Medium, ClusterWide, Accepted(SHARED_LOG),
        "Bytes between two entries of a partition's index.";
    "log.index.size.max.bytes", Int, "10485760", AtLeast(4), Medium, ClusterWide, Accepted(SHARED_LOG),
        "Size of a partition's index files.";
    "log.preallocate", Boolean, "false", Any, Medium, ClusterWide, Accepted(SHARED_LOG),
        "Whether a segment file gets its whole size at once.";
    "log.flush.interval.messages", Long, "9223372036854775807", AtLeast(1), High, ClusterWide, Accepted(SYNCED),
        "Records after which a partition is synced to disk.";
    "log.flush.interval.ms", Long, none, Any, High, ClusterWide, Accepted(SYNCED),
        "Time after which a partition is synced to disk.";
    "log.flush.scheduler.interval.ms", Long, "9223372036854775807", Any, High, ReadOnly, Accepted(SYNCED),
        "How often partitions that are due to be synced are looked for.";
    "log.flush.offset.checkpoint.interval.ms", Int, "60000", AtLeast(0), High, ReadOnly, Accepted(SYNCED),
        "How often the point is noted from which recovery starts.";
    "log.flush.start.offset.checkpoint.interval.ms", Int, "60000", AtLeast(0), High, ReadOnly, Accepted(SYNCED),
        "How often the start of each log is noted.";
    "log.initial.task.delay.ms", Long, "30000", AtLeast(0), Low, Internal, Accepted("housekeeping starts with the broker"),
        "How long after the start the first housekeeping runs.";
    "num.recovery.threads.per.data.dir", Int, "2", AtLeast(1), High, ClusterWide, Accepted(THREADS),
        "Threads that open and close each directory.";
    "num.replica.alter.log.dirs.threads", Int, none, Any, High, ReadOnly, Accepted(MOVES),
        "Threads that move replicas between directories.";
    "log.cleaner.enable", Boolean, "true", Any, Medium, ReadOnly,
        Refused("compacted topics are always compacted; set cleanup.policy on the topic that is not to be"),
        "Whether compacted topics are compacted at all.";
    "log.cleaner.threads", Int, "1", AtLeast(0), Medium, ClusterWide, Accepted(THREADS),
        "Threads that compact.";
    "log.cleaner.backoff.ms", Long, "15000", AtLeast(0), Medium, ClusterWide, Served,
        "How long compaction rests when there is nothing to compact.";
    "log.cleaner.dedupe.buffer.size", Long, "134217728", Any, Medium, ClusterWide, Served,
        "Memory for the keys of one round of compaction.";
    "log.cleaner.io.buffer.size", Int, "524288", AtLeast(0), Medium, ClusterWide, Accepted(CLEANER),
        "Buffer of the compaction's reads and writes.";
    "log.cleaner.io.buffer.load.factor", Double, "0.9", Any, Medium, ClusterWide, Accepted(CLEANER),
        "How full the table of keys may get.";
    "log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", Any, Medium, ClusterWide, Accepted(CLEANER),
        "How fast compaction may read and write.";
    "log.cleaner.min.cleanable.ratio", Double, "0.5", Within(0.0, 1.0), Medium, ClusterWide, Served,
        "The share of a log that must be new before it is compacted.";
    "log.cleaner.min.compaction.lag.ms", Long, "0", AtLeast(0), Medium, ClusterWide, Served,
        "How long a record is safe from compaction.";
    "log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide, Served,
        "How long a record may wait for compaction.";
    "log.cleaner.delete.retention.ms", Long, "86400000", AtLeast(0), Medium, ClusterWide, Served,
        "How long a deleted key's last record stays to be seen.";
}
