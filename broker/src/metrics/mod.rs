//! What is counted while the broker works. Cheap enough for every request: atomics, and no look-up where records pass.
//!
//! [`table`] names everything that `/metrics` shows; `admin` puts numbers to the names. Who counts imports this module,
//! whatever its layer; this module imports no layer.

mod histogram;
mod requests;
pub mod table;
mod throttles;
mod topics;

pub use histogram::{BOUNDS_US, Histogram, Times};
pub use requests::{Accepting, CLOSED, Connections, Requests, Served};
pub use throttles::{KINDS as THROTTLE_KINDS, Muted, Throttles};
pub use topics::{OTHER, TopicCounters, Topics, Traffic};

#[derive(Debug)]
pub struct Metrics {
    pub requests: Requests,
    pub connections: Connections,
    pub topics: Topics,
    pub throttles: Throttles,
}

impl Metrics {
    pub fn new(max_topics: usize) -> Metrics {
        Metrics {
            requests: Requests::default(),
            connections: Connections::default(),
            topics: Topics::new(max_topics),
            throttles: Throttles::default(),
        }
    }
}
