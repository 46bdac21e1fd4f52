//! Consumer groups and their offsets.

use super::reasons::{COORDINATOR_LOG, NO_CLASSES, PATTERNS, SHARED_LOG, STREAMS_GROUPS, THREADS};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast, Items, OneOfAnyCase};

settings! {
    "offsets.retention.minutes", Int, "10080", AtLeast(1), High, ReadOnly, Served,
        "How long offsets are kept after their group is empty.";
    "offsets.retention.check.interval.ms", Long, "600000", AtLeast(1), High, ReadOnly, Served,
        "How often offsets that are due are looked for.";
    "offset.metadata.max.bytes", Int, "4096", Any, High, ReadOnly, Served,
        "The longest note that may go with a committed offset.";
    "offsets.commit.timeout.ms", Int, "5000", AtLeast(1), High, ReadOnly, Served,
        "How long a commit may wait for its replicas.";
    "offsets.load.buffer.size", Int, "5242880", AtLeast(1), High, ReadOnly, Accepted(COORDINATOR_LOG),
        "Batch size when a coordinator reads its log.";
    "offsets.topic.num.partitions", Int, "50", AtLeast(1), High, ReadOnly, Served,
        "Partitions of __consumer_offsets; fixed once it exists.";
    "offsets.topic.replication.factor", Short, "3", AtLeast(1), High, ReadOnly, Served,
        "Replicas of __consumer_offsets; fewer while there are fewer brokers.";
    "offsets.topic.segment.bytes", Int, "104857600", AtLeast(1), High, ReadOnly, Accepted(SHARED_LOG),
        "Segment size of __consumer_offsets.";
    "offsets.topic.compression.codec", Int, "0", Any, High, ReadOnly, Accepted(COORDINATOR_LOG),
        "Compression of __consumer_offsets, by number.";
    "group.initial.rebalance.delay.ms", Int, "3000", Any, Medium, ReadOnly, Served,
        "How long the first rebalance of an empty group waits for further members.";
    "group.min.session.timeout.ms", Int, "6000", Any, Medium, ReadOnly, Served,
        "The shortest session timeout a classic member may ask for.";
    "group.max.session.timeout.ms", Int, "1800000", Any, Medium, ReadOnly, Served,
        "The longest session timeout a classic member may ask for.";
    "group.max.size", Int, "2147483647", AtLeast(1), Medium, ReadOnly, Served,
        "Members of a classic group.";
    "group.coordinator.rebalance.protocols", List, "classic,consumer,streams", Items(&["consumer", "classic", "share", "streams"]), Medium, ReadOnly, Served,
        "The protocols of groups that are offered, classic always; share and streams are not served yet (in Kafka 4.4 deprecated).";
    "group.coordinator.append.linger.ms", Int, "-1", AtLeast(-1), Medium, ReadOnly, Accepted(COORDINATOR_LOG),
        "How long a coordinator gathers before it writes; -1 lets it choose.";
    "group.coordinator.cached.buffer.max.bytes", Int, "1048588", AtLeast(524_288), Medium, ClusterWide, Accepted(COORDINATOR_LOG),
        "Largest write buffer a coordinator keeps.";
    "group.coordinator.background.threads", Int, "2", AtLeast(1), High, ReadOnly, Accepted(THREADS),
        "Threads for a coordinator's slow work.";
    "group.coordinator.threads", Int, "4", AtLeast(1), High, ReadOnly, Accepted(THREADS),
        "Threads of the group coordinators.";
    "group.consumer.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, ClusterWide, Served,
        "The least time between two assignments of one consumer group.";
    "group.consumer.assignors", List, "uniform,range", Items(ASSIGNORS), Medium, ReadOnly, Served,
        "Assignors of consumer groups on the broker, the default first; Kafka's classes mean the same.";
    "group.consumer.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Served,
        "How often a member of a consumer group reports.";
    "group.consumer.max.assignment.interval.ms", Int, "15000", AtLeast(0), Medium, ReadOnly, Served,
        "Upper bound of a group's own assignment interval.";
    "group.consumer.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Medium, ReadOnly, Served,
        "Upper bound of a group's own heartbeat interval.";
    "group.consumer.max.session.timeout.ms", Int, "60000", AtLeast(1), Medium, ReadOnly, Served,
        "Upper bound of a group's own session timeout.";
    "group.consumer.max.size", Int, "2147483647", AtLeast(1), Medium, ReadOnly, Served,
        "Members of a consumer group.";
    "group.consumer.migration.policy", String, "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), Medium, ReadOnly, Served,
        "Whether a group may change between the classic and the consumer protocol, and which way.";
    "group.consumer.min.assignment.interval.ms", Int, "0", AtLeast(0), Medium, ReadOnly, Served,
        "Lower bound of a group's own assignment interval.";
    "group.consumer.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Served,
        "Lower bound of a group's own heartbeat interval.";
    "group.consumer.min.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Served,
        "Lower bound of a group's own session timeout.";
    "group.consumer.regex.refresh.interval.ms", Int, "600000", AtLeast(10_000), Medium, Internal, Accepted(PATTERNS),
        "How often a subscription by pattern is matched anew.";
    "group.consumer.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Served,
        "How long a silent member of a consumer group counts as alive.";
    "group.streams.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, ClusterWide, Accepted(STREAMS_GROUPS),
        "The least time between two assignments of one streams group.";
    "group.streams.assignors", List, "sticky", Any, Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Assignors of streams groups on the broker, the default first (Kafka 4.4).";
    "group.streams.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "How often a member of a streams group reports.";
    "group.streams.initial.rebalance.delay.ms", Int, "3000", AtLeast(0), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "How long the first assignment of a streams group waits for further members.";
    "group.streams.max.assignment.interval.ms", Int, "15000", AtLeast(0), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Upper bound of a group's own assignment interval.";
    "group.streams.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Upper bound of a group's own heartbeat interval.";
    "group.streams.max.session.timeout.ms", Int, "60000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Upper bound of a group's own session timeout.";
    "group.streams.max.size", Int, "2147483647", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Members of a streams group.";
    "group.streams.max.standby.replicas", Int, "2", AtLeast(0), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Upper bound of a group's own number of standby tasks.";
    "group.streams.min.assignment.interval.ms", Int, "0", AtLeast(0), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Lower bound of a group's own assignment interval.";
    "group.streams.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Lower bound of a group's own heartbeat interval.";
    "group.streams.min.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Lower bound of a group's own session timeout.";
    "group.streams.num.standby.replicas", Int, "0", AtLeast(0), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "Standby tasks of each task.";
    "group.streams.rack.aware.assignment.tags", List, "", Any, Low, ReadOnly, Accepted(STREAMS_GROUPS),
        "Tags of clients by which standby tasks are spread (Kafka 4.4).";
    "group.streams.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Accepted(STREAMS_GROUPS),
        "How long a silent member of a streams group counts as alive.";
    "group.streams.topology.description.plugin.class", Class, none, Any, Medium, ReadOnly, Refused(NO_CLASSES),
        "A class that keeps descriptions of topologies (Kafka 4.4).";
}

/// What `group.consumer.assignors` may name.
const ASSIGNORS: &[&str] = &[
    "uniform",
    "range",
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
];

/// The assignor that one of them means.
pub fn assignor_name(given: &str) -> &str {
    match given.strip_prefix("org.apache.kafka.coordinator.group.assignor.") {
        Some("UniformAssignor") => "uniform",
        Some("RangeAssignor") => "range",
        _ => given,
    }
}
