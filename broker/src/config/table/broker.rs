//! The broker itself: who it is, what it offers, how it is watched.

use super::reasons::{LIVENESS, METRICS, MOVES, NO_CLASSES, QUOTAS, UNSTABLE};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast, Items};

settings! {
    "node.id", Int, none, AtLeast(0), High, ReadOnly, Served,
        "The number of this broker among the brokers; it never changes.";
    "broker.id", Int, "-1", Any, High, ReadOnly, Served,
        "The older name of node.id.";
    "process.roles", List, none, Items(&["broker", "controller"]), High, ReadOnly, Served,
        "broker, or broker and controller: one that may be a voter of the metadata. Every broker has a copy of it.";
    "broker.rack", String, none, Any, Medium, ReadOnly, Served,
        "Where this broker stands; replicas of a partition are spread over racks.";
    "broker.heartbeat.interval.ms", Int, "2000", Any, Medium, ReadOnly, Accepted(LIVENESS),
        "How often a broker reports to the controller.";
    "broker.session.timeout.ms", Int, "9000", Any, Medium, ReadOnly, Accepted(LIVENESS),
        "How long a silent broker counts as alive.";
    "initial.broker.registration.timeout.ms", Int, "60000", Any, Medium, ReadOnly, Accepted(LIVENESS),
        "How long a starting broker tries to register.";
    "server.max.startup.time.ms", Long, "9223372036854775807", AtLeast(0), Medium, Internal, Accepted("starting is not bounded in time"),
        "How long a start may take before the process ends.";
    "controlled.shutdown.enable", Boolean, "true", Any, Medium, ReadOnly, Accepted("a stopping broker always hands over its leaders first"),
        "Whether leaders are handed over before the broker stops.";
    "auto.create.topics.enable", Boolean, "true", Any, High, ReadOnly, Served,
        "Whether asking for a topic that does not exist creates it.";
    "delete.topic.enable", Boolean, "true", Any, High, ReadOnly, Served,
        "Whether topics may be deleted.";
    "num.partitions", Int, "1", AtLeast(1), Medium, ReadOnly, Served,
        "Partitions of a topic that is created without saying how many.";
    "default.replication.factor", Int, "1", Any, Medium, ReadOnly, Served,
        "Replicas of a topic that is created without saying how many.";
    "create.topic.policy.class.name", Class, none, Any, Low, ReadOnly, Refused(NO_CLASSES),
        "A class that judges new topics.";
    "alter.config.policy.class.name", Class, none, Any, Low, ReadOnly, Refused(NO_CLASSES),
        "A class that judges changes of settings.";
    "config.providers", List, "", Any, Low, ClusterWide,
        Refused("values are taken as they are written; put secrets into environment variables MILLRACE_..."),
        "Names of providers that fill in values when they are read.";
    "client.quota.callback.class", Class, none, Any, Low, ReadOnly, Refused(NO_CLASSES),
        "A class that computes clients' quotas.";
    "quota.window.num", Int, "11", AtLeast(1), Low, ReadOnly, Served,
        "Samples kept to compute a client's rate.";
    "quota.window.size.seconds", Int, "1", AtLeast(1), Low, ReadOnly, Served,
        "Length of each sample of a client's rate.";
    "controller.quota.window.num", Int, "11", AtLeast(1), Low, ReadOnly, Served,
        "Samples kept to compute the rate of topic changes.";
    "controller.quota.window.size.seconds", Int, "1", AtLeast(1), Low, ReadOnly, Served,
        "Length of each sample of the rate of topic changes.";
    "replication.quota.window.num", Int, "11", AtLeast(1), Low, ReadOnly, Accepted(QUOTAS),
        "Samples kept to compute the rate of replication.";
    "replication.quota.window.size.seconds", Int, "1", AtLeast(1), Low, ReadOnly, Accepted(QUOTAS),
        "Length of each sample of the rate of replication.";
    "alter.log.dirs.replication.quota.window.num", Int, "11", AtLeast(1), Low, ReadOnly, Accepted(MOVES),
        "Samples kept to compute the rate of moves between directories.";
    "alter.log.dirs.replication.quota.window.size.seconds", Int, "1", AtLeast(1), Low, ReadOnly, Accepted(MOVES),
        "Length of each sample of the rate of moves between directories.";
    "metric.reporters", List, "org.apache.kafka.common.metrics.JmxReporter", Any, Low, ClusterWide, Accepted(METRICS),
        "Classes that publish metrics.";
    "metrics.num.samples", Int, "2", AtLeast(1), Low, ReadOnly, Accepted(METRICS),
        "Samples kept to compute a metric.";
    "metrics.recording.level", String, "INFO", Any, Low, ReadOnly, Accepted(METRICS),
        "How much is measured.";
    "metrics.sample.window.ms", Long, "30000", AtLeast(1), Low, ReadOnly, Accepted(METRICS),
        "Length of each sample of a metric.";
    "kafka.metrics.polling.interval.secs", Int, "10", AtLeast(1), Low, ReadOnly, Accepted(METRICS),
        "How often the older reporters are asked.";
    "kafka.metrics.reporters", List, "", Any, Low, ReadOnly, Accepted(METRICS),
        "Classes of the older kind that publish metrics.";
    "telemetry.max.bytes", Int, "1048576", AtLeast(1), Low, ReadOnly, Served,
        "The most metrics a client may push at once.";
    "unstable.api.versions.enable", Boolean, "false", Any, High, Internal, Accepted(UNSTABLE),
        "Offers versions of requests that are not final.";
    "unstable.feature.versions.enable", Boolean, "false", Any, High, Internal, Accepted(UNSTABLE),
        "Offers versions of features that are not final.";
}
