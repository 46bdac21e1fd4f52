//! How the broker is seen and steered from outside. Kafka has JMX for that.

use super::settings;
use crate::config::setting::Served::Served;
use crate::config::setting::Valid::{Any, AtLeast, Between};

settings! {
    "millrace.metrics.listener", String, ":9644", Any, Medium, ReadOnly, Served,
        "Where HTTP answers /metrics, /healthz, /readyz and /version, as host:port; no host is every interface, and nothing at all turns it off.";
    "millrace.control.listener", String, "127.0.0.1:9645", Any, Medium, ReadOnly, Served,
        "Where HTTP takes orders such as /log-level, as host:port; whoever reaches it may give them. Nothing at all turns it off.";
    "millrace.metrics.max.topics", Int, "200", Between(0, 100_000), Low, ReadOnly, Served,
        "Topics with a label of their own in metrics; others are counted together as _other.";
    "millrace.metrics.max.group.topics", Int, "500", Between(0, 100_000), Low, ReadOnly, Served,
        "Pairs of a group and a topic with a lag of their own in metrics; others are added up as _other.";
    "millrace.slow.request.ms", Long, "1000", AtLeast(0), Low, ReadOnly, Served,
        "Requests that take longer are worth a line in the log, without the time that a fetch waits for records; 0 turns it off.";
}
