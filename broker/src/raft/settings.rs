//! The bounds and periods of a worker and its groups.

use raft::Config;

use super::ports::PeerId;

/// All periods are in ticks; how long a tick is, the shell decides (100 ms is usual).
#[derive(Clone, Debug)]
pub struct Settings {
    /// A follower that hears nothing for this long, up to twice as long, campaigns; a leader that does not hear from a
    /// quorum for this long steps down.
    pub election_ticks: usize,
    /// A leader lets its followers hear of it this often. Well below `election_ticks`, so that lost messages are survived.
    pub heartbeat_ticks: usize,
    /// An append message carries at most this much, or one entry.
    pub max_append_bytes: u64,
    /// Append messages on their way to one follower. When so many are unanswered the leader sends no more: together with
    /// `max_append_bytes` this bounds what a slow follower costs the leader, and what a follower has to hold.
    pub max_appends_in_flight: usize,
    /// Entry bytes proposed and not committed, per group. Beyond it proposals are refused as overloaded.
    pub max_uncommitted_bytes: u64,
    /// Committed entries taken at once, per group: a replica with much to apply gives others a turn in between.
    pub max_apply_bytes: u64,
    /// Callers waiting for one group. Beyond it commands are refused as overloaded.
    pub max_waiters: usize,
    /// Batches handed to the log and not reported yet. While so many are out, what groups want to write gathers in the
    /// next batch: that is group commit. Two keep the disk busy while the next one gathers.
    pub max_batches_in_flight: usize,
    /// Entry bytes of this worker that are not durable yet. Beyond it commands are refused as overloaded; what other
    /// leaders send is bounded by their own `max_appends_in_flight`.
    pub max_unsynced_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            election_ticks: 10,
            heartbeat_ticks: 2,
            max_append_bytes: 1 << 20,
            max_appends_in_flight: 64,
            max_uncommitted_bytes: 16 << 20,
            max_apply_bytes: 4 << 20,
            max_waiters: 10_000,
            max_batches_in_flight: 2,
            max_unsynced_bytes: 128 << 20,
        }
    }
}

impl Settings {
    pub(super) fn raft(&self, peer: PeerId, applied: u64) -> Config {
        Config {
            id: peer,
            applied,
            election_tick: self.election_ticks,
            heartbeat_tick: self.heartbeat_ticks,
            max_size_per_msg: self.max_append_bytes,
            max_inflight_msgs: self.max_appends_in_flight,
            max_uncommitted_size: self.max_uncommitted_bytes.max(self.max_append_bytes),
            max_committed_size_per_ready: self.max_apply_bytes,
            // A replica that was cut off does not depose a healthy leader when it comes back.
            pre_vote: true,
            // A leader that was cut off answers its waiters, and a vote is refused while the leader is alive.
            check_quorum: true,
            ..Config::default()
        }
    }
}
