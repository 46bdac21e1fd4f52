//! Settings of older Kafkas that tutorials and old files still have. Kafka 4 no longer knows them.

use super::reasons::{LIVENESS, METRICS, NO_CLASSES, SECURITY, TOKENS, ZOOKEEPER};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused};
use crate::config::setting::Valid::Any;

const FORMAT: &str = "there is one format of records, that of Kafka 0.11 and later";
const LISTENERS: &str =
    "write listeners=PLAINTEXT://host:port, and advertised.listeners for what clients connect to";
const TIMESTAMPS: &str =
    "write log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms";

settings! {
    "zookeeper.connect", String, none, Any, High, Internal, Accepted(ZOOKEEPER),
        "Where ZooKeeper was found.";
    "zookeeper.connection.timeout.ms", Int, none, Any, High, Internal, Accepted(ZOOKEEPER),
        "How long a broker waited for ZooKeeper.";
    "zookeeper.session.timeout.ms", Int, none, Any, High, Internal, Accepted(ZOOKEEPER),
        "How long ZooKeeper waited for a broker.";
    "zookeeper.sync.time.ms", Int, none, Any, Low, Internal, Accepted(ZOOKEEPER),
        "How far a server of ZooKeeper could be behind.";
    "zookeeper.max.in.flight.requests", Int, none, Any, High, Internal, Accepted(ZOOKEEPER),
        "Requests to ZooKeeper at once.";
    "zookeeper.set.acl", Boolean, "false", Any, High, Internal, Accepted(ZOOKEEPER),
        "Whether ZooKeeper's nodes were protected.";
    "zookeeper.clientCnxnSocket", String, none, Any, Medium, Internal, Accepted(ZOOKEEPER),
        "The class of connections to ZooKeeper.";
    "zookeeper.ssl.client.enable", Boolean, "false", Any, Medium, Internal, Accepted(ZOOKEEPER),
        "Whether ZooKeeper was reached by TLS.";
    "zookeeper.metadata.migration.enable", Boolean, "false", Any, High, Internal,
        Refused("metadata cannot be taken over from ZooKeeper; mirror the topics instead"),
        "Whether metadata moved from ZooKeeper to controllers.";
    "broker.id.generation.enable", Boolean, "true", Any, Medium, Internal, Accepted("a broker's id is its node.id"),
        "Whether ZooKeeper numbered the brokers.";
    "reserved.broker.max.id", Int, "1000", Any, Medium, Internal, Accepted("a broker's id is its node.id"),
        "The greatest id that was not handed out.";
    "control.plane.listener.name", String, none, Any, High, Internal, Accepted("brokers speak to each other on one listener"),
        "The listener the controller connected to.";
    "inter.broker.protocol.version", String, none, Any, Medium, Internal, Accepted("brokers agree on versions themselves"),
        "The version brokers spoke among themselves.";
    "log.message.format.version", String, none, Any, Medium, Internal, Accepted(FORMAT),
        "The format records were stored in.";
    "log.message.downconversion.enable", Boolean, "true", Any, Low, Internal, Accepted(FORMAT),
        "Whether records were rewritten for old clients.";
    "log.message.timestamp.difference.max.ms", Long, none, Any, Medium, Internal, Refused(TIMESTAMPS),
        "How far a record's time could be from the broker's clock.";
    "controlled.shutdown.max.retries", Int, "3", Any, Medium, Internal, Accepted(LIVENESS),
        "How often handing over leaders was tried.";
    "controlled.shutdown.retry.backoff.ms", Long, "5000", Any, Medium, Internal, Accepted(LIVENESS),
        "Pause between two of these attempts.";
    "offsets.commit.required.acks", Short, "-1", Any, High, Internal,
        Refused("an offset is committed when a majority has it; leave it out"),
        "Replicas that had to have a committed offset.";
    "host.name", String, none, Any, High, Internal, Refused(LISTENERS),
        "The address the broker listened on.";
    "port", Int, none, Any, High, Internal, Refused(LISTENERS),
        "The port the broker listened on.";
    "advertised.host.name", String, none, Any, High, Internal, Refused(LISTENERS),
        "The address clients were told.";
    "advertised.port", Int, none, Any, High, Internal, Refused(LISTENERS),
        "The port clients were told.";
    "password.encoder.secret", Password, none, Any, Medium, Internal, Refused(SECURITY),
        "The key of passwords in ZooKeeper.";
    "delegation.token.master.key", Password, none, Any, Medium, Internal, Refused(TOKENS),
        "The older name of delegation.token.secret.key.";
    "quota.producer.default", Long, none, Any, High, Internal, Accepted("set a default quota with kafka-configs.sh instead"),
        "Bytes a second a producer could write.";
    "quota.consumer.default", Long, none, Any, High, Internal, Accepted("set a default quota with kafka-configs.sh instead"),
        "Bytes a second a consumer could read.";
    "auto.include.jmx.reporter", Boolean, "true", Any, Low, Internal, Accepted(METRICS),
        "Whether metrics were published by JMX.";
    "group.coordinator.new.enable", Boolean, none, Any, Medium, Internal, Accepted("there is one coordinator of groups"),
        "Whether the newer coordinator was used.";
    "log.cleaner.hash.algorithm", String, none, Any, Low, Internal, Refused(NO_CLASSES),
        "How compaction told keys apart.";
}
