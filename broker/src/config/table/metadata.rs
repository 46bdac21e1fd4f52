//! The metadata: who keeps it, and what Kafka's controllers use besides. Here the brokers hold it themselves.

use super::reasons::METADATA;
use super::settings;
use crate::config::setting::Served::{Accepted, Served};
use crate::config::setting::Valid::{Any, AtLeast};

settings! {
    "controller.quorum.voters", List, "", Any, High, ReadOnly, Served,
        "The first voters of the metadata, as id@host:port; the same on every broker.";
    "controller.quorum.bootstrap.servers", List, "", Any, High, ReadOnly, Served,
        "Where brokers that keep the metadata are found, as host:port.";
    "controller.quorum.auto.join.enable", Boolean, "false", Any, Low, ReadOnly, Accepted(METADATA),
        "Whether a new controller joins the voters by itself.";
    "controller.quorum.append.linger.ms", Int, "25", AtLeast(0), Medium, ReadOnly, Accepted(METADATA),
        "How long a change of the metadata waits for others.";
    "controller.quorum.election.backoff.max.ms", Int, "1000", AtLeast(0), High, ReadOnly, Accepted(METADATA),
        "Longest pause between two elections.";
    "controller.quorum.election.timeout.ms", Int, "1000", AtLeast(0), High, ReadOnly, Accepted(METADATA),
        "How long a candidate waits for votes.";
    "controller.quorum.fetch.max.bytes", Int, "1048576", AtLeast(1), Low, ReadOnly, Accepted(METADATA),
        "What a controller fetches at once.";
    "controller.quorum.fetch.snapshot.max.bytes", Int, "1048576", AtLeast(1), Low, ReadOnly, Accepted(METADATA),
        "What of a snapshot a controller fetches at once.";
    "controller.quorum.fetch.timeout.ms", Int, "2000", AtLeast(0), High, ReadOnly, Accepted(METADATA),
        "How long a follower waits for its leader.";
    "controller.quorum.request.timeout.ms", Int, "2000", AtLeast(0), Medium, ReadOnly, Accepted(METADATA),
        "How long a controller waits for an answer.";
    "controller.quorum.retry.backoff.ms", Int, "20", AtLeast(0), Low, ReadOnly, Accepted(METADATA),
        "Pause before a controller asks again.";
    "controller.socket.timeout.ms", Int, "30000", Any, Medium, ReadOnly, Accepted(METADATA),
        "How long a broker waits for its controller.";
    "controller.performance.always.log.threshold.ms", Long, "2000", AtLeast(0), Medium, Internal, Accepted(METADATA),
        "A slower event of the controller is always logged.";
    "controller.performance.sample.period.ms", Long, "60000", AtLeast(100), Medium, Internal, Accepted(METADATA),
        "How often the controller logs what was slow.";
    "metadata.log.dir", String, none, Any, High, ReadOnly, Accepted("the metadata lies in the first of log.dirs"),
        "The directory of the metadata.";
    "metadata.log.max.record.bytes.between.snapshots", Long, "20971520", AtLeast(1), High, ReadOnly, Accepted(METADATA),
        "How much the metadata's log grows before a snapshot.";
    "metadata.log.max.snapshot.interval.ms", Long, "3600000", AtLeast(0), High, ReadOnly, Accepted(METADATA),
        "Longest time between two snapshots.";
    "metadata.log.segment.bytes", Int, "1073741824", AtLeast(8_388_608), High, ReadOnly, Accepted(METADATA),
        "Segment size of the metadata's log.";
    "metadata.log.segment.ms", Long, "604800000", Any, High, ReadOnly, Accepted(METADATA),
        "How long a segment of the metadata's log takes records.";
    "metadata.max.idle.interval.ms", Int, "500", AtLeast(0), Low, ReadOnly, Accepted(METADATA),
        "How often an idle controller writes a sign of life.";
    "metadata.max.retention.bytes", Long, "104857600", Any, High, ReadOnly, Accepted(METADATA),
        "How much of the metadata's log is kept.";
    "metadata.max.retention.ms", Long, "604800000", Any, High, ReadOnly, Accepted(METADATA),
        "How long the metadata's log is kept.";
    "internal.metadata.delete.delay.millis", Long, "60000", Any, Low, Internal, Accepted(METADATA),
        "How long a removed file of the metadata stays on disk.";
    "internal.metadata.log.segment.bytes", Int, none, Any, Low, Internal, Accepted(METADATA),
        "Segment size of the metadata's log, for tests.";
    "internal.metadata.max.batch.size.in.bytes", Int, "8388608", Any, Low, Internal, Accepted(METADATA),
        "Largest batch of the metadata's log.";
}
