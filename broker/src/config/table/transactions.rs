//! Transactions and idempotent producers.

use super::reasons::{COORDINATOR_LOG, RETRIES, SHARED_LOG};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused, Served};
use crate::config::setting::Valid::{Any, AtLeast};

settings! {
    "transactional.id.expiration.ms", Int, "604800000", AtLeast(1), High, ReadOnly, Served,
        "How long an unused transactional id is remembered.";
    "transaction.max.timeout.ms", Int, "900000", AtLeast(1), High, ReadOnly, Served,
        "The longest timeout a producer may ask for its transactions.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", AtLeast(1), Low, ReadOnly, Served,
        "How often transactions that took too long are looked for.";
    "transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000", AtLeast(1), Low, ReadOnly, Served,
        "How often transactional ids that are due are looked for.";
    "transaction.partition.verification.enable", Boolean, "true", Any, Low, ClusterWide,
        Accepted("a transactional write is always checked against its transaction"),
        "Whether a leader asks the coordinator before it takes a transactional write.";
    "transaction.two.phase.commit.enable", Boolean, "false", Any, Low, ReadOnly,
        Refused("transactions are ended by their own producer; leave it false"),
        "Whether a producer may leave the end of a transaction to an outside coordinator.";
    "transaction.state.log.num.partitions", Int, "50", AtLeast(1), High, ReadOnly, Served,
        "Partitions of __transaction_state; fixed once it exists.";
    "transaction.state.log.replication.factor", Short, "3", AtLeast(1), High, ReadOnly, Served,
        "Replicas of __transaction_state; fewer while there are fewer brokers.";
    "transaction.state.log.min.isr", Int, "2", AtLeast(1), High, ReadOnly, Served,
        "In-sync replicas that a write to __transaction_state needs.";
    "transaction.state.log.segment.bytes", Int, "104857600", AtLeast(1), High, ReadOnly, Accepted(SHARED_LOG),
        "Segment size of __transaction_state.";
    "transaction.state.log.load.buffer.size", Int, "5242880", AtLeast(1), High, ReadOnly, Accepted(COORDINATOR_LOG),
        "Batch size when a coordinator reads its log.";
    "add.partitions.to.txn.retry.backoff.ms", Int, "20", AtLeast(1), High, ReadOnly, Accepted(RETRIES),
        "First pause before a partition is added to a transaction again.";
    "add.partitions.to.txn.retry.backoff.max.ms", Int, "100", AtLeast(0), High, ReadOnly, Accepted(RETRIES),
        "How long adding a partition to a transaction is tried.";
    "producer.id.expiration.ms", Int, "86400000", AtLeast(1), Low, ClusterWide, Served,
        "How long an idle producer's sequence numbers are remembered.";
    "producer.id.expiration.check.interval.ms", Int, "600000", AtLeast(1), Low, Internal, Served,
        "How often idle producers are looked for.";
}
