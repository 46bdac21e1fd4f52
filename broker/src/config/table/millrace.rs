//! Settings that Kafka does not have.

use super::settings;
use crate::config::setting::Served::Served;
use crate::config::setting::Valid::{Any, AtLeast, Between};

settings! {
    "millrace.log.budget.bytes", Long, "1073741824", AtLeast(134_217_728), High, ReadOnly, Served,
        "Size of each directory's shared log; beyond it old records move into column families.";
    "millrace.log.limit.bytes", Long, "1610612736", AtLeast(134_217_728), High, ReadOnly, Served,
        "At this size of the shared log writing waits for that move; more than millrace.log.budget.bytes.";
    "millrace.min.free.bytes", Long, "536870912", AtLeast(0), High, ReadOnly, Served,
        "New records are refused while less than this is free on their disk.";
    "millrace.cache.bytes", Long, "67108864", AtLeast(0), Medium, ReadOnly, Served,
        "Memory for the newest records of each directory.";
    "millrace.block.cache.bytes", Long, "33554432", AtLeast(1_048_576), Medium, ReadOnly, Served,
        "Memory for what is read from the column families of each directory.";
    "millrace.max.open.files", Int, "1000", AtLeast(64), Low, ReadOnly, Served,
        "Files of the column families that each directory keeps open.";
    "millrace.run.bytes", Long, "33554432", AtLeast(1_048_576), Low, ReadOnly, Served,
        "Largest file that records of one partition move into.";
    "millrace.packed.below.bytes", Long, "1048576", AtLeast(0), Low, ReadOnly, Served,
        "Partitions that have less than this to move share a file.";
    "millrace.raft.workers", Int, "1", Between(1, 64), Medium, ReadOnly, Served,
        "Threads of each directory that replicate its partitions.";
    "millrace.raft.tick.ms", Int, "100", Between(10, 10_000), Low, ReadOnly, Served,
        "Unit of raft's timing: a leader is missed after ten to twenty of them.";
    "millrace.peer.secret.files", List, "", Any, High, ReadOnly, Served,
        "Files with the secret by which brokers know each other: the first is used, a second one is accepted, too, while secrets are exchanged.";
    "millrace.peer.pulse.ms", Int, "100", Between(10, 10_000), Low, ReadOnly, Served,
        "How often brokers tell each other that they are there.";
    "millrace.peer.silence.ms", Int, "2000", Between(100, 60_000), Medium, ReadOnly, Served,
        "A broker that is silent for so long counts as away; at least four times millrace.peer.pulse.ms.";
    "millrace.catch.up.bytes.per.second", Long, "104857600", AtLeast(1_048_576), Medium, ReadOnly, Served,
        "Bytes a second of records that this broker sends to replicas that are far behind, all together.";
}
