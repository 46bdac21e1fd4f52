//! Replication and elections.

use super::reasons::{MOVES, NO_CLASSES, QUOTAS, RAFT};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast};

settings! {
    "replica.lag.time.max.ms", Long, "30000", Any, High, ReadOnly, Served,
        "How long a replica may be behind and still count as in sync.";
    "unclean.leader.election.enable", Boolean, "false", Any, High, ClusterWide,
        Accepted("a replica that may lack acknowledged records is never elected"),
        "Whether a replica that is out of sync may lead when no other is left.";
    "unclean.leader.election.interval.ms", Long, "300000", AtLeast(1), Medium, Internal,
        Accepted("a replica that may lack acknowledged records is never elected"),
        "How often such elections are looked for.";
    "auto.leader.rebalance.enable", Boolean, "true", Any, High, ReadOnly, Served,
        "Whether leaders return to their preferred replicas by themselves.";
    "leader.imbalance.check.interval.seconds", Long, "300", AtLeast(1), High, ReadOnly, Served,
        "How often the placement of leaders is looked at.";
    "num.replica.fetchers", Int, "1", AtLeast(1), High, ClusterWide, Accepted(RAFT),
        "Threads that fetch from each leader.";
    "replica.fetch.backoff.ms", Int, "1000", AtLeast(0), Medium, ReadOnly, Accepted(RAFT),
        "How long a follower waits after a failed fetch.";
    "replica.fetch.max.bytes", Int, "1048576", AtLeast(0), Medium, ReadOnly, Accepted(RAFT),
        "What a follower asks for of each partition.";
    "replica.fetch.min.bytes", Int, "1", Any, High, ReadOnly, Accepted(RAFT),
        "What a leader gathers before it answers a follower.";
    "replica.fetch.response.max.bytes", Int, "10485760", AtLeast(0), Medium, ReadOnly, Accepted(RAFT),
        "What a follower asks for in all.";
    "replica.fetch.wait.max.ms", Int, "500", Any, High, ReadOnly, Accepted(RAFT),
        "How long a leader gathers before it answers a follower.";
    "replica.high.watermark.checkpoint.interval.ms", Long, "5000", Any, High, ReadOnly, Accepted(RAFT),
        "How often high watermarks are written down.";
    "replica.socket.receive.buffer.bytes", Int, "65536", Any, High, ReadOnly, Accepted(RAFT),
        "Receive buffer of the followers' sockets.";
    "replica.socket.timeout.ms", Int, "30000", Any, High, ReadOnly, Accepted(RAFT),
        "How long a follower waits for an answer.";
    "replica.selector.class", String, none, Any, Medium, ReadOnly, Refused(NO_CLASSES),
        "A class that chooses the replica a client reads from.";
    "leader.replication.throttled.rate", Long, "9223372036854775807", AtLeast(0), Medium, DynamicOnly, Accepted(QUOTAS),
        "Bytes a second a leader sends to throttled replicas.";
    "follower.replication.throttled.rate", Long, "9223372036854775807", AtLeast(0), Medium, DynamicOnly, Accepted(QUOTAS),
        "Bytes a second a throttled follower takes.";
    "replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", AtLeast(0), Medium, DynamicOnly, Accepted(MOVES),
        "Bytes a second a replica moves between directories.";
}
