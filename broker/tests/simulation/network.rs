//! Messages on their way between brokers.

use millrace_broker::raft::ports::GroupId;
use raft::eraftpb::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use std::collections::BTreeSet;

/// More are on their way only when nobody delivers: then the oldest are lost.
const MAX_IN_FLIGHT: usize = 400;

pub struct Flight {
    pub from: usize,
    pub to: usize,
    pub group: GroupId,
    pub message: Message,
}

#[derive(Default)]
pub struct Network {
    flights: Vec<Flight>,
    /// One-way: from, to.
    pub blocked: BTreeSet<(usize, usize)>,
}

impl Network {
    /// What had to be lost to make room, if anything.
    pub fn put(&mut self, flight: Flight) -> Option<Flight> {
        self.flights.push(flight);
        (self.flights.len() > MAX_IN_FLIGHT).then(|| self.flights.remove(0))
    }

    /// Any message when `reorder`, otherwise the oldest of any link.
    pub fn take(&mut self, rng: &mut SmallRng, reorder: bool) -> Option<Flight> {
        if self.flights.is_empty() {
            return None;
        }
        let any = rng.random_range(0..self.flights.len());
        let link = (self.flights[any].from, self.flights[any].to);
        let at = match reorder {
            true => any,
            false => self
                .flights
                .iter()
                .position(|flight| (flight.from, flight.to) == link)
                .unwrap_or(any),
        };
        Some(self.flights.remove(at))
    }

    pub fn take_oldest(&mut self) -> Option<Flight> {
        (!self.flights.is_empty()).then(|| self.flights.remove(0))
    }

    pub fn len(&self) -> usize {
        self.flights.len()
    }
}
