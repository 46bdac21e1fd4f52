//! Share groups.

use super::reasons::SHARE_GROUPS;
use super::settings;
use crate::config::setting::Served::Accepted;
use crate::config::setting::Valid::{Any, AtLeast, Between};

settings! {
    "errors.deadletterqueue.auto.create.topics.enable", Boolean, "false", Any, Medium, ClusterWide, Accepted(SHARE_GROUPS),
        "Whether topics for records that share groups give up are made when they are needed (Kafka 4.4).";
    "errors.deadletterqueue.topic.name.prefix", String, "dlq.", Any, Medium, ClusterWide, Accepted(SHARE_GROUPS),
        "How the names of such topics begin (Kafka 4.4).";
    "group.share.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, ClusterWide, Accepted(SHARE_GROUPS),
        "The least time between two assignments of one share group.";
    "group.share.assignors", List, "simple", Any, Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Assignors of share groups.";
    "group.share.delivery.count.limit", Int, "5", Between(2, 10), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "How often a record is delivered before it is given up.";
    "group.share.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "How often a member of a share group reports.";
    "group.share.initialize.retry.interval.ms", Int, "30000", AtLeast(1), Low, Internal, Accepted(SHARE_GROUPS),
        "How long until a failed start of a partition's state is tried again.";
    "group.share.max.assignment.interval.ms", Int, "15000", AtLeast(0), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own assignment interval.";
    "group.share.max.delivery.count.limit", Int, "10", Between(5, 25), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own number of deliveries.";
    "group.share.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own heartbeat interval.";
    "group.share.max.partition.max.record.locks", Int, "4000", Between(2000, 10_000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own number of locks.";
    "group.share.max.record.lock.duration.ms", Int, "60000", Between(30_000, 3_600_000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own length of a lock.";
    "group.share.max.session.timeout.ms", Int, "60000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Upper bound of a group's own session timeout.";
    "group.share.max.share.sessions", Int, "2000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Share sessions remembered at once.";
    "group.share.max.size", Int, "200", Between(1, 1000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Members of a share group.";
    "group.share.min.assignment.interval.ms", Int, "0", AtLeast(0), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own assignment interval.";
    "group.share.min.delivery.count.limit", Int, "2", Between(2, 5), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own number of deliveries.";
    "group.share.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own heartbeat interval.";
    "group.share.min.partition.max.record.locks", Int, "100", Between(100, 2000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own number of locks.";
    "group.share.min.record.lock.duration.ms", Int, "15000", Between(1000, 30_000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own length of a lock.";
    "group.share.min.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Lower bound of a group's own session timeout.";
    "group.share.partition.max.record.locks", Int, "2000", Between(100, 10_000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Records of one partition that may be locked at once.";
    "group.share.persister.class.name", String, "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, Medium, Internal, Accepted(SHARE_GROUPS),
        "The class that keeps the state of share groups.";
    "group.share.record.lock.duration.ms", Int, "30000", Between(1000, 3_600_000), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "How long a record stays locked for its consumer.";
    "group.share.session.timeout.ms", Int, "45000", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "How long a silent member of a share group counts as alive.";
    "share.coordinator.append.linger.ms", Int, "-1", AtLeast(-1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "How long the coordinator gathers before it writes; -1 lets it choose.";
    "share.coordinator.cached.buffer.max.bytes", Int, "1048588", AtLeast(524_288), Medium, ClusterWide, Accepted(SHARE_GROUPS),
        "Largest write buffer the coordinator keeps.";
    "share.coordinator.cold.partition.snapshot.interval.ms", Int, "300000", AtLeast(1), Low, Internal, Accepted(SHARE_GROUPS),
        "How often the state of quiet partitions is written whole.";
    "share.coordinator.load.buffer.size", Int, "5242880", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "Batch size when the coordinator reads its log.";
    "share.coordinator.snapshot.update.records.per.snapshot", Int, "500", Between(0, 500), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Changes between two whole states.";
    "share.coordinator.state.topic.compression.codec", Int, "0", Any, High, ReadOnly, Accepted(SHARE_GROUPS),
        "Compression of __share_group_state, by number.";
    "share.coordinator.state.topic.min.isr", Short, "2", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "In-sync replicas that a write to __share_group_state needs.";
    "share.coordinator.state.topic.num.partitions", Int, "50", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "Partitions of __share_group_state.";
    "share.coordinator.state.topic.prune.interval.ms", Int, "300000", AtLeast(1), Low, Internal, Accepted(SHARE_GROUPS),
        "How often the old part of __share_group_state is deleted.";
    "share.coordinator.state.topic.replication.factor", Short, "3", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "Replicas of __share_group_state.";
    "share.coordinator.state.topic.segment.bytes", Int, "104857600", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "Segment size of __share_group_state.";
    "share.coordinator.threads", Int, "1", AtLeast(1), Medium, ReadOnly, Accepted(SHARE_GROUPS),
        "Threads of the share coordinator.";
    "share.coordinator.write.timeout.ms", Int, "5000", AtLeast(1), High, ReadOnly, Accepted(SHARE_GROUPS),
        "How long a write of the coordinator may wait for its replicas.";
}
