//! Listeners, connections and requests.

use super::reasons::{KERNEL_BUFFERS, NO_SECURITY, PEERS, PURGATORY, THREADS};
use super::settings;
use crate::config::setting::Served::{Accepted, Served};
use crate::config::setting::Valid::{Any, AtLeast, OneOf};

settings! {
    "listeners", List, "PLAINTEXT://:9092", Any, High, ReadOnly, Served,
        "Where the broker listens, as NAME://host:port; an empty host is every interface.";
    "advertised.listeners", List, none, Any, High, ReadOnly, Served,
        "What clients are told to connect to; without it, the listeners themselves.";
    "listener.security.protocol.map", String, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, Low, ReadOnly, Served,
        "Which protocol each listener name speaks, as NAME:PROTOCOL.";
    "inter.broker.listener.name", String, none, Any, Medium, ReadOnly, Served,
        "The listener the other brokers connect to.";
    "security.inter.broker.protocol", String, "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly, Served,
        "Chooses the listener the other brokers connect to by its protocol; inter.broker.listener.name does so by name.";
    "controller.listener.names", List, none, Any, High, ReadOnly, Served,
        "Names of the listeners that brokers use among themselves, first the one that others are told of; not for clients.";
    "early.start.listeners", List, none, Any, High, ReadOnly, Accepted("listeners open when the broker can serve all of them"),
        "Listeners that open before the broker is ready.";
    "max.connections", Int, "2147483647", AtLeast(0), Medium, ClusterWide, Served,
        "Connections the broker holds at once; a further one is closed.";
    "max.connections.per.ip", Int, "2147483647", AtLeast(0), Medium, ClusterWide, Served,
        "Connections from one address.";
    "max.connections.per.ip.overrides", String, "", Any, Medium, ClusterWide, Served,
        "Other limits for some addresses, as address:count,address:count.";
    "max.connection.creation.rate", Int, "2147483647", AtLeast(0), Medium, ClusterWide, Served,
        "New connections a second; further ones wait.";
    "connections.max.idle.ms", Long, "600000", Any, Medium, ReadOnly, Served,
        "A connection without a request for this long is closed.";
    "connection.failed.authentication.delay.ms", Int, "100", AtLeast(0), Low, ReadOnly, Accepted(NO_SECURITY),
        "How long the answer to a failed login is held back.";
    "connections.max.reauth.ms", Long, "0", Any, Medium, ReadOnly, Accepted(NO_SECURITY),
        "How long a login lasts before it must be repeated; 0 is for ever.";
    "socket.request.max.bytes", Int, "104857600", AtLeast(1), High, ReadOnly, Served,
        "The largest request; a larger one closes its connection.";
    "queued.max.request.bytes", Long, "-1", Any, Medium, ReadOnly, Served,
        "Bytes of requests being worked on, of all connections together; -1 leaves it to the broker's own bound.";
    "queued.max.requests", Int, "500", AtLeast(1), High, ReadOnly, Accepted("requests are bounded in bytes: queued.max.request.bytes"),
        "Requests waiting for a thread.";
    "socket.listen.backlog.size", Int, "50", AtLeast(1), Medium, ReadOnly, Served,
        "Connections the kernel holds until they are accepted.";
    "socket.receive.buffer.bytes", Int, "102400", Any, High, ReadOnly, Accepted(KERNEL_BUFFERS),
        "Size of a socket's receive buffer; -1 leaves it to the kernel.";
    "socket.send.buffer.bytes", Int, "102400", Any, High, ReadOnly, Accepted(KERNEL_BUFFERS),
        "Size of a socket's send buffer; -1 leaves it to the kernel.";
    "socket.connection.setup.timeout.ms", Long, "10000", Any, Medium, ReadOnly, Accepted(PEERS),
        "First wait for a connection to another broker.";
    "socket.connection.setup.timeout.max.ms", Long, "30000", Any, Medium, ReadOnly, Accepted(PEERS),
        "Longest wait for a connection to another broker.";
    "request.timeout.ms", Int, "30000", Any, High, ReadOnly, Served,
        "How long the broker lets another broker take over an answer.";
    "num.network.threads", Int, "3", AtLeast(1), High, ClusterWide, Accepted(THREADS),
        "Threads that read and write sockets.";
    "num.io.threads", Int, "8", AtLeast(1), High, ClusterWide, Accepted(THREADS),
        "Threads that work on requests.";
    "background.threads", Int, "10", AtLeast(1), High, ClusterWide, Accepted(THREADS),
        "Threads for housekeeping.";
    "fetch.max.bytes", Int, "57671680", AtLeast(1024), Medium, ReadOnly, Served,
        "The most one Fetch answer carries, whatever the client asks for.";
    "max.incremental.fetch.session.cache.slots", Int, "1000", AtLeast(0), Medium, ReadOnly, Served,
        "Fetch sessions remembered at once.";
    "max.request.partition.size.limit", Int, "2000", AtLeast(1), Medium, ReadOnly, Served,
        "Partitions described in one answer to DescribeTopicPartitions.";
    "fetch.purgatory.purge.interval.requests", Int, "1000", Any, Medium, ReadOnly, Accepted(PURGATORY),
        "Finished fetches that may pile up among the waiting ones.";
    "producer.purgatory.purge.interval.requests", Int, "1000", Any, Medium, ReadOnly, Accepted(PURGATORY),
        "Finished produce requests that may pile up among the waiting ones.";
    "delete.records.purgatory.purge.interval.requests", Int, "1", Any, Medium, ReadOnly, Accepted(PURGATORY),
        "Finished record deletions that may pile up among the waiting ones.";
    "share.fetch.purgatory.purge.interval.requests", Int, "1000", Any, Medium, ReadOnly, Accepted(PURGATORY),
        "Finished share fetches that may pile up among the waiting ones.";
}
