//! Why known settings are not served, where many share a reason.

pub(super) const CLEANER: &str = "compaction sizes its buffers itself";
pub(super) const COORDINATOR_LOG: &str =
    "coordinators read and write their logs as all partitions are";
pub(super) const KERNEL_BUFFERS: &str = "the kernel sizes the sockets' buffers";
pub(super) const LIVENESS: &str = "the raft groups notice themselves who is away";
pub(super) const METADATA: &str =
    "brokers hold the metadata themselves, and its raft group has its own timing and bounds";
pub(super) const METRICS: &str = "metrics are read at /metrics in Prometheus' format";
pub(super) const NO_CLASSES: &str = "Java classes cannot be loaded; leave it out";
pub(super) const NO_SECURITY: &str = "nobody logs in yet";
pub(super) const NO_TIERS: &str =
    "tiered storage is not served, all records stay on the brokers' disks";
pub(super) const PATTERNS: &str = "patterns are matched anew whenever topics have changed";
pub(super) const PEERS: &str = "raft connects brokers to each other and decides when to try again";
pub(super) const PURGATORY: &str = "a waiting request is forgotten as soon as it is answered";
pub(super) const MOVES: &str =
    "replicas move between directories one at a time, at twice the speed at which records come in";
pub(super) const QUOTAS: &str = "replicas are not slowed down, only clients are";
pub(super) const RAFT: &str = "records are replicated by raft, not by fetching";
pub(super) const RETRIES: &str = "the coordinator is asked once, clients try again";
pub(super) const SECURITY: &str = "TLS and SASL are not served yet; listen with PLAINTEXT inside a trusted network and leave it out";
pub(super) const SHARED_LOG: &str =
    "partitions share one log and have no segment or index files of their own";
pub(super) const SHARE_GROUPS: &str = "share groups are not served yet";
pub(super) const STREAMS_GROUPS: &str = "streams groups are not served yet";
pub(super) const SYNCED: &str = "every record is synced to disk before it is acknowledged";
pub(super) const THREADS: &str = "the number of threads follows the machine";
pub(super) const TOKENS: &str = "delegation tokens are not served yet; leave it out";
pub(super) const UNSTABLE: &str = "only final versions are offered";
pub(super) const ZOOKEEPER: &str = "no ZooKeeper is needed, brokers hold the metadata themselves";
