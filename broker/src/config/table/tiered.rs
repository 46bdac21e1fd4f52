//! Tiered storage.

use super::reasons::NO_TIERS;
use super::settings;
use crate::config::setting::Served::{Accepted, Refused};
use crate::config::setting::Valid::{Any, AtLeast, NonEmpty, Within};

settings! {
    "remote.log.storage.system.enable", Boolean, "false", Any, Medium, ReadOnly, Refused(NO_TIERS),
        "Whether old records move to a remote store.";
    "log.local.retention.bytes", Long, "-2", AtLeast(-2), Medium, ClusterWide, Accepted(NO_TIERS),
        "How much of a tiered partition stays on the broker; -2 follows log.retention.bytes.";
    "log.local.retention.ms", Long, "-2", AtLeast(-2), Medium, ClusterWide, Accepted(NO_TIERS),
        "How long records of a tiered partition stay on the broker; -2 follows log.retention.ms.";
    "follower.fetch.last.tiered.offset.enable", Boolean, "false", Any, Medium, ClusterWide, Accepted(NO_TIERS),
        "Whether a new replica starts behind what is tiered.";
    "remote.fetch.max.wait.ms", Int, "500", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How long a fetch waits for the remote store.";
    "remote.list.offsets.request.timeout.ms", Long, "30000", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How long a search for an offset waits for the remote store.";
    "remote.log.index.file.cache.total.size.bytes", Long, "1073741824", AtLeast(1), Low, ClusterWide, Accepted(NO_TIERS),
        "Disk space for indexes from the remote store.";
    "remote.log.index.file.cache.ttl.ms", Long, "900000", AtLeast(-1), Low, Internal, Accepted(NO_TIERS),
        "How long an unused index is kept.";
    "remote.log.manager.copier.thread.pool.size", Int, "10", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "Threads that copy to the remote store.";
    "remote.log.manager.copy.max.bytes.per.second", Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How fast records are copied to the remote store.";
    "remote.log.manager.copy.quota.window.num", Int, "11", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Samples kept to compute the rate of copying.";
    "remote.log.manager.copy.quota.window.size.seconds", Int, "1", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Length of each sample of the rate of copying.";
    "remote.log.manager.expiration.thread.pool.size", Int, "10", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "Threads that delete from the remote store.";
    "remote.log.manager.fetch.max.bytes.per.second", Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How fast records are read from the remote store.";
    "remote.log.manager.fetch.quota.window.num", Int, "11", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Samples kept to compute the rate of reading.";
    "remote.log.manager.fetch.quota.window.size.seconds", Int, "1", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Length of each sample of the rate of reading.";
    "remote.log.manager.follower.thread.pool.size", Int, "2", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "Threads that follow what the leader tiered.";
    "remote.log.manager.task.interval.ms", Long, "30000", AtLeast(1), Low, ReadOnly, Accepted(NO_TIERS),
        "How often work on the remote store is looked for.";
    "remote.log.manager.task.retry.backoff.max.ms", Long, "30000", AtLeast(1), Low, Internal, Accepted(NO_TIERS),
        "Longest pause after a failure of the remote store.";
    "remote.log.manager.task.retry.backoff.ms", Long, "500", AtLeast(1), Low, Internal, Accepted(NO_TIERS),
        "First pause after a failure of the remote store.";
    "remote.log.manager.task.retry.jitter", Double, "0.2", Within(0.0, 0.5), Low, Internal, Accepted(NO_TIERS),
        "How much of the pause is left to chance.";
    "remote.log.manager.thread.pool.size", Int, "2", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Threads that work on the remote store.";
    "remote.log.metadata.custom.metadata.max.bytes", Int, "128", AtLeast(0), Low, ReadOnly, Accepted(NO_TIERS),
        "Largest note a plugin may keep with a segment.";
    "remote.log.metadata.manager.class.name", String, "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, Medium, ReadOnly, Refused(NO_TIERS),
        "The class that keeps track of remote segments.";
    "remote.log.metadata.manager.class.path", String, none, Any, Medium, ReadOnly, Refused(NO_TIERS),
        "Where that class is found.";
    "remote.log.metadata.manager.impl.prefix", String, "rlmm.config.", NonEmpty, Medium, ReadOnly, Accepted(NO_TIERS),
        "The prefix of that class's own settings.";
    "remote.log.metadata.manager.listener.name", String, none, NonEmpty, Medium, ReadOnly, Accepted(NO_TIERS),
        "The listener that class connects to.";
    "remote.log.reader.max.pending.tasks", Int, "100", AtLeast(1), Medium, ReadOnly, Accepted(NO_TIERS),
        "Reads from the remote store that may wait.";
    "remote.log.reader.threads", Int, "10", AtLeast(1), Medium, ClusterWide, Accepted(NO_TIERS),
        "Threads that read from the remote store.";
    "remote.log.storage.manager.class.name", String, none, NonEmpty, Medium, ReadOnly, Refused(NO_TIERS),
        "The class that talks to the remote store.";
    "remote.log.storage.manager.class.path", String, none, Any, Medium, ReadOnly, Refused(NO_TIERS),
        "Where that class is found.";
    "remote.log.storage.manager.impl.prefix", String, "rsm.config.", NonEmpty, Medium, ReadOnly, Accepted(NO_TIERS),
        "The prefix of that class's own settings.";
    "log.remote.copy.lag.bytes", Long, "0", AtLeast(-1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How much newer data lets a record be copied to the remote store (Kafka 4.4).";
    "log.remote.copy.lag.ms", Long, "0", AtLeast(-1), Medium, ClusterWide, Accepted(NO_TIERS),
        "How long a record waits to be copied to the remote store (Kafka 4.4).";
}
