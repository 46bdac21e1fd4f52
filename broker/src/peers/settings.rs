//! What a broker must know before it can talk to others.

use std::time::Duration;

use super::BrokerId;
use super::secrets::Secrets;

/// Where another broker listens for brokers. The name is resolved anew at each dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// All brokers of a cluster must agree on `cluster_id`, on one of the secrets, and on `max_frame_bytes`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub broker: BrokerId,
    pub cluster_id: String,
    pub secrets: Secrets,
    /// How often each broker tells each other one that it lives.
    pub pulse_interval: Duration,
    /// A link on which nothing moved for so long is dead. Also how long connecting, and a handshake, may take.
    pub silence: Duration,
    /// A frame that is longer is neither sent nor taken.
    pub max_frame_bytes: usize,
    /// What may wait for a broker on the urgent and on the bulk lane. What comes when it is full is dropped.
    pub queue_bytes: [usize; 2],
}

impl Settings {
    pub fn new(broker: BrokerId, cluster_id: impl Into<String>, secrets: Secrets) -> Settings {
        Settings {
            broker,
            cluster_id: cluster_id.into(),
            secrets,
            pulse_interval: Duration::from_millis(100),
            silence: Duration::from_secs(2),
            max_frame_bytes: 24 << 20,
            queue_bytes: [16 << 20, 64 << 20],
        }
    }
}
