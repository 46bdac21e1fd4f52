//! What can be set on a single group, with the broker's settings behind it. Names and bounds are those of Apache Kafka 4.4.

use super::reasons::{SHARE_GROUPS, STREAMS_GROUPS};
use super::settings;
use crate::config::setting::Served::{Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast, OneOf};

settings! {
    "consumer.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, Group, Served,
        "The least time between two assignments of the group." => ["group.consumer.assignment.interval.ms"];
    "consumer.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, Group, Served,
        "How often a member reports." => ["group.consumer.heartbeat.interval.ms"];
    "consumer.session.timeout.ms", Int, "45000", AtLeast(1), Medium, Group, Served,
        "How long a silent member counts as alive." => ["group.consumer.session.timeout.ms"];
    "errors.deadletterqueue.copy.record.enable", Boolean, "false", Any, Medium, Group, Refused(SHARE_GROUPS),
        "Whether a record that a share group gives up is copied whole (Kafka 4.4).";
    "errors.deadletterqueue.topic.name", String, "", Any, Medium, Group, Refused(SHARE_GROUPS),
        "Where a share group puts records that it gives up (Kafka 4.4).";
    "share.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, Group, Refused(SHARE_GROUPS),
        "The least time between two assignments of a share group." => ["group.share.assignment.interval.ms"];
    "share.auto.offset.reset", String, "latest", Any, Medium, Group, Refused(SHARE_GROUPS),
        "Where a share group begins: earliest, latest, or by_duration: with a time.";
    "share.delivery.count.limit", Int, "5", AtLeast(2), Medium, Group, Refused(SHARE_GROUPS),
        "How often a share group tries to deliver a record." => ["group.share.delivery.count.limit"];
    "share.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, Group, Refused(SHARE_GROUPS),
        "How often a member of a share group reports." => ["group.share.heartbeat.interval.ms"];
    "share.isolation.level", String, "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Medium, Group, Refused(SHARE_GROUPS),
        "Whether a share group is given records of transactions that are not committed.";
    "share.partition.max.record.locks", Int, "2000", AtLeast(100), Medium, Group, Refused(SHARE_GROUPS),
        "Records of one partition that a share group may hold at once." => ["group.share.partition.max.record.locks"];
    "share.record.lock.duration.ms", Int, "30000", AtLeast(1000), Medium, Group, Refused(SHARE_GROUPS),
        "How long a member of a share group holds a record." => ["group.share.record.lock.duration.ms"];
    "share.renew.acknowledge.enable", Boolean, "true", Any, Medium, Group, Refused(SHARE_GROUPS),
        "Whether members of a share group may prolong that time.";
    "share.session.timeout.ms", Int, "45000", AtLeast(1), Medium, Group, Refused(SHARE_GROUPS),
        "How long a silent member of a share group counts as alive." => ["group.share.session.timeout.ms"];
    "streams.assignment.interval.ms", Int, "1000", AtLeast(0), Medium, Group, Refused(STREAMS_GROUPS),
        "The least time between two assignments of a streams group." => ["group.streams.assignment.interval.ms"];
    "streams.assignor.name", String, none, Any, Medium, Group, Refused(STREAMS_GROUPS),
        "The assignor of a streams group (Kafka 4.4)." => ["group.streams.assignors"];
    "streams.heartbeat.interval.ms", Int, "5000", AtLeast(1), Medium, Group, Refused(STREAMS_GROUPS),
        "How often a member of a streams group reports." => ["group.streams.heartbeat.interval.ms"];
    "streams.initial.rebalance.delay.ms", Int, "3000", AtLeast(0), Medium, Group, Refused(STREAMS_GROUPS),
        "How long the first assignment of a streams group waits for further members." => ["group.streams.initial.rebalance.delay.ms"];
    "streams.num.standby.replicas", Int, "0", AtLeast(0), Medium, Group, Refused(STREAMS_GROUPS),
        "Standby tasks of each task of a streams group." => ["group.streams.num.standby.replicas"];
    "streams.rack.aware.assignment.tags", List, "", Any, Low, Group, Refused(STREAMS_GROUPS),
        "Tags of clients by which standby tasks are spread (Kafka 4.4)." => ["group.streams.rack.aware.assignment.tags"];
    "streams.session.timeout.ms", Int, "45000", AtLeast(1), Medium, Group, Refused(STREAMS_GROUPS),
        "How long a silent member of a streams group counts as alive." => ["group.streams.session.timeout.ms"];
}
