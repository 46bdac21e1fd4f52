//! Figures of the traffic with one other broker, since this process started.

use std::time::Duration;

use super::BrokerId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStats {
    pub broker: BrokerId,
    pub is_up: bool,
    pub sent_bytes: u64,
    pub sent_frames: u64,
    pub received_bytes: u64,
    pub received_frames: u64,
    /// Urgent and bulk.
    pub queued_bytes: [usize; 2],
    /// Raft messages that were not sent, because the queue was full, or there was no link.
    pub dropped_messages: u64,
    /// Of the newest pulse there and back.
    pub round_trip: Option<Duration>,
}
